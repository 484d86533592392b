// SPDX-License-Identifier: LGPL-2.1-or-later
/* Bytes to a state. They may be anybody's: nothing they say is believed. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "state.h"

/* Bytes of one level, and where they stand in the stream */
struct reader {
	struct tapxfer *tx;
	const uint8_t *start;		/* of the stream */
	uint64_t features;
	struct tapxfer_token *token;	/* where it goes, or NULL */
	struct txl_build build;
};

static uint16_t get_le16(const uint8_t *p)
{
	uint16_t value;

	memcpy(&value, p, sizeof(value));
	return le16toh(value);
}

static uint32_t get_le32(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return le32toh(value);
}

static uint64_t get_le64(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return le64toh(value);
}

static int refuse_features(struct tapxfer *tx, uint64_t features,
			   uint64_t known)
{
	uint64_t bad = features & ~known;
	int bit = __builtin_ctzll(bad);
	const char *name = tapxfer_state_feature_name(1ULL << bit);

	if (!name)
		return txl_error_set(tx, -EOPNOTSUPP,
				     "the state uses feature %d, which this version of the library does not know",
				     bit);
	return txl_error_set(tx, -EOPNOTSUPP,
			     "the state uses feature '%s', which is not taken here",
			     name);
}

/*
 * Read a header of TXL_STATE_HEADER bytes. Its own CRC comes first, or a
 * damaged length would let us wait for what never comes.
 */
int txl_state_header(struct tapxfer *tx, const void *bytes, uint64_t takes,
		     struct txl_state_header *header)
{
	const uint8_t *p = bytes;
	unsigned int value;

	if (memcmp(p + TXL_STATE_OFF_MAGIC, TXL_STATE_MAGIC,
		   TXL_STATE_MAGIC_LEN))
		return txl_error_set(tx, -EBADMSG,
				     "these bytes are no state of tapxfer's");
	value = get_le16(p + TXL_STATE_OFF_VERSION);
	if (value != TXL_STATE_VERSION)
		return txl_error_set(tx, -EOPNOTSUPP,
				     "the state is of version %u, this library reads version %u",
				     value, TXL_STATE_VERSION);
	if (get_le32(p + TXL_STATE_OFF_CRC) !=
	    txl_crc32c(0, p, TXL_STATE_OFF_CRC))
		return txl_error_set(tx, -EBADMSG,
				     "the state's header is damaged: wrong checksum");
	value = get_le16(p + TXL_STATE_OFF_PHASE);
	if (value != TAPXFER_PHASE_STOPPED)
		return txl_error_set(tx, -EOPNOTSUPP,
				     "the state is of phase %u, there is only 0 (stopped)",
				     value);
	if (get_le32(p + TXL_STATE_OFF_RESERVED))
		return txl_error_set(tx, -EBADMSG,
				     "the state's header has a reserved word that is not 0");

	header->length = get_le32(p + TXL_STATE_OFF_LENGTH);
	if (header->length > TXL_STATE_LENGTH_MAX)
		return txl_error_set(tx, -EMSGSIZE,
				     "the state is %u bytes long, more than any can be",
				     header->length);
	header->features = get_le64(p + TXL_STATE_OFF_FEATURES);
	if (header->features & ~takes)
		return refuse_features(tx, header->features, takes);
	return 0;
}

static int bad(struct reader *r, const uint8_t *at, const char *what,
	       const char *name)
{
	return txl_error_set(r->tx, -EBADMSG, "the state is damaged at byte %zu: %s%s%s",
			     (size_t)(at - r->start), what, name ? ": " : "",
			     name ? name : "");
}

static size_t width(unsigned int kind)
{
	switch (kind) {
	case TXL_STATE_BOOL:
		return 1;
	case TXL_STATE_U32:
	case TXL_STATE_S32:
		return 4;
	case TXL_STATE_U64:
		return 8;
	default:
		return 0;
	}
}

/* One attribute that we know, and that is no nest */
static int take(struct reader *r, const struct txl_state_attr *attr,
		const uint8_t *p, size_t len)
{
	size_t want = width(attr->kind);
	uint32_t value32;
	uint64_t value64;

	if (want && len != want)
		return bad(r, p, "wrong length", attr->name);
	if (!want && len > attr->max)
		return bad(r, p, "too long", attr->name);

	switch (attr->kind) {
	case TXL_STATE_BOOL:
		if (*p > 1)
			return bad(r, p, "neither 0 nor 1", attr->name);
		break;
	case TXL_STATE_U32:
	case TXL_STATE_S32:
		value32 = get_le32(p);
		txl_build_put(&r->build, attr->type, &value32, len);
		return 0;
	case TXL_STATE_U64:
		value64 = get_le64(p);
		txl_build_put(&r->build, attr->type, &value64, len);
		return 0;
	case TXL_STATE_STRING:
		if (!txl_state_is_text(p, len))
			return bad(r, p, "no text", attr->name);
		break;
	default:
		if (attr->type != TAPXFER_A_HANDOVER_TOKEN)
			break;
		/* an object may be printed: the token stays out of it */
		if (len != sizeof(r->token->bytes))
			return bad(r, p, "wrong length", attr->name);
		if (r->token)
			memcpy(r->token->bytes, p, len);
		return 0;
	}
	txl_build_put(&r->build, attr->type, p, len);
	return 0;
}

static int level(struct reader *r, const struct txl_state_attr *table,
		 const uint8_t *p, size_t len);

