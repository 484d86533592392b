// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "outside.h"
#include "util.h"

static int find_counts(const struct nlmsghdr *nlh, struct outside *o)
{
	const struct nlattr *link, *info, *a;

	mnl_attr_for_each(link, nlh, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(link) != IFLA_LINKINFO)
			continue;
		mnl_attr_for_each_nested(info, link) {
			if (mnl_attr_get_type(info) != IFLA_INFO_DATA)
				continue;
			mnl_attr_for_each_nested(a, info) {
				switch (mnl_attr_get_type(a)) {
				case IFLA_TUN_NUM_QUEUES:
					o->queues = mnl_attr_get_u32(a);
					break;
				case IFLA_TUN_NUM_DISABLED_QUEUES:
					o->detached = mnl_attr_get_u32(a);
					break;
				}
			}
			return 0;
		}
	}
	return -ENOENT;
}

static int ask_rtnetlink(const char *name, struct outside *o)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	static char buf[1 << 15];
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi;
	int err = 0;

	if (!nl)
		return -errno;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = if_nametoindex(name);
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0 ||
	    mnl_socket_recvfrom(nl, buf, sizeof(buf)) < 0)
		err = -errno;
	else if (nlh->nlmsg_type == NLMSG_ERROR)
		err = ((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
	else
		err = find_counts(nlh, o);
	mnl_socket_close(nl);
	return err;
}

/* What another process is to do, and what came of it; shared with it. */
struct errand {
	int fd;
	unsigned long cmd;
	unsigned long arg;
	struct tap_settings s;
	int val;
	int err;
};

static int run_settings(void *arg)
{
	struct errand *e = arg;

	e->err = tap_settings(e->fd, &e->s);
	return 0;
}

static int run_ioctl(void *arg)
{
	struct errand *e = arg;

	e->err = ioctl(e->fd, e->cmd, e->arg) ? -errno : 0;
	return 0;
}

static int run_get_int(void *arg)
{
	struct errand *e = arg;

	e->err = ioctl(e->fd, e->cmd, &e->val) ? -errno : 0;
	return 0;
}

/* -EPIPE when the process did not come to an end as it should. */
static int run(int (*fn)(void *arg), struct errand *e)
{
	struct errand *shared;
	pid_t child;
	int status;

	shared = mmap(NULL, sizeof(*e), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	*shared = *e;
	child = child_start(fn, shared);
	status = child < 0 ? -1 : child_wait(child, SOON_MS);
	if (status < 0)
		child_kill(child);
	*e = *shared;
	munmap(shared, sizeof(*e));
	return status ? -EPIPE : e->err;
}

int outside_get(const char *name, int fd, struct outside *o)
{
	struct errand e = { .fd = fd };
	int err;

	memset(o, 0, sizeof(*o));
	err = run(run_settings, &e) ?: ask_rtnetlink(name, o);
	o->s = e.s;
	/* it is the open file's, and no setting of the device */
	o->s.fl = 0;
	return err;
}

int outside_ioctl(int fd, unsigned long cmd, unsigned long arg)
{
	struct errand e = { .fd = fd, .cmd = cmd, .arg = arg };

	return run(run_ioctl, &e);
}

int outside_get_int(int fd, unsigned long cmd, int *val)
{
	struct errand e = { .fd = fd, .cmd = cmd };
	int err = run(run_get_int, &e);

	*val = e.val;
	return err;
}
