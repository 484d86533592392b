// SPDX-License-Identifier: LGPL-2.1-or-later
/* Queue files in other processes' hands. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <linux/kcmp.h>
#include <net/if.h>

#include "internal.h"

#define COMM_LEN	64

struct tapxfer_queues {
	int *fds;
	int *numbers;
	size_t n;
	size_t room;
};

/* What is looked for, and what a look at one process needs. */
struct search {
	struct tapxfer *tx;
	const char *ifname;
	unsigned int ifindex;	/* 0 without a handle */
};

static int search_init(struct search *s, struct tapxfer *tx,
		       const char *ifname)
{
	size_t len = strlen(ifname);
	int ret;

	s->tx = tx;
	s->ifname = ifname;
	s->ifindex = 0;
	if (!tx)
		return len && len < IFNAMSIZ ? 0 : -EINVAL;

	txl_error_reset(tx);
	ret = tapxfer_ifindex(tx, ifname);
	if (ret < 0)
		return ret;
	s->ifindex = (unsigned int)ret;
	return 0;
}

static int fail_access(struct tapxfer *tx, pid_t pid)
{
	return txl_error_set(tx, -EPERM,
			     "may not look into process %d: it takes the same user and kernel.yama.ptrace_scope 0, or CAP_SYS_PTRACE",
			     (int)pid);
}

static int fail_gone(struct tapxfer *tx, pid_t pid)
{
	return txl_error_set(tx, -ESRCH, "no process %d", (int)pid);
}

static int pidfd_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

static int pidfd_getfd(int pidfd, int number)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	return fd < 0 ? -errno : fd;
}

/* The process's number was its own for as long as the pidfd is silent. */
bool txl_pidfd_ended(int pidfd)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

/*
 * The device that fdinfo names, "" when it is none of tun's. It is read without
 * touching the file, in one read: what stands before the driver's own line is
 * short.
 */
static void fdinfo_iff(int dirfd, int number, char ifname[IFNAMSIZ])
{
	char buf[4096], name[16], *line, *save;
	ssize_t len;
	int fd;

	ifname[0] = '\0';
	snprintf(name, sizeof(name), "%d", number);
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (len <= 0)
		return;

	buf[len] = '\0';
	for (line = strtok_r(buf, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "iff:\t", 5))
			continue;
		if (strlen(line + 5) < IFNAMSIZ)
			strcpy(ifname, line + 5);
		return;
	}
}

static bool fdinfo_names(int dirfd, int number, const char *ifname)
{
	char name[IFNAMSIZ];

	fdinfo_iff(dirfd, number, name);
	return !strcmp(name, ifname);
}

/*
 * Is our duplicate what fdinfo told of? The process may have closed the file
 * and got another under that number. @flags are IFF_*.
 */
static bool dup_names(int fd, const char *ifname, unsigned int *flags)
{
	char name[IFNAMSIZ];

	return !txl_tun_iff(fd, name, flags) && !strcmp(name, ifname);
}

enum proof {
	OTHER_DEVICE,
	UNKNOWN,
	PROVED,
};

static enum proof dup_prove(const struct search *s, int fd)
{
	struct tapxfer_info *dev;
	enum proof proof = UNKNOWN;
	int err;

	if (!s->tx)
		return UNKNOWN;

	err = tapxfer_dev_get(s->tx, s->ifindex, fd, &dev);
	if (!err)
		proof = PROVED;
	else if (err == -EXDEV)
		proof = OTHER_DEVICE;
	tapxfer_info_free(dev);
	txl_error_reset(s->tx);
	return proof;
}

/* Decimal digits alone; -1 for what else a directory of /proc has. */
static int number_of(const char *name)
{
	unsigned long n;
	char *end;

	if (*name < '0' || *name > '9')
		return -1;
	errno = 0;
	n = strtoul(name, &end, 10);
	return *end || errno || n > 0x7fffffff ? -1 : (int)n;
}

/* The process's descriptors, or a negative errno that tells why not. */
static DIR *fdinfo_open(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)pid);
	return opendir(path);
}

