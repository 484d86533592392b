// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM that becomes another program: queues, state and token through exec(2).
 *
 * "t_exec --new PACKETS [--claimed]" is that other program: it finds what came,
 * thaws, and expects so many packets of each device, in order. Exit status 0, or
 * the number of the check that failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64
#define PACKETS	200

/* ---- the new program ---- */

static int thaw(struct tapxfer *tx, const struct tapxfer_exec *ex, size_t i,
		bool claimed)
{
	const struct tapxfer_info *state = tapxfer_exec_state(ex, i);
	const struct tapxfer_token *token = tapxfer_exec_token(ex, i);
	uint32_t id = tapxfer_info_u64(state, TAPXFER_A_HANDOVER_ID);
	struct tapxfer_info *ho = NULL;
	int err;

	if (!claimed) {
		err = tapxfer_claim_flags(tx, id, token,
					  TAPXFER_CLAIM_NO_FDS, &ho);
		tapxfer_info_free(ho);
		if (err)
			return err;
	}
	/* the files are ours alone */
	return tapxfer_thaw(tx, id, token, NULL);
}

static int check_device(const struct tapxfer_info *state, int packets)
{
	const struct tapxfer_info *dev =
		tapxfer_info_nest(state, TAPXFER_A_HANDOVER_DEV, 0);
	struct tap tap = { .flags = TAP_VM, .hdr = 12 };
	struct tally t;
	int q, ret = 0;

	tap.n = tapxfer_info_fds(state, tap.fds, TAP_MAX);
	tally_init(&t, 1 << 16);
	if (tapxfer_info_u64(dev, TAPXFER_A_DEV_VNET_HDR_SZ) != 12)
		ret = 11;
	for (q = 0; q < tap.n; q++)
		if (fcntl(tap.fds[q], F_GETFD) != FD_CLOEXEC)
			ret = 12;
	if (tap_read_count(&tap, &t, packets) != packets)
		ret = 13;
	else if (t.dup || t.reordered || t.foreign || tally_lost(&t, packets))
		ret = 14;
	tally_free(&t);
	return ret;
}

static int go_on(struct tapxfer *tx, const struct tapxfer_exec *ex,
		 int packets, bool claimed)
{
	struct tapxfer_exec *again;
	size_t i;
	int ret;

	/* that was it: children and a second look find nothing */
	if (getenv("TAPXFER_EXEC_FD") || getenv("TAPXFER_EXEC_PID") ||
	    tapxfer_exec_restore(tx, &again) != -ENODATA)
		return 6;
	for (i = 0; i < tapxfer_exec_count(ex); i++) {
		ret = thaw(tx, ex, i, claimed);
		if (ret) {
			fprintf(stderr, "# thaw: %s\n", tapxfer_error(tx));
			return 7;
		}
		ret = check_device(tapxfer_exec_state(ex, i), packets);
		if (ret)
			return ret;
	}
	return i ? 0 : 8;
}

static int new_program(int packets, bool claimed)
{
	struct tapxfer_exec *ex;
	struct tapxfer *tx;
	int ret;

	if (tapxfer_open(&tx))
		return 2;
	ret = tapxfer_exec_restore(tx, &ex);
	if (ret) {
		fprintf(stderr, "# restore: %s\n", tapxfer_error(tx));
		ret = ret == -EBADF ? 3 : ret == -ENODATA ? 4 : 5;
	} else {
		ret = go_on(tx, ex, packets, claimed);
	}
	tapxfer_exec_close(ex);
	tapxfer_close(tx);
	return ret;
}

/* ---- the old one ---- */

struct vmm {
	struct tap tap[2];
	struct xfer x[2];
	int devices;
};

/* Up to the freeze, with packets that arrive after it */
static int vmm_freeze(struct vmm *v, int devices)
{
	struct sender s;
	char name[16];
	int err;

	for (v->devices = 0; v->devices < devices; v->devices++) {
		struct tap *tap = &v->tap[v->devices];
		struct xfer *x = &v->x[v->devices];

		snprintf(name, sizeof(name), "tap%d", v->devices);
		err = tap_open(tap, name, QUEUES - v->devices, TAP_VM) ?:
		      tap_set_nonblock(tap, true) ?:
		      tap_detach(tap->fds[1], true) ?: xfer_open(x) ?:
		      xfer_begin(x, tap, TAPXFER_STATE_FROZEN, 0, 0) ?:
		      sender_open(&s, tap->ifindex, FLOWS) ?:
		      sender_send(&s, PACKETS);
		if (err)
			return err;
		sender_close(&s);
	}
	return 0;
}

