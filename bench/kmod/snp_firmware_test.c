// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit test of the SEV-SNP firmware's commands: what it refuses, and one life
 * of a guest.
 *
 * Talks to the firmware through the ccp driver on a host where SNP is
 * initialized (kvm_amd does that), and leaves the host as it was.  Takes the
 * highest ASIDs, which KVM hands out last.
 */
#include <asm/cpufeature.h>
#include <asm/cpuid/api.h>
#include <asm/sev.h>
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/psp.h>
#include <linux/psp-sev.h>
#include <linux/sizes.h>

/* Physical memory ends far below. */
#define NO_RAM		BIT_ULL(39)

#define POLICY		(SNP_POLICY_MASK_RSVD_MBO | SNP_POLICY_MASK_SMT)

struct fw_test {
	void *gctx;		/* context page of the guest under test */
	void *page;		/* 2MB of ordinary memory */
	u32 asid;		/* highest one for SNP */
};

/* The firmware's answer; the driver itself must not fail */
static int fw(struct kunit *test, int cmd, void *data)
{
	int status = SEV_RET_NO_FW_CALL;
	int ret = sev_do_cmd(cmd, data, &status);

	KUNIT_EXPECT_EQ_MSG(test, ret, status ? -EIO : 0, "command %#x", cmd);
	return status;
}

#define EXPECT_FW(test, cmd, data, status) \
	KUNIT_EXPECT_EQ_MSG(test, fw(test, cmd, data), status, \
			    "command %#x", cmd)
#define ASSERT_FW(test, cmd, data) \
	KUNIT_ASSERT_EQ_MSG(test, fw(test, cmd, data), 0, "command %#x", cmd)

static void expect_assigned(struct kunit *test, void *page, bool want)
{
	bool assigned = !want;
	int level;

	KUNIT_EXPECT_EQ(test, 0, snp_lookup_rmpentry(__pa(page) >> PAGE_SHIFT,
						     &assigned, &level));
	KUNIT_EXPECT_EQ(test, assigned, want);
}

static int reclaim(struct kunit *test, u64 addr)
{
	struct sev_data_snp_page_reclaim data = { .paddr = addr };

	return fw(test, SEV_CMD_SNP_PAGE_RECLAIM, &data);
}

static void make_private(struct kunit *test, void *page, int level, u32 asid)
{
	KUNIT_ASSERT_EQ(test, 0, rmp_make_private(__pa(page) >> PAGE_SHIFT, 0,
						  level, asid, true));
}

static void make_shared(struct kunit *test, void *page, int level)
{
	KUNIT_EXPECT_EQ(test, 0, rmp_make_shared(__pa(page) >> PAGE_SHIFT,
						 level));
}

static void *create(struct kunit *test)
{
	struct sev_data_snp_addr data;
	void *gctx = snp_alloc_firmware_page(GFP_KERNEL | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, gctx);
	data.address = __psp_pa(gctx);
	ASSERT_FW(test, SEV_CMD_SNP_GCTX_CREATE, &data);
	return gctx;
}

static void decommission(struct kunit *test, void *gctx)
{
	struct sev_data_snp_addr data = { .address = __psp_pa(gctx) };

	EXPECT_FW(test, SEV_CMD_SNP_DECOMMISSION, &data, 0);
	snp_free_firmware_page(gctx);
	EXPECT_FW(test, SEV_CMD_SNP_DF_FLUSH, NULL, 0);
}

static int start(struct kunit *test, void *gctx, u64 policy)
{
	struct sev_data_snp_launch_start data = {
		.gctx_paddr = __psp_pa(gctx), .policy = policy,
	};

	return fw(test, SEV_CMD_SNP_LAUNCH_START, &data);
}

static int activate(struct kunit *test, void *gctx, u32 asid)
{
	struct sev_data_snp_activate data = {
		.gctx_paddr = __psp_pa(gctx), .asid = asid,
	};

	return fw(test, SEV_CMD_SNP_ACTIVATE, &data);
}

static int update(struct kunit *test, void *gctx, u64 addr, int type,
		  bool large)
{
	struct sev_data_snp_launch_update data = {
		.gctx_paddr = __psp_pa(gctx), .address = addr,
		.page_type = type, .page_size = large,
	};

	return fw(test, SEV_CMD_SNP_LAUNCH_UPDATE, &data);
}

