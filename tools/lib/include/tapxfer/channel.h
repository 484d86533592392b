/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libtapxfer: a handover of several devices over a socket.
 *
 * Documentation/channel.rst has the protocol: what is sent, what either side
 * does when the other one fails. The source:
 *
 *	tapxfer_channel_new(tx, &opts, &ch);
 *	tapxfer_channel_add(ch, "net0", 0, fds, nfds, TAPXFER_DEV_TRANSFER);
 *	tapxfer_send(ch);		// agree, prepare; the guest runs on
 *	tapxfer_send_hold(ch);
 *	// stop the guest
 *	tapxfer_send_state(ch, -1);	// freeze; the target has accepted
 *	tapxfer_send_release(ch);	// let go; the target has thawed
 *	tapxfer_channel_free(ch);
 *
 * The target:
 *
 *	tapxfer_channel_new(tx, &opts, &ch);
 *	tapxfer_recv(ch);		// agree; what is to come is known
 *	tapxfer_recv_state(ch, -1);	// claimed: set the devices up now
 *	tapxfer_recv_accept(ch);	// the source has let go
 *	tapxfer_recv_thaw(ch);		// the queues are ours
 *	tapxfer_channel_free(ch);
 *
 * Each call waits for the other side, up to the timeout of the options. When
 * one fails the whole handover is rolled back before it returns, or as soon as
 * the source notices, which it does by the socket's end or by its timeout: the
 * source has its queues as if nothing had happened, and the target has none.
 * What is not so is said with the call. tapxfer_error() of the handle that the
 * channel was made with has the text, which may come from the other side.
 */
#ifndef TAPXFER_CHANNEL_H
#define TAPXFER_CHANNEL_H

#include <tapxfer/tapxfer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One side of a handover over a socket. */
struct tapxfer_channel;

/** How the queue files reach the target */
enum tapxfer_transport {
	/** the target claims them from the kernel, with the token */
	TAPXFER_TRANSPORT_TOKEN = 1,
	/** they are sent over the socket, ahead of the state (SCM_RIGHTS) */
	TAPXFER_TRANSPORT_FDS = 2
};

/**
 * enum tapxfer_local - what to do about a device whose backend is to be
 *	transferred, when the channel cannot: it is no UNIX socket, or the other
 *	side is on another host
 * @TAPXFER_LOCAL_FAIL: fail, before anything is touched
 * @TAPXFER_LOCAL_SKIP: leave that device out. It is never prepared or frozen,
 *	the source keeps it, and the target is told to initialise its own
 *
 * Both sides have this policy: a target that says fail refuses what the source
 * would skip.
 */
enum tapxfer_local {
	TAPXFER_LOCAL_FAIL = 0,
	TAPXFER_LOCAL_SKIP = 1
};

/** Flags of struct tapxfer_channel_opts */
enum tapxfer_channel_flag {
	/** the state goes over a second socket, later */
	TAPXFER_CHANNEL_EARLY = 1,
	/** source: once frozen, drain: tapxfer_drain() */
	TAPXFER_CHANNEL_DRAIN = 2,
	/** both: let go, and thaw, even while others hold queue files */
	TAPXFER_CHANNEL_SHARED = 4
};

/** Members of struct tapxfer_channel_opts that hold a value */
enum tapxfer_channel_opt {
	TAPXFER_CHANNEL_OPT_PEER_UID = 1,	/**< peer_uid is set */
	TAPXFER_CHANNEL_OPT_PEER_PID = 2,	/**< peer_pid is set */
	TAPXFER_CHANNEL_OPT_TIMEOUT = 4,	/**< timeout is set */
	TAPXFER_CHANNEL_OPT_TAKES = 8		/**< takes is set */
};

/**
 * struct tapxfer_channel_opts - how to hand over
 * @size: sizeof(struct tapxfer_channel_opts), from the caller
 * @set: bits of enum tapxfer_channel_opt; a member without its bit is not
 *	looked at
 * @sock: a connected stream socket, which stays the caller's; the channel has a
 *	descriptor of its own until it is freed. Whether it blocks makes no
 *	difference
 * @flags: bits of enum tapxfer_channel_flag
 * @transport: source: enum tapxfer_transport, 0 for the token
 * @local: enum tapxfer_local
 * @timeout: milliseconds to wait for each message of the other side; 10,000
 *	if not set
 * @peer_uid: the other side of a UNIX socket must be of this user, as
 *	SO_PEERCRED tells; if not set, of the caller's effective one, which must
 *	not be the one that stands for all whom the user namespace does not know
 * @peer_pid: and this process, if set. It is the one that called connect(2),
 *	listen(2) or socketpair(2), and may have passed the socket on. One of an
 *	outer pid namespace has no number, and is refused
 * @reserved: 0
 * @require: bits of enum tapxfer_feature that the other side's kernel must
 *	have
 * @takes: target: bits of enum tapxfer_state_feature that a state may use; if
 *	not set, all that tapxfer_state_features() has. A target that does not
 *	take TAPXFER_STATE_FEATURE_LEFT wants a source that drains
 * @handover: source: limits of the handovers, or NULL
 */
