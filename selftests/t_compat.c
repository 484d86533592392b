// SPDX-License-Identifier: GPL-2.0
/*
 * A 32-bit process: its ioctls, which come by compat_ioctl with structures of
 * another size, its reads and writes, and a handover of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <kselftest_harness.h>

#include <net/if_arp.h>

#include <linux/genetlink.h>
#include <linux/sockios.h>

#include "compat/t_compat_32.h"
#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "tun_ioctl.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	2
#define SNDBUF	123456

/* i386's numbers */
#define NR_READ		3
#define NR_WRITE	4
#define NR_IOCTL	54
#define NR_SOCKET	359

/* struct ifreq as an i386 program has it: shorter than ours */
struct ifreq_32 {
	char name[IFNAMSIZ];
	union {
		int16_t flags;
		struct {
			uint16_t family;
			uint8_t data[14];
		} hwaddr;
	};
};

_Static_assert(sizeof(struct ifreq_32) == 32, "as i386 has it");
_Static_assert(sizeof(struct ifreq) == 40, "as x86_64 has it");

struct process {
	pid_t pid;
	int in, out;
	struct call call;
};

static int process_open(struct process *p, const struct tap *tap)
{
	int in[2], out[2], i;
	char path[PATH_MAX];
	ssize_t len;

	len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (len < 0)
		return -errno;
	path[len] = '\0';
	strncat(path, "_32", sizeof(path) - len - 1);
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return -errno;
	p->pid = fork();
	if (!p->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		for (i = 0; i < tap->n; i++)
			fcntl(tap->fds[i], F_SETFD, 0);
		execl(path, path, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p->in = in[1];
	p->out = out[0];
	return p->pid < 0 ? -errno : 0;
}

static void process_close(struct process *p)
{
	if (p->pid <= 0)
		return;
	close(p->in);
	close(p->out);
	child_kill(p->pid);
}

/* Have it make the call that was filled in: what it returns. */
static int call(struct process *p)
{
	size_t done = 0;
	ssize_t n;

	if (write(p->in, &p->call, sizeof(p->call)) != sizeof(p->call))
		return -EPIPE;
	while (done < sizeof(p->call)) {
		n = read(p->out, (char *)&p->call + done,
			 sizeof(p->call) - done);
		if (n <= 0)
			return -EPIPE;
		done += n;
	}
	return p->call.ret;
}

/* Its system call with a descriptor, memory, and that memory's size. */
static int call_rw(struct process *p, unsigned int nr, int fd, void *buf,
		   size_t len)
{
	int ret;

	p->call = (struct call){
		.nr = nr, .pointers = 1 << 1, .arg = { fd, 0, len },
	};
	memcpy(p->call.data, buf, len);
	ret = call(p);
	memcpy(buf, p->call.data, len);
	return ret;
}

/* What stands after the argument, where nobody has a right to write */
#define GUARD		0xa5
#define GUARD_LEN	64

/* Its ioctl with memory of @len bytes; -EOVERFLOW when more was written. */
static int ioctl_32(struct process *p, int fd, unsigned int cmd, void *buf,
		    size_t len)
{
	int ret, i;

	p->call = (struct call){
		.nr = NR_IOCTL, .pointers = 1 << 2, .arg = { fd, cmd, 0 },
	};
	memset(p->call.data, GUARD, len + GUARD_LEN);
	memcpy(p->call.data, buf, len);
	ret = call(p);
	memcpy(buf, p->call.data, len);
	for (i = 0; i < GUARD_LEN; i++)
		if (p->call.data[len + i] != GUARD)
			return -EOVERFLOW;
	return ret;
}

static int ioctl_32_value(struct process *p, int fd, unsigned int cmd,
			  unsigned int value)
{
	p->call = (struct call){ .nr = NR_IOCTL, .arg = { fd, cmd, value } };
	return call(p);
}

FIXTURE(compat) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct process p;
	struct capture c;
	struct sender s;
	struct tally t;
	uint8_t mac[6];
};

FIXTURE_SETUP(compat)
{
	int sndbuf = SNDBUF;
	struct link_info li;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));
	ASSERT_EQ(0, link_info(self->tap.ifindex, &li));
	memcpy(self->mac, li.mac, 6);
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 16));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 10));
	ASSERT_EQ(0, process_open(&self->p, &self->tap));
}

