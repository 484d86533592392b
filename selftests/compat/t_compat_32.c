// SPDX-License-Identifier: GPL-2.0
/*
 * A 32-bit process that makes the system calls that t_compat tells it to. It
 * needs no 32-bit libc, which few machines have: there is none in it.
 */
#include "t_compat_32.h"

#ifndef __i386__
#error "this is to be compiled with -m32"
#endif

#define NR_EXIT		1
#define NR_READ		3
#define NR_WRITE	4

/* What the compiler may call by itself */
void *memset(void *to, int c, unsigned int n);
void *memcpy(void *to, const void *from, unsigned int n);
void _start(void);

static struct call call;

static int syscall5(unsigned int nr, const unsigned int *arg)
{
	int ret;

	asm volatile("int $0x80" : "=a" (ret) :
		     "a" (nr), "b" (arg[0]), "c" (arg[1]), "d" (arg[2]),
		     "S" (arg[3]), "D" (arg[4]) : "memory");
	return ret;
}

static int syscall3(unsigned int nr, unsigned int a, const void *b,
		    unsigned int c)
{
	unsigned int arg[CALL_ARGS] = { a, (unsigned int)b, c };

	return syscall5(nr, arg);
}

static void transfer(unsigned int nr, int fd)
{
	unsigned int done = 0;
	int n;

	while (done < sizeof(call)) {
		n = syscall3(nr, fd, (char *)&call + done,
			     sizeof(call) - done);
		/* the other end is gone */
		if (n <= 0)
			syscall3(NR_EXIT, n < 0, 0, 0);
		done += n;
	}
}

void _start(void)
{
	unsigned int arg[CALL_ARGS];
	unsigned int i;

	for (;;) {
		transfer(NR_READ, 0);
		for (i = 0; i < CALL_ARGS; i++) {
			arg[i] = call.arg[i];
			if (call.pointers & 1 << i)
				arg[i] += (unsigned int)call.data;
		}
		call.ret = syscall5(call.nr, arg);
		call.pointer_size = sizeof(void *);
		transfer(NR_WRITE, 1);
	}
}

void *memset(void *to, int c, unsigned int n)
{
	volatile char *p = to;

	while (n--)
		*p++ = c;
	return to;
}

void *memcpy(void *to, const void *from, unsigned int n)
{
	const char *q = from;
	volatile char *p = to;

	while (n--)
		*p++ = *q++;
	return to;
}