static int finish(struct kunit *test, void *gctx)
{
	struct sev_data_snp_launch_finish data = {
		.gctx_paddr = __psp_pa(gctx),
	};

	return fw(test, SEV_CMD_SNP_LAUNCH_FINISH, &data);
}

static int fw_test_init(struct kunit *test)
{
	struct sev_data_snp_addr status = { .address = NO_RAM };
	struct fw_test *t;
	int psp;

	if (!cpu_feature_enabled(X86_FEATURE_SEV_SNP) ||
	    sev_do_cmd(SEV_CMD_SNP_PLATFORM_STATUS, &status, &psp) == -ENODEV)
		kunit_skip(test, "no SNP host");

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->asid = cpuid_edx(0x8000001f) - 1;
	t->page = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO,
					   get_order(SZ_2M));
	if (!t->page)
		return -ENOMEM;
	test->priv = t;
	t->gctx = create(test);
	return 0;
}

static void fw_test_exit(struct kunit *test)
{
	struct fw_test *t = test->priv;

	if (!t)
		return;
	if (t->gctx)
		decommission(test, t->gctx);
	expect_assigned(test, t->page, false);
	free_pages((unsigned long)t->page, get_order(SZ_2M));
}

static void platform_refusals(struct kunit *test)
{
	struct sev_user_data_snp_config config = { .rsvd = 1 };
	struct sev_data_snp_feature_info info = { .length = sizeof(info) };
	/* Refused twice over, lest a firmware that errs shuts the host down */
	struct sev_data_snp_shutdown_ex shutdown = { .rsvd1 = 1 };
	struct sev_data_snp_init_ex init = { .init_rmp = 1 };
	struct sev_data_snp_commit commit = {};
	struct fw_test *t = test->priv;
	struct sev_data_snp_addr addr;

	EXPECT_FW(test, 0x7f, NULL, SEV_RET_INVALID_COMMAND);
	EXPECT_FW(test, SEV_CMD_SNP_INIT_EX, &init,
		  SEV_RET_INVALID_PLATFORM_STATE);
	EXPECT_FW(test, SEV_CMD_SNP_SHUTDOWN_EX, &shutdown,
		  SEV_RET_INVALID_LEN);
	EXPECT_FW(test, SEV_CMD_SNP_COMMIT, &commit, SEV_RET_INVALID_LEN);
	EXPECT_FW(test, SEV_CMD_SNP_CONFIG, &config, SEV_RET_INVALID_PARAM);
	config.rsvd = 0;
	config.reported_tcb = ~0ULL;
	EXPECT_FW(test, SEV_CMD_SNP_CONFIG, &config, SEV_RET_INVALID_PARAM);

	addr.address = __psp_pa(t->page);
	EXPECT_FW(test, SEV_CMD_SNP_PLATFORM_STATUS, &addr,
		  SEV_RET_INVALID_PAGE_STATE);
	addr.address = NO_RAM;
	EXPECT_FW(test, SEV_CMD_SNP_PLATFORM_STATUS, &addr,
		  SEV_RET_INVALID_ADDRESS);
	info.feature_info_paddr = __psp_pa(t->page);
	EXPECT_FW(test, SEV_CMD_SNP_FEATURE_INFO, &info,
		  SEV_RET_INVALID_PAGE_STATE);
	info.feature_info_paddr += 4;
	EXPECT_FW(test, SEV_CMD_SNP_FEATURE_INFO, &info,
		  SEV_RET_INVALID_ADDRESS);
}

