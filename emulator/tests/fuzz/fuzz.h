/*
 * Fuzzing the emulator's own files: what the harnesses share
 *
 * `scripts/fuzz` builds fuzz_psp and fuzz_cpu with clang's libFuzzer, ASan and
 * UBSan from our files as they are, from the few of QEMU's that those need, and
 * from stubs.c in place of the rest.  An input is a sequence of operations on a
 * small SNP host; a report of a sanitizer or a broken invariant ends it.  In
 * seeds/ are a few inputs that get far, chosen from what -merge=1 leaves of a
 * longer run's; to run one alone, give it to build/fuzz/fuzz_psp or fuzz_cpu.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SNP_FUZZ_H
#define SNP_FUZZ_H

#include "cpu.h"
#include "hw/i386/snp.h"
#include "amd_iommu.h"

#define FUZZ_CPUS       2       /* one for each core */
#define FUZZ_OPS        64      /* at most, in an input */

#define MSR_SNP_SYSCFG  0xc0010010
#define MSR_SNP_RMPOPT  0xc0010139

/* What of an input is left.  What is beyond its end reads as zeroes. */
typedef struct Fuzz {
    const uint8_t *p, *end;
} Fuzz;

/* The last @n bytes are zeroes if the input ends before. */
void fuzz_bytes(Fuzz *f, void *buf, size_t n);
uint64_t fuzz_num(Fuzz *f, unsigned bytes);

/* An address that is worth a try: often a page of RAM */
hwaddr fuzz_addr(Fuzz *f);
/* What of an address a CPU's translation has: 52 bits less the C-bit */
hwaddr fuzz_cpu_addr(hwaddr spa);
/* A number that is worth a try: small, an address, or any */
uint64_t fuzz_value(Fuzz *f);

/* The invariant @what is broken if @ok is false */
void fuzz_assert(bool ok, const char *what);

/*
 * The machine: made once; then as snapshot() found it before each input.
 * @start is RAM, @len bytes up to the next hole.
 */
void fuzz_machine_init(void);
void fuzz_machine_snapshot(void);
void fuzz_machine_reset(void);
uint8_t *fuzz_ram(hwaddr spa, hwaddr *len);
extern X86CPU *fuzz_cpus[FUZZ_CPUS];
extern AMDVIState *fuzz_iommu;

/* Access memory, whoever may; the part that is no RAM reads as zeroes */
void fuzz_read(hwaddr spa, void *buf, hwaddr len);
void fuzz_write(hwaddr spa, const void *buf, hwaddr len);

/* As Linux does: clear the RMP, enable SNP on all CPUs */
void fuzz_snp_enable(void);

/* What software writes with a CPU: does not happen if the RMP denies it */
void fuzz_host_write(hwaddr spa, const void *buf, hwaddr len);

/* The operation of both harnesses that does so, with any bytes */
void fuzz_op_write(Fuzz *f);

/*
 * fuzz_cpu: that the RMP denies a CPU the write to a page, and a page fault of
 * it, which does not return
 */
extern bool (*fuzz_denied)(CPUX86State *env, hwaddr spa);
extern void (*fuzz_page_fault)(CPUX86State *env, uintptr_t ra);

/* RMPUPDATE, without its operands in memory */
bool fuzz_rmpupdate(hwaddr spa, uint64_t entry);

/* After each operation, and at the end */
void fuzz_check_rmpopt(void);
void fuzz_check_counts(void);

/* RMPOPT on a core that has it enabled */
void fuzz_rmpopt(SnpCore *core, hwaddr spa, bool verify);

/* Of each harness, for libFuzzer */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
