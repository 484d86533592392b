// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the messages say: netlink attributes, as the kernel's own messages have.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"

const char *txl_msg_name(unsigned int type)
{
	static const char * const names[] = {
		[TXL_MSG_HELLO] = "hello",
		[TXL_MSG_OFFER] = "offer",
		[TXL_MSG_ACCEPT] = "accept",
		[TXL_MSG_DEVICE] = "device",
		[TXL_MSG_FILES] = "files",
		[TXL_MSG_GIVEN] = "given",
		[TXL_MSG_TAKEN] = "taken",
		[TXL_MSG_STATE] = "state",
		[TXL_MSG_FROZEN] = "frozen",
		[TXL_MSG_VERDICT] = "verdict",
		[TXL_MSG_RELEASED] = "released",
		[TXL_MSG_DONE] = "done",
		[TXL_MSG_REFUSE] = "refuse",
	};

	return type < ARRAY_SIZE(names) && names[type] ? names[type] : "?";
}

/* -- making -------------------------------------------------------------- */

int txl_out_init(struct tapxfer_channel *ch, struct txl_out *out)
{
	memset(out, 0, sizeof(*out));
	out->nlh = calloc(1, MNL_NLMSG_HDRLEN + TXL_PAYLOAD_MAX);
	if (!out->nlh)
		return txl_error_set(ch->tx, -ENOMEM, "out of memory");
	mnl_nlmsg_put_header(out->nlh);
	return 0;
}

void txl_out_free(struct txl_out *out)
{
	if (!out->nlh)
		return;
	explicit_bzero(out->nlh, out->nlh->nlmsg_len);
	free(out->nlh);
	out->nlh = NULL;
}

int txl_send_empty(struct tapxfer_channel *ch, enum txl_msg type)
{
	return txl_conn_send(ch, type, NULL);
}

int txl_send_hello(struct tapxfer_channel *ch, enum txl_kind kind)
{
	struct txl_out out;
	int err;

	err = txl_out_init(ch, &out);
	if (err)
		return err;
	mnl_attr_put_u32(out.nlh, TXL_A_VERSION, TXL_VERSION);
	mnl_attr_put_u32(out.nlh, TXL_A_SIDE, ch->side);
	mnl_attr_put_u32(out.nlh, TXL_A_KIND, kind);
	mnl_attr_put(out.nlh, TXL_A_SESSION, sizeof(ch->session), ch->session);
	mnl_attr_put_strz(out.nlh, TXL_A_BOOT_ID, ch->boot_id);
	mnl_attr_put_u64(out.nlh, TXL_A_REQUIRED, 0);
	mnl_attr_put_u64(out.nlh, TXL_A_KERNEL_FEATURES, ch->own_features);
	mnl_attr_put_u64(out.nlh, TXL_A_STATE_FEATURES, ch->opts.takes);
	mnl_attr_put_strz(out.nlh, TXL_A_LIBRARY, tapxfer_version());
	err = txl_conn_send(ch, TXL_MSG_HELLO, &out);
	txl_out_free(&out);
	return err;
}

/* As far as it can be told; what failed is in the handle's text. */
void txl_send_refuse(struct tapxfer_channel *ch, int err)
{
	struct txl_error error = ch->tx->error;
	struct txl_out out;

	if (!ch->conn->dead && !txl_out_init(ch, &out)) {
		/* the other side waits for something, or has gone */
		ch->opts.timeout = ch->opts.timeout < 100 ?
				   ch->opts.timeout : 100;
		mnl_attr_put_u32(out.nlh, TXL_A_ERROR, (uint32_t)-err);
		mnl_attr_put_strz(out.nlh, TXL_A_TEXT, error.text);
		txl_conn_send(ch, TXL_MSG_REFUSE, &out);
		txl_out_free(&out);
		ch->conn->dead = true;
	}
	ch->tx->error = error;
}

/* -- taking -------------------------------------------------------------- */

