// SPDX-License-Identifier: GPL-2.0
/*
 * The bridge that the tap is a port of, and the load on it.
 *
 * What is sent to the bridge's own netdev is forwarded to the tap, by whatever
 * index it has, in the context of the sender and through its qdisc: nothing in
 * between has a queue that could drop. The other port keeps the carrier when the
 * tap has none, and gets no packets.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "bench.h"
#include "net.h"
#include "util.h"

#define LOAD_BURST	16	/* packets */
#define LOAD_PAUSE_US	2000
#define LOAD_FLOWS	64
#define SNDBUF		(1 << 29)	/* bytes; the kernel doubles it */

int bench_port_add(const char *name)
{
	struct ifreq ifr = { .ifr_ifindex = if_nametoindex(name) };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	strcpy(ifr.ifr_name, BENCH_BRIDGE);
	err = ioctl(sock, SIOCBRADDIF, &ifr) ? -errno : 0;
	close(sock);
	return err;
}

int bench_sender_unbound(int sock)
{
	int size = SNDBUF;

	return setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &size,
			  sizeof(size)) ? -errno : 0;
}

void bench_net_start(void)
{
	long err;

	err = net_isolate();
	if (err)
		bench_die(err, "no network namespace, this takes root");
	if (shell("ip link add " BENCH_BRIDGE " type bridge stp_state 0 mcast_snooping 0 && "
		  "ip link add " BENCH_UPLINK " type dummy && "
		  "ip link set " BENCH_UPLINK " master " BENCH_BRIDGE " up && "
		  "bridge link set dev " BENCH_UPLINK " flood off mcast_flood off && "
		  "ip link set " BENCH_BRIDGE " up"))
		bench_die(-ENODEV, "no bridge");
}

static int load(void *unused)
{
	struct sender s;

	if (sender_open(&s, if_nametoindex(BENCH_BRIDGE), LOAD_FLOWS) ||
	    bench_sender_unbound(s.sock))
		return 1;
	for (;;) {
		sender_send(&s, LOAD_BURST);
		usleep(LOAD_PAUSE_US);
	}
}

pid_t bench_load_start(void)
{
	return child_start(load, NULL);
}
