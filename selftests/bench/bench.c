// SPDX-License-Identifier: GPL-2.0
/*
 * The benchmark's program: what is measured, and how much of it.
 *
 *	bench [-n ROUNDS] [MEASUREMENT...]
 *
 * It runs in a network namespace of its own. Its result is in TAP, and says
 * which measurements were made; what they say is report.py's to tell.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "util.h"

#define QUICK_ROUNDS	10
#define FULL_ROUNDS	100

struct bench_plan plan;

static const struct {
	const char *name;
	void (*run)(void);
} parts[] = {
	{ "blackout", bench_blackout },
	{ "loss", bench_loss },
	{ "after", bench_after },
	{ "scale", bench_scale },
	{ "memory", bench_memory },
	{ "trace", bench_trace },
};

#define PARTS	(sizeof(parts) / sizeof(parts[0]))

static pid_t self;

void bench_die(long err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("Bail out! ");
	vprintf(fmt, ap);
	printf(": %s\n", strerror(-err));
	va_end(ap);
	fflush(stdout);
	_exit(getpid() == self ? 1 : 2);
}

static void plan_make(int rounds)
{
	plan.points = rounds >= FULL_ROUNDS ? BENCH_FULL :
		      rounds >= QUICK_ROUNDS ? BENCH_QUICK : BENCH_TRY;
	plan.rounds = rounds;
	plan.pairs = (const int[]){ 2, 6, 20 }[plan.points];
	plan.slices = (const int[]){ 2, 10, 40 }[plan.points];
	plan.budget_ms = (const int[]){ 0, 1000, 3000 }[plan.points];
}

static bool is_wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = optind; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return optind == argc;
}

static bool is_part(const char *name)
{
	unsigned int i;

	for (i = 0; i < PARTS; i++)
		if (!strcmp(parts[i].name, name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const char *env = getenv("BENCH_N");
	int rounds = env ? atoi(env) : 200;
	struct rlimit files = { 8192, 8192 };
	unsigned int i, n = 0;
	struct utsname name;
	int opt;

	while ((opt = getopt(argc, argv, "n:")) != -1) {
		if (opt != 'n')
			return 1;
		rounds = atoi(optarg);
	}
	if (rounds < 1) {
		fprintf(stderr, "bench: -n takes a number above 0\n");
		return 1;
	}
	for (opt = optind; opt < argc; opt++) {
		if (is_part(argv[opt]))
			continue;
		fprintf(stderr, "bench: no measurement \"%s\"\n", argv[opt]);
		return 1;
	}
	plan_make(rounds);
	if (setrlimit(RLIMIT_NOFILE, &files))
		bench_die(-errno, "no room for descriptors");
	bench_guard(is_wanted("trace", argc, argv));
	self = getpid();

	for (i = 0; i < PARTS; i++)
		n += is_wanted(parts[i].name, argc, argv);
	printf("TAP version 13\n1..%u\n", n);
	uname(&name);
	printf("@ about kernel=%s machine=%s cpus=%ld rounds=%d\n",
	       name.release, name.machine, sysconf(_SC_NPROCESSORS_ONLN),
	       rounds);
	bench_net_start();
	for (i = 0, n = 0; i < PARTS; i++) {
		int64_t begin = now_ms();

		if (!is_wanted(parts[i].name, argc, argv))
			continue;
		parts[i].run();
		printf("ok %u %s\n# %s took %ld s\n", ++n, parts[i].name,
		       parts[i].name, (long)(now_ms() - begin) / 1000);
		fflush(stdout);
	}
	return 0;
}
