// SPDX-License-Identifier: GPL-2.0-or-later
/* What /proc shows of who could hold a file besides its descriptors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/kcmp.h>

#include "cli.h"

/* as the kernel has it for ever */
#define MISC_MAJOR	10
#define VHOST_NET_MINOR	238

static bool is_number(const char *name)
{
	return *name && !name[strspn(name, "0123456789")];
}

/* The first bytes of a small file of /proc, as a string; "" when there is none. */
static void small_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

/* By its number: in another mount namespace, or root, its name is another. */
static bool is_vhost(pid_t pid, const char *fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)pid, fd);
	return !stat(path, &st) && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(MISC_MAJOR, VHOST_NET_MINOR);
}

/* A UNIX socket tells how many files wait in it, since Linux 5.11. */
static bool is_in_flight(pid_t pid, const char *fd)
{
	char path[64], text[512], *line;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", (int)pid, fd);
	small_file(path, text, sizeof(text));
	line = strstr(text, "\nscm_fds:");
	return line && atoi(line + strlen("\nscm_fds:")) > 0;
}

static bool is_uring(pid_t pid, const char *fd)
{
	char path[64], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)pid, fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return !strcmp(target, "anon_inode:[io_uring]");
}

static bool is_what(enum look look, pid_t pid, const char *fd)
{
	switch (look) {
	case LOOK_VHOST:
		return is_vhost(pid, fd);
	case LOOK_IN_FLIGHT:
		return is_in_flight(pid, fd);
	case LOOK_URING:
		return is_uring(pid, fd);
	}
	return false;
}

void look_at(pid_t pid, enum look look, look_fn fn, void *data)
{
	char path[64], comm[64];
	const struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	small_file(path, comm, sizeof(comm));
	comm[strcspn(comm, "\n")] = '\0';

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((de = readdir(dir)))
		if (is_number(de->d_name) && is_what(look, pid, de->d_name))
			fn(pid, comm, atoi(de->d_name), data);
	closedir(dir);
}

void look_everywhere(enum look look, look_fn fn, void *data)
{
	const struct dirent *de;
	DIR *proc = opendir("/proc");

	if (!proc)
		return;
	while ((de = readdir(proc)))
		if (is_number(de->d_name))
			look_at((pid_t)atoi(de->d_name), look, fn, data);
	closedir(proc);
}

/* Is our descriptor the very file that the process has under that number? */
bool is_same_file(int own, pid_t pid, int fd)
{
	return !syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, own, fd);
}

/* The thread sleeps in a call that may hold a reference to the file. */
static bool is_caller(const char *text, int fd)
{
	static const long on_file[] = {
		SYS_read, SYS_readv, SYS_write, SYS_writev,
	};
	static const long on_many[] = {
#ifdef SYS_poll
		SYS_poll,
#endif
#ifdef SYS_select
		SYS_select,
#endif
		SYS_ppoll, SYS_pselect6,
	};
	unsigned long arg;
	size_t i;
	long nr;

	if (sscanf(text, "%ld 0x%lx", &nr, &arg) != 2)
		return false;
	for (i = 0; i < ARRAY_SIZE(on_file); i++)
		if (nr == on_file[i])
			return arg == (unsigned long)fd;
	for (i = 0; i < ARRAY_SIZE(on_many); i++)
		if (nr == on_many[i])
			return true;
	return false;
}

/*
 * How many of the process's threads may hold a reference for the time of a
 * call: a poll that sleeps has one to each of its files, and with several
 * threads so has a read.
 */
unsigned int callers_count(pid_t pid, int fd)
{
	char path[96], text[256];
	const struct dirent *de;
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((de = readdir(dir))) {
		if (!is_number(de->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/syscall",
			 (int)pid, de->d_name);
		small_file(path, text, sizeof(text));
		n += is_caller(text, fd);
	}
	closedir(dir);
	return n;
}

/* CAP_NET_ADMIN, as far as we know without asking the kernel for a deed */
bool may_administer(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &head, data))
		return false;
	return data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective &
	       CAP_TO_MASK(CAP_NET_ADMIN);
}
