/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's files know of each other.
 *
 * Lock order: rtnl, then a handover's ho_lock (a hold takes, within its own, that of
 * the device's handover that drains), then a queue's q_send_lock or a ring's
 * consumer_lock and producer_lock. The netdev notifiers run under rtnl and
 * take ho_lock, so ho_lock is never held across one of tun's ioctls, which take
 * rtnl. Commands on one handover exclude each other by ho_busy, which, unlike a
 * lock, neither the deadline nor an abort has to wait for (see apply.c for the one
 * that they do wait for, and how long): a command that let go of ho_lock looks at
 * ho_state again before it goes on.
 */
#ifndef _TAPXFER_INTERNAL_H
#define _TAPXFER_INTERNAL_H

#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kcsan-checks.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/pid.h>
#include <linux/ptr_ring.h>
#include <linux/rhashtable.h>
#include <linux/tapxfer.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/sock.h>

#define TAPXFER_VERSION			"0.1.0"

/* Limits, told by TAPXFER_CMD_CAP_GET */
#define TAPXFER_HOLD_DEFAULT		16384U		/* packets a queue */
#define TAPXFER_HOLD_MAX		262144U
#define TAPXFER_DEADLINE_DEFAULT	10000U		/* ms */
#define TAPXFER_DEADLINE_MAX		300000U
#define TAPXFER_QUEUES_MAX		256U		/* tun's MAX_TAP_QUEUES */
/* ms; a command that sleeps keeps genetlink's lock against registration */
#define TAPXFER_TIMEOUT_MAX		1000U
#define TAPXFER_HOLD_BYTES_DEFAULT	(256ULL << 20)	/* a handover */
#define TAPXFER_HOLD_BYTES_MAX		(16ULL << 30)

/**
 * tapxfer_write_racy - WRITE_ONCE() to what the kernel reads without READ_ONCE()
 * @x: operations of a file's or a socket's: a table, or one of them
 * @val: what it shall be
 *
 * The driver and the VFS load it plainly, some twice in a call. The old one or the
 * new one will do each time: what the one table has, the other has too. The module
 * cannot mark their reads; this tells KCSAN to ask for nothing of the kind.
 */
#define tapxfer_write_racy(x, val)	\
do {					\
	kcsan_disable_current();	\
	WRITE_ONCE(x, val);		\
	kcsan_enable_current();		\
} while (0)

/**
 * enum tapxfer_limit - what bounds the memory of held packets
 * @TAPXFER_LIMIT_NONE: nothing is exhausted
 * @TAPXFER_LIMIT_HANDOVER: the handover's hold-bytes
 * @TAPXFER_LIMIT_USER: what the user may have in all handovers
 * @TAPXFER_LIMIT_NETNS: what the network namespace may
 */
enum tapxfer_limit {
	TAPXFER_LIMIT_NONE,
	TAPXFER_LIMIT_HANDOVER,
	TAPXFER_LIMIT_USER,
	TAPXFER_LIMIT_NETNS,
};

/**
 * struct tapxfer_budget - what a handover may take, and has taken
 * @b_accounts: of the user who began it, and of the network namespace
 * @b_queues: so many are counted there, and one handover; 0: nothing is
 * @b_packets: room for packets, reserved in the accounts
 * @b_bytes: memory, charged to the accounts
 * @b_held: of @b_bytes, what the held packets are charged with
 * @b_limit: of @b_held
 * @b_chunk: so much is charged at once, for a queue not to come back with each
 *	packet
 */
struct tapxfer_budget {
	struct tapxfer_account	*b_accounts[2];
	unsigned int		b_queues;
	u64			b_packets;
	atomic64_t		b_bytes;
	atomic64_t		b_held;
	u64			b_limit;
	u64			b_chunk;
};

/* Slots for what a vhost backend gives back, drivers/vhost/net.c */
#define RING_RESERVE	64U

/**
 * struct tapxfer_ring - a queue's ring, and what parking it needs
 * @r_ring: the driver's ring
 * @r_spare: array to park the ring into, then the one that was there before
 * @r_array: the array that it was parked into
 * @r_hold: packets that the parked ring takes
 * @r_len: the device's tx queue length when this was got ready
 * @r_slots: packets that @r_array has room for, or will have
 * @r_pending: packets that were in the ring at the park
 * @r_held: packets that were in it at the unpark
 * @r_put_back: of these, given back by a vhost backend
 * @r_folded: of these, moved to the other held packets since
 * @r_left: of the held, since the unpark, not yet taken by the reader
 * @r_gone: of the held, since the unpark, there no more when the driver had resized
 *	the ring: freed, if they were not taken just before
 * @r_size: slots that producers may use; fewer than @r_hold in a closed ring
 * @r_seen: the parked packets before this slot are in @r_bytes
 * @r_seen_back: and those in the reserve from this slot on
 * @r_bytes: memory that the held packets take
 * @r_charged: so much of it is charged, or more
 * @r_budget: to what
 * @r_full: the limit that has closed the ring
 * @r_head: since the unpark, where consumers were when that was last looked at
 * @r_last_slot: since the unpark, the slot with the last of the held packets
 * @r_last: that packet, to be compared with and not to be looked into
 * @r_parked: between park and unpark
 *
 * The counts, and @r_parked when it is set or cleared, are under the ring's own
 * locks.
 */
