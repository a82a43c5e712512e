// SPDX-License-Identifier: GPL-2.0-only
/*
 * waitfor - wait for an event of sysfs: run a shell command whenever FILE is
 * notified, until the command succeeds.
 *
 *   waitfor FILE COMMAND [SECONDS]
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECONDS	30

int main(int argc, char **argv)
{
	struct pollfd file = { .events = POLLPRI | POLLERR };
	char value[4096];
	time_t end;

	if (argc < 3)
		errx(2, "usage: waitfor FILE COMMAND [SECONDS]");
	file.fd = open(argv[1], O_RDONLY);
	if (file.fd < 0)
		err(2, "%s", argv[1]);

	end = time(NULL) + (argc > 3 ? atoi(argv[3]) : SECONDS);
	for (;;) {
		/* Reading arms the notification, so what comes now is not missed. */
		if (pread(file.fd, value, sizeof(value), 0) < 0)
			err(2, "%s", argv[1]);
		if (!system(argv[2]))
			return 0;
		if (time(NULL) >= end)
			errx(1, "'%s' did not become true", argv[2]);
		poll(&file, 1, (end - time(NULL)) * 1000);
	}
}
