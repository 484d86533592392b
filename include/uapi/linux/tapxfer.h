/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/*
 * tapxfer: hand the queues of a tun/tap netdev from one process to another.
 *
 * The generic netlink family is described by
 * Documentation/netlink/specs/tapxfer.yaml; a test keeps the two together.
 *
 * Who may do what:
 *
 *   - possession of all queue files of a device is the right to begin;
 *   - the token, which only the call that began the handover returns, is the
 *     right to go on with it;
 *   - CAP_NET_ADMIN over the device's network namespace is needed for more
 *     than the default hold and deadline, and to abort another's handover
 *     without its token;
 *   - what takes descriptors from the sending process, or puts some there
 *     (prepare, a hold or freeze that begins a handover, claim), must be sent
 *     over a netlink socket that a process of the same user has opened.
 *
 * Errors. Each comes with an extack message that says which of the causes it
 * was, and with the offending attribute where there is one:
 *
 *   EINVAL      an attribute is missing, or its value cannot be (hold 0, hold-bytes
 *               0, deadline 0, a file twice, a queue file missing, an id
 *               together with files); a hold below what is already queued;
 *               claim: NUM_QUEUES that the device has not, or SHARED without
 *               THAW, or ATTACH_ALL with it; what begins a handover is followed
 *               by another message in its datagram
 *   ERANGE      hold, hold-bytes, deadline or timeout above the family's limit;
 *               a token of another length; the device's tx queue length is
 *               above 16,777,216
 *   EPERM       more than the defaults without CAP_NET_ADMIN; a wrong token;
 *               the socket was opened by another user, or with fewer rights;
 *               pass: to another user's process, without CAP_KILL
 *   EBADF       no such file descriptor
 *   EBADFD      the file is attached to no netdev
 *   ENODEV      no such netdev in this network namespace
 *   ENOTUNIQ    a tun (layer 3) whose name another tun or tap of the host has,
 *               in whatever network namespace: its files cannot be told apart
 *   EOPNOTSUPP  the netdev is not a tun or tap; a file is no tun file;
 *               IFF_NAPI_FRAGS; the caller has no address space; the kernel's
 *               tun driver is not one that the module knows
 *   EXDEV       a file is a queue of another device
 *   EAGAIN      tun and tap devices come and go too fast to tell a tun's files
 *               apart, or the device's rings grew during the prepare: try again;
 *               freeze: a queue was attached or detached meanwhile, by a call
 *               that is older than the handover: freeze again
 *   EBUSY       the device or a file is in a handover already; another
 *               command on the handover is under way; ready, thaw, a claim that
 *               thaws: others than the claimant hold a queue file
 *   EDQUOT      prepare: the user, or the device's network namespace, has as
 *               much in handovers as the module's parameters allow
 *   ESRCH       pass: no such process in the caller's pid namespace
 *   ENOENT      no such handover: never was, or has ended
 *   EPROTO      the handover is not in a state for this command; a claim that
 *               thaws: an earlier claimant has left settings
 *   ESTALE      queues were added or removed since the prepare, or the tx
 *               queue length grew: abort and begin anew
 *   ETIMEDOUT   freeze: writes or ioctls in flight did not end in time; the
 *               handover is holding, freeze again. drain: the host still has
 *               packets of the queues
 *   EINTR       freeze, drain: a signal came while it waited
 *   ECANCELED   the handover ended (abort, deadline, device deleted), or the
 *               claimant exited, while the command was under way
 *   EMFILE      claim: no room for all files in the caller's table; nothing
 *               was claimed
 *   ENOMEM      nothing was changed, try again; of an abort only from netlink,
 *               without a text: it has not reached the module, send it again
 *   EFAULT      the caller's memory could not be used; ready, thaw: what the
 *               claimant has set is applied in part: try again
 *   EIO         ready, thaw: the driver did not attach or detach a queue, though
 *               it says so (it does with a socket filter, TUNATTACHFILTER)
 */
#ifndef _UAPI_LINUX_TAPXFER_H
#define _UAPI_LINUX_TAPXFER_H