static const struct {
	const char *name;
	enum mnl_attr_data_type type;
	size_t len;
} policy[__TXL_A_MAX] = {
	[TXL_A_VERSION] = { "version", MNL_TYPE_U32, 0 },
	[TXL_A_SIDE] = { "side", MNL_TYPE_U32, 0 },
	[TXL_A_KIND] = { "kind", MNL_TYPE_U32, 0 },
	[TXL_A_SESSION] = { "session", MNL_TYPE_UNSPEC, TXL_SESSION_LEN },
	[TXL_A_BOOT_ID] = { "boot-id", MNL_TYPE_NUL_STRING, 0 },
	[TXL_A_REQUIRED] = { "required", MNL_TYPE_U64, 0 },
	[TXL_A_KERNEL_FEATURES] = { "kernel-features", MNL_TYPE_U64, 0 },
	[TXL_A_STATE_FEATURES] = { "state-features", MNL_TYPE_U64, 0 },
	[TXL_A_LIBRARY] = { "library", MNL_TYPE_NUL_STRING, 0 },
	[TXL_A_TRANSPORT] = { "transport", MNL_TYPE_U32, 0 },
	[TXL_A_DRAIN] = { "drain", MNL_TYPE_U32, 0 },
	[TXL_A_DEV] = { "dev", MNL_TYPE_UNSPEC, 0 },
	[TXL_A_INDEX] = { "index", MNL_TYPE_U32, 0 },
	[TXL_A_NAME] = { "name", MNL_TYPE_NUL_STRING, 0 },
	[TXL_A_MODE] = { "mode", MNL_TYPE_U32, 0 },
	[TXL_A_QUEUES] = { "queues", MNL_TYPE_U32, 0 },
	[TXL_A_IFINDEX] = { "ifindex", MNL_TYPE_U32, 0 },
	[TXL_A_ID] = { "id", MNL_TYPE_U32, 0 },
	[TXL_A_TOKEN] = { "token", MNL_TYPE_UNSPEC, TAPXFER_TOKEN_LEN },
	[TXL_A_FIRST] = { "first", MNL_TYPE_U32, 0 },
	[TXL_A_OFFSET] = { "offset", MNL_TYPE_U32, 0 },
	[TXL_A_DATA] = { "data", MNL_TYPE_UNSPEC, 0 },
	[TXL_A_ERROR] = { "error", MNL_TYPE_U32, 0 },
	[TXL_A_TEXT] = { "text", MNL_TYPE_NUL_STRING, 0 },
};

/* What is not known is skipped: TXL_A_REQUIRED tells what must be known. */
static int attr_take(struct tapxfer_channel *ch, const struct nlattr *attr,
		     const struct nlattr *attrs[__TXL_A_MAX])
{
	unsigned int type = mnl_attr_get_type(attr);

	if (type >= __TXL_A_MAX || !policy[type].name)
		return 0;
	if ((policy[type].type != MNL_TYPE_UNSPEC &&
	     mnl_attr_validate(attr, policy[type].type) < 0) ||
	    (policy[type].len &&
	     mnl_attr_get_payload_len(attr) != policy[type].len))
		return txl_error_set(ch->tx, -EPROTO,
				     "the other side's '%s' is malformed",
				     policy[type].name);
	attrs[type] = attr;
	return 0;
}

int txl_attrs_take(struct tapxfer_channel *ch, const struct nlattr *nest,
		   const struct nlattr *attrs[__TXL_A_MAX])
{
	const struct nlattr *attr;
	int err = 0;

	memset(attrs, 0, sizeof(attrs[0]) * __TXL_A_MAX);
	mnl_attr_for_each_nested(attr, nest) {
		err = attr_take(ch, attr, attrs);
		if (err)
			break;
	}
	return err;
}

int txl_in_parse(struct tapxfer_channel *ch, struct txl_in *in)
{
	const struct nlattr *attr;
	int err = 0;

	mnl_attr_for_each_payload((const struct nlattr *)in->payload,
				  in->frame.len) {
		err = attr_take(ch, attr, in->attrs);
		if (err)
			return err;
	}
	return 0;
}

int txl_need(struct tapxfer_channel *ch, const struct nlattr *const *attrs,
	     const enum txl_attr *types, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!attrs[types[i]])
			return txl_error_set(ch->tx, -EPROTO,
					     "the other side's '%s' is missing",
					     policy[types[i]].name);
	return 0;
}

uint32_t txl_u32(const struct nlattr *const *attrs, enum txl_attr type)
{
	return attrs[type] ? mnl_attr_get_u32(attrs[type]) : 0;
}

/* The device that a message is about, one that is transferred */
int txl_in_dev(struct tapxfer_channel *ch, const struct txl_in *in,
	       struct txl_dev **dev)
{
	uint32_t index = txl_u32(in->attrs, TXL_A_INDEX);

	if (!in->attrs[TXL_A_INDEX] || index >= ch->ndevs ||
	    ch->devs[index].mode != TXL_MODE_TRANSFER)
		return txl_error_set(ch->tx, -EPROTO,
				     "'%s' is of a device that was not offered",
				     txl_msg_name(in->frame.type));
	*dev = &ch->devs[index];
	return 0;
}

/* It goes to somebody's terminal. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

int txl_in_refused(struct tapxfer_channel *ch, struct txl_in *in)
{
	char text[256] = "it does not say why";

	if (in->attrs[TXL_A_TEXT] && *mnl_attr_get_str(in->attrs[TXL_A_TEXT]))
		snprintf(text, sizeof(text), "%s",
			 mnl_attr_get_str(in->attrs[TXL_A_TEXT]));
	make_printable(text);
	ch->refused = true;
	return txl_error_set(ch->tx, -ECONNREFUSED, "the other side: %s", text);
}

/* The next message, which has to be of that type: name what is wrong. */
int txl_expect(struct tapxfer_channel *ch, enum txl_msg type,
	       struct txl_in *in)
{
	unsigned int got;
	int err;