static int queues_add(struct tapxfer_queues *q, int fd, int number)
{
	if (q->n == q->room) {
		size_t room = q->room ? 2 * q->room : 16;
		int *p;

		p = realloc(q->fds, room * sizeof(*p));
		if (!p)
			return -ENOMEM;
		q->fds = p;
		p = realloc(q->numbers, room * sizeof(*p));
		if (!p)
			return -ENOMEM;
		q->numbers = p;
		q->room = room;
	}
	q->fds[q->n] = fd;
	q->numbers[q->n] = number;
	q->n++;
	return 0;
}

static int by_int(const void *a, const void *b)
{
	int i = *(const int *)a, j = *(const int *)b;

	return (i > j) - (i < j);
}

/* The numbers that a directory of /proc has, ascending; NULL with *n < 0. */
static int *numbers_read(DIR *dir, ssize_t *n)
{
	const struct dirent *de;
	size_t room = 0, count = 0;
	int *numbers = NULL;

	while ((de = readdir(dir))) {
		int number = number_of(de->d_name);

		if (number < 0)
			continue;
		if (count == room) {
			int *p;

			room = room ? 2 * room : 64;
			p = realloc(numbers, room * sizeof(*p));
			if (!p) {
				free(numbers);
				*n = -ENOMEM;
				return NULL;
			}
			numbers = p;
		}
		numbers[count++] = number;
	}
	if (count)
		qsort(numbers, count, sizeof(*numbers), by_int);
	*n = (ssize_t)count;
	return numbers;
}

/* One descriptor of the process: into @q, if it is what we look for. */
static int scan_fd(const struct search *s, pid_t pid, int pidfd, int number,
		   struct tapxfer_queues *q)
{
	unsigned int flags;
	int fd, err;

	fd = pidfd_getfd(pidfd, number);
	switch (fd) {
	case -EBADF:
		return 0;	/* closed meanwhile */
	case -EPERM:
		return fail_access(s->tx, pid);
	case -ESRCH:
		return fail_gone(s->tx, pid);
	case -EMFILE:
		return txl_error_set(s->tx, fd,
				     "too many open files after %zu queue files: raise RLIMIT_NOFILE",
				     q->n);
	}
	if (fd < 0)
		return txl_error_errno(s->tx, fd, "pidfd_getfd");

	if (!dup_names(fd, s->ifname, &flags) ||
	    dup_prove(s, fd) == OTHER_DEVICE) {
		close(fd);
		return 0;
	}
	err = queues_add(q, fd, number);
	if (err) {
		close(fd);
		txl_error_errno(s->tx, err, "queue files");
	}
	return err;
}

/* The numbers come first: the process may be our own, and our files with it. */
static int scan_fds(const struct search *s, pid_t pid, int pidfd, DIR *dir,
		    struct tapxfer_queues *q)
{
	ssize_t i, n;
	int *numbers;
	int err = 0;

	numbers = numbers_read(dir, &n);
	if (n < 0)
		return txl_error_errno(s->tx, (int)n, "/proc/PID/fdinfo");

	for (i = 0; i < n && !err; i++)
		if (fdinfo_names(dirfd(dir), numbers[i], s->ifname))
			err = scan_fd(s, pid, pidfd, numbers[i], q);
	free(numbers);
	return err;
}

static int by_number(const void *a, const void *b, void *data)
{
	const struct tapxfer_queues *q = data;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;

	return q->numbers[i] < q->numbers[j] ? -1 : 1;
}

/* In the kernel's own order of open files, those of one by their numbers. */
static int by_file(const void *a, const void *b, void *data)
{
	const struct tapxfer_queues *q = data;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;

	switch (syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, q->fds[i],
			q->fds[j])) {
	case 1:
		return -1;
	case 2:
		return 1;
	default:
		return by_number(a, b, data);
	}
}

static bool same_file(int a, int b)
{
	return !syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);
}

/*
 * A descriptor that was dup()ed is no queue of its own. A kernel without
 * kcmp(2) leaves them in, and the kernel's module says which file came twice.
 */