static void reclaim_refusals(struct kunit *test)
{
	struct fw_test *t = test->priv;
	u64 pa = __psp_pa(t->page);

	KUNIT_EXPECT_EQ(test, reclaim(test, pa), SEV_RET_INVALID_PAGE_STATE);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa + 0x800),
			SEV_RET_INVALID_ADDRESS);
	KUNIT_EXPECT_EQ(test, reclaim(test, (pa + PAGE_SIZE) | 1),
			SEV_RET_INVALID_ADDRESS);
	KUNIT_EXPECT_EQ(test, reclaim(test, NO_RAM), SEV_RET_INVALID_ADDRESS);
	KUNIT_EXPECT_EQ(test, reclaim(test, __psp_pa(t->gctx)),
			SEV_RET_INVALID_PAGE_STATE);

	make_private(test, t->page, PG_LEVEL_4K, 0);
	expect_assigned(test, t->page, true);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa | 1),
			SEV_RET_INVALID_PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa), 0);
	/* Still assigned, and again is no error */
	expect_assigned(test, t->page, true);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa), 0);
	make_shared(test, t->page, PG_LEVEL_4K);
}

static void context_refusals(struct kunit *test)
{
	static const int cmds[] = {
		SEV_CMD_SNP_DECOMMISSION, SEV_CMD_SNP_ACTIVATE,
		SEV_CMD_SNP_LAUNCH_START, SEV_CMD_SNP_LAUNCH_UPDATE,
		SEV_CMD_SNP_LAUNCH_FINISH, SEV_CMD_SNP_GUEST_REQUEST,
		SEV_CMD_SNP_DBG_DECRYPT,
	};
	struct fw_test *t = test->priv;
	u64 data[8] = {};
	int i;

	data[0] = __psp_pa(t->page);
	EXPECT_FW(test, SEV_CMD_SNP_GCTX_CREATE, data,
		  SEV_RET_INVALID_PAGE_STATE);
	data[0] = __psp_pa(t->gctx);
	EXPECT_FW(test, SEV_CMD_SNP_GCTX_CREATE, data,
		  SEV_RET_INVALID_PAGE_STATE);
	data[0] = __psp_pa(t->gctx) + 8;
	EXPECT_FW(test, SEV_CMD_SNP_GCTX_CREATE, data,
		  SEV_RET_INVALID_ADDRESS);
	data[0] = NO_RAM;
	EXPECT_FW(test, SEV_CMD_SNP_GCTX_CREATE, data,
		  SEV_RET_INVALID_ADDRESS);

	/* Every command that names a guest: no context, no page, no memory */
	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		data[0] = __psp_pa(t->page);
		EXPECT_FW(test, cmds[i], data, SEV_RET_INVALID_GUEST);
		data[0] = __psp_pa(t->gctx) + 8;
		EXPECT_FW(test, cmds[i], data, SEV_RET_INVALID_ADDRESS);
		data[0] = NO_RAM;
		EXPECT_FW(test, cmds[i], data, SEV_RET_INVALID_ADDRESS);
	}

	/* Only LAUNCH_START and DECOMMISSION take a guest just created. */
	data[0] = __psp_pa(t->gctx);
	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		if (cmds[i] != SEV_CMD_SNP_DECOMMISSION &&
		    cmds[i] != SEV_CMD_SNP_LAUNCH_START)
			EXPECT_FW(test, cmds[i], data,
				  SEV_RET_INVALID_GUEST_STATE);
	}
}

static void start_refusals(struct kunit *test)
{
	struct fw_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, start(test, t->gctx, SNP_POLICY_MASK_SMT),
			SEV_RET_POLICY_FAILURE);
	KUNIT_EXPECT_EQ(test, start(test, t->gctx, POLICY | BIT_ULL(63)),
			SEV_RET_POLICY_FAILURE);
	KUNIT_EXPECT_EQ(test, start(test, t->gctx, POLICY | 0xffff),
			SEV_RET_POLICY_FAILURE);
	KUNIT_EXPECT_EQ(test, start(test, t->gctx, POLICY), 0);
	KUNIT_EXPECT_EQ(test, start(test, t->gctx, POLICY),
			SEV_RET_INVALID_GUEST_STATE);
}

