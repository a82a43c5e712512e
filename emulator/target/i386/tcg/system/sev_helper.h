/*
 * SEV, SEV-ES and SEV-SNP guests: what differs for VMRUN and #VMEXIT
 *
 * All of it does nothing for other guests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SEV_HELPER_H
#define SEV_HELPER_H

#include "cpu.h"
#include "hw/i386/snp.h"

/* SEV_STATUS of the guest that runs, 0 if there is none or it is not encrypted */
static inline uint64_t sev_status(CPUX86State *env)
{
    return env->snp && env->hflags & HF_GUEST_MASK ? env->snp->status : 0;
}

/* The C-bit, if the CPU is in a guest that has one */
static inline uint64_t sev_c_bit(CPUX86State *env)
{
    return sev_status(env) ? SNP_C_BIT : 0;
}

/* Where the state of the guest is: its "struct vmcb", save.* of which may be used */
static inline hwaddr sev_save_area(CPUX86State *env)
{
    return sev_status(env) & SNP_STATUS_ES ?
           env->snp->vmsa - offsetof(struct vmcb, save) : env->vm_vmcb;
}

/*
 * VMRUN, VMSAVE and VMLOAD: the page at @spa is the hypervisor's.  Does not
 * return, but raises #GP, if it is to be written and the RMP denies that.
 */
void sev_check_host_page(CPUX86State *env, hwaddr spa, bool write,
                         uintptr_t ra);

/* VMRUN: read what kind of guest it is.  False if that cannot be. */
bool sev_vmrun(CPUX86State *env);

/* VMRUN and #VMEXIT: what is swapped for SEV-ES guests only */
bool sev_load_guest(CPUX86State *env);
void sev_save_guest(CPUX86State *env);
void sev_load_host(CPUX86State *env);

/* Cannot be intercepted in this guest */
bool sev_never_exits(CPUX86State *env, uint32_t type);

/* The guest gets #VC instead of this exit, of which the host learns nothing */
bool sev_exit_is_vc(CPUX86State *env, uint64_t exit_code, uint64_t exit_info_1);

/*
 * Before an exit from a guest, with its state restored: SEV-ES guests get #VC
 * instead of most exits.  Does not return then.
 */
void sev_vmexit(CPUX86State *env, uint64_t exit_code, uint64_t exit_info_1);

/* Have memory hold the view of @spa that @asid has, or the host if 0 */
void sev_show(CPUX86State *env, hwaddr spa, uint32_t asid);

#endif
