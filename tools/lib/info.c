// SPDX-License-Identifier: LGPL-2.1-or-later
/* Objects as the kernel told them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/*
 * An object is a copy of the attributes in one piece, with the head of a
 * nested attribute before them. So an object within another is just a
 * pointer to its attribute, and reading needs neither an index nor memory.
 */
struct tapxfer_info {
	struct nlattr nla;
};

static bool is_nest(enum txl_set set, unsigned int type)
{
	return set == TXL_SET_HANDOVER && (type == TAPXFER_A_HANDOVER_DEV ||
					   type == TAPXFER_A_HANDOVER_QUEUE);
}

/*
 * Room for the largest object, for calls that must not fail for want of
 * memory once the kernel has done its part.
 */
struct tapxfer_info *txl_info_reserve(void)
{
	return malloc(TXL_INFO_MAX);
}

/*
 * Copy a message's attributes to *info, which is NULL or txl_info_reserve()d.
 * The token goes to @token alone, if it is wanted at all: an object may live
 * long, and be printed.
 */
int txl_info_new(const struct nlmsghdr *nlh, enum txl_set set,
		 struct tapxfer_token *token, struct tapxfer_info **info)
{
	size_t len = sizeof(struct tapxfer_info);
	const struct nlattr *attr;
	char *p;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct genlmsghdr))
		return -EPROTO;
	if (mnl_nlmsg_get_payload_len(nlh) > TXL_INFO_MAX - NLA_HDRLEN)
		return -EMSGSIZE;

	if (!*info)
		*info = malloc(len + mnl_nlmsg_get_payload_len(nlh));
	if (!*info)
		return -ENOMEM;

	p = (char *)*info;
	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		unsigned int type = mnl_attr_get_type(attr);
		size_t size = MNL_ALIGN(attr->nla_len);
		struct nlattr *copy;

		if (set == TXL_SET_HANDOVER &&
		    type == TAPXFER_A_HANDOVER_TOKEN) {
			if (token && mnl_attr_get_payload_len(attr) ==
				     sizeof(token->bytes))
				memcpy(token->bytes, mnl_attr_get_payload(attr),
				       sizeof(token->bytes));
			continue;
		}
		memset(p + len, 0, size);
		memcpy(p + len, attr, attr->nla_len);
		copy = (struct nlattr *)(p + len);
		if (is_nest(set, type))
			copy->nla_type |= NLA_F_NESTED;
		len += size;
	}
	(*info)->nla.nla_len = (uint16_t)len;
	(*info)->nla.nla_type = NLA_F_NESTED;
	return 0;
}

EXPORT void tapxfer_info_free(struct tapxfer_info *info)
{
	free(info);
}

static const struct nlattr *find(const struct tapxfer_info *info,
				 unsigned int attr, size_t n)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, &info->nla)
		if (mnl_attr_get_type(a) == attr && !n--)
			return a;
	return NULL;
}

EXPORT bool tapxfer_info_has(const struct tapxfer_info *info,
			     unsigned int attr)
{
	return find(info, attr, 0);
}

EXPORT size_t tapxfer_info_count(const struct tapxfer_info *info,
				 unsigned int attr)
{
	const struct nlattr *a;
	size_t n = 0;

	mnl_attr_for_each_nested(a, &info->nla)
		n += mnl_attr_get_type(a) == attr;
	return n;
}

uint64_t txl_attr_u64(const struct nlattr *a)
{
	switch (mnl_attr_get_payload_len(a)) {
	case 1:
		return mnl_attr_get_u8(a);
	case 2:
		return mnl_attr_get_u16(a);
	case 4:
		return mnl_attr_get_u32(a);
	case 8:
		return mnl_attr_get_u64(a);
	default:
		return 0;
	}
}

EXPORT uint64_t tapxfer_info_u64(const struct tapxfer_info *info,
				 unsigned int attr)
{
	const struct nlattr *a = find(info, attr, 0);

	return a ? txl_attr_u64(a) : 0;
}

EXPORT int32_t tapxfer_info_s32(const struct tapxfer_info *info,
				unsigned int attr)
{
	const struct nlattr *a = find(info, attr, 0);

	if (!a || mnl_attr_get_payload_len(a) != sizeof(int32_t))
		return 0;
	return (int32_t)mnl_attr_get_u32(a);
}

