// SPDX-License-Identifier: GPL-2.0-only
/*
 * soak - SNP VMs of random sizes that end in random ways, several at a time,
 * while RMPOPT is switched off and on and CPUs go and come.
 *
 *   soak [-n VMS | -m MINUTES] [-j AT_ONCE] [-s SEED] [-q]
 *
 * -n  how many VMs there are to be (default 40)
 * -m  or for how long there are to be new ones
 * -j  how many at a time (default 4)
 * -s  what all that is random comes from (default: the time); it is printed
 * -q  leave RMPOPT and the CPUs alone
 *
 * Each VM is a snpvm with two parts of memory from two random NUMA nodes. Ends
 * with what was done, how often; or with an error if a VM did not live as it
 * should. The knob is "on", the mode "lazy", placement "off" and each CPU online
 * in the end.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES		200	/* in a part, at most */
#define CONTROL		"/sys/devices/system/cpu/rmpopt/control"
#define MODE		"/sys/devices/system/cpu/rmpopt/mode"
#define PLACEMENT	"/sys/devices/system/cpu/rmpopt/placement"
#define LAUNCH_MS	600000	/* what takes longer hangs, under KASAN on two CPUs, too */
#define KILL_MS		1500	/* within the time that a launch takes */

enum ending { EXIT, KILLED, KILLED_IN_LAUNCH, UNFINISHED, VM_FIRST, MEMORY_FIRST, PASSED, ENDINGS };
static const char * const names[] = {
	[EXIT]			= "exit",
	[KILLED]		= "killed",
	[KILLED_IN_LAUNCH]	= "killed in the launch",
	[UNFINISHED]		= "unfinished",
	[VM_FIRST]		= "VM first",
	[MEMORY_FIRST]		= "memory first",
	[PASSED]		= "memory in another process",
};

enum act { OFF_ON, EAGER, PLACED, CPU_GOES, READ_TABLE, READ_FILES, ACTS };
static const char * const acts[] = {
	[OFF_ON]	= "off and on",
	[EAGER]		= "eager for a while",
	[PLACED]	= "placed for a while",
	[CPU_GOES]	= "a CPU goes and comes",
	[READ_TABLE]	= "a core is asked",
	[READ_FILES]	= "files read in a row",
};

/* How often what was done, by any process */
static struct {
	unsigned int endings[ENDINGS], acts[ACTS];
} *done;

static unsigned int random_below(unsigned int limit)
{
	return lrand48() % limit;
}

static void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

static unsigned int count(const char *pattern)
{
	unsigned int found = 0;
	glob_t paths;

	if (!glob(pattern, 0, NULL, &paths)) {
		found = paths.gl_pathc;
		globfree(&paths);
	}
	return found;
}

static void put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	/* It is the kernel's to say no, for example to the last CPU's end. */
	if (fd < 0 || (write(fd, value, strlen(value)) < 0 && errno != EBUSY))
		err(1, "%s to %s", value, path);
	close(fd);
}

/* ---- one VM ---- */

struct vm {
	pid_t pid;
	int in, out;
};

static void start(struct vm *vm, bool finish)
{
	unsigned int nodes = count("/sys/devices/system/node/node[0-9]*");
	char node[32], pages[16];
	int in[2], out[2];

	snprintf(node, sizeof(node), "%u,%u", random_below(nodes), random_below(nodes));
	snprintf(pages, sizeof(pages), "%u", 1 + random_below(PAGES));
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		err(1, "pipe");
	vm->pid = fork();
	if (vm->pid < 0)
		err(1, "fork");
	if (!vm->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execlp("snpvm", "snpvm", "-n", node, "-p", pages, finish ? NULL : "-u", NULL);
		err(1, "snpvm");
	}
	close(in[0]);
	close(out[1]);
	vm->in = in[1];
	vm->out = out[0];
}

/* Wait for a line that begins with @word. */
static void expect(struct vm *vm, const char *word)
{
	struct pollfd out = { .fd = vm->out, .events = POLLIN };
	char line[64] = "";

	if (poll(&out, 1, LAUNCH_MS) != 1)
		errx(1, "the VM of process %d hangs: no '%s'", vm->pid, word);
	if (read(vm->out, line, sizeof(line) - 1) <= 0 || strncmp(line, word, strlen(word)))
		errx(1, "the VM of process %d said '%s', not '%s'", vm->pid, line, word);
}