static void activate_refusals(struct kunit *test)
{
	struct fw_test *t = test->priv;
	struct sev_data_snp_addr addr;
	void *other = create(test);

	KUNIT_EXPECT_EQ(test, start(test, t->gctx, POLICY), 0);
	KUNIT_EXPECT_EQ(test, start(test, other, POLICY), 0);
	KUNIT_EXPECT_EQ(test, activate(test, t->gctx, 0),
			SEV_RET_INVALID_ASID);
	KUNIT_EXPECT_EQ(test, activate(test, t->gctx, t->asid + 1),
			SEV_RET_INVALID_ASID);
	KUNIT_EXPECT_EQ(test, activate(test, t->gctx, U32_MAX),
			SEV_RET_INVALID_ASID);
	KUNIT_EXPECT_EQ(test, activate(test, t->gctx, t->asid), 0);
	KUNIT_EXPECT_EQ(test, activate(test, t->gctx, t->asid),
			SEV_RET_ACTIVE);
	KUNIT_EXPECT_EQ(test, activate(test, other, t->asid),
			SEV_RET_ASID_OWNED);

	/* An ASID that was in use needs a flush before the next use. */
	addr.address = __psp_pa(t->gctx);
	EXPECT_FW(test, SEV_CMD_SNP_DECOMMISSION, &addr, 0);
	KUNIT_EXPECT_EQ(test, activate(test, other, t->asid),
			SEV_RET_DFFLUSH_REQUIRED);
	EXPECT_FW(test, SEV_CMD_SNP_DF_FLUSH, NULL, 0);
	KUNIT_EXPECT_EQ(test, activate(test, other, t->asid), 0);
	EXPECT_FW(test, SEV_CMD_SNP_DECOMMISSION, &addr,
		  SEV_RET_INVALID_GUEST);
	snp_free_firmware_page(t->gctx);
	t->gctx = other;
}

static void update_refusals(struct kunit *test)
{
	struct fw_test *t = test->priv;
	u64 pa = __psp_pa(t->page);
	int type;

	KUNIT_EXPECT_EQ(test, start(test, t->gctx, POLICY), 0);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, 1, false),
			SEV_RET_INACTIVE);
	KUNIT_EXPECT_EQ(test, finish(test, t->gctx), SEV_RET_INACTIVE);
	KUNIT_EXPECT_EQ(test, activate(test, t->gctx, t->asid), 0);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, 1, false),
			SEV_RET_INVALID_PAGE_STATE);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa + 8, 1, false),
			SEV_RET_INVALID_ADDRESS);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa + PAGE_SIZE, 1, true),
			SEV_RET_INVALID_ADDRESS);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, NO_RAM, 1, false),
			SEV_RET_INVALID_ADDRESS);

	make_private(test, t->page, PG_LEVEL_4K, t->asid - 1);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, 1, false),
			SEV_RET_INVALID_PAGE_OWNER);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa), 0);
	make_shared(test, t->page, PG_LEVEL_4K);

	make_private(test, t->page, PG_LEVEL_4K, t->asid);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, 1, true),
			SEV_RET_INVALID_PAGE_SIZE);
	for (type = 0; type <= 7; type += 7)
		KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, type, false),
				SEV_RET_INVALID_PARAM);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa), 0);
	make_shared(test, t->page, PG_LEVEL_4K);

	/* A CPUID page with more functions than a page has room for */
	*(u32 *)t->page = 65;
	make_private(test, t->page, PG_LEVEL_4K, t->asid);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, SNP_PAGE_TYPE_CPUID,
				     false), SEV_RET_INVALID_PARAM);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa), 0);
	make_shared(test, t->page, PG_LEVEL_4K);
}

