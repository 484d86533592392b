// SPDX-License-Identifier: GPL-2.0
/*
 * The demo's director: one run, from the tap's making to its end.
 *
 *	demo tapxfer|fds NETNS RESULT
 *
 * Runs in the tap's netns, where demo.sh has made the bridge; NETNS is a file
 * of the second one, RESULT is for demo_report.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "demo_ctl.h"
#include "util.h"
#include "xfer.h"

#define MS		UINT64_C(1000000)	/* in ns */
#define ANSWER_MS	SOON_MS
#define WARM_UP_US	700000
#define MEASURE_US	800000
#define AFTER_US	1000000
#define STOPPED_MAX	(scaled_ms(20000) * MS)
#define SETTLE_MAX	(SOON_MS * MS)
#define FD_HIGH		16	/* above all that a program finds open */

/**
 * struct child - one of the demo's programs
 * @name: of its file
 * @pid: 0 when there is none
 * @ctl: socket to it
 */
struct child {
	const char	*name;
	pid_t		pid;
	int		ctl;
};

/**
 * struct run - this run
 * @tapxfer: by tapxfer, or else by plain fd passing
 * @path: of the result
 * @result: so far
 * @shm: the account
 * @source: VMM that is replaced
 * @target: VMM that replaces it
 * @load: sender and receiver
 * @watch: observer
 * @ifindex: of the tap
 * @tx: for the freeze
 * @queues: the source's queue files, while they are needed for that
 * @id: of the handover
 * @token: of the handover
 * @stopped: when the source had stopped
 * @before: counts at that time
 */
struct run {
	bool			tapxfer;
	const char		*path;
	struct demo_result	result;
	struct demo_shm		*shm;
	struct child		source;
	struct child		target;
	struct child		load;
	struct child		watch;
	uint32_t		ifindex;
	struct tapxfer		*tx;
	struct tapxfer_queues	*queues;
	uint32_t		id;
	struct tapxfer_token	token;
	uint64_t		stopped;
	struct demo_counts	before;
};

static struct run run = {
	.source.name = "demo_source",
	.target.name = "demo_target",
	.load.name = "demo_load",
	.watch.name = "demo_watch",
};

static void result_write(void)
{
	FILE *f = fopen(run.path, "we");

	if (!f || fwrite(&run.result, sizeof(run.result), 1, f) != 1 ||
	    fclose(f)) {
		fprintf(stderr, "%s: %m\n", run.path);
		exit(1);
	}
}

/* The programs die with us. */
__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(run.result.why, sizeof(run.result.why), fmt, ap);
	va_end(ap);
	result_write();
	/* or it would keep the tap until its deadline */
	if (run.id)
		tapxfer_abort(run.tx, run.id, &run.token, NULL);
	exit(1);
}

static void say(const char *what)
{
	static uint64_t began;

	if (!began)
		began = demo_now();
	printf("# %-8s %6llu ms  %s\n", run.tapxfer ? "tapxfer" : "fds",
	       (unsigned long long)((demo_now() - began) / MS), what);
	fflush(stdout);
}

/* ------------------------------------------------------------------------
 * The programs
 */

/* Out of the way of the numbers that the programs expect. */
static int fd_high(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_HIGH);

	if (fd < 0 || high < 0)
		die("a descriptor: %m");
	close(fd);
	return high;
}

static void socket_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds))
		die("socketpair: %m");
	fds[0] = fd_high(fds[0]);
	fds[1] = fd_high(fds[1]);
}

__attribute__((noreturn))
static void child_exec(const char *name, const int fds[])
{
	char self[PATH_MAX], path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = DEMO_FD_CTL; i < DEMO_FD_END; i++)
		if (fds[i] >= 0 && dup2(fds[i], (int)i) < 0)
			_exit(126);
	self[n < 0 ? 0 : n] = '\0';
	snprintf(path, sizeof(path), "%.4000s/%s", dirname(self), name);
	execl(path, name, NULL);
	perror(path);
	_exit(127);
}

/* The answer of a program to what it was told. */
static void answer(struct child *c, struct demo_msg *m, enum demo_op op)
{
	if (!demo_readable(c->ctl, ANSWER_MS))
		die("%s does not answer", c->name);
	if (!demo_recv(c->ctl, m))
		die("%s is gone", c->name);
	if (m->op == DEMO_OP_FAILED)
		die("%s: %s", c->name, m->text);
	if (m->op != op)
		die("%s answers %d to %d", c->name, m->op, op);
}

