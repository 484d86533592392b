// SPDX-License-Identifier: GPL-2.0
/*
 * Error texts of several places, and those that are made when they are needed.
 */
#include <linux/atomic.h>
#include <linux/kernel.h>

#include "internal.h"

/* An extended ack points to its text, and is read after the command has
 * returned. Kernels before 6.2 have no room for it in the ack, and later ones
 * for 80 characters. So there are some texts that take turns. Who is overtaken
 * by that many others in so short a time gets another's text, no worse: netlink
 * measures a text before it copies it, so all are of one length, filled up with
 * blanks.
 */
#define ERROR_TEXTS	64
#define ERROR_LEN	128

static char error_texts[ERROR_TEXTS][ERROR_LEN];
static atomic_t error_turn = ATOMIC_INIT(0);

/**
 * tapxfer_set_err_fmt - an error text with numbers in it
 * @extack: where to, or NULL
 * @fmt: as printf's, cut off at 127 characters, to which blanks are added
 */
void tapxfer_set_err_fmt(struct netlink_ext_ack *extack, const char *fmt, ...)
{
	char text[ERROR_LEN];
	unsigned int turn;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vscnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memset(text + n, ' ', sizeof(text) - 1 - n);
	text[sizeof(text) - 1] = '\0';

	turn = (u32)atomic_inc_return(&error_turn) % ERROR_TEXTS;
	memcpy(error_texts[turn], text, sizeof(text));
	tapxfer_set_err(extack, NULL, error_texts[turn]);
}

/**
 * tapxfer_refuse_file - say why a file is none that a request can be about
 * @extack: for the text
 * @attr: the attribute that gave the file
 * @sock: the error that tapxfer_fence_socket() returned of it
 * @fenced: what to say of one that is in a handover
 *
 * Return: -EBUSY of one in a handover, or else -EOPNOTSUPP.
 */
int tapxfer_refuse_file(struct netlink_ext_ack *extack,
			const struct nlattr *attr, const struct socket *sock,
			const char *fenced)
{
	if (PTR_ERR(sock) == -EBUSY) {
		tapxfer_set_err(extack, attr, fenced);
		return -EBUSY;
	}
	tapxfer_set_err(extack, attr, PTR_ERR(sock) == -EPROTONOSUPPORT ?
			"this kernel's tun driver is not one that the module knows" :
			"the file is no tun file");
	return -EOPNOTSUPP;
}
