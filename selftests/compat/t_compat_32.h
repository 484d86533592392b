/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What t_compat asks of a 32-bit process: one system call after another.
 */
#ifndef SELFTESTS_T_COMPAT_32_H
#define SELFTESTS_T_COMPAT_32_H

#define CALL_ARGS	5
#define CALL_DATA	3072

/* A request on its standard input, and the answer on its standard output */
struct call {
	unsigned int nr;		/* of i386 */
	unsigned int pointers;		/* bit n: argument n is an offset in data */
	unsigned int arg[CALL_ARGS];
	int ret;			/* of the call, -errno when it failed */
	unsigned int pointer_size;	/* of who answers */
	unsigned char data[CALL_DATA];
};

#endif /* SELFTESTS_T_COMPAT_32_H */
