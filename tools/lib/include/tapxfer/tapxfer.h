/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libtapxfer: hand the queues of a tun/tap netdev from one process to another.
 *
 * The source's side, or that of whoever may look into it:
 *
 *	struct tapxfer_token token;
 *	struct tapxfer_info *ho;
 *	struct tapxfer *tx;
 *
 *	tapxfer_open(&tx);
 *	tapxfer_freeze(tx, 0, fds, nfds, NULL, &token, &ho);
 *	id = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
 *
 * The target's side, which got id and token by a channel of its own:
 *
 *	tapxfer_claim(tx, id, &token, &ho);
 *	nfds = tapxfer_info_fds(ho, fds, 256);
 *	tapxfer_thaw(tx, id, &token, NULL);
 *
 * Conventions:
 *
 *   - Functions that can fail return 0 (or a count, where they say so) on
 *     success and a negative errno on failure. The errnos of the kernel's own
 *     checks are listed in linux/tapxfer.h; tapxfer_error() has the text.
 *   - Objects are opaque. An object that a function returns through a pointer
 *     belongs to the caller, who frees it with the function named there; on
 *     failure the pointer is set to NULL. A free function takes NULL too.
 *   - Structures that the caller allocates begin with their size. Later
 *     versions append members; the library touches no more than size says.
 *   - Times are nanoseconds where the kernel tells them and milliseconds
 *     where the caller gives them, as in linux/tapxfer.h.
 *   - The library has no global state. A handle is for one thread at a time;
 *     different handles may be used by different threads at once. What a call
 *     returned can be read by several threads, until one of them frees it.
 *     Each function says what holds for it ("Threads:"). A handle does not
 *     survive a fork: the child must not use its parent's.
 *   - No call is a cancellation point of the library's own making and no
 *     signal is blocked; an interrupted system call is repeated.
 */
#ifndef TAPXFER_TAPXFER_H
#define TAPXFER_TAPXFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/tapxfer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A connection to the kernel, bound to one network namespace. */
struct tapxfer;

/**
 * An object as the kernel told it: capabilities, a device, a handover, a
 * queue of a handover or an event. It is a set of attributes, read by their
 * numbers from linux/tapxfer.h, so that an attribute of a later kernel can be
 * read without a later library.
 */
struct tapxfer_info;

/** Queue files of a process, duplicated into this one. */
struct tapxfer_queues;

/* ------------------------------------------------------------------------
 * The handle
 */

/**
 * tapxfer_open() - connect to the tapxfer of the caller's network namespace
 * @tx: where the handle goes; free it with tapxfer_close()
 *
 * The kernel loads the module by itself if it is installed. The handle stays
 * bound to the network namespace that the calling thread is in now, and to the
 * user: a process that changes its user, or gets more rights, has to open another
 * for the calls that take descriptors or give some (-EPERM).
 *
 * Return: 0; -ENOENT when the module is not loaded and could not be; or what
 * socket(2) gives. tapxfer_open_error() has the text.
 *
 * Threads: any.
 */
int tapxfer_open(struct tapxfer **tx);

/**
 * tapxfer_open_netns() - connect to the tapxfer of another network namespace
 * @tx: where the handle goes; free it with tapxfer_close()
 * @netns_fd: a file of the namespace (/run/netns/NAME, /proc/PID/ns/net);
 *   it stays the caller's and may be closed at once
 *
 * The calling thread visits the namespace while it opens the socket, which
 * takes CAP_SYS_ADMIN over both, and is back when the call returns.
 *
 * Return: as tapxfer_open(), or what setns(2) gives.
 *
 * Threads: any.
 */
int tapxfer_open_netns(struct tapxfer **tx, int netns_fd);

/**
 * tapxfer_open_error() - what an errno of tapxfer_open() means
 * @err: the return value, negative
 *
 * Return: one line without a full stop that names cause and cure where the
 * library knows them. It is never NULL and need not be freed.
 *
 * Threads: any.
 */
const char *tapxfer_open_error(int err);

/**
 * tapxfer_close() - free a handle
 * @tx: the handle, or NULL
 *
 * Handovers go on without it. Objects that came from it stay valid.
 *
 * Threads: one, when no other uses the handle any more.
 */
void tapxfer_close(struct tapxfer *tx);

/**
 * tapxfer_fd() - the handle's netlink socket
 * @tx: the handle
 *
 * For poll(2) on a handle that is subscribed to events. Do not read, write or
 * close it.
 *
 * Return: the file descriptor, close-on-exec.
 *
 * Threads: any, until the handle is closed.
 */
int tapxfer_fd(const struct tapxfer *tx);

/**
 * tapxfer_error() - text of the last call on the handle that failed
 * @tx: the handle
 *
 * The kernel's own message, or the library's, or else that of the errno, with
 * the file descriptor or attribute at fault where one is known: "file is no
 * queue of a tun or tap (fd 7)".
 *
 * Return: one line without a full stop, valid until the next call on the
 * handle; "" when the last call succeeded. Never NULL.
 *
 * Threads: one at a time for a handle.
 */
const char *tapxfer_error(const struct tapxfer *tx);

/**
 * tapxfer_error_extack() - the kernel's part of tapxfer_error()
 * @tx: the handle
 *
 * Return: the message as the kernel sent it, or NULL when it sent none.
 *
 * Threads: one at a time for a handle.
 */
const char *tapxfer_error_extack(const struct tapxfer *tx);

/**
 * tapxfer_error_attr() - the attribute at fault in the last call that failed
 * @tx: the handle
 *
 * Return: its number in the request (TAPXFER_A_DEV_* for tapxfer_dev_get(),
 * TAPXFER_A_HANDOVER_* for the rest), whether it was wrong or missing; 0 when
 * the kernel named none.
 *
 * Threads: one at a time for a handle.
 */
unsigned int tapxfer_error_attr(const struct tapxfer *tx);

/**
 * tapxfer_error_fd() - the descriptor at fault in the last call that failed
 * @tx: the handle
 *
 * Return: the value of that very fd attribute of the request, or -1 when the
 * kernel did not point at one.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_error_fd(const struct tapxfer *tx);

/**
 * tapxfer_ifindex() - index of the interface of that name
 * @tx: the handle, in whose network namespace the name is looked up
 * @ifname: the name
 *
 * Return: the index, above 0; -ENODEV when there is none; -EINVAL when it
 * cannot be a name.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_ifindex(struct tapxfer *tx, const char *ifname);

/**
 * tapxfer_version() - version of the library
 *
 * Return: "MAJOR.MINOR.PATCH". The module's own is an attribute of
 * tapxfer_caps(); ask for features there, do not compare versions.
 *
 * Threads: any.
 */
const char *tapxfer_version(void);

/* ------------------------------------------------------------------------
 * What the kernel told
 */

/**
 * tapxfer_info_has() - is the attribute there?
 * @info: the object
 * @attr: number of the attribute, of the set that the object belongs to
 *
 * Return: true when it is.
 *
 * Threads: any, several at once on one object too.
 */
bool tapxfer_info_has(const struct tapxfer_info *info, unsigned int attr);

/**
 * tapxfer_info_u64() - an unsigned attribute of any width
 * @info: the object
 * @attr: number of the attribute
 *
 * Return: its value; 0 when it is absent or no number (ask
 * tapxfer_info_has() where that makes a difference).
 *
 * Threads: any, several at once on one object too.
 */