struct tapxfer_channel_opts {
	uint32_t size;
	uint32_t set;
	int32_t sock;
	uint32_t flags;
	uint32_t transport;
	uint32_t local;
	uint32_t timeout;
	uint32_t peer_uid;
	int32_t peer_pid;
	uint32_t reserved;
	uint64_t require;
	uint64_t takes;
	const struct tapxfer_opts *handover;
};

/**
 * enum tapxfer_outcome - what became of a device
 * @TAPXFER_OUTCOME_PENDING: it is not settled yet. After a failure: the files
 *	are another process's, which has let go of them, and the target has not
 *	thawed: the handover is frozen, for whoever claims it with the token
 * @TAPXFER_OUTCOME_OFF: its backend was not to be transferred: the source keeps
 *	its own, the target initialises its own
 * @TAPXFER_OUTCOME_SKIPPED: it was, and the channel could not: the same
 * @TAPXFER_OUTCOME_MOVED: the target has it
 * @TAPXFER_OUTCOME_BACK: rolled back: the source has it
 * @TAPXFER_OUTCOME_LOST: the handover ended otherwise, after the source had
 *	let go: the device was deleted, or the deadline passed
 * @TAPXFER_OUTCOME_UNKNOWN: it ended after the source had let go, and the kernel's
 *	event that says how was missed: the target may have the device
 *
 * The source may run its guest again only if each device that was to be
 * transferred is BACK.
 */
enum tapxfer_outcome {
	TAPXFER_OUTCOME_PENDING = 0,
	TAPXFER_OUTCOME_OFF,
	TAPXFER_OUTCOME_SKIPPED,
	TAPXFER_OUTCOME_MOVED,
	TAPXFER_OUTCOME_BACK,
	TAPXFER_OUTCOME_LOST,
	TAPXFER_OUTCOME_UNKNOWN
};

/**
 * tapxfer_outcome_name() - name of an outcome
 * @outcome: enum tapxfer_outcome
 *
 * Return: a constant text, or NULL when there is no such outcome.
 *
 * Threads: any.
 */
const char *tapxfer_outcome_name(unsigned int outcome);

/** Flags of tapxfer_channel_add() */
enum tapxfer_dev_flag {
	/** transfer the backend; without it the target initialises its own */
	TAPXFER_DEV_TRANSFER = 1,
	/**
	 * the files are duplicates of another process's, which lets go of its
	 * own; close the duplicates when tapxfer_send() has returned
	 */
	TAPXFER_DEV_FOREIGN = 2
};

/**
 * tapxfer_channel_new() - begin one side
 * @tx: the handle, in the devices' network namespace. It has to stay open, and
 *	is used by the channel's calls, until the channel is freed
 * @opts: how
 * @ch: where the channel goes; free it with tapxfer_channel_free()
 *
 * Nothing is sent. The other side's credentials are looked at.
 *
 * Return: 0; -EPERM the other side is not who was expected; -EOPNOTSUPP it is
 * no UNIX socket and cannot tell who; -ENOTSOCK, -EPROTOTYPE not a stream
 * socket; -ENOTCONN; -EINVAL, -E2BIG; -ENOMEM.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_channel_new(struct tapxfer *tx,
			const struct tapxfer_channel_opts *opts,
			struct tapxfer_channel **ch);

/**
 * tapxfer_channel_free() - free one side
 * @ch: the channel, or NULL
 *
 * What is not at its end is rolled back.
 *
 * Threads: one, when no other uses the object any more.
 */
void tapxfer_channel_free(struct tapxfer_channel *ch);

