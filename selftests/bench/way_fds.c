// SPDX-License-Identifier: GPL-2.0
/*
 * The files are sent over a UNIX socket and nothing else is done, as QEMU's CPR
 * and local migration do; alone, and with a qdisc (sch_plug) that keeps the
 * packets back meanwhile.
 */
#include <errno.h>
#include <string.h>

#include <net/if.h>

#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "bench.h"

static int fds_leave(struct bench_side *s)
{
	return bench_gap(s) ?: bench_send_files(s);
}

const struct bench_way bench_way_fds = {
	.name = "fds",
	.queues_max = TAP_MAX,
	.judged = true,
	.leave = fds_leave,
	.enter = bench_recv_files,
};

static int fds_enter_vmm(struct bench_side *s)
{
	return bench_recv_files(s) ?: bench_set_up(s->self->tap.fds[0]);
}

const struct bench_way bench_way_fds_vmm = {
	.name = "fds-vmm",
	.queues_max = TAP_MAX,
	.queues_only = 8,
	.judged = true,
	.leave = fds_leave,
	.enter = fds_enter_vmm,
};

/* -- with tc plug -------------------------------------------------------- */

/* Of each of the two processes, and looked up before the clock starts */
static struct mnl_socket *nl;
static int ifindex;

static int plug_open(void)
{
	if (!nl)
		nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	ifindex = if_nametoindex(BENCH_TAP);
	return nl && ifindex ? 0 : -errno;
}

/* The request on the tap's root qdisc, @plug its options or NULL. */
static int qdisc_ask(uint16_t type, uint16_t flags,
		     const struct tc_plug_qopt *plug)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tc;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = TC_H_ROOT;
	if (plug) {
		mnl_attr_put_strz(nlh, TCA_KIND, "plug");
		mnl_attr_put(nlh, TCA_OPTIONS, sizeof(*plug), plug);
	}

	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0 ||
	    mnl_socket_recvfrom(nl, buf, sizeof(buf)) < 0)
		return -errno;
	return ((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
}

static int plug_do(int action)
{
	struct tc_plug_qopt plug = { .action = action };

	return qdisc_ask(RTM_NEWQDISC, 0, &plug);
}

static int plug_prepare(struct bench_side *s)
{
	struct tc_plug_qopt plug = {
		.action = TCQ_PLUG_LIMIT,
		/* as much as tapxfer's */
		.limit = s->run->hold_bytes ?: BENCH_HOLD_BYTES,
	};

	return plug_open() ?:
	       qdisc_ask(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &plug);
}

static int plug_expect(struct bench_side *s)
{
	return plug_open();
}

static int plug_leave(struct bench_side *s)
{
	return plug_do(TCQ_PLUG_BUFFER) ?: fds_leave(s);
}

static int plug_enter(struct bench_side *s)
{
	return bench_recv_files(s) ?: plug_do(TCQ_PLUG_RELEASE_INDEFINITE);
}

/* The device's own again */
static int plug_settle(struct bench_side *s)
{
	return s->run->gap ? 0 : qdisc_ask(RTM_DELQDISC, 0, NULL);
}

const struct bench_way bench_way_plug = {
	.name = "plug",
	.queues_max = TAP_MAX,
	.prepare = plug_prepare,
	.expect = plug_expect,
	.leave = plug_leave,
	.enter = plug_enter,
	.settle = plug_settle,
};