static void tell(struct vm *vm, const char *line)
{
	if (write(vm->in, line, strlen(line)) < 0)
		err(1, "the VM of process %d is gone", vm->pid);
}

/* Have it end its "vm" or its "memory". */
static void end_part(struct vm *vm, const char *what)
{
	char line[16];

	snprintf(line, sizeof(line), "%s\n", what);
	tell(vm, line);
	snprintf(line, sizeof(line), "ended %s", what);
	expect(vm, line);
}

/* Have its memory here, too. */
static int take_memory(struct vm *vm)
{
	char path[64], link[PATH_MAX];
	int pidfd, fd;

	pidfd = syscall(SYS_pidfd_open, vm->pid, 0);
	for (fd = 3; fd < 32; fd++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", vm->pid, fd);
		length = readlink(path, link, sizeof(link) - 1);
		if (length > 0 && memmem(link, length, "gmem", 4)) {
			fd = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
			close(pidfd);
			if (fd < 0)
				err(1, "pidfd_getfd");
			return fd;
		}
	}
	errx(1, "the VM of process %d has no guest_memfd", vm->pid);
}

static void reap(struct vm *vm, bool killed)
{
	int status;

	if (waitpid(vm->pid, &status, 0) != vm->pid ||
	    (killed ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL : status != 0))
		errx(1, "the VM of process %d ended with status 0x%x", vm->pid, status);
}

static void one_vm(void)
{
	enum ending ending = random_below(ENDINGS);
	bool killed = ending == KILLED || ending == KILLED_IN_LAUNCH;
	int memory = -1;
	struct vm vm;

	start(&vm, ending != UNFINISHED);
	if (ending == KILLED_IN_LAUNCH) {
		sleep_ms(random_below(KILL_MS));
	} else {
		expect(&vm, "ready");
		sleep_ms(random_below(500));
	}

	switch (ending) {
	case KILLED:
	case KILLED_IN_LAUNCH:
		kill(vm.pid, SIGKILL);
		break;
	case VM_FIRST:
		end_part(&vm, "vm");
		sleep_ms(random_below(300));
		end_part(&vm, "memory");
		break;
	case MEMORY_FIRST:
		end_part(&vm, "memory");
		sleep_ms(random_below(300));
		end_part(&vm, "vm");
		break;
	case PASSED:
		memory = take_memory(&vm);
		break;
	default:
		break;
	}
	if (!killed)
		tell(&vm, "end\n");
	reap(&vm, killed);
	if (memory >= 0) {
		sleep_ms(random_below(500));
		close(memory);
	}
	__atomic_add_fetch(&done->endings[ending], 1, __ATOMIC_RELAXED);
}

/* ---- disturbances ---- */

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

/* A CPU that is gone has no table, and no file. */
static void read_file(const char *path)
{
	char buffer[4096];
	int fd = open(path, O_RDONLY);

	if ((fd < 0 || read(fd, buffer, sizeof(buffer)) < 0) && errno != ENOENT && errno != ENXIO &&
	    errno != ENODEV)
		err(1, "%s", path);
	if (fd >= 0)
		close(fd);
}

static void set_online(unsigned int cpu, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
	put(path, value);
}

/* The other thread of a core, or this one if there is none that can go */
static unsigned int sibling_of(unsigned int cpu)
{
	unsigned int one = cpu, two = cpu;
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/core_cpus_list", cpu);
	file = fopen(path, "re");
	if (!file)
		err(1, "%s", path);
	if (fscanf(file, "%u%*[-,]%u", &one, &two) != 2)
		two = one;
	fclose(file);
	one = one == cpu ? two : one;
	return one ? one : cpu;
}

