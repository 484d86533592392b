// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The library on a kernel with the module, where the command does not reach:
 * run as root in the virtual machine. TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <net/if.h>

#include <tapxfer/tapxfer.h>

#include "util.h"

#define QUEUES	256

static int count, failures;

#define CHECK(cond, ...) check(!!(cond), #cond, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 4, 5)))
static void check(bool good, const char *cond, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", good ? "" : "not ", ++count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!good) {
		printf("# line %d: %s\n", line, cond);
		failures++;
	}
	fflush(stdout);
}

static int tap_open(const char *ifname)
{
	struct ifreq ifr = { 0 };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int add(const struct tapxfer_info *info, void *data)
{
	(void)info;
	++*(int *)data;
	return 0;
}

static int stop(const struct tapxfer_info *info, void *data)
{
	*(uint64_t *)data = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_ID);
	return 42;
}

/* How many handovers there are, or -1 */
static int listed(struct tapxfer *tx)
{
	int n = 0;

	return tapxfer_handover_list(tx, add, &n) ? -1 : n;
}

/* A handover leaves the list when its rings have shrunk. */
static bool all_gone(struct tapxfer *tx)
{
	return wait_until(listed(tx) == 0, SOON_MS);
}

/* 256 queues: the longest request and the longest reply. */
static void large(struct tapxfer *tx)
{
	struct tapxfer_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_OPT_HOLD,
		.hold = 1000,
	};
	struct tapxfer_info *ho, *claimed;
	int fds[QUEUES], got[QUEUES], i, n = 0;
	struct tapxfer_token token;
	struct rlimit old, limit;
	bool same = true;
	uint64_t id;
	int err;

	for (i = 0; i < QUEUES; i++)
		fds[i] = tap_open("txl0");
	CHECK(fds[QUEUES - 1] >= 0, "large: a device of 256 queues");

	err = tapxfer_freeze(tx, 0, fds, QUEUES, &opts, &token, &ho);
	CHECK(!err && tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE) ==
		      QUEUES &&
	      !tapxfer_info_has(ho, TAPXFER_A_HANDOVER_TOKEN),
	      "large: freeze %s", tapxfer_error(tx));
	if (err)
		return;
	id = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(ho);

	getrlimit(RLIMIT_NOFILE, &old);
	limit = old;
	limit.rlim_cur = QUEUES + 100;
	setrlimit(RLIMIT_NOFILE, &limit);
	err = tapxfer_claim(tx, (uint32_t)id, &token, &claimed);
	CHECK(err == -EMFILE && !claimed &&
	      fcntl(QUEUES + 20, F_GETFD) == -1,
	      "large: a claim that does not fit takes nothing: %s",
	      tapxfer_error(tx));
	setrlimit(RLIMIT_NOFILE, &old);

	err = tapxfer_claim(tx, (uint32_t)id, &token, &claimed);
	CHECK(!err && tapxfer_info_fds(claimed, got, QUEUES) == QUEUES,
	      "large: claim %s", tapxfer_error(tx));
	if (err)
		return;
	for (i = 0; i < QUEUES; i++)
		same &= fcntl(got[i], F_GETFD) == FD_CLOEXEC &&
			(fcntl(got[i], F_GETFL) & O_NONBLOCK) &&
			got[i] != fds[i];
	CHECK(same, "large: descriptors close-on-exec, O_NONBLOCK as it was");
	tapxfer_info_free(claimed);

	err = tapxfer_handover_list(tx, stop, &id);
	CHECK(err == 42 && !tapxfer_handover_list(tx, add, &n) && n == 1,
	      "large: list, and a callback that stops it");
	CHECK(!tapxfer_thaw(tx, (uint32_t)id, &token, &ho) &&
	      tapxfer_info_has(ho, TAPXFER_A_HANDOVER_BLACKOUT),
	      "large: thaw");
	tapxfer_info_free(ho);
	CHECK(tapxfer_abort(tx, (uint32_t)id, &token, NULL) == -ENOENT &&
	      tapxfer_error_attr(tx) + 1 > 0, "large: abort after it: %s",
	      tapxfer_error(tx));
	for (i = 0; i < QUEUES; i++) {
		close(fds[i]);
		close(got[i]);
	}
	CHECK(all_gone(tx), "large: gone");
}

