/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Waiting, running, and looking into /proc.
 */
#ifndef SELFTESTS_UTIL_H
#define SELFTESTS_UTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * Milliseconds of a usual machine in those of this one, which SELFTESTS_SCALE
 * in the environment says to be so many times slower, and nothing says to be a
 * usual one. For what is waited for: a limit of the module's is not scaled.
 */
int scaled_ms(int ms);

/* For what ought to happen soon. An emulated machine is slow and noisy. */
#define SOON_MS		scaled_ms(10000)

int64_t now_ms(void);
uint64_t now_ns(void);

/* Whether @cond comes true within @ms; it is evaluated again and again. */
#define wait_until(cond, ms) ({						\
	int64_t end_ = now_ms() + (ms);					\
	bool ok_;							\
									\
	while (!(ok_ = (cond)) && now_ms() < end_)			\
		usleep(1000);						\
	ok_;								\
})

/* Run a shell command; its exit status, or -1. */
__attribute__((format(printf, 1, 2))) int shell(const char *fmt, ...);

/* The number a file begins with, or -1. */
long read_number(const char *path);
int write_string(const char *path, const char *text);

/* Whether the kernel is older than this version. */
bool kernel_before(int major, int minor);

/* How many handovers and tasks pin the module. */
long module_users(void);

/* How many descriptors this process has open. */
int count_fds(void);

/* A child that does not outlive this thread; @fn's result is its exit status. */
pid_t child_start(int (*fn)(void *arg), void *arg);
/* Its exit status, 128 + n when signal n killed it, or -1 when it lives on. */
int child_wait(pid_t pid, int ms);
void child_kill(pid_t pid);

/* As /proc tells it, 'Z' for one whose main thread has exited; 0: none. */
char process_state(pid_t pid);

/* The same of thread @tid of this process. */
char task_state(pid_t tid);

/* Whether thread @tid of this process sleeps in system call @nr. */
bool task_sleeps_in(pid_t tid, long nr);
/* How often it went to sleep so far, or -1. */
long task_sleeps(pid_t tid);

#endif /* SELFTESTS_UTIL_H */