static void disturb_once(enum act act, unsigned int cpus)
{
	static const char * const files[4] = { "pending", "optimized", "regions", "rmpopts" };
	unsigned int cpu = 1 + random_below(cpus - 1), other, i;
	char path[96];

	switch (act) {
	case OFF_ON:
		put(CONTROL, "off");
		sleep_ms(random_below(100));
		put(CONTROL, "on");
		break;
	case EAGER:
		put(MODE, "eager");
		sleep_ms(random_below(500));
		put(MODE, "lazy");
		break;
	case PLACED:
		put(PLACEMENT, "on");
		sleep_ms(random_below(500));
		put(PLACEMENT, "off");
		break;
	case CPU_GOES:
		/* Every other time with all its core */
		other = random_below(2) ? sibling_of(cpu) : cpu;
		set_online(cpu, "0");
		set_online(other, "0");
		sleep_ms(random_below(300));
		set_online(cpu, "1");
		set_online(other, "1");
		break;
	case READ_TABLE:
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/rmpopt/regions", cpu);
		read_file(path);
		break;
	case READ_FILES:
		for (i = 0; i < 100; i++) {
			snprintf(path, sizeof(path), "/sys/devices/system/cpu/rmpopt/%s",
				 files[i % 4]);
			read_file(path);
		}
		break;
	default:
		break;
	}
	done->acts[act]++;
	sleep_ms(random_below(500));
}

/* Each act has a process, so that they come at the same time. */
static pid_t disturb(enum act act, long seed)
{
	unsigned int cpus = sysconf(_SC_NPROCESSORS_CONF);
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	signal(SIGTERM, on_term);
	srand48(seed);
	while (!stop && cpus > 1)
		disturb_once(act, cpus);
	exit(0);
}

/* ---- all of it ---- */

static void report(const char *what, const char * const *name, const unsigned int *times, int nr)
{
	int i;

	printf("%s:", what);
	for (i = 0; i < nr; i++)
		printf("%s %u %s", i ? "," : "", times[i], name[i]);
	printf("\n");
}

/* Wait for any process of ours; it must have ended well. */
static void wait_for_one(void)
{
	int status;

	if (wait(&status) < 0 || status)
		errx(1, "something failed, see above (status 0x%x)", status);
}

static void run(unsigned int vms, unsigned int minutes, unsigned int at_once, long seed)
{
	time_t end = time(NULL) + minutes * 60;
	unsigned int running = 0, i;

	for (i = 0; minutes ? time(NULL) < end : i < vms; i++) {
		if (running == at_once) {
			wait_for_one();
			running--;
		}
		running++;
		switch (fork()) {
		case -1:
			err(1, "fork");
		case 0:
			srand48(seed + i);
			one_vm();
			exit(0);
		}
	}
	while (running--)
		wait_for_one();
}

static unsigned int number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || *text < '0' || *text > '9' || !value || value > 1000000)
		errx(2, "'%s' is not a whole number from 1 to 1000000", text);
	return value;
}

int main(int argc, char **argv)
{
	unsigned int vms = 40, minutes = 0, at_once = 4;
	long seed = time(NULL);
	bool quiet = false;
	pid_t others[ACTS];
	int option, act;

	while ((option = getopt(argc, argv, "n:m:j:s:q")) != -1) {
		switch (option) {
		case 'n':
			vms = number(optarg);
			break;
		case 'm':
			minutes = number(optarg);
			break;
		case 'j':
			at_once = number(optarg);
			break;
		case 's':
			seed = atol(optarg);
			break;
		case 'q':
			quiet = true;
			break;
		default:
			errx(2, "usage: soak [-n VMS | -m MINUTES] [-j AT_ONCE] [-s SEED] [-q]");
		}
	}

	signal(SIGPIPE, SIG_IGN);
	done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED)
		err(1, "memory");
	printf("seed %ld\n", seed);
	fflush(stdout);

	for (act = 0; act < ACTS && !quiet; act++)
		others[act] = disturb(act, seed + act);
	run(vms, minutes, at_once, seed + ACTS);
	for (act = 0; act < ACTS && !quiet; act++)
		kill(others[act], SIGTERM);
	for (act = 0; act < ACTS && !quiet; act++)
		wait_for_one();
	report("ends", names, done->endings, ENDINGS);
	if (!quiet)
		report("meanwhile", acts, done->acts, ACTS);
	return 0;
}