struct tapxfer_ring {
	struct ptr_ring		*r_ring;
	void			**r_spare;
	void			**r_array;
	unsigned int		r_hold;
	unsigned int		r_len;
	unsigned int		r_slots;
	unsigned int		r_pending;
	unsigned int		r_held;
	unsigned int		r_put_back;
	unsigned int		r_folded;
	unsigned int		r_left;
	unsigned int		r_gone;
	int			r_size;
	unsigned int		r_seen;
	int			r_seen_back;
	u64			r_bytes;
	u64			r_charged;
	struct tapxfer_budget	*r_budget;
	enum tapxfer_limit	r_full;
	int			r_head;
	unsigned int		r_last_slot;
	void			*r_last;
	bool			r_parked;
};

/**
 * struct tapxfer_queue - one queue file in a handover
 * @q_node: in the table that the fence looks files up in
 * @q_file: the file; the handover owns a reference until it has drained
 * @q_ho: the handover
 * @q_sk: the file's socket
 * @q_ring: the file's ring
 * @q_data_ready: the socket's own callback while the ring is parked
 * @q_sndbuf: the socket's own send buffer limit while the write side is closed
 * @q_frozen_sndbuf: that limit as it was frozen
 * @q_unbatched: the socket has no limit of its own, and one of ours that vhost
 *	makes no batches for; under ho_lock
 * @q_writers: writes, sends and setter ioctls inside the driver
 * @q_index: place in the order in which the files were given
 * @q_detached: exported: detached by TUNSETQUEUE
 * @q_nonblock: exported: O_NONBLOCK
 * @q_shadow_detached: the claimant wants it detached
 * @q_moved: it was attached or detached for that
 * @q_sleepers: tasks that sleep in the fence with a reference of their own
 * @q_own: references that are the claimant's descriptors
 * @q_others: references of anyone else
 * @q_hashed: in the table, and the file's operations are the fence's
 * @q_send_lock: orders vhost's batches; taken under ho_lock or alone
 * @q_send_closed: no send passes; set under ho_lock, cleared under both locks
 * @q_batched: packets that vhost has sent meanwhile, under @q_send_lock
 * @q_batches: the batches that they came in, under @q_send_lock
 * @q_drain_until: jiffies, how long the ring keeps its room after the end
 * @q_given_up: it keeps it no longer
 * @q_unseen: packets have come that nobody could look at
 */
struct tapxfer_queue {
	struct rhash_head	q_node;
	struct file		*q_file;
	struct tapxfer_handover	*q_ho;
	struct sock		*q_sk;
	struct tapxfer_ring	q_ring;
	void			(*q_data_ready)(struct sock *sk);
	int			q_sndbuf;
	int			q_frozen_sndbuf;
	bool			q_unbatched;
	atomic_t		q_writers;
	unsigned int		q_index;
	bool			q_detached;
	bool			q_nonblock;
	bool			q_hashed;
	bool			q_shadow_detached;
	bool			q_moved;
	struct list_head	q_sleepers;
	unsigned int		q_own;
	unsigned int		q_others;
	struct mutex		q_send_lock;	/* see above */
	bool			q_send_closed;
	unsigned int		q_batched;
	struct list_head	q_batches;
	unsigned long		q_drain_until;
	bool			q_given_up;
	bool			q_unseen;
};

/**
 * struct tapxfer_dev_state - what is exported of a device
 *
 * The second half needs one of the device's files; @has_file tells.
 *
 * @ids: @owner and @group are what they are, and not what they are called in a
 *	user namespace that may have no name for them
 */
struct tapxfer_dev_state {
	int			ifindex;
	char			ifname[IFNAMSIZ];
	unsigned int		type;		/* enum tapxfer_dev_type */
	unsigned int		link_type;
	kuid_t			owner;
	kgid_t			group;
	bool			persist;
	bool			multi_queue;
	unsigned int		num_queues;
	unsigned int		num_detached;
	unsigned char		mac[MAX_ADDR_LEN];
	unsigned char		mac_len;
	unsigned int		mtu;
	bool			carrier;
	unsigned int		tx_queue_len;
	bool			has_xdp;
	u32			xdp_prog_id;
	u32			offloads;
	bool			ids;

	bool			has_file;
	bool			has_vnet_be;
	bool			vnet_le;
	bool			vnet_be;
	u32			flags;
	u32			vnet_hdr_sz;
	int			sndbuf;
};

