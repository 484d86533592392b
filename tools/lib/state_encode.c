// SPDX-License-Identifier: LGPL-2.1-or-later
/* A state to bytes. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

/* Room for what a state has beside a handover's attributes */
#define EXTRA		512
/* and for a queue's descriptor */
#define EXTRA_QUEUE	8

/* The kernel's attributes have lower numbers. */
#define LEVEL_TYPES	64

_Static_assert(TAPXFER_A_HANDOVER_MAX < LEVEL_TYPES &&
	       TAPXFER_A_DEV_MAX < LEVEL_TYPES &&
	       TAPXFER_A_QUEUE_MAX < LEVEL_TYPES, "too many attributes");

struct writer {
	uint8_t *bytes;
	size_t len;
	size_t room;
};

/* A hole of @len bytes at the end, NULL when there is no room. */
static uint8_t *hole(struct writer *w, size_t len)
{
	uint8_t *p = w->bytes + w->len;

	if (len > w->room - w->len)
		return NULL;
	memset(p, 0, len);
	w->len += len;
	return p;
}

static void set_le16(uint8_t *p, uint16_t value)
{
	value = htole16(value);
	memcpy(p, &value, sizeof(value));
}

static void set_le32(uint8_t *p, uint32_t value)
{
	value = htole32(value);
	memcpy(p, &value, sizeof(value));
}

static void set_le64(uint8_t *p, uint64_t value)
{
	value = htole64(value);
	memcpy(p, &value, sizeof(value));
}

/* Head and padding of an attribute; returns where the value goes. */
static uint8_t *put(struct writer *w, const struct txl_state_attr *attr,
		    size_t len)
{
	uint16_t type = attr->type;
	uint8_t *p;

	if (len > UINT16_MAX - TXL_STATE_ATTR_HEAD)
		return NULL;
	p = hole(w, MNL_ALIGN(TXL_STATE_ATTR_HEAD + len));
	if (!p)
		return NULL;
	if (attr->kind == TXL_STATE_NEST)
		type |= TXL_STATE_NESTED;
	if (attr->flags & TXL_STATE_F_REQUIRED)
		type |= TXL_STATE_REQUIRED;
	set_le16(p, (uint16_t)(TXL_STATE_ATTR_HEAD + len));
	set_le16(p + 2, type);
	return p + TXL_STATE_ATTR_HEAD;
}

static bool put_bytes(struct writer *w, const struct txl_state_attr *attr,
		      const void *value, size_t len)
{
	uint8_t *p;

	if (len > attr->max)
		return false;
	p = put(w, attr, len);
	if (p)
		memcpy(p, value, len);
	return p;
}

static bool put_number(struct writer *w, const struct txl_state_attr *attr,
		       uint64_t value)
{
	uint8_t *p;

	switch (attr->kind) {
	case TXL_STATE_BOOL:
		p = put(w, attr, 1);
		if (p)
			*p = !!value;
		return p;
	case TXL_STATE_U32:
	case TXL_STATE_S32:
		p = put(w, attr, 4);
		if (p)
			set_le32(p, (uint32_t)value);
		return p;
	default:
		p = put(w, attr, 8);
		if (p)
			set_le64(p, value);
		return p;
	}
}

/* Attributes of one level by their type, found in one walk */
struct level {
	const struct nlattr *of[LEVEL_TYPES];
};

static void level_look(struct level *level, const struct tapxfer_info *info)
{
	const struct nlattr *a;

	memset(level, 0, sizeof(*level));
	mnl_attr_for_each_nested(a, (const struct nlattr *)info) {
		uint16_t type = mnl_attr_get_type(a);

		if (type < LEVEL_TYPES && !level->of[type])
			level->of[type] = a;
	}
}

static const struct nlattr *level_get(const struct level *level,
				      const struct txl_state_attr *attr)
{
	return attr->type < LEVEL_TYPES ? level->of[attr->type] : NULL;
}

static bool put_copy(struct writer *w, const struct txl_state_attr *attr,
		     const struct nlattr *from)
{
	const char *str;

	switch (attr->kind) {
	case TXL_STATE_STRING:
		if (mnl_attr_validate(from, MNL_TYPE_NUL_STRING) < 0)
			return false;
		str = mnl_attr_get_str(from);
		/* a device's name may have what no reader takes */
		return txl_state_is_text((const uint8_t *)str,
					 strlen(str) + 1) &&
		       put_bytes(w, attr, str, strlen(str) + 1);
	case TXL_STATE_BINARY:
		return put_bytes(w, attr, mnl_attr_get_payload(from),
				 mnl_attr_get_payload_len(from));
	default:
		return put_number(w, attr, txl_attr_u64(from));
	}
}

static bool put_text(struct writer *w, const struct txl_state_attr *attr,
		     const char *text)
{
	return !text || put_bytes(w, attr, text, strlen(text) + 1);
}

/* What is not the handover's own. *known tells whether @attr is such. */
static bool put_extra(struct writer *w, const struct txl_state_attr *attr,
		      const struct txl_state_source *src, bool *known)
{
	*known = true;
	switch (attr->type) {
	case TAPXFER_A_HANDOVER_TOKEN:
		return !src->token || put_bytes(w, attr, src->token->bytes,
						sizeof(src->token->bytes));
	case TAPXFER_A_STATE_LIBRARY:
		return put_text(w, attr, tapxfer_version());
	case TAPXFER_A_STATE_MODULE:
		return put_text(w, attr,
				tapxfer_info_str(src->caps,
						 TAPXFER_A_CAP_MODULE_VERSION));
	case TAPXFER_A_STATE_KERNEL_FEATURES:
		return put_number(w, attr,
				  tapxfer_info_u64(src->caps,
						   TAPXFER_A_CAP_FEATURES));
	case TAPXFER_A_STATE_READS:
		return put_number(w, attr, TXL_STATE_FEATURES);
	default:
		*known = false;
		return true;
	}
}

