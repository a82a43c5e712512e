/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of RMPOPT share among themselves: see asm/rmpopt.h first */
#ifndef _X86_VIRT_SVM_RMPOPT_H
#define _X86_VIRT_SVM_RMPOPT_H

#include <linux/cpumask.h>

#include <asm/rmpopt.h>

enum rmpopt_control {
	RMPOPT_ON,
	RMPOPT_OFF,
	RMPOPT_FORCE_OFF,
	RMPOPT_NOT_SUPPORTED,
};

/* rmpopt.c: life cycle */
extern enum rmpopt_control rmpopt_control;
extern bool rmpopt_running;
extern cpumask_var_t rmpopt_cpus;
int rmpopt_set_control(enum rmpopt_control control);
bool rmpopt_leads_core(unsigned int cpu);

/* rmpopt-window.c: which regions a core can have */
unsigned int rmpopt_window(unsigned int cpu);
bool rmpopt_covers(unsigned int cpu, unsigned int region);
void rmpopt_keep_covered(unsigned int cpu, unsigned long *regions);
bool rmpopt_shares_window(unsigned int cpu);
void rmpopt_find_windows(void);

/* rmpopt-scan.c: verifying regions */
extern unsigned long rmpopt_present[], rmpopt_optimized[], rmpopt_leading[];
extern atomic_long_t rmpopt_rescans, rmpopt_rescanned;
int rmpopt_execute(unsigned int region, enum rmpopt_function function);
bool rmpopt_scanned(void);
unsigned long rmpopt_executed(void);
void rmpopt_rescan_regions(unsigned long *regions, pid_t vm, ktime_t since);
void rmpopt_scan_start(void);
void rmpopt_scan_flush(void);
void rmpopt_scan_stop(void);
void rmpopt_scan_init(void);

/* rmpopt-spread.c: bringing the result to the other cores */
enum rmpopt_mode {
	RMPOPT_LAZY,
	RMPOPT_EAGER,
};

#define RMPOPT_NO_CORE	(-1)

extern enum rmpopt_mode rmpopt_mode;
extern u64 rmpopt_settle_us;
void rmpopt_fall_behind(void);
void rmpopt_caught_up(void);
void rmpopt_spread(const unsigned long *regions, int but, bool now, ktime_t since);
void rmpopt_spread_to(unsigned int cpu);
void rmpopt_spread_offline(unsigned int cpu);
void rmpopt_spread_flush(void);
void rmpopt_spread_stop(void);
unsigned long rmpopt_pending(void);
int rmpopt_spread_init(void);

/* rmpopt-firmware.c: pages that the firmware gives back */
void rmpopt_firmware_stop(void);

/* rmpopt-place.c: where private pages come from */
extern bool rmpopt_placement;
#ifdef CONFIG_CONTIG_ALLOC
struct page *rmpopt_block(unsigned long pfn, unsigned long nr_pages, int nid);
void rmpopt_set_placement(bool on);
void rmpopt_place_again(const unsigned long *regions);
void rmpopt_place_elsewhere(const unsigned long *regions);
void rmpopt_place_init(void);
#else
static inline void rmpopt_set_placement(bool on) { }
static inline void rmpopt_place_again(const unsigned long *regions) { }
static inline void rmpopt_place_elsewhere(const unsigned long *regions) { }
static inline void rmpopt_place_init(void) { }
#endif

/* rmpopt-sysfs.c: the knob and the figures */
void rmpopt_sysfs_settled(void);
int rmpopt_sysfs_online(unsigned int cpu);
void rmpopt_sysfs_offline(unsigned int cpu);
void rmpopt_sysfs_init(void);

#endif /* _X86_VIRT_SVM_RMPOPT_H */