static void call(struct child *c, enum demo_op op, struct demo_msg *m)
{
	m->op = op;
	if (!demo_send(c->ctl, m))
		die("%s is gone", c->name);
	answer(c, m, op);
}

static void spawn(struct child *c, int shm, int vmm, int netns)
{
	struct demo_msg m;
	int fds[DEMO_FD_END] = { -1, -1, -1, -1, shm, vmm, netns };
	int pair[2];

	socket_pair(pair);
	fds[DEMO_FD_CTL] = pair[1];
	c->ctl = pair[0];
	c->pid = fork();
	if (c->pid < 0)
		die("fork: %m");
	if (!c->pid)
		child_exec(c->name, fds);
	close(pair[1]);
	answer(c, &m, DEMO_OP_READY);
	if (c == &run.source)
		run.ifindex = m.ifindex;
}

/* Did a program say that it cannot go on? */
static void check_children(void)
{
	struct child *all[] = {
		&run.source, &run.target, &run.load, &run.watch
	};
	struct demo_msg m;
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->pid && demo_readable(all[i]->ctl, 0))
			answer(all[i], &m, DEMO_OP_READY);
}

static void start_programs(const char *netns_path)
{
	int shm, netns, pair[2];

	shm = fd_high(memfd_create("demo", MFD_CLOEXEC));
	if (ftruncate(shm, sizeof(*run.shm)))
		die("ftruncate: %m");
	run.shm = mmap(NULL, sizeof(*run.shm), PROT_READ | PROT_WRITE,
		       MAP_SHARED, shm, 0);
	if (run.shm == MAP_FAILED)
		die("mmap: %m");
	netns = open(netns_path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		die("%s: %m", netns_path);
	netns = fd_high(netns);

	/* Nothing but files that are sent goes from source to target. */
	socket_pair(pair);
	spawn(&run.watch, shm, -1, netns);
	spawn(&run.load, shm, -1, netns);
	spawn(&run.source, shm, pair[0], -1);
	spawn(&run.target, shm, pair[1], -1);
	close(pair[0]);
	close(pair[1]);
	close(netns);
	close(shm);
}

/* ------------------------------------------------------------------------
 * The tap, as a management layer sets it up
 */

static void tap_ioctl(int fd, unsigned long cmd, const char *name,
		      struct ifreq *ifr)
{
	if (ioctl(fd, cmd, ifr))
		die("%s: %m", name);
}

static void setup_tap(void)
{
	static const uint8_t mac[] = DEMO_TAP_MAC;
	struct ifreq ifr = { .ifr_name = DEMO_TAP };
	struct ifreq br = { .ifr_name = DEMO_BRIDGE };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %m");
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, mac, sizeof(mac));
	tap_ioctl(fd, SIOCSIFHWADDR, "SIOCSIFHWADDR", &ifr);
	ifr.ifr_mtu = DEMO_MTU;
	tap_ioctl(fd, SIOCSIFMTU, "SIOCSIFMTU", &ifr);
	br.ifr_ifindex = (int)run.ifindex;
	tap_ioctl(fd, SIOCBRADDIF, "SIOCBRADDIF", &br);
	tap_ioctl(fd, SIOCGIFFLAGS, "SIOCGIFFLAGS", &ifr);
	ifr.ifr_flags |= IFF_UP;
	tap_ioctl(fd, SIOCSIFFLAGS, "SIOCSIFFLAGS", &ifr);
	close(fd);
}

/* ------------------------------------------------------------------------
 * Traffic
 */

static struct demo_counts count(void)
{
	struct demo_msg m = {};

	call(&run.watch, DEMO_OP_COUNT, &m);
	return m.counts;
}

static void rest(unsigned int us)
{
	demo_sleep_us(us);
	check_children();
}

static void start_traffic(void)
{
	uint64_t end = demo_now() + SETTLE_MAX;
	struct demo_msg m = {};

	call(&run.source, DEMO_OP_RUN, &m);
	run.shm->mode = DEMO_SEND_HELLO;
	while (!run.shm->hello) {
		rest(10000);
		if (demo_now() > end)
			die("no packet reaches the guest");
	}
	m.ifindex = run.ifindex;
	call(&run.watch, DEMO_OP_ATTACH, &m);
	run.shm->guest_sends = 1;
	run.shm->mode = DEMO_SEND_WINDOW;
}