#define TAPXFER_FAMILY_NAME	"tapxfer"
#define TAPXFER_FAMILY_VERSION	1

/* Length of a handover's token, in bytes. */
#define TAPXFER_TOKEN_LEN	16

/* What TAPXFER_A_HANDOVER_SCRATCH has to have room for, in bytes. */
#define TAPXFER_SCRATCH_LEN	64

/**
 * enum tapxfer_feature - what this kernel's tapxfer can do
 * @TAPXFER_FEATURE_HOLD: the rings can be parked before the write side closes
 * @TAPXFER_FEATURE_DETACHED: detached queues (TUNSETQUEUE) take part and stay
 *   detached
 * @TAPXFER_FEATURE_CLAIM: queue files can be claimed with the token
 * @TAPXFER_FEATURE_CLAIMANT_EXIT: a claim ends when the claimant's thread
 *   group exits
 * @TAPXFER_FEATURE_WRITE_WAIT: freeze waits, within a bound, for writes and
 *   ioctls that began after the prepare
 * @TAPXFER_FEATURE_SHADOW: between claim and thaw the claimant's settings are
 *   recorded, and applied by ready or thaw
 * @TAPXFER_FEATURE_READY: ready takes the fence down before traffic goes on
 * @TAPXFER_FEATURE_NO_FDS: a claim without descriptors
 * @TAPXFER_FEATURE_PASS: a claim can be passed on to another process
 * @TAPXFER_FEATURE_EXCLUSIVE: what lets go on is refused while anyone but the
 *   claimant holds a queue file, unless shared is asked for
 * @TAPXFER_FEATURE_VHOST_BATCH: what a vhost backend sends in batches while
 *   frozen is kept and sent at the thaw
 * @TAPXFER_FEATURE_DRAIN: drain waits for what the host has not let go of
 * @TAPXFER_FEATURE_HOLD_BYTES: what is held is bounded in bytes as well
 * @TAPXFER_FEATURE_VIOLATED: changes that cannot be refused are told
 * @TAPXFER_FEATURE_ATTACH_ALL: a claim can attach the detached queues, from the
 *   thaw on
 * @TAPXFER_FEATURE_SCRATCH: the caller can give memory for the driver to answer in
 * @TAPXFER_FEATURE_BRIEF: freeze and claim can be answered in short
 * @TAPXFER_FEATURE_CLAIM_THAW: a claim can thaw as well
 */
enum tapxfer_feature {
	TAPXFER_FEATURE_HOLD = 1,
	TAPXFER_FEATURE_DETACHED = 2,
	TAPXFER_FEATURE_CLAIM = 4,
	TAPXFER_FEATURE_CLAIMANT_EXIT = 8,
	TAPXFER_FEATURE_WRITE_WAIT = 16,
	TAPXFER_FEATURE_SHADOW = 32,
	TAPXFER_FEATURE_READY = 64,
	TAPXFER_FEATURE_NO_FDS = 128,
	TAPXFER_FEATURE_PASS = 256,
	TAPXFER_FEATURE_EXCLUSIVE = 512,
	TAPXFER_FEATURE_VHOST_BATCH = 1024,
	TAPXFER_FEATURE_DRAIN = 2048,
	TAPXFER_FEATURE_HOLD_BYTES = 4096,
	TAPXFER_FEATURE_VIOLATED = 8192,
	TAPXFER_FEATURE_ATTACH_ALL = 16384,
	TAPXFER_FEATURE_SCRATCH = 32768,
	TAPXFER_FEATURE_BRIEF = 65536,
	TAPXFER_FEATURE_CLAIM_THAW = 131072,
};

