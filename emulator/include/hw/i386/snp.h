/*
 * AMD SEV-SNP host: the reverse map table (RMP), cores and CPUs
 *
 * The RMP has one entry for each 4KB page of system physical memory.  It lives
 * in guest memory, where only the RMP instructions and the firmware (our PSP)
 * may write it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_SNP_H
#define HW_I386_SNP_H

#include "qemu/bitmap.h"
#include "qemu/bitops.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "exec/hwaddr.h"
#include "hw/registerfields.h"
#include "target/i386/cpu-qom.h"

#define SNP_4K_SIZE             (4 * KiB)
#define SNP_2M_SIZE             (2 * MiB)
#define SNP_REGION_SIZE         GiB     /* the unit of RMPOPT */

/* CPUID Fn8000_001F: EBX[5:0]; ECX; EDX, SNP and SEV-ES have those below. */
#define SNP_C_BIT               BIT_ULL(51)
#define SNP_MAX_ASID            509
#define SNP_MIN_SEV_ASID        100

/*
 * First quadword of an RMP entry: the layout that Linux knows (struct
 * rmpentry_raw in arch/x86/virt/svm/sev.c) for CPUs without RMPREAD.
 */
#define RMP_ASSIGNED            BIT_ULL(0)
#define RMP_2M                  BIT_ULL(1)
#define RMP_IMMUTABLE           BIT_ULL(2)
#define RMP_GPA                 MAKE_64BIT_MASK(12, 39)
FIELD(RMP, ASID, 51, 10)
#define RMP_VMSA                BIT_ULL(61)
#define RMP_VALIDATED           BIT_ULL(62)
#define RMP_NONE                BIT_ULL(63)     /* ours: no such entry */

/* Sizes of what comes before the table: arch/x86/virt/svm/sev.c in Linux */
#define SNP_RMP_BOOKKEEPING     (16 * KiB)
#define SNP_RST_ENTRIES         512

/**
 * SnpRmp: where the RMP is
 *
 * @segmented: with an RMP segment table (RST); else one segment has it all
 * @base, @size: what is reserved, 2MB aligned; @size is 0 on other machines
 * @segment_shift: log2 of the memory that a segment stands for
 * @segment: address of the table, and how many GB from the start it covers:
 *           both are 0 where no RAM is
 */
typedef struct SnpRmp {
    bool segmented;
    hwaddr base;
    uint64_t size;
    unsigned segment_shift;
    struct {
        hwaddr table;
        uint32_t gb;
    } segment[SNP_RST_ENTRIES];
} SnpRmp;

/* Does not change after the machine was made. */
extern SnpRmp snp_rmp;

/*
 * Held to change entries.  The PSP takes it with the BQL held, so never take
 * the BQL inside; and no access that may fault into the guest (cpu_ld*).
 */
extern QemuMutex snp_rmp_lock;

/* Which @segment has the entry of @spa, and which one it is: the page there */
bool snp_rmp_find(hwaddr spa, unsigned *segment, uint64_t *page);

/*
 * Any @spa inside a page will do, without the C-bit.  Pages below a 2MB entry
 * read as that entry and cannot be written.  snp_rmp_write() also does what
 * hardware does beside it: RMPOPT tables and TLBs.  It and snp_rmp_smash(),
 * which splits the 2MB entry of @spa, want the lock to be held.
 */
uint64_t snp_rmp_read(hwaddr spa);
bool snp_rmp_write(hwaddr spa, uint64_t entry);
void snp_rmp_smash(hwaddr spa);

/* @spa is a byte of the RMP; how many pages of the 2MB around it are assigned */
bool snp_rmp_holds(hwaddr spa);
unsigned snp_rmp_2m_assigned(hwaddr spa);

/* Some of these @size bytes are RAM */
bool snp_machine_has_ram(hwaddr start, uint64_t size);

/* Not to be optimized: assigned in part, part of the RMP, or no RAM */
bool snp_rmp_region_closed(hwaddr spa);

/*
 * Memory holds one view of each page, that of an ASID or, 0, the host's.
 * snp_memory_show() makes it that of @asid and returns true if it was another:
 * then TLBs have to be flushed.  It wants the RMP lock.  snp_memory_scramble()
 * turns the one view of @buf, which is at @spa, into the other.
 * snp_memory_read() and snp_memory_write() access RAM in the view of @asid and
 * leave it as it is; so that it stays so, they want the RMP lock too.
 */
void snp_memory_init(void);
void snp_memory_reset(void);
uint32_t snp_memory_owner(hwaddr spa);
bool snp_memory_show(uint32_t asid, hwaddr spa, uint64_t len);
void snp_memory_scramble(uint32_t asid, hwaddr spa, void *buf, uint64_t len);
void snp_memory_read(uint32_t asid, hwaddr spa, void *buf, uint64_t len);
void snp_memory_write(uint32_t asid, hwaddr spa, const void *buf, uint64_t len);

#define SNP_RMPOPT_WINDOW       2048    /* regions, that is 2TB */
#define SNP_RMPOPT_ENABLE       1ULL    /* in MSR RMPOPT_BASE */