static int take_nest(struct reader *r, const struct txl_state_attr *attr,
		     const uint8_t *p, size_t len)
{
	size_t start = txl_build_nest(&r->build, attr->type);
	int err = level(r, attr->nest, p, len);

	txl_build_nest_end(&r->build, start);
	return err;
}

/* The tables' order is not asked for; what is in them, once. */
static int level(struct reader *r, const struct txl_state_attr *table,
		 const uint8_t *p, size_t len)
{
	const struct txl_state_attr *attr;
	const uint8_t *end = p + len;
	uint64_t seen = 0, bit;
	size_t size, i;
	unsigned int type;
	int err;

	while (p < end) {
		if ((size_t)(end - p) < TXL_STATE_ATTR_HEAD)
			return bad(r, p, "half an attribute", NULL);
		size = get_le16(p);
		type = get_le16(p + 2);
		if (size < TXL_STATE_ATTR_HEAD ||
		    MNL_ALIGN(size) > (size_t)(end - p))
			return bad(r, p, "an attribute's length cannot be", NULL);
		for (i = size; i < MNL_ALIGN(size); i++)
			if (p[i])
				return bad(r, p + i, "padding that is not 0",
					   NULL);

		attr = txl_state_attr_find(table, type & TXL_STATE_TYPE);
		if (!attr && type & TXL_STATE_REQUIRED)
			return txl_error_set(r->tx, -EOPNOTSUPP,
					     "the state has attribute %u%s at byte %zu, which a reader must know and this version of the library does not",
					     type & TXL_STATE_TYPE,
					     table == txl_state_attrs ? "" :
					     " in a nest",
					     (size_t)(p - r->start));
		if (attr) {
			bit = 1ULL << (attr - table);
			if (seen & bit && !(attr->flags & TXL_STATE_F_MULTI))
				return bad(r, p, "an attribute twice",
					   attr->name);
			seen |= bit;
			if (!!(type & TXL_STATE_NESTED) != !!attr->nest)
				return bad(r, p, "wrong kind", attr->name);
			if (attr->flags & TXL_STATE_F_FDS &&
			    !(r->features & TAPXFER_STATE_FEATURE_FDS))
				return bad(r, p, "without feature 'fds'",
					   attr->name);
			err = (attr->nest ? take_nest : take)
				(r, attr, p + TXL_STATE_ATTR_HEAD,
				 size - TXL_STATE_ATTR_HEAD);
			if (err)
				return err;
		}
		p += MNL_ALIGN(size);
	}

	for (attr = table; attr->type; attr++) {
		bit = 1ULL << (attr - table);
		if (seen & bit)
			continue;
		if (attr->flags & TXL_STATE_F_ALWAYS ||
		    (attr->flags & TXL_STATE_F_FDS &&
		     r->features & TAPXFER_STATE_FEATURE_FDS))
			return bad(r, end, "something is missing", attr->name);
	}
	return 0;
}

/* What one attribute says of others */
static int consistent(struct reader *r, const struct tapxfer_info *info,
		      const uint8_t *end)
{
	const uint64_t flight = TAPXFER_STATE_FEATURE_DRAINED |
				TAPXFER_STATE_FEATURE_LEFT;
	uint64_t used = r->features & flight;
	size_t n = tapxfer_info_count(info, TAPXFER_A_HANDOVER_QUEUE);

	if (n > TXL_STATE_QUEUES_MAX ||
	    n != tapxfer_info_u64(info, TAPXFER_A_HANDOVER_NUM_QUEUES))
		return bad(r, end, "not as many queues as it says", NULL);
	if (!used || used == flight)
		return bad(r, end, "either drained or left, not both or none",
			   NULL);
	if (!(r->features & TAPXFER_STATE_FEATURE_HELD))
		return bad(r, end, "no feature 'held'", NULL);
	if (txl_state_uses(info) & ~r->features &
	    TAPXFER_STATE_FEATURE_DETACHED)
		return bad(r, end, "detached queues without the feature", NULL);
	return 0;
}

/*
 * Read a whole stream, whose header txl_state_header() has accepted and whose
 * length is as that says. *info is NULL unless it succeeds. The token, if there
 * is one, goes to @token, unless that is NULL.
 */
int txl_state_decode(struct tapxfer *tx, const void *bytes, size_t len,
		     struct tapxfer_token *token, struct tapxfer_info **info)
{
	size_t attrs = len - TXL_STATE_HEADER - TXL_STATE_TRAILER;
	const uint8_t *start = bytes;
	struct reader r = { .tx = tx, .start = start, .token = token };
	const uint8_t *end = start + TXL_STATE_HEADER + attrs;
	int err;

	if (get_le32(start + len - TXL_STATE_TRAILER) !=
	    txl_crc32c(0, start, len - TXL_STATE_TRAILER))
		return txl_error_set(tx, -EBADMSG,
				     "the state is damaged: wrong checksum");

	r.features = get_le64(start + TXL_STATE_OFF_FEATURES);
	if (txl_build_begin(&r.build))
		return txl_error_errno(tx, -ENOMEM, "a state");
	txl_build_put(&r.build, TAPXFER_A_STATE_FEATURES, &r.features,
		      sizeof(r.features));
	err = level(&r, txl_state_attrs, start + TXL_STATE_HEADER, attrs);
	*info = txl_build_end(&r.build, !err);
	if (!err && !*info)
		err = txl_error_set(tx, -EMSGSIZE,
				    "the state is too long for an object");
	if (!err)
		err = consistent(&r, *info, end);
	if (err) {
		tapxfer_info_free(*info);
		*info = NULL;
	}
	return err;
}
