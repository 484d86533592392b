// SPDX-License-Identifier: GPL-2.0
/*
 * The demo's VMM that replaces the other: gets the queues by a claim, or by
 * plain fd passing, and reads on.
 */
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "demo_vmm.h"

static uint64_t checks;

static void check(const char *what, uint64_t is, uint64_t expected)
{
	if (is != expected)
		demo_fail("%s is %llu, expected %llu", what,
			  (unsigned long long)is, (unsigned long long)expected);
	checks++;
}

/* An attribute has to be there, too. */
static void check_attr(const struct tapxfer_info *info, const char *what,
		       unsigned int attr, uint64_t expected)
{
	if (!tapxfer_info_has(info, attr))
		demo_fail("%s was not exported", what);
	check(what, tapxfer_info_u64(info, attr), expected);
}

#define CHECK_DEV(dev, attr, expected) \
	check_attr(dev, #attr, TAPXFER_A_DEV_ ## attr, expected)
#define CHECK_QUEUE(queue, attr, expected) \
	check_attr(queue, "queue " #attr, TAPXFER_A_QUEUE_ ## attr, expected)

static void check_dev(const struct tapxfer_info *dev, uint32_t ifindex)
{
	static const uint8_t mac[] = DEMO_TAP_MAC;
	const char *name;
	const void *is;
	size_t len;

	if (!dev)
		demo_fail("no state was exported");
	CHECK_DEV(dev, IFINDEX, ifindex);
	CHECK_DEV(dev, TYPE, TAPXFER_DEV_TYPE_TAP);
	CHECK_DEV(dev, LINK_TYPE, ARPHRD_ETHER);
	CHECK_DEV(dev, FLAGS,
		  IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR | IFF_NO_PI);
	CHECK_DEV(dev, VNET_HDR_SZ, DEMO_HDR_SZ);
	CHECK_DEV(dev, VNET_LE, 1);
	CHECK_DEV(dev, OFFLOADS, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	CHECK_DEV(dev, SNDBUF, DEMO_SNDBUF);
	CHECK_DEV(dev, OWNER, DEMO_OWNER);
	CHECK_DEV(dev, GROUP, DEMO_GROUP);
	CHECK_DEV(dev, PERSIST, 0);
	CHECK_DEV(dev, MULTI_QUEUE, 1);
	CHECK_DEV(dev, NUM_QUEUES, DEMO_QUEUES);
	CHECK_DEV(dev, NUM_DETACHED, 0);
	CHECK_DEV(dev, MTU, DEMO_MTU);
	CHECK_DEV(dev, CARRIER, 1);
	CHECK_DEV(dev, TX_QUEUE_LEN, 1000);

	name = tapxfer_info_str(dev, TAPXFER_A_DEV_IFNAME);
	check("name is the tap's", name && !strcmp(name, DEMO_TAP), 1);
	is = tapxfer_info_bin(dev, TAPXFER_A_DEV_MAC, &len);
	check("mac length", len, sizeof(mac));
	check("mac differs", !!memcmp(is, mac, sizeof(mac)), 0);
	check("xdp is there", tapxfer_info_has(dev, TAPXFER_A_DEV_XDP_PROG_ID),
	      0);
}

static void check_queues(const struct tapxfer_info *ho)
{
	const struct tapxfer_info *queue;
	size_t i;

	check("queues told",
	      tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE), DEMO_QUEUES);
	for (i = 0; i < DEMO_QUEUES; i++) {
		queue = tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_QUEUE, i);
		CHECK_QUEUE(queue, INDEX, i);
		CHECK_QUEUE(queue, DETACHED, 0);
		CHECK_QUEUE(queue, NONBLOCK, 1);
	}
}

static int get(int fd, unsigned long cmd, const char *name)
{
	int value = 0;

	if (ioctl(fd, cmd, &value))
		demo_fail("%s: %m", name);
	return value;
}

#define CHECK_GET(fd, cmd, expected) \
	check(#cmd, (uint64_t)get(fd, cmd, #cmd), expected)

/* What the driver itself says of a file that was claimed. */
static void check_file(int fd)
{
	struct ifreq ifr = {};

	check("O_NONBLOCK", !!(fcntl(fd, F_GETFL) & O_NONBLOCK), 1);
	check("FD_CLOEXEC", fcntl(fd, F_GETFD), FD_CLOEXEC);
	if (ioctl(fd, TUNGETIFF, &ifr))
		demo_fail("TUNGETIFF: %m");
	check("file is the tap's", !strcmp(ifr.ifr_name, DEMO_TAP), 1);
	check("TUNGETIFF", (uint16_t)ifr.ifr_flags,
	      IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR | IFF_NO_PI);
	CHECK_GET(fd, TUNGETVNETHDRSZ, DEMO_HDR_SZ);
	CHECK_GET(fd, TUNGETVNETLE, 1);
	CHECK_GET(fd, TUNGETSNDBUF, DEMO_SNDBUF);
}

static void check_files(const struct vmm *vm)
{
	unsigned int i;

	for (i = 0; i < DEMO_QUEUES; i++)
		check_file(vm->fds[i]);
}

static struct tapxfer *open_tapxfer(void)
{
	struct tapxfer *tx;
	int err;

	err = tapxfer_open(&tx);
	if (err)
		demo_fail("tapxfer: %s", tapxfer_open_error(err));
	return tx;
}

static void claim(struct vmm *vm, struct tapxfer *tx, struct demo_msg *m)
{
	struct tapxfer_info *ho;

	if (tapxfer_claim(tx, m->id, &m->token, &ho))
		demo_fail("claim: %s", tapxfer_error(tx));
	check("files claimed", tapxfer_info_fds(ho, vm->fds, DEMO_QUEUES),
	      DEMO_QUEUES);
	check_dev(tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_DEV, 0), m->ifindex);
	check_queues(ho);
	check_files(vm);
	tapxfer_info_free(ho);
}

/* Ready to read before the thaw, so that none of it is waiting for us. */
static void thaw(struct vmm *vm, struct tapxfer *tx, struct demo_msg *m)
{
	struct tapxfer_info *ho;

	vmm_watch_queues(vm);
	if (tapxfer_thaw(tx, m->id, &m->token, &ho))
		demo_fail("thaw: %s", tapxfer_error(tx));
	m->held = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_HELD);
	m->dropped = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_DROPPED);
	m->blackout = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_BLACKOUT);
	tapxfer_info_free(ho);
}