static int vmm_prepare(struct vmm *v, struct tapxfer_exec **ex)
{
	int i, err;

	err = tapxfer_exec_open(v->x[0].tx, ex);
	for (i = 0; !err && i < v->devices; i++)
		err = tapxfer_exec_add(*ex, v->x[i].id, &v->x[i].token,
				       v->tap[i].fds, v->tap[i].n);
	return err ?: tapxfer_exec_prepare(*ex);
}

static int become_new(bool claimed)
{
	char packets[16];
	char *argv[] = { "t_exec", "--new", packets,
			 claimed ? "--claimed" : NULL, NULL };

	snprintf(packets, sizeof(packets), "%d", PACKETS);
	execv("/proc/self/exe", argv);
	return 100;
}

static int vmm_two_devices(void *arg)
{
	struct tapxfer_exec *ex;
	struct vmm v = {};

	if (vmm_freeze(&v, 2) || vmm_prepare(&v, &ex))
		return 90;
	return become_new(false);
}

/* The claim is the process's, whatever program that is. */
static int vmm_claimed(void *arg)
{
	struct tapxfer_exec *ex;
	struct tap claimed;
	struct vmm v = {};

	if (vmm_freeze(&v, 1) || xfer_claim(&v.x[0], &claimed))
		return 90;
	tap_close(&v.tap[0]);
	v.tap[0] = claimed;
	if (vmm_prepare(&v, &ex))
		return 91;
	return become_new(true);
}

static int vmm_loses_a_queue(void *arg)
{
	struct tapxfer_exec *ex;
	struct vmm v = {};

	if (vmm_freeze(&v, 1) || vmm_prepare(&v, &ex))
		return 90;
	close(v.tap[0].fds[2]);
	return become_new(false);
}

/* The environment is for the process that prepared, not for its child. */
static int vmm_forks(void *arg)
{
	struct tapxfer_exec *ex;
	struct vmm v = {};
	pid_t pid;

	if (vmm_freeze(&v, 1) || vmm_prepare(&v, &ex))
		return 90;
	pid = fork();
	if (!pid)
		_exit(become_new(false));
	return child_wait(pid, SOON_MS);
}

FIXTURE(exec) {
	struct vmm v;
	struct tapxfer_exec *ex;
};

FIXTURE_SETUP(exec)
{
	ASSERT_EQ(0, net_isolate());
}

static int end(const struct tapxfer_info *info, void *tx)
{
	tapxfer_abort(tx, tapxfer_info_u64(info, TAPXFER_A_HANDOVER_ID), NULL,
		      NULL);
	return 0;
}

FIXTURE_TEARDOWN(exec)
{
	struct tapxfer *tx;
	int i;

	tapxfer_exec_close(self->ex);
	/* of programs that did not go on */
	if (!tapxfer_open(&tx)) {
		tapxfer_handover_list(tx, end, tx);
		tapxfer_close(tx);
	}
	for (i = 0; i < self->v.devices; i++) {
		xfer_close(&self->v.x[i]);
		tap_close(&self->v.tap[i]);
	}
}

static int run_child(int (*fn)(void *arg))
{
	return child_wait(child_start(fn, NULL), SOON_MS);
}

TEST_F(exec, the_new_program_goes_on_with_all_devices)
{
	EXPECT_EQ(0, run_child(vmm_two_devices));
}

TEST_F(exec, a_claim_passes_too)
{
	EXPECT_EQ(0, run_child(vmm_claimed));
}

TEST_F(exec, a_queue_that_is_missing_is_named)
{
	EXPECT_EQ(3, run_child(vmm_loses_a_queue));
}

TEST_F(exec, another_process_is_not_meant)
{
	EXPECT_EQ(4, run_child(vmm_forks));
}