static bool put_queue(struct writer *w, const struct txl_state_attr *attr,
		      const struct tapxfer_info *queue, const int *fd)
{
	size_t start = w->len + TXL_STATE_ATTR_HEAD;
	const struct txl_state_attr *a;
	struct level level;

	if (!put(w, attr, 0))
		return false;
	level_look(&level, queue);
	for (a = attr->nest; a->type; a++) {
		if (a->flags & TXL_STATE_F_FDS) {
			if (fd && !put_number(w, a, (uint32_t)*fd))
				return false;
		} else if (level_get(&level, a)) {
			if (!put_copy(w, a, level_get(&level, a)))
				return false;
		} else if (a->flags & TXL_STATE_F_ALWAYS) {
			return false;
		}
	}
	if (w->len - start > UINT16_MAX - TXL_STATE_ATTR_HEAD)
		return false;
	set_le16(w->bytes + start - TXL_STATE_ATTR_HEAD,
		 (uint16_t)(w->len - start + TXL_STATE_ATTR_HEAD));
	return true;
}

/* The device, and each queue with its descriptor */
static bool put_nests(struct writer *w, const struct txl_state_attr *attr,
		      const struct txl_state_source *src)
{
	const struct tapxfer_info *nest;
	const int *fds = NULL;
	size_t n = 0;

	if (attr->type == TAPXFER_A_HANDOVER_QUEUE)
		fds = src->fds;
	for_each_nest(nest, src->ho, attr->type) {
		if (!put_queue(w, attr, nest, fds ? fds + n : NULL))
			return false;
		n++;
	}
	return n;
}

static const char *put_all(struct writer *w,
			   const struct txl_state_source *src)
{
	const struct txl_state_attr *a;
	struct level level;
	bool known, ok;

	level_look(&level, src->ho);
	for (a = txl_state_attrs; a->type; a++) {
		ok = put_extra(w, a, src, &known);
		if (!known && a->kind == TXL_STATE_NEST)
			ok = put_nests(w, a, src);
		else if (!known && level_get(&level, a))
			ok = put_copy(w, a, level_get(&level, a));
		else if (!known)
			ok = !(a->flags & TXL_STATE_F_ALWAYS);
		if (!ok)
			return a->name;
	}
	return NULL;
}

/* What the state of a handover uses, of enum tapxfer_state_feature */
uint64_t txl_state_uses(const struct tapxfer_info *ho)
{
	uint64_t features = TAPXFER_STATE_FEATURE_HELD;
	const struct tapxfer_info *queue;

	features |= tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_UNSENT) ?
		    TAPXFER_STATE_FEATURE_LEFT : TAPXFER_STATE_FEATURE_DRAINED;
	for_each_nest(queue, ho, TAPXFER_A_HANDOVER_QUEUE)
		if (tapxfer_info_u64(queue, TAPXFER_A_QUEUE_DETACHED))
			features |= TAPXFER_STATE_FEATURE_DETACHED;
	return features;
}

/*
 * The whole stream, in memory of its own. Each attribute takes as much room as
 * the kernel's, so the size is known before.
 */
int txl_state_encode(struct tapxfer *tx, const struct txl_state_source *src,
		     void **bytes, size_t *len)
{
	uint64_t features = txl_state_uses(src->ho);
	struct writer w = { 0 };
	const char *missing;
	uint8_t *p;
	size_t n;

	n = tapxfer_info_count(src->ho, TAPXFER_A_HANDOVER_QUEUE);
	w.room = TXL_STATE_HEADER + TXL_INFO_MAX + EXTRA + n * EXTRA_QUEUE +
		 TXL_STATE_TRAILER;
	w.bytes = malloc(w.room);
	if (!w.bytes)
		return txl_error_errno(tx, -ENOMEM, "a state");
	if (src->fds)
		features |= TAPXFER_STATE_FEATURE_FDS;

	hole(&w, TXL_STATE_HEADER);
	missing = put_all(&w, src);
	if (missing) {
		free(w.bytes);
		return txl_error_set(tx, -EPROTO,
				     "the kernel did not tell what a state needs, or not as it should: %s",
				     missing);
	}

	p = w.bytes;
	memcpy(p + TXL_STATE_OFF_MAGIC, TXL_STATE_MAGIC, TXL_STATE_MAGIC_LEN);
	set_le16(p + TXL_STATE_OFF_VERSION, TXL_STATE_VERSION);
	set_le16(p + TXL_STATE_OFF_PHASE, TAPXFER_PHASE_STOPPED);
	set_le32(p + TXL_STATE_OFF_LENGTH,
		 (uint32_t)(w.len - TXL_STATE_HEADER));
	set_le64(p + TXL_STATE_OFF_FEATURES, features);
	set_le32(p + TXL_STATE_OFF_CRC, txl_crc32c(0, p, TXL_STATE_OFF_CRC));
	n = w.len;
	/* it is there: the room was counted with it */
	p = hole(&w, TXL_STATE_TRAILER);
	if (!p) {
		free(w.bytes);
		return txl_error_set(tx, -EMSGSIZE, "the state is too long");
	}
	set_le32(p, txl_crc32c(0, w.bytes, n));
	*bytes = w.bytes;
	*len = w.len;
	return 0;
}
