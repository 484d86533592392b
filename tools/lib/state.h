/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* States within the library. */
#ifndef LIBTAPXFER_STATE_H
#define LIBTAPXFER_STATE_H

#include "internal.h"
#include "state_format.h"

/* All that this version knows, but for what goes with descriptors */
#define TXL_STATE_FEATURES	(TAPXFER_STATE_FEATURE_HELD |	\
				 TAPXFER_STATE_FEATURE_DRAINED |	\
				 TAPXFER_STATE_FEATURE_LEFT |		\
				 TAPXFER_STATE_FEATURE_DETACHED)

/* What to write */
struct txl_state_source {
	const struct tapxfer_info *ho;
	const struct tapxfer_info *caps;
	/* with TAPXFER_STATE_FEATURE_FDS */
	const struct tapxfer_token *token;
	const int *fds;			/* as many as there are queues */
};

/* What the header says */
struct txl_state_header {
	uint64_t features;
	uint32_t length;
};

/* state_encode.c */
uint64_t txl_state_uses(const struct tapxfer_info *ho);
int txl_state_encode(struct tapxfer *tx, const struct txl_state_source *src,
		     void **bytes, size_t *len);

/* state_decode.c */
int txl_state_header(struct tapxfer *tx, const void *bytes, uint64_t takes,
		     struct txl_state_header *header);
int txl_state_decode(struct tapxfer *tx, const void *bytes, size_t len,
		     struct tapxfer_token *token, struct tapxfer_info **info);

/* state_verdict.c */
int txl_state_verdict(struct tapxfer *tx, const struct tapxfer_info *state,
		      const struct tapxfer_info *ho);
bool txl_state_same(const struct tapxfer_info *a, const struct tapxfer_info *b,
		    const struct txl_state_attr *attr);

/* state_live.c */
int txl_state_live(struct tapxfer *tx, unsigned int ifindex, const int *fds,
		   size_t nfds, struct tapxfer_info **live);

/* state_compare.c */
int txl_state_compare(struct tapxfer *tx, const struct tapxfer_info *state,
		      const struct tapxfer_info *live,
		      tapxfer_difference_cb cb, void *data);

/* state.c */
int txl_state_frozen(struct tapxfer *tx, const struct tapxfer_info *ho);
int txl_state_get(struct tapxfer_stream *stream, struct tapxfer **tx,
		  const struct tapxfer_info **info);

#endif /* LIBTAPXFER_STATE_H */
