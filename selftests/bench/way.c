// SPDX-License-Identifier: GPL-2.0
/*
 * Two processes, and one handover between them: what all ways have in common.
 *
 * Both are ready and sleep, or spin, at what comes next when the clock starts:
 * no process is started, and nothing is looked up, while it runs.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "gso.h"
#include "net.h"
#include "util.h"

#define RIGHTS_MAX	253	/* the kernel's SCM_MAX_FD */
#define QUIET_MS	50	/* nothing comes any more */
#define READ_MS		20	/* before it is handed over, what comes */

const struct bench_way * const bench_ways[] = {
	&bench_way_token,
	&bench_way_channel,
	&bench_way_fds,
	&bench_way_plug,
	&bench_way_queue,
	&bench_way_reopen,
	&bench_way_recreate,
	&bench_way_token_steps,
	&bench_way_token_vmm,
	&bench_way_fds_vmm,
	NULL,
};

/* Of the two processes, which begin as copies of this one */
static int wire[2], gap[2];
static struct bench_run *shared;

const struct bench_way *bench_way(const char *name)
{
	int i;

	for (i = 0; bench_ways[i]; i++)
		if (!strcmp(bench_ways[i]->name, name))
			return bench_ways[i];
	return NULL;
}

/* -- between the two ----------------------------------------------------- */

int bench_send(struct bench_side *side, const void *data, size_t len)
{
	ssize_t n = send(side->wire, data, len, MSG_NOSIGNAL);

	return n < 0 ? -errno : 0;
}

int bench_recv(struct bench_side *side, void *data, size_t len)
{
	ssize_t n = recv(side->wire, data, len, 0);

	if (n < 0)
		return -errno;
	return n == (ssize_t)len ? 0 : -EPIPE;
}

int bench_tell(struct bench_side *side, char word)
{
	return bench_send(side, &word, 1);
}

int bench_hear(struct bench_side *side, char word)
{
	char heard;
	int err;

	err = bench_recv(side, &heard, 1);
	return err ?: heard == word ? 0 : -EPROTO;
}

union control {
	struct cmsghdr hdr;
	char buf[CMSG_SPACE(sizeof(int) * RIGHTS_MAX)];
};

int bench_send_files(struct bench_side *side)
{
	const struct tap *tap = &side->self->tap;
	union control control;
	int done, n;

	for (done = 0; done < tap->n; done += n) {
		char word = 'F';
		struct iovec iov = { &word, 1 };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

		n = tap->n - done < RIGHTS_MAX ? tap->n - done : RIGHTS_MAX;
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(&control.hdr), tap->fds + done,
		       sizeof(int) * n);
		if (sendmsg(side->wire, &msg, MSG_NOSIGNAL) < 0)
			return -errno;
	}
	return 0;
}

int bench_recv_files(struct bench_side *side)
{
	struct tap *tap = &side->self->tap;
	int queues = side->run->queues;
	union control control;

	for (tap->n = 0; tap->n < queues;) {
		char word;
		struct iovec iov = { &word, 1 };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		int n;

		if (recvmsg(side->wire, &msg, MSG_CMSG_CLOEXEC) < 0)
			return -errno;
		if (!CMSG_FIRSTHDR(&msg))
			return -EPROTO;
		n = (control.hdr.cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (tap->n + n > queues)
			return -EPROTO;
		memcpy(tap->fds + tap->n, CMSG_DATA(&control.hdr),
		       sizeof(int) * n);
		tap->n += n;
	}
	return 0;
}

int bench_gap(struct bench_side *side)
{
	char word = 'G';

	if (!side->run->gap)
		return 0;
	if (send(side->gap, &word, 1, MSG_NOSIGNAL) < 0)
		return -errno;
	return recv(side->gap, &word, 1, 0) == 1 ? 0 : -EPIPE;
}

int bench_set_up(int fd)
{
	int size = 12;

	return ioctl(fd, TUNSETVNETHDRSZ, &size) ||
	       ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) ?
	       -errno : 0;
}

