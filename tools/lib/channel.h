/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A handover over a socket, within the library. */
#ifndef LIBTAPXFER_CHANNEL_H
#define LIBTAPXFER_CHANNEL_H

#include <tapxfer/channel.h>

#include "internal.h"

/* What a peer can make us keep */
#define TXL_DEVS_MAX	128
#define TXL_QUEUES_MAX	256
#define TXL_STATE_MAX	(1024 * 1024)
#define TXL_PAYLOAD_MAX	(60 * 1024)

#define TXL_NAME_LEN	64	/* with the closing NUL */
#define TXL_SESSION_LEN	16
#define TXL_BOOT_ID_LEN	40

/* SCM_MAX_FD of the kernel, which its headers for us do not have */
#define TXL_FRAME_FDS	253
/* Of a state, in one message */
#define TXL_PIECE	32768

#define TXL_VERSION	1
#define TXL_MAGIC	0x31465854U	/* "TXF1" */
#define TXL_MAGIC_SWAPPED 0x54584631U

/*
 * Before each message, in the byte order of the host. Documentation/channel.rst
 */
struct txl_frame {
	uint32_t magic;
	uint16_t type;
	uint16_t nfds;
	uint32_t len;		/* of the payload */
	uint32_t seq;		/* from 0, in each direction of each socket */
};

enum txl_msg {
	TXL_MSG_HELLO = 1,
	TXL_MSG_OFFER,
	TXL_MSG_ACCEPT,
	TXL_MSG_DEVICE,
	TXL_MSG_FILES,
	TXL_MSG_GIVEN,
	TXL_MSG_TAKEN,
	TXL_MSG_STATE,
	TXL_MSG_FROZEN,
	TXL_MSG_VERDICT,
	TXL_MSG_RELEASED,
	TXL_MSG_DONE,
	TXL_MSG_REFUSE,
	__TXL_MSG_MAX,
};

/* Attributes of all messages */
enum txl_attr {
	TXL_A_VERSION = 1,	/* u32 */
	TXL_A_SIDE,		/* u32, enum txl_side */
	TXL_A_KIND,		/* u32, enum txl_kind */
	TXL_A_SESSION,		/* TXL_SESSION_LEN bytes */
	TXL_A_BOOT_ID,		/* string */
	TXL_A_REQUIRED,		/* u64, extensions that must be understood */
	TXL_A_KERNEL_FEATURES,	/* u64, enum tapxfer_feature */
	TXL_A_STATE_FEATURES,	/* u64, enum tapxfer_state_feature */
	TXL_A_LIBRARY,		/* string */
	TXL_A_TRANSPORT,	/* u32, enum tapxfer_transport */
	TXL_A_DRAIN,		/* u32, 0 or 1 */
	TXL_A_DEV,		/* nest */
	TXL_A_INDEX,		/* u32, of a device, from 0 */
	TXL_A_NAME,		/* string */
	TXL_A_MODE,		/* u32, enum txl_mode */
	TXL_A_QUEUES,		/* u32 */
	TXL_A_IFINDEX,		/* u32 */
	TXL_A_ID,		/* u32, of the handover */
	TXL_A_TOKEN,		/* TAPXFER_TOKEN_LEN bytes */
	TXL_A_FIRST,		/* u32, queue of the first file of a message */
	TXL_A_OFFSET,		/* u32, bytes */
	TXL_A_DATA,		/* bytes */
	TXL_A_ERROR,		/* u32, errno, positive */
	TXL_A_TEXT,		/* string */
	__TXL_A_MAX,
};

enum txl_side {
	TXL_SIDE_NONE,
	TXL_SIDE_SOURCE,
	TXL_SIDE_TARGET,
};

enum txl_kind {
	TXL_KIND_ONLY = 1,	/* everything goes over this socket */
	TXL_KIND_EARLY,		/* all but the state, and what follows it */
	TXL_KIND_LATE,		/* the state, and what follows it */
};

enum txl_mode {
	TXL_MODE_TRANSFER = 1,
	TXL_MODE_OFF,
	TXL_MODE_SKIP,
};