static int queues_sort(struct tapxfer_queues *q)
{
	int *fds, *numbers;
	size_t *order;
	size_t i, n;

	if (!q->n)
		return 0;

	order = calloc(q->n, sizeof(*order));
	fds = calloc(q->n, sizeof(*fds));
	numbers = calloc(q->n, sizeof(*numbers));
	if (!order || !fds || !numbers) {
		free(order);
		free(fds);
		free(numbers);
		return -ENOMEM;
	}

	for (i = 0; i < q->n; i++)
		order[i] = i;
	qsort_r(order, q->n, sizeof(*order), by_file, q);
	for (i = 1, n = 1; i < q->n; i++)
		if (!same_file(q->fds[order[n - 1]], q->fds[order[i]]))
			order[n++] = order[i];
		else
			close(q->fds[order[i]]);
	qsort_r(order, n, sizeof(*order), by_number, q);

	for (i = 0; i < n; i++) {
		fds[i] = q->fds[order[i]];
		numbers[i] = q->numbers[order[i]];
	}
	free(order);
	free(q->fds);
	free(q->numbers);
	q->fds = fds;
	q->numbers = numbers;
	q->n = n;
	q->room = n;
	return 0;
}

/* The process by pidfd and its fdinfo directory. */
static int process_open(struct tapxfer *tx, pid_t pid, int *pidfd, DIR **dir)
{
	int err;

	if (pid <= 0)
		return txl_error_set(tx, -EINVAL, "%d is no process id",
				     (int)pid);
	*pidfd = pidfd_open(pid);
	if (*pidfd == -ESRCH)
		return fail_gone(tx, pid);
	if (*pidfd == -EINVAL)
		return txl_error_set(tx, *pidfd,
				     "%d is a thread: name its process",
				     (int)pid);
	if (*pidfd < 0)
		return txl_error_errno(tx, *pidfd, "pidfd_open");

	*dir = fdinfo_open(pid);
	if (*dir)
		return 0;

	err = -errno;
	close(*pidfd);
	if (err == -EACCES || err == -EPERM)
		return fail_access(tx, pid);
	if (err == -ENOENT || err == -ESRCH)
		return fail_gone(tx, pid);
	return txl_error_errno(tx, err, "/proc/PID/fdinfo");
}

EXPORT int tapxfer_queues_open(struct tapxfer *tx, pid_t pid,
			       const char *ifname,
			       struct tapxfer_queues **queues)
{
	struct tapxfer_queues *q;
	struct search s;
	int pidfd, err;
	DIR *dir;

	*queues = NULL;
	err = search_init(&s, tx, ifname);
	if (err)
		return err;
	err = process_open(tx, pid, &pidfd, &dir);
	if (err)
		return err;

	q = calloc(1, sizeof(*q));
	if (!q)
		err = txl_error_set(tx, -ENOMEM, "out of memory");
	else
		err = scan_fds(&s, pid, pidfd, dir, q);
	if (!err && txl_pidfd_ended(pidfd))
		err = fail_gone(tx, pid);
	if (!err) {
		err = queues_sort(q);
		if (err)
			txl_error_errno(tx, err, "queue files");
	}
	closedir(dir);
	close(pidfd);
	if (err)
		tapxfer_queues_close(q);
	else
		*queues = q;
	return err;
}

EXPORT int tapxfer_process_devices(struct tapxfer *tx, pid_t pid,
				   tapxfer_name_cb cb, void *data)
{
	char (*names)[IFNAMSIZ] = NULL;
	size_t i, count = 0;
	int pidfd, err;
	int *numbers;
	ssize_t j, n;
	DIR *dir;

	if (tx)
		txl_error_reset(tx);
	err = process_open(tx, pid, &pidfd, &dir);
	if (err)
		return err;

	numbers = numbers_read(dir, &n);
	if (n > 0)
		names = calloc((size_t)n, sizeof(*names));
	if (n < 0 || (n > 0 && !names))
		err = txl_error_set(tx, -ENOMEM, "out of memory");
	for (j = 0; names && j < n; j++) {
		fdinfo_iff(dirfd(dir), numbers[j], names[count]);
		for (i = 0; strcmp(names[i], names[count]);)
			i++;
		if (i == count && names[i][0])
			count++;
	}
	if (!err && txl_pidfd_ended(pidfd))
		err = fail_gone(tx, pid);
	closedir(dir);
	close(pidfd);

	for (i = 0; !err && i < count; i++)
		err = cb(names[i], data);
	free(numbers);
	free(names);
	return err;
}