uint64_t tapxfer_info_u64(const struct tapxfer_info *info, unsigned int attr);

/**
 * tapxfer_info_s32() - a signed attribute (file descriptors, sndbuf)
 * @info: the object
 * @attr: number of the attribute
 *
 * Return: its value; 0 when it is absent or not of four bytes.
 *
 * Threads: any, several at once on one object too.
 */
int32_t tapxfer_info_s32(const struct tapxfer_info *info, unsigned int attr);

/**
 * tapxfer_info_str() - a string attribute
 * @info: the object, which owns the string
 * @attr: number of the attribute
 *
 * Return: the string, NULL when it is absent.
 *
 * Threads: any, several at once on one object too.
 */
const char *tapxfer_info_str(const struct tapxfer_info *info,
			     unsigned int attr);

/**
 * tapxfer_info_bin() - the bytes of an attribute (MAC address)
 * @info: the object, which owns the bytes
 * @attr: number of the attribute
 * @len: where their number goes; 0 when it is absent
 *
 * Return: the bytes, NULL when it is absent.
 *
 * Threads: any, several at once on one object too.
 */
const void *tapxfer_info_bin(const struct tapxfer_info *info,
			     unsigned int attr, size_t *len);

/**
 * tapxfer_info_count() - how many times an attribute is there
 * @info: the object
 * @attr: number of the attribute
 *
 * Return: the number; for TAPXFER_A_HANDOVER_QUEUE the queues that were told.
 *
 * Threads: any, several at once on one object too.
 */
size_t tapxfer_info_count(const struct tapxfer_info *info, unsigned int attr);

/**
 * tapxfer_info_nest() - an object within an object
 * @info: the object, which owns the one within
 * @attr: TAPXFER_A_HANDOVER_DEV or TAPXFER_A_HANDOVER_QUEUE
 * @n: which one, from 0
 *
 * Return: the object, or NULL when there are not so many. Don't free it.
 *
 * Threads: any, several at once on one object too.
 */
const struct tapxfer_info *tapxfer_info_nest(const struct tapxfer_info *info,
					     unsigned int attr, size_t n);

/**
 * tapxfer_info_fds() - the descriptors that a claim brought
 * @info: what tapxfer_claim() returned
 * @fds: where the descriptors go, in the order of the queues; may be NULL
 *   when @n is 0
 * @n: room in @fds
 *
 * Return: how many descriptors there are, also when that is more than @n; 0
 * for any other object.
 *
 * Threads: any, several at once on one object too.
 */
size_t tapxfer_info_fds(const struct tapxfer_info *info, int *fds, size_t n);

/**
 * tapxfer_info_free() - free an object
 * @info: the object, or NULL
 *
 * Descriptors that it tells of are not closed: they are the caller's.
 *
 * Threads: one, when no other uses the object any more.
 */
void tapxfer_info_free(struct tapxfer_info *info);

/**
 * tapxfer_state_name() - name of an enum tapxfer_state, as the spec has it
 * @state: the value
 *
 * Return: the name, or NULL when the library knows none.
 *
 * Threads: any.
 */
const char *tapxfer_state_name(unsigned int state);

/**
 * tapxfer_event_name() - name of an enum tapxfer_event, as the spec has it
 * @event: the value
 *
 * Return: the name, or NULL when the library knows none.
 *
 * Threads: any.
 */
const char *tapxfer_event_name(unsigned int event);

/**
 * tapxfer_dev_type_name() - name of an enum tapxfer_dev_type, as the spec has it
 * @type: the value
 *
 * Return: the name, or NULL when the library knows none.
 *
 * Threads: any.
 */
const char *tapxfer_dev_type_name(unsigned int type);

/**
 * tapxfer_feature_name() - name of one bit of enum tapxfer_feature, as the spec has it
 * @feature: the bit
 *
 * Return: the name, or NULL when the library knows none.
 *
 * Threads: any.
 */
const char *tapxfer_feature_name(uint64_t feature);

/**
 * tapxfer_not_exported_name() - name of one bit of enum tapxfer_not_exported, as the spec has it
 * @bit: the bit
 *
 * Return: the name, or NULL when the library knows none.
 *
 * Threads: any.
 */
const char *tapxfer_not_exported_name(uint32_t bit);

/**
 * tapxfer_violation_name() - name of one bit of enum tapxfer_violation, as the spec has it
 * @bit: the bit
 *
 * Return: the name, or NULL when the library knows none.
 *
 * Threads: any.
 */
const char *tapxfer_violation_name(uint32_t bit);

/* ------------------------------------------------------------------------
 * Questions
 */

/**
 * tapxfer_caps() - features and limits of this kernel's tapxfer
 * @tx: the handle
 * @caps: where the object goes (TAPXFER_A_CAP_*); free it with
 *   tapxfer_info_free()
 *
 * Return: 0 or a negative errno.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_caps(struct tapxfer *tx, struct tapxfer_info **caps);

/**
 * tapxfer_dev_get() - state of a device
 * @tx: the handle
 * @ifindex: the device, or 0 for that of the name that @fd tells
 * @fd: one of its queue files, or -1; with it the answer has the settings
 *   that only a file can tell (flags, vnet-hdr-sz, vnet-le, vnet-be, sndbuf)
 * @dev: where the object goes (TAPXFER_A_DEV_*); free it with
 *   tapxfer_info_free()
 *
 * The kernel proves that the file is a queue of the device, whoever named it.
 *
 * Return: 0; -ENODEV no such device; -EOPNOTSUPP no tun or tap; -EBADF;
 * -EXDEV the file is a queue of another device; -EBADFD it is attached to
 * none; -EINVAL neither was given.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_dev_get(struct tapxfer *tx, unsigned int ifindex, int fd,
		    struct tapxfer_info **dev);

/**
 * typedef tapxfer_info_cb - called with each object of a list
 * @info: the object, valid until the callback returns
 * @data: as given with the callback
 *
 * The list is complete before the first call, so the callback may use the
 * handle.
 *
 * Return: 0 to go on; any other value ends the walk and is what the listing
 * function returns.
 */
typedef int (*tapxfer_info_cb)(const struct tapxfer_info *info, void *data);

/**
 * tapxfer_dev_list() - all tun and tap devices of the network namespace
 * @tx: the handle
 * @cb: called with each device (TAPXFER_A_DEV_*, less what only a file tells)
 * @data: for @cb
 *
 * Return: 0, what @cb returned, or a negative errno; -EAGAIN when the devices
 * changed again and again while the kernel listed them.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_dev_list(struct tapxfer *tx, tapxfer_info_cb cb, void *data);

/**
 * tapxfer_handover_get() - a handover with its device and queues
 * @tx: the handle
 * @id: the handover
 * @ho: where the object goes (TAPXFER_A_HANDOVER_*); free it with
 *   tapxfer_info_free()
 *
 * Needs no token. What was exported (TAPXFER_A_HANDOVER_DEV) is there from
 * the freeze on.
 *
 * Return: 0; -ENOENT when there is none of that id, or it has ended.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_handover_get(struct tapxfer *tx, uint32_t id,
			 struct tapxfer_info **ho);

/**
 * tapxfer_handover_list() - all handovers of the network namespace
 * @tx: the handle
 * @cb: called with a summary of each (no nested objects)
 * @data: for @cb
 *
 * Return: as tapxfer_dev_list().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_handover_list(struct tapxfer *tx, tapxfer_info_cb cb, void *data);

/* ------------------------------------------------------------------------
 * The token: the right to go on with a handover
 */