/* Who looks into /proc holds a file for a moment; who has died, for another. */
#define TXL_MOMENT_MS	1000
/* How often somebody is asked who does not tell by himself */
#define TXL_POLL_US	5000

/* How far a channel has come */
enum txl_phase {
	TXL_PHASE_NEW,
	TXL_PHASE_GIVEN,	/* prepared; the target has all but the state */
	TXL_PHASE_HOLDING,	/* source */
	TXL_PHASE_FROZEN,	/* target: claimed; source: accepted */
	TXL_PHASE_RELEASED,	/* the source has let go, or is about to */
	TXL_PHASE_READY,	/* target */
	TXL_PHASE_DONE,
	TXL_PHASE_FAILED,
};

struct txl_conn {
	int sock;		/* our own descriptor, or -1 */
	bool is_unix;
	bool dead;		/* nothing more can be sent */
	uint32_t sent;
	uint32_t received;
};

struct txl_dev {
	char name[TXL_NAME_LEN];
	uint32_t flags;
	bool wanted;		/* target: it was added, not offered yet */
	enum txl_mode mode;
	enum tapxfer_outcome outcome;

	unsigned int ifindex;
	uint32_t nqueues;
	int *fds;
	size_t nfds;
	int *fd_flags;		/* source: FD_*, while the numbers are kept */

	bool live;		/* there is a handover */
	bool released;		/* source: it has let go of its files */
	unsigned int ended;	/* enum tapxfer_event that ended it, if known */
	uint32_t id;
	struct tapxfer_token token;
	struct tapxfer_info *ho;

	struct tapxfer_stream *stream;
	uint32_t state_len;	/* of it, sent or received */
};

struct tapxfer_channel {
	struct tapxfer *tx;
	struct tapxfer *events;	/* of the same network namespace, or NULL */
	struct tapxfer_channel_opts opts;
	struct tapxfer_opts *begin;	/* for the call that begins, or NULL */
	struct tapxfer_opts freeze;

	enum txl_side side;
	enum txl_phase phase;
	bool refused;		/* by the other side */
	bool local;
	bool drains;		/* the source does */
	uint32_t transport;
	char boot_id[TXL_BOOT_ID_LEN];
	uint64_t own_features;
	uint64_t peer_features;
	uint64_t peer_takes;
	uint8_t session[TXL_SESSION_LEN];

	struct txl_conn first;
	struct txl_conn second;
	struct txl_conn *conn;	/* the one in use */

	struct txl_dev *devs;
	size_t ndevs;
};

/* A message to be sent. Wiped when freed: it may have a token. */
struct txl_out {
	struct nlmsghdr *nlh;	/* attributes only */
	const int *fds;
	size_t nfds;
};

/* One that was received */
struct txl_in {
	struct txl_frame frame;
	char *payload;
	const struct nlattr *attrs[__TXL_A_MAX];
	int fds[TXL_FRAME_FDS];
	size_t nfds;
};

#define for_each_dev(dev, ch) \
	for ((dev) = (ch)->devs; (dev) < (ch)->devs + (ch)->ndevs; (dev)++)

/* The next one that is transferred after @dev, the first one after NULL */
static inline struct txl_dev *
txl_next_transfer(const struct tapxfer_channel *ch, const struct txl_dev *dev)
{
	size_t n = dev ? (size_t)(dev - ch->devs) + 1 : 0;

	while (n < ch->ndevs && ch->devs[n].mode != TXL_MODE_TRANSFER)
		n++;
	return n < ch->ndevs ? &ch->devs[n] : NULL;
}

#define for_each_transfer(dev, ch) \
	for ((dev) = txl_next_transfer(ch, NULL); (dev); \
	     (dev) = txl_next_transfer(ch, dev))

/* channel.c */
int txl_channel_check(struct tapxfer_channel *ch, enum txl_side side,
		      enum txl_phase phase);
int txl_channel_late(struct tapxfer_channel *ch, int late);
int txl_channel_end(struct tapxfer_channel *ch, int err);
struct txl_dev *txl_channel_dev(struct tapxfer_channel *ch);
struct txl_dev *txl_channel_find(struct tapxfer_channel *ch, const char *name);
void txl_dev_told(struct txl_dev *dev, struct tapxfer_info *ho);
void txl_dev_close(struct txl_dev *dev);
void txl_close_all(const int *fds, size_t n);
int txl_dev_error(struct tapxfer_channel *ch, const struct txl_dev *dev,
		  int err);
