// SPDX-License-Identifier: LGPL-2.1-or-later
/* A state on its way: through a descriptor, or in pieces of the caller's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

struct tapxfer_stream {
	struct tapxfer *tx;
	uint32_t id;
	uint32_t direction;
	uint64_t takes;
	uint8_t *bytes;
	size_t len;		/* of all of it, or of what is known of it */
	size_t done;		/* written or read */
	bool complete;
	int err;		/* what failed, for good */
	struct txl_error error;
	struct tapxfer_info *info;
	uint8_t header[TXL_STATE_HEADER];
};

EXPORT uint64_t tapxfer_state_features(void)
{
	return TXL_STATE_FEATURES;
}

EXPORT const char *tapxfer_state_feature_name(uint64_t feature)
{
	switch (feature) {
	case TAPXFER_STATE_FEATURE_HELD:
		return "held";
	case TAPXFER_STATE_FEATURE_DRAINED:
		return "drained";
	case TAPXFER_STATE_FEATURE_LEFT:
		return "left";
	case TAPXFER_STATE_FEATURE_DETACHED:
		return "detached";
	case TAPXFER_STATE_FEATURE_FDS:
		return "fds";
	default:
		return NULL;
	}
}

static int takes_get(struct tapxfer *tx, const struct tapxfer_state_opts *opts,
		     uint64_t *takes)
{
	const char *p = (const char *)opts;
	uint32_t i;

	*takes = TXL_STATE_FEATURES;
	if (!opts)
		return 0;
	/* what the first version had: members that come later are looked for */
	if (opts->size < offsetof(struct tapxfer_state_opts, takes) +
			 sizeof(opts->takes))
		return txl_error_set(tx, -EINVAL, "the options have no size");
	for (i = sizeof(*opts); i < opts->size; i++)
		if (p[i])
			return txl_error_set(tx, -E2BIG,
					     "an option that this version of the library does not know");
	if (opts->set & ~(uint32_t)TAPXFER_STATE_OPT_TAKES)
		return txl_error_set(tx, -EINVAL,
				     "an option that this version of the library does not know");
	if (opts->set & TAPXFER_STATE_OPT_TAKES)
		*takes &= opts->takes;
	return 0;
}

/* A state is of queues that stand still, and as they were exported. */
int txl_state_frozen(struct tapxfer *tx, const struct tapxfer_info *ho)
{
	unsigned int state = (unsigned int)
		tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_STATE);
	const char *name = tapxfer_state_name(state);

	if (state == TAPXFER_STATE_FROZEN || state == TAPXFER_STATE_CLAIMED)
		return 0;
	return txl_error_set(tx, -EPROTO,
			     "the handover is %s: a state is saved and loaded while it is frozen or claimed",
			     name ? name : "in an unknown state");
}

static int handover_get(struct tapxfer_stream *stream,
			struct tapxfer_info **ho)
{
	int err = tapxfer_handover_get(stream->tx, stream->id, ho);

	if (err)
		return err;
	err = txl_state_frozen(stream->tx, *ho);
	if (err) {
		tapxfer_info_free(*ho);
		*ho = NULL;
	}
	return err;
}

/* Does the other side take what this state uses? */
static int taken_check(struct tapxfer_stream *stream,
		       const struct tapxfer_info *ho)
{
	uint64_t bad = txl_state_uses(ho) & ~stream->takes;

	if (!bad)
		return 0;
	bad &= -bad;
	return txl_error_set(stream->tx, -EOPNOTSUPP,
			     "the state uses feature '%s', which the other side does not take%s",
			     tapxfer_state_feature_name(bad),
			     bad == TAPXFER_STATE_FEATURE_LEFT ?
			     ": drain first" : "");
}

static int snapshot(struct tapxfer_stream *stream)
{
	struct tapxfer *tx = stream->tx;
	struct txl_state_source src = { 0 };
	struct tapxfer_info *ho;
	void *bytes;
	int err;

	err = handover_get(stream, &ho);
	if (err)
		return err;
	err = taken_check(stream, ho);
	if (!err)
		err = txl_caps(tx, &src.caps);
	src.ho = ho;
	if (!err)
		err = txl_state_encode(tx, &src, &bytes, &stream->len);
	if (!err)
		stream->bytes = bytes;
	tapxfer_info_free(ho);
	return err;
}

