// SPDX-License-Identifier: GPL-2.0-only
/*
 * churn - leave memory as a host has it that was in use for long: some of all kinds
 * is taken, and freed in random order, again and again.
 *
 *   churn [-l] [-s SEED] [-r ROUNDS] PEAK KEEP
 *
 * PEAK  MB to take in each of the ROUNDS (default 3), and KEEP, to hold in the end
 * -s    what all that is random comes from (default 1): the same one gives the same
 *       operations, of which the digest is printed
 * -l    anonymous memory may be in large folios, of the sizes that Linux is told to use
 *
 * Prints a line that begins with "churned" when the memory is as asked for, and holds
 * it until the end of its input.  Sizes of what is taken have an even distribution of
 * their logarithms, up to some MB, so most of the memory is in large pieces.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/kernel-page-flags.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE		4096UL
#define MB_PAGES	256UL
#define HUGE_PAGES	512UL
#define HUGE_ORDER	9
#define INODES		4UL	/* of tmpfs and their dentries, in a page */
#define FILES		(1UL << 20)
#define DIRECTORY	"/tmp/churn"

/* Page cache, anonymous memory, that of huge pages, and what cannot be moved */
enum kind { CACHE, ANON, HUGE, PIPE, SLAB, KINDS };

static const struct {
	unsigned int share;	/* of 100 pieces */
	unsigned int order;	/* of the largest, by which it may be exceeded, too */
} kinds[KINDS] = {
	[CACHE]	= { 50, 10 },
	[ANON]	= { 27, 10 },
	[HUGE]	= { 3, 10 },
	[PIPE]	= { 10, 3 },
	[SLAB]	= { 10, 5 },
};

struct piece {
	enum kind kind;
	unsigned long pages;
	unsigned long id;
	char *memory;
	int fd[2];
};

static struct piece *pieces;
static unsigned long count, room, held, operations;
static bool large;
static uint64_t digest = 0xcbf29ce484222325;	/* FNV-1a */

static void note(uint64_t word)
{
	digest = (digest ^ word) * 0x100000001b3;
}

static unsigned long random_below(unsigned long limit)
{
	return lrand48() % limit;
}