/**
 * enum tapxfer_state - where a handover stands
 * @TAPXFER_STATE_PREPARED: all is allocated and checked, traffic as before
 * @TAPXFER_STATE_HOLDING: packets to the queues are held, writes still pass
 * @TAPXFER_STATE_FROZEN: writes and settings are fenced, the state is exported
 * @TAPXFER_STATE_CLAIMED: the claimant has the queue files, its settings are
 *   recorded
 * @TAPXFER_STATE_READY: its settings are applied and the fence is down, packets
 *   still wait on both sides
 * @TAPXFER_STATE_DRAINING: thawed or aborted, traffic flows; the rings shrink
 *   to the device's tx queue length when their readers have caught up, or are
 *   given up on
 */
enum tapxfer_state {
	TAPXFER_STATE_PREPARED = 1,
	TAPXFER_STATE_HOLDING,
	TAPXFER_STATE_FROZEN,
	TAPXFER_STATE_CLAIMED,
	TAPXFER_STATE_READY,
	TAPXFER_STATE_DRAINING,
};

/**
 * enum tapxfer_event - what happened to a handover
 * @TAPXFER_EVENT_PREPARED: it began
 * @TAPXFER_EVENT_HOLDING: packets to the queues are held
 * @TAPXFER_EVENT_FROZEN: frozen, or frozen again because a claimant exited
 * @TAPXFER_EVENT_CLAIMED: the queue files were claimed, or the claim was passed
 *   on
 * @TAPXFER_EVENT_READY: the claimant's settings are applied
 * @TAPXFER_EVENT_THAWED: traffic goes on
 * @TAPXFER_EVENT_ABORTED: everything was put back; if the claimant's settings
 *   could not be, TAPXFER_A_HANDOVER_VIOLATED tells
 * @TAPXFER_EVENT_EXPIRED: the deadline passed, everything was put back; but for
 *   the settings of a claimant that was ready
 * @TAPXFER_EVENT_GONE: the device was deleted
 * @TAPXFER_EVENT_VIOLATED: the device is no longer as it was exported
 */
enum tapxfer_event {
	TAPXFER_EVENT_PREPARED = 1,
	TAPXFER_EVENT_HOLDING,
	TAPXFER_EVENT_FROZEN,
	TAPXFER_EVENT_CLAIMED,
	TAPXFER_EVENT_READY,
	TAPXFER_EVENT_THAWED,
	TAPXFER_EVENT_ABORTED,
	TAPXFER_EVENT_EXPIRED,
	TAPXFER_EVENT_GONE,
	TAPXFER_EVENT_VIOLATED,
};

enum tapxfer_dev_type {
	TAPXFER_DEV_TYPE_TUN = 1,
	TAPXFER_DEV_TYPE_TAP,
};

/**
 * enum tapxfer_not_exported - settings that the driver has no getter for
 * @TAPXFER_NOT_EXPORTED_TX_FILTER: TUNSETTXFILTER
 * @TAPXFER_NOT_EXPORTED_STEERING_EBPF: TUNSETSTEERINGEBPF
 * @TAPXFER_NOT_EXPORTED_FILTER_EBPF: TUNSETFILTEREBPF
 * @TAPXFER_NOT_EXPORTED_QUEUE_INDEX: which file is which queue of the netdev
 *
 * They stay on the device and need no transfer.
 */
enum tapxfer_not_exported {
	TAPXFER_NOT_EXPORTED_TX_FILTER = 1,
	TAPXFER_NOT_EXPORTED_STEERING_EBPF = 2,
	TAPXFER_NOT_EXPORTED_FILTER_EBPF = 4,
	TAPXFER_NOT_EXPORTED_QUEUE_INDEX = 8,
};

/**
 * enum tapxfer_violation - how a device differs from what was exported
 * @TAPXFER_VIOLATION_QUEUES: a queue was opened or closed; one that was opened
 *   is neither held nor frozen
 * @TAPXFER_VIOLATION_NAME: it was renamed
 * @TAPXFER_VIOLATION_NETNS: it was moved to another network namespace
 * @TAPXFER_VIOLATION_OFFLOADS: its features were changed
 * @TAPXFER_VIOLATION_XDP: an XDP program was attached, replaced or detached
 * @TAPXFER_VIOLATION_CARRIER: its carrier was changed
 * @TAPXFER_VIOLATION_SETTINGS: a claimant that was ready, and is gone, may have
 *   left settings of its own; or somebody made some, through a queue that was
 *   opened meanwhile
 *
 * None of it can be refused.
 */