/* What the machine holds: the window makes the sender as fast as the reader. */
static void measure(void)
{
	uint64_t got, began;

	rest(WARM_UP_US);
	got = run.shm->h2g.got;
	began = demo_now();
	rest(MEASURE_US);
	run.result.rate = (run.shm->h2g.got - got) * 1000 * MS /
			  (demo_now() - began);
	run.shm->rate = run.result.rate;
	if (!run.result.rate)
		die("the source reads nothing");
}

/* Until the sender has found that the target has caught up. */
static void catch_up(void)
{
	uint64_t end = demo_now() + SETTLE_MAX;

	run.shm->mode = DEMO_SEND_CATCH_UP;
	while (run.shm->mode != DEMO_SEND_WINDOW) {
		rest(10000);
		if (demo_now() > end)
			die("the target does not catch up");
	}
}

/* What is on its way arrives, or never will. */
static void settle(void)
{
	uint64_t end = demo_now() + SETTLE_MAX, was, is = 0;

	do {
		was = is;
		rest(scaled_ms(200) * 1000);
		is = run.shm->h2g.got + run.shm->g2h.got;
	} while (is != was && demo_now() < end);
}

static void stop_traffic(void)
{
	struct demo_msg m = {};

	run.shm->guest_sends = 0;
	run.shm->mode = DEMO_SEND_OFF;
	settle();
	call(&run.load, DEMO_OP_STOP, &m);
	run.result.receiver_dropped = m.value;
	call(&run.target, DEMO_OP_STOP, &m);
	run.result.checks = m.value;
}

/* ------------------------------------------------------------------------
 * The handover
 */

/* From here on it does nothing at all. */
static void stop_source(enum demo_op op)
{
	struct demo_msg m = {};
	int status;

	call(&run.source, op, &m);
	run.stopped = demo_now();
	if (kill(run.source.pid, SIGSTOP) ||
	    waitpid(run.source.pid, &status, WUNTRACED) != run.source.pid ||
	    !WIFSTOPPED(status))
		die("the source does not stop");
	run.before = count();
}

static void kill_source(void)
{
	close(run.source.ctl);
	if (kill(run.source.pid, SIGKILL) ||
	    waitpid(run.source.pid, NULL, 0) != run.source.pid)
		die("the source does not die");
	run.source.pid = 0;
}

/* Its files are had without its help: it knows nothing of tapxfer. */
static void hold(void)
{
	struct tapxfer_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_OPT_DEADLINE,
		.deadline = XFER_PATIENCE_MS,
	};
	struct tapxfer_info *ho;
	size_t n;

	if (tapxfer_queues_open(run.tx, run.source.pid, DEMO_TAP, &run.queues))
		die("the source's queues: %s", tapxfer_error(run.tx));
	n = tapxfer_queues_count(run.queues);
	if (n != DEMO_QUEUES)
		die("the source has %zu queues", n);
	if (tapxfer_hold(run.tx, run.ifindex, tapxfer_queues_fds(run.queues), n,
			 &opts, &run.token, &ho))
		die("hold: %s", tapxfer_error(run.tx));
	run.id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(ho);
}

/* Nothing may be read from a frozen queue, and nothing sent. */
static void try_queue(int fd, unsigned int queue)
{
	struct demo_frame f;

	run.result.tried += 2;
	if (read(fd, &f, sizeof(f)) < 0 && errno == EAGAIN)
		run.result.refused++;
	demo_frame_init(&f, queue);
	f.load.magic = htonl(DEMO_MAGIC);
	f.load.seq = ~0U;
	if (write(fd, &f, sizeof(f)) < 0 && errno == EAGAIN)
		run.result.refused++;
}

static void freeze(void)
{
	const int *fds = tapxfer_queues_fds(run.queues);
	unsigned int i;

	if (tapxfer_freeze_id(run.tx, run.id, &run.token, NULL, NULL))
		die("freeze: %s", tapxfer_error(run.tx));
	for (i = 0; i < DEMO_QUEUES; i++)
		try_queue(fds[i], i);
	tapxfer_queues_close(run.queues);
	run.queues = NULL;
}

static void note_fullest_queue(void)
{
	const struct tapxfer_info *q;
	struct tapxfer_info *ho;
	uint64_t held;
	size_t i;

	if (tapxfer_handover_get(run.tx, run.id, &ho))
		die("handover: %s", tapxfer_error(run.tx));
	for (i = 0; i < DEMO_QUEUES; i++) {
		q = tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_QUEUE, i);
		held = q ? tapxfer_info_u64(q, TAPXFER_A_QUEUE_HELD) : 0;
		if (held > run.result.held_max)
			run.result.held_max = held;
	}
	tapxfer_info_free(ho);
}

