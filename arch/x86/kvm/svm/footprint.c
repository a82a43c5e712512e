// SPDX-License-Identifier: GPL-2.0-only
/*
 * The footprint of an SNP VM: the regions in which it ever had private pages,
 * which is where the last one of it to become shared may allow RMPOPT again.
 *
 * The VM holds a reference to its footprint, and so does every guest_memfd
 * inode that was created for it, because the pages live as long as the inode,
 * which may outlive the VM.  A page is added to the footprint by the VM, on
 * behalf of a caller that keeps the VM alive.  The VM puts its reference after
 * the pages that KVM allocated for it, e.g. VMSAs and the guest context, were
 * made shared; an inode puts its own after the last of its pages was.  So no
 * page of the VM is private when the last reference goes, and only then the
 * regions are verified.  Whether somebody else has private pages in there is
 * for RMPOPT to find out.
 */
#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <asm/rmpopt.h>

#include "svm.h"

struct snp_footprint {
	/* The first member: freeing it frees the footprint. */
	struct rmpopt_rescan rescan;
	refcount_t references;
	int cpu;
};

/* Stands for the footprint of a VM for which there was no memory */
#define SNP_FOOTPRINT_UNKNOWN	((struct snp_footprint *)ERR_PTR(-ENOMEM))

static struct snp_footprint *snp_footprint_alloc(pid_t vm)
{
	struct snp_footprint *footprint = kzalloc_obj(*footprint, GFP_KERNEL_ACCOUNT);

	static_assert(!offsetof(struct snp_footprint, rescan));

	if (!footprint)
		return SNP_FOOTPRINT_UNKNOWN;

	refcount_set(&footprint->references, 1);
	footprint->rescan.vm = vm;
	footprint->cpu = WORK_CPU_UNBOUND;

	return footprint;
}

static void __snp_footprint_add(struct snp_footprint *footprint, kvm_pfn_t pfn)
{
	u64 region = rmpopt_region(pfn);

	if (IS_ERR_OR_NULL(footprint) || region >= RMPOPT_REGIONS)
		return;

	/* Test first: vCPUs that fault in pages share the cache line. */
	if (!test_bit(region, footprint->rescan.regions))
		set_bit(region, footprint->rescan.regions);
}

/* Put a reference.  Return what to verify, and to free, if it was the last. */
static struct snp_footprint *__snp_footprint_put(struct snp_footprint *footprint)
{
	if (!refcount_dec_and_test(&footprint->references))
		return NULL;

	if (!bitmap_empty(footprint->rescan.regions, RMPOPT_REGIONS))
		return footprint;

	kfree(footprint);
	return NULL;
}

static void snp_footprint_put(struct snp_footprint *footprint)
{
	if (!footprint)
		return;

	/* Each inode and the VM come by here, so the last of them does. */
	if (IS_ERR(footprint)) {
		rmpopt_queue_full_rescan();
		return;
	}

	footprint = __snp_footprint_put(footprint);
	if (footprint)
		rmpopt_queue_rescan(&footprint->rescan, footprint->cpu);
}

void snp_footprint_create(struct kvm *kvm)
{
	if (!cpu_feature_enabled(X86_FEATURE_RMPOPT))
		return;

	to_kvm_sev_info(kvm)->footprint = snp_footprint_alloc(task_tgid_nr(current));
	rmpopt_place_begin();
}

/* A page at @pfn is made private, or shared, on behalf of @kvm. */
void snp_footprint_add(struct kvm *kvm, kvm_pfn_t pfn)
{
	__snp_footprint_add(to_kvm_sev_info(kvm)->footprint, pfn);
}

/* Remember a CPU that the VM ran on: it is the one to do the VM's work. */
void snp_footprint_set_cpu(struct kvm *kvm)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(kvm);
	unsigned int cpu;

	if (IS_ERR_OR_NULL(sev->footprint) || !cpumask_available(sev->have_run_cpus))
		return;

	cpu = cpumask_any_and(sev->have_run_cpus, cpu_online_mask);
	if (cpu < nr_cpu_ids)
		sev->footprint->cpu = cpu;
}

void snp_footprint_destroy(struct kvm *kvm)
{
	struct snp_footprint *footprint = to_kvm_sev_info(kvm)->footprint;

	if (footprint)
		rmpopt_place_end();
	snp_footprint_put(footprint);
}

void *snp_gmem_create(struct kvm *kvm)
{
	struct snp_footprint *footprint = to_kvm_sev_info(kvm)->footprint;

	/* The caller holds a reference to the VM, and thereby to this. */
	if (!IS_ERR_OR_NULL(footprint))
		refcount_inc(&footprint->references);

	return footprint;
}

void snp_gmem_destroy(void *footprint)
{
	snp_footprint_put(footprint);
}

struct folio *snp_gmem_place(struct folio *folio, gfp_t gfp)
{
	return page_folio(rmpopt_place(folio_page(folio, 0), gfp, true));
}

#include "footprint_kunit.c"