/** struct tapxfer_token - whoever shows it may go on with the handover */
struct tapxfer_token {
	uint8_t bytes[TAPXFER_TOKEN_LEN];
};

enum {
	/** Digits of a token's text form, without the closing NUL */
	TAPXFER_TOKEN_TEXT_LEN = 2 * TAPXFER_TOKEN_LEN
};

/**
 * tapxfer_token_format() - token to text: 32 lower-case hexadecimal digits
 * @token: the token
 * @text: where the text goes, with a closing NUL; wipe it after use
 * @size: room at @text, at least TAPXFER_TOKEN_TEXT_LEN + 1
 *
 * Return: 0, or -ENOSPC when the room is too small (nothing is written).
 *
 * Threads: any, several at once on one object too.
 */
int tapxfer_token_format(const struct tapxfer_token *token, char *text,
			 size_t size);

/**
 * tapxfer_token_parse() - text to token
 * @token: where the token goes; wiped when the text is none
 * @text: the text; it need not end with a NUL
 * @len: its length
 *
 * Return: 0, or -EINVAL unless the text is 32 hexadecimal digits and nothing
 * else: no prefix, no blank, no newline.
 *
 * Threads: one at a time for a token.
 */
int tapxfer_token_parse(struct tapxfer_token *token, const char *text,
			size_t len);

/**
 * tapxfer_token_wipe() - overwrite a token that is of no more use
 * @token: the token, or NULL
 *
 * Threads: one at a time for a token.
 */
void tapxfer_token_wipe(struct tapxfer_token *token);

/* ------------------------------------------------------------------------
 * Handovers
 */

/** Members of struct tapxfer_opts that hold a value */
enum tapxfer_opt {
	TAPXFER_OPT_HOLD = 1,		/**< hold is set */
	TAPXFER_OPT_DEADLINE = 2,	/**< deadline is set */
	TAPXFER_OPT_TIMEOUT = 4,	/**< timeout is set */
	TAPXFER_OPT_HOLD_BYTES = 8	/**< hold_bytes is set */
};

/**
 * struct tapxfer_opts - what can be asked of a handover
 * @size: sizeof(struct tapxfer_opts), from the caller
 * @set: bits of enum tapxfer_opt; a member without its bit is not looked at,
 *   and the kernel's default applies
 * @hold: packets that each queue holds at the most
 * @deadline: milliseconds from the prepare to the kernel's own abort
 * @timeout: milliseconds that a freeze waits for writes and ioctls in flight,
 *   up to TAPXFER_A_CAP_TIMEOUT_MAX; 0 not to wait. Who wants to wait longer
 *   freezes again after -ETIMEDOUT: the handover holds meanwhile
 * @reserved: 0
 * @hold_bytes: bytes of memory that the held packets of all queues may take;
 *   a queue that reaches it drops, as one that reaches @hold
 *
 * @hold, @hold_bytes and @deadline go with the call that begins the handover,
 * @timeout with the one that freezes; elsewhere they are refused with -EINVAL.
 */
struct tapxfer_opts {
	uint32_t size;
	uint32_t set;
	uint32_t hold;
	uint32_t deadline;
	uint32_t timeout;
	uint32_t reserved;
	uint64_t hold_bytes;
};

/**
 * tapxfer_prepare() - begin a handover; traffic is not touched yet
 * @tx: the handle
 * @ifindex: the device, or 0 for that of the name that the first file tells;
 *   the kernel proves that all files are its queues, whoever named it
 * @fds: all queue files of the device, detached ones too, in the order in
 *   which the claimant shall get them; they stay the caller's and need not
 *   stay open: the handover has references of its own
 * @nfds: their number
 * @opts: limits, or NULL for the kernel's defaults
 * @token: where the token goes, which only this call returns; wiped on failure
 * @ho: where the handover goes (id, ifindex, ifname, state); free it with
 *   tapxfer_info_free(); may not be NULL
 *
 * Either the handover exists and the caller has id and token, or there is
 * none: the kernel takes a prepare back whose answer it cannot deliver.
 *
 * Return: 0 or a negative errno, see linux/tapxfer.h.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_prepare(struct tapxfer *tx, unsigned int ifindex, const int *fds,
		    size_t nfds, const struct tapxfer_opts *opts,
		    struct tapxfer_token *token, struct tapxfer_info **ho);

/**
 * tapxfer_hold() - begin a handover and hold the packets to the queues
 * @tx: the handle
 * @ifindex: as for tapxfer_prepare()
 * @fds: as for tapxfer_prepare()
 * @nfds: as for tapxfer_prepare()
 * @opts: as for tapxfer_prepare()
 * @token: as for tapxfer_prepare()
 * @ho: as for tapxfer_prepare()
 *
 * From its return to the thaw no read that starts on any queue sees a packet,
 * and none is lost up to the hold limit. Writes still pass.
 *
 * The library prepares first and goes on with the token that this brought, so
 * that it can abort what it began when a later step fails: on failure there
 * is no handover, whatever the caller's privileges.
 *
 * Return: as tapxfer_prepare() and tapxfer_hold_id().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_hold(struct tapxfer *tx, unsigned int ifindex, const int *fds,
		 size_t nfds, const struct tapxfer_opts *opts,
		 struct tapxfer_token *token, struct tapxfer_info **ho);

/**
 * tapxfer_freeze() - begin a handover and freeze the device
 * @tx: the handle
 * @ifindex: as for tapxfer_prepare()
 * @fds: as for tapxfer_prepare()
 * @nfds: as for tapxfer_prepare()
 * @opts: as for tapxfer_prepare(), and @timeout
 * @token: as for tapxfer_prepare()
 * @ho: as for tapxfer_prepare(), with the exported state; of a queue index,
 *   detached, nonblock and held, and tapxfer_handover_get() has the rest
 *
 * The source must have stopped, or its reads and writes get EAGAIN. From the
 * return to the thaw no write that starts enters the host either, and the
 * settings stay as exported. On failure there is no handover, as with
 * tapxfer_hold().
 *
 * Return: as tapxfer_prepare() and tapxfer_freeze_id(), save that after
 * -ETIMEDOUT nothing is left holding.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_freeze(struct tapxfer *tx, unsigned int ifindex, const int *fds,
		   size_t nfds, const struct tapxfer_opts *opts,
		   struct tapxfer_token *token, struct tapxfer_info **ho);

/**
 * tapxfer_hold_id() - hold the packets of a handover that was prepared
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @opts: NULL, or with no bit set that does not belong here
 * @ho: where the handover goes, or NULL; free it with tapxfer_info_free()
 *
 * Return: 0; -EPERM wrong token; -ENOENT; -EPROTO not in that state; -ESTALE.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_hold_id(struct tapxfer *tx, uint32_t id,
		    const struct tapxfer_token *token,
		    const struct tapxfer_opts *opts, struct tapxfer_info **ho);

/**
 * tapxfer_freeze_id() - freeze a handover that was prepared or holds
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @opts: NULL, or the timeout
 * @ho: where the handover goes, with the exported state; free it with
 *   tapxfer_info_free(). Or NULL: it is not asked for then, which takes less time,
 *   and tapxfer_handover_get() has it
 *
 * Return: as tapxfer_hold_id(); -ETIMEDOUT: writes or ioctls in flight did
 * not end, and the handover is holding, whatever it was before.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_freeze_id(struct tapxfer *tx, uint32_t id,
		      const struct tapxfer_token *token,
		      const struct tapxfer_opts *opts,
		      struct tapxfer_info **ho);

/**
 * tapxfer_claim() - take all queue files, or none, and the state
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @ho: where the handover goes; tapxfer_info_fds() has the descriptors, which
 *   are the caller's from now on (close-on-exec, O_NONBLOCK as the source had
 *   it), TAPXFER_A_HANDOVER_DEV the state, of a queue what tapxfer_freeze() has;
 *   free it with tapxfer_info_free(); may not be NULL
 *
 * The claim belongs to the caller's process, through exec(2) as well, until it
 * is passed on. When the process exits before the thaw, the handover is frozen
 * again. What the process sets on its files meanwhile is recorded, and applied
 * by ready or thaw.
 *
 * Return: 0; -EPERM wrong token; -ENOENT; -EPROTO not frozen, or claimed by
 * another; -EMFILE no room for all descriptors: none was taken.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_claim(struct tapxfer *tx, uint32_t id,
		  const struct tapxfer_token *token, struct tapxfer_info **ho);

/** Flags of tapxfer_claim_flags(), _claim_fds() and _claim_thaw() */
enum tapxfer_claim_flag {
	/** the state alone: the descriptors come by the caller's own way */
	TAPXFER_CLAIM_NO_FDS = 1,
	/**
	 * queues that the source had detached are attached from the thaw on, for
	 * a target that expects every queue enabled. It is recorded as the
	 * claimant's own TUNSETQUEUE would be: its TUNGETIFF shows them attached,
	 * it may detach some again, and an abort leaves them, or after ready puts
	 * them back, as the source had them
	 */
	TAPXFER_CLAIM_ATTACH_ALL = 2,
	/** of tapxfer_claim_thaw() alone, as TAPXFER_THAW_SHARED */
	TAPXFER_CLAIM_SHARED = 4
};