/* What the kernel points at reaches the caller. */
static void errors(struct tapxfer *tx)
{
	int fds[3] = { tap_open("txl1"), tap_open("txl1"), tap_open("txl2") };
	int twice[2] = { fds[0], fds[0] };
	struct tapxfer_token token, zero = { 0 };
	struct tapxfer_info *ho;
	int err;

	err = tapxfer_prepare(tx, 0, fds, 3, NULL, &token, &ho);
	CHECK(err == -EXDEV && tapxfer_error_fd(tx) == fds[2] && !ho &&
	      !memcmp(&token, &zero, sizeof(token)),
	      "errors: a file of another device: %s", tapxfer_error(tx));
	err = tapxfer_prepare(tx, 0, twice, 2, NULL, &token, &ho);
	CHECK(err == -EINVAL && tapxfer_error_attr(tx) ==
				TAPXFER_A_HANDOVER_FD,
	      "errors: a file twice: %s", tapxfer_error(tx));
	err = tapxfer_prepare(tx, 0, fds, 1, NULL, &token, &ho);
	CHECK(err == -EINVAL, "errors: a queue missing: %s", tapxfer_error(tx));
	err = tapxfer_prepare(tx, 1, NULL, 0, NULL, &token, &ho);
	CHECK(err < 0, "errors: no file: %s", tapxfer_error(tx));
	CHECK(!tapxfer_prepare(tx, 0, fds, 2, NULL, &token, &ho),
	      "errors: and none of it left anything behind");
	err = tapxfer_abort(tx, (uint32_t)
			    tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID),
			    &token, NULL);
	CHECK(!err && !*tapxfer_error(tx), "errors: no text after success");
	tapxfer_info_free(ho);
	for (err = 0; err < 3; err++)
		close(fds[err]);
	CHECK(all_gone(tx), "errors: gone");
}

/* A reader that is too slow is told, and goes on. */
static void lost(struct tapxfer *tx)
{
	struct pollfd pfd = { .events = POLLIN };
	struct tapxfer_token token;
	struct tapxfer_info *ho, *ev;
	struct tapxfer *events;
	int fd = tap_open("txl3");
	int i, err, told = 0;
	uint64_t last = 0;

	CHECK(!tapxfer_open(&events) && !tapxfer_subscribe(events) &&
	      tapxfer_event_next(events, 0, &ev) == -EAGAIN,
	      "events: none yet");
	for (i = 0; i < 3000; i++) {
		if (tapxfer_prepare(tx, 0, &fd, 1, NULL, &token, &ho))
			break;
		last = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
		tapxfer_info_free(ho);
		if (tapxfer_abort(tx, (uint32_t)last, &token, NULL))
			break;
	}
	CHECK(i == 3000, "events: 3000 handovers %s", tapxfer_error(tx));
	pfd.fd = tapxfer_fd(events);
	CHECK(poll(&pfd, 1, 0) == 1, "events: poll");
	CHECK(tapxfer_event_next(events, 0, &ev) == -ENOBUFS,
	      "events: lost ones are told: %s", tapxfer_error(events));
	while (!(err = tapxfer_event_next(events, 0, &ev))) {
		told++;
		tapxfer_info_free(ev);
	}
	CHECK(told > 100 && err == -EAGAIN, "events: %d were kept", told);
	err = tapxfer_prepare(tx, 0, &fd, 1, NULL, &token, &ho);
	CHECK(!err && !tapxfer_event_next(events, SOON_MS, &ev) &&
	      tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_EVENT) ==
	      TAPXFER_EVENT_PREPARED &&
	      tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_TIME),
	      "events: and it goes on");
	if (!err) {
		tapxfer_info_free(ev);
		tapxfer_abort(tx, (uint32_t)
			      tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID),
			      NULL, NULL);
		tapxfer_info_free(ho);
	}
	close(fd);
	tapxfer_close(events);
	CHECK(all_gone(tx), "events: gone");
}

