// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"
#include "vhost.h"
#include "vmm.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, val)	__atomic_store_n(p, val, __ATOMIC_RELEASE)

/* One a process */
static struct {
	struct vmm_guest *g;
	struct tap *tap;
	bool runs;
	bool stop;
	pthread_t thread;
	bool has_vhost;
	bool in_vring;		/* the packet that it tries to send */
	struct vhost v;
} vmm;

struct vmm_guest *vmm_guest_create(void)
{
	struct vmm_guest *g;

	g = mmap(NULL, sizeof(*g), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g == MAP_FAILED)
		return NULL;
	memset(g->rx.last, 0xff, sizeof(g->rx.last));
	g->rx.max = VMM_MAX_SEQ;
	g->rx.seen = g->seen;
	return g;
}

/* Without a poll before, which would keep it from trying. */
static void receive_file(int q)
{
	uint8_t buf[PACKET_MAX];
	ssize_t len;
	int i;

	for (i = 0; i < 64; i++) {
		len = read(vmm.tap->fds[q], buf, sizeof(buf));
		if (len < 0)
			break;
		tally_add(&vmm.g->rx, q, buf + VMM_HDR, len - VMM_HDR);
	}
}

static void receive(void)
{
	int q;

	for (q = 0; q < vmm.tap->n; q++) {
		if (q == 0 && vmm.has_vhost)
			guest_receive(&vmm.v, &vmm.g->rx, 0, true);
		else
			receive_file(q);
	}
}

/* The next packet, by whatever queue takes it; the same again if none does. */
static void transmit(void)
{
	uint32_t seq = vmm.g->sent;
	int i, q;

	if (vmm.in_vring) {
		if (guest_unsent(&vmm.v))
			return;
		vmm.in_vring = false;
		store(&vmm.g->sent, seq + 1);
		return;
	}
	store(&vmm.g->trying, seq + 1);
	for (i = 0; i < vmm.tap->n; i++) {
		q = (seq + i) % vmm.tap->n;
		if (q == 0 && vmm.has_vhost) {
			if (!guest_send(&vmm.v, 0, seq, PACKET_LEN)) {
				vmm.in_vring = true;
				return;
			}
		} else if (!tap_write_one(vmm.tap, q, seq)) {
			store(&vmm.g->sent, seq + 1);
			return;
		}
	}
}

static void *run(void *arg)
{
	while (!load(&vmm.stop)) {
		receive();
		transmit();
		store(&vmm.g->laps, vmm.g->laps + 1);
		usleep(500);
	}
	return NULL;
}

long vmm_adopt(struct agent_self *self, long guest, long unused)
{
	vmm.g = (struct vmm_guest *)guest;
	vmm.tap = &self->tap;
	strcpy(self->tap.name, "tap0");
	self->tap.hdr = VMM_HDR;
	return 0;
}

long vmm_boot(struct agent_self *self, long guest, long unused)
{
	int sndbuf = VMM_SNDBUF;
	int err;

	err = tap_open(&self->tap, "tap0", VMM_QUEUES, TAP_VM);
	if (!err && ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf))
		err = -errno;
	if (!err)
		err = tap_set_nonblock(&self->tap, true);
	return err ?: vmm_adopt(self, guest, 0);
}

long vmm_claim(struct agent_self *self, long guest, long unused)
{
	return agent_claim(self, 0, 0) ?: vmm_adopt(self, guest, 0);
}

long vmm_claim_and_thaw(struct agent_self *self, long guest, long unused)
{
	struct tap claimed = {};
	long err;

	err = xfer_claim(&self->x, &claimed);
	if (!err)
		err = xfer_thaw_shared(&self->x);
	if (err || self->tap.n) {
		tap_close(&claimed);
		return err;
	}
	self->tap = claimed;
	return vmm_adopt(self, guest, 0);
}

long vmm_run(struct agent_self *self, long unused, long unused2)
{
	if (vmm.runs)
		return 0;
	vmm.stop = false;
	vmm.runs = true;
	return -pthread_create(&vmm.thread, NULL, run, NULL);
}

long vmm_pause(struct agent_self *self, long unused, long unused2)
{
	if (!vmm.runs)
		return 0;
	store(&vmm.stop, true);
	vmm.runs = false;
	return -pthread_join(vmm.thread, NULL);
}

long vmm_finish(struct agent_self *self, long unused, long unused2)
{
	vmm_pause(self, 0, 0);
	if (!vmm.in_vring)
		return 0;
	if (!wait_until(!guest_unsent(&vmm.v), SOON_MS))
		return -ETIMEDOUT;
	vmm.in_vring = false;
	store(&vmm.g->sent, vmm.g->sent + 1);
	return 0;
}

long vmm_close(struct agent_self *self, long unused, long unused2)
{
	vmm_pause(self, 0, 0);
	tap_close(&self->tap);
	return 0;
}

long vmm_detach(struct agent_self *self, long queue, long on)
{
	return tap_detach(self->tap.fds[queue], on);
}

long vmm_read_error(struct agent_self *self, long unused, long unused2)
{
	char byte;

	return read(self->tap.fds[0], &byte, 1) < 0 ? -errno : 0;
}

long vmm_vhost_start(struct agent_self *self, long unused, long unused2)
{
	bool ran = vmm.runs;
	int err;

	vmm_pause(self, 0, 0);
	err = vhost_open(&vmm.v, 0, -1);
	if (err)
		return err;
	guest_offer(&vmm.v, VHOST_RING);
	err = vhost_start(&vmm.v, self->tap.fds[0]);
	vmm.has_vhost = !err;
	if (err)
		vhost_close(&vmm.v);
	if (ran)
		vmm_run(self, 0, 0);
	return err;
}

long vmm_vhost_used(struct agent_self *self, long unused, long unused2)
{
	return (uint16_t)(load(&vmm.v.vrings[VHOST_RX].used->idx) -
			  vmm.v.guest->rings[VHOST_RX].used);
}

long vmm_vhost_stop(struct agent_self *self, long queue, long unused)
{
	bool ran = vmm.runs;
	int err;

	vmm_pause(self, 0, 0);
	err = vhost_stop(&vmm.v);
	/* What vhost took out of the vring was sent, the rest was not. */
	if (vmm.in_vring && !guest_unsent(&vmm.v))
		store(&vmm.g->sent, vmm.g->sent + 1);
	vmm.in_vring = false;
	guest_receive(&vmm.v, &vmm.g->rx, queue, false);
	vmm.has_vhost = false;
	vhost_close(&vmm.v);
	if (ran)
		vmm_run(self, 0, 0);
	return err;
}