/* -- in the two processes ------------------------------------------------ */

static long read_away(const struct tap *tap)
{
	static struct tally nothing;

	return tap_read_all(tap, &nothing);
}

static void read_some(struct bench_side *s)
{
	if (s->run->gso)
		gso_read_all(&s->self->tap, s->run->tally);
	else
		tap_read_all(&s->self->tap, s->run->tally);
}

/* As the source's guest does until it stops: others send already. */
static void read_before(struct bench_side *s)
{
	uint64_t begin = now_ns();

	__atomic_store_n(&s->run->leaving, true, __ATOMIC_RELEASE);
	while (now_ns() - begin < READ_MS * 1000000ULL)
		read_some(s);
}

/* As the target's guest does, until no more comes. */
static void read_on(struct bench_side *s)
{
	struct tally *t = s->run->tally;
	uint64_t got, last = now_ns();

	do {
		got = t->got;
		read_some(s);
		if (t->got != got)
			last = now_ns();
	} while (now_ns() - last < QUIET_MS * 1000000ULL);
	s->run->last = last - s->run->end;
}

static int source(struct bench_side *s, const struct bench_way *way)
{
	uint64_t begin = now_ns();
	int err;

	err = way->prepare ? way->prepare(s) : 0;
	s->run->prepare = now_ns() - begin;
	if (!err)
		err = bench_hear(s, 'R');
	if (err)
		return err;
	/* The target has gone to sleep by then; and what was not read would
	 * not fit into a ring that others leave as it is.
	 */
	usleep(1000);
	if (s->run->across)
		read_before(s);
	else if (!s->run->gap)
		read_away(&s->self->tap);

	s->run->begin = now_ns();
	err = way->leave(s);
	if (!err)
		err = bench_hear(s, 'D');
	if (!err && way->after)
		err = way->after(s);
	tap_close(&s->self->tap);
	return err ?: bench_tell(s, 'A');
}

static int target(struct bench_side *s, const struct bench_way *way)
{
	struct tap *tap = &s->self->tap;
	int err;

	err = way->expect ? way->expect(s) : 0;
	if (!err)
		err = bench_tell(s, 'R');
	if (!err)
		err = way->enter(s);
	s->run->end = now_ns();
	if (err)
		return err;
	__atomic_store_n(&s->run->entered, true, __ATOMIC_RELEASE);

	strcpy(tap->name, BENCH_TAP);
	tap->hdr = 12;
	tap->flags = TAP_VM;
	tap->ifindex = if_nametoindex(BENCH_TAP);
	if (s->run->tally)
		read_on(s);
	err = bench_tell(s, 'D');
	if (!err)
		err = bench_hear(s, 'A');
	return err ?: way->settle ? way->settle(s) : 0;
}

/* @who: the process's number, @role: of the way, or of the way by target */
static long side_run(struct agent_self *self, long who, long role)
{
	const struct bench_way *way = bench_ways[role / 2];
	struct bench_side side = {
		.self = self,
		.run = shared,
		.wire = wire[who],
		.gap = gap[1],
	};
	int err;

	err = role & 1 ? target(&side, way) : source(&side, way);
	if (err) {
		fprintf(stderr, "# %s, %s: %s %s\n", way->name,
			role & 1 ? "target" : "source", strerror(-err),
			tapxfer_error(self->x.tx));
		/* The other one is not to wait for ever. */
		shutdown(side.wire, SHUT_RDWR);
		shutdown(side.gap, SHUT_RDWR);
	}
	return err;
}

static long side_create(struct agent_self *self, long queues, long unused)
{
	struct tap *tap = &self->tap;
	int err;

	err = tap_open(tap, BENCH_TAP, queues, TAP_VM);
	if (!err)
		err = link_set_mac(tap->name, (const uint8_t *)BENCH_MAC);
	if (!err)
		err = bench_port_add(tap->name);
	return err ?: tap_set_nonblock(tap, true);
}

