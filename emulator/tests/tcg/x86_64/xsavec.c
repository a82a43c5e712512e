/*
 * XSAVEC, and XRSTOR of the compacted format
 *
 * Prints TAP.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FP          (1ULL << 0)
#define SSE         (1ULL << 1)
#define YMM         (1ULL << 2)
#define PKRU        (1ULL << 9)
#define COMPACTED   (1ULL << 63)

#define HEADER      512
#define EXTENDED    576
#define MXCSR       24
#define XMM1        (160 + 16)
#define YMM1_HIGH   16      /* in the YMM component */

#define MXCSR_INIT  0x1f80
#define FILL        0xa5

typedef struct State {
    uint64_t ymm1[4], ymm15[4];
    uint32_t mxcsr;
} State;

/* What is saved, and what is there before something is restored */
static const State saved = {
    { 0x1111, 0x2222, 0x3333, 0x4444 }, { 0x5555, 0x6666, 0x7777, 0x8888 },
    0x3f80,
}, other = {
    { ~0ULL, ~1ULL, ~2ULL, ~3ULL }, { ~4ULL, ~5ULL, ~6ULL, ~7ULL }, 0x5f80,
};

static uint8_t area[4096] __attribute__((aligned(64)));
static uint64_t xcr0;
static sigjmp_buf back;
static int number, failed;

static void check(bool ok, const char *what)
{
    printf("%sok %d - %s\n", ok ? "" : "not ", ++number, what);
    failed += !ok;
}

static uint64_t field(int offset)
{
    uint64_t val;

    memcpy(&val, area + offset, sizeof(val));
    return val;
}

static void set_field(int offset, uint64_t val)
{
    memcpy(area + offset, &val, sizeof(val));
}

static bool filled(int from, int to)
{
    for (; from < to; from++) {
        if (area[from] != FILL) {
            return false;
        }
    }
    return true;
}

/* XSAVEC with the state @s, into an area that was filled */
static void save(const State *s, uint64_t rfbm)
{
    memset(area, FILL, sizeof(area));
    asm volatile("vmovdqu (%[s]), %%ymm1\n\t"
                 "vmovdqu 32(%[s]), %%ymm15\n\t"
                 "ldmxcsr 64(%[s])\n\t"
                 "fninit\n\t"
                 "xsavec64 (%[area])\n\t"
                 "ldmxcsr %[init]\n\t"
                 : : [s] "r"(s), [area] "r"(area), "a"((uint32_t)rfbm),
                 "d"((uint32_t)(rfbm >> 32)), [init] "m"((uint32_t){MXCSR_INIT})
                 : "memory", "xmm1", "xmm15");
    /* XSAVEC leaves these, and XRSTOR wants them to be zero. */
    if (filled(HEADER + 16, EXTENDED)) {
        memset(area + HEADER + 16, 0, EXTENDED - HEADER - 16);
    }
}

/* What the state is after XRSTOR, when it was @other */
static State restore(const void *from, uint64_t rfbm)
{
    State s = other;

    asm volatile("vmovdqu (%[s]), %%ymm1\n\t"
                 "vmovdqu 32(%[s]), %%ymm15\n\t"
                 "ldmxcsr 64(%[s])\n\t"
                 "xrstor64 (%[area])\n\t"
                 "vmovdqu %%ymm1, (%[s])\n\t"
                 "vmovdqu %%ymm15, 32(%[s])\n\t"
                 "stmxcsr 64(%[s])\n\t"
                 "ldmxcsr %[init]\n\t"
                 "vzeroupper"
                 : : [s] "r"(&s), [area] "r"(from), "a"((uint32_t)rfbm),
                 "d"((uint32_t)(rfbm >> 32)), [init] "m"((uint32_t){MXCSR_INIT})
                 : "memory", "xmm1", "xmm15");
    return s;
}

static bool same(State a, State b)
{
    return !memcmp(a.ymm1, b.ymm1, sizeof(a.ymm1)) &&
           !memcmp(a.ymm15, b.ymm15, sizeof(a.ymm15)) && a.mxcsr == b.mxcsr;
}

static void on_signal(int sig)
{
    siglongjmp(back, sig);
}

static void check_fault(const void *from, const char *what)
{
    int sig = sigsetjmp(back, 1);

    if (!sig) {
        restore(from, SSE);
    }
    check(sig == SIGSEGV, what);
}

/* The size that CPUID tells is that of the enabled components in a row. */
static void test_size(void)
{
    uint32_t eax, ebx, ecx, edx, size = EXTENDED;
    int i;

    for (i = 2; i < 63; i++) {
        if (xcr0 >> i & 1) {
            __cpuid_count(0xd, i, eax, ebx, ecx, edx);
            size = (ecx & 2 ? (size + 63) & ~63 : size) + eax;
        }
    }
    __cpuid_count(0xd, 1, eax, ebx, ecx, edx);
    check(ebx == size, "size in CPUID");
}

