// SPDX-License-Identifier: GPL-2.0
/*
 * Two VMMs that pass the queue files themselves, in the stream of their migration, as
 * QEMU does with "local" and CPR: a handover around it, with a claim that brings no
 * files. The guest's memory is shared, both sides are processes, and packets flow in
 * both directions all the time.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include "fdstream.h"
#include "flow.h"
#include "net.h"
#include "outside.h"
#include "qemu_tap.h"
#include "util.h"
#include "vmm.h"
#include "xfer.h"

#define FLOWS		16
#define BURST		400	/* more than one queue has room for, in four of them */
#define DEVICES		16384	/* bytes of other devices' state, before and behind */

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

enum {
	/* the files come before the devices are made, and these set them up */
	CPR = 1,
	/* source and target know of tapxfer, and nobody else does */
	OWN = 2,
	/* the target dies when it has the files, in the middle of the stream */
	DIES = 4,
};

/* The tap's part of the stream */
struct section {
	uint32_t id;		/* the handover, of an OWN one */
	struct tapxfer_token token;
	uint32_t queues;
	uint32_t enabled;
};

static struct fdstream stream;	/* the target's */
static struct qemu_tap qemu;	/* likewise */

/* -- the source ---------------------------------------------------------- */

static long source_freeze(struct agent_self *self, long unused, long unused2)
{
	self->tap.ifindex = if_nametoindex("tap0");
	return xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0, 0) ?:
	       vmm_pause(self, 0, 0) ?: xfer_freeze_patiently(&self->x);
}

static int put_devices(int sock)
{
	uint8_t bytes[DEVICES];

	memset(bytes, 0x5a, sizeof(bytes));
	return fdstream_put(sock, bytes, sizeof(bytes));
}

static int put_files(struct agent_self *self, int sock)
{
	int i, err = 0;

	for (i = 0; !err && i < self->tap.n; i++)
		err = fdstream_put_fd(sock, self->tap.fds[i]);
	return err;
}

static long source_save(struct agent_self *self, long sock, long how)
{
	struct section s = {
		.queues = self->tap.n,
		.enabled = self->tap.n,
	};
	int err;

	if (how & OWN) {
		s.id = self->x.id;
		s.token = self->x.token;
	}
	err = fdstream_put(sock, &s, sizeof(s));
	if (!err && (how & CPR))
		err = put_files(self, sock);
	if (!err)
		err = put_devices(sock);
	if (!err && !(how & CPR))
		err = put_files(self, sock);
	return err ?: put_devices(sock);
}

static long source_go_on(struct agent_self *self, long how, long unused)
{
	int err = how & OWN ? xfer_abort(&self->x) : 0;

	return err ?: vmm_run(self, 0, 0);
}

/* -- the target ---------------------------------------------------------- */

static int get_devices(void)
{
	uint8_t bytes[DEVICES];
	size_t i;
	int err;

	err = fdstream_get(&stream, bytes, sizeof(bytes));
	for (i = 0; !err && i < sizeof(bytes); i++)
		if (bytes[i] != 0x5a)
			err = -EBADMSG;
	return err;
}

static int get_files(struct agent_self *self, const struct section *s)
{
	int fd;

	for (self->tap.n = 0; self->tap.n < (int)s->queues; self->tap.n++) {
		fd = fdstream_get_fd(&stream);
		if (fd < 0)
			return fd;
		self->tap.fds[self->tap.n] = fd;
	}
	return 0;
}

/*
 * Loads all, and answers how many packets it has thrown away: a QEMU reads as soon as
 * it has a file, for a NIC that is not there yet.
 */
static long target_load(struct agent_self *self, long sock, long how)
{
	uint8_t packet[PACKET_MAX];
	struct section s;
	long thrown = 0;
	int i, err;

	stream.sock = sock;
	err = fdstream_get(&stream, &s, sizeof(s));
	if (!err && (how & OWN)) {
		self->x.id = s.id;
		self->x.token = s.token;
		err = agent_claim(self, TAPXFER_CLAIM_NO_FDS, 0);
	}
	if (!err && !(how & CPR))
		err = get_devices();
	if (!err)
		err = get_files(self, &s);
	if (err)
		return err;
	if (how & CPR) {
		if (qemu_tap_init(&qemu, self->tap.fds, self->tap.n) ||
		    qemu_tap_reset(&qemu))
			return -ENOTRECOVERABLE;
	} else {
		qemu.n = self->tap.n;
		memcpy(qemu.fds, self->tap.fds, qemu.n * sizeof(int));
		for (i = 0; i < (int)s.enabled; i++)
			qemu.enabled[i] = true;
	}
	for (i = 0; i < self->tap.n; i++)
		while (read(self->tap.fds[i], packet, sizeof(packet)) > 0)
			thrown++;
	if (how & DIES)
		_exit(1);
	err = get_devices();
	if (err)
		return err;
	return qemu_tap_start(&qemu, s.enabled) ? -ENOTRECOVERABLE : thrown;
}