static int begin(struct tapxfer_stream *stream)
{
	struct tapxfer_info *ho;
	int err;

	if (stream->direction == TAPXFER_DIRECTION_SAVE)
		return snapshot(stream);
	stream->len = TXL_STATE_HEADER;
	if (!stream->id)
		return 0;
	err = handover_get(stream, &ho);
	if (!err)
		tapxfer_info_free(ho);
	return err;
}

EXPORT int tapxfer_state_open(struct tapxfer *tx, uint32_t id,
			      uint32_t direction, uint32_t phase,
			      const struct tapxfer_state_opts *opts,
			      struct tapxfer_stream **stream)
{
	struct tapxfer_stream *s;
	uint64_t takes;
	int err;

	*stream = NULL;
	if (tx)
		txl_error_reset(tx);
	if (direction != TAPXFER_DIRECTION_SAVE &&
	    direction != TAPXFER_DIRECTION_LOAD)
		return txl_error_set(tx, -EINVAL,
				     "no direction %u: a state is saved (0) or loaded (1)",
				     direction);
	if (phase != TAPXFER_PHASE_STOPPED)
		return txl_error_set(tx, -EOPNOTSUPP,
				     "no phase %u: there is only 0 (stopped)",
				     phase);
	if (direction == TAPXFER_DIRECTION_SAVE && !id)
		return txl_error_set(tx, -EINVAL, "which handover's state?");
	if (!tx && id)
		return -EINVAL;
	err = takes_get(tx, opts, &takes);
	if (err)
		return err;

	s = calloc(1, sizeof(*s));
	if (!s)
		return txl_error_errno(tx, -ENOMEM, "a state");
	s->tx = tx;
	s->id = id;
	s->direction = direction;
	s->takes = takes;
	err = begin(s);
	if (err)
		tapxfer_state_close(s);
	else
		*stream = s;
	return err;
}

EXPORT void tapxfer_state_close(struct tapxfer_stream *stream)
{
	if (!stream)
		return;
	tapxfer_info_free(stream->info);
	free(stream->bytes);
	free(stream);
}

/* For good: the bytes that were lost do not come again. */
static int fail(struct tapxfer_stream *stream, int err)
{
	stream->err = err;
	if (stream->tx)
		stream->error = stream->tx->error;
	return err;
}

/* May a transfer in this direction begin, or go on? */
static int go_on(struct tapxfer_stream *stream, uint32_t direction)
{
	if (stream->tx)
		txl_error_reset(stream->tx);
	if (stream->direction != direction)
		return txl_error_set(stream->tx, -EINVAL,
				     "the stream is one to %s",
				     direction == TAPXFER_DIRECTION_SAVE ?
				     "load" : "save");
	if (stream->err && stream->tx)
		stream->tx->error = stream->error;
	return stream->err;
}

static int again(struct tapxfer_stream *stream)
{
	return txl_error_set(stream->tx, -EALREADY,
			     "the stream is complete: open another");
}

/* ---- save ---- */

static void wrote(struct tapxfer_stream *stream, size_t n)
{
	stream->done += n;
	stream->complete = stream->done == stream->len;
}

EXPORT ssize_t tapxfer_state_pull(struct tapxfer_stream *stream, void *buf,
				  size_t size)
{
	size_t left = stream->len - stream->done;
	int err = go_on(stream, TAPXFER_DIRECTION_SAVE);

	if (err)
		return err;
	if (size > left)
		size = left;
	memcpy(buf, stream->bytes + stream->done, size);
	wrote(stream, size);
	return (ssize_t)size;
}

EXPORT int tapxfer_state_save(struct tapxfer_stream *stream, int fd)
{
	int err = go_on(stream, TAPXFER_DIRECTION_SAVE);
	ssize_t n;

	if (err)
		return err;
	if (stream->complete)
		return again(stream);
	while (!stream->complete) {
		n = write(fd, stream->bytes + stream->done,
			  stream->len - stream->done);
		if (n >= 0) {
			wrote(stream, (size_t)n);
		} else if (errno == EAGAIN) {
			return txl_error_set(stream->tx, -EAGAIN,
					     "the state's descriptor takes no more at present");
		} else if (errno != EINTR) {
			err = -errno;
			txl_error_errno(stream->tx, err,
					"cannot write the state");
			return fail(stream, err);
		}
	}
	return 0;
}

/* ---- load ---- */

/* Where the next bytes go */
static uint8_t *room(struct tapxfer_stream *stream)
{
	return (stream->bytes ? stream->bytes : stream->header) + stream->done;
}