TEST_F(exec, that_fails_leaves_all_as_it_was)
{
	char *argv[] = { "nothing", NULL };
	struct tally t;
	int fds, q;

	ASSERT_EQ(0, tally_init(&t, 1 << 16));
	ASSERT_EQ(0, vmm_freeze(&self->v, 1));
	/* one that is to be inherited anyway stays so */
	ASSERT_EQ(0, fcntl(self->v.tap[0].fds[3], F_SETFD, 0));
	fds = count_fds();
	ASSERT_EQ(0, vmm_prepare(&self->v, &self->ex));
	EXPECT_EQ(0, fcntl(self->v.tap[0].fds[0], F_GETFD));
	EXPECT_EQ(0, fcntl(tapxfer_exec_fd(self->ex), F_GETFD));
	ASSERT_NE(NULL, getenv("TAPXFER_EXEC_FD"));
	EXPECT_EQ(tapxfer_exec_fd(self->ex), atoi(getenv("TAPXFER_EXEC_FD")));
	EXPECT_STREQ(tapxfer_exec_env(self->ex, 1) +
		     strlen("TAPXFER_EXEC_PID="), getenv("TAPXFER_EXEC_PID"));
	EXPECT_EQ(NULL, tapxfer_exec_env(self->ex, 2));
	EXPECT_EQ(-EINVAL, tapxfer_exec_prepare(self->ex));
	EXPECT_EQ(-EINVAL, tapxfer_exec_add(self->ex, self->v.x[0].id,
					    &self->v.x[0].token,
					    self->v.tap[0].fds, QUEUES));

	EXPECT_EQ(-1, execv("/nonexistent", argv));
	tapxfer_exec_close(self->ex);
	self->ex = NULL;
	EXPECT_EQ(NULL, getenv("TAPXFER_EXEC_FD"));
	EXPECT_EQ(NULL, getenv("TAPXFER_EXEC_PID"));
	EXPECT_EQ(fds, count_fds());
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(q == 3 ? 0 : FD_CLOEXEC,
			  fcntl(self->v.tap[0].fds[q], F_GETFD));
	ASSERT_EQ(0, xfer_abort(&self->v.x[0]));
	EXPECT_EQ(PACKETS, tap_read_count(&self->v.tap[0], &t, PACKETS));
	EXPECT_EQ(0, tally_lost(&t, PACKETS));
	tally_free(&t);
}

TEST_F(exec, what_cannot_pass_is_refused)
{
	struct xfer *x = &self->v.x[0];
	struct tap *tap = &self->v.tap[0];
	int fds[QUEUES];

	ASSERT_EQ(0, vmm_freeze(&self->v, 1));
	ASSERT_EQ(0, tapxfer_exec_open(x->tx, &self->ex));
	EXPECT_EQ(-EINVAL, tapxfer_exec_prepare(self->ex));
	EXPECT_EQ(-EINVAL, tapxfer_exec_add(self->ex, x->id, &x->token,
					    tap->fds, tap->n - 1));
	EXPECT_STREQ("3 files, and the handover has 4 queues",
		     tapxfer_error(x->tx));
	memcpy(fds, tap->fds, sizeof(fds));
	fds[2] = 0;
	EXPECT_EQ(-EOPNOTSUPP, tapxfer_exec_add(self->ex, x->id, &x->token,
						fds, tap->n));
	EXPECT_EQ(0, tapxfer_error_fd(x->tx));
	fds[2] = 4711;
	EXPECT_EQ(-EBADF, tapxfer_exec_add(self->ex, x->id, &x->token, fds,
					   tap->n));
	EXPECT_EQ(-ENOENT, tapxfer_exec_add(self->ex, 4711, &x->token,
					    tap->fds, tap->n));
	ASSERT_EQ(0, xfer_abort(x));
	EXPECT_NE(0, tapxfer_exec_add(self->ex, x->id, &x->token, tap->fds,
				      tap->n));
	EXPECT_EQ(0, tapxfer_exec_count(self->ex));
	x->id = 0;
}