static long target_thaw(struct agent_self *self, long unused, long unused2)
{
	return xfer_thaw(&self->x);
}

/* ------------------------------------------------------------------------ */

FIXTURE(local) {
	struct agent source;
	struct agent target;
	struct vmm_guest *g;
	struct xfer x;		/* the orchestrator's, which is us */
	struct sender s;
	struct capture c;
	struct link_info before;
	int ends[2];
};

FIXTURE_VARIANT(local) {
	int how;
};

FIXTURE_VARIANT_ADD(local, files_with_the_device) { .how = 0 };
FIXTURE_VARIANT_ADD(local, files_before_the_devices) { .how = CPR };
FIXTURE_VARIANT_ADD(local, vmms_that_know_it) { .how = OWN };
FIXTURE_VARIANT_ADD(local, vmms_that_know_it_files_first) { .how = OWN | CPR };

#define SOURCE(fn, a, b) \
	agent_call(&self->source, self->x.id ? &self->x : NULL, fn, a, b)
#define TARGET(fn, a, b) \
	agent_call(&self->target, self->x.id ? &self->x : NULL, fn, a, b)

FIXTURE_SETUP(local)
{
	int ifindex;

	ASSERT_EQ(0, net_isolate());
	self->g = vmm_guest_create();
	ASSERT_NE(NULL, self->g);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->ends));
	ASSERT_EQ(0, agent_start(&self->source));
	ASSERT_EQ(0, agent_start(&self->target));
	ASSERT_EQ(0, SOURCE(vmm_boot, (long)self->g, 0));
	ifindex = if_nametoindex("tap0");
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, ifindex, FLOWS));
	ASSERT_EQ(0, capture_open(&self->c, ifindex));
	ASSERT_EQ(0, link_info(ifindex, &self->before));
	ASSERT_EQ(0, SOURCE(vmm_run, 0, 0));
}

FIXTURE_TEARDOWN(local)
{
	agent_kill(&self->source);
	agent_kill(&self->target);
	xfer_close(&self->x);
	sender_close(&self->s);
	capture_close(&self->c);
	link_delete("tap0");
	munmap(self->g, sizeof(*self->g));
}

/* So many packets to the guest, of which none may find a full ring. */
#define SEND() do { \
	ASSERT_EQ(0, sender_send(&self->s, BURST)); \
	EXPECT_EQ(0, self->s.dropped); \
} while (0)

/* All that was sent has come, once and in order; and the guest sends on. */
#define EXPECT_WHOLE() do { \
	uint32_t sent_ = load(&self->g->sent); \
	\
	EXPECT_TRUE(wait_until(load(&self->g->rx.got) == self->s.seq, \
			       SOON_MS)); \
	EXPECT_TRUE(wait_until(load(&self->g->sent) > sent_ + 10, SOON_MS)); \
	EXPECT_EQ(0, tally_lost(&self->g->rx, self->s.seq)); \
	EXPECT_EQ(0, self->g->rx.dup + self->g->rx.reordered + \
		     self->g->rx.foreign); \
	sent_ = load(&self->g->sent); \
	capture_read(&self->c); \
	EXPECT_EQ(0, tally_lost(&self->c.t, sent_)); \
	EXPECT_EQ(0, self->c.t.dup + self->c.t.reordered); \
} while (0)

#define EXPECT_SAME_LINK() do { \
	struct link_info now_; \
	\
	ASSERT_EQ(0, link_info(self->s.ifindex, &now_)); \
	EXPECT_EQ(0, memcmp(&self->before, &now_, sizeof(now_))); \
} while (0)

/* What the source has of the tap, as others see it */
static int outside_of(const struct agent *source, struct outside *o)
{
	struct tapxfer_queues *queues;
	int err;

	err = tapxfer_queues_open(NULL, source->pid, "tap0", &queues);
	if (err)
		return err;
	err = outside_get("tap0", tapxfer_queues_fds(queues)[0], o);
	tapxfer_queues_close(queues);
	return err;
}

/* From a running source to a frozen one, by whom it is done */
static int freeze(struct xfer *x, struct agent *source, int how)
{
	struct tapxfer_queues *queues;
	struct tap tap = {};
	int err;

	if (how & OWN)
		return agent_call(source, NULL, source_freeze, 0, 0);
	err = tapxfer_queues_open(x->tx, source->pid, "tap0", &queues);
	if (err)
		return err;
	tap.n = tapxfer_queues_count(queues);
	memcpy(tap.fds, tapxfer_queues_fds(queues), tap.n * sizeof(int));
	tap.ifindex = if_nametoindex("tap0");
	err = xfer_begin(x, &tap, TAPXFER_STATE_HOLDING, 0, 0);
	tapxfer_queues_close(queues);
	if (!err)
		err = agent_call(source, NULL, vmm_pause, 0, 0);
	return err ?: xfer_freeze_patiently(x);
}

