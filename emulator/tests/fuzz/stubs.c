/*
 * Fuzzing the emulator's own files: a machine, and stubs for the rest of QEMU
 *
 * Memory is an array, with holes between the addresses that it stands for.
 * Translations of the CPU are the identity.  See fuzz.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/rcu_queue.h"
#include "qemu/thread-context.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "exec/cpu_ldst.h"
#include "exec/exec-all.h"
#include "exec/memory.h"
#include "hw/boards.h"
#include "hw/pci/msix.h"
#include "system/runstate.h"
#include "system/tcg.h"
#include "tcg/helper-tcg.h"
#include "tcg/tcg.h"
#include "fuzz.h"

/* Regions 0, 1, 4 and 1200; the RMP is in region 1. */
#define RMP_SPA         (GiB + 512 * MiB)
#define RMP_SIZE        (18 * MiB)
#define FAR_SPA         (1200 * GiB)

/* A little RAM, so that no command takes long */
static const struct {
    hwaddr base;
    uint64_t size;
} parts[] = {
    { 0, 64 * KiB },
    { GiB - 64 * KiB, 2 * MiB + 128 * KiB },
    { RMP_SPA - 64 * KiB, RMP_SIZE + 128 * KiB },
    { 4 * GiB, 2 * MiB + 64 * KiB },
    { FAR_SPA + 2 * MiB - 64 * KiB, 128 * KiB },
};
#define RAM_SIZE        (RMP_SIZE + 5 * MiB)
#define RAM_PAGES       (RAM_SIZE / SNP_4K_SIZE)

static uint8_t memory[RAM_SIZE], snapshot[RAM_SIZE];
static DECLARE_BITMAP(dirty, RAM_PAGES);    /* differ from the snapshot */
static uint64_t syscfg[FUZZ_CPUS];

/* Software wrote the RMP while nothing prevented it. */
static bool rmp_wild;

X86CPU *fuzz_cpus[FUZZ_CPUS];
AMDVIState *fuzz_iommu;
bool (*fuzz_denied)(CPUX86State *env, hwaddr spa);
void (*fuzz_page_fault)(CPUX86State *env, uintptr_t ra);

void fuzz_assert(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken invariant: %s\n", what);
        abort();
    }
}

void fuzz_bytes(Fuzz *f, void *buf, size_t n)
{
    size_t have = MIN(n, f->end - f->p);

    memset(buf, 0, n);
    memcpy(buf, f->p, have);
    f->p += have;
}

uint64_t fuzz_num(Fuzz *f, unsigned bytes)
{
    uint8_t buf[8] = {};

    fuzz_bytes(f, buf, bytes);
    return ldq_le_p(buf);
}

hwaddr fuzz_addr(Fuzz *f)
{
    static const hwaddr bases[] = {
        0, GiB - 64 * KiB, GiB, GiB + 2 * MiB, RMP_SPA - 64 * KiB, RMP_SPA,
        RMP_SPA + RMP_SIZE, 2 * GiB, 4 * GiB, 4 * GiB + 2 * MiB,
        FAR_SPA, FAR_SPA + 2 * MiB - 64 * KiB, 2048 * GiB, 1ULL << 47,
        1ULL << 52,
    };
    unsigned how = fuzz_num(f, 1);
    hwaddr spa;

    if (how % 16 == ARRAY_SIZE(bases)) {
        return fuzz_num(f, 8);
    }
    spa = bases[how % 16];
    if (how & BIT(4)) {
        spa += fuzz_num(f, 1) * SNP_4K_SIZE;
    }
    if (how & BIT(5)) {
        spa += (int16_t)fuzz_num(f, 2);
    }
    return how & BIT(6) ? spa | SNP_C_BIT : spa;
}

hwaddr fuzz_cpu_addr(hwaddr spa)
{
    return spa & MAKE_64BIT_MASK(0, 51);
}

uint64_t fuzz_value(Fuzz *f)
{
    unsigned how = fuzz_num(f, 1);

    switch (how % 4) {
    case 0:
        return how / 4;
    case 1:
        return fuzz_addr(f);
    case 2:
        return fuzz_num(f, 4);
    default:
        return fuzz_num(f, 8);
    }
}