/* What a claimant has set, struct tapxfer_shadow.s_set */
#define TAPXFER_SHADOW_HDR_SZ		BIT(0)
#define TAPXFER_SHADOW_LE		BIT(1)
#define TAPXFER_SHADOW_BE		BIT(2)
#define TAPXFER_SHADOW_OFFLOADS		BIT(3)
#define TAPXFER_SHADOW_SNDBUF		BIT(4)
#define TAPXFER_SHADOW_NO_STEERING	BIT(5)
#define TAPXFER_SHADOW_NO_FILTER	BIT(6)
#define TAPXFER_SHADOW_QUEUES		BIT(7)

/* What nobody can put back */
#define TAPXFER_SHADOW_PROGRAMS		(TAPXFER_SHADOW_NO_STEERING | \
					 TAPXFER_SHADOW_NO_FILTER)

/**
 * struct tapxfer_shadow - settings that a claimant has made
 * @s_set: TAPXFER_SHADOW_*, which of them
 * @s_stale: which may be in force of a claim that was not thawed
 * @s_applying: they are being applied; setters wait
 * @s_own: which the driver is asked for then, and so are no violation
 * @s_asking: the driver is being asked to; ends wait, see apply.c
 * @s_stop: an end is coming: what has not been applied is not any more
 * @s_stop_until: jiffies, when the end comes, whether or not it has answered
 * @s_state: only as long as the handover's state is this
 * @s_hdr_sz: TUNSETVNETHDRSZ, bytes
 * @s_le: TUNSETVNETLE
 * @s_be: TUNSETVNETBE
 * @s_offloads: TUNSETOFFLOAD
 * @s_sndbuf: TUNSETSNDBUF, bytes
 *
 * What a queue has of it is in its struct tapxfer_queue.
 */
struct tapxfer_shadow {
	unsigned long		s_set;
	unsigned long		s_stale;
	bool			s_applying;
	unsigned long		s_own;
	bool			s_asking;
	bool			s_stop;
	unsigned long		s_stop_until;
	enum tapxfer_state	s_state;
	int			s_hdr_sz;
	int			s_le;
	int			s_be;
	unsigned long		s_offloads;
	int			s_sndbuf;
};

/**
 * struct tapxfer_seen - what a frozen device was when it was last looked at
 *
 * Pointers are compared, and never followed.
 *
 * @settings: the rest of what was exported
 * @sndbuf: a send buffer limit was set that frozen sockets do not have
 */
struct tapxfer_seen {
	const struct net	*net;
	char			name[IFNAMSIZ];
	netdev_features_t	features;
	struct {
		const void	*prog;
		const void	*link;
		u64		id;
	} xdp[__MAX_XDP_MODE];
	bool			carrier;
	unsigned int		queues;
	struct tapxfer_dev_state settings;
	bool			sndbuf;
};

/* What the fence keeps out, struct tapxfer_handover.ho_fence */
#define TAPXFER_FENCE_READ	BIT(0)	/* reads, and poll's IN */
#define TAPXFER_FENCE_WRITE	BIT(1)	/* writes, poll's OUT, setter ioctls */

/**
 * struct tapxfer_handover - one device on its way
 * @ho_ref: the table of handovers owns one reference until the handover has
 *	drained; works under way, claim watches, commands and tasks in the
 *	fence own one each. It keeps memory and the module, no more: device,
 *	files and rings are let go of when the handover leaves the table
 * @ho_rcu: frees the handover
 * @ho_id: its number
 * @ho_token: the right to go on with it
 * @ho_hold: packets a queue
 * @ho_budget: memory and packets
 * @ho_deadline: ms from the prepare to the abort
 * @ho_info: scratch message for the driver's fill_info, used under rtnl
 * @ho_wait: tasks at the fence, and freeze waiting for writers
 * @ho_done_wait: commands that came before another one was done
 * @ho_deadline_work: aborts at the deadline
 * @ho_drain_work: shrinks the rings after the end, then lets go
 * @ho_claimant_work: looks whether the claimant is gone
 * @ho_look_work: looks at packets that could not be looked at when they came
 * @ho_fence: TAPXFER_FENCE_*; written under @ho_lock, read by anyone
 * @ho_lock: protects the fields below
 * @ho_state: where the handover stands; 0 while it is being prepared; read by anyone
 * @ho_answer: memory for the answer to a thaw or an abort, which do not fail for
 *	want of it; NULL when one has ended the handover
 * @ho_busy: a command is under way
 * @ho_aborting: it is an abort, which the deadline may have to bring to its end
 * @ho_detached: queues that were detached when the rings were parked
 * @ho_scratch: the caller's memory that the command may use, or 0; its own affair
 * @ho_dev: the device, with a reference; NULL once it is gone
 * @ho_dev_tracker: of that reference
 * @ho_dev_node: in the table of handovers by device
 * @ho_export: the device as it was frozen
 * @ho_shadow: what the claimant has set
 * @ho_seen: what it is compared with since
 * @ho_violated: enum tapxfer_violation: how it has differed
 * @ho_setter: the task that applies the claimant's settings, or NULL
 * @ho_claimant: thread group that has claimed the files
 * @ho_claimant_wait: in @ho_claimant's queue of pidfd waiters
 * @ho_hold_nr: of all holds, this was so many
 * @ho_tx_dropped: the device's tx_dropped at the hold
 * @ho_dropped: by how much it has grown by the end, and kept sends dropped
 * @ho_prepared_at: CLOCK_MONOTONIC, ns; so are the next five
 * @ho_holding_at: when the rings were parked
 * @ho_frozen_at: when the write side was closed and the state exported
 * @ho_claimed_at: when the files were claimed
 * @ho_ready_at: when the fence was taken down before the end
 * @ho_ended_at: when traffic went on
 * @ho_drain_begun: jiffies, when the handover ended
 * @ho_drain_paused: the drain waits for the command that is under way
 * @ho_nqueues: number of @ho_queues
 * @ho_queues: the device's queue files
 */