enum tapxfer_violation {
	TAPXFER_VIOLATION_QUEUES = 1,
	TAPXFER_VIOLATION_NAME = 2,
	TAPXFER_VIOLATION_NETNS = 4,
	TAPXFER_VIOLATION_OFFLOADS = 8,
	TAPXFER_VIOLATION_XDP = 16,
	TAPXFER_VIOLATION_CARRIER = 32,
	TAPXFER_VIOLATION_SETTINGS = 64,
};

/* TAPXFER_CMD_CAP_GET */
enum {
	TAPXFER_A_CAP_FEATURES = 1,	/* u64, bits of enum tapxfer_feature */
	TAPXFER_A_CAP_HOLD_DEFAULT,	/* u32, packets a queue */
	TAPXFER_A_CAP_HOLD_MAX,		/* u32, packets a queue */
	TAPXFER_A_CAP_DEADLINE_DEFAULT,	/* u32, ms */
	TAPXFER_A_CAP_DEADLINE_MAX,	/* u32, ms */
	TAPXFER_A_CAP_TIMEOUT_MAX,	/* u32, ms */
	TAPXFER_A_CAP_QUEUES_MAX,	/* u32 */
	TAPXFER_A_CAP_MODULE_VERSION,	/* string */
	TAPXFER_A_CAP_HOLD_BYTES_DEFAULT, /* u64, bytes a handover */
	TAPXFER_A_CAP_HOLD_BYTES_MAX,	/* u64, bytes a handover */
	TAPXFER_A_CAP_PAD,

	__TAPXFER_A_CAP_MAX,
	TAPXFER_A_CAP_MAX = (__TAPXFER_A_CAP_MAX - 1)
};

/* TAPXFER_CMD_DEV_GET, and nested in a handover */
enum {
	TAPXFER_A_DEV_IFINDEX = 1,	/* u32 */
	TAPXFER_A_DEV_IFNAME,		/* string */
	TAPXFER_A_DEV_FD,		/* s32, request: a queue file */
	TAPXFER_A_DEV_TYPE,		/* u32, enum tapxfer_dev_type */
	TAPXFER_A_DEV_LINK_TYPE,	/* u32, ARPHRD_* */
	TAPXFER_A_DEV_FLAGS,		/* u32, IFF_* as TUNGETIFF gives them */
	TAPXFER_A_DEV_VNET_HDR_SZ,	/* u32, bytes */
	TAPXFER_A_DEV_VNET_LE,		/* u8, 0 or 1 */
	TAPXFER_A_DEV_VNET_BE,		/* u8, 0 or 1 */
	TAPXFER_A_DEV_OFFLOADS,		/* u32, TUN_F_* */
	TAPXFER_A_DEV_SNDBUF,		/* s32, bytes */
	TAPXFER_A_DEV_OWNER,		/* u32, uid */
	TAPXFER_A_DEV_GROUP,		/* u32, gid */
	TAPXFER_A_DEV_PERSIST,		/* u8, 0 or 1 */
	TAPXFER_A_DEV_MULTI_QUEUE,	/* u8, 0 or 1 */
	TAPXFER_A_DEV_NUM_QUEUES,	/* u32 */
	TAPXFER_A_DEV_NUM_DETACHED,	/* u32 */
	TAPXFER_A_DEV_MAC,		/* binary */
	TAPXFER_A_DEV_MTU,		/* u32, bytes */
	TAPXFER_A_DEV_CARRIER,		/* u8, 0 or 1 */
	TAPXFER_A_DEV_TX_QUEUE_LEN,	/* u32, packets */
	TAPXFER_A_DEV_XDP_PROG_ID,	/* u32 */
	TAPXFER_A_DEV_NOT_EXPORTED,	/* u32, enum tapxfer_not_exported */
	TAPXFER_A_DEV_HANDOVER,		/* u32, id */
	TAPXFER_A_DEV_HANDOVER_STATE,	/* u32, enum tapxfer_state */