uint8_t *fuzz_ram(hwaddr spa, hwaddr *len)
{
    uint64_t at = 0;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(parts); at += parts[i++].size) {
        if (spa - parts[i].base < parts[i].size) {
            spa -= parts[i].base;
            *len = MIN(*len, parts[i].size - spa);
            return memory + at + spa;
        }
    }
    *len = MIN(*len, SNP_4K_SIZE - spa % SNP_4K_SIZE);
    return NULL;
}

void fuzz_read(hwaddr spa, void *buf, hwaddr len)
{
    hwaddr n;

    for (; len; spa += n, buf += n, len -= n) {
        uint8_t *p = fuzz_ram(spa, (n = len, &n));

        if (p) {
            memcpy(buf, p, n);
        } else {
            memset(buf, 0, n);
        }
    }
}

void fuzz_write(hwaddr spa, const void *buf, hwaddr len)
{
    hwaddr n;

    for (; len; spa += n, buf += n, len -= n) {
        uint8_t *p = fuzz_ram(spa, (n = len, &n));

        if (p) {
            size_t first = (p - memory) / SNP_4K_SIZE;

            memcpy(p, buf, n);
            bitmap_set(dirty, first,
                       (p - memory + n - 1) / SNP_4K_SIZE - first + 1);
        }
    }
}

/* Only snp-rmp.c may write the RMP of a host with SNP. */
static void checked_write(hwaddr spa, const void *buf, hwaddr len)
{
    if (spa < snp_rmp.base + snp_rmp.size && spa + len > snp_rmp.base) {
        fuzz_assert(!snp_enabled_on_all_cpus(), "a write to the RMP");
        rmp_wild = true;
    }
    fuzz_write(spa, buf, len);
}

static uint64_t checked_load(hwaddr spa, unsigned size)
{
    uint8_t buf[8] = {};

    fuzz_read(spa, buf, size);
    return ldq_le_p(buf);
}

static void checked_store(hwaddr spa, uint64_t val, unsigned size)
{
    uint8_t buf[8];

    stq_le_p(buf, val);
    checked_write(spa, buf, size);
}

/*
 * The machine
 */

static int mmu_index(CPUState *cs, bool ifetch)
{
    return MMU_KNOSMAP64_IDX;
}

void fuzz_machine_init(void)
{
    static CPUClass class = { .mmu_index = mmu_index };
    hwaddr table = RMP_SPA + MiB;
    static const struct {
        unsigned segment, gb;
    } covered[] = { { 0, 2 }, { 1, 1 }, { FAR_SPA / GiB / 4, 1 } };
    unsigned i;

    snp_rmp = (SnpRmp) {
        .segmented = true,
        .base = RMP_SPA,
        .size = RMP_SIZE,
        .segment_shift = 32,
    };
    for (i = 0; i < ARRAY_SIZE(covered); i++) {
        snp_rmp.segment[covered[i].segment].gb = covered[i].gb;
        snp_rmp.segment[covered[i].segment].table = table;
        table += covered[i].gb * 4 * MiB;
    }
    snp_memory_init();
    current_machine = g_new0(MachineState, 1);
    current_machine->smp.threads = 2;
    current_machine->smp.sockets = 1;
    fuzz_iommu = g_new0(AMDVIState, 1);
    for (i = 0; i < FUZZ_CPUS; i++) {
        X86CPU *cpu = g_new0(X86CPU, 1);

        fuzz_cpus[i] = cpu;
        cpu->parent_obj.cpu_index = i;
        cpu->parent_obj.cc = &class;
        cpu->parent_obj.as = &address_space_memory;
        cpu->phys_bits = 48;
        cpu->rmpopt = true;
        cpu->env.snp = g_new0(SnpCpu, 1);
        cpu->env.snp->core = snp_core_get(i);
        snp_cpu_reset(cpu->env.snp);
        QTAILQ_INSERT_TAIL_RCU(&cpus_queue, &cpu->parent_obj, node);
    }
    current_cpu = first_cpu;
    fuzz_snp_enable();
}

void fuzz_machine_snapshot(void)
{
    unsigned i;

    memcpy(snapshot, memory, sizeof(memory));
    bitmap_zero(dirty, RAM_PAGES);
    for (i = 0; i < FUZZ_CPUS; i++) {
        syscfg[i] = fuzz_cpus[i]->env.snp->syscfg;
    }
}

