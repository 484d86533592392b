// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "util.h"

#define DEBUGFS		"/sys/kernel/debug/"

/*
 * By default what may sleep, and pages for user memory, do not fail, and single
 * pages do not either; each failure is told in the kernel's log.
 */
static const struct {
	const char *path;
	const char *value;
} settings[] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "failslab/verbose", "0" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
	{ DEBUGFS "fail_page_alloc/verbose", "0" },
	{ DEBUGFS "fail_usercopy/verbose", "0" },
};

static const char * const worker_kinds[] = { "failslab", "fail_page_alloc" };

static int nth_fd = -1;
static unsigned int armed;

int fault_open(void)
{
	const char *verbose = getenv("FAULT_VERBOSE");
	size_t i;
	int err;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		bool loud = verbose && strstr(settings[i].path, "verbose");

		err = write_string(settings[i].path,
				   loud ? verbose : settings[i].value);
		if (err)
			return err;
	}
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return nth_fd < 0 ? -errno : 0;
}

void fault_close(void)
{
	if (nth_fd >= 0)
		close(nth_fd);
	nth_fd = -1;
}

int fault_arm(unsigned int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%u", n);

	armed = n;
	return pwrite(nth_fd, buf, len, 0) == len ? 0 : -errno;
}

int fault_disarm(void)
{
	char buf[16] = "";
	int left;

	/* These copy as well: the one that is left can be theirs. */
	if (pread(nth_fd, buf, sizeof(buf) - 1, 0) < 0) {
		if (errno != EFAULT)
			return -errno;
		left = 1;
	} else {
		left = atoi(buf);
	}
	while (pwrite(nth_fd, "0", 1, 0) != 1)
		if (errno != EFAULT)
			return -errno;
	return armed - left;
}

int fault_talk(struct genl *g, unsigned int n, struct fault_result *r)
{
	bool dump = g->req->nlmsg_flags & NLM_F_DUMP;
	struct genl_answer *a = &r->answer;
	long size;
	int err;

	memset(r, 0, sizeof(*r));
	size = read_number("/proc/self/statm");
	err = fault_arm(n);
	if (err)
		return err;
	r->err = genl_send(g);
	err = fault_disarm();
	r->mapped = size != read_number("/proc/self/statm");
	if (err < 0)
		return err;
	r->points = err;
	r->hit = r->points == n;

	genl_take(g, a);
	/* A reply is the last thing that a command does before it succeeds. */
	r->done = a->acked ? !a->err : a->replied && !dump;
	r->err = r->err ?: a->err;
	return 0;
}

bool fault_is_fair(const struct fault_result *r)
{
	return r->err == -ENOMEM || r->err == -EFAULT || r->err == -ENOBUFS ||
	       (r->answer.lost && !r->answer.acked);
}

static int mark_workers(bool on)
{
	DIR *proc = opendir("/proc");
	const struct dirent *d;
	char path[300], comm[16];
	int n = 0;
	FILE *f;

	if (!proc)
		return -errno;
	while ((d = readdir(proc))) {
		if (d->d_name[0] < '0' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) &&
		    !strncmp(comm, "kworker/", 8)) {
			snprintf(path, sizeof(path), "/proc/%s/make-it-fail",
				 d->d_name);
			n += !write_string(path, on ? "1" : "0");
		}
		fclose(f);
	}
	closedir(proc);
	return n ? 0 : -ENOENT;
}

int fault_workers(bool on)
{
	char path[128];
	size_t i;
	int err;

	err = mark_workers(on);
	for (i = 0; !err && i < sizeof(worker_kinds) / sizeof(char *); i++) {
#define SET(name, value) do { \
	snprintf(path, sizeof(path), DEBUGFS "%s/" name, worker_kinds[i]); \
	err = err ?: write_string(path, value); \
} while (0)
		SET("task-filter", "Y");
		SET("interval", "1");
		SET("times", "-1");
		SET("probability", on ? "100" : "0");
#undef SET
	}
	return err;
}
