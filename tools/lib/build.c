// SPDX-License-Identifier: LGPL-2.1-or-later
/* Objects that the library makes itself. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int txl_build_begin(struct txl_build *b)
{
	b->len = 0;
	b->full = false;
	b->out = malloc(TXL_INFO_MAX);
	if (!b->out)
		return -ENOMEM;
	txl_build_nest(b, 0);
	return 0;
}

/* Room for a value: NULL when there is none, which the end tells as well. */
static void *put(struct txl_build *b, uint16_t type, size_t len)
{
	size_t size = MNL_ALIGN(MNL_ATTR_HDRLEN + len);
	struct nlattr *nla = (struct nlattr *)(b->out + b->len);

	if (b->full || len > TXL_INFO_MAX || size > TXL_INFO_MAX - b->len) {
		b->full = true;
		return NULL;
	}
	memset(nla, 0, size);
	nla->nla_len = (uint16_t)(MNL_ATTR_HDRLEN + len);
	nla->nla_type = type;
	b->len += size;
	return mnl_attr_get_payload(nla);
}

void txl_build_put(struct txl_build *b, uint16_t type, const void *value,
		   size_t len)
{
	void *p = put(b, type, len);

	if (p)
		memcpy(p, value, len);
}

/* Where a nest begins, for txl_build_nest_end() */
size_t txl_build_nest(struct txl_build *b, uint16_t type)
{
	size_t start = b->len;

	put(b, type | NLA_F_NESTED, 0);
	return start;
}

void txl_build_nest_end(struct txl_build *b, size_t start)
{
	struct nlattr *nla = (struct nlattr *)(b->out + start);

	if (!b->full)
		nla->nla_len = (uint16_t)(b->len - start);
}

/* All of another object's attributes */
void txl_build_copy(struct txl_build *b, const struct tapxfer_info *from)
{
	const struct nlattr *nla = (const struct nlattr *)from, *a;

	mnl_attr_for_each_nested(a, nla)
		txl_build_put(b, a->nla_type, mnl_attr_get_payload(a),
			      mnl_attr_get_payload_len(a));
}

/* NULL when it is too long, or when it is not wanted: it is freed then. */
struct tapxfer_info *txl_build_end(struct txl_build *b, bool wanted)
{
	txl_build_nest_end(b, 0);
	if (b->full || !wanted) {
		free(b->out);
		return NULL;
	}
	return (struct tapxfer_info *)b->out;
}