void fuzz_machine_reset(void)
{
    SnpCore *core;
    unsigned i;

    for (i = find_first_bit(dirty, RAM_PAGES); i < RAM_PAGES;
         i = find_next_bit(dirty, RAM_PAGES, i + 1)) {
        memcpy(memory + i * SNP_4K_SIZE, snapshot + i * SNP_4K_SIZE,
               SNP_4K_SIZE);
    }
    bitmap_zero(dirty, RAM_PAGES);
    snp_memory_reset();
    snp_rmpopt_forget();
    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        core->base = 0;
    }
    for (i = 0; i < FUZZ_CPUS; i++) {
        snp_cpu_reset(fuzz_cpus[i]->env.snp);
        fuzz_cpus[i]->env.snp->syscfg = syscfg[i];
        fuzz_cpus[i]->env.vm_hsave = 0;
    }
    memset(fuzz_iommu, 0, sizeof(*fuzz_iommu));
    current_cpu = first_cpu;
    rmp_wild = false;
}

void fuzz_snp_enable(void)
{
    static const uint8_t zeroes[SNP_4K_SIZE];
    unsigned i;

    if (snp_enabled_on_all_cpus()) {
        return;
    }
    for (i = MiB / SNP_4K_SIZE; i < RMP_SIZE / SNP_4K_SIZE; i++) {
        fuzz_write(RMP_SPA + i * SNP_4K_SIZE, zeroes, SNP_4K_SIZE);
    }
    rmp_wild = false;
    for (i = 0; i < FUZZ_CPUS; i++) {
        snp_wrmsr(fuzz_cpus[i], MSR_SNP_SYSCFG,
                  SNP_SYSCFG_MEM_ENC | SNP_SYSCFG_SNP_EN);
    }
}

void fuzz_host_write(hwaddr spa, const void *buf, hwaddr len)
{
    hwaddr n;

    spa = fuzz_cpu_addr(spa);
    for (; len; spa += n, buf += n, len -= n) {
        n = MIN(len, SNP_4K_SIZE - spa % SNP_4K_SIZE);
        if (snp_enabled_on_all_cpus() &&
            (snp_rmp_holds(spa) || (snp_rmp_read(spa) & RMP_ASSIGNED &&
                                    snp_rmp_read(spa) != RMP_NONE))) {
            return;
        }
        snp_memory_show(0, spa, n);
        checked_write(spa, buf, n);
    }
}

void fuzz_op_write(Fuzz *f)
{
    hwaddr spa = fuzz_addr(f);
    uint8_t buf[64];
    size_t n = fuzz_num(f, 1) % sizeof(buf);

    fuzz_bytes(f, buf, n);
    fuzz_host_write(spa, buf, n);
}

bool fuzz_rmpupdate(hwaddr spa, uint64_t entry)
{
    hwaddr size = entry & RMP_2M ? SNP_2M_SIZE : SNP_4K_SIZE;
    uint64_t old = snp_rmp_read(spa);

    if (!QEMU_IS_ALIGNED(spa | (entry & RMP_GPA), size) || old == RMP_NONE ||
        old & RMP_IMMUTABLE || snp_rmp_holds(spa) ||
        entry & (RMP_VMSA | RMP_VALIDATED | RMP_NONE) ||
        FIELD_EX64(entry, RMP, ASID) > SNP_MAX_ASID ||
        (entry & RMP_2M && !(old & RMP_2M) && snp_rmp_2m_assigned(spa))) {
        return false;
    }
    return snp_rmp_write(spa, entry);
}

/*
 * Invariants
 */

static bool region_assigned(hwaddr start)
{
    hwaddr spa;

    for (spa = start; spa < start + SNP_REGION_SIZE; spa += SNP_4K_SIZE) {
        uint64_t e = snp_rmp_read(spa);

        if (e != RMP_NONE && e & RMP_ASSIGNED) {
            return true;
        }
    }
    return false;
}

void fuzz_check_rmpopt(void)
{
    SnpCore *core;
    long i;

    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        for (i = find_first_bit(core->table, SNP_RMPOPT_WINDOW);
             i < SNP_RMPOPT_WINDOW;
             i = find_next_bit(core->table, SNP_RMPOPT_WINDOW, i + 1)) {
            hwaddr spa = (core->base & ~SNP_RMPOPT_ENABLE) +
                         i * SNP_REGION_SIZE;

            fuzz_assert(!snp_core_optimized(core, spa) ||
                        !snp_rmp_region_closed(spa),
                        "an RMPOPT bit of a region with an assigned page");
        }
    }
}

