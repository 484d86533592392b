// SPDX-License-Identifier: LGPL-2.1-or-later
/* What went wrong: the kernel's extended acks as text. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* Present since Linux 6.1; the build may see older headers. */
enum {
	ATTR_MSG = 1,
	ATTR_OFFS = 2,
	ATTR_MISS_TYPE = 5,
};

#ifndef NLM_F_CAPPED
#define NLM_F_CAPPED	0x100
#endif
#ifndef NLM_F_ACK_TLVS
#define NLM_F_ACK_TLVS	0x200
#endif

static const char no_module[] =
	"tapxfer module is not loaded: modprobe tapxfer";

EXPORT const char *tapxfer_open_error(int err)
{
	switch (err) {
	case 0:
		return "no error";
	case -ENOENT:
		return no_module;
	case -EPERM:
		return "may not enter the network namespace: CAP_SYS_ADMIN is needed";
	case -EBADF:
	case -EINVAL:
		return "not a file of a network namespace";
	case -EPROTONOSUPPORT:
		return "this kernel has no generic netlink";
	case -EMFILE:
		return "too many open files: raise RLIMIT_NOFILE";
	case -ENFILE:
		return "the host has too many open files: raise fs.file-max";
	case -ENOMEM:
	case -ENOBUFS:
		return "out of memory";
	default:
		return "cannot connect to the kernel's generic netlink";
	}
}

EXPORT const char *tapxfer_error(const struct tapxfer *tx)
{
	return tx->error.text;
}

EXPORT const char *tapxfer_error_extack(const struct tapxfer *tx)
{
	return tx->error.extack[0] ? tx->error.extack : NULL;
}

EXPORT unsigned int tapxfer_error_attr(const struct tapxfer *tx)
{
	return tx->error.attr;
}

EXPORT int tapxfer_error_fd(const struct tapxfer *tx)
{
	return tx->error.fd;
}

void txl_error_reset(struct tapxfer *tx)
{
	tx->error.text[0] = '\0';
	tx->error.extack[0] = '\0';
	tx->error.attr = 0;
	tx->error.fd = -1;
}

/* @tx may be NULL where a call can do without a handle. */
int txl_error_set(struct tapxfer *tx, int err, const char *fmt, ...)
{
	va_list ap;

	if (!tx)
		return err;

	txl_error_reset(tx);
	va_start(ap, fmt);
	vsnprintf(tx->error.text, sizeof(tx->error.text), fmt, ap);
	va_end(ap);
	return err;
}

int txl_error_errno(struct tapxfer *tx, int err, const char *what)
{
	/* %m, because strerror() is not for threads everywhere */
	errno = -err;
	return txl_error_set(tx, err, "%s: %m", what);
}

static const char *attr_name(enum txl_set set, unsigned int attr)
{
	static const char * const dev[] = {
		[TAPXFER_A_DEV_IFINDEX] = "ifindex",
		[TAPXFER_A_DEV_FD] = "fd",
	};
	static const char * const handover[] = {
		[TAPXFER_A_HANDOVER_ID] = "id",
		[TAPXFER_A_HANDOVER_TOKEN] = "token",
		[TAPXFER_A_HANDOVER_IFINDEX] = "ifindex",
		[TAPXFER_A_HANDOVER_FD] = "fd",
		[TAPXFER_A_HANDOVER_HOLD] = "hold",
		[TAPXFER_A_HANDOVER_DEADLINE] = "deadline",
		[TAPXFER_A_HANDOVER_TIMEOUT] = "timeout",
		[TAPXFER_A_HANDOVER_NO_FDS] = "no-fds",
		[TAPXFER_A_HANDOVER_SHARED] = "shared",
		[TAPXFER_A_HANDOVER_PID] = "pid",
		[TAPXFER_A_HANDOVER_HOLD_BYTES] = "hold-bytes",
		[TAPXFER_A_HANDOVER_ATTACH_ALL] = "attach-all",
		[TAPXFER_A_HANDOVER_SCRATCH] = "scratch",
		[TAPXFER_A_HANDOVER_BRIEF] = "brief",
		[TAPXFER_A_HANDOVER_NUM_QUEUES] = "num-queues",
		[TAPXFER_A_HANDOVER_THAW] = "thaw",
	};

	if (set == TXL_SET_DEV && attr < ARRAY_SIZE(dev))
		return dev[attr];
	if (set == TXL_SET_HANDOVER && attr < ARRAY_SIZE(handover))
		return handover[attr];
	return NULL;
}

static bool attr_is_fd(enum txl_set set, unsigned int attr)
{
	return (set == TXL_SET_DEV && attr == TAPXFER_A_DEV_FD) ||
	       (set == TXL_SET_HANDOVER && attr == TAPXFER_A_HANDOVER_FD);
}

/*
 * The offset counts from the request's first byte. It is looked up in the
 * request that we kept, so that the kernel need not echo it.
 */
