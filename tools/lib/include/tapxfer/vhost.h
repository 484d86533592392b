/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libtapxfer: hand a vhost-net device over beside its queue file.
 *
 * One vhost-net device (a file of /dev/vhost-net) serves one queue pair: vring 0
 * to the guest, vring 1 from it. Its ioctls work in its owner's address space and
 * nowhere else, so each side calls its half:
 *
 *	source					target
 *	tapxfer_hold()
 *	  stop the guest
 *	tapxfer_vhost_stop(&state)
 *	tapxfer_vhost_release(), see below
 *	tapxfer_freeze_id()
 *	  -- state, descriptors -->
 *						tapxfer_claim()
 *						tapxfer_vhost_setup(&state)
 *	close the queue files, or exit
 *						tapxfer_ready()
 *						tapxfer_vhost_attach(&state)
 *						tapxfer_thaw()
 *
 * Why in this order:
 *
 *   - Hold before the stop. The backend has taken up to 64 packets out of the
 *     queue that the guest has no buffers for, and gives them back when it is
 *     stopped. A ring that holds has room for them, in front; a plain one that
 *     has filled up meanwhile has not, and the kernel frees what does not fit
 *     without counting it.
 *   - The backend off before VHOST_GET_VRING_BASE. A backend that runs moves the
 *     base on: buffers that it uses after the question are used a second time by
 *     the target, and the guest sees packets twice, or loses some.
 *   - Stop before ready or thaw, which count a backend as a holder of the queue
 *     file and refuse. It may as well be after the freeze: a backend that is still
 *     attached then neither reads nor sends, and what it gives back comes first.
 *   - Release after the stop, and before the target's setup: VHOST_SET_OWNER
 *     fails with EBUSY while there is an owner, also when that has exited.
 *   - Attach after ready. Before it VHOST_NET_SET_BACKEND fails with ENOTSOCK,
 *     because the files are fenced. It may as well be after the thaw.
 *
 * Two ways to get a device in the target. It opens /dev/vhost-net anew, and the
 * source need not release its own; or it gets the source's descriptor, when it
 * may not open one: then the source releases it. A target that dies as the owner
 * of a passed device keeps it for ever: nobody else can release it, and the
 * source has to open another one to go on.
 *
 * The eventfds should be carried as well: a kick that nobody has looked at stays
 * in its eventfd. With other ones the target has no way to know; so attach kicks
 * both vrings and signals both call eventfds, which costs each side a look.
 *
 * When the handover is aborted the source goes on with tapxfer_vhost_start() and
 * the state that it got from its stop, whether it has released the device or not.
 * After a target that has been ready, whose backends may have used some buffers, or
 * after a source that has died before its stop, the bases come from
 * tapxfer_vhost_recover().
 *
 * What is not carried, and is set by the caller between setup and attach where it
 * is needed: VHOST_SET_VRING_ENDIAN (legacy guests of the other byte order). Refused
 * are dirty logging (VHOST_F_LOG_ALL: enable it after the start), a device
 * IOTLB (VIRTIO_F_ACCESS_PLATFORM) and packed rings (VIRTIO_F_RING_PACKED).
 *
 * Conventions are those of tapxfer.h. @tx serves for the text of errors alone,
 * and may be NULL. A text names the ioctl that failed.
 */
#ifndef TAPXFER_VHOST_H
#define TAPXFER_VHOST_H

#include <stdint.h>

#include <tapxfer/tapxfer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhost_memory;

/** The vrings of a vhost-net device, by vhost's own numbers */
enum tapxfer_vhost_side {
	TAPXFER_VHOST_RX,		/**< to the guest */
	TAPXFER_VHOST_TX,		/**< from the guest */
	TAPXFER_VHOST_VRINGS		/**< how many there are */
};

/**
 * struct tapxfer_vhost - a vhost-net device and what a process has around it
 * @size: sizeof(struct tapxfer_vhost), from the caller
 * @fd: the device, a file of /dev/vhost-net
 * @tap_fd: the queue file of the same queue pair; stop wants it for when it has
 *   to undo what it did, attach and start to attach it
 * @kick: eventfds that the guest's notifications arrive in, or -1
 * @call: eventfds that become the guest's interrupts, or -1
 * @err: eventfds for errors of the vrings, or -1
 * @reserved: 0, or the calls fail with -EINVAL
 * @memory: the guest's memory at its addresses in this process, as for
 *   VHOST_SET_MEM_TABLE; not looked at by stop and release
 *
 * Descriptors and memory stay the caller's. A descriptor that there is not is -1,
 * not 0. Of a caller that is newer than the library, members that the library does
 * not know have to be 0, here and in the state: else -E2BIG.
 */