/* Of each 2MB whose entries differ from the snapshot: they fill two pages. */
void fuzz_check_counts(void)
{
    SnpCore *core;
    unsigned i;

    if (rmp_wild) {
        return;
    }
    for (i = 0; i < SNP_RST_ENTRIES; i++) {
        hwaddr table = snp_rmp.segment[i].table, at, len = 1;
        uint64_t size = snp_rmp.segment[i].gb * 4 * MiB;
        size_t page = size ? (fuzz_ram(table, &len) - memory) / SNP_4K_SIZE : 0;

        for (at = 0; at < size; at += 2 * SNP_4K_SIZE, page += 2) {
            const uint8_t *entries = memory + page * SNP_4K_SIZE;
            unsigned n, assigned = 0;

            if (!test_bit(page, dirty) && !test_bit(page + 1, dirty)) {
                continue;
            }
            for (n = 0; n < 512; n++) {
                assigned += ldq_le_p(entries + n * 16) & RMP_ASSIGNED;
            }
            if (ldq_le_p(entries) & RMP_2M) {
                fuzz_assert(assigned == 1, "an assigned page below a 2MB one");
                assigned = 512;
            }
            fuzz_assert(ldq_le_p(entries + 8) == assigned,
                        "a count of assigned pages");
        }
    }
    /* The same as the bits say it, but from the entries themselves */
    QSIMPLEQ_FOREACH(core, &snp_cores, next) {
        static const hwaddr regions[] = { 0, GiB, 4 * GiB, FAR_SPA };

        for (i = 0; i < ARRAY_SIZE(regions); i++) {
            fuzz_assert(!snp_core_optimized(core, regions[i]) ||
                        !region_assigned(regions[i]),
                        "an assigned page in a region with an RMPOPT bit");
        }
    }
}

void fuzz_rmpopt(SnpCore *core, hwaddr spa, bool verify)
{
    hwaddr start = core->base & ~SNP_RMPOPT_ENABLE;
    bool optimized, in_window;

    if (!(core->base & SNP_RMPOPT_ENABLE) || !snp_enabled_on_all_cpus()) {
        return;
    }
    spa = QEMU_ALIGN_DOWN(spa, SNP_REGION_SIZE);
    in_window = spa >= start &&
                spa - start < SNP_RMPOPT_WINDOW * SNP_REGION_SIZE;
    optimized = snp_rmpopt(core, spa, verify);
    fuzz_assert(optimized == snp_core_optimized(core, spa),
                "the result of RMPOPT");
    fuzz_assert(!verify || optimized ==
                (in_window && !snp_rmp_region_closed(spa)),
                "the effect of RMPOPT");
}

/*
 * Stubs: memory
 */

AddressSpace address_space_memory;

uint64_t address_space_ldq_le(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,
                              MemTxResult *result)
{
    return checked_load(addr, 8);
}

void address_space_stq_le(AddressSpace *as, hwaddr addr, uint64_t val,
                          MemTxAttrs attrs, MemTxResult *result)
{
    uint8_t buf[8];

    stq_le_p(buf, val);
    fuzz_write(addr, buf, sizeof(buf));
}

MemTxResult address_space_read_full(AddressSpace *as, hwaddr addr,
                                    MemTxAttrs attrs, void *buf, hwaddr len)
{
    fuzz_read(addr, buf, len);
    return MEMTX_OK;
}

MemTxResult address_space_write(AddressSpace *as, hwaddr addr,
                                MemTxAttrs attrs, const void *buf, hwaddr len)
{
    checked_write(addr, buf, len);
    return MEMTX_OK;
}

MemTxResult address_space_rw(AddressSpace *as, hwaddr addr, MemTxAttrs attrs,
                             void *buf, hwaddr len, bool is_write)
{
    return is_write ? address_space_write(as, addr, attrs, buf, len)
                    : address_space_read_full(as, addr, attrs, buf, len);
}

MemoryRegion *flatview_translate(FlatView *fv, hwaddr addr, hwaddr *xlat,
                                 hwaddr *plen, bool is_write,
                                 MemTxAttrs attrs)
{
    static MemoryRegion ram = { .ram = true }, io;
    uint8_t *p = fuzz_ram(addr, plen);

    *xlat = p ? p - memory : 0;
    return p ? &ram : &io;
}