static void take_slab(struct piece *piece, bool take)
{
	char path[64];
	unsigned long i;
	int fd;

	snprintf(path, sizeof(path), DIRECTORY "/%lu", piece->id);
	if (take && mkdir(path, 0700))
		err(1, "%s", path);
	for (i = 0; i < piece->pages * INODES; i++) {
		snprintf(path, sizeof(path), DIRECTORY "/%lu/%lu", piece->id, i);
		if (!take) {
			unlink(path);
			continue;
		}
		fd = open(path, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			err(1, "%s", path);
		close(fd);
	}
	snprintf(path, sizeof(path), DIRECTORY "/%lu", piece->id);
	if (!take && rmdir(path))
		err(1, "%s", path);
}

static void take_anonymous(struct piece *piece)
{
	size_t size = piece->pages * PAGE;

	piece->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (piece->memory == MAP_FAILED)
		err(1, "memory");
	madvise(piece->memory, size, piece->kind == HUGE || large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	if (madvise(piece->memory, size, MADV_POPULATE_WRITE))
		err(1, "memory");
}

static void take_pipe(struct piece *piece)
{
	static const char page[PAGE];
	unsigned long i;

	if (pipe(piece->fd))
		err(1, "pipe");
	for (i = 0; i < piece->pages; i++) {
		if (write(piece->fd[1], page, PAGE) != PAGE)
			err(1, "pipe");
	}
}

static void take(void)
{
	struct piece *piece;
	unsigned int share = random_below(100);

	if (count == room) {
		room = 2 * room + 1024;
		pieces = realloc(pieces, room * sizeof(*pieces));
		if (!pieces)
			err(1, "memory");
	}
	piece = &pieces[count++];
	*piece = (struct piece){ .id = operations++ };
	while (share >= kinds[piece->kind].share)
		share -= kinds[piece->kind++].share;
	piece->pages = 1UL << random_below(kinds[piece->kind].order + 1);
	piece->pages += random_below(piece->pages);
	if (piece->kind == HUGE)
		piece->pages = (piece->pages + HUGE_PAGES - 1) / HUGE_PAGES * HUGE_PAGES;
	held += piece->pages;
	note(piece->kind);
	note(piece->pages);

	switch (piece->kind) {
	case CACHE:
		piece->fd[0] = memfd_create("churn", 0);
		if (piece->fd[0] < 0 || fallocate(piece->fd[0], 0, 0, piece->pages * PAGE))
			err(1, "page cache");
		break;
	case PIPE:
		take_pipe(piece);
		break;
	case SLAB:
		take_slab(piece, true);
		break;
	default:
		take_anonymous(piece);
	}
}

static void give(void)
{
	unsigned long which = random_below(count);
	struct piece *piece = &pieces[which];

	note(which);
	operations++;
	switch (piece->kind) {
	case PIPE:
		close(piece->fd[1]);
		/* fall through */
	case CACHE:
		close(piece->fd[0]);
		break;
	case SLAB:
		take_slab(piece, false);
		break;
	default:
		munmap(piece->memory, piece->pages * PAGE);
	}
	held -= piece->pages;
	*piece = pieces[--count];
}

/* MB that are free, in blocks of at least so many pages, as an order */
static unsigned long free_mb(int least)
{
	FILE *file = fopen("/proc/buddyinfo", "r");
	unsigned long blocks, pages = 0;
	char line[512], *word;
	int order;

	if (!file)
		err(1, "/proc/buddyinfo");
	while (fgets(line, sizeof(line), file)) {
		strtok(strstr(line, "zone"), " ");
		strtok(NULL, " ");
		for (order = 0; (word = strtok(NULL, " \n")); order++) {
			blocks = strtoul(word, NULL, 10);
			pages += order < least ? 0 : blocks << order;
		}
	}
	fclose(file);
	return pages / MB_PAGES;
}

/* MB that are in large folios on the LRU, by the flags of each page */
static unsigned long large_mb(void)
{
	FILE *file = fopen("/proc/kpageflags", "r");
	unsigned long pages = 0;
	uint64_t flags;

	if (!file)
		err(1, "/proc/kpageflags");
	while (fread(&flags, sizeof(flags), 1, file)) {
		pages += flags >> KPF_LRU & 1 &&
			 flags & (1ULL << KPF_COMPOUND_HEAD | 1ULL << KPF_COMPOUND_TAIL);
	}
	fclose(file);
	return pages / MB_PAGES;
}

int main(int argc, char **argv)
{
	struct rlimit files = { FILES, FILES };
	unsigned long rounds = 3, peak, keep;
	int option;

	srand48(1);
	while ((option = getopt(argc, argv, "ls:r:")) != -1) {
		switch (option) {
		case 'l':
			large = true;
			break;
		case 's':
			srand48(atol(optarg));
			break;
		case 'r':
			rounds = atol(optarg);
			break;
		default:
			argc = 0;
		}
	}
	if (argc != optind + 2)
		errx(2, "usage: churn [-l] [-s SEED] [-r ROUNDS] PEAK KEEP");
	peak = atol(argv[optind]) * MB_PAGES;
	keep = atol(argv[optind + 1]) * MB_PAGES;
	if (!rounds || keep >= peak)
		errx(2, "ROUNDS must be at least 1, KEEP less than PEAK");
	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "limit of open files");
	if (mkdir(DIRECTORY, 0700))
		err(1, DIRECTORY);

	while (rounds--) {
		while (held < peak)
			take();
		while (held > keep)
			give();
	}
	printf("churned: %lu MB held, %lu MB free, %lu of them in blocks of 2 MB or more; "
	       "%lu MB in large folios; %lu operations, digest %016jx\n", held / MB_PAGES,
	       free_mb(0), free_mb(HUGE_ORDER), large_mb(), operations, (uintmax_t)digest);
	fflush(stdout);
	while (getchar() != EOF)
		;
	while (count)
		give();
	rmdir(DIRECTORY);
	return 0;
}