struct tapxfer_handover {
	struct kref		ho_ref;
	struct rcu_head		ho_rcu;
	u32			ho_id;
	u8			ho_token[TAPXFER_TOKEN_LEN];
	unsigned int		ho_hold;
	struct tapxfer_budget	ho_budget;
	unsigned int		ho_deadline;
	struct sk_buff		*ho_info;
	wait_queue_head_t	ho_wait;
	wait_queue_head_t	ho_done_wait;
	struct delayed_work	ho_deadline_work;
	struct delayed_work	ho_drain_work;
	struct work_struct	ho_claimant_work;
	struct work_struct	ho_look_work;
	unsigned long		ho_fence;

	struct mutex		ho_lock;	/* protects the fields below */
	enum tapxfer_state	ho_state;
	struct sk_buff		*ho_answer;
	bool			ho_busy;
	bool			ho_aborting;
	unsigned int		ho_detached;
	unsigned long		ho_scratch;
	struct net_device	*ho_dev;
	netdevice_tracker	ho_dev_tracker;
	struct hlist_node	ho_dev_node;
	struct tapxfer_dev_state ho_export;
	struct tapxfer_shadow	ho_shadow;
	struct tapxfer_seen	ho_seen;
	u32			ho_violated;
	const struct task_struct *ho_setter;
	struct pid		*ho_claimant;
	wait_queue_entry_t	ho_claimant_wait;
	u64			ho_hold_nr;
	u64			ho_tx_dropped;
	u64			ho_dropped;
	u64			ho_prepared_at;
	u64			ho_holding_at;
	u64			ho_frozen_at;
	u64			ho_claimed_at;
	u64			ho_ready_at;
	u64			ho_ended_at;
	unsigned long		ho_drain_begun;
	bool			ho_drain_paused;

	unsigned int		ho_nqueues;
	struct tapxfer_queue	ho_queues[];
};

/**
 * struct tapxfer_request - a request to begin a handover, parsed
 * @net: the caller's network namespace
 * @dev_attr: the attribute that names the device, for errors
 * @ifindex: the device
 * @hold: packets a queue
 * @hold_bytes: memory of held packets
 * @deadline: ms
 * @scratch: the caller's memory that the command may use, or NULL
 * @nfds: number of @fds
 * @fds: one attribute a queue file
 */
struct tapxfer_request {
	struct net		*net;
	const struct nlattr	*dev_attr;
	int			ifindex;
	u32			hold;
	u64			hold_bytes;
	u32			deadline;
	const struct nlattr	*scratch;
	unsigned int		nfds;
	const struct nlattr	*fds[TAPXFER_QUEUES_MAX];
};

/* main.c */
extern struct workqueue_struct *tapxfer_wq;
extern struct workqueue_struct *tapxfer_drain_wq;

/* netlink.c */
extern struct genl_family tapxfer_family;

/* request.c */
int tapxfer_check_opener(const struct sk_buff *skb, struct genl_info *info);
const struct nlattr *tapxfer_request_scratch(const struct sk_buff *skb,
					     struct genl_info *info);
struct tapxfer_handover *tapxfer_find(struct genl_info *info);
struct tapxfer_handover *tapxfer_request_new(struct sk_buff *skb,
					     struct genl_info *info);
bool tapxfer_request_may_wait(const struct sk_buff *skb,
			      const struct genl_info *info);
struct tapxfer_handover *tapxfer_request_find(const struct sk_buff *skb,
					      struct genl_info *info);
struct tapxfer_handover *tapxfer_request_begin(struct sk_buff *skb,
					       struct genl_info *info,
					       unsigned long states,
					       bool *created);
int tapxfer_request_timeout(const struct sk_buff *skb, struct genl_info *info,
			    const char *too_long, u32 *timeout);
int tapxfer_request_check_abort(struct sk_buff *skb,
				struct tapxfer_handover *ho,
				struct genl_info *info);

/* get.c */
int tapxfer_cap_get_doit(struct sk_buff *skb, struct genl_info *info);
int tapxfer_dev_get_doit(struct sk_buff *skb, struct genl_info *info);
int tapxfer_dev_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int tapxfer_handover_get_doit(struct sk_buff *skb, struct genl_info *info);
int tapxfer_handover_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb);