/**
 * tapxfer_channel_add() - name a device, before tapxfer_send() or
 * tapxfer_recv()
 * @ch: the channel
 * @name: what the two sides call it, of up to 63 visible characters; NULL at
 *	the source for the interface's name
 * @ifindex: source: as for tapxfer_prepare()
 * @fds: source: as for tapxfer_prepare(); unless they are another process's
 *	they stay open until tapxfer_send_release()
 * @nfds: source: their number
 * @flags: bits of enum tapxfer_dev_flag
 *
 * A target need not add any. If it does, what the source offers must be these,
 * with the same TAPXFER_DEV_TRANSFER. At the target, or without that flag, @fds
 * may be NULL.
 *
 * Return: 0; -EEXIST the name is there already; -EINVAL, -E2BIG, -ENOMEM, or of
 * a file that tells no interface's name, as tapxfer_prepare().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_channel_add(struct tapxfer_channel *ch, const char *name,
			unsigned int ifindex, const int *fds, size_t nfds,
			uint32_t flags);

/* ------------------------------------------------------------------------
 * What is known of it. Devices are counted from 0, in the order in which the
 * source added them; at the target from tapxfer_recv() on.
 */

/**
 * tapxfer_channel_count() - how many devices there are
 * @ch: the channel
 *
 * Return: their number.
 *
 * Threads: any, while no other one is in a call on the channel.
 */
size_t tapxfer_channel_count(const struct tapxfer_channel *ch);

/**
 * tapxfer_channel_name() - a device's name
 * @ch: the channel
 * @n: which device, from 0
 *
 * Return: the name, which the channel owns; or NULL when there is no such device.
 *
 * Threads: any, while no other one is in a call on the channel.
 */
const char *tapxfer_channel_name(const struct tapxfer_channel *ch, size_t n);

/**
 * tapxfer_channel_outcome() - what became of a device
 * @ch: the channel
 * @n: which device, from 0
 *
 * Return: enum tapxfer_outcome.
 *
 * Threads: any, while no other one is in a call on the channel.
 */
unsigned int tapxfer_channel_outcome(const struct tapxfer_channel *ch,
				     size_t n);

/**
 * tapxfer_channel_handover() - a device's handover, as the kernel told it last
 * @ch: the channel, which owns the object until its next call
 * @n: the device
 *
 * Return: the object, or NULL when the device has no handover (yet).
 *
 * Threads: any, while no other one is in a call on the channel.
 */
const struct tapxfer_info *
tapxfer_channel_handover(const struct tapxfer_channel *ch, size_t n);

/**
 * tapxfer_channel_token() - the token of a device's handover
 * @ch: the channel, which owns it
 * @n: the device
 *
 * Return: the token, or NULL when the device has no handover (yet).
 *
 * Threads: any, while no other one is in a call on the channel.
 */
const struct tapxfer_token *
tapxfer_channel_token(const struct tapxfer_channel *ch, size_t n);

/**
 * tapxfer_channel_fds() - a device's queue files
 * @ch: the channel
 * @n: the device
 * @fds: where the descriptors go; may be NULL when @room is 0
 * @room: room in @fds
 *
 * At the target they are the channel's, and closed when it fails, until
 * tapxfer_recv_thaw() has succeeded: then they are the caller's. They are there
 * from tapxfer_recv_state() on, with TAPXFER_TRANSPORT_FDS from tapxfer_recv()
 * on, when the source still uses them: do nothing with them before the former.
 *
 * Return: how many there are, also when that is more than @room.
 *
 * Threads: any, while no other one is in a call on the channel.
 */
size_t tapxfer_channel_fds(const struct tapxfer_channel *ch, size_t n,
			   int *fds, size_t room);

/**
 * tapxfer_channel_features() - what the other side's kernel can do
 * @ch: the channel
 *
 * Return: bits of enum tapxfer_feature; 0 before tapxfer_send(),
 * tapxfer_recv().
 *
 * Threads: any, while no other one is in a call on the channel.
 */
uint64_t tapxfer_channel_features(const struct tapxfer_channel *ch);

/**
 * tapxfer_channel_is_local() - whether it can carry files and tokens
 * @ch: the channel
 *
 * Return: whether it can, as far as is known yet.
 *
 * Threads: any, while no other one is in a call on the channel.
 */
bool tapxfer_channel_is_local(const struct tapxfer_channel *ch);

/**
 * tapxfer_channel_refuse() - give up, on either side, and say why
 * @ch: the channel
 * @err: why, a negative errno
 * @text: one line for the other side, without a full stop, or NULL
 *
 * For what fails outside of the library. Everything is rolled back, the
 * outcomes tell.
 *
 * Return: 0; -EINVAL the handover has come to its end already.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_channel_refuse(struct tapxfer_channel *ch, int err,
			   const char *text);

/* ------------------------------------------------------------------------
 * The source
 */

