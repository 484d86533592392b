// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <net/if.h>

#include "common.h"

volatile sig_atomic_t move_wanted, end_wanted;
uint64_t guest_turned;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		move_wanted = 1;
	else
		end_wanted = 1;
}

void signals_init(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* the lines that others wait for */
	setvbuf(stdout, NULL, _IOLBF, 0);
}

void die(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (err)
		fprintf(stderr, ": %s", strerror(err < 0 ? -err : err));
	fputc('\n', stderr);
	exit(1);
}

void tap_open(const char *name, int hdr, int fds[QUEUES])
{
	struct ifreq ifr = {
		.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE |
			     (hdr ? IFF_VNET_HDR : 0),
	};
	int i;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	for (i = 0; i < QUEUES; i++) {
		fds[i] = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fds[i] < 0 || ioctl(fds[i], TUNSETIFF, &ifr))
			die(errno, "cannot open queue %d of %s", i, name);
	}
	if (hdr && ioctl(fds[0], TUNSETVNETHDRSZ, &hdr))
		die(errno, "TUNSETVNETHDRSZ");
}

void tap_close(int fds[QUEUES])
{
	int i;

	for (i = 0; i < QUEUES; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

void frame_turn(uint8_t *frame)
{
	uint8_t mac[6];

	memcpy(mac, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, mac, 6);
}

static void turn_all(int fd)
{
	uint8_t frame[2048];
	ssize_t len;

	while ((len = read(fd, frame, sizeof(frame))) > 0) {
		frame_turn(frame);
		guest_turned++;
		/* what the host has no room for now it has later */
		while (write(fd, frame, (size_t)len) < 0 && errno == EAGAIN)
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT },
			     1, 100);
	}
}

void guest_run(const int fds[QUEUES])
{
	struct pollfd pfds[QUEUES];
	int i;

	while (!move_wanted && !end_wanted) {
		for (i = 0; i < QUEUES; i++)
			pfds[i] = (struct pollfd){
				.fd = fds[i], .events = POLLIN
			};
		/* a signal may come just before it: look again soon */
		if (poll(pfds, QUEUES, 100) <= 0)
			continue;
		for (i = 0; i < QUEUES; i++)
			turn_all(fds[i]);
	}
}

bool guest_until_move(const int fds[QUEUES])
{
	printf("running\n");
	guest_run(fds);
	move_wanted = 0;
	return !end_wanted;
}

void guest_until_end(const int fds[QUEUES])
{
	while (!end_wanted) {
		guest_run(fds);
		move_wanted = 0;
	}
}