/* fill.c */

/* A reply under construction */
struct tapxfer_reply {
	struct sk_buff		*skb;
	void			*hdr;
};

struct sk_buff *tapxfer_reply_alloc(size_t size);
int tapxfer_reply_begin(struct tapxfer_reply *r, struct genl_info *info,
			struct sk_buff *skb);
int tapxfer_reply_new(struct tapxfer_reply *r, struct genl_info *info,
		      size_t size);
int tapxfer_reply_send(struct tapxfer_reply *r, struct genl_info *info);
void tapxfer_reply_free(struct tapxfer_reply *r);
size_t tapxfer_fill_size(unsigned int nqueues);
size_t tapxfer_fill_step_size(void);
size_t tapxfer_fill_state_size(unsigned int nqueues, bool fds);
size_t tapxfer_fill_brief_size(unsigned int nfds);
int tapxfer_fill_dev(struct sk_buff *skb, const struct tapxfer_dev_state *st);
int tapxfer_fill_begun(struct sk_buff *skb, struct tapxfer_handover *ho,
		       bool token);
int tapxfer_fill_state(struct sk_buff *skb, struct tapxfer_handover *ho,
		       const int *fds);
int tapxfer_fill_brief(struct sk_buff *skb, struct tapxfer_handover *ho,
		       const int *fds);
int tapxfer_fill_claim(struct sk_buff *skb, struct tapxfer_handover *ho);
int tapxfer_fill_ended(struct sk_buff *skb, struct tapxfer_handover *ho);
size_t tapxfer_fill_thawed_size(unsigned int nfds);
int tapxfer_fill_thawed(struct sk_buff *skb, struct tapxfer_handover *ho,
			const int *fds);
int tapxfer_fill_unsent(struct sk_buff *skb, struct tapxfer_handover *ho);
int tapxfer_fill_handover(struct sk_buff *skb, struct tapxfer_handover *ho,
			  bool detail);
void tapxfer_event(struct tapxfer_handover *ho, enum tapxfer_event event);

/* error.c */

/* For a text that is chosen at run time, which NL_SET_ERR_MSG() cannot take */
static inline void tapxfer_set_err(struct netlink_ext_ack *extack,
				   const struct nlattr *attr, const char *msg)
{
	do_trace_netlink_extack(msg);
	if (!extack)
		return;
	extack->_msg = msg;
	NL_SET_BAD_ATTR(extack, attr);
}

/* For a command that has changed nothing yet */
static inline int tapxfer_no_memory(struct netlink_ext_ack *extack)
{
	NL_SET_ERR_MSG(extack, "out of memory, nothing was done: try again");
	return -ENOMEM;
}

__printf(2, 3)
void tapxfer_set_err_fmt(struct netlink_ext_ack *extack, const char *fmt, ...);
int tapxfer_refuse_file(struct netlink_ext_ack *extack,
			const struct nlattr *attr, const struct socket *sock,
			const char *fenced);

/* prepare.c */
struct tapxfer_handover *tapxfer_prepare(const struct tapxfer_request *req,
					 struct netlink_ext_ack *extack);

/* handover.c */
struct tapxfer_handover *tapxfer_handover_alloc(unsigned int nqueues);
int tapxfer_handover_publish(struct tapxfer_handover *ho);
void tapxfer_handover_unpublish(struct tapxfer_handover *ho);
struct tapxfer_handover *tapxfer_handover_get(u32 id);
struct tapxfer_handover *tapxfer_handover_next(unsigned long *id);
void tapxfer_handover_set_dev(struct tapxfer_handover *ho,
			      struct net_device *dev);
void tapxfer_handover_put_dev(struct tapxfer_handover *ho);
struct tapxfer_handover *tapxfer_handover_on(const struct net_device *dev);
struct tapxfer_handover *tapxfer_handover_of(const struct net_device *dev);
u64 tapxfer_handover_held(const struct tapxfer_handover *ho);
u64 tapxfer_handover_delivered(const struct tapxfer_handover *ho);
unsigned int tapxfer_handover_pins(const struct tapxfer_queue *q);
bool tapxfer_handover_is_last(const struct tapxfer_handover *ho);
void tapxfer_handover_relieve(const struct net_device *dev);
void tapxfer_handover_put(struct tapxfer_handover *ho);
int tapxfer_handover_begin(struct tapxfer_handover *ho, unsigned long states,
			   unsigned long scratch,
			   struct netlink_ext_ack *extack);
void tapxfer_handover_await(struct tapxfer_handover *ho);
void tapxfer_handover_done_locked(struct tapxfer_handover *ho);
void tapxfer_handover_done(struct tapxfer_handover *ho);
int tapxfer_handover_check_live(struct tapxfer_handover *ho,
				struct netlink_ext_ack *extack);