	__TAPXFER_A_DEV_MAX,
	TAPXFER_A_DEV_MAX = (__TAPXFER_A_DEV_MAX - 1)
};

/*
 * Nested in a handover, once a queue, in the order of the files. The replies to
 * freeze and claim have INDEX, FD, DETACHED, NONBLOCK and HELD of them, for packets
 * may be lost until they are there; HANDOVER_GET has all but FD.
 */
enum {
	TAPXFER_A_QUEUE_INDEX = 1,	/* u32 */
	TAPXFER_A_QUEUE_FD,		/* s32, claim: the new descriptor */
	TAPXFER_A_QUEUE_DETACHED,	/* u8, 0 or 1 */
	TAPXFER_A_QUEUE_NONBLOCK,	/* u8, 0 or 1 */
	TAPXFER_A_QUEUE_PENDING,	/* u32, packets at the park */
	TAPXFER_A_QUEUE_HELD,		/* u32, packets */
	TAPXFER_A_QUEUE_PUT_BACK,	/* u32, packets */
	TAPXFER_A_QUEUE_HOLDERS,	/* u32, references to the file */
	TAPXFER_A_QUEUE_OTHERS,		/* u32, of these, not the claimant's */
	TAPXFER_A_QUEUE_HELD_BYTES,	/* u64, bytes of memory */
	TAPXFER_A_QUEUE_DELIVERED,	/* u32, packets */
	TAPXFER_A_QUEUE_FULL,		/* u8, 1: a limit in bytes closed it */
	TAPXFER_A_QUEUE_BATCHED,	/* u32, packets of vhost's, kept */
	TAPXFER_A_QUEUE_WRITERS,	/* u32, writes and setters in flight */
	TAPXFER_A_QUEUE_UNSENT,		/* u32, bytes of memory */
	TAPXFER_A_QUEUE_PAD,

	__TAPXFER_A_QUEUE_MAX,
	TAPXFER_A_QUEUE_MAX = (__TAPXFER_A_QUEUE_MAX - 1)
};

/*
 * SCRATCH goes with prepare, hold, freeze, claim, ready and thaw. The driver answers
 * in its caller's memory: TAPXFER_SCRATCH_LEN bytes there, which the caller does not
 * use meanwhile. Without it, or over a socket that the process has not opened itself,
 * with the credentials that it has now, the kernel maps a page of the caller's for the
 * time of the command, which takes longer.
 *
 * BRIEF goes with freeze and claim, for who has the state or asks for it later: the
 * reply has neither DEV nor QUEUE nor HELD, and the claimant's descriptors in FDS. A
 * claim with NUM_QUEUES is refused if there are more or fewer queues.
 *
 * THAW goes with claim, for a target that has nothing of its own to set: the claim and
 * the thaw in one, both or neither, answered as with BRIEF, and with HELD, DROPPED and
 * BLACKOUT as they are just before traffic goes on, which it does when the reply has
 * been sent. It does not go with ATTACH_ALL, nor where an earlier claimant was ready and
 * has left settings to be taken back: claim, then thaw.
 */
