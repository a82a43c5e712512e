// SPDX-License-Identifier: GPL-2.0-only
/*
 * A host that reads the memory of an SEV guest while the guest uses it: it sees
 * something else than the guest, and the guest does not notice.
 *
 * For the emulated host, where whoever comes to a page has it turned into his
 * view of it; on hardware nothing happens.
 */
#include <pthread.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "test_util.h"

#include "kselftest_harness.h"

#define ROUNDS		20000
/* How often the host reads at least while the guest runs */
#define READS		1000
#define TIMEOUT_S	120

/* "mov $RESULT, %eax; ret", of which the first instruction is on two pages */
#define RESULT		0x1234
#define CODE_AT		(PAGE_SIZE - 2)
static const u8 code[] = { 0xb8, 0x34, 0x12, 0x00, 0x00, 0xc3 };

static volatile bool stop;
static u64 nr_plain, nr_read;

static void guest_use(u64 *p)
{
	u64 i;

	for (;;) {
		for (i = 1; i <= ROUNDS; i++) {
			WRITE_ONCE(*p, i);
			GUEST_ASSERT_EQ(READ_ONCE(*p), i);
		}
		GUEST_SYNC(ROUNDS);
	}
}

static void guest_execute(u32 (*f)(void))
{
	u64 i;

	for (;;) {
		for (i = 0; i < ROUNDS; i++)
			GUEST_ASSERT_EQ(f(), RESULT);
		GUEST_SYNC(ROUNDS);
	}
}

static void *read_page(void *hva)
{
	while (!stop) {
		u64 value = READ_ONCE(*(u64 *)hva);

		WRITE_ONCE(nr_read, nr_read + 1);
		nr_plain += value && value <= ROUNDS;
	}
	return NULL;
}

/* The reader may be slow to start, and to get a CPU. */
static void *run_vcpu(void *vcpu)
{
	u64 until = READ_ONCE(nr_read) + READS;
	struct ucall uc;

	do {
		vcpu_run(vcpu);
		switch (get_ucall(vcpu, &uc)) {
		case UCALL_SYNC:
			break;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		default:
			TEST_FAIL("Exit %s",
				  exit_reason_str(((struct kvm_vcpu *)vcpu)->run->exit_reason));
		}
	} while (READ_ONCE(nr_read) < until);
	return NULL;
}

static void run_beside_reader(struct kvm_vcpu *vcpu, struct kvm_vcpu *other, void *hva)
{
	pthread_t reader, thread;

	vm_sev_launch(vcpu->vm, 0, NULL);
	stop = false;
	pthread_create(&reader, NULL, read_page, hva);
	if (other)
		pthread_create(&thread, NULL, run_vcpu, other);
	run_vcpu(vcpu);
	if (other)
		pthread_join(thread, NULL);
	stop = true;
	pthread_join(reader, NULL);
}

FIXTURE(sev_view)
{
};

FIXTURE_SETUP(sev_view)
{
}

FIXTURE_TEARDOWN(sev_view)
{
}

TEST_F_TIMEOUT(sev_view, values, TIMEOUT_S)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_sev_create_with_one_vcpu(KVM_X86_SEV_VM, guest_use, &vcpu);
	gva_t page = vm_alloc(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR);

	vcpu_args_set(vcpu, 1, page);
	run_beside_reader(vcpu, NULL, addr_gva2hva(vm, page));
	EXPECT_EQ(nr_plain, 0);
	kvm_vm_free(vm);
}

/* The second page of an instruction is read, the first one written to. */
TEST_F_TIMEOUT(sev_view, instruction_on_two_pages, TIMEOUT_S)
{
	struct vm_shape shape = { .mode = VM_MODE_DEFAULT, .type = KVM_X86_SEV_VM };
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm = __vm_create_with_vcpus(shape, 2, 0, guest_execute, vcpus);
	gva_t pages = vm_alloc(vm, 2 * PAGE_SIZE, KVM_UTIL_MIN_VADDR);

	memcpy(addr_gva2hva(vm, pages) + CODE_AT, code, sizeof(code));
	vcpu_args_set(vcpus[0], 1, pages + CODE_AT);
	vcpu_arch_set_entry_point(vcpus[1], guest_use);
	vcpu_args_set(vcpus[1], 1, pages);
	run_beside_reader(vcpus[0], vcpus[1], addr_gva2hva(vm, pages + PAGE_SIZE));
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SEV_VM));

	return test_harness_run(argc, argv);
}
