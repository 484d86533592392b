// SPDX-License-Identifier: GPL-2.0
/*
 * G3: whoever holds a frozen file, however it came by it and however it calls,
 * sets nothing and is told all. The ioctls are those of tun's header.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <kselftest_harness.h>

#include <linux/sockios.h>

#include "agent.h"
#include "net.h"
#include "outside.h"
#include "tun_ioctl.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		2
#define IOCTLS_MAX	64
#define ANSWER		64	/* bytes; the longest is a struct ifreq */
#define GARBAGE		0x5a

/* What is known before a process is forked, and so to all of them */
static void *mem;
static const struct tap *source;

/* Of how to call, a bit each; the rest is the queue */
#define AS_32		(1 << 8)
#define INHERITED	(1 << 9)

static long do_call(const int *fds, long i, long how)
{
	const struct tun_ioctl *t = &tun_ioctls[i];
	unsigned long arg = (unsigned long)mem;
	struct stat st = {};
	long ret;

	if (t->kind == TUN_GETTER || t->kind == TUN_GETTER_FD)
		memset(mem, GARBAGE, TUN_IOCTL_MEM);
	else
		arg = tun_ioctl_fill(t, mem);
	ret = (how & AS_32 ? tun_ioctl_32 : tun_ioctl_64)(fds[how & 0xff],
							  t->cmd, arg);
	/* what it is a descriptor of */
	if (t->kind == TUN_GETTER_FD && ret >= 0) {
		if (!fstat(ret, &st))
			close(ret);
		ret = st.st_ino;
	}
	return ret;
}

static long agent_do_call(struct agent_self *self, long i, long how)
{
	return do_call(how & INHERITED ? source->fds : self->tap.fds, i, how);
}

/* What an ioctl is answered */
struct answer {
	long ret;
	uint8_t bytes[ANSWER];
};

/* Settings that a file does not tell, as sysfs does */
struct facts {
	struct outside o;
	char text[512];
};

FIXTURE(setters) {
	struct tap tap;
	struct tap dup;
	struct tap claimed;
	struct xfer x;
	struct agent heir;		/* was forked with the files */
	struct agent friend;		/* was sent them */
	struct agent target;
	struct facts before;
	struct answer answers[2][QUEUES][IOCTLS_MAX];
};

FIXTURE_VARIANT(setters) {
	bool claimed;
};

FIXTURE_VARIANT_ADD(setters, frozen) {
	.claimed = false,
};

FIXTURE_VARIANT_ADD(setters, claimed_by_another) {
	.claimed = true,
};

static int facts_get(int fd, struct facts *f)
{
	static const char * const names[] = {
		"owner", "group", "tun_flags", "type", "address", "mtu",
		"tx_queue_len",
	};
	size_t i, len = 0;
	char path[64];
	ssize_t n;
	int file;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/sys/class/net/tap0/%s",
			 names[i]);
		file = open(path, O_RDONLY);
		n = file < 0 ? -1 : read(file, f->text + len, 40);
		close(file);
		if (n <= 0)
			return -ENOENT;
		len += n;
	}
	return outside_get("tap0", fd, &f->o);
}

FIXTURE_SETUP(setters)
{
	struct tun_ioctl filter = { .arg = TUN_ARG_FPROG };
	int q;

	ASSERT_GT(IOCTLS_MAX, tun_ioctls_len);
	mem = tun_ioctl_mem();
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, net_isolate());
	/* of this network namespace, for this process */
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, mount("sysfs", "/sys", "sysfs", 0, NULL));
	ASSERT_EQ(0, agent_start(&self->friend));
	ASSERT_EQ(0, agent_start(&self->target));
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	/* for there to be something to get */
	ASSERT_EQ(0, tun_ioctl_64(self->tap.fds[0], TUNATTACHFILTER,
				  tun_ioctl_fill(&filter, mem)));
	/* a device that is up takes no TUNSETLINK, from anybody */
	ASSERT_EQ(0, link_down("tap0"));
	source = &self->tap;
	ASSERT_EQ(0, agent_start(&self->heir));
	ASSERT_EQ(0, agent_send_tap(&self->friend, &self->tap));
	self->dup = self->tap;
	for (q = 0; q < QUEUES; q++) {
		self->dup.fds[q] = dup(self->tap.fds[q]);
		ASSERT_LE(0, self->dup.fds[q]);
	}
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, facts_get(self->tap.fds[0], &self->before));
}

FIXTURE_TEARDOWN(setters)
{
	agent_kill(&self->target);
	agent_kill(&self->friend);
	agent_kill(&self->heir);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->claimed);
	tap_close(&self->dup);
	tap_close(&self->tap);
}

/* Who holds the files; all of them are tried. */
enum holder {
	HOLDER_SOURCE,
	HOLDER_DUP,
	HOLDER_HEIR,
	HOLDER_FRIEND,
	HOLDERS,
};

static const char * const holder_name[] = {
	[HOLDER_SOURCE] = "the source",
	[HOLDER_DUP] = "the source, a duplicate",
	[HOLDER_HEIR] = "who inherited it",
	[HOLDER_FRIEND] = "who was sent it",
};

static long call_as(FIXTURE_DATA(setters) *self, enum holder holder, long i,
		    long how)
{
	switch (holder) {
	case HOLDER_SOURCE:
		return do_call(self->tap.fds, i, how);
	case HOLDER_DUP:
		return do_call(self->dup.fds, i, how);
	case HOLDER_HEIR:
		return agent_call(&self->heir, NULL, agent_do_call, i,
				  how | INHERITED);
	case HOLDER_FRIEND:
		return agent_call(&self->friend, NULL, agent_do_call, i, how);
	default:
		return -EINVAL;
	}
}

