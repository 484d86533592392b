// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "fuzz_actor.h"
#include "genl.h"
#include "util.h"

#define NOBODY		65534
#define ROOM		(4 << 20)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

enum { OP_SEND, OP_CLEAN };

static int open_netlink(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	int on = 1, size = 1 << 20;

	if (fd < 0)
		return -errno;
	genl_set_room(fd, ROOM);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on))) {
		close(fd);
		return -errno;
	}
	return fd;
}

static void take_file(struct actor_desk *d, int fd)
{
	if (d->keep && d->nkept < ARRAY_SIZE(d->kept))
		d->kept[d->nkept++] = fd;
	else
		close(fd);
}

/* The descriptors that a claim's reply tells of, in short or queue by queue */
static void take_files(struct actor *a, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	struct actor_desk *d = a->desk;
	const struct nlattr *q, *f;
	size_t i;

	if (nlh->nlmsg_type != a->family || genl->cmd != TAPXFER_CMD_CLAIM)
		return;
	mnl_attr_for_each(q, nlh, sizeof(*genl)) {
		if (mnl_attr_get_type(q) == TAPXFER_A_HANDOVER_FDS) {
			const int *fds = mnl_attr_get_payload(q);

			for (i = 0; i < mnl_attr_get_payload_len(q) / sizeof(*fds); i++)
				take_file(d, fds[i]);
		}
		if (mnl_attr_get_type(q) != TAPXFER_A_HANDOVER_QUEUE)
			continue;
		mnl_attr_for_each_nested(f, q)
			if (mnl_attr_get_type(f) == TAPXFER_A_QUEUE_FD)
				take_file(d, (int)mnl_attr_get_u32(f));
	}
}

/* Netlink answers before send() returns, but for what is left of a dump. */
static void send_here(struct actor *a)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct actor_desk *d = a->desk;
	ssize_t len;

	d->answers_len = 0;
	d->overrun = 0;
	d->err = 0;
	if (d->clog)
		genl_clog(a->nl);
	if (sendto(a->nl, d->datagram, d->len, 0, (struct sockaddr *)&to,
		   sizeof(to)) < 0)
		d->err = errno;
	if (d->clog)
		genl_set_room(a->nl, ROOM);
	for (;;) {
		uint64_t *head = (void *)(d->answers + d->answers_len);
		size_t room = sizeof(d->answers) - d->answers_len;

		if (room < (128 << 10)) {
			d->overrun = 1;
			room = 0;
		}
		len = recv(a->nl, head + 1, room ? room - sizeof(*head) : 0,
			   MSG_DONTWAIT | MSG_TRUNC);
		if (len < 0 && errno == EAGAIN)
			return;
		if (len < 0)
			d->overrun = 1;
		if (len <= 0 || !room)
			continue;
		*head = len;
		d->answers_len += sizeof(*head) + ((len + 7) & ~7);
		take_files(a, (void *)(head + 1));
	}
}

static void clean_here(struct actor *a)
{
	struct actor_desk *d = a->desk;

	while (d->nkept)
		close(d->kept[--d->nkept]);
	d->count = count_fds();
}

static void do_here(struct actor *a)
{
	if (a->desk->op == OP_SEND)
		send_here(a);
	else
		clean_here(a);
}

static int become(struct actor *a)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	/* Changing the user has undone both. */
	if (prctl(PR_SET_DUMPABLE, 1) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -errno;
	if (a->who != ACTOR_USERNS)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return -errno;
	/* a namesake of another's */
	return tap_open(&a->desk->tap, "tapa", 2, TAP_VM);
}

static int live(void *arg)
{
	struct actor *a = arg;
	char c;

	a->desk->err = become(a);
	a->nl = a->desk->err ? -1 : open_netlink();
	if (a->nl < 0 && !a->desk->err)
		a->desk->err = a->nl;
	a->desk->count = count_fds();
	do {
		if (send(a->sock, "", 1, MSG_NOSIGNAL) != 1 ||
		    read(a->sock, &c, 1) != 1)
			return 0;
		do_here(a);
	} while (1);
}

/* Until it is done; false: it is gone. */
static bool done(struct actor *a)
{
	char c;

	return read(a->sock, &c, 1) == 1;
}

static bool ask(struct actor *a, uint32_t op)
{
	a->desk->op = op;
	if (a->sock >= 0)
		return send(a->sock, "", 1, MSG_NOSIGNAL) == 1 && done(a);
	do_here(a);
	return true;
}

int actor_start(struct actor *a, int who, const struct actor_setup *setup)
{
	static const char *const names[] = { "root", "nobody", "userns" };
	struct tap mine = *setup->mine;
	int socks[2];

	a->name = names[who];
	a->who = who;
	a->family = setup->family;
	a->sock = -1;
	if (!a->desk)
		a->desk = mmap(NULL, sizeof(*a->desk), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a->desk == MAP_FAILED)
		return -errno;
	a->desk->nkept = 0;
	if (who == ACTOR_ROOT) {
		a->pid = getpid();
		a->nl = open_netlink();
		return a->nl < 0 ? a->nl : 0;
	}

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return -errno;
	a->sock = socks[1];
	a->pid = fork();
	if (!a->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(socks[0]);
		tap_close(&mine);
		_exit(live(a));
	}
	close(socks[1]);
	a->sock = socks[0];
	if (a->pid < 0 || !done(a))
		return -ECHILD;
	a->clean_fds = a->desk->count;
	return a->desk->err;
}

void actor_kill(struct actor *a)
{
	child_kill(a->pid);
	close(a->sock);
	a->sock = -1;
}

bool actor_send(struct actor *a)
{
	return ask(a, OP_SEND);
}

int actor_clean(struct actor *a)
{
	if (!ask(a, OP_CLEAN))
		return -1;
	return a->desk->count - a->clean_fds;
}

const uint8_t *actor_answer(const struct actor *a, const uint8_t *prev,
			    size_t *len)
{
	const struct actor_desk *d = a->desk;
	const uint8_t *at = d->answers;
	uint64_t head;

	if (prev)
		at = prev + ((*len + 7) & ~7);
	if (at >= d->answers + d->answers_len)
		return NULL;
	memcpy(&head, at, sizeof(head));
	*len = head;
	return at + sizeof(head);
}