MemTxResult flatview_read_continue(FlatView *fv, hwaddr addr, MemTxAttrs attrs,
                                   void *buf, hwaddr len, hwaddr mr_addr,
                                   hwaddr l, MemoryRegion *mr)
{
    fuzz_read(addr, buf, len);
    return MEMTX_OK;
}

void *qemu_map_ram_ptr(RAMBlock *ram_block, ram_addr_t addr)
{
    return memory + addr;
}

bool memory_region_is_ram_device(MemoryRegion *mr)
{
    return false;
}

bool snp_machine_has_ram(hwaddr start, uint64_t size)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i].base < start + size &&
            start < parts[i].base + parts[i].size) {
            return true;
        }
    }
    return false;
}

/*
 * Stubs: devices and objects, which are what they are taken for
 */

MachineState *current_machine;

Object *object_dynamic_cast_assert(Object *obj, const char *typename,
                                   const char *file, int line,
                                   const char *func)
{
    return obj;
}

Object *object_dynamic_cast(Object *obj, const char *typename)
{
    return obj;
}

X86IOMMUState *x86_iommu_get_default(void)
{
    return &fuzz_iommu->iommu;
}

void msix_notify(PCIDevice *dev, unsigned vector)
{
}

/* So that QEMU's library of utilities does without QEMU's objects */
void thread_context_create_thread(ThreadContext *tc, QemuThread *thread,
                                  const char *name,
                                  void *(*start_routine)(void *), void *arg,
                                  int mode)
{
    abort();
}

Type type_register_static(const TypeInfo *info)
{
    abort();
}

ObjectClass *object_class_dynamic_cast_assert(ObjectClass *class,
                                              const char *typename,
                                              const char *file, int line,
                                              const char *func)
{
    abort();
}

/* Of assert_region() in snp-rmpopt.c */
void qemu_system_shutdown_request_with_code(ShutdownCause reason,
                                            int exit_code)
{
    fuzz_assert(false, "the emulator's own assertion");
}

/*
 * Stubs: the CPU
 */

struct SnpFaults snp_faults;
CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
__thread CPUState *current_cpu;
bool tcg_allowed = true;

void tlb_flush(CPUState *cs)
{
}

void tlb_flush_all_cpus_synced(CPUState *cs)
{
}

void tlb_flush_by_mmuidx(CPUState *cs, uint16_t idxmap)
{
}

int x86_mmu_index_pl(CPUX86State *env, unsigned pl)
{
    return MMU_KNOSMAP64_IDX;
}

uint32_t cpu_x86_virtual_addr_width(CPUX86State *env)
{
    return 48;
}

int get_pg_mode(CPUX86State *env)
{
    return env->cr[0] & CR0_PG_MASK ? PG_MODE_PG : 0;
}

void cpu_x86_update_dr7(CPUX86State *env, uint32_t new_dr7)
{
    env->dr[7] = new_dr7 | DR7_FIXED_1;
}

/* Delivered, and the handler has returned */
void do_interrupt_x86_hardirq(CPUX86State *env, int intno, int is_hw)
{
}

void do_interrupt_all(X86CPU *cpu, int intno, int is_int, int error_code,
                      target_ulong next_eip, int is_hw)
{
}

void qemu_system_reset_request(ShutdownCause reason)
{
}

/*
 * Stubs: what TCG does around the helpers.  The state is always up to date.
 */

static TCGContext context;
__thread TCGContext *tcg_ctx = &context;

bool cpu_restore_state(CPUState *cs, uintptr_t host_pc)
{
    return true;
}

void cpu_loop_exit(CPUState *cs)
{
    siglongjmp(cs->jmp_env, 1);
}

void cpu_loop_exit_restore(CPUState *cs, uintptr_t pc)
{
    cpu_loop_exit(cs);
}

void cpu_exec_start(CPUState *cs)
{
}

void cpu_exec_end(CPUState *cs)
{
}

void start_exclusive(void)
{
}

void end_exclusive(void)
{
}

/* Only for pages that are found while code is translated */
void async_safe_run_on_cpu(CPUState *cs, run_on_cpu_func func,
                           run_on_cpu_data data)
{
    abort();
}

/*
 * Stubs: accesses of the CPU
 */