/**
 * tapxfer_claim_flags() - tapxfer_claim() with flags
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @flags: bits of TAPXFER_CLAIM_NO_FDS and TAPXFER_CLAIM_ATTACH_ALL
 * @ho: as for tapxfer_claim(); without descriptors the queues
 *   (TAPXFER_A_HANDOVER_QUEUE) are told all the same, and
 *   TAPXFER_A_QUEUE_DETACHED is always as the source had it
 *
 * Return: as tapxfer_claim(); -EINVAL for a flag that library or kernel
 * (TAPXFER_FEATURE_NO_FDS, _ATTACH_ALL) does not know.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_claim_flags(struct tapxfer *tx, uint32_t id,
			const struct tapxfer_token *token, uint32_t flags,
			struct tapxfer_info **ho);

/**
 * tapxfer_claim_fds() - take all queue files, or none, and nothing else
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @flags: 0 or TAPXFER_CLAIM_ATTACH_ALL
 * @fds: where the descriptors go, in the order in which the source gave them; as
 *   with tapxfer_claim() they are the caller's, close-on-exec
 * @nfds: how many; the handover has to have as many queues
 *
 * For a target that knows the state, from the source or from
 * tapxfer_handover_get(): it takes less time than tapxfer_claim(), and packets are
 * held meanwhile.
 *
 * Return: as tapxfer_claim(); -EINVAL: another number of queues, none was taken; or
 * a kernel that cannot do it (TAPXFER_FEATURE_BRIEF).
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_claim_fds(struct tapxfer *tx, uint32_t id,
		      const struct tapxfer_token *token, uint32_t flags,
		      int *fds, size_t nfds);

/**
 * tapxfer_claim_thaw() - take all queue files and let traffic go on, or neither
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @flags: 0 or TAPXFER_CLAIM_SHARED
 * @fds: where the descriptors go, as with tapxfer_claim_fds()
 * @nfds: how many; the handover has to have as many queues
 * @ho: where the result goes, as with tapxfer_thaw(), but as it is just before
 *   traffic goes on; or NULL; free it with tapxfer_info_free()
 *
 * For a target that has nothing to do between the two: no setting of its own, and no
 * backend to attach. It takes less time than one after the other. The source has to
 * have let go of its files before, unless they are shared. How the device differs from
 * what was exported is told when traffic goes on: who decides by it claims first.
 *
 * Return: 0; otherwise no descriptor was taken, and nothing was changed: as
 * tapxfer_claim_fds(); -EBUSY others hold a queue file, as tapxfer_thaw(); -EPROTO also
 * when an earlier claimant, which was ready, has left settings: claim, then thaw;
 * -EINVAL also of a kernel that cannot do it (TAPXFER_FEATURE_CLAIM_THAW).
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_claim_thaw(struct tapxfer *tx, uint32_t id,
		       const struct tapxfer_token *token, uint32_t flags,
		       int *fds, size_t nfds, struct tapxfer_info **ho);

/**
 * tapxfer_pass() - pass the claim on to another process
 * @tx: the handle
 * @id: the handover, which must be claimed
 * @token: its token
 * @pidfd: the process, which the claim belongs to from now on, as if it had
 *   claimed; the pidfd stays the caller's. It gets no descriptors by this
 * @ho: where the handover goes (TAPXFER_A_HANDOVER_CLAIMANT), or NULL; free
 *   it with tapxfer_info_free()
 *
 * The kernel is told a number, which the library reads in /proc and which must
 * be that of the caller's pid namespace. A process that ends while it is passed
 * the claim cannot be mistaken for the next one of that number: the claim is
 * the calling process's then, or the handover is frozen, to be claimed anew.
 *
 * Return: 0; -ESRCH the process has ended, or is in no pid namespace seen from
 * here; -EBADF not a pidfd; -EINVAL /proc is of another pid namespace; -EPERM
 * wrong token, or another user's process and no CAP_KILL; -ENOENT; -EPROTO not claimed.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_pass(struct tapxfer *tx, uint32_t id,
		 const struct tapxfer_token *token, int pidfd,
		 struct tapxfer_info **ho);

/**
 * tapxfer_drain() - wait until the host has let go of what was written
 * @tx: the handle
 * @id: the handover, frozen or claimed
 * @token: its token
 * @timeout: milliseconds to wait, up to TAPXFER_A_CAP_TIMEOUT_MAX (-ERANGE
 *   above); 0 not to wait, negative for as long as the kernel waits at the most
 * @ho: where the handover goes (TAPXFER_A_HANDOVER_UNSENT: bytes), or NULL;
 *   free it with tapxfer_info_free()
 *
 * It looks at the memory that the packets written to the queues still take,
 * as far as the driver's sockets tell. Who wants to wait longer calls again.
 *
 * Return: 0; -ETIMEDOUT the host still has some, tapxfer_handover_get() tells
 * how much; -EPERM wrong token; -ENOENT; -EPROTO not frozen yet.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_drain(struct tapxfer *tx, uint32_t id,
		  const struct tapxfer_token *token, int timeout,
		  struct tapxfer_info **ho);

/** Flag of tapxfer_ready() and tapxfer_thaw_flags() */
enum tapxfer_thaw_flag {
	/** whoever else holds a queue file shares the packets from now on */
	TAPXFER_THAW_SHARED = 1
};