/**
 * SnpCore: the RMPOPT state of one core, shared by its threads
 *
 * @id: APIC ID of the first thread
 * @base: MSR RMPOPT_BASE
 * @table: relative to it, a bit for each region without an assigned page;
 *         set with the RMP lock held, read without
 * @scanned, @cached, @failed: RMPOPTs that read the RMP, that found the region
 *                             verified, and that did not optimize it
 * @reports: RMPOPTs that only asked
 * @checks, @skipped: RMP checks of a write, and those that @table made needless
 * @faults: writes of the host that the RMP denied
 */
typedef struct SnpCore {
    uint32_t id;
    uint64_t base;
    DECLARE_BITMAP(table, SNP_RMPOPT_WINDOW);
    uint64_t scanned, cached, failed, reports, checks, skipped, faults;
    QSIMPLEQ_ENTRY(SnpCore) next;
} SnpCore;

/* Complete before the first CPU runs */
extern QSIMPLEQ_HEAD(SnpCoreList, SnpCore) snp_cores;

/* RMP checks by ASID, 0 is the host: as SnpCore counts them by core */
#define SNP_ASIDS               0x8000
extern struct SnpAsid {
    uint64_t checks, skipped;
} snp_asids[SNP_ASIDS];

/* How often it was asserted that no core has a bit too many */
extern uint64_t snp_rmpopt_asserts;

SnpCore *snp_core_get(uint32_t id);
bool snp_core_optimized(const SnpCore *core, hwaddr spa);

/* RMPOPT; @verify is false if it only reports.  Returns the carry flag. */
bool snp_rmpopt(SnpCore *core, hwaddr spa, bool verify);
void snp_rmpopt_set_base(SnpCore *core, uint64_t base);

/**
 * SnpFaults: what goes wrong, for tests of the software; all 0 is nothing
 *
 * @rmpupdate_nth: this RMPUPDATE from now, 1 is the next one, fails
 * @rmpupdate_status: so
 * @rmpopt_delay: microseconds that an RMPOPT takes longer, half of them before
 *                it has its effect
 */
extern struct SnpFaults {
    uint32_t rmpupdate_nth, rmpupdate_status, rmpopt_delay;
} snp_faults;

/* An entry of @spa changed; all may have changed: with the RMP lock held */
void snp_rmpopt_changed(hwaddr spa);
void snp_rmpopt_forget(void);

#define SNP_SYSCFG_MEM_ENC      BIT_ULL(23)
#define SNP_SYSCFG_SNP_EN       BIT_ULL(24)

/* What kind of guest this is */
#define MSR_SEV_STATUS          0xc0010131
#define SNP_STATUS_SEV          BIT_ULL(0)
#define SNP_STATUS_ES           BIT_ULL(1)
#define SNP_STATUS_SNP          BIT_ULL(2)

/**
 * SnpCpu: what a thread of an SNP host has more than others
 *
 * @core: its core
 * @syscfg, @hwcr: MSRs
 * @status: MSR SEV_STATUS of the guest that runs, 0 if that is not encrypted
 * @asid: of the guest that runs
 * @vmsa: address of the save area of an SEV-ES guest
 * @ghcb: MSR GHCB of the guest
 * @validating: the guest is at PVALIDATE: pages need not be validated
 */
typedef struct SnpCpu {
    SnpCore *core;
    uint64_t syscfg;
    uint64_t hwcr;
    uint64_t status;
    uint32_t asid;
    hwaddr vmsa;
    uint64_t ghcb;
    bool validating;
} SnpCpu;

/* For pc.c and x86-common.c; each does nothing if this is no SNP host */
void snp_machine_class_init(ObjectClass *oc);
void snp_machine_memory_init(MachineState *ms);

/*
 * snp-far-node: takes the last NUMA node's RAM from that above 4GB, to be
 * mapped above @used, the last address in use; where the RAM of @node begins
 * that would begin at @base without it
 */
void snp_machine_split_far_node(MachineState *ms, hwaddr used, Error **errp);
hwaddr snp_machine_node_base(MachineState *ms, int node, hwaddr base);

bool snp_cpu_pre_plug(X86CPU *cpu, Error **errp);

/* For cpu.c and misc_helper.c; false means #GP */
void snp_cpuid(X86CPU *cpu, uint32_t index, uint32_t *eax, uint32_t *ebx,
               uint32_t *ecx, uint32_t *edx);
bool snp_rdmsr(X86CPU *cpu, uint32_t msr, uint64_t *val);
bool snp_wrmsr(X86CPU *cpu, uint32_t msr, uint64_t val);

void snp_cpu_reset(SnpCpu *cpu);
bool snp_enabled_on_all_cpus(void);

/* The RMP check of a write through a mapping of @page_size */
bool snp_write_denied(struct CPUArchState *env, hwaddr spa, uint64_t page_size);

/*
 * The RMP check of an SNP guest's access with the C-bit, through a nested
 * mapping of @page_size.  Returns what of PG_ERROR_* is to be reported.
 */
uint32_t snp_private_denied(struct CPUArchState *env, hwaddr spa, hwaddr gpa,
                            uint64_t page_size);

#endif