static void guest_life(struct kunit *test)
{
	struct fw_test *t = test->priv;
	struct sev_data_snp_dbg dbg = {};
	u64 pa = __psp_pa(t->page);

	expect_assigned(test, t->gctx, true);
	KUNIT_ASSERT_EQ(test, start(test, t->gctx,
				    POLICY | SNP_POLICY_MASK_DEBUG), 0);
	KUNIT_ASSERT_EQ(test, activate(test, t->gctx, t->asid), 0);

	strscpy(t->page, "in the guest", PAGE_SIZE);
	make_private(test, t->page, PG_LEVEL_4K, t->asid);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, SNP_PAGE_TYPE_NORMAL,
				     false), 0);
	expect_assigned(test, t->page, true);
	KUNIT_EXPECT_STRNEQ(test, t->page, "in the guest");
	/* The guest's now: not to be measured twice, nor the firmware's */
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, SNP_PAGE_TYPE_NORMAL,
				     false), SEV_RET_INVALID_PAGE_STATE);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa), SEV_RET_INVALID_PAGE_STATE);

	KUNIT_EXPECT_EQ(test, finish(test, t->gctx), 0);
	KUNIT_EXPECT_EQ(test, finish(test, t->gctx),
			SEV_RET_INVALID_GUEST_STATE);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, SNP_PAGE_TYPE_NORMAL,
				     false), SEV_RET_INVALID_GUEST_STATE);

	/* Debugging needs a page that the firmware may write. */
	dbg.gctx_paddr = __psp_pa(t->gctx);
	dbg.src_addr = pa;
	dbg.dst_addr = pa + PAGE_SIZE;
	EXPECT_FW(test, SEV_CMD_SNP_DBG_DECRYPT, &dbg,
		  SEV_RET_INVALID_PAGE_STATE);
	make_private(test, t->page + PAGE_SIZE, PG_LEVEL_4K, 0);
	EXPECT_FW(test, SEV_CMD_SNP_DBG_DECRYPT, &dbg, 0);
	KUNIT_EXPECT_EQ(test, reclaim(test, pa + PAGE_SIZE), 0);
	make_shared(test, t->page + PAGE_SIZE, PG_LEVEL_4K);
	KUNIT_EXPECT_STREQ(test, t->page + PAGE_SIZE, "in the guest");

	make_shared(test, t->page, PG_LEVEL_4K);
	expect_assigned(test, t->page, false);
}

static void large_page(struct kunit *test)
{
	struct fw_test *t = test->priv;
	u64 pa = __psp_pa(t->page);

	KUNIT_ASSERT_EQ(test, start(test, t->gctx, POLICY), 0);
	KUNIT_ASSERT_EQ(test, activate(test, t->gctx, t->asid), 0);
	make_private(test, t->page, PG_LEVEL_2M, t->asid);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, 1, false),
			SEV_RET_INVALID_PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, update(test, t->gctx, pa, SNP_PAGE_TYPE_ZERO,
				     true), 0);
	expect_assigned(test, t->page + SZ_1M, true);
	make_shared(test, t->page, PG_LEVEL_2M);
	expect_assigned(test, t->page + SZ_1M, false);
}

static int sev_update(struct kunit *test, u32 handle, u64 addr, u32 len)
{
	struct sev_data_launch_update_data data = {
		.handle = handle, .address = addr, .len = len,
	};

	return fw(test, SEV_CMD_LAUNCH_UPDATE_DATA, &data);
}

static int sev_measure(struct kunit *test, u32 handle, void *blob, u32 *len)
{
	struct sev_data_launch_measure data = {
		.handle = handle, .len = *len,
		.address = blob ? __psp_pa(blob) : 0,
	};
	int status = fw(test, SEV_CMD_LAUNCH_MEASURE, &data);

	*len = data.len;
	return status;
}