/* The orchestrator's: files or not, the target is to have the claim. */
static int claim_for(struct xfer *x, const struct agent *target, int how)
{
	struct tapxfer_info *ho;
	int pidfd, err;

	if (how & OWN)
		return 0;
	err = tapxfer_claim_flags(x->tx, x->id, &x->token,
				  TAPXFER_CLAIM_NO_FDS, &ho);
	if (err)
		return err;
	err = tapxfer_info_fds(ho, NULL, 0);
	tapxfer_info_free(ho);
	pidfd = syscall(SYS_pidfd_open, target->pid, 0);
	if (!err)
		err = tapxfer_pass(x->tx, x->id, &x->token, pidfd, NULL);
	close(pidfd);
	return err;
}

/* The thaw wants everybody else's files closed: it says who has some. */
TEST_F(local, nothing_is_lost)
{
	SEND();
	ASSERT_EQ(0, freeze(&self->x, &self->source, variant->how));
	SEND();
	ASSERT_EQ(0, claim_for(&self->x, &self->target, variant->how));
	SEND();
	ASSERT_EQ(0, SOURCE(source_save, self->ends[0], variant->how));
	/* what it sets up is recorded, what it reads is nothing */
	ASSERT_EQ(0, TARGET(target_load, self->ends[1], variant->how));
	SEND();
	EXPECT_EQ(-EBUSY, variant->how & OWN ? TARGET(target_thaw, 0, 0) :
					       xfer_thaw(&self->x));
	agent_kill(&self->source);
	SEND();
	/* and that is more than the rings of two queues have room for */
	SEND();
	SEND();
	EXPECT_LT(2 * TAP_RING, self->s.seq - load(&self->g->rx.got));
	ASSERT_EQ(0, TARGET(vmm_adopt, (long)self->g, 0));
	ASSERT_EQ(0, variant->how & OWN ? TARGET(target_thaw, 0, 0) :
					  xfer_thaw(&self->x))
		TH_LOG("%s", xfer_why(&self->x));
	ASSERT_EQ(0, TARGET(vmm_run, 0, 0));
	EXPECT_WHOLE();
	EXPECT_SAME_LINK();
}

/* The way back: a source that is told nothing would stay stopped. */
TEST_F(local, a_target_that_dies_has_changed_nothing)
{
	int how = variant->how | DIES;
	struct outside before, now;

	ASSERT_EQ(0, SOURCE(vmm_pause, 0, 0));
	ASSERT_EQ(0, outside_of(&self->source, &before));
	ASSERT_EQ(0, SOURCE(vmm_run, 0, 0));
	ASSERT_EQ(0, freeze(&self->x, &self->source, variant->how));
	SEND();
	ASSERT_EQ(0, claim_for(&self->x, &self->target, variant->how));
	ASSERT_EQ(0, SOURCE(source_save, self->ends[0], how));
	SEND();
	ASSERT_EQ(-EPIPE, TARGET(target_load, self->ends[1], how));
	agent_kill(&self->target);
	SEND();
	if (!(variant->how & OWN)) {
		EXPECT_TRUE(wait_until(xfer_state(&self->x) ==
				       TAPXFER_STATE_FROZEN, SOON_MS));
		ASSERT_EQ(0, xfer_abort(&self->x));
	}
	ASSERT_EQ(0, SOURCE(source_go_on, variant->how, 0));
	EXPECT_WHOLE();
	EXPECT_SAME_LINK();
	ASSERT_EQ(0, SOURCE(vmm_pause, 0, 0));
	ASSERT_EQ(0, outside_of(&self->source, &now));
	EXPECT_EQ(0, memcmp(&before, &now, sizeof(now)));
}

/* What the handover is for: the same pair without it reads, and the rings are full. */
TEST_F(local, without_a_handover_packets_are_lost)
{
	int how = variant->how & ~OWN, i;

	ASSERT_EQ(0, SOURCE(vmm_pause, 0, 0));
	ASSERT_EQ(0, SOURCE(source_save, self->ends[0], how));
	ASSERT_EQ(0, sender_send(&self->s, BURST));
	EXPECT_LT(0, TARGET(target_load, self->ends[1], how));
	agent_kill(&self->source);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, sender_send(&self->s, BURST));
	EXPECT_LT(0, self->s.dropped);
}

TEST_HARNESS_MAIN