static const struct nlattr *attr_at(const struct txl_req *req, uint32_t offs)
{
	const char *base = (const char *)req->nlh;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, req->nlh, sizeof(struct genlmsghdr))
		if ((size_t)((const char *)attr - base) == offs)
			return attr;
	return NULL;
}

/* Appends "(fd 7)", "(hold 0)", "(token)" to the text. */
static void blame(struct tapxfer *tx, const struct txl_req *req,
		  const struct nlattr *attr)
{
	struct txl_error *e = &tx->error;
	size_t len = strlen(e->text);
	size_t room = sizeof(e->text) - len;
	char *end = e->text + len;
	const char *name;

	e->attr = mnl_attr_get_type(attr);
	name = attr_name(req->set, e->attr);
	if (attr_is_fd(req->set, e->attr) &&
	    mnl_attr_get_payload_len(attr) == sizeof(uint32_t)) {
		e->fd = (int)mnl_attr_get_u32(attr);
		snprintf(end, room, " (fd %d)", e->fd);
	} else if (name && mnl_attr_get_payload_len(attr) == sizeof(uint32_t)) {
		snprintf(end, room, " (%s %u)", name, mnl_attr_get_u32(attr));
	} else if (name && mnl_attr_get_payload_len(attr) == sizeof(uint64_t)) {
		snprintf(end, room, " (%s %llu)", name,
			 (unsigned long long)mnl_attr_get_u64(attr));
	} else if (name) {
		snprintf(end, room, " (%s)", name);
	} else {
		snprintf(end, room, " (attribute %u)", e->attr);
	}
}

static void blame_missing(struct tapxfer *tx, const struct txl_req *req,
			  unsigned int type)
{
	struct txl_error *e = &tx->error;
	const char *name = attr_name(req->set, type);
	size_t len = strlen(e->text);

	e->attr = type;
	if (name)
		snprintf(e->text + len, sizeof(e->text) - len,
			 " (%s is missing)", name);
	else
		snprintf(e->text + len, sizeof(e->text) - len,
			 " (attribute %u is missing)", type);
}

/* A message that was made in a buffer may be filled up with blanks. */
static void extack_take(struct tapxfer *tx, const struct nlattr *attr)
{
	char *text = tx->error.extack;
	size_t len;

	snprintf(text, sizeof(tx->error.extack), "%.*s",
		 (int)mnl_attr_get_payload_len(attr), mnl_attr_get_str(attr));
	for (len = strlen(text); len && strchr(" \t\n", text[len - 1]); len--)
		text[len - 1] = '\0';
}

/* Where the TLVs of an NLMSG_ERROR or NLMSG_DONE begin. */
static const struct nlattr *ack_tlvs(const struct nlmsghdr *ack, size_t *len)
{
	size_t off;

	*len = 0;
	if (!(ack->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;

	if (ack->nlmsg_type == NLMSG_DONE) {
		off = sizeof(int);
	} else {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(ack);

		off = sizeof(*e);
		if (!(ack->nlmsg_flags & NLM_F_CAPPED)) {
			if (e->msg.nlmsg_len < sizeof(e->msg))
				return NULL;
			off += e->msg.nlmsg_len - sizeof(e->msg);
		}
	}
	off = MNL_ALIGN(off);
	if (off >= mnl_nlmsg_get_payload_len(ack))
		return NULL;
	*len = mnl_nlmsg_get_payload_len(ack) - off;
	return mnl_nlmsg_get_payload_offset(ack, off);
}

/* @err is negative, @ack the message that brought it. */
int txl_error_ack(struct tapxfer *tx, int err, const struct nlmsghdr *ack,
		  const struct txl_req *req)
{
	const struct nlattr *attr, *tlvs, *at = NULL;
	uint32_t missing = 0;
	size_t len;

	txl_error_reset(tx);
	tlvs = ack_tlvs(ack, &len);
	for (attr = tlvs; attr && mnl_attr_ok(attr, (int)len);) {
		size_t plen = mnl_attr_get_payload_len(attr);
		size_t step = MNL_ALIGN(attr->nla_len);

		switch (mnl_attr_get_type(attr)) {
		case ATTR_MSG:
			extack_take(tx, attr);
			break;
		case ATTR_OFFS:
			if (plen == sizeof(uint32_t))
				at = attr_at(req, mnl_attr_get_u32(attr));
			break;
		case ATTR_MISS_TYPE:
			if (plen == sizeof(uint32_t))
				missing = mnl_attr_get_u32(attr);
			break;
		}
		if (step >= len)
			break;
		len -= step;
		attr = mnl_attr_next(attr);
	}

	if (tx->error.extack[0]) {
		snprintf(tx->error.text, sizeof(tx->error.text), "%s",
			 tx->error.extack);
	} else {
		errno = -err;
		snprintf(tx->error.text, sizeof(tx->error.text), "%m");
	}
	if (at)
		blame(tx, req, at);
	else if (missing)
		blame_missing(tx, req, missing);
	return err;
}