static bool is_setter(size_t i)
{
	return tun_ioctls[i].kind == TUN_SETTER ||
	       tun_ioctls[i].kind == TUN_SHADOWED;
}

#define FREEZE() do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, \
				0, 0)); \
	if (variant->claimed) \
		ASSERT_EQ(0, agent_call(&self->target, &self->x, agent_claim, \
					0, 0)); \
} while (0)

/* Each holder, both system calls, each queue, each ioctl */
#define FOR_EACH_CALL(holder, how, i) \
	for (holder = 0; holder < HOLDERS; holder++) \
		for (how = 0; how < 2 * AS_32; \
		     how = (how & 0xff) + 1 < QUEUES ? how + 1 : \
			   (how & ~0xff) + AS_32) \
			for (i = 0; i < tun_ioctls_len; i++)

#define EXPECT_UNCHANGED(fd) do { \
	struct facts now_; \
	\
	ASSERT_EQ(0, facts_get(fd, &now_)); \
	EXPECT_STREQ(self->before.text, now_.text); \
	EXPECT_EQ(0, memcmp(&self->before.o, &now_.o, sizeof(now_.o))); \
} while (0)

/* A kernel's new ioctl must be found to be a setter or a getter, here. */
TEST_F(setters, are_all_that_the_header_has)
{
	EXPECT_EQ(NULL, tun_ioctl_unknown())
		TH_LOG("%s is not in lib/tun_ioctl.c", tun_ioctl_unknown());
}

TEST_F(setters, get_ebusy_from_whoever_calls)
{
	enum holder holder;
	long how;
	size_t i;

	FREEZE();
	FOR_EACH_CALL(holder, how, i) {
		if (is_setter(i))
			EXPECT_EQ(-EBUSY, call_as(self, holder, i, how))
				TH_LOG("%s, %s, %s, queue %ld",
				       tun_ioctls[i].name, holder_name[holder],
				       how & AS_32 ? "compat" : "native",
				       how & 0xff);
	}
	EXPECT_UNCHANGED(self->tap.fds[0]);
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_UNCHANGED(self->tap.fds[0]);
	/* and it was the fence: now it is the driver that answers */
	for (i = 0; i < tun_ioctls_len; i++) {
		if (is_setter(i))
			EXPECT_NE(-EBUSY, call_as(self, HOLDER_SOURCE, i, 0))
				TH_LOG("%s", tun_ioctls[i].name);
	}
	/* those of the other queue are its own again, too */
	EXPECT_EQ(0, tap_detach(self->tap.fds[1], true));
}

TEST_F(setters, have_getters_that_answer_as_before)
{
	enum holder holder;
	size_t i, fds = 0;
	long how;

	FOR_EACH_CALL(holder, how, i) {
		struct answer *a = &self->answers[!!(how & AS_32)][how & 1][i];

		if (is_setter(i) || holder != HOLDER_SOURCE)
			continue;
		a->ret = call_as(self, holder, i, how);
		memcpy(a->bytes, mem, ANSWER);
		/* of the driver's, one is for other architectures */
		EXPECT_LE(tun_ioctls[i].cmd == TUNGETVNETBE ? -EINVAL : 0,
			  a->ret)
			TH_LOG("%s", tun_ioctls[i].name);
		fds += a->ret > 0;
	}
	EXPECT_EQ(2 * 2 * QUEUES, fds);
	FREEZE();
	FOR_EACH_CALL(holder, how, i) {
		struct answer *a = &self->answers[!!(how & AS_32)][how & 1][i];

		if (is_setter(i))
			continue;
		EXPECT_EQ(a->ret, call_as(self, holder, i, how))
			TH_LOG("%s, %s", tun_ioctls[i].name,
			       holder_name[holder]);
		EXPECT_EQ(0, memcmp(a->bytes, mem, ANSWER))
			TH_LOG("%s, %s, %s", tun_ioctls[i].name,
			       holder_name[holder],
			       how & AS_32 ? "compat" : "native");
	}
}

/* As the table in Documentation/internals.rst has it. */
TEST_F(setters, of_the_claimant_are_recorded_or_refused)
{
	struct tap own;
	long how;
	size_t i;

	if (variant->claimed) {
		/* the other one is it, and what it was is what it is */
		FREEZE();
		EXPECT_UNCHANGED(self->dup.fds[0]);
		return;
	}
	ASSERT_EQ(0, tap_open(&own, "own0", QUEUES, TAP_VM));
	FREEZE();
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	for (how = 0; how <= AS_32; how += AS_32) {
		for (i = 0; i < tun_ioctls_len; i++) {
			long expected = -EBUSY;

			if (!is_setter(i))
				continue;
			/* as the driver takes it, that of another device */
			if (tun_ioctls[i].kind == TUN_SHADOWED) {
				expected = do_call(own.fds, i, how);
				if (tun_ioctls[i].cmd == TUNSETQUEUE)
					tap_detach(own.fds[0], false);
			}
			EXPECT_EQ(expected, do_call(self->claimed.fds, i, how))
				TH_LOG("%s", tun_ioctls[i].name);
		}
	}
	tap_close(&own);
	EXPECT_UNCHANGED(self->tap.fds[0]);
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_UNCHANGED(self->tap.fds[0]);
}

TEST_HARNESS_MAIN