static void netns(void)
{
	int self = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct tapxfer *inner;
	int other, n = 0, fd;

	unshare(CLONE_NEWNET);
	other = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	fd = tap_open("txl4");
	setns(self, CLONE_NEWNET);

	CHECK(!tapxfer_open_netns(&inner, other) && !if_nametoindex("txl4"),
	      "netns: opened from outside, and back");
	CHECK(tapxfer_ifindex(inner, "txl4") > 0 &&
	      !tapxfer_dev_list(inner, add, &n) && n == 1,
	      "netns: its device");
	tapxfer_close(inner);
	close(fd);
	close(other);
	close(self);
}

/* The commands that a claimed handover takes, and limits in bytes. */
static void claimed(struct tapxfer *tx)
{
	struct tapxfer_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_OPT_HOLD_BYTES | TAPXFER_OPT_DEADLINE,
		.deadline = 120000,
		.hold_bytes = 1 << 20,
	};
	int fds[2] = { tap_open("txl5"), tap_open("txl5") };
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	pid_t child, ended;
	int err, pidfd;
	uint32_t id;

	err = tapxfer_freeze(tx, 0, fds, 2, &opts, &token, &ho);
	CHECK(!err, "claimed: freeze %s", tapxfer_error(tx));
	if (err)
		return;
	id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(ho);
	CHECK(!tapxfer_handover_get(tx, id, &ho) &&
	      tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_HOLD_BYTES) == 1 << 20,
	      "claimed: the limit in bytes is what was asked for");
	tapxfer_info_free(ho);

	err = tapxfer_drain(tx, id, &token, -1, &ho);
	CHECK(!err && tapxfer_info_has(ho, TAPXFER_A_HANDOVER_UNSENT) &&
	      !tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_UNSENT),
	      "drain: nothing is left %s", tapxfer_error(tx));
	tapxfer_info_free(ho);
	CHECK(!tapxfer_drain(tx, id, &token, 0, NULL) &&
	      tapxfer_drain(tx, id, &token, 1 << 30, NULL) == -ERANGE &&
	      tapxfer_error_attr(tx) == TAPXFER_A_HANDOVER_TIMEOUT,
	      "drain: timeouts: %s", tapxfer_error(tx));

	CHECK(tapxfer_ready(tx, id, &token, 0, NULL) == -EPROTO,
	      "ready: not claimed: %s", tapxfer_error(tx));
	err = tapxfer_claim_flags(tx, id, &token, TAPXFER_CLAIM_NO_FDS, &ho);
	CHECK(!err && !tapxfer_info_fds(ho, NULL, 0) &&
	      tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE) == 2 &&
	      tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_DEV, 0) &&
	      fcntl(fds[1] + 1, F_GETFD) == -1,
	      "no-fds: the state and no descriptor %s", tapxfer_error(tx));
	tapxfer_info_free(ho);

	ended = fork();
	if (!ended)
		_exit(0);
	pidfd = (int)syscall(SYS_pidfd_open, ended, 0);
	waitpid(ended, NULL, 0);
	CHECK(tapxfer_pass(tx, id, &token, pidfd, NULL) == -ESRCH,
	      "pass: to a process that has ended: %s", tapxfer_error(tx));
	close(pidfd);

	/* it has the files by inheritance */
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	CHECK(tapxfer_thaw(tx, id, &token, NULL) == -EBUSY &&
	      tapxfer_error_extack(tx),
	      "exclusive: thaw is refused: %s", tapxfer_error(tx));
	CHECK(tapxfer_ready(tx, id, &token, 0, NULL) == -EBUSY &&
	      tapxfer_error_extack(tx),
	      "exclusive: ready is refused: %s", tapxfer_error(tx));

	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	err = tapxfer_pass(tx, id, &token, pidfd, &ho);
	CHECK(!err && tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_CLAIMANT) ==
		      (uint64_t)child,
	      "pass: the claim is the child's %s", tapxfer_error(tx));
	tapxfer_info_free(ho);
	close(pidfd);
	CHECK(tapxfer_thaw(tx, id, &token, NULL) == -EBUSY,
	      "pass: our files are others' now: %s", tapxfer_error(tx));
	close(fds[0]);
	close(fds[1]);

	err = tapxfer_ready(tx, id, &token, 0, &ho);
	CHECK(!err && tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_STATE) ==
		      TAPXFER_STATE_READY,
	      "ready: the child has them alone %s", tapxfer_error(tx));
	tapxfer_info_free(ho);
	CHECK(!tapxfer_handover_get(tx, id, &ho) &&
	      tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_READY_AT) >=
	      tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_CLAIMED_AT),
	      "ready: and since when");
	tapxfer_info_free(ho);
	err = tapxfer_thaw_flags(tx, id, &token, 0, &ho);
	CHECK(!err && tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_STATE) ==
		      TAPXFER_STATE_DRAINING &&
	      !tapxfer_info_has(ho, TAPXFER_A_HANDOVER_VIOLATED),
	      "ready: thaw %s", tapxfer_error(tx));
	tapxfer_info_free(ho);
	CHECK(all_gone(tx), "claimed: gone");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* The family's number changes under an open handle. */