FIXTURE_TEARDOWN(compat)
{
	process_close(&self->p);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->claimed);
	tap_close(&self->tap);
	capture_close(&self->c);
	sender_close(&self->s);
	tally_free(&self->t);
}

/* Each sets what is set, or puts it back with the next one. */
static const struct setter {
	const char *name;
	unsigned int cmd;
	enum { VALUE, INT, IFREQ, MAC } arg;
	int value;
} setters[] = {
#define SETTER(cmd, arg, value) { #cmd, (unsigned int)cmd, arg, value }
	SETTER(TUNSETVNETHDRSZ, INT, 12),
	SETTER(TUNSETOFFLOAD, VALUE, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6),
	SETTER(TUNSETSNDBUF, INT, SNDBUF),
	SETTER(TUNSETVNETLE, INT, 1),
	SETTER(TUNSETVNETLE, INT, 0),
	SETTER(TUNSETQUEUE, IFREQ, IFF_DETACH_QUEUE),
	SETTER(TUNSETQUEUE, IFREQ, IFF_ATTACH_QUEUE),
	SETTER(TUNSETPERSIST, VALUE, 1),
	SETTER(TUNSETPERSIST, VALUE, 0),
	SETTER(TUNSETOWNER, VALUE, 1234),
	SETTER(TUNSETGROUP, VALUE, 4321),
	SETTER(TUNSETNOCSUM, VALUE, 0),
	SETTER(TUNSETDEBUG, VALUE, 0),
	SETTER(TUNSETSTEERINGEBPF, INT, -1),
	SETTER(TUNSETFILTEREBPF, INT, -1),
	SETTER(TUNDETACHFILTER, INT, 0),
	SETTER(TUNSETCARRIER, INT, 1),
	SETTER(SIOCSIFHWADDR, MAC, 0),
};

static int set(struct process *p, int fd, const struct setter *s,
	       const uint8_t *mac)
{
	struct ifreq_32 ifr = {};
	int value = s->value;

	switch (s->arg) {
	case VALUE:
		return ioctl_32_value(p, fd, s->cmd, s->value);
	case INT:
		return ioctl_32(p, fd, s->cmd, &value, sizeof(value));
	case IFREQ:
		ifr.flags = s->value;
		return ioctl_32(p, fd, s->cmd, &ifr, sizeof(ifr));
	case MAC:
		ifr.hwaddr.family = ARPHRD_ETHER;
		memcpy(ifr.hwaddr.data, mac, 6);
		return ioctl_32(p, fd, s->cmd, &ifr, sizeof(ifr));
	}
	return -ENOTTY;
}

#define EXPECT_SETTERS(expected) do { \
	size_t i_; \
	int q_; \
	\
	for (q_ = 0; q_ < QUEUES; q_++) { \
		for (i_ = 0; i_ < ARRAY_SIZE(setters); i_++) { \
			EXPECT_EQ(expected, set(&self->p, self->tap.fds[q_], \
						&setters[i_], self->mac)) \
				TH_LOG("%s %d", setters[i_].name, \
				       setters[i_].value); \
		} \
	} \
} while (0)

TEST_F(compat, setters_get_ebusy_while_frozen_and_pass_before_and_after)
{
	struct tap_settings before, after;

	/* a 32-bit process, or all of this were for nothing */
	ASSERT_EQ(0, ioctl_32_value(&self->p, self->tap.fds[0], TUNSETDEBUG,
				    0));
	ASSERT_EQ(4, self->p.call.pointer_size);

	EXPECT_SETTERS(0);
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &before));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	EXPECT_SETTERS(0);
	ASSERT_EQ(0, xfer_hold(&self->x));
	EXPECT_SETTERS(0);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_SETTERS(-EBUSY);
	/* claimed, but by somebody else */
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_SETTERS(-EBUSY);
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_SETTERS(0);
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
}