EXPORT const char *tapxfer_info_str(const struct tapxfer_info *info,
				    unsigned int attr)
{
	const struct nlattr *a = find(info, attr, 0);

	if (!a || mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
		return NULL;
	return mnl_attr_get_str(a);
}

EXPORT const void *tapxfer_info_bin(const struct tapxfer_info *info,
				    unsigned int attr, size_t *len)
{
	const struct nlattr *a = find(info, attr, 0);

	*len = a ? mnl_attr_get_payload_len(a) : 0;
	return a ? mnl_attr_get_payload(a) : NULL;
}

EXPORT const struct tapxfer_info *
tapxfer_info_nest(const struct tapxfer_info *info, unsigned int attr, size_t n)
{
	const struct nlattr *a = find(info, attr, n);

	if (!a || !(a->nla_type & NLA_F_NESTED))
		return NULL;
	return (const struct tapxfer_info *)a;
}

/*
 * The next nest of the type after @nest, the first one after NULL. A loop with
 * tapxfer_info_nest() would begin anew for each.
 */
const struct tapxfer_info *txl_info_next(const struct tapxfer_info *info,
					 unsigned int attr,
					 const struct tapxfer_info *nest)
{
	const char *end = (const char *)info + info->nla.nla_len;
	const struct nlattr *a = nest ? mnl_attr_next(&nest->nla) :
					mnl_attr_get_payload(&info->nla);

	while (mnl_attr_ok(a, (int)(end - (const char *)a))) {
		if (mnl_attr_get_type(a) == attr)
			return a->nla_type & NLA_F_NESTED ?
			       (const struct tapxfer_info *)a : NULL;
		a = mnl_attr_next(a);
	}
	return NULL;
}

EXPORT size_t tapxfer_info_fds(const struct tapxfer_info *info, int *fds,
			       size_t n)
{
	const struct nlattr *a;
	size_t count = 0;

	mnl_attr_for_each_nested(a, &info->nla) {
		const struct nlattr *fd;

		if (mnl_attr_get_type(a) != TAPXFER_A_HANDOVER_QUEUE ||
		    !(a->nla_type & NLA_F_NESTED))
			continue;
		fd = find((const struct tapxfer_info *)a, TAPXFER_A_QUEUE_FD, 0);
		if (!fd || mnl_attr_get_payload_len(fd) != sizeof(int32_t))
			continue;
		if (count < n)
			fds[count] = (int)mnl_attr_get_u32(fd);
		count++;
	}
	return count;
}

static const char *name_at(const char * const *names, size_t n, uint64_t value)
{
	return value < n ? names[value] : NULL;
}

EXPORT const char *tapxfer_state_name(unsigned int state)
{
	static const char * const names[] = {
		[TAPXFER_STATE_PREPARED] = "prepared",
		[TAPXFER_STATE_HOLDING] = "holding",
		[TAPXFER_STATE_FROZEN] = "frozen",
		[TAPXFER_STATE_CLAIMED] = "claimed",
		[TAPXFER_STATE_READY] = "ready",
		[TAPXFER_STATE_DRAINING] = "draining",
	};

	return name_at(names, ARRAY_SIZE(names), state);
}

EXPORT const char *tapxfer_event_name(unsigned int event)
{
	static const char * const names[] = {
		[TAPXFER_EVENT_PREPARED] = "prepared",
		[TAPXFER_EVENT_HOLDING] = "holding",
		[TAPXFER_EVENT_FROZEN] = "frozen",
		[TAPXFER_EVENT_CLAIMED] = "claimed",
		[TAPXFER_EVENT_READY] = "ready",
		[TAPXFER_EVENT_THAWED] = "thawed",
		[TAPXFER_EVENT_ABORTED] = "aborted",
		[TAPXFER_EVENT_EXPIRED] = "expired",
		[TAPXFER_EVENT_GONE] = "gone",
		[TAPXFER_EVENT_VIOLATED] = "violated",
	};

	return name_at(names, ARRAY_SIZE(names), event);
}

EXPORT const char *tapxfer_dev_type_name(unsigned int type)
{
	static const char * const names[] = {
		[TAPXFER_DEV_TYPE_TUN] = "tun",
		[TAPXFER_DEV_TYPE_TAP] = "tap",
	};

	return name_at(names, ARRAY_SIZE(names), type);
}

EXPORT const char *tapxfer_feature_name(uint64_t feature)
{
	switch (feature) {
	case TAPXFER_FEATURE_HOLD:
		return "hold";
	case TAPXFER_FEATURE_DETACHED:
		return "detached";
	case TAPXFER_FEATURE_CLAIM:
		return "claim";
	case TAPXFER_FEATURE_CLAIMANT_EXIT:
		return "claimant-exit";
	case TAPXFER_FEATURE_WRITE_WAIT:
		return "write-wait";
	case TAPXFER_FEATURE_SHADOW:
		return "shadow";
	case TAPXFER_FEATURE_READY:
		return "ready";
	case TAPXFER_FEATURE_NO_FDS:
		return "no-fds";
	case TAPXFER_FEATURE_PASS:
		return "pass";
	case TAPXFER_FEATURE_EXCLUSIVE:
		return "exclusive";
	case TAPXFER_FEATURE_VHOST_BATCH:
		return "vhost-batch";
	case TAPXFER_FEATURE_DRAIN:
		return "drain";
	case TAPXFER_FEATURE_HOLD_BYTES:
		return "hold-bytes";
	case TAPXFER_FEATURE_VIOLATED:
		return "violated";
	case TAPXFER_FEATURE_ATTACH_ALL:
		return "attach-all";
	case TAPXFER_FEATURE_SCRATCH:
		return "scratch";
	case TAPXFER_FEATURE_BRIEF:
		return "brief";
	case TAPXFER_FEATURE_CLAIM_THAW:
		return "claim-thaw";
	default:
		return NULL;
	}
}

EXPORT const char *tapxfer_not_exported_name(uint32_t bit)
{
	switch (bit) {
	case TAPXFER_NOT_EXPORTED_TX_FILTER:
		return "tx-filter";
	case TAPXFER_NOT_EXPORTED_STEERING_EBPF:
		return "steering-ebpf";
	case TAPXFER_NOT_EXPORTED_FILTER_EBPF:
		return "filter-ebpf";
	case TAPXFER_NOT_EXPORTED_QUEUE_INDEX:
		return "queue-index";
	default:
		return NULL;
	}
}

EXPORT const char *tapxfer_violation_name(uint32_t bit)
{
	switch (bit) {
	case TAPXFER_VIOLATION_QUEUES:
		return "queues";
	case TAPXFER_VIOLATION_NAME:
		return "name";
	case TAPXFER_VIOLATION_NETNS:
		return "netns";
	case TAPXFER_VIOLATION_OFFLOADS:
		return "offloads";
	case TAPXFER_VIOLATION_XDP:
		return "xdp";
	case TAPXFER_VIOLATION_CARRIER:
		return "carrier";
	case TAPXFER_VIOLATION_SETTINGS:
		return "settings";
	default:
		return NULL;
	}
}