static void test_save(void)
{
    save(&saved, -1ULL);
    check(field(HEADER + 8) == (COMPACTED | xcr0), "XCOMP_BV");
    check(!(field(HEADER) & ~xcr0) && (field(HEADER) & SSE), "XSTATE_BV");
    check(field(HEADER + 16) == 0, "rest of the header is left as it is");
    check(field(MXCSR) << 32 >> 32 == saved.mxcsr, "MXCSR is saved");
    check(field(XMM1) == saved.ymm1[0] &&
          field(EXTENDED + YMM1_HIGH + 8) == saved.ymm1[3], "YMM1 is saved");
    check(same(restore(area, -1ULL), saved), "and comes back");
}

static void test_partial(void)
{
    State want;

    save(&saved, YMM);
    check(field(HEADER + 8) == (COMPACTED | YMM) && field(HEADER) == YMM,
          "only YMM: header");
    check(filled(0, HEADER), "legacy region is left as it is");
    check(filled(EXTENDED + 256, sizeof(area)), "what follows, too");
    want = other;
    memcpy(want.ymm1 + 2, saved.ymm1 + 2, 16);
    memcpy(want.ymm15 + 2, saved.ymm15 + 2, 16);
    check(same(restore(area, YMM), want), "high halves come back alone");

    save(&saved, 0);
    check(field(HEADER + 8) == COMPACTED && field(HEADER) == 0 &&
          filled(0, HEADER) && filled(EXTENDED, sizeof(area)),
          "nothing but the header");

    save(&saved, -1ULL);
    want = saved;
    memcpy(want.ymm1 + 2, other.ymm1 + 2, 16);
    memcpy(want.ymm15 + 2, other.ymm15 + 2, 16);
    check(same(restore(area, FP | SSE), want), "XRSTOR of some components");

    if (xcr0 & PKRU) {
        save(&saved, SSE | PKRU);
        check(field(HEADER + 8) == (COMPACTED | SSE | PKRU) &&
              !filled(EXTENDED, EXTENDED + 8) &&
              filled(EXTENDED + 8, sizeof(area)), "PKRU has the place of YMM");
    } else {
        printf("ok %d - PKRU has the place of YMM # SKIP no PKRU\n", ++number);
    }
}

/* What is not in XSTATE_BV, or not in XCOMP_BV, gets its initial value. */
static void test_init(void)
{
    State want = { .mxcsr = MXCSR_INIT };

    save(&saved, -1ULL);
    set_field(HEADER, 0);
    check(same(restore(area, -1ULL & ~PKRU), want), "nothing in XSTATE_BV");

    save(&saved, FP | SSE);
    want = saved;
    memset(want.ymm1 + 2, 0, 16);
    memset(want.ymm15 + 2, 0, 16);
    check(same(restore(area, FP | SSE | YMM), want), "YMM not in XCOMP_BV");
}

static void test_faults(void)
{
    save(&saved, FP | SSE);
    check_fault(area + 16, "XRSTOR wants alignment");
    set_field(HEADER + 16, 1);
    check_fault(area, "bytes after XCOMP_BV must be zero");
    set_field(HEADER + 16, 0);
    area[EXTENDED - 1] = 1;
    check_fault(area, "to the end of the header");
    area[EXTENDED - 1] = 0;
    set_field(HEADER, FP | SSE | YMM);
    check_fault(area, "XSTATE_BV must be in XCOMP_BV");
    set_field(HEADER, FP | SSE);
    set_field(HEADER + 8, COMPACTED | FP | SSE | 1ULL << 62);
    check_fault(area, "XCOMP_BV must be in XCR0");
    set_field(HEADER + 8, FP | SSE);
    check_fault(area, "XCOMP_BV without bit 63 must be zero");
}

int main(void)
{
    uint32_t eax = 0, ebx, ecx = 0, edx;

    __cpuid(1, eax, ebx, ecx, edx);
    if (ecx & bit_OSXSAVE) {
        asm("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
        xcr0 = (uint64_t)edx << 32 | eax;
        __cpuid_count(0xd, 1, eax, ebx, ecx, edx);
    }
    if ((xcr0 & (FP | SSE | YMM)) != (FP | SSE | YMM) || !(eax & 2)) {
        printf("1..0 # SKIP no XSAVEC, or no AVX\n");
        return 0;
    }
    signal(SIGSEGV, on_signal);
    printf("1..22\n");
    test_size();
    test_save();
    test_partial();
    test_init();
    test_faults();
    return failed || number != 22;
}