/* Those too that pass in no state, or would change what the others need. */
TEST_F(compat, all_setters_of_the_header_get_ebusy_while_frozen)
{
	uint8_t zero[128];
	size_t i;
	int q, n = 0;

	ASSERT_EQ(NULL, tun_ioctl_unknown());
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	for (q = 0; q < QUEUES; q++) {
		for (i = 0; i < tun_ioctls_len; i++) {
			if (tun_ioctls[i].kind == TUN_GETTER ||
			    tun_ioctls[i].kind == TUN_GETTER_FD)
				continue;
			memset(zero, 0, sizeof(zero));
			EXPECT_EQ(-EBUSY, ioctl_32(&self->p, self->tap.fds[q],
						   tun_ioctls[i].cmd, zero,
						   sizeof(zero)))
				TH_LOG("%s", tun_ioctls[i].name);
			n++;
		}
	}
	EXPECT_LE(QUEUES * 20, n);
}

#define EXPECT_GETTERS(state) do { \
	int q_; \
	\
	for (q_ = 0; q_ < QUEUES; q_++) { \
		struct ifreq_32 ifr_ = {}; \
		int fd_ = self->tap.fds[q_], val_; \
		\
		EXPECT_EQ(0, ioctl_32(&self->p, fd_, TUNGETIFF, &ifr_, \
				      sizeof(ifr_))); \
		EXPECT_STREQ("tap0", ifr_.name); \
		EXPECT_EQ(TAP_VM, ifr_.flags & (TAP_VM | IFF_DETACH_QUEUE)) \
			TH_LOG("%s", state); \
		EXPECT_EQ(0, ioctl_32(&self->p, fd_, SIOCGIFHWADDR, &ifr_, \
				      sizeof(ifr_))); \
		EXPECT_EQ(0, memcmp(self->mac, ifr_.hwaddr.data, 6)); \
		EXPECT_EQ(0, ioctl_32(&self->p, fd_, TUNGETVNETHDRSZ, &val_, \
				      sizeof(val_))); \
		EXPECT_EQ(12, val_); \
		EXPECT_EQ(0, ioctl_32(&self->p, fd_, TUNGETSNDBUF, &val_, \
				      sizeof(val_))); \
		EXPECT_EQ(SNDBUF, val_) \
			TH_LOG("%s", state); \
		EXPECT_EQ(0, ioctl_32(&self->p, fd_, TUNGETVNETLE, &val_, \
				      sizeof(val_))); \
		EXPECT_EQ(0, val_); \
		EXPECT_EQ(0, ioctl_32(&self->p, fd_, TUNGETFEATURES, &val_, \
				      sizeof(val_))); \
		EXPECT_EQ(IFF_MULTI_QUEUE, val_ & IFF_MULTI_QUEUE); \
		/* a bad address is the caller's fault still */ \
		EXPECT_EQ(-EFAULT, ioctl_32_value(&self->p, fd_, TUNGETSNDBUF, \
						  0)); \
	} \
} while (0)

TEST_F(compat, getters_answer_as_before)
{
	EXPECT_GETTERS("running");
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	EXPECT_GETTERS("prepared");
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_GETTERS("frozen");
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_GETTERS("claimed");
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_GETTERS("aborted");
}

TEST_F(compat, reads_and_writes_obey_the_fence)
{
	uint8_t packet[PACKET_MAX] = {}, buf[PACKET_MAX];
	int fd = self->tap.fds[0], len, n, got = 0;

	len = self->tap.hdr + packet_make(packet + self->tap.hdr, 40000, 1);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(-EAGAIN, call_rw(&self->p, NR_WRITE, fd, packet, len));
	EXPECT_EQ(-EAGAIN, call_rw(&self->p, NR_READ, fd, buf, sizeof(buf)));
	EXPECT_EQ(0, capture_read(&self->c));

	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(len, call_rw(&self->p, NR_WRITE, fd, packet, len));
	EXPECT_EQ(1, capture_read(&self->c));
	while ((n = call_rw(&self->p, NR_READ, fd, buf, sizeof(buf))) > 0) {
		tally_add(&self->t, 0, buf + self->tap.hdr, n - self->tap.hdr);
		got++;
	}
	EXPECT_EQ(-EAGAIN, n);
	EXPECT_LT(0, got);
	ASSERT_LE(0, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 100));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