int cpu_asidx_from_attrs(CPUState *cs, MemTxAttrs attrs)
{
    return 0;
}

AddressSpace *cpu_get_address_space(CPUState *cs, int asidx)
{
    return &address_space_memory;
}

#define STUB_LOAD(type, suffix, size) \
    type address_space_ld##suffix(AddressSpace *as, hwaddr addr, \
                                  MemTxAttrs attrs, MemTxResult *result) \
    { \
        return checked_load(addr, size); \
    }

#define STUB_STORE(type, suffix, size) \
    void address_space_st##suffix(AddressSpace *as, hwaddr addr, type val, \
                                  MemTxAttrs attrs, MemTxResult *result) \
    { \
        checked_store(addr, val, size); \
    }

STUB_LOAD(uint8_t, ub, 1)
STUB_LOAD(uint16_t, uw, 2)
STUB_LOAD(uint32_t, l, 4)
STUB_LOAD(uint64_t, q, 8)
STUB_STORE(uint8_t, b, 1)
STUB_STORE(uint32_t, l, 4)
STUB_STORE(uint64_t, q, 8)

/* By a virtual address: what has no memory faults. */
static hwaddr translate(CPUArchState *env, vaddr addr, bool write,
                        uintptr_t ra)
{
    hwaddr len = 1;

    if (!fuzz_ram(fuzz_cpu_addr(addr), &len) ||
        (write && fuzz_denied && fuzz_denied(env, fuzz_cpu_addr(addr)))) {
        env->cr[2] = addr;
        fuzz_page_fault(env, ra);
    }
    return fuzz_cpu_addr(addr);
}

/* What the helpers of SVM access with MMU_PHYS_IDX is a physical address. */
static hwaddr mmu_addr(CPUArchState *env, abi_ptr addr, bool write,
                       unsigned mmu_idx, uintptr_t ra)
{
    return mmu_idx == MMU_PHYS_IDX ? addr : translate(env, addr, write, ra);
}

#define STUB_CPU_LOAD(type, suffix, size) \
    type cpu_ld##suffix##_le_mmuidx_ra(CPUArchState *env, abi_ptr addr, \
                                       int mmu_idx, uintptr_t ra) \
    { \
        return checked_load(mmu_addr(env, addr, false, mmu_idx, ra), size); \
    }

#define STUB_CPU_STORE(type, suffix, size) \
    void cpu_st##suffix##_le_mmuidx_ra(CPUArchState *env, abi_ptr addr, \
                                       type val, int mmu_idx, uintptr_t ra) \
    { \
        checked_store(mmu_addr(env, addr, true, mmu_idx, ra), val, size); \
    }

STUB_CPU_LOAD(uint32_t, uw, 2)
STUB_CPU_LOAD(uint32_t, l, 4)
STUB_CPU_LOAD(uint64_t, q, 8)
STUB_CPU_STORE(uint32_t, w, 2)
STUB_CPU_STORE(uint32_t, l, 4)
STUB_CPU_STORE(uint64_t, q, 8)

uint64_t cpu_ldq_le_data_ra(CPUArchState *env, abi_ptr addr, uintptr_t ra)
{
    return cpu_ldq_le_mmuidx_ra(env, addr, MMU_KNOSMAP64_IDX, ra);
}

void cpu_stq_le_data_ra(CPUArchState *env, abi_ptr addr, uint64_t val,
                        uintptr_t ra)
{
    cpu_stq_le_mmuidx_ra(env, addr, val, MMU_KNOSMAP64_IDX, ra);
}

int probe_access_full(CPUArchState *env, vaddr addr, int size,
                      MMUAccessType access_type, int mmu_idx, bool nonfault,
                      void **phost, CPUTLBEntryFull **pfull, uintptr_t ra)
{
    static CPUTLBEntryFull full;

    full.phys_addr = translate(env, addr, false, ra);
    *phost = NULL;
    *pfull = &full;
    return 0;
}

int probe_access_flags(CPUArchState *env, vaddr addr, int size,
                       MMUAccessType access_type, int mmu_idx, bool nonfault,
                       void **phost, uintptr_t ra)
{
    hwaddr len = 1;

    *phost = fuzz_ram(fuzz_cpu_addr(addr), &len);
    return *phost ? 0 : TLB_INVALID_MASK;
}