int tapxfer_check_count(const struct tapxfer_handover *ho, int err,
			unsigned int queues, struct netlink_ext_ack *extack);
int tapxfer_check_queues(struct tapxfer_handover *ho,
			 struct netlink_ext_ack *extack);

static inline bool tapxfer_is_live(const struct tapxfer_handover *ho)
{
	unsigned int state = READ_ONCE(ho->ho_state);

	return state && state != TAPXFER_STATE_DRAINING;
}

/* Its state is exported and shall stay true. Under ho_lock. */
static inline bool tapxfer_is_frozen(const struct tapxfer_handover *ho)
{
	return ho->ho_state == TAPXFER_STATE_FROZEN ||
	       ho->ho_state == TAPXFER_STATE_CLAIMED ||
	       ho->ho_state == TAPXFER_STATE_READY;
}

/* steps.c */
int tapxfer_hold(struct tapxfer_handover *ho, struct netlink_ext_ack *extack);
int tapxfer_freeze(struct tapxfer_handover *ho, unsigned int timeout_ms,
		   struct netlink_ext_ack *extack);
void tapxfer_end_locked(struct tapxfer_handover *ho, enum tapxfer_event event);
void tapxfer_end_answer(struct tapxfer_handover *ho, enum tapxfer_event event,
			struct tapxfer_reply *r, struct genl_info *info);
void tapxfer_end(struct tapxfer_handover *ho, enum tapxfer_event event);
void tapxfer_gone(struct tapxfer_handover *ho, struct net_device *dev);
void tapxfer_deadline(struct work_struct *work);

/* ready.c */
int tapxfer_ready(struct tapxfer_handover *ho, bool shared,
		  struct netlink_ext_ack *extack);
void tapxfer_unready(struct tapxfer_handover *ho);
int tapxfer_thaw(struct tapxfer_handover *ho, bool shared,
		 struct tapxfer_reply *r, struct genl_info *info);
int tapxfer_claim_thaw_check(struct tapxfer_handover *ho, bool shared,
			     struct netlink_ext_ack *extack);
int tapxfer_claim_thaw(struct tapxfer_handover *ho, struct tapxfer_reply *r,
		       struct genl_info *info, const int *fds);

/* shadow.c */
int tapxfer_shadow_set(struct tapxfer_queue *q, unsigned int cmd,
		       unsigned long arg);
int tapxfer_shadow_get(struct tapxfer_queue *q, unsigned int cmd,
		       unsigned long arg);
void tapxfer_shadow_begin(struct tapxfer_handover *ho);
void tapxfer_shadow_attach_all(struct tapxfer_handover *ho);

/* apply.c */
bool tapxfer_apply_begin(struct tapxfer_handover *ho,
			 struct tapxfer_shadow *sh);
int tapxfer_apply(struct tapxfer_handover *ho, const struct tapxfer_shadow *sh,
		  struct netlink_ext_ack *extack);
void tapxfer_apply_open(struct tapxfer_handover *ho);
void tapxfer_apply_end(struct tapxfer_handover *ho);
bool tapxfer_apply_stop(struct tapxfer_handover *ho);
void tapxfer_apply_stop_wait(struct tapxfer_handover *ho);
bool tapxfer_apply_restore(struct tapxfer_handover *ho);

/* holders.c */

/**
 * struct tapxfer_sleeper - a task that sleeps in the fence
 * @s_list: in q_sleepers
 * @s_group: its thread group
 */
struct tapxfer_sleeper {
	struct list_head	s_list;
	struct pid		*s_group;
};

void tapxfer_holders_sleep(struct tapxfer_queue *q, struct tapxfer_sleeper *s,
			   struct kiocb *iocb);
void tapxfer_holders_woke(struct tapxfer_sleeper *s);
unsigned int tapxfer_holders_beside(const struct tapxfer_queue *q);
int tapxfer_holders_learn(struct file *file);
void tapxfer_holders_count(struct tapxfer_handover *ho, struct pid *group);
int tapxfer_holders_check(struct tapxfer_handover *ho, struct pid *group,
			  struct netlink_ext_ack *extack);

/* claim.c */
int tapxfer_claim_files(struct tapxfer_handover *ho, int *fds,
			struct netlink_ext_ack *extack);
void tapxfer_claim_undo(struct tapxfer_handover *ho, const int *fds,
			unsigned int n);
int tapxfer_claim_begin(struct tapxfer_handover *ho, bool attach,
			struct netlink_ext_ack *extack);
int tapxfer_claim_commit(struct tapxfer_handover *ho, bool attach,
			 struct netlink_ext_ack *extack);
int tapxfer_claim_pass(struct tapxfer_handover *ho, pid_t nr,
		       struct netlink_ext_ack *extack);
void tapxfer_claim_revoke(struct tapxfer_handover *ho);
void tapxfer_claim_drop(struct tapxfer_handover *ho);
void tapxfer_claim_take_back(struct tapxfer_handover *ho);
void tapxfer_restore_files(struct tapxfer_handover *ho);
void tapxfer_claimant_work(struct work_struct *work);