bool txl_name_good(const char *name);

/* channel_io.c */
int64_t txl_now_ms(void);
int txl_conn_init(struct tapxfer_channel *ch, struct txl_conn *conn, int sock);
void txl_conn_close(struct txl_conn *conn);
int txl_conn_send(struct tapxfer_channel *ch, enum txl_msg type,
		  const struct txl_out *out);
int txl_conn_recv(struct tapxfer_channel *ch, int timeout, struct txl_in *in);
int txl_conn_refused(struct tapxfer_channel *ch, int err);
void txl_in_free(struct txl_in *in);

/* channel_msg.c */
int txl_out_init(struct tapxfer_channel *ch, struct txl_out *out);
void txl_out_free(struct txl_out *out);
int txl_send_empty(struct tapxfer_channel *ch, enum txl_msg type);
int txl_send_hello(struct tapxfer_channel *ch, enum txl_kind kind);
int txl_recv_hello(struct tapxfer_channel *ch, enum txl_kind kind);
void txl_send_refuse(struct tapxfer_channel *ch, int err);
int txl_expect(struct tapxfer_channel *ch, enum txl_msg type,
	       struct txl_in *in);
int txl_expect_empty(struct tapxfer_channel *ch, enum txl_msg type);
int txl_in_refused(struct tapxfer_channel *ch, struct txl_in *in);
int txl_in_parse(struct tapxfer_channel *ch, struct txl_in *in);
int txl_in_dev(struct tapxfer_channel *ch, const struct txl_in *in,
	       struct txl_dev **dev);
int txl_attrs_take(struct tapxfer_channel *ch, const struct nlattr *nest,
		   const struct nlattr *attrs[__TXL_A_MAX]);
int txl_need(struct tapxfer_channel *ch, const struct nlattr *const *attrs,
	     const enum txl_attr *types, size_t n);
uint32_t txl_u32(const struct nlattr *const *attrs, enum txl_attr type);
const char *txl_msg_name(unsigned int type);

/* policy.c */
int txl_policy_features(struct tapxfer_channel *ch);
int txl_policy_peer(struct tapxfer_channel *ch);
int txl_policy_decide(struct tapxfer_channel *ch);
int txl_policy_offered(struct tapxfer_channel *ch);
int txl_boot_id(struct tapxfer *tx, char id[TXL_BOOT_ID_LEN]);
int txl_uid_is_anybody(struct tapxfer *tx, uid_t uid);

/* channel_state.c */
int txl_state_send(struct tapxfer_channel *ch, struct txl_dev *dev);
int txl_state_take(struct tapxfer_channel *ch, const struct txl_in *in);
int txl_state_agree(struct tapxfer_channel *ch, const struct txl_dev *dev);
void txl_state_free(struct txl_dev *dev);

/* send.c, recv.c: what is not at its end is undone */
void txl_send_undo(struct tapxfer_channel *ch);
void txl_recv_undo(struct tapxfer_channel *ch);

/* release.c */
void txl_put_back(struct tapxfer_channel *ch, struct txl_dev *dev);
int txl_note_numbers(struct tapxfer_channel *ch, struct txl_dev *dev);

/* kernel.c */
unsigned int txl_dev_state(struct tapxfer_channel *ch, struct txl_dev *dev);
int txl_others(struct tapxfer_channel *ch, const struct txl_dev *dev,
	       uint32_t allowed);
void txl_events_open(struct tapxfer_channel *ch);
void txl_events_listen(struct tapxfer_channel *ch);
unsigned int txl_dev_ended(struct tapxfer_channel *ch, struct txl_dev *dev);
bool txl_let_go(struct tapxfer_channel *ch, struct txl_dev *dev);
int txl_steal(struct tapxfer_channel *ch, struct txl_dev *dev);

#endif /* LIBTAPXFER_CHANNEL_H */