/* @n bytes have come there. */
static int arrived(struct tapxfer_stream *stream, size_t n)
{
	struct txl_state_header header;
	int err;

	stream->done += n;
	if (stream->done < stream->len)
		return 0;
	if (stream->bytes) {
		err = txl_state_decode(stream->tx, stream->bytes, stream->len,
				       NULL, &stream->info);
		stream->complete = !err;
		return err ? fail(stream, err) : 0;
	}

	err = txl_state_header(stream->tx, stream->header, stream->takes,
			       &header);
	if (err)
		return fail(stream, err);
	stream->len += header.length + TXL_STATE_TRAILER;
	stream->bytes = malloc(stream->len);
	if (!stream->bytes)
		return fail(stream, txl_error_errno(stream->tx, -ENOMEM,
						    "a state"));
	memcpy(stream->bytes, stream->header, TXL_STATE_HEADER);
	return 0;
}

EXPORT ssize_t tapxfer_state_push(struct tapxfer_stream *stream,
				  const void *buf, size_t len)
{
	const uint8_t *p = buf;
	size_t n, used = 0;
	int err = go_on(stream, TAPXFER_DIRECTION_LOAD);

	while (!err && used < len && !stream->complete) {
		n = stream->len - stream->done;
		if (n > len - used)
			n = len - used;
		memcpy(room(stream), p + used, n);
		used += n;
		err = arrived(stream, n);
	}
	return err ? err : (ssize_t)used;
}

EXPORT int tapxfer_state_load(struct tapxfer_stream *stream, int fd)
{
	int err = go_on(stream, TAPXFER_DIRECTION_LOAD);
	ssize_t n;

	if (err)
		return err;
	if (stream->complete)
		return again(stream);
	while (!err && !stream->complete) {
		n = read(fd, room(stream), stream->len - stream->done);
		if (n > 0) {
			err = arrived(stream, (size_t)n);
		} else if (!n) {
			txl_error_set(stream->tx, -ENODATA,
				      "the state ended after %zu bytes",
				      stream->done);
			err = fail(stream, -ENODATA);
		} else if (errno == EAGAIN) {
			return txl_error_set(stream->tx, -EAGAIN,
					     "no more of the state at present");
		} else if (errno != EINTR) {
			err = -errno;
			txl_error_errno(stream->tx, err,
					"cannot read the state");
			return fail(stream, err);
		}
	}
	return err;
}

/* ---- what came of it ---- */

static int incomplete(struct tapxfer_stream *stream)
{
	return txl_error_set(stream->tx, -EINPROGRESS,
			     "the state is not complete: %zu of %zu bytes%s",
			     stream->done, stream->len,
			     stream->bytes ? "" : " of its header");
}

EXPORT bool tapxfer_state_complete(const struct tapxfer_stream *stream)
{
	return stream->complete;
}

/* One that is saved is read when somebody asks for it, which is seldom. */
EXPORT const struct tapxfer_info *
tapxfer_state_info(const struct tapxfer_stream *stream)
{
	struct tapxfer_stream *s = (struct tapxfer_stream *)stream;

	if (!s->info && s->direction == TAPXFER_DIRECTION_SAVE)
		txl_state_decode(NULL, s->bytes, s->len, NULL, &s->info);
	return s->info;
}

/* For those who go on with a state that is complete */
int txl_state_get(struct tapxfer_stream *stream, struct tapxfer **tx,
		  const struct tapxfer_info **info)
{
	int err = go_on(stream, stream->direction);

	if (err)
		return err;
	if (!stream->tx)
		return -EINVAL;
	if (!stream->complete)
		return incomplete(stream);
	*tx = stream->tx;
	*info = tapxfer_state_info(stream);
	return *info ? 0 : txl_error_errno(stream->tx, -ENOMEM, "a state");
}

EXPORT int tapxfer_state_check(struct tapxfer_stream *stream)
{
	const struct tapxfer_info *state;
	struct tapxfer_info *ho;
	struct tapxfer *tx;
	int err = go_on(stream, stream->direction);

	if (err)
		return err;
	if (!stream->complete)
		return incomplete(stream);
	if (!stream->id)
		return 0;
	err = handover_get(stream, &ho);
	if (err)
		return err;
	err = txl_state_get(stream, &tx, &state);
	if (!err)
		err = txl_state_verdict(tx, state, ho);
	tapxfer_info_free(ho);
	return err;
}