/* drain.c */
void tapxfer_drain(struct work_struct *work);
void tapxfer_drain_start(struct tapxfer_handover *ho);
void tapxfer_drain_resume(struct tapxfer_handover *ho);

/* queue.c */
void tapxfer_queue_park(struct tapxfer_queue *q);
void tapxfer_queue_fold(struct tapxfer_queue *q);
void tapxfer_queue_unpark(struct tapxfer_queue *q);
void tapxfer_queue_sample(struct tapxfer_queue *q);
void tapxfer_look_work(struct work_struct *work);
void tapxfer_queue_unbatch(struct tapxfer_queue *q);
void tapxfer_queue_close(struct tapxfer_queue *q);
void tapxfer_queue_open(struct tapxfer_queue *q);
void tapxfer_queue_wake(struct tapxfer_queue *q);
void tapxfer_queue_restore_sndbuf(struct tapxfer_queue *q);
void tapxfer_queue_restore_nonblock(struct tapxfer_queue *q);

/* slots.c */
unsigned long tapxfer_slots_lock(struct ptr_ring *ring)
	__acquires(&ring->consumer_lock)
	__acquires(&ring->producer_lock);
void tapxfer_slots_unlock(struct ptr_ring *ring, unsigned long flags)
	__releases(&ring->producer_lock)
	__releases(&ring->consumer_lock);
void **tapxfer_slots_alloc(unsigned int slots);
size_t tapxfer_slots_size(unsigned int slots);
unsigned int tapxfer_slots_memory(void *ptr);
void tapxfer_slots_finish_batch(struct ptr_ring *ring);
int tapxfer_slots_copy(struct ptr_ring *ring, void **to, unsigned int max);
void **tapxfer_slots_swap(struct ptr_ring *ring, void **queue, unsigned int size,
			  unsigned int n);
void tapxfer_slots_free(void **queue, unsigned int size, unsigned int from,
			unsigned int n);

/* ring.c */
bool tapxfer_ring_is_ours(const struct tapxfer_ring *r);
void tapxfer_ring_close(struct tapxfer_ring *r);
int tapxfer_ring_init(struct tapxfer_ring *r, struct ptr_ring *ring,
		      unsigned int len, unsigned int hold,
		      struct tapxfer_budget *budget,
		      struct netlink_ext_ack *extack);
bool tapxfer_ring_fits(const struct tapxfer_ring *r);
int tapxfer_ring_check(struct tapxfer_ring *r);
void tapxfer_ring_park(struct tapxfer_ring *r);
void tapxfer_ring_fold(struct tapxfer_ring *r);
unsigned int tapxfer_ring_unpark(struct tapxfer_ring *r);
bool tapxfer_ring_look(struct tapxfer_ring *r, enum tapxfer_limit *limit,
		       bool *again);
enum tapxfer_limit tapxfer_ring_sample(struct tapxfer_ring *r);
unsigned int tapxfer_ring_held(const struct tapxfer_ring *r,
			       unsigned int *put_back);
void tapxfer_ring_free(struct tapxfer_ring *r);

/* settle.c */
void tapxfer_ring_mark(struct tapxfer_ring *r, unsigned int span);
void tapxfer_ring_count_left(struct tapxfer_ring *r);
bool tapxfer_ring_is_read(struct tapxfer_ring *r);
int tapxfer_ring_settle(struct tapxfer_ring *r, unsigned int len,
			unsigned int max, unsigned int *dropped);
unsigned int tapxfer_ring_delivered(const struct tapxfer_ring *r);

/* limits.c */
void tapxfer_limits_init(void);
int tapxfer_budget_init(struct tapxfer_budget *b, const struct net *net,
			u64 limit, unsigned int nqueues,
			struct netlink_ext_ack *extack);
int tapxfer_budget_reserve(struct tapxfer_budget *b, u64 packets, u64 bytes,
			   struct netlink_ext_ack *extack);
enum tapxfer_limit tapxfer_budget_charge(struct tapxfer_budget *b,
					 u64 *charged, u64 bytes);
void tapxfer_budget_relieve(struct tapxfer_budget *b);
void tapxfer_budget_release(struct tapxfer_budget *b);

/* fence.c */

/**
 * struct tapxfer_pass - a task on its way through this module to the driver
 * @p_queue: the file's place in a handover, or NULL
 * @p_pinned: the task keeps the module by a reference
 */
struct tapxfer_pass {
	struct tapxfer_queue	*p_queue;
	bool			p_pinned;
};