/**
 * tapxfer_ready() - apply the claimant's settings and take the fence down
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @flags: bits of enum tapxfer_thaw_flag
 * @ho: where the handover goes, or NULL; free it with tapxfer_info_free()
 *
 * For a claimant that wants to do with its files what the fence keeps from
 * them, such as VHOST_NET_SET_BACKEND, before traffic goes on: packets still
 * wait on both sides. Nobody needs it who does not.
 *
 * Return: as tapxfer_thaw().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_ready(struct tapxfer *tx, uint32_t id,
		  const struct tapxfer_token *token, uint32_t flags,
		  struct tapxfer_info **ho);

/**
 * tapxfer_thaw() - let traffic go on, the held packets first
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @ho: where the result goes (held, dropped: packets; blackout: ns; violated:
 *   enum tapxfer_violation, how the device differs from what was exported),
 *   or NULL; free it with tapxfer_info_free()
 *
 * It applies the claimant's settings, unless tapxfer_ready() has, so that it
 * can fail as the driver's ioctls do; the handover is claimed then, as before.
 *
 * Return: 0; -EBUSY others than the claimant hold a queue file: the text names
 * queue and number (a look into /proc/PID/fd holds one for a moment: try
 * again), or another command is under way; -EPERM wrong token; -ENOENT;
 * -EPROTO not claimed.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_thaw(struct tapxfer *tx, uint32_t id,
		 const struct tapxfer_token *token, struct tapxfer_info **ho);

/**
 * tapxfer_thaw_flags() - tapxfer_thaw() with flags
 * @tx: the handle
 * @id: the handover
 * @token: its token
 * @flags: bits of enum tapxfer_thaw_flag
 * @ho: as for tapxfer_thaw()
 *
 * Return: as tapxfer_thaw(); -EINVAL for a flag that library or kernel
 * (TAPXFER_FEATURE_EXCLUSIVE) does not know.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_thaw_flags(struct tapxfer *tx, uint32_t id,
		       const struct tapxfer_token *token, uint32_t flags,
		       struct tapxfer_info **ho);

/**
 * tapxfer_abort() - put everything back as it was before the prepare
 * @tx: the handle
 * @id: the handover
 * @token: its token, or NULL with CAP_NET_ADMIN over the device's network
 *   namespace
 * @ho: as for tapxfer_thaw()
 *
 * Return: 0; -EPERM wrong token, or none and no privilege; -ENOENT when the
 * handover has ended already.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_abort(struct tapxfer *tx, uint32_t id,
		  const struct tapxfer_token *token, struct tapxfer_info **ho);

/* ------------------------------------------------------------------------
 * The state as a stream of bytes
 *
 * What a freeze exported, and what the queues carry, goes through a pipe, a
 * socket or a file, or within the caller's own migration stream, in the format
 * of Documentation/state-format.rst. It has no descriptors and no token. As
 * vhost-user's SET_DEVICE_STATE_FD each transfer has a direction and a phase,
 * and a verdict at its end, as CHECK_DEVICE_STATE gives one.
 *
 *	tapxfer_state_open(tx, id, TAPXFER_DIRECTION_SAVE,
 *			   TAPXFER_PHASE_STOPPED, NULL, &stream);
 *	tapxfer_state_save(stream, fd);
 *	err = tapxfer_state_check(stream);
 *	tapxfer_state_close(stream);
 */

/** A state on its way, out or in */
struct tapxfer_stream;

/** Directions, as vhost-user numbers them */
enum tapxfer_direction {
	TAPXFER_DIRECTION_SAVE = 0,	/**< the library writes */
	TAPXFER_DIRECTION_LOAD = 1	/**< the library reads */
};

/** Phases, as vhost-user numbers them; others are refused until they exist */
enum tapxfer_phase {
	TAPXFER_PHASE_STOPPED = 0	/**< the queues are frozen */
};

/**
 * What a state uses and its reader has to take. A reader refuses a state
 * that uses what it does not know, or what its caller does not take.
 */
enum tapxfer_state_feature {
	/** packets to the guest wait in the device's queues (always so) */
	TAPXFER_STATE_FEATURE_HELD = 1,
	/** of the guest's packets the host has let go, as far as can be seen */
	TAPXFER_STATE_FEATURE_DRAINED = 2,
	/** some of the guest's packets were left in the host's stack */
	TAPXFER_STATE_FEATURE_LEFT = 4,
	/** there are detached queues */
	TAPXFER_STATE_FEATURE_DETACHED = 8,
	/**
	 * with token and numbers of descriptors, for what passes exec(2)
	 * alone: not among tapxfer_state_features()
	 */
	TAPXFER_STATE_FEATURE_FDS = 16
};

/**
 * Attributes that a state has beside a handover's (TAPXFER_A_HANDOVER_*), in
 * one numbering with them
 */
enum tapxfer_state_attr {
	/** u64, what it uses: bits of enum tapxfer_state_feature */
	TAPXFER_A_STATE_FEATURES = 0x100,
	/** string, version of the library that saved it */
	TAPXFER_A_STATE_LIBRARY,
	/** string, version of the module that exported it */
	TAPXFER_A_STATE_MODULE,
	/** u64, what that module can do: bits of enum tapxfer_feature */
	TAPXFER_A_STATE_KERNEL_FEATURES,
	/** u64, what the library that saved it takes itself */
	TAPXFER_A_STATE_READS
};

/** Members of struct tapxfer_state_opts that hold a value */
enum tapxfer_state_opt {
	TAPXFER_STATE_OPT_TAKES = 1	/**< takes is set */
};

/**
 * struct tapxfer_state_opts - what a state may use
 * @size: sizeof(struct tapxfer_state_opts), from the caller
 * @set: bits of enum tapxfer_state_opt
 * @takes: bits of enum tapxfer_state_feature; to save: what the other side
 *   told that it takes; to load: what the caller takes. By default all that
 *   tapxfer_state_features() has
 */
struct tapxfer_state_opts {
	uint32_t size;
	uint32_t set;
	uint64_t takes;
};

/**
 * tapxfer_state_features() - what this library can read and write in a state
 *
 * Tell it to the other side before anything is frozen, less what the VMM does
 * not take.
 *
 * Return: bits of enum tapxfer_state_feature.
 *
 * Threads: any.
 */
uint64_t tapxfer_state_features(void);

/**
 * tapxfer_state_feature_name() - name of one bit of enum tapxfer_state_feature
 * @feature: the bit
 *
 * Return: the name, or NULL when the library knows none.
 *
 * Threads: any.
 */
const char *tapxfer_state_feature_name(uint64_t feature);