struct tapxfer_vhost {
	uint32_t size;
	int32_t fd;
	int32_t tap_fd;
	int32_t kick[TAPXFER_VHOST_VRINGS];
	int32_t call[TAPXFER_VHOST_VRINGS];
	int32_t err[TAPXFER_VHOST_VRINGS];
	uint32_t reserved;
	const struct vhost_memory *memory;
};

/**
 * struct tapxfer_vhost_vring - state of a vring, 40 bytes
 * @desc: guest address of the descriptor table
 * @avail: guest address of the available ring
 * @used: guest address of the used ring
 * @num: descriptors
 * @base: where vhost goes on, as VHOST_GET_VRING_BASE tells it; from stop
 * @busyloop: VHOST_GET_VRING_BUSYLOOP_TIMEOUT, microseconds; from stop
 * @reserved: 0, or the calls fail with -EINVAL
 */
struct tapxfer_vhost_vring {
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint32_t num;
	uint32_t base;
	uint32_t busyloop;
	uint32_t reserved;
};

/**
 * struct tapxfer_vhost_state - state of a vhost-net device, 104 bytes
 * @size: sizeof(struct tapxfer_vhost_state), from the caller
 * @reserved: 0, or the calls fail with -EINVAL
 * @features: virtio and vhost features that guest and VMM have agreed upon, as
 *   for VHOST_SET_FEATURES
 * @backend_features: as for VHOST_SET_BACKEND_FEATURES, or 0
 * @vrings: by enum tapxfer_vhost_side
 *
 * Integers of fixed width at fixed places, without padding and without pointers,
 * in the host's byte order: it can be sent as it is to a process on the same
 * host, or member by member. vhost has no getter for most of it: the caller
 * fills in features, sizes and addresses, which its virtio device knows, and
 * stop the rest.
 */
struct tapxfer_vhost_state {
	uint32_t size;
	uint32_t reserved;
	uint64_t features;
	uint64_t backend_features;
	struct tapxfer_vhost_vring vrings[TAPXFER_VHOST_VRINGS];
};

/**
 * tapxfer_vhost_attached() - which vrings have a backend
 * @tx: the handle, or NULL
 * @v: the device
 *
 * Return: bits 1 << enum tapxfer_vhost_side, 0 when none has; -EPERM another
 * process owns the device, or none; -EOPNOTSUPP no vhost-net device; -EINVAL.
 *
 * Threads: one at a time for a handle, and for a device.
 */
int tapxfer_vhost_attached(struct tapxfer *tx, const struct tapxfer_vhost *v);

/**
 * tapxfer_vhost_stop() - detach the backends, and see where they were
 * @tx: the handle, or NULL
 * @v: the device, which the caller owns
 * @state: base and busyloop of both vrings go here; the rest stays as it is
 *
 * The guest has stopped, or at least nobody minds that its vrings are served no
 * more. On return vhost touches guest memory no more; packets that it had taken
 * for the guest and not delivered are in the queue again, in front. A device
 * without backends is asked for its state all the same.
 *
 * It waits for packets from the guest that the host uses without a copy
 * (vhost_net.experimental_zcopytx=1), as long as that takes.
 *
 * On failure backends that were attached are so again; when that fails too, since
 * a queue whose handover is under way takes none (-ENOTSOCK), the text says so:
 * abort, then tapxfer_vhost_attach().
 *
 * Return: 0; otherwise as tapxfer_vhost_attached(), or what the ioctl gives that
 * the text names.
 *
 * Threads: one at a time for a handle, and for a device.
 */
int tapxfer_vhost_stop(struct tapxfer *tx, const struct tapxfer_vhost *v,
		       struct tapxfer_vhost_state *state);