EXPORT size_t tapxfer_queues_count(const struct tapxfer_queues *queues)
{
	return queues->n;
}

EXPORT const int *tapxfer_queues_fds(const struct tapxfer_queues *queues)
{
	return queues->fds;
}

EXPORT const int *tapxfer_queues_numbers(const struct tapxfer_queues *queues)
{
	return queues->numbers;
}

EXPORT void tapxfer_queues_close(struct tapxfer_queues *queues)
{
	size_t i;

	if (!queues)
		return;
	for (i = 0; i < queues->n; i++)
		close(queues->fds[i]);
	free(queues->fds);
	free(queues->numbers);
	free(queues);
}

static void comm_read(pid_t pid, char *comm)
{
	char path[64];
	ssize_t len;
	int fd;

	comm[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = read(fd, comm, COMM_LEN - 1);
	close(fd);
	if (len < 0)
		len = 0;
	comm[len] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
}

/*
 * Tell what the kernel knows of a descriptor of another process. false when
 * it is not the device's, or is no longer there.
 */
static bool holder_check(const struct search *s, pid_t pid, int number,
			 uint32_t *flags)
{
	enum proof proof = UNKNOWN;
	unsigned int iff;
	int pidfd, fd;

	*flags = 0;
	pidfd = pidfd_open(pid);
	if (pidfd < 0)
		return pidfd != -ESRCH;
	fd = pidfd_getfd(pidfd, number);
	close(pidfd);
	if (fd < 0)
		return fd != -EBADF && fd != -ESRCH;

	if (!dup_names(fd, s->ifname, &iff)) {
		close(fd);
		return false;
	}
	if (iff & IFF_DETACH_QUEUE)
		*flags |= TAPXFER_HOLDER_DETACHED;
	proof = dup_prove(s, fd);
	if (proof == PROVED)
		*flags |= TAPXFER_HOLDER_PROVED;
	close(fd);
	return proof != OTHER_DEVICE;
}

static int holders_of(const struct search *s, pid_t pid, tapxfer_holder_cb cb,
		      void *data, unsigned int *unreadable)
{
	char comm[COMM_LEN];
	ssize_t i, n = 0;
	int *numbers;
	int ret = 0;
	DIR *dir;

	dir = fdinfo_open(pid);
	if (!dir) {
		if (errno == EACCES || errno == EPERM)
			++*unreadable;
		/* gone meanwhile, else */
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ?
		       txl_error_errno(s->tx, -errno, "/proc") : 0;
	}

	numbers = numbers_read(dir, &n);
	for (i = 0; i < n && !ret; i++) {
		struct tapxfer_holder holder = { .pid = pid, .comm = comm };

		if (!fdinfo_names(dirfd(dir), numbers[i], s->ifname) ||
		    !holder_check(s, pid, numbers[i], &holder.flags))
			continue;
		holder.fd = numbers[i];
		comm_read(pid, comm);
		ret = cb(&holder, data);
	}
	free(numbers);
	closedir(dir);
	return n < 0 ? txl_error_errno(s->tx, (int)n, "/proc") : ret;
}

EXPORT int tapxfer_holders(struct tapxfer *tx, const char *ifname,
			   tapxfer_holder_cb cb, void *data,
			   unsigned int *unreadable)
{
	unsigned int closed = 0;
	struct search s;
	ssize_t i, n;
	int ret = 0;
	int *pids;
	DIR *proc;

	if (unreadable)
		*unreadable = 0;
	ret = search_init(&s, tx, ifname);
	if (ret)
		return ret;

	proc = opendir("/proc");
	if (!proc)
		return txl_error_errno(tx, -errno, "/proc");
	pids = numbers_read(proc, &n);
	closedir(proc);
	if (n < 0)
		return txl_error_errno(tx, (int)n, "/proc");

	for (i = 0; i < n && !ret; i++)
		ret = holders_of(&s, pids[i], cb, data, &closed);
	free(pids);
	if (unreadable)
		*unreadable = closed;
	return ret;
}