static void reload(struct tapxfer *tx)
{
	struct tapxfer_token token;
	struct tapxfer_info *caps, *ho;
	int fd = tap_open("txl6");
	int err;

	/* another family takes the number */
	if (system("rmmod tapxfer && { modprobe vsock_diag; modprobe l2tp_netlink; true; } 2>/dev/null")) {
		CHECK(false, "reload: rmmod");
		return;
	}
	/* what the one before could do is no longer relied on */
	err = tapxfer_prepare(tx, 0, &fd, 1, NULL, &token, &ho);
	CHECK(!err, "reload: the first command begins a handover: %s",
	      tapxfer_error(tx));
	if (!err) {
		err = tapxfer_abort(tx,
				    (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID),
				    &token, NULL);
		CHECK(!err, "reload: and ends it: %s", tapxfer_error(tx));
		tapxfer_info_free(ho);
	}
	close(fd);
	CHECK(all_gone(tx), "reload: gone");
	err = tapxfer_caps(tx, &caps);
	CHECK(!err && tapxfer_info_has(caps, TAPXFER_A_CAP_FEATURES),
	      "reload: the handle finds the module again: %s",
	      tapxfer_error(tx));
	tapxfer_info_free(caps);

	if (system("rmmod tapxfer && mv $(modinfo -n tapxfer) /tmp/ko && depmod"))
		return;
	err = tapxfer_caps(tx, &caps);
	CHECK(err == -ENOENT && !strcmp(tapxfer_error(tx),
					tapxfer_open_error(-ENOENT)),
	      "reload: and says when it is gone: %s", tapxfer_error(tx));
	err = system("mv /tmp/ko /lib/modules/$(uname -r)/updates/dkms/tapxfer.ko && depmod && modprobe tapxfer");
	CHECK(!err && !tapxfer_caps(tx, &caps), "reload: back: %s",
	      tapxfer_error(tx));
	tapxfer_info_free(caps);
}

int main(void)
{
	struct tapxfer *tx;
	int err = tapxfer_open(&tx);

	if (err) {
		printf("1..0 # SKIP %s\n", tapxfer_open_error(err));
		return 4;
	}
	large(tx);
	errors(tx);
	lost(tx);
	netns();
	claimed(tx);
	reload(tx);
	tapxfer_close(tx);
	printf("1..%d\n", count);
	return !!failures;
}