/* Two cards whose files come in the wrong order */
TEST_F(exec, a_queue_of_another_device_is_named)
{
	struct tap *tap = self->v.tap;
	struct tapxfer_exec *came;
	struct tapxfer *tx;
	int fds[2 * QUEUES];

	ASSERT_EQ(0, vmm_freeze(&self->v, 2));
	tx = self->v.x[0].tx;
	ASSERT_EQ(0, vmm_prepare(&self->v, &self->ex));
	memcpy(fds, tap[0].fds, tap[0].n * sizeof(*fds));
	memcpy(fds + tap[0].n, tap[1].fds, tap[1].n * sizeof(*fds));
	fds[2] = tap[1].fds[0];
	fds[tap[0].n] = tap[0].fds[2];
	EXPECT_EQ(-EBADF, tapxfer_exec_take(tx, tapxfer_exec_fd(self->ex), fds,
					    tap[0].n + tap[1].n, &came));
	EXPECT_NE(NULL, strstr(tapxfer_error(tx), "queue 2 of tap0 did not come through: a queue of another device"))
		TH_LOG("%s", tapxfer_error(tx));
	EXPECT_EQ(fds[2], tapxfer_error_fd(tx));
	/* renamed meanwhile it is the same device */
	ASSERT_EQ(0, shell("ip link set tap0 down && ip link set tap0 name new0"));
	ASSERT_EQ(0, tapxfer_exec_take(tx, tapxfer_exec_fd(self->ex), NULL, 0,
				       &came));
	EXPECT_EQ(2, tapxfer_exec_count(came));
	tapxfer_exec_close(came);
}

/* Another's memfd, or one that was tampered with */
TEST_F(exec, a_memfd_that_is_no_such_thing_is_refused)
{
	struct xfer *x = &self->v.x[0];
	struct tapxfer_stream *stream;
	struct tapxfer_exec *came;
	char bytes[4096];
	ssize_t len;
	int fd;

	ASSERT_EQ(0, vmm_freeze(&self->v, 1));
	EXPECT_EQ(-ENODATA, tapxfer_exec_restore(x->tx, &came));
	EXPECT_EQ(NULL, came);
	EXPECT_EQ(-EBADF, tapxfer_exec_take(x->tx, 4711, NULL, 0, &came));
	EXPECT_EQ(-EPERM, tapxfer_exec_take(x->tx, 0, NULL, 0, &came));

	ASSERT_EQ(0, vmm_prepare(&self->v, &self->ex));
	fd = tapxfer_exec_fd(self->ex);
	/* sealed: not even we can change it */
	EXPECT_EQ(-1, pwrite(fd, "x", 1, 0));
	EXPECT_EQ(-1, ftruncate(fd, 10));
	len = pread(fd, bytes, sizeof(bytes), 0);
	ASSERT_LT(100, len);
	ASSERT_EQ(0, tapxfer_exec_take(x->tx, fd, NULL, 0, &came));
	EXPECT_EQ(1, tapxfer_exec_count(came));
	EXPECT_EQ(0, memcmp(&x->token, tapxfer_exec_token(came, 0),
			    sizeof(x->token)));
	EXPECT_FALSE(tapxfer_info_has(tapxfer_exec_state(came, 0),
				      TAPXFER_A_HANDOVER_TOKEN));
	tapxfer_exec_close(came);
	EXPECT_EQ(-EINVAL, tapxfer_exec_take(x->tx, fd, self->v.tap[0].fds, 3,
					     &came));

	/* the right bytes, but anybody can change them */
	fd = memfd_create("mine", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_EQ(len, write(fd, bytes, len));
	EXPECT_EQ(-EPERM, tapxfer_exec_take(x->tx, fd, NULL, 0, &came));
	/* half of them */
	ASSERT_EQ(0, ftruncate(fd, len - 1));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK |
					    F_SEAL_GROW | F_SEAL_WRITE));
	EXPECT_EQ(-EBADMSG, tapxfer_exec_take(x->tx, fd, NULL, 0, &came));
	close(fd);

	/* a state without descriptors, as another's stream has it */
	fd = memfd_create("mine", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_EQ(0, tapxfer_state_open(x->tx, x->id, TAPXFER_DIRECTION_SAVE,
					0, NULL, &stream));
	ASSERT_EQ(0, tapxfer_state_save(stream, fd));
	tapxfer_state_close(stream);
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK |
					    F_SEAL_GROW | F_SEAL_WRITE));
	EXPECT_EQ(-EBADMSG, tapxfer_exec_take(x->tx, fd, NULL, 0, &came));
	close(fd);

	/* and what passes exec is no state for anybody's stream */
	ASSERT_EQ(0, tapxfer_state_open(x->tx, 0, TAPXFER_DIRECTION_LOAD, 0,
					NULL, &stream));
	EXPECT_EQ(-EOPNOTSUPP, tapxfer_state_push(stream, bytes, len));
	tapxfer_state_close(stream);
}

static void __attribute__((constructor)) __constructor_order_last(void)
{
	if (!__constructor_order)
		__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "--new"))
		return new_program(atoi(argv[2]), argc > 3);
	return harness_main(argc, argv);
}
