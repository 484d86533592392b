// SPDX-License-Identifier: GPL-2.0
/*
 * The machine's tracer and the module are put back as they were found, whatever
 * becomes of the measurements: another process makes them, and this one waits.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "util.h"

#define TRACING		"/sys/kernel/tracing/"
#define PARAMETERS	"/sys/module/tapxfer/parameters/"
#define SETTINGS_MAX	32

/* A file that has one value */
struct setting {
	char path[300];
	char value[64];
};

static struct setting settings[SETTINGS_MAX];
static int nsettings;
static volatile pid_t worker;

static int read_line(const char *path, char *line, int size)
{
	FILE *f = fopen(path, "r");
	int err = -ENOENT;

	if (!f)
		return -errno;
	if (fgets(line, size, f)) {
		line[strcspn(line, "\n")] = '\0';
		err = 0;
	}
	fclose(f);
	return err;
}

static struct setting *save(const char *dir, const char *name)
{
	struct setting *s = &settings[nsettings];

	if (nsettings == SETTINGS_MAX)
		bench_die(-ENOSPC, "too many settings in %s", dir);
	snprintf(s->path, sizeof(s->path), "%s%s", dir, name);
	if (read_line(s->path, s->value, sizeof(s->value)))
		return NULL;
	nsettings++;
	return s;
}

static void save_parameters(void)
{
	struct dirent *entry;
	DIR *dir;

	dir = opendir(PARAMETERS);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			save(PARAMETERS, entry->d_name);
	if (dir)
		closedir(dir);
}

/* There is one of it, and who uses it is not to be disturbed. */
static void check_tracer(const char *file, const char *unused)
{
	char line[64];
	int err;

	err = read_line(file, line, sizeof(line));
	if (err)
		bench_die(err, "cannot read %s, mount tracefs or leave trace out",
			  file);
	if (strcmp(line, unused))
		bench_die(-EBUSY, "%s is \"%s\", end that tracing or leave trace out",
			  file, line);
}

static void save_tracer(void)
{
	struct setting *s;
	const char *p;

	check_tracer(TRACING "current_tracer", "nop");
	check_tracer(TRACING "set_ftrace_filter",
		     "#### all functions enabled ####");
	check_tracer(TRACING "set_ftrace_pid", "no pid");
	save(TRACING, "tracing_on");
	save(TRACING, "options/funcgraph-proc");
	save(TRACING, "options/funcgraph-irqs");
	s = save(TRACING, "buffer_size_kb");
	if (s && !isdigit(s->value[0]))
		bench_die(-EBUSY, "each CPU's trace buffer has a size of its own, leave trace out");
	/* "7 (expanded: 1408)": it grows with the first use. */
	p = s ? strstr(s->value, "expanded: ") : NULL;
	if (p)
		snprintf(s->value, sizeof(s->value), "%ld",
			 strtol(p + strlen("expanded: "), NULL, 10));
}

/* What is to be emptied takes an open that truncates. */
static void empty(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f)
		fclose(f);
}

static void restore_tracer(void)
{
	write_string(TRACING "current_tracer", "nop");
	empty(TRACING "set_ftrace_filter");
	empty(TRACING "set_ftrace_pid");
	empty(TRACING "trace");
}

static int restore(bool trace)
{
	char now[64];
	int i, err = 0;

	if (trace)
		restore_tracer();
	if (access("/sys/module/tapxfer", F_OK) && shell("modprobe tapxfer"))
		err = -ENOENT;
	for (i = 0; i < nsettings; i++) {
		struct setting *s = &settings[i];

		if (read_line(s->path, now, sizeof(now)) ||
		    (strcmp(now, s->value) && write_string(s->path, s->value))) {
			fprintf(stderr, "bench: %s cannot be set to %s again\n",
				s->path, s->value);
			err = -EIO;
		}
	}
	return err;
}

static void end_worker(int sig)
{
	kill(worker, SIGKILL);
}

void bench_guard(bool trace)
{
	struct sigaction end = { .sa_handler = end_worker };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	pid_t self = getpid();
	int status;

	if (module_users() > 0)
		bench_die(-EBUSY, "there are handovers, wait for their end");
	save_parameters();
	if (trace)
		save_tracer();
	fflush(NULL);
	worker = fork();
	if (worker < 0)
		bench_die(-errno, "no process");
	if (!worker) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != self)
			_exit(1);
		return;
	}
	/* Those of a terminal reach the worker as well. */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	while (waitpid(worker, &status, 0) < 0)
		if (errno != EINTR)
			bench_die(-errno, "the measurements are gone");
	if (!WIFEXITED(status))
		printf("Bail out! ended by signal %d\n", WTERMSIG(status));
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	exit(restore(trace) ? 1 : status);
}
