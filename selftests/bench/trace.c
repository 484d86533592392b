// SPDX-License-Identifier: GPL-2.0
/*
 * Where the time goes, by the kernel's function tracer: which of its functions a
 * handover of 8 queues calls, what each takes, and which of them wait or allocate.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "bench.h"
#include "util.h"

#define TRACING		"/sys/kernel/tracing/"
#define QUEUES		8
#define JUDGED		3	/* handovers, of each of two ways */
#define PROFILED	5

/* What waits, and what takes memory */
static const char * const waits[] = {
	"synchronize_rcu", "synchronize_rcu_expedited", "synchronize_net",
	"synchronize_rcu_tasks", "rcu_barrier", "schedule_timeout",
};

static const char * const allocs[] = {
	"__kmalloc", "__kmalloc_node", "__kmalloc_node_track_caller",
	"__kmalloc_track_caller", "kmalloc_trace", "kmem_cache_alloc_trace",
	"kmem_cache_alloc", "kmem_cache_alloc_lru", "kmem_cache_alloc_node",
	"kvmalloc_node", "__vmalloc_node", "vmalloc", "__alloc_pages",
};

/* What a command is part of: its answer is allocated in there, too. */
static const char * const commands[] = {
	"netlink_sendmsg", "netlink_rcv_skb",
};

/* Of the kernel's, what a handover's steps are made of */
static const char * const others[] = {
	"rtnl_lock", "mutex_lock", "tun_chr_ioctl", "__tun_chr_ioctl",
	"vm_mmap", "vm_munmap", "receive_fd", "__receive_fd", "genl_rcv_msg",
	"netlink_unicast", "tun_chr_close", "fput",
	"sock_def_readable", "iterate_fd", "handle_mm_fault",
};

static int set(const char *file, const char *value, int flags)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), TRACING "%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static void must_set(const char *file, const char *value, int flags)
{
	int err = set(file, value, flags);

	if (err)
		bench_die(err, "cannot write \"%s\" to " TRACING "%s", value,
			  file);
}

/*
 * Functions that this kernel does not have, or has inlined, are left out: how
 * many were found, and which were not, is told.
 */
static int add(const char * const *names, size_t n)
{
	int found = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (set("set_ftrace_filter", names[i], O_APPEND))
			printf("# no function %s to be traced\n", names[i]);
		else
			found++;
	}
	return found;
}

#define ADD(names)	add(names, sizeof(names) / sizeof((names)[0]))

static void dump(const char *pass)
{
	char line[512];
	FILE *f;

	f = fopen(TRACING "trace", "r");
	if (!f)
		bench_die(-errno, "no trace");
	while (fgets(line, sizeof(line), f))
		if (line[0] != '#' && line[0] != '\n')
			printf("@trace %s %s", pass, line);
	fclose(f);
}

/* Events that found no room, of all CPUs */
static long overrun(void)
{
	char path[128], line[128];
	long n, sum = 0;
	int cpu;
	FILE *f;

	for (cpu = 0; cpu < get_nprocs_conf(); cpu++) {
		snprintf(path, sizeof(path), TRACING "per_cpu/cpu%d/stats", cpu);
		f = fopen(path, "r");
		if (!f)
			continue;
		while (fgets(line, sizeof(line), f))
			if (sscanf(line, "overrun: %ld", &n) == 1 ||
			    sscanf(line, "dropped events: %ld", &n) == 1)
				sum += n;
		fclose(f);
	}
	return sum;
}

static void traced(struct bench_pair *p, const char *pass,
		   const struct bench_way *way, int n)
{
	char pid[16];
	int i;

	snprintf(pid, sizeof(pid), "%d", p->agents[0].pid);
	must_set("set_ftrace_pid", pid, O_TRUNC);
	snprintf(pid, sizeof(pid), "%d", p->agents[1].pid);
	must_set("set_ftrace_pid", pid, O_APPEND);
	must_set("trace", "", O_TRUNC);
	for (i = 0; i < n; i++) {
		must_set("tracing_on", "1", 0);
		bench_handover(p, way, NULL, NULL);
		must_set("tracing_on", "0", 0);
		bench_wait_idle();
	}
	printf("@ trace pass=%s handovers=%d queues=%d overrun=%ld\n", pass, n,
	       QUEUES, overrun());
	dump(pass);
	fflush(stdout);
}

/* What this changes of the machine's tracer, the guard puts back. */
void bench_trace(void)
{
	struct bench_pair p;

	bench_pair_start(&p, QUEUES);
	bench_handover(&p, &bench_way_token_steps, NULL, NULL);
	bench_handover(&p, &bench_way_channel, NULL, NULL);
	bench_wait_idle();

	must_set("tracing_on", "0", 0);
	must_set("buffer_size_kb", "8192", 0);
	must_set("set_ftrace_filter", ":mod:tapxfer", O_TRUNC);
	if (!ADD(waits) || !ADD(allocs))
		bench_die(-ENOENT, "nothing that waits or allocates is traced");
	ADD(commands);
	must_set("current_tracer", "function_graph", 0);
	must_set("trace_options", "funcgraph-proc", 0);
	must_set("trace_options", "nofuncgraph-irqs", 0);
	traced(&p, "token", &bench_way_token_steps, JUDGED);
	traced(&p, "channel", &bench_way_channel, JUDGED);

	must_set("set_ftrace_filter", ":mod:tapxfer", O_TRUNC);
	ADD(others);
	traced(&p, "profile", &bench_way_token_steps, PROFILED);
	must_set("current_tracer", "nop", 0);
	bench_pair_end(&p);
}