/**
 * tapxfer_vhost_recover() - find out of guest memory where a device was
 * @tx: the handle, or NULL
 * @v: a description with the memory; the device is not looked at
 * @state: with features, sizes and addresses; the bases go here
 *
 * For a device whose owner has died without asking it. vhost-net is done with
 * buffers in the order that they were offered, so it goes on behind the last used
 * one. True only when no backend is attached any more: the owner's file is closed,
 * or the base may still move. Not for legacy guests of the other byte order, which
 * the state does not tell: the caller swaps the two bytes of what comes out.
 *
 * Return: 0; -EFAULT a ring is not within one region of @v->memory; -EOPNOTSUPP
 * a feature that is refused, see above; -EINVAL; -E2BIG.
 *
 * Threads: one at a time for a handle, and for a device.
 */
int tapxfer_vhost_recover(struct tapxfer *tx, const struct tapxfer_vhost *v,
			  struct tapxfer_vhost_state *state);

/**
 * tapxfer_vhost_release() - give up the ownership of a device
 * @tx: the handle, or NULL
 * @v: the device, which the caller owns and has stopped
 *
 * For a source whose descriptor the target gets. Everything that was set is
 * forgotten: features, memory, vrings, eventfds. Until the target has become the
 * owner, tapxfer_vhost_start() takes it back.
 *
 * Return: 0; -EBUSY a backend is attached, whose base would be lost; -ENOMEM,
 * and nothing was changed; otherwise as tapxfer_vhost_attached().
 *
 * Threads: one at a time for a handle, and for a device.
 */
int tapxfer_vhost_release(struct tapxfer *tx, const struct tapxfer_vhost *v);

/**
 * tapxfer_vhost_setup() - all that a device needs but the backends
 * @tx: the handle, or NULL
 * @v: a device that nobody owns, or the caller without a backend on it
 * @state: from the source's stop
 *
 * Owner, features (on which the meaning of the rest depends), memory, and of each
 * vring size, base, addresses and eventfds. The rings' guest addresses are looked
 * up in @v->memory. It takes no queue file, and may come at any time after the
 * source's stop; what is wrong with the state shows before the source lets go.
 *
 * On failure the device is nobody's again; or the caller's, if it was before, and
 * set in part: set it up once more, or release it. So too if it cannot be given up
 * for want of memory, which the text says then.
 *
 * Return: 0; -EBUSY another process is the owner, or the caller is and a backend
 * is attached; -EFAULT a ring is not within one region of @v->memory; -EOPNOTSUPP
 * a feature that this kernel's vhost-net has not, or that is refused, see above;
 * -EINVAL; -EPERM; or what the ioctl gives that the text names.
 *
 * Threads: one at a time for a handle, and for a device.
 */
int tapxfer_vhost_setup(struct tapxfer *tx, const struct tapxfer_vhost *v,
			const struct tapxfer_vhost_state *state);

/**
 * tapxfer_vhost_attach() - attach the queue file as backend of both vrings
 * @tx: the handle, or NULL
 * @v: a device that the caller owns and that is set up
 * @state: as for tapxfer_vhost_setup()
 *
 * From now on packets flow, as soon as the queue lets them. Both vrings are
 * kicked, and the guest gets an interrupt for each: what was asked for while
 * nobody looked is looked at now.
 *
 * On failure no vring has a backend that had none before.
 *
 * Return: 0; -ENOTSOCK @v->tap_fd is no queue, or is fenced by a handover that is
 * not ready yet; -EINVAL the queue's header (TUNSETVNETHDRSZ) is not of the
 * length that the features ask for, and each packet would be shifted by two
 * bytes; -EPERM, -EOPNOTSUPP; or what the ioctl gives that the text names.
 *
 * Threads: one at a time for a handle, and for a device.
 */
int tapxfer_vhost_attach(struct tapxfer *tx, const struct tapxfer_vhost *v,
			 const struct tapxfer_vhost_state *state);

/**
 * tapxfer_vhost_start() - tapxfer_vhost_setup() and tapxfer_vhost_attach()
 * @tx: the handle, or NULL
 * @v: the device
 * @state: from a stop
 *
 * For a target after ready or thaw, and for a source after an abort. On failure
 * the device is as after a tapxfer_vhost_setup() that failed.
 *
 * Return: as these two.
 *
 * Threads: one at a time for a handle, and for a device.
 */
int tapxfer_vhost_start(struct tapxfer *tx, const struct tapxfer_vhost *v,
			const struct tapxfer_vhost_state *state);

#ifdef __cplusplus
}
#endif

#endif /* TAPXFER_VHOST_H */