static void take_files(struct vmm *vm)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(vm->fds))];
	} c = {};
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = c.buf,
		.msg_controllen = sizeof(c.buf),
	};

	if (recvmsg(DEMO_FD_VMM, &mh, MSG_CMSG_CLOEXEC) != 1 ||
	    !CMSG_FIRSTHDR(&mh) ||
	    c.hdr.cmsg_len != CMSG_LEN(sizeof(vm->fds)))
		demo_fail("SCM_RIGHTS: no files came");
	memcpy(vm->fds, CMSG_DATA(&c.hdr), sizeof(vm->fds));
}

int main(void)
{
	struct demo_msg m = { .op = DEMO_OP_READY };
	struct tapxfer *tx = NULL;
	struct vmm vm;

	vmm_init(&vm);
	demo_answer(&m);

	for (;;) {
		demo_command(&m);
		switch (m.op) {
		case DEMO_OP_CLAIM:
			tx = open_tapxfer();
			claim(&vm, tx, &m);
			demo_answer(&m);
			break;
		case DEMO_OP_THAW:
			thaw(&vm, tx, &m);
			demo_answer(&m);
			vmm_run(&vm);
			break;
		case DEMO_OP_TAKE:
			take_files(&vm);
			demo_answer(&m);
			break;
		case DEMO_OP_RUN:
			vmm_watch_queues(&vm);
			demo_answer(&m);
			vmm_run(&vm);
			break;
		case DEMO_OP_STOP:
			/* Whichever way they came, they are as they were. */
			check_files(&vm);
			m.value = checks;
			demo_answer(&m);
			break;
		default:
			demo_fail("target: command %d", m.op);
		}
	}
}
