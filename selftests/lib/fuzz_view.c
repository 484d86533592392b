// SPDX-License-Identifier: GPL-2.0
/*
 * A message as netlink and the family's spec have it, written down once more, so
 * that what the module accepts can be judged by somebody else.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "fuzz_msg.h"
#include "util.h"

enum kind { NONE, U32, S32_FD, U64, FLAG, TOKEN };

static const enum kind handover_kinds[TAPXFER_A_HANDOVER_MAX + 1] = {
	[TAPXFER_A_HANDOVER_ID]		= U32,
	[TAPXFER_A_HANDOVER_TOKEN]	= TOKEN,
	[TAPXFER_A_HANDOVER_IFINDEX]	= U32,
	[TAPXFER_A_HANDOVER_FD]		= S32_FD,
	[TAPXFER_A_HANDOVER_HOLD]	= U32,
	[TAPXFER_A_HANDOVER_DEADLINE]	= U32,
	[TAPXFER_A_HANDOVER_TIMEOUT]	= U32,
	[TAPXFER_A_HANDOVER_NO_FDS]	= FLAG,
	[TAPXFER_A_HANDOVER_SHARED]	= FLAG,
	[TAPXFER_A_HANDOVER_PID]	= U32,
	[TAPXFER_A_HANDOVER_HOLD_BYTES]	= U64,
	[TAPXFER_A_HANDOVER_ATTACH_ALL]	= FLAG,
	[TAPXFER_A_HANDOVER_SCRATCH]	= U64,
	[TAPXFER_A_HANDOVER_NUM_QUEUES]	= U32,
	[TAPXFER_A_HANDOVER_BRIEF]	= FLAG,
	[TAPXFER_A_HANDOVER_THAW]	= FLAG,
};

static const enum kind dev_kinds[TAPXFER_A_HANDOVER_MAX + 1] = {
	[TAPXFER_A_DEV_IFINDEX]		= U32,
	[TAPXFER_A_DEV_FD]		= S32_FD,
};

#define A(name)		(1ULL << TAPXFER_A_HANDOVER_##name)
#define GO_ON		(A(ID) | A(TOKEN))
#define BEGIN		(A(IFINDEX) | A(FD) | A(HOLD) | A(DEADLINE) | \
			 A(HOLD_BYTES) | A(SCRATCH))

static const struct {
	const char *name;
	bool dump;
	uint64_t takes;
} commands[TAPXFER_CMD_MAX + 1] = {
	[TAPXFER_CMD_CAP_GET]		= { "cap-get" },
	[TAPXFER_CMD_DEV_GET]		= {
		"dev-get", true,
		1ULL << TAPXFER_A_DEV_IFINDEX | 1ULL << TAPXFER_A_DEV_FD
	},
	[TAPXFER_CMD_HANDOVER_GET]	= { "handover-get", true, A(ID) },
	[TAPXFER_CMD_PREPARE]		= { "prepare", false, BEGIN },
	[TAPXFER_CMD_HOLD]		= { "hold", false, BEGIN | GO_ON },
	[TAPXFER_CMD_FREEZE]		= {
		"freeze", false, BEGIN | GO_ON | A(TIMEOUT) | A(BRIEF)
	},
	[TAPXFER_CMD_CLAIM]		= {
		"claim", false, GO_ON | A(NO_FDS) | A(ATTACH_ALL) |
				 A(SCRATCH) | A(BRIEF) | A(NUM_QUEUES) |
				 A(THAW) | A(SHARED)
	},
	[TAPXFER_CMD_THAW]		= {
		"thaw", false, GO_ON | A(SHARED) | A(SCRATCH)
	},
	[TAPXFER_CMD_ABORT]		= { "abort", false, GO_ON },
	[TAPXFER_CMD_READY]		= {
		"ready", false, GO_ON | A(SHARED) | A(SCRATCH)
	},
	[TAPXFER_CMD_PASS]		= { "pass", false, GO_ON | A(PID) },
	[TAPXFER_CMD_DRAIN]		= { "drain", false, GO_ON | A(TIMEOUT) },
};

const char *fuzz_cmd_name(uint8_t cmd)
{
	return cmd <= TAPXFER_CMD_MAX ? commands[cmd].name : NULL;
}

static const char *size_error(enum kind kind, size_t len)
{
	static const size_t sizes[] = {
		[U32] = 4, [S32_FD] = 4, [U64] = 8, [FLAG] = 0,
		[TOKEN] = TAPXFER_TOKEN_LEN,
	};

	return len == sizes[kind] ? NULL : "an attribute of a wrong size";
}

static void view_attr(struct fuzz_view *v, const struct nlattr *a)
{
	const enum kind *kinds = v->cmd == TAPXFER_CMD_DEV_GET ? dev_kinds :
							handover_kinds;
	uint16_t type = a->nla_type & NLA_TYPE_MASK;
	const uint8_t *data = (const uint8_t *)a + NLA_HDRLEN;
	uint32_t value;

	if (type > TAPXFER_A_HANDOVER_MAX ||
	    !(commands[v->cmd].takes & 1ULL << type)) {
		v->illegal = "an attribute that the command does not take";
		return;
	}
	if (a->nla_type & NLA_F_NESTED)
		v->illegal = "a nest where there is none";
	if (!v->illegal)
		v->illegal = size_error(kinds[type], a->nla_len - NLA_HDRLEN);
	if (v->illegal)
		return;
	v->val[type] = data;
	if (kinds[type] == S32_FD) {
		memcpy(&value, data, sizeof(value));
		v->fds[v->nfds % (sizeof(v->fds) / sizeof(v->fds[0]))] = value;
		v->nfds++;
	}
}

static void view_attrs(struct fuzz_view *v, const uint8_t *buf, size_t len)
{
	struct nlattr a;
	size_t step;

	while (!v->illegal && len >= NLA_HDRLEN) {
		memcpy(&a, buf, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > len)
			break;
		view_attr(v, (const struct nlattr *)buf);
		step = NLA_ALIGN(a.nla_len);
		if (step > len)
			step = len;
		buf += step;
		len -= step;
	}
	if (len && !v->illegal)
		v->illegal = "bytes that are no attribute";
}

static enum fuzz_reach view_reach(const struct nlmsghdr *nlh, uint16_t family,
				  const uint8_t *msg, struct fuzz_view *v)
{
	struct genlmsghdr genl;
	uint16_t extra;

	if (!(nlh->nlmsg_flags & NLM_F_REQUEST) ||
	    nlh->nlmsg_type < NLMSG_MIN_TYPE)
		return FUZZ_UNSEEN;
	if (nlh->nlmsg_type != family ||
	    nlh->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return FUZZ_CORE;
	memcpy(&genl, msg + NLMSG_HDRLEN, sizeof(genl));
	v->cmd = genl.cmd;
	v->dump = (nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	if (!fuzz_cmd_name(v->cmd) || (v->dump && !commands[v->cmd].dump))
		return FUZZ_CORE;
	extra = nlh->nlmsg_flags &
		~(NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO |
		  (v->dump ? NLM_F_DUMP : 0));
	/* Linux 6.1 began to look. */
	if ((genl.reserved || extra) && !kernel_before(6, 1))
		v->illegal = "a header with what is reserved";
	return FUZZ_COMMAND;
}