static long side_read(struct agent_self *self, long tally, long unused)
{
	struct tally *t = (struct tally *)tally;

	if (!t)
		return read_away(&self->tap);
	return shared->gso ? gso_read_all(&self->tap, t) :
			     tap_read_all(&self->tap, t);
}

/* -- in the process that has started them -------------------------------- */

void bench_pair_start(struct bench_pair *p, int queues)
{
	long err;
	int i;

	memset(p, 0, sizeof(*p));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gap))
		bench_die(-errno, "no memory or sockets");
	p->run = shared;
	p->run->queues = queues;
	for (i = 0; i < 2; i++) {
		err = agent_start(&p->agents[i]);
		if (err)
			bench_die(err, "no process");
	}
	err = agent_call(&p->agents[0], NULL, side_create, queues, 0);
	if (err)
		bench_die(err, "no tap of %d queues", queues);
}

void bench_pair_end(struct bench_pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		agent_kill(&p->agents[i]);
		close(wire[i]);
		close(gap[i]);
	}
	munmap(shared, sizeof(*shared));
	wait_until(!if_nametoindex(BENCH_TAP), SOON_MS);
}

struct half {
	struct agent *agent;
	long who, role, err;
	pthread_t thread;
};

static void *half_run(void *arg)
{
	struct half *h = arg;

	h->err = agent_call(h->agent, NULL, side_run, h->who, h->role);
	return NULL;
}

void bench_handover(struct bench_pair *p, const struct bench_way *way,
		    void (*fn)(void *arg), void *arg)
{
	struct half halves[2];
	char word;
	int i;

	for (i = 0; bench_ways[i] != way; i++)
		;
	p->run->gap = fn;
	p->run->prepare = p->run->freeze = p->run->claim = p->run->thaw = 0;
	p->run->held = p->run->dropped = p->run->held_bytes = 0;
	p->run->leaving = p->run->entered = false;
	halves[0] = (struct half){ .who = p->owner, .role = 2 * i };
	halves[1] = (struct half){ .who = !p->owner, .role = 2 * i + 1 };
	for (i = 0; i < 2; i++) {
		halves[i].agent = &p->agents[halves[i].who];
		if (pthread_create(&halves[i].thread, NULL, half_run,
				   &halves[i]))
			bench_die(-EAGAIN, "no thread");
	}
	if (fn && recv(gap[0], &word, 1, 0) == 1) {
		fn(arg);
		send(gap[0], &word, 1, MSG_NOSIGNAL);
	}
	for (i = 0; i < 2; i++)
		pthread_join(halves[i].thread, NULL);
	for (i = 0; i < 2; i++)
		if (halves[i].err)
			bench_die(halves[i].err, "%s of %d queues, %s",
				  way->name, p->run->queues,
				  i ? "target" : "source");
	p->owner = !p->owner;
}

long bench_read(struct bench_pair *p, struct tally *t)
{
	return agent_call(&p->agents[p->owner], NULL, side_read, (long)t, 0);
}

struct tally *bench_tally(uint32_t max)
{
	struct tally *t;

	t = mmap(NULL, sizeof(*t) + max, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		bench_die(-errno, "no memory");
	memset(t->last, 0xff, sizeof(t->last));
	t->max = max;
	t->seen = (uint8_t *)(t + 1);
	return t;
}

void bench_tally_free(struct tally *t)
{
	munmap(t, sizeof(*t) + t->max);
}

void bench_settle(struct bench_pair *p)
{
	if (!wait_until(bench_read(p, NULL) < 0 || module_users() <= 0,
			SOON_MS))
		bench_die(-EBUSY, "a handover does not drain");
}

void bench_wait_idle(void)
{
	if (!wait_until(module_users() <= 0, SOON_MS))
		bench_die(-EBUSY, "a handover does not drain");
}
