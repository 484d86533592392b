// SPDX-License-Identifier: GPL-2.0
/*
 * The demo's VMM that is replaced. It makes the tap and knows nothing of
 * tapxfer: to be frozen, it only has to stop.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "demo_vmm.h"

static void set(int fd, unsigned long cmd, const char *name, long value)
{
	int n = (int)value;

	/* Some take a pointer and some the value itself. */
	if (cmd == TUNSETSNDBUF || cmd == TUNSETVNETHDRSZ ||
	    cmd == TUNSETVNETLE)
		value = (long)&n;
	if (ioctl(fd, cmd, value))
		demo_fail("%s: %m", name);
}

#define SET(fd, cmd, value) set(fd, cmd, #cmd, value)

static int queue_open(void)
{
	struct ifreq ifr = {
		.ifr_name = DEMO_TAP,
		.ifr_flags = IFF_TAP | IFF_MULTI_QUEUE | IFF_VNET_HDR |
			     IFF_NO_PI,
	};
	int fd;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		demo_fail("/dev/net/tun: %m");
	if (ioctl(fd, TUNSETIFF, &ifr))
		demo_fail("TUNSETIFF: %m");
	return fd;
}

/* As a VMM sets its tap up; the sizes and offloads are the device's. */
static void tap_make(struct vmm *vm)
{
	unsigned int i;

	for (i = 0; i < DEMO_QUEUES; i++)
		vm->fds[i] = queue_open();
	SET(vm->fds[0], TUNSETVNETHDRSZ, DEMO_HDR_SZ);
	SET(vm->fds[0], TUNSETVNETLE, 1);
	SET(vm->fds[0], TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	SET(vm->fds[0], TUNSETSNDBUF, DEMO_SNDBUF);
	SET(vm->fds[0], TUNSETOWNER, DEMO_OWNER);
	SET(vm->fds[0], TUNSETGROUP, DEMO_GROUP);
}

/* The other way: plain fd passing. */
static void pass_files(struct vmm *vm)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(vm->fds))];
	} c = {};
	struct iovec iov = { "", 1 };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = c.buf,
		.msg_controllen = sizeof(c.buf),
	};

	c.hdr.cmsg_level = SOL_SOCKET;
	c.hdr.cmsg_type = SCM_RIGHTS;
	c.hdr.cmsg_len = CMSG_LEN(sizeof(vm->fds));
	memcpy(CMSG_DATA(&c.hdr), vm->fds, sizeof(vm->fds));
	if (sendmsg(DEMO_FD_VMM, &mh, 0) != 1)
		demo_fail("SCM_RIGHTS: %m");
}

int main(void)
{
	struct demo_msg m = { .op = DEMO_OP_READY };
	struct vmm vm;

	vmm_init(&vm);
	tap_make(&vm);
	vmm_watch_queues(&vm);
	m.ifindex = if_nametoindex(DEMO_TAP);
	demo_answer(&m);

	for (;;) {
		demo_command(&m);
		switch (m.op) {
		case DEMO_OP_RUN:
			demo_answer(&m);
			vmm_run(&vm);
			break;
		case DEMO_OP_PASS:
		case DEMO_OP_STOP:
			vm.shm->stopped_at = vm.last_read;
			vm.shm->got_by_source = vm.shm->h2g.got;
			if (m.op == DEMO_OP_PASS)
				pass_files(&vm);
			demo_answer(&m);
			break;
		default:
			demo_fail("source: command %d", m.op);
		}
	}
}