/**
 * tapxfer_state_open() - begin to save or load a state
 * @tx: the handle, which must stay open as long as the stream; may be NULL to
 *   load with @id 0, there is no text of errors then
 * @id: the handover; to load 0, when the state is only to be read
 * @direction: enum tapxfer_direction
 * @phase: enum tapxfer_phase
 * @opts: what the state may use, or NULL
 * @stream: where the stream goes; free it with tapxfer_state_close()
 *
 * To save, the state is taken now, and the handover has to be frozen or
 * claimed. To load, it has to be as well: a state is not for queues that run.
 * A handover can be saved and loaded as often as one likes, each time with a
 * stream of its own: nothing is changed by it.
 *
 * Return: 0; -EPROTO the handover is not frozen yet, or ready or thawed
 * already; -ENOENT no such handover; -EOPNOTSUPP a phase that there is not, or
 * the state uses what the other side does not take (the text names it); -EINVAL
 * no such direction, or no handover to save.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_state_open(struct tapxfer *tx, uint32_t id, uint32_t direction,
		       uint32_t phase, const struct tapxfer_state_opts *opts,
		       struct tapxfer_stream **stream);

/**
 * tapxfer_state_save() - write the state to a descriptor
 * @stream: a stream to save
 * @fd: the descriptor, which stays the caller's; its offset moves on
 *
 * It writes as long as the descriptor takes something; a call that was
 * interrupted is repeated. On a descriptor that does not block call again when
 * it polls writable. Nothing is written after the state, and SIGPIPE is the
 * caller's concern.
 *
 * Return: 0 when all of it is written; -EAGAIN the descriptor takes no more at
 * present; -EALREADY it was written before; -EINVAL the stream is one to load;
 * or what write(2) gives, which the stream remembers.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_state_save(struct tapxfer_stream *stream, int fd);

/**
 * tapxfer_state_load() - read a state from a descriptor
 * @stream: a stream to load
 * @fd: the descriptor, which stays the caller's; its offset moves on
 *
 * It reads the state's bytes and none past them, so that a caller's own may
 * follow. Interruptions and descriptors that do not block are as with
 * tapxfer_state_save(). It reads with read(2), which drops descriptors that
 * come with the bytes over a UNIX socket: whoever expects some receives
 * himself and calls tapxfer_state_push().
 *
 * Return: 0 when the state is there and whole; -EAGAIN no bytes at present;
 * -ENODATA the bytes ended before it did; -EBADMSG no state, or a damaged one;
 * -EOPNOTSUPP a version, phase, feature or required attribute that the library
 * does not know, or a feature that the caller does not take (the text names
 * it); -EMSGSIZE longer than any state; -ENOMEM; -EALREADY it was read before;
 * -EINVAL the stream is one to save; or what read(2) gives. The stream remembers
 * what failed, but for -EAGAIN, and fails so again.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_state_load(struct tapxfer_stream *stream, int fd);

/**
 * tapxfer_state_pull() - the next bytes of a state to save
 * @stream: a stream to save
 * @buf: where they go
 * @size: room there
 *
 * For a caller that has a stream of his own to put them in.
 *
 * Return: their number; 0 when all were told; -EINVAL the stream is one to
 * load.
 *
 * Threads: one at a time for a handle.
 */
ssize_t tapxfer_state_pull(struct tapxfer_stream *stream, void *buf,
			   size_t size);

/**
 * tapxfer_state_push() - the next bytes of a state to load
 * @stream: a stream to load
 * @buf: the bytes, as many or as few as the caller has
 * @len: their number
 *
 * Return: how many of them belong to the state: fewer than @len when it ends
 * there, 0 when it had ended before; or as tapxfer_state_load().
 *
 * Threads: one at a time for a handle.
 */
ssize_t tapxfer_state_push(struct tapxfer_stream *stream, const void *buf,
			   size_t len);

/**
 * tapxfer_state_complete() - is all of the state written or read?
 * @stream: the stream
 *
 * Return: true when it is. What it is worth tapxfer_state_check() tells.
 *
 * Threads: any, while no other one is in a call on the stream.
 */
bool tapxfer_state_complete(const struct tapxfer_stream *stream);

/**
 * tapxfer_state_info() - the state
 * @stream: the stream, which owns the object
 *
 * Return: an object as tapxfer_handover_get() gives it (TAPXFER_A_HANDOVER_*
 * with device and queues) and TAPXFER_A_STATE_*, of the moment of the save; NULL
 * as long as a stream to load is not complete, and when memory is short.
 *
 * Threads: any, while no other one is in a call on the stream.
 */
const struct tapxfer_info *
tapxfer_state_info(const struct tapxfer_stream *stream);

/**
 * tapxfer_state_check() - the verdict
 * @stream: the stream
 *
 * After a save: all of it was written, and it is still true. After a load: all
 * of it came, whole; and with a handover, the device is what the state says.
 *
 * Return: 0; -EINPROGRESS not complete yet; what failed before; -ENOENT the
 * handover has ended; -EPROTO it is no longer frozen or claimed; -ESTALE the
 * device is not, or no longer, what the state says (the text names in what).
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_state_check(struct tapxfer_stream *stream);

/** What can be done about a difference */
enum tapxfer_difference_kind {
	/** a queue file can set it: tapxfer_state_apply() does */
	TAPXFER_DIFFERENCE_FILE = 1,
	/** rtnetlink can set it, while the device is in no handover */
	TAPXFER_DIFFERENCE_LINK,
	/** nothing can: it is another sort of device */
	TAPXFER_DIFFERENCE_FIXED,
	/** it need not agree (names, owner, carrier) */
	TAPXFER_DIFFERENCE_TOLD
};

/**
 * struct tapxfer_difference - something that a device has otherwise
 * @kind: enum tapxfer_difference_kind
 * @attr: TAPXFER_A_DEV_*, or of a queue TAPXFER_A_QUEUE_*
 * @queue: the queue, by its place in the state, or -1: the device
 * @name: what it is, in words: "device's mtu"
 * @saved: an object that has @attr as the state has it
 * @live: one that has it as the device has it
 *
 * The library allocates it; later versions may append members.
 */
struct tapxfer_difference {
	uint32_t kind;
	uint32_t attr;
	int queue;
	const char *name;
	const struct tapxfer_info *saved;
	const struct tapxfer_info *live;
};

/**
 * typedef tapxfer_difference_cb - called with each difference
 * @difference: the difference, valid until the callback returns
 * @data: as given with the callback
 *
 * Return: 0 to go on; any other value ends the walk and is what
 * tapxfer_state_compare() returns.
 */
typedef int (*tapxfer_difference_cb)(const struct tapxfer_difference *difference,
				     void *data);

/**
 * tapxfer_state_compare() - what a device has otherwise than a state
 * @stream: a stream that is complete, with a handle
 * @ifindex: the device, or 0 for that of the name that the first file tells
 * @fds: all its queue files, in the order of the state's queues, or NULL: what
 *   only they tell is not compared then
 * @nfds: their number
 * @cb: called with each difference
 * @data: for @cb
 *
 * A claimant's files tell what it has set, but for the offloads, which are the
 * device's until the thaw: no file tells them.
 *
 * Return: 0, what @cb returned, -EINPROGRESS the stream is not complete, -EINVAL
 * not as many files as the state has queues, or as tapxfer_dev_get().
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_state_compare(struct tapxfer_stream *stream, unsigned int ifindex,
			  const int *fds, size_t nfds,
			  tapxfer_difference_cb cb, void *data);

/**
 * tapxfer_state_apply() - give a device what a state says, all or nothing
 * @stream: a stream that is complete, with a handle
 * @ifindex: as for tapxfer_state_compare()
 * @fds: all its queue files, in the order of the state's queues
 * @nfds: their number
 *
 * It sets what queue files set: header size, endianness, offloads, send
 * buffer, detached queues and O_NONBLOCK. They are those that the caller has
 * claimed, and what it sets reaches the device with the thaw; or those of a
 * device in no handover whose link is down. It is not for queues that run. Where
 * one setting fails those before it are taken back.
 *
 * What a file cannot set has to agree already: the MTU, MAC address and tx
 * queue length are rtnetlink's.
 *
 * Return: 0, also when there was nothing to set; -EBUSY the queues run, or are
 * frozen and not claimed by the caller; -ESTALE something differs that no file
 * can set, which the text names; or as tapxfer_state_compare() and the driver's
 * ioctls.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_state_apply(struct tapxfer_stream *stream, unsigned int ifindex,
			const int *fds, size_t nfds);

/**
 * tapxfer_state_close() - free a stream, complete or not
 * @stream: the stream, or NULL
 *
 * Threads: one, when no other uses the object any more.
 */