/* A SEV guest, whose pages are nobody's in the RMP and hidden all the same */
static void sev_guest_life(struct kunit *test)
{
	u32 asid = cpuid_ecx(0x8000001f), handle, len = 0;
	struct sev_data_guest_status status = {};
	struct sev_data_launch_start start = {};
	struct sev_data_deactivate handle_only;
	struct sev_data_activate activate = {};
	struct fw_test *t = test->priv;
	void *copy = t->page + PAGE_SIZE;
	struct sev_data_dbg dbg = {};
	u64 pa = __psp_pa(t->page);

	start.policy = 0xffff;
	EXPECT_FW(test, SEV_CMD_LAUNCH_START, &start, SEV_RET_POLICY_FAILURE);
	start.policy = 0;
	ASSERT_FW(test, SEV_CMD_LAUNCH_START, &start);
	handle = start.handle;
	handle_only.handle = handle;

	KUNIT_EXPECT_EQ(test, sev_update(test, handle, pa, 16),
			SEV_RET_INACTIVE);
	activate.handle = handle;
	activate.asid = t->asid;	/* one for SEV-ES */
	EXPECT_FW(test, SEV_CMD_ACTIVATE, &activate, SEV_RET_INVALID_ASID);
	activate.asid = asid + 1;
	EXPECT_FW(test, SEV_CMD_ACTIVATE, &activate, SEV_RET_INVALID_ASID);
	activate.asid = asid;
	ASSERT_FW(test, SEV_CMD_ACTIVATE, &activate);
	EXPECT_FW(test, SEV_CMD_ACTIVATE, &activate, SEV_RET_ACTIVE);
	EXPECT_FW(test, SEV_CMD_DECOMMISSION, &handle_only, SEV_RET_ACTIVE);

	strscpy(t->page, "in the guest", PAGE_SIZE);
	strscpy(t->page + 16, "not in the guest", PAGE_SIZE - 16);
	KUNIT_EXPECT_EQ(test, sev_update(test, handle + 1, pa, 16),
			SEV_RET_INVALID_GUEST);
	KUNIT_EXPECT_EQ(test, sev_update(test, handle, pa + 8, 16),
			SEV_RET_INVALID_ADDRESS);
	KUNIT_EXPECT_EQ(test, sev_update(test, handle, pa, 8),
			SEV_RET_INVALID_LEN);
	KUNIT_EXPECT_EQ(test, sev_update(test, handle, pa, 16), 0);
	KUNIT_EXPECT_STRNEQ(test, t->page, "in the guest");
	KUNIT_EXPECT_STREQ(test, t->page + 16, "not in the guest");

	KUNIT_EXPECT_EQ(test, sev_measure(test, handle, NULL, &len),
			SEV_RET_INVALID_LEN);
	KUNIT_EXPECT_EQ(test, len, 48);
	KUNIT_EXPECT_EQ(test, sev_measure(test, handle, copy, &len), 0);
	KUNIT_EXPECT_EQ(test, sev_update(test, handle, pa, 16),
			SEV_RET_INVALID_GUEST_STATE);
	EXPECT_FW(test, SEV_CMD_LAUNCH_FINISH, &handle_only, 0);
	status.handle = handle;
	ASSERT_FW(test, SEV_CMD_GUEST_STATUS, &status);
	KUNIT_EXPECT_EQ(test, status.asid, asid);
	KUNIT_EXPECT_EQ(test, status.state, 3);

	dbg.handle = handle;
	dbg.src_addr = pa;
	dbg.dst_addr = pa + PAGE_SIZE;
	dbg.len = 16;
	EXPECT_FW(test, SEV_CMD_DBG_DECRYPT, &dbg, 0);
	KUNIT_EXPECT_STREQ(test, copy, "in the guest");
	/* Back again, it is the same ciphertext. */
	memcpy(copy + 32, t->page, 16);
	memset(t->page, 0, 16);
	swap(dbg.src_addr, dbg.dst_addr);
	EXPECT_FW(test, SEV_CMD_DBG_ENCRYPT, &dbg, 0);
	KUNIT_EXPECT_MEMEQ(test, t->page, copy + 32, 16);

	EXPECT_FW(test, SEV_CMD_DEACTIVATE, &handle_only, 0);
	EXPECT_FW(test, SEV_CMD_DBG_DECRYPT, &dbg, SEV_RET_INACTIVE);
	EXPECT_FW(test, SEV_CMD_ACTIVATE, &activate,
		  SEV_RET_DFFLUSH_REQUIRED);
	EXPECT_FW(test, SEV_CMD_DECOMMISSION, &handle_only, 0);
	EXPECT_FW(test, SEV_CMD_DECOMMISSION, &handle_only,
		  SEV_RET_INVALID_GUEST);
}

static struct kunit_case fw_test_cases[] = {
	KUNIT_CASE(platform_refusals),
	KUNIT_CASE(reclaim_refusals),
	KUNIT_CASE(context_refusals),
	KUNIT_CASE(start_refusals),
	KUNIT_CASE(activate_refusals),
	KUNIT_CASE(update_refusals),
	KUNIT_CASE(guest_life),
	KUNIT_CASE(large_page),
	KUNIT_CASE(sev_guest_life),
	{}
};

static struct kunit_suite fw_test_suite = {
	.name = "snp_firmware",
	.init = fw_test_init,
	.exit = fw_test_exit,
	.test_cases = fw_test_cases,
};

kunit_test_suite(fw_test_suite);

MODULE_DESCRIPTION("KUnit test of the SEV-SNP firmware's commands");
MODULE_LICENSE("GPL");