size_t fuzz_view_at(const uint8_t *buf, size_t len, size_t offs,
		    uint16_t family, struct fuzz_view *v)
{
	struct nlmsghdr nlh;
	size_t step;

	if (len < offs + NLMSG_HDRLEN)
		return 0;
	memcpy(&nlh, buf + offs, sizeof(nlh));
	if (nlh.nlmsg_len < NLMSG_HDRLEN || nlh.nlmsg_len > len - offs)
		return 0;
	v->seq = nlh.nlmsg_seq;
	v->flags = nlh.nlmsg_flags;
	v->cmd = 0;
	v->dump = false;
	v->illegal = NULL;
	v->nfds = 0;
	memset(v->val, 0, sizeof(v->val));
	v->reach = view_reach(&nlh, family, buf + offs, v);
	v->acked = v->reach == FUZZ_COMMAND && nlh.nlmsg_flags & NLM_F_ACK;
	if (v->reach == FUZZ_COMMAND)
		view_attrs(v, buf + offs + NLMSG_LENGTH(GENL_HDRLEN),
			   nlh.nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN));
	if (v->dump && nlh.nlmsg_len > NLMSG_LENGTH(GENL_HDRLEN))
		v->illegal = "a dump with attributes";
	step = NLMSG_ALIGN(nlh.nlmsg_len);
	return step < len - offs ? offs + step : len;
}

uint32_t fuzz_view_u32(const struct fuzz_view *v, unsigned int type)
{
	uint32_t value = 0;

	if (v->val[type])
		memcpy(&value, v->val[type], sizeof(value));
	return value;
}

/* -- memory for the kernel to write to ---------------------------------------- */

/* No address of a process's: bit 63 is the kernel's half, or nobody's */
#define NO_MEMORY	(1ULL << 63)

int fuzz_scratch_map(void)
{
	void *want = (void *)(uintptr_t)FUZZ_SCRATCH;
	void *got = mmap(want, FUZZ_SCRATCH_LEN, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			 -1, 0);

	return got == want ? 0 : -ENOMEM;
}

bool fuzz_scratch_is(uint64_t addr)
{
	return addr >= FUZZ_SCRATCH &&
	       addr - FUZZ_SCRATCH <= FUZZ_SCRATCH_LEN - TAPXFER_SCRATCH_LEN;
}

static void tame_attrs(uint8_t *buf, size_t len)
{
	struct nlattr a;
	uint64_t addr;
	size_t step;

	for (; len >= NLA_HDRLEN; buf += step, len -= step) {
		memcpy(&a, buf, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > len)
			return;
		step = NLA_ALIGN(a.nla_len);
		if (step > len)
			step = len;
		if ((a.nla_type & NLA_TYPE_MASK) != TAPXFER_A_HANDOVER_SCRATCH ||
		    a.nla_len < NLA_HDRLEN + sizeof(addr))
			continue;
		memcpy(&addr, buf + NLA_HDRLEN, sizeof(addr));
		if (fuzz_scratch_is(addr))
			continue;
		addr |= NO_MEMORY;
		memcpy(buf + NLA_HDRLEN, &addr, sizeof(addr));
	}
}

/* All of them: what is illegal may be taken all the same, which is to be told. */
void fuzz_scratch_tame(uint8_t *buf, size_t len, uint16_t family)
{
	static struct fuzz_view v;
	size_t offs = 0, next;
	struct nlmsghdr nlh;

	for (; (next = fuzz_view_at(buf, len, offs, family, &v)); offs = next) {
		memcpy(&nlh, buf + offs, sizeof(nlh));
		if (nlh.nlmsg_len >= NLMSG_LENGTH(GENL_HDRLEN))
			tame_attrs(buf + offs + NLMSG_LENGTH(GENL_HDRLEN),
				   nlh.nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN));
	}
}