int tapxfer_fence_init(void);
void tapxfer_fence_exit(void);
struct socket *tapxfer_fence_socket(struct file *file);
struct tapxfer_queue *tapxfer_fence_find(struct file *file);
bool tapxfer_fence_may_know(const struct file *file);
int tapxfer_fence_add(struct tapxfer_queue *q);
void tapxfer_fence_raise(struct tapxfer_queue *q);
void tapxfer_fence_lower(struct tapxfer_queue *q);
void tapxfer_fence_remove(struct tapxfer_queue *q);
int tapxfer_fence_wait(struct tapxfer_handover *ho, unsigned int timeout_ms);
void tapxfer_fence_enter(struct tapxfer_pass *pass, struct file *file);
void tapxfer_fence_leave(struct tapxfer_pass *pass);
long tapxfer_fence_set(struct file *file, unsigned int cmd, unsigned long arg);
long tapxfer_fence_tun_ioctl(struct file *file, unsigned int cmd,
			     unsigned long arg);
void tapxfer_fence_tun_poll(struct file *file, struct poll_table_struct *wait);
void tapxfer_fence_tun_show(struct seq_file *m, struct file *file);

/* sendmsg.c */
void tapxfer_send_learn(const struct socket *sock);
void tapxfer_send_init(struct tapxfer_queue *q);
void tapxfer_send_begin(struct tapxfer_queue *q);
void tapxfer_send_close(struct tapxfer_queue *q);
void tapxfer_send_open(struct tapxfer_queue *q);
unsigned int tapxfer_send_end(struct tapxfer_queue *q, bool drop);

/* device.c */
bool tapxfer_dev_is_tun(const struct net_device *dev);
struct sk_buff *tapxfer_dev_info_alloc(void);
int tapxfer_dev_counts(struct net_device *dev, struct sk_buff *info,
		       unsigned int *enabled, unsigned int *detached);
int tapxfer_dev_state(struct net_device *dev, struct sk_buff *info,
		      struct tapxfer_dev_state *st);
bool tapxfer_dev_offloads_are(struct net_device *dev, u32 offloads);
u64 tapxfer_dev_tx_dropped(struct net_device *dev);
void tapxfer_dev_count_dropped(struct net_device *dev, unsigned int n);

/* probe.c */
struct tapxfer_scratch {
	unsigned long		addr;
	bool			mapped;
};

int tapxfer_scratch_take(const struct nlattr *a, unsigned long *scratch,
			 struct netlink_ext_ack *extack);
int tapxfer_scratch_get(struct tapxfer_scratch *s, unsigned long given,
			struct netlink_ext_ack *extack);
void tapxfer_scratch_put(struct tapxfer_scratch *s);
/**
 * struct tapxfer_probe_dev - a device to compare a file's with
 * @dev: the device; to be compared with and never to be looked into, since the
 *	prober has no reference: it may stall in its own memory for any time
 * @type: ARPHRD_*
 * @tx_queue_len: slots that its rings have, or will have again
 * @has_address: that can be set
 */
struct tapxfer_probe_dev {
	const struct net_device	*dev;
	unsigned short		type;
	unsigned int		tx_queue_len;
	bool			has_address;
};

void tapxfer_probe_dev_init(struct tapxfer_probe_dev *pd,
			    const struct net_device *dev);
int tapxfer_probe_file(struct file *file, const struct tapxfer_probe_dev *pd,
		       const struct tapxfer_scratch *s);
int tapxfer_probe_add(struct net_device *dev);
void tapxfer_probe_rename(void);
void tapxfer_probe_del(struct net_device *dev);
void tapxfer_probe_exit(void);
int tapxfer_probe_notify(struct net_device *dev);
int tapxfer_probe_flags(struct file *file, const struct tapxfer_scratch *s,
			u32 *flags);
int tapxfer_probe_state(struct file *file, const struct tapxfer_scratch *s,
			struct tapxfer_dev_state *st);

/* violation.c */
void tapxfer_violation_base(struct tapxfer_handover *ho,
			    const struct tapxfer_dev_state *st);
void tapxfer_violation_name(struct tapxfer_handover *ho, u32 bits);
void tapxfer_violation_look(struct tapxfer_handover *ho);
int tapxfer_violation_ask(struct tapxfer_handover *ho,
			  struct tapxfer_dev_state *st,
			  struct netlink_ext_ack *extack);
int tapxfer_violation_compare(struct tapxfer_handover *ho,
			      const struct tapxfer_dev_state *st);
void tapxfer_violation_left(struct tapxfer_handover *ho);
void tapxfer_violation_leave(struct tapxfer_handover *ho);
void tapxfer_violation_arrive(struct tapxfer_handover *ho);

/* unsent.c */
unsigned int tapxfer_queue_unsent(const struct tapxfer_queue *q);
u64 tapxfer_unsent(const struct tapxfer_handover *ho);
int tapxfer_unsent_wait(struct tapxfer_handover *ho, unsigned int timeout_ms,
			struct netlink_ext_ack *extack);

/* selftest.c */
int tapxfer_selftest_ring(void);
int tapxfer_selftest_tun(void);
bool tapxfer_selftest_driver(const struct file *file,
			     const struct socket *sock);

/* notifier.c */
int tapxfer_notifier_init(void);
void tapxfer_notifier_exit(void);

#endif /* _TAPXFER_INTERNAL_H */