/* The source stays stopped until enough has come. */
static void wait_for_arrivals(void)
{
	uint64_t began = demo_now(), end = began + STOPPED_MAX;
	uint64_t until = run.before.entered_tap + DEMO_MIN_STOPPED + 1000;

	while (count().entered_tap < until) {
		rest(2000);
		if (demo_now() > end)
			die("%u packets do not arrive in %llu s",
			    DEMO_MIN_STOPPED,
			    (unsigned long long)(STOPPED_MAX / MS / 1000));
	}
	run.result.waited = demo_now() - began;
}

/* While nobody reads or writes. */
static void note_arrivals(void)
{
	struct demo_counts c = count();

	run.result.arrived = c.entered_tap - run.before.entered_tap;
	run.result.leaked = c.entered_host - run.before.entered_host;
}

/*
 * Hold first, while the source still runs: from then on it has no packet in its
 * hands, and its rings do not overflow however long it takes to stop. Only then
 * does the sender no longer care whether anybody reads.
 */
static void handover_tapxfer(void)
{
	struct demo_msg m = {};

	say("hold, stop the source, freeze");
	hold();
	run.shm->mode = DEMO_SEND_PACED;
	stop_source(DEMO_OP_STOP);
	freeze();
	wait_for_arrivals();

	say("the target claims and checks, the source dies");
	m.id = run.id;
	m.token = run.token;
	m.ifindex = run.ifindex;
	call(&run.target, DEMO_OP_CLAIM, &m);
	kill_source();
	note_fullest_queue();
	note_arrivals();

	say("thaw");
	m.id = run.id;
	m.token = run.token;
	call(&run.target, DEMO_OP_THAW, &m);
	run.result.held = m.held;
	run.result.held_dropped = m.dropped;
	run.result.blackout = m.blackout;
}

static void handover_fds(void)
{
	struct demo_msg m = {};

	say("stop the source, pass its files");
	stop_source(DEMO_OP_PASS);
	run.shm->mode = DEMO_SEND_PACED;
	call(&run.target, DEMO_OP_TAKE, &m);
	wait_for_arrivals();

	say("the source dies, the target reads on");
	kill_source();
	note_arrivals();
	call(&run.target, DEMO_OP_RUN, &m);
	run.result.blackout = demo_now() - run.stopped;
}

/* ------------------------------------------------------------------------
 * The account
 */

static struct demo_way account(const struct demo_track *t)
{
	struct demo_way w = {
		.sent = t->sent,
		.got = t->got,
		.dup = t->dup,
		.reordered = t->reordered,
		.foreign = t->foreign,
	};
	uint32_t flow, seq;
	bool seen;

	for (flow = 0; flow < DEMO_FLOWS; flow++) {
		for (seq = 0; seq < t->flow_sent[flow]; seq++) {
			seen = t->seen[flow][seq / 64] >> (seq % 64) & 1;
			w.missing += !seen;
		}
		/* A number that was never given out. */
		if (t->flow_next[flow] > t->flow_sent[flow])
			w.foreign++;
	}
	return w;
}

static void note_account(void)
{
	struct demo_result *r = &run.result;

	r->counts = count();
	r->h2g = account(&run.shm->h2g);
	r->g2h = account(&run.shm->g2h);
	r->got_by_source = run.shm->got_by_source;
	r->gap = run.shm->resumed_at - run.shm->stopped_at;
}

int main(int argc, char **argv)
{
	int err;

	if (argc != 4 || (strcmp(argv[1], "tapxfer") && strcmp(argv[1], "fds"))) {
		fprintf(stderr, "usage: demo tapxfer|fds NETNS RESULT\n");
		return 1;
	}
	run.tapxfer = !strcmp(argv[1], "tapxfer");
	run.path = argv[3];

	if (run.tapxfer) {
		err = tapxfer_open(&run.tx);
		if (err)
			die("%s", tapxfer_open_error(err));
	}
	say("start the programs");
	start_programs(argv[2]);
	setup_tap();
	start_traffic();
	say("traffic");
	measure();

	if (run.tapxfer)
		handover_tapxfer();
	else
		handover_fds();

	catch_up();
	say("the target has caught up");
	rest(AFTER_US);
	stop_traffic();
	say("all is quiet");
	note_account();
	result_write();
	return 0;
}
