// SPDX-License-Identifier: GPL-2.0
/* A VMM of several queue pairs with vhost-net, which does as it is told. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "util.h"
#include "vhost_vmm.h"

#define DEVICE_FDS	(1 + 2 * VHOST_SIDES)

/* -- devices on their way -------------------------------------------------- */

union control {
	struct cmsghdr hdr;
	char buf[CMSG_SPACE(sizeof(int) * VM_PAIRS * DEVICE_FDS)];
};

void vmm_devices_close(struct vm_devices *d)
{
	int i, k;

	for (i = 0; i < d->n; i++)
		for (k = 0; k < DEVICE_FDS; k++)
			close(d->fds[i][k]);
	d->n = 0;
}

int vmm_send(int ctl, const void *msg, size_t size,
	     const struct vm_devices *d)
{
	struct vm_devices none = {};
	struct iovec iov[2] = {
		{ (void *)msg, size },
		{ d ? (void *)d : &none, sizeof(none) },
	};
	union control control = {};
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	size_t len = d ? sizeof(int) * d->n * DEVICE_FDS : 0;

	if (len) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(len);
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(&control.hdr), d->fds, len);
	}
	return sendmsg(ctl, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int vmm_recv(int ctl, void *msg, size_t size, struct vm_devices *d)
{
	struct iovec iov[2] = { { msg, size }, { d, sizeof(*d) } };
	union control control;
	struct msghdr m = {
		.msg_iov = iov, .msg_iovlen = 2,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	size_t len;

	if (recvmsg(ctl, &m, MSG_CMSG_CLOEXEC) !=
	    (ssize_t)(size + sizeof(*d))) {
		d->n = 0;
		return -EPIPE;
	}
	len = sizeof(int) * d->n * DEVICE_FDS;
	if (!len)
		return 0;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_len != CMSG_LEN(len)) {
		d->n = 0;
		return -EPROTO;
	}
	memcpy(d->fds, CMSG_DATA(c), len);
	return 0;
}

/* -- a VMM ------------------------------------------------------------------ */

struct vmm {
	const struct vmm_arg *arg;
	int pairs;
	struct tap tap;
	struct xfer x;
	struct vhost v[VM_PAIRS];
	bool set_up;			/* with the state that came along */
	struct receiver r[VM_PAIRS];
	struct transmitter t[VM_PAIRS];
	struct vm_devices devices;	/* of the order, or of the answer */
};

static int run_guest(struct vmm *m)
{
	int q, err = 0;

	for (q = 0; !err && q < m->pairs; q++) {
		m->r[q] = (struct receiver) {
			.v = &m->v[q], .t = &m->arg->sh->rx[q], .queue = q,
		};
		m->t[q] = (struct transmitter) {
			.v = &m->v[q], .flow = m->arg->flow + q,
			.stride = m->pairs, .first = q,
			.seen = &m->arg->sh->c.seen[q], .window = 2048,
		};
		err = receiver_start(&m->r[q]) ?: transmitter_start(&m->t[q]);
	}
	return err;
}

static int pause_guest(struct vmm *m)
{
	int q;

	for (q = 0; q < m->pairs; q++) {
		receiver_stop(&m->r[q]);
		transmitter_stop(&m->t[q]);
	}
	return 0;
}

static int open_devices(struct vmm *m)
{
	int q, err = 0;

	for (q = 0; !err && q < m->pairs; q++)
		err = vhost_open(&m->v[q], m->arg->c.features,
				 m->arg->memfds[q]);
	return err;
}

static int start_backends(struct vmm *m)
{
	int q, err = 0;

	for (q = 0; !err && q < m->pairs; q++) {
		struct vhost *v = &m->v[q];

		v->dev.tap_fd = m->tap.fds[q];
		err = m->set_up ?
		      tapxfer_vhost_attach(m->x.tx, &v->dev, &v->state) :
		      vhost_start(v, m->tap.fds[q]);
	}
	return err;
}

static int stop_backends(struct vmm *m)
{
	int q, err = 0;

	for (q = 0; !err && q < m->pairs; q++)
		err = vhost_stop(&m->v[q]);
	return err;
}

static int set_header(const struct vmm *m)
{
	int hdr = m->v[0].hdr;

	return ioctl(m->tap.fds[0], TUNSETVNETHDRSZ, &hdr) ? -errno : 0;
}

static int boot(struct vmm *m)
{
	int q, err;

	err = tap_open(&m->tap, "tap0", m->pairs,
		       m->pairs > 1 ? TAP_VM : TAP_VM & ~IFF_MULTI_QUEUE) ?:
	      open_devices(m) ?: set_header(m);
	for (q = 0; !err && q < m->pairs; q++)
		if (guest_offer(&m->v[q], VHOST_RING) != VHOST_RING)
			err = -EPROTO;
	return err ?: start_backends(m);
}

static void fd_of(struct vhost *v, int k, int **fd)
{
	*fd = !k ? &v->dev.fd :
	      k <= VHOST_SIDES ? &v->dev.kick[k - 1] :
				 &v->dev.call[k - 1 - VHOST_SIDES];
}

/* Nobody's devices, their descriptors and their states go with the answer. */
static int let_go(struct vmm *m)
{
	int q, k, *fd, err = 0;

	for (q = 0; !err && q < m->pairs; q++) {
		err = tapxfer_vhost_release(m->x.tx, &m->v[q].dev);
		m->devices.states[q] = m->v[q].state;
		for (k = 0; k < DEVICE_FDS; k++) {
			fd_of(&m->v[q], k, &fd);
			m->devices.fds[q][k] = *fd;
		}
	}
	m->devices.n = err ? 0 : m->pairs;
	return err;
}

/* Those that came; with the state that came, and none from anywhere else. */
static int set_up(struct vmm *m)
{
	int q, k, *fd, err = 0;

	if (m->devices.n != m->pairs)
		return -EPROTO;
	for (q = 0; !err && q < m->pairs; q++) {
		struct vhost *v = &m->v[q];

		err = vhost_map(v, m->arg->c.features, m->arg->memfds[q]);
		for (k = 0; k < DEVICE_FDS; k++) {
			fd_of(v, k, &fd);
			*fd = m->devices.fds[q][k];
		}
		v->state = m->devices.states[q];
		if (!err)
			err = tapxfer_vhost_setup(m->x.tx, &v->dev, &v->state);
	}
	m->devices.n = 0;
	m->set_up = true;
	return err;
}

static int claim(struct vmm *m, const struct vmm_order *o)
{
	m->x.id = o->id;
	m->x.token = o->token;
	return xfer_claim(&m->x, &m->tap);
}

static int thaw(struct vmm *m)
{
	int err = xfer_thaw(&m->x);

	m->x.id = 0;
	return err;
}

/* A backend can be attached when the files have their own operations again. */
static int go_on(struct vmm *m, enum vm_op op)
{
	int err = 0;

	if (!m->set_up)
		err = open_devices(m);
	if (!err)
		err = op == VM_READY ? xfer_ready(&m->x, 0) : thaw(m);
	if (!err)
		err = start_backends(m);
	m->set_up = false;
	return err ?: run_guest(m);
}

static int obey(struct vmm *m, const struct vmm_order *o)
{
	switch (o->op) {
	case VM_BOOT:
		return boot(m);
	case VM_RUN:
		return run_guest(m);
	case VM_HOLD:
		m->tap.ifindex = if_nametoindex("tap0");
		return xfer_begin(&m->x, &m->tap, TAPXFER_STATE_HOLDING, 0, 0);
	case VM_PAUSE:
		return pause_guest(m);
	case VM_STOP:
		return stop_backends(m);
	case VM_LET_GO:
		return let_go(m);
	case VM_FREEZE:
		return xfer_freeze_patiently(&m->x);
	case VM_ABORT:
		return xfer_abort(&m->x);
	case VM_RESTART:
		return start_backends(m) ?: run_guest(m);
	case VM_CLAIM:
		return claim(m, o);
	case VM_SETUP:
		return set_up(m);
	case VM_READY:
	case VM_RESUME:
		return go_on(m, o->op);
	case VM_THAW:
		return thaw(m);
	default:
		return -EINVAL;
	}
}

int vmm_main(void *arg)
{
	const struct vmm_arg *args = arg;
	struct vmm m = { .arg = args, .pairs = args->c.pairs };
	struct vmm_answer a;
	struct vmm_order o;
	int err;

	if (xfer_open(&m.x))
		return 1;
	while (!vmm_recv(m.arg->ctl, &o, sizeof(o), &m.devices)) {
		/* What is open is closed by the kernel. */
		if (o.op == VM_EXIT)
			_exit(0);
		a.err = obey(&m, &o);
		a.id = m.x.id;
		a.token = m.x.token;
		err = vmm_send(m.arg->ctl, &a, sizeof(a), &m.devices);
		/* what was sent stays ours, and what is not used goes */
		if (o.op == VM_LET_GO)
			m.devices.n = 0;
		vmm_devices_close(&m.devices);
		if (err)
			return 1;
	}
	return 1;
}