	err = txl_conn_recv(ch, (int)ch->opts.timeout, in);
	if (err)
		return err;
	got = in->frame.type;
	if (got == type)
		return 0;
	err = got == TXL_MSG_REFUSE ? txl_in_refused(ch, in) :
	      txl_error_set(ch->tx, -EPROTO, "'%s' came where '%s' was due",
			    txl_msg_name(got), txl_msg_name(type));
	txl_in_free(in);
	return err;
}

int txl_expect_empty(struct tapxfer_channel *ch, enum txl_msg type)
{
	struct txl_in in;
	int err;

	err = txl_expect(ch, type, &in);
	if (!err)
		txl_in_free(&in);
	return err;
}

static int check_kind(struct tapxfer_channel *ch, enum txl_kind kind,
		      enum txl_kind got)
{
	if (got == kind)
		return 0;
	if (got == TXL_KIND_LATE)
		return txl_error_set(ch->tx, -EPROTO,
				     "the state came before the files: this is the first socket, and the other side's second");
	if (kind == TXL_KIND_LATE)
		return txl_error_set(ch->tx, -EPROTO,
				     "this is the second socket, and the other side's first: no state comes this way");
	return txl_error_set(ch->tx, -EPROTO,
			     "the other side uses %s, and this one %s",
			     got == TXL_KIND_EARLY ? "two sockets" : "one socket",
			     kind == TXL_KIND_EARLY ? "two" : "one");
}

static int check_hello(struct tapxfer_channel *ch, enum txl_kind kind,
		       const struct txl_in *in)
{
	static const enum txl_attr needed[] = {
		TXL_A_VERSION, TXL_A_SIDE, TXL_A_KIND, TXL_A_SESSION,
		TXL_A_KERNEL_FEATURES, TXL_A_STATE_FEATURES,
	};
	const void *session;
	uint64_t required;
	uint32_t version, side;
	int err;

	/* the version first: another one may have other attributes */
	err = txl_need(ch, in->attrs, needed, 1);
	if (err)
		return err;
	version = txl_u32(in->attrs, TXL_A_VERSION);
	if (version != TXL_VERSION)
		return txl_error_set(ch->tx, -EPROTO,
				     "the other side speaks version %u of the protocol, and this one %u",
				     version, TXL_VERSION);
	err = txl_need(ch, in->attrs, needed, ARRAY_SIZE(needed));
	if (err)
		return err;
	required = in->attrs[TXL_A_REQUIRED] ?
		   mnl_attr_get_u64(in->attrs[TXL_A_REQUIRED]) : 0;
	if (required)
		return txl_error_set(ch->tx, -EOPNOTSUPP,
				     "the other side requires extensions 0x%llx, which this one does not know",
				     (unsigned long long)required);
	side = txl_u32(in->attrs, TXL_A_SIDE);
	if (side != TXL_SIDE_SOURCE && side != TXL_SIDE_TARGET)
		return txl_error_set(ch->tx, -EPROTO,
				     "the other side is neither source nor target");
	if (side == (uint32_t)ch->side)
		return txl_error_set(ch->tx, -EPROTO, "both sides are %s",
				     ch->side == TXL_SIDE_SOURCE ? "sources" :
								   "targets");
	err = check_kind(ch, kind, txl_u32(in->attrs, TXL_A_KIND));
	if (err)
		return err;

	session = mnl_attr_get_payload(in->attrs[TXL_A_SESSION]);
	if (ch->side == TXL_SIDE_TARGET && kind != TXL_KIND_LATE)
		memcpy(ch->session, session, sizeof(ch->session));
	else if (memcmp(ch->session, session, sizeof(ch->session)))
		return txl_error_set(ch->tx, -ESTALE,
				     kind == TXL_KIND_LATE ?
				     "the state is for the files of another handover" :
				     "the other side answers for another handover");
	return 0;
}

int txl_recv_hello(struct tapxfer_channel *ch, enum txl_kind kind)
{
	struct txl_in in;
	int err;

	err = txl_expect(ch, TXL_MSG_HELLO, &in);
	if (err)
		return err;
	err = check_hello(ch, kind, &in);
	if (!err && kind != TXL_KIND_LATE) {
		ch->peer_features =
			mnl_attr_get_u64(in.attrs[TXL_A_KERNEL_FEATURES]);
		ch->peer_takes =
			mnl_attr_get_u64(in.attrs[TXL_A_STATE_FEATURES]);
		ch->local = ch->conn->is_unix && *ch->boot_id &&
			    in.attrs[TXL_A_BOOT_ID] &&
			    !strcmp(mnl_attr_get_str(in.attrs[TXL_A_BOOT_ID]),
				    ch->boot_id);
	}
	txl_in_free(&in);
	return err;
}
