// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "qemu_tap.h"

/* Since Linux 6.2; older headers lack them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4	0x20
#define TUN_F_USO6	0x40
#endif

#define HDR_LEGACY	10
#define HDR_MODERN	12

static int note(struct qemu_tap *s, const char *what, int queue, int ret)
{
	ret = ret < 0 ? -errno : 0;
	if (s->ncalls < QEMU_CALLS_MAX) {
		s->calls[s->ncalls].what = what;
		s->calls[s->ncalls].queue = queue;
		s->calls[s->ncalls].ret = ret;
	}
	s->ncalls++;
	return ret;
}

#define CALL(s, queue, cmd, arg) \
	note(s, #cmd, queue, ioctl((s)->fds[queue], cmd, arg))

static int die(struct qemu_tap *s, const char *of)
{
	if (!s->died)
		s->died = of;
	return -1;
}

/* Whether that size can be set: set it and put back what was. */
static bool probe_hdr(struct qemu_tap *s, int q, int size)
{
	int was;

	if (CALL(s, q, TUNGETVNETHDRSZ, &was) ||
	    CALL(s, q, TUNSETVNETHDRSZ, &size))
		return false;
	if (CALL(s, q, TUNSETVNETHDRSZ, &was))
		die(s, "abort(): the header size cannot be put back");
	return !s->died;
}

static int set_hdr(struct qemu_tap *s, int q, int size)
{
	if (!probe_hdr(s, q, size))
		return s->died ? -1 : 0;
	if (CALL(s, q, TUNSETVNETHDRSZ, &size))
		return die(s, "abort(): the header size cannot be set");
	s->hdr = size;
	return 0;
}

static void set_offloads(struct qemu_tap *s, int q, unsigned long offloads)
{
	/* is there such an ioctl? */
	if (CALL(s, q, TUNSETOFFLOAD, 0UL) == -EINVAL)
		return;
	if (CALL(s, q, TUNSETOFFLOAD, offloads))
		CALL(s, q, TUNSETOFFLOAD, offloads & ~TUN_F_UFO);
}

static int enable(struct qemu_tap *s, int q, bool on)
{
	struct ifreq ifr = {
		.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE,
	};

	if (s->n == 1 || s->enabled[q] == on)
		return 0;
	if (CALL(s, q, TUNSETQUEUE, &ifr))
		return die(s, on ? "assert(): a queue cannot be attached" :
				   "assert(): a queue cannot be detached");
	s->enabled[q] = on;
	return 0;
}

int qemu_tap_init(struct qemu_tap *s, const int *fds, int n)
{
	int i, fl, vnet_hdr = -1, sndbuf = QEMU_SNDBUF;
	unsigned int features;

	memset(s, 0, sizeof(*s));
	s->n = n;
	memcpy(s->fds, fds, n * sizeof(*fds));
	for (i = 0; i < n; i++) {
		struct ifreq ifr = {};

		fl = fcntl(fds[i], F_GETFL);
		if (note(s, "F_SETFL", i,
			 fcntl(fds[i], F_SETFL, fl | O_NONBLOCK)))
			return die(s, "exit(): a file cannot be set nonblocking");
		if (CALL(s, i, TUNGETFEATURES, &features))
			features = 0;
		if (CALL(s, i, TUNGETIFF, &ifr))
			return die(s, "exit(): not a tap");
		if (vnet_hdr < 0)
			vnet_hdr = ifr.ifr_flags & IFF_VNET_HDR;
		if (vnet_hdr != (ifr.ifr_flags & IFF_VNET_HDR))
			return die(s, "exit(): not all files have vnet_hdr");

		/* what can the host? */
		CALL(s, i, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM |
							 TUN_F_UFO));
		CALL(s, i, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM |
							 TUN_F_USO4 |
							 TUN_F_USO6));
		s->enabled[i] = true;
		set_offloads(s, i, 0);
		if (vnet_hdr && set_hdr(s, i, HDR_LEGACY))
			return -1;
		/* does not mind when nobody asked for one */
		CALL(s, i, TUNSETSNDBUF, &sndbuf);
	}
	return 0;
}

int qemu_tap_reset(struct qemu_tap *s)
{
	int i;

	for (i = 1; i < s->n; i++)
		if (enable(s, i, false))
			return -1;
	return 0;
}

int qemu_tap_start(struct qemu_tap *s, int pairs)
{
	int i, one = 1, none = -1, err;

	/* receive-side scaling by a program: none */
	CALL(s, 0, TUNSETSTEERINGEBPF, &none);
	for (i = 0; i < s->n; i++)
		if (set_hdr(s, i, HDR_MODERN))
			return -1;
	set_offloads(s, 0, QEMU_OFFLOADS);
	for (i = 0; i < s->n; i++) {
		err = CALL(s, i, TUNSETVNETLE, &one);
		if (err && err != -EINVAL)
			return die(s, "abort(): the byte order cannot be set");
	}
	for (i = 0; i < s->n; i++)
		if (enable(s, i, i < pairs))
			return -1;
	return 0;
}