void tapxfer_state_close(struct tapxfer_stream *stream);

/* ------------------------------------------------------------------------
 * Through exec(2)
 *
 * A VMM that replaces itself by a newer one keeps its process, and with it its
 * descriptors and claims. What the new program has to be told (which number is
 * which queue, state, token) passes in a sealed memfd, whose number is in the
 * environment, as systemd's LISTEN_FDS is:
 *
 *	TAPXFER_EXEC_FD=7
 *	TAPXFER_EXEC_PID=4711		the process it is meant for
 *
 *	tapxfer_freeze(tx, 0, fds, nfds, NULL, &token, &ho);
 *	tapxfer_exec_open(tx, &ex);
 *	tapxfer_exec_add(ex, id, &token, fds, nfds);
 *	tapxfer_exec_prepare(ex);
 *	execv(...);
 *	tapxfer_exec_close(ex);			it did not work: as before
 *
 * and in the new program:
 *
 *	tapxfer_exec_restore(tx, &ex);
 *	for (i = 0; i < tapxfer_exec_count(ex); i++) {
 *		state = tapxfer_exec_state(ex, i);
 *		nfds = tapxfer_info_fds(state, fds, 256);
 *		tapxfer_claim_flags(tx, id, tapxfer_exec_token(ex, i),
 *				    TAPXFER_CLAIM_NO_FDS, &ho);
 *		...
 *	}
 *	tapxfer_exec_close(ex);
 */

/** What passes exec(2), or came through it */
struct tapxfer_exec;

/**
 * tapxfer_exec_open() - begin to collect what shall pass exec(2)
 * @tx: the handle, which must stay open as long as the object
 * @ex: where the object goes; free it with tapxfer_exec_close()
 *
 * Return: 0 or what memfd_create(2) gives.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_exec_open(struct tapxfer *tx, struct tapxfer_exec **ex);

/**
 * tapxfer_exec_add() - one more device
 * @ex: the object, which is not prepared yet
 * @id: its handover, frozen, or claimed by this process
 * @token: the handover's token
 * @fds: the device's queue files, in the order of the handover's queues; they
 *   stay the caller's
 * @nfds: their number
 *
 * Return: 0; -EPROTO the handover is neither frozen nor claimed; -EINVAL not as
 * many files as it has queues, or @ex is prepared; -EBADF, -EOPNOTSUPP no queue
 * file; -ENOENT no such handover; or what write(2) gives.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_exec_add(struct tapxfer_exec *ex, uint32_t id,
		     const struct tapxfer_token *token, const int *fds,
		     size_t nfds);

/**
 * tapxfer_exec_prepare() - make ready for exec(2)
 * @ex: the object, with at least one device
 *
 * It seals the memfd, clears FD_CLOEXEC of it and of the queue files, and sets
 * the two variables of the environment; who gives exec(2) an environment of his
 * own puts tapxfer_exec_env() into it. It is meant for this very process: one
 * that forks calls it in the child. tapxfer_exec_close() takes all that back.
 *
 * Return: 0; -EINVAL no device, or prepared already; or what fcntl(2) gives.
 *
 * Threads: one at a time for a handle, while none uses the environment, and until
 * tapxfer_exec_close() none runs a program: it would get queue files and token.
 */
int tapxfer_exec_prepare(struct tapxfer_exec *ex);

/**
 * tapxfer_exec_env() - the variables of the environment
 * @ex: the object, which owns them
 * @n: 0 or 1
 *
 * Return: "NAME=value" of a prepared object, otherwise NULL.
 *
 * Threads: any, while no other one changes the object.
 */
const char *tapxfer_exec_env(const struct tapxfer_exec *ex, size_t n);

/**
 * tapxfer_exec_fd() - the memfd
 * @ex: the object, which owns the descriptor
 *
 * For those who send it elsewhere, as to systemd's store of descriptors. It has
 * the tokens: whoever gets it may go on with the handovers.
 *
 * Return: the descriptor, or -1 of one that was restored.
 *
 * Threads: any, while no other one changes the object.
 */
int tapxfer_exec_fd(const struct tapxfer_exec *ex);

/**
 * tapxfer_exec_restore() - what came through exec(2)
 * @tx: a handle
 * @ex: where the object goes; free it with tapxfer_exec_close()
 *
 * The environment is looked at once: the two variables are removed, the memfd is
 * closed, and the queue files, which are the caller's from now on, get their
 * FD_CLOEXEC again. On failure nothing of that was done, and the descriptors
 * are where they were.
 *
 * Return: 0; -ENODATA nothing came: the program was started in another way, or
 * another process is meant; -EBADF a descriptor did not come through; -EPERM the
 * memfd is not sealed; -EBADMSG, -EOPNOTSUPP as tapxfer_state_load().
 *
 * Threads: one at a time for a handle, while none changes the environment.
 */
int tapxfer_exec_restore(struct tapxfer *tx, struct tapxfer_exec **ex);

/**
 * tapxfer_exec_take() - the same from a memfd that came by another way
 * @tx: a handle
 * @memfd: the memfd, which stays the caller's
 * @fds: the queue files of all devices, one after the other in the order of
 *   the memfd, which stay the caller's; or NULL: they have the numbers told there
 * @nfds: their number
 * @ex: where the object goes; free it with tapxfer_exec_close()
 *
 * Return: as tapxfer_exec_restore(); -EINVAL not as many files as queues.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_exec_take(struct tapxfer *tx, int memfd, const int *fds,
		      size_t nfds, struct tapxfer_exec **ex);

/**
 * tapxfer_exec_count() - how many devices there are
 * @ex: the object
 *
 * Return: their number.
 *
 * Threads: any, while no other one changes the object.
 */
size_t tapxfer_exec_count(const struct tapxfer_exec *ex);

/**
 * tapxfer_exec_state() - a device's state
 * @ex: the object, which owns the state
 * @i: which one, from 0
 *
 * Return: as tapxfer_state_info(), and tapxfer_info_fds() has the queue files'
 * numbers; NULL when there are not so many.
 *
 * Threads: any, while no other one changes the object.
 */
const struct tapxfer_info *tapxfer_exec_state(const struct tapxfer_exec *ex,
					      size_t i);

/**
 * tapxfer_exec_token() - a device's token
 * @ex: the object, which owns the token and wipes it in the end
 * @i: which one, from 0
 *
 * Return: the token, NULL when there are not so many.
 *
 * Threads: any, while no other one changes the object.
 */
const struct tapxfer_token *tapxfer_exec_token(const struct tapxfer_exec *ex,
					       size_t i);

