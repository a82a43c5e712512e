// SPDX-License-Identifier: GPL-2.0-only
/*
 * kexec - start another kernel, without the firmware in between.
 *
 *   kexec KERNEL INITRD COMMAND-LINE
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int kernel, initrd;

	if (argc != 4)
		errx(2, "usage: kexec KERNEL INITRD COMMAND-LINE");

	kernel = open(argv[1], O_RDONLY);
	if (kernel < 0)
		err(2, "%s", argv[1]);
	initrd = open(argv[2], O_RDONLY);
	if (initrd < 0)
		err(2, "%s", argv[2]);

	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], 0UL))
		err(1, "kexec_file_load");
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_KEXEC, NULL);
	err(1, "reboot");
}