/* Send the message that was made, from over there; the answer becomes @g's. */
static int talk_32(struct process *p, int nl, struct genl *g)
{
	uint8_t buf[CALL_DATA] = {};
	const struct nlmsghdr *nlh = (void *)buf;
	int ret;

	/* one answer: the reply, or why there is none */
	g->req->nlmsg_flags &= ~NLM_F_ACK;
	ret = call_rw(p, NR_WRITE, nl, g->req, g->req->nlmsg_len);
	if (ret < 0)
		return ret;
	ret = call_rw(p, NR_READ, nl, buf, sizeof(buf));
	if (ret < (int)NLMSG_HDRLEN)
		return ret < 0 ? ret : -EPROTO;
	if (nlh->nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
	memcpy(g->reply, buf, ret);
	return 0;
}

/* Descriptors of the answer to a claim; how many. */
static int claimed_fds(const struct genl *g, int *fds, int max)
{
	const struct nlattr *a, *b;
	int n = 0;

	mnl_attr_for_each(a, (struct nlmsghdr *)g->reply,
			  sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) != TAPXFER_A_HANDOVER_QUEUE)
			continue;
		mnl_attr_for_each_nested(b, a)
			if (mnl_attr_get_type(b) == TAPXFER_A_QUEUE_FD &&
			    n < max)
				fds[n++] = mnl_attr_get_u32(b);
	}
	return n;
}

/* The module asks the driver in the context, and in memory, of who sends. */
TEST_F(compat, a_32_bit_process_freezes_claims_and_thaws)
{
	uint8_t packet[PACKET_MAX] = {};
	int nl, fds[QUEUES], q, len;
	struct genl g;
	uint32_t id;

	ASSERT_EQ(0, genl_open(&g));
	self->p.call = (struct call){
		.nr = NR_SOCKET, .arg = { AF_NETLINK, SOCK_RAW, NETLINK_GENERIC },
	};
	nl = call(&self->p);
	ASSERT_LE(0, nl);

	genl_begin(&g, TAPXFER_CMD_FREEZE, self->tap.ifindex, self->tap.fds,
		   QUEUES);
	ASSERT_EQ(0, talk_32(&self->p, nl, &g));
	id = genl_u32(&g, TAPXFER_A_HANDOVER_ID);
	ASSERT_NE(0, id);
	ASSERT_NE(NULL, genl_attr(&g, TAPXFER_A_HANDOVER_TOKEN));
	self->x.id = id;
	memcpy(&self->x.token,
	       mnl_attr_get_payload(genl_attr(&g, TAPXFER_A_HANDOVER_TOKEN)),
	       sizeof(self->x.token));
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
	/* what it told of itself is what is */
	EXPECT_EQ(12, xfer_dev_u64(&self->x, TAPXFER_A_DEV_VNET_HDR_SZ));
	EXPECT_EQ(SNDBUF, xfer_dev_u64(&self->x, TAPXFER_A_DEV_SNDBUF));
	EXPECT_EQ(TAP_VM, xfer_dev_u64(&self->x, TAPXFER_A_DEV_FLAGS));
	EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, 0, 0));

	genl_go_on(&g, TAPXFER_CMD_CLAIM, id, &self->x.token);
	ASSERT_EQ(0, talk_32(&self->p, nl, &g));
	ASSERT_EQ(QUEUES, claimed_fds(&g, fds, QUEUES));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	EXPECT_EQ(self->p.pid, xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));
	for (q = 0; q < QUEUES; q++) {
		struct ifreq_32 ifr = {};

		EXPECT_EQ(0, ioctl_32(&self->p, fds[q], TUNGETIFF, &ifr,
				      sizeof(ifr)));
		EXPECT_STREQ("tap0", ifr.name);
	}

	/* the source exits */
	tap_close(&self->tap);
	genl_go_on(&g, TAPXFER_CMD_THAW, id, &self->x.token);
	ASSERT_EQ(0, talk_32(&self->p, nl, &g));
	len = packet_make(packet + 12, 40000, 1) + 12;
	EXPECT_EQ(len, call_rw(&self->p, NR_WRITE, fds[0], packet, len));
	EXPECT_EQ(1, capture_read(&self->c));
	genl_close(&g);
}

TEST_HARNESS_MAIN