/**
 * tapxfer_exec_close() - free the object
 * @ex: the object, or NULL
 *
 * What tapxfer_exec_prepare() has done is taken back. Queue files stay open.
 *
 * Threads: one, when no other uses the object any more.
 */
void tapxfer_exec_close(struct tapxfer_exec *ex);

/* ------------------------------------------------------------------------
 * Events
 */

/**
 * tapxfer_subscribe() - make the handle one for events
 * @tx: the handle; commands on it are refused with -EBUSY from now on, open
 *   another for them
 *
 * Subscribe before you list, then nothing falls between the two.
 *
 * Return: 0 or a negative errno.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_subscribe(struct tapxfer *tx);

/**
 * tapxfer_event_next() - the next event of the handle's network namespace
 * @tx: a handle that is subscribed; tapxfer_fd() polls readable when an event
 *   or the news that some were lost is there
 * @timeout: milliseconds to wait, 0 not to wait, -1 without end
 * @ev: where the event goes (TAPXFER_A_HANDOVER_EVENT, _TIME, …); free it
 *   with tapxfer_info_free()
 *
 * Return: 0; -EAGAIN no event in that time; -EINTR a signal came while it
 * waited; -ENOBUFS events were lost because the reader was too slow: list
 * the handovers anew and go on; -EINVAL the handle is not subscribed.
 *
 * Threads: one at a time for a handle.
 */
int tapxfer_event_next(struct tapxfer *tx, int timeout,
		       struct tapxfer_info **ev);

/* ------------------------------------------------------------------------
 * Queue files of other processes
 */

/**
 * tapxfer_queues_open() - duplicate a process's queue files of a device
 * @tx: the handle, which proves that a file is a queue of the device that has
 *   that name in the handle's network namespace; or NULL, see below
 * @pid: the process, in the caller's pid namespace
 * @ifname: the device
 * @queues: where the files go; free them with tapxfer_queues_close()
 *
 * The process need not know of it, run, or cooperate: its files are found
 * through /proc/PID/fdinfo and duplicated with pidfd_getfd(2). Of several
 * descriptors of one open file the lowest counts. The order is that of the
 * process's numbers; the driver does not tell which file is which queue.
 *
 * What is no proof: fdinfo tells a name alone, and a device in another
 * network namespace can have the same. TUNGETIFF on the duplicate repeats
 * that name at a later moment. Only the kernel module, asked through @tx,
 * binds the file to the device; without @tx a namesake's files cannot be told
 * apart, though a handover refuses them (-EXDEV). Files that are in no
 * process's table (held by vhost-net, or in flight in a socket) and those of
 * threads with a table of their own are not found; the number of queues that
 * tapxfer_dev_get() tells is what to compare with.
 *
 * Return: 0, also when there is no such file (count 0); -ESRCH no such
 * process, or it ended meanwhile; -EPERM the caller may not look into it
 * (ptrace access: the same user and ptrace_scope, or CAP_SYS_PTRACE);
 * -EMFILE; -ENODEV no such device (only with @tx); -EINVAL. The text is in
 * tapxfer_error() when @tx was given.
 *
 * Threads: one at a time for a handle, any without one.
 */
int tapxfer_queues_open(struct tapxfer *tx, pid_t pid, const char *ifname,
			struct tapxfer_queues **queues);

/**
 * tapxfer_queues_count() - how many files there are
 * @queues: the files
 *
 * Return: their number, which may be 0.
 *
 * Threads: any, several at once on one object too.
 */
size_t tapxfer_queues_count(const struct tapxfer_queues *queues);

/**
 * tapxfer_queues_fds() - the duplicates, close-on-exec
 * @queues: the files, which own array and descriptors
 *
 * Return: an array of tapxfer_queues_count() descriptors of this process, fit
 * for tapxfer_prepare(), tapxfer_hold() and tapxfer_freeze().
 *
 * Threads: any, several at once on one object too.
 */
const int *tapxfer_queues_fds(const struct tapxfer_queues *queues);

/**
 * tapxfer_queues_numbers() - the descriptors' numbers in the process
 * @queues: the files, which own the array
 *
 * Return: an array of tapxfer_queues_count() numbers, ascending.
 *
 * Threads: any, several at once on one object too.
 */
const int *tapxfer_queues_numbers(const struct tapxfer_queues *queues);

/**
 * tapxfer_queues_close() - close the duplicates and free the object
 * @queues: the files, or NULL
 *
 * Threads: one, when no other uses the object any more.
 */
void tapxfer_queues_close(struct tapxfer_queues *queues);

/**
 * typedef tapxfer_name_cb - called with each device's name
 * @ifname: the name, valid until the callback returns
 * @data: as given with the callback
 *
 * Return: 0 to go on; any other value ends the walk and is what the function
 * that walks returns.
 */
typedef int (*tapxfer_name_cb)(const char *ifname, void *data);

/**
 * tapxfer_process_devices() - the devices that a process has queue files of
 * @tx: the handle, for the text of errors alone, or NULL
 * @pid: the process, in the caller's pid namespace
 * @cb: called with each name, once
 * @data: for @cb
 *
 * The names are fdinfo's: that of a device in another network namespace is
 * among them and looks the same.
 *
 * Return: 0, what @cb returned, or as tapxfer_queues_open().
 *
 * Threads: one at a time for a handle, any without one.
 */
int tapxfer_process_devices(struct tapxfer *tx, pid_t pid, tapxfer_name_cb cb,
			    void *data);

/** Flags of struct tapxfer_holder */
enum tapxfer_holder_flag {
	/** the kernel confirmed that it is a queue of that very device */
	TAPXFER_HOLDER_PROVED = 1,
	/** the queue is detached (TUNSETQUEUE) */
	TAPXFER_HOLDER_DETACHED = 2
};

/**
 * struct tapxfer_holder - a descriptor of a queue file
 * @pid: the process, in the caller's pid namespace
 * @fd: its number there
 * @flags: bits of enum tapxfer_holder_flag
 * @comm: the process's name, as /proc/PID/comm has it
 *
 * The library allocates it; later versions may append members.
 */
struct tapxfer_holder {
	pid_t pid;
	int fd;
	uint32_t flags;
	const char *comm;
};

/**
 * typedef tapxfer_holder_cb - called with each descriptor found
 * @holder: the descriptor, valid until the callback returns
 * @data: as given with the callback
 *
 * Return: 0 to go on; any other value ends the walk and is what
 * tapxfer_holders() returns.
 */
typedef int (*tapxfer_holder_cb)(const struct tapxfer_holder *holder,
				 void *data);

/**
 * tapxfer_holders() - who on this host has queue files of a device
 * @tx: as for tapxfer_queues_open(), with the same limits of what is proof;
 *   files that the kernel knows to be another device's are left out
 * @ifname: the device
 * @cb: called with each descriptor, by process and number
 * @data: for @cb
 * @unreadable: where the number of processes goes that the caller may not
 *   look into, or NULL
 *
 * A picture of a moment: processes come and go while it is taken. It does not
 * see what no process has a descriptor of.
 *
 * Return: 0, what @cb returned, or a negative errno.
 *
 * Threads: one at a time for a handle, any without one.
 */
int tapxfer_holders(struct tapxfer *tx, const char *ifname,
		    tapxfer_holder_cb cb, void *data,
		    unsigned int *unreadable);

#ifdef __cplusplus
}
#endif

#endif /* TAPXFER_TAPXFER_H */