/**
 * tapxfer_send() - agree, prepare, and send what goes ahead of the state
 * @ch: the channel
 *
 * The guest runs on, and its traffic with it. When it returns the target has
 * agreed to each device, and has the tokens, and the files if these are sent.
 *
 * Return: 0; -ETIMEDOUT the other side said nothing, or took nothing, for so
 * long; -ECONNRESET it is gone; -ECONNREFUSED it refused, the text is its own;
 * -EOPNOTSUPP a device cannot be transferred by this channel, or a feature is
 * missing; -EPROTO it does not speak the protocol; or as tapxfer_prepare().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_send(struct tapxfer_channel *ch);

/**
 * tapxfer_send_hold() - hold the packets to all devices
 * @ch: the channel
 *
 * Stop the guest after it.
 *
 * Return: 0, or as tapxfer_hold_id().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_send_hold(struct tapxfer_channel *ch);

/**
 * tapxfer_send_state() - freeze, send the states, and wait for the verdict
 * @ch: the channel
 * @late: with TAPXFER_CHANNEL_EARLY the second socket, else -1; as the first
 *
 * The guest has stopped. When it returns the target has claimed all devices and
 * has accepted them. The caller's files are still open, and fenced.
 *
 * Return: 0, or as tapxfer_send() and tapxfer_freeze_id().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_send_state(struct tapxfer_channel *ch, int late);

/**
 * tapxfer_send_release() - let go, and wait until the target has thawed
 * @ch: the channel
 *
 * vhost-net backends, and descriptors that the channel was not told of, must be
 * gone before. The caller's descriptors are closed; until it is settled who has
 * the queues their numbers are kept, by files that nothing can be read from. If
 * the target fails now, the queue files are taken back from the kernel, and
 * are where they were, under the same numbers. So the claim passes through a
 * process of the library's own, which exits at once and sends no SIGCHLD. A
 * target that lives and is ready (tapxfer_recv_ready()) is waited for, up to the
 * deadline: a vhost backend of its may be using the queues.
 *
 * Of another process's files that process has to let go: the call waits for it.
 * If the target fails after that, there is nobody to give them back to: the
 * handover stays frozen, for whoever claims it with the token, up to its
 * deadline (TAPXFER_OUTCOME_PENDING).
 *
 * Return: 0, the target has all; -EBUSY somebody else holds a queue file, the
 * text says which; -ETIME too little time is left to the deadline; -EBADF a
 * descriptor was closed before its time; or as tapxfer_send(): then the devices
 * are back, unless tapxfer_channel_outcome() says of one that it is not.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_send_release(struct tapxfer_channel *ch);

/* ------------------------------------------------------------------------
 * The target
 */

/**
 * tapxfer_recv() - agree, and take what comes ahead of the state
 * @ch: the channel
 *
 * When it returns the devices are known, and which of them the target has to
 * initialise by itself (tapxfer_channel_outcome()). The source's guest runs.
 *
 * Return: 0; -EXDEV a file that was sent is a queue of another device; -EMFILE;
 * -EPROTO other files than were announced, or the other side does not speak the
 * protocol; or as tapxfer_send().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_recv(struct tapxfer_channel *ch);

/**
 * tapxfer_recv_state() - take the states and claim all devices
 * @ch: the channel
 * @late: with TAPXFER_CHANNEL_EARLY the second socket, else -1; as the first
 *
 * When it returns the caller may set the devices up: what it sets is recorded,
 * see tapxfer_claim().
 *
 * Return: 0; -ESTALE the state is of other files than came early; or as
 * tapxfer_recv() and tapxfer_claim().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_recv_state(struct tapxfer_channel *ch, int late);

/**
 * tapxfer_recv_accept() - accept, and wait until the source has let go
 * @ch: the channel
 *
 * A source that dies has let go, if nobody else holds a queue file, before it
 * has heard the verdict too: call this when nothing more is needed of it.
 *
 * Return: 0, or as tapxfer_recv().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_recv_accept(struct tapxfer_channel *ch);

/**
 * tapxfer_recv_ready() - apply what was set, and take the fences down
 * @ch: the channel
 *
 * As tapxfer_ready(), of all devices, for a target that attaches vhost-net
 * before it thaws. tapxfer_recv_thaw() does it otherwise.
 *
 * Return: 0; -EBUSY others hold a queue file; or as tapxfer_ready().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_recv_ready(struct tapxfer_channel *ch);

/**
 * tapxfer_recv_thaw() - let traffic go on, and tell the source
 * @ch: the channel
 *
 * Return: 0, the files are the caller's; or as tapxfer_recv_ready(). If it
 * fails after the first device was thawed, these are the caller's of which
 * tapxfer_channel_outcome() says TAPXFER_OUTCOME_MOVED.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_recv_thaw(struct tapxfer_channel *ch);

#ifdef __cplusplus
}
#endif

#endif /* TAPXFER_CHANNEL_H */