enum {
	TAPXFER_A_HANDOVER_ID = 1,	/* u32 */
	TAPXFER_A_HANDOVER_TOKEN,	/* binary, TAPXFER_TOKEN_LEN bytes */
	TAPXFER_A_HANDOVER_IFINDEX,	/* u32 */
	TAPXFER_A_HANDOVER_IFNAME,	/* string */
	TAPXFER_A_HANDOVER_STATE,	/* u32, enum tapxfer_state */
	TAPXFER_A_HANDOVER_FD,		/* s32, once a queue file */
	TAPXFER_A_HANDOVER_HOLD,	/* u32, packets a queue */
	TAPXFER_A_HANDOVER_DEADLINE,	/* u32, ms from the prepare */
	TAPXFER_A_HANDOVER_TIMEOUT,	/* u32, ms */
	TAPXFER_A_HANDOVER_DEV,		/* nest, TAPXFER_A_DEV_* */
	TAPXFER_A_HANDOVER_QUEUE,	/* nest, TAPXFER_A_QUEUE_* */
	TAPXFER_A_HANDOVER_NUM_QUEUES,	/* u32 */
	TAPXFER_A_HANDOVER_HELD,	/* u64, packets */
	TAPXFER_A_HANDOVER_DROPPED,	/* u64, packets, upper bound */
	TAPXFER_A_HANDOVER_BLACKOUT,	/* u64, ns */
	TAPXFER_A_HANDOVER_PREPARED_AT,	/* u64, ns, CLOCK_MONOTONIC */
	TAPXFER_A_HANDOVER_HOLDING_AT,	/* u64, ns, CLOCK_MONOTONIC */
	TAPXFER_A_HANDOVER_FROZEN_AT,	/* u64, ns, CLOCK_MONOTONIC */
	TAPXFER_A_HANDOVER_CLAIMED_AT,	/* u64, ns, CLOCK_MONOTONIC */
	TAPXFER_A_HANDOVER_REMAINING,	/* u32, ms */
	TAPXFER_A_HANDOVER_CLAIMANT,	/* u32, pid */
	TAPXFER_A_HANDOVER_EVENT,	/* u32, enum tapxfer_event */
	TAPXFER_A_HANDOVER_TIME,	/* u64, ns, CLOCK_MONOTONIC */
	TAPXFER_A_HANDOVER_READY_AT,	/* u64, ns, CLOCK_MONOTONIC */
	TAPXFER_A_HANDOVER_NO_FDS,	/* flag, claim */
	TAPXFER_A_HANDOVER_SHARED,	/* flag, ready, thaw, claim with THAW */
	TAPXFER_A_HANDOVER_PID,		/* u32, pass: the new claimant */
	TAPXFER_A_HANDOVER_HOLD_BYTES,	/* u64, bytes of memory, all queues */
	TAPXFER_A_HANDOVER_HELD_BYTES,	/* u64, bytes of memory, all queues */
	TAPXFER_A_HANDOVER_DELIVERED,	/* u64, packets */
	TAPXFER_A_HANDOVER_UNSENT,	/* u64, bytes of memory, all queues */
	TAPXFER_A_HANDOVER_VIOLATED,	/* u32, enum tapxfer_violation */
	TAPXFER_A_HANDOVER_PAD,
	TAPXFER_A_HANDOVER_ATTACH_ALL,	/* flag, claim */
	TAPXFER_A_HANDOVER_SCRATCH,	/* u64, address of memory, see above */
	TAPXFER_A_HANDOVER_BRIEF,	/* flag, freeze and claim */
	TAPXFER_A_HANDOVER_FDS,		/* array of s32, in the queues' order */
	TAPXFER_A_HANDOVER_THAW,	/* flag, claim */

	__TAPXFER_A_HANDOVER_MAX,
	TAPXFER_A_HANDOVER_MAX = (__TAPXFER_A_HANDOVER_MAX - 1)
};

enum {
	TAPXFER_CMD_CAP_GET = 1,
	TAPXFER_CMD_DEV_GET,
	TAPXFER_CMD_HANDOVER_GET,
	TAPXFER_CMD_PREPARE,
	TAPXFER_CMD_HOLD,
	TAPXFER_CMD_FREEZE,
	TAPXFER_CMD_CLAIM,
	TAPXFER_CMD_THAW,
	TAPXFER_CMD_ABORT,
	TAPXFER_CMD_EVENT,		/* notification */
	TAPXFER_CMD_READY,
	TAPXFER_CMD_PASS,
	TAPXFER_CMD_DRAIN,

	__TAPXFER_CMD_MAX,
	TAPXFER_CMD_MAX = (__TAPXFER_CMD_MAX - 1)
};

#define TAPXFER_MCGRP_EVENTS	"events"

#endif /* _UAPI_LINUX_TAPXFER_H */
