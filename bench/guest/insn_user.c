// SPDX-License-Identifier: GPL-2.0-only
/*
 * The instructions of an SNP host, executed by a user program (CPL 3)
 *
 * Usage: insn_user [off]
 *
 * On an SNP host the hypervisor's instructions exist but are privileged: #GP,
 * that is, SIGSEGV. Those of a guest do not exist there, in 32-bit mode none
 * does, and with "off" (a CPU that is no SNP host, or on which SNP has not been
 * enabled) none does in any mode: #UD, that is, SIGILL. RMPOPT exists as long as
 * it is enabled on the core. Prints TAP.
 *
 * Build: cc -static -O1 -o insn_user insn_user.c
 */

#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTROL "/sys/devices/system/cpu/rmpopt/control"
/* arch/x86/include/asm/segment.h, __USER32_CS */
#define USER32_CS 0x23

static sigjmp_buf back;
/* So that no operand faults: the privilege is to be checked first. */
static uint64_t operand[2];
static char handler_stack[64 * 1024];

static const struct insn {
	const char *name;
	uint8_t bytes[4];
	enum { HOST, GUEST, RMPOPT } kind;
} insns[] = {
	{ "RMPUPDATE", { 0xf2, 0x0f, 0x01, 0xfe }, HOST },
	{ "PSMASH", { 0xf3, 0x0f, 0x01, 0xff }, HOST },
	{ "RMPREAD", { 0xf2, 0x0f, 0x01, 0xfd }, HOST },
	{ "RMPADJUST", { 0xf3, 0x0f, 0x01, 0xfe }, GUEST },
	{ "PVALIDATE", { 0xf2, 0x0f, 0x01, 0xff }, GUEST },
	{ "RMPOPT", { 0xf2, 0x0f, 0x01, 0xfc }, RMPOPT },
};

static void on_signal(int sig)
{
	siglongjmp(back, sig);
}

/* Runs code of 64-bit mode (or 32-bit mode), returns the signal it raised. */
static int run(uint8_t *code, bool compat)
{
	int sig = sigsetjmp(back, 1);

	if (sig)
		return sig;
	if (compat) {
		/* A far return into a 32-bit code segment. */
		asm volatile("push %0\n\tpush %1\n\tlretq"
			     : : "r" ((uint64_t)USER32_CS), "r" (code) : "memory");
	} else {
		asm volatile("call *%0"
			     : : "r" (code), "a" (0), "c" (operand), "d" (0)
			     : "memory");
	}
	return 0;
}

static bool rmpopt_enabled(void)
{
	char line[16] = "";
	FILE *f = fopen(CONTROL, "r");

	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = '\0';
		fclose(f);
	}
	return !strcmp(line, "on\n");
}

static int expected(const struct insn *insn, bool off)
{
	if (off || insn->kind == GUEST)
		return SIGILL;
	if (insn->kind == RMPOPT && !rmpopt_enabled())
		return SIGILL;
	return SIGSEGV;
}

static int number, failed;

static void check(const struct insn *insn, const char *mode, int got, int want)
{
	bool ok = got == want;

	printf("%sok %d - %s at CPL 3 in %s mode: %s\n", ok ? "" : "not ",
	       ++number, insn->name, mode, strsignal(want));
	if (!ok)
		printf("# got %s\n", got ? strsignal(got) : "no signal");
	failed += !ok;
}

int main(int argc, char **argv)
{
	bool off = argc > 1 && !strcmp(argv[1], "off");
	stack_t stack = {
		.ss_sp = handler_stack,
		.ss_size = sizeof(handler_stack),
	};
	struct sigaction action = {
		.sa_handler = on_signal,
		.sa_flags = SA_ONSTACK,
	};
	uint8_t *code;
	size_t i;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (code == MAP_FAILED || sigaltstack(&stack, NULL) ||
	    sigaction(SIGILL, &action, NULL) || sigaction(SIGSEGV, &action, NULL)) {
		printf("1..0 # SKIP cannot prepare memory and signals\n");
		return 4;
	}
	printf("1..%zu\n", 2 * ARRAY_SIZE(insns));
	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		memcpy(code, insns[i].bytes, sizeof(insns[i].bytes));
		code[4] = 0xc3; /* ret */
		check(&insns[i], "64-bit", run(code, false),
		      expected(&insns[i], off));
		check(&insns[i], "32-bit", run(code, true), SIGILL);
	}
	return failed != 0;
}
