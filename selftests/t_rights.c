// SPDX-License-Identifier: GPL-2.0
/*
 * G6: who may do what. Every cell of the table in SECURITY.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include <linux/capability.h>

#include "agent.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	2

enum actor {
	VMM,		/* a user with the files, and the token */
	TARGET,		/* another user with the token */
	STRANGER,	/* another user with nothing */
	FAR_TARGET,	/* a user with the token, in another netns */
	FAR_ROOT,	/* root of another user namespace and netns */
	LOOSE_ROOT,	/* root of another user namespace, in the device's netns */
	FAR_ADMIN,	/* the host's root, in another netns, with nothing else */
	ADMIN,		/* root of the netns's user namespace, with nothing else */
	ACTORS,
};

static const struct {
	const char *name;
	uid_t uid;
	bool files;
	bool token;
	int unshare;
} actors[] = {
	[VMM] = { "vmm", 65534, true, true, 0 },
	[TARGET] = { "target", 65533, false, true, 0 },
	[STRANGER] = { "stranger", 65532, false, false, 0 },
	[FAR_TARGET] = { "target elsewhere", 65531, false, true, CLONE_NEWNET },
	[FAR_ROOT] = { "root elsewhere", 65530, false, false,
		       CLONE_NEWUSER | CLONE_NEWNET },
	[LOOSE_ROOT] = { "root of nothing", 65529, false, false,
			 CLONE_NEWUSER },
	[FAR_ADMIN] = { "admin elsewhere", 0, false, false, CLONE_NEWNET },
	[ADMIN] = { "admin", 0, false, false, 0 },
};

enum what {
	CAP_GET,
	DEV_GET,
	DEV_GET_FD,
	DEV_DUMP,
	HO_GET,
	HO_DUMP,
	EVENTS,
	PREPARE,
	PREPARE_HOLD,
	PREPARE_BYTES,
	PREPARE_DEADLINE,
	BEGIN_HOLD,
	BEGIN_FREEZE,
	HOLD,
	FREEZE,
	CLAIM,
	CLAIM_THAW,
	READY,
	PASS,
	PASS_ON,
	DRAIN,
	THAW,
	ABORT,
	ABORT_BARE,
	WHATS,
};

/*
 * What must have been done before, and what comes of it: 0, or the errno. Who
 * has no token shows another one. Who has no files shows another device's.
 */
static const struct {
	const char *name;
	int state;		/* of the handover; 0: there is none */
	int result[ACTORS];
} rights[] = {
#define ROW(what, state, ...) \
	[what] = { #what, state, { __VA_ARGS__ } }
#define P TAPXFER_STATE_PREPARED
#define H TAPXFER_STATE_HOLDING
#define F TAPXFER_STATE_FROZEN
#define C TAPXFER_STATE_CLAIMED
	/*                       VMM    TARGET STRANGER FAR_T   FAR_R   LOOSE_R FAR_A   ADMIN */
	ROW(CAP_GET,          0, 0,     0,     0,       0,      0,      0,      0,      0),
	ROW(DEV_GET,          0, 0,     0,     0,       ENODEV, ENODEV, 0,      ENODEV, 0),
	ROW(DEV_GET_FD,       0, 0,     EXDEV, EXDEV,   ENODEV, ENODEV, EXDEV,  ENODEV, EXDEV),
	ROW(DEV_DUMP,         0, 0,     0,     0,       ENOENT, ENOENT, 0,      ENOENT, 0),
	ROW(HO_GET,           F, 0,     0,     0,       ENOENT, ENOENT, 0,      ENOENT, 0),
	ROW(HO_DUMP,          F, 0,     0,     0,       ENOENT, ENOENT, 0,      ENOENT, 0),
	ROW(EVENTS,           0, 0,     0,     0,       ENOENT, ENOENT, 0,      ENOENT, 0),
	ROW(PREPARE,          0, 0,     EXDEV, EXDEV,   ENODEV, ENODEV, EXDEV,  ENODEV, EXDEV),
	ROW(PREPARE_HOLD,     0, EPERM, EPERM, EPERM,   EPERM,  ENODEV, EPERM,  ENODEV, EXDEV),
	ROW(PREPARE_BYTES,    0, EPERM, EPERM, EPERM,   EPERM,  ENODEV, EPERM,  ENODEV, EXDEV),
	ROW(PREPARE_DEADLINE, 0, EPERM, EPERM, EPERM,   EPERM,  ENODEV, EPERM,  ENODEV, EXDEV),
	ROW(BEGIN_HOLD,       0, 0,     EXDEV, EXDEV,   ENODEV, ENODEV, EXDEV,  ENODEV, EXDEV),
	ROW(BEGIN_FREEZE,     0, 0,     EXDEV, EXDEV,   ENODEV, ENODEV, EXDEV,  ENODEV, EXDEV),
	ROW(HOLD,             P, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(FREEZE,           H, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(CLAIM,            F, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(CLAIM_THAW,       F, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(READY,            C, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(PASS,             C, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(PASS_ON,          C, EPERM, EPERM, EPERM,   EPERM,  EPERM,  EPERM,  EPERM,  EPERM),
	ROW(DRAIN,            F, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(THAW,             C, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(ABORT,            F, 0,     0,     EPERM,   0,      EPERM,  EPERM,  EPERM,  EPERM),
	ROW(ABORT_BARE,       F, EPERM, EPERM, EPERM,   EPERM,  EPERM,  EPERM,  0,      0),
#undef P
#undef H
#undef F
#undef C
};

/* Where the tap is: the same for all processes that are forked after it is set */
static struct shared {
	int ifindex;		/* of the device */
	int own;		/* a file of another device */
} *shared;

/* -- in an actor's process --------------------------------------------------- */

static struct genl g;

static long become(struct agent_self *self, long i, long far)
{
	uid_t uid = actors[i].uid;
	int flags = actors[i].unshare;

	/* a netns of the host's, for who is no root there */
	if (!(flags & CLONE_NEWUSER) && unshare(flags & CLONE_NEWNET))
		return -errno;
	if (uid) {
		if (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
		    setresuid(uid, uid, uid) || prctl(PR_SET_DUMPABLE, 1))
			return -errno;
	}
	if ((flags & CLONE_NEWUSER) && unshare(flags))
		return -errno;
	xfer_close(&self->x);
	return xfer_open(&self->x) ?: genl_open(&g);
}

/* To a user namespace, of a user's, and its netns: the device's is to be there. */
static long become_admin(struct agent_self *self, long unused, long unused2)
{
	if (setgroups(0, NULL) || setresgid(1000, 1000, 1000) ||
	    setresuid(1000, 1000, 1000) || prctl(PR_SET_DUMPABLE, 1) ||
	    unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return -errno;
	xfer_close(&self->x);
	return xfer_open(&self->x) ?: genl_open(&g);
}

static int count(const struct tapxfer_info *info, void *data)
{
	++*(int *)data;
	return 0;
}

/* A handle that events come to is for nothing else. */
static struct xfer ev;

static int hear(void)
{
	struct tapxfer_info *info;
	int err;

	/* what happened was told when it happened */
	err = tapxfer_event_next(ev.tx, 0, &info);
	if (!err)
		tapxfer_info_free(info);
	return err == -EAGAIN || err == -ETIMEDOUT ? -ENOENT : err;
}

static long subscribe(struct agent_self *self, long unused, long unused2)
{
	return xfer_open(&ev) ?: tapxfer_subscribe(ev.tx);
}

static const uint8_t commands[WHATS] = {
	[PREPARE] = TAPXFER_CMD_PREPARE, [PREPARE_HOLD] = TAPXFER_CMD_PREPARE,
	[PREPARE_BYTES] = TAPXFER_CMD_PREPARE,
	[PREPARE_DEADLINE] = TAPXFER_CMD_PREPARE,
	[BEGIN_HOLD] = TAPXFER_CMD_HOLD, [BEGIN_FREEZE] = TAPXFER_CMD_FREEZE,
	[HOLD] = TAPXFER_CMD_HOLD, [FREEZE] = TAPXFER_CMD_FREEZE,
	[CLAIM] = TAPXFER_CMD_CLAIM, [CLAIM_THAW] = TAPXFER_CMD_CLAIM,
	[READY] = TAPXFER_CMD_READY,
	[PASS] = TAPXFER_CMD_PASS, [PASS_ON] = TAPXFER_CMD_PASS,
	[DRAIN] = TAPXFER_CMD_DRAIN,
	[THAW] = TAPXFER_CMD_THAW, [ABORT] = TAPXFER_CMD_ABORT,
	[ABORT_BARE] = TAPXFER_CMD_ABORT,
};

static int begin(struct agent_self *self, bool files, enum what what)
{
	const struct nlattr *token;
	int err;

	genl_begin(&g, commands[what], shared->ifindex,
		   files ? self->tap.fds : &shared->own, files ? QUEUES : 1);
	if (what == PREPARE_HOLD)
		mnl_attr_put_u32(g.req, TAPXFER_A_HANDOVER_HOLD, 16385);
	if (what == PREPARE_BYTES)
		mnl_attr_put_u64(g.req, TAPXFER_A_HANDOVER_HOLD_BYTES,
				 (256 << 20) + 1);
	if (what == PREPARE_DEADLINE)
		mnl_attr_put_u32(g.req, TAPXFER_A_HANDOVER_DEADLINE, 10001);
	err = genl_talk(&g);
	token = err ? NULL : genl_attr(&g, TAPXFER_A_HANDOVER_TOKEN);
	if (!token)
		return err ?: -EPROTO;
	self->x.id = genl_u32(&g, TAPXFER_A_HANDOVER_ID);
	memcpy(&self->x.token, mnl_attr_get_payload(token), TAPXFER_TOKEN_LEN);
	return xfer_abort(&self->x);
}

static int go_on(struct agent_self *self, enum what what)
{
	genl_go_on(&g, commands[what], self->x.id,
		   what == ABORT_BARE ? NULL : &self->x.token);
	if (what == READY || what == THAW || what == CLAIM_THAW)
		mnl_attr_put(g.req, TAPXFER_A_HANDOVER_SHARED, 0, NULL);
	if (what == CLAIM_THAW)
		mnl_attr_put(g.req, TAPXFER_A_HANDOVER_THAW, 0, NULL);
	/* to itself, or to one of the host's root's */
	if (what == PASS || what == PASS_ON)
		mnl_attr_put_u32(g.req, TAPXFER_A_HANDOVER_PID,
				 what == PASS ? getpid() : getppid());
	return genl_talk(&g);
}

/* Pass to process @pid with those of the first 32 capabilities, and no other. */
static long pass_with(struct agent_self *self, long caps, long pid)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct all[2], some[2];
	long err;

	if (syscall(SYS_capget, &head, all))
		return -errno;
	memcpy(some, all, sizeof(some));
	some[0].effective &= caps;
	some[1].effective = 0;
	if (syscall(SYS_capset, &head, some))
		return -errno;
	genl_go_on(&g, TAPXFER_CMD_PASS, self->x.id, &self->x.token);
	mnl_attr_put_u32(g.req, TAPXFER_A_HANDOVER_PID, pid);
	err = genl_talk(&g);
	return syscall(SYS_capset, &head, all) ? -errno : err;
}

static long act(struct agent_self *self, long what, long files)
{
	int n = 0, err;

	switch (what) {
	case CAP_GET:
		genl_new(&g, TAPXFER_CMD_CAP_GET);
		return genl_talk(&g);
	case DEV_GET:
	case DEV_GET_FD:
		genl_new(&g, TAPXFER_CMD_DEV_GET);
		mnl_attr_put_u32(g.req, TAPXFER_A_DEV_IFINDEX,
				 shared->ifindex);
		if (what == DEV_GET_FD)
			mnl_attr_put_u32(g.req, TAPXFER_A_DEV_FD, files ?
					 self->tap.fds[0] : shared->own);
		return genl_talk(&g);
	case DEV_DUMP:
		err = tapxfer_dev_list(self->x.tx, count, &n);
		return err ?: n ? 0 : -ENOENT;
	case HO_DUMP:
		err = tapxfer_handover_list(self->x.tx, count, &n);
		return err ?: n ? 0 : -ENOENT;
	case HO_GET:
		genl_go_on(&g, TAPXFER_CMD_HANDOVER_GET, self->x.id, NULL);
		return genl_talk(&g);
	case EVENTS:
		return hear();
	case PREPARE:
	case PREPARE_HOLD:
	case PREPARE_BYTES:
	case PREPARE_DEADLINE:
	case BEGIN_HOLD:
	case BEGIN_FREEZE:
		return begin(self, files, what);
	default:
		return go_on(self, what);
	}
}

/* -- in the test's ------------------------------------------------------------ */

FIXTURE(rights) {
	struct tap tap;
	struct tap own;
	struct tap claimed;
	struct xfer x;
	struct agent agents[ACTORS];
};

FIXTURE_VARIANT(rights) {
	bool userns;
};

/* The device's netns is the host's root's, or a user's. */
FIXTURE_VARIANT_ADD(rights, of_the_host) {
	.userns = false,
};

FIXTURE_VARIANT_ADD(rights, of_a_user_namespace) {
	.userns = true,
};

FIXTURE_SETUP(rights)
{
	char path[64];
	int i, fd;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_EQ(0, net_isolate());
	if (variant->userns) {
		ASSERT_EQ(0, agent_start(&self->agents[ADMIN]));
		ASSERT_EQ(0, agent_call(&self->agents[ADMIN], NULL,
					become_admin, 0, 0));
		snprintf(path, sizeof(path), "/proc/%d/ns/net",
			 self->agents[ADMIN].pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, net_enter(fd));
		close(fd);
	}
	for (i = 0; i < ACTORS; i++) {
		if (self->agents[i].pid)
			continue;
		ASSERT_EQ(0, agent_start(&self->agents[i]));
		ASSERT_EQ(0, agent_call(&self->agents[i], NULL, become, i, 0))
			TH_LOG("%s", actors[i].name);
	}
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, tap_open(&self->own, "own0", 1, TAP_VM));
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
}

FIXTURE_TEARDOWN(rights)
{
	int i;

	for (i = 0; i < ACTORS; i++)
		agent_kill(&self->agents[i]);
	xfer_close(&self->x);
	tap_close(&self->claimed);
	link_delete("tap0");
	tap_close(&self->tap);
	tap_close(&self->own);
}

/* Who has the files is sent them, the others another device's. */
static int give_files(FIXTURE_DATA(rights) *self)
{
	int i, err = 0;

	for (i = 0; i < ACTORS && !err; i++)
		err = agent_send_tap(&self->agents[i], actors[i].files ?
				     &self->tap : &self->own);
	return err;
}

static long note_own(struct agent_self *self, long files, long unused)
{
	if (!files)
		shared->own = self->tap.fds[0];
	return 0;
}

/* From scratch, so that no cell depends on another. */
static int begin_at(FIXTURE_DATA(rights) *self, int state)
{
	int err;

	if (!state)
		return 0;
	err = xfer_begin(&self->x, &self->tap, state == TAPXFER_STATE_CLAIMED ?
			 TAPXFER_STATE_FROZEN : state, 0, 0);
	if (!err && state == TAPXFER_STATE_CLAIMED)
		err = xfer_claim(&self->x, &self->claimed);
	return err;
}

static void end(FIXTURE_DATA(rights) *self)
{
	if (self->x.id)
		xfer_abort(&self->x);
	self->x.id = 0;
	tap_close(&self->claimed);
}

TEST_F_TIMEOUT(rights, are_as_the_table_says, 100)
{
	struct agent *a;
	struct xfer shown;
	int i, what, cells = 0;
	long err;

	shared->ifindex = self->tap.ifindex;
	ASSERT_EQ(0, give_files(self));
	for (what = 0; what < WHATS; what++) {
		for (i = 0; i < ACTORS; i++) {
			a = &self->agents[i];
			ASSERT_EQ(0, begin_at(self, rights[what].state))
				TH_LOG("%s", xfer_why(&self->x));
			if (what == EVENTS) {
				ASSERT_EQ(0, agent_call(a, NULL, subscribe, 0,
							0));
				ASSERT_EQ(0, begin_at(self,
						      TAPXFER_STATE_PREPARED));
			}
			shown = self->x;
			if (!actors[i].token)
				memset(&shown.token, 0, sizeof(shown.token));
			agent_call(a, NULL, note_own, actors[i].files, 0);
			err = agent_call(a, shown.id ? &shown : NULL, act,
					 what, actors[i].files);
			EXPECT_EQ(-rights[what].result[i], err)
				TH_LOG("%s: %s", rights[what].name,
				       actors[i].name);
			cells++;
			/* who is refused has changed nothing */
			if (rights[what].state && err) {
				EXPECT_EQ(rights[what].state,
					  xfer_state(&self->x))
					TH_LOG("%s: %s", rights[what].name,
					       actors[i].name);
			}
			end(self);
		}
	}
	EXPECT_EQ(WHATS * ACTORS, cells);
}

/* An admin gets more than the defaults, of devices that it has the files of. */
TEST_F(rights, of_an_admin_with_the_files_are_more)
{
	struct agent *a = &self->agents[ADMIN];
	int what;

	shared->ifindex = self->tap.ifindex;
	ASSERT_EQ(0, agent_send_tap(a, &self->tap));
	for (what = PREPARE; what <= PREPARE_DEADLINE; what++)
		EXPECT_EQ(0, agent_call(a, NULL, act, what, true))
			TH_LOG("%s", rights[what].name);
}

/* Who may kill a process may make it the claimant: by CAP_KILL over its user. */
TEST_F(rights, of_who_has_cap_kill_are_to_pass_to_another_user)
{
	const uint32_t cap = 1 << CAP_KILL;
	struct agent *a = &self->agents[ADMIN];
	struct agent *to = &self->agents[STRANGER];
	/* a user namespace's root has it over that namespace's processes */
	long result = variant->userns ? -EPERM : 0;

	ASSERT_EQ(0, begin_at(self, TAPXFER_STATE_CLAIMED));
	EXPECT_EQ(-EPERM, agent_call(a, &self->x, pass_with, 0, to->pid));
	EXPECT_EQ(-EPERM, agent_call(a, &self->x, pass_with, ~cap, to->pid));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(getpid(),
		  (pid_t)xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));

	EXPECT_EQ(result, agent_call(a, &self->x, pass_with, cap, to->pid));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(result ? getpid() : to->pid,
		  (pid_t)xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));
	/* it is what the claim depends on */
	agent_kill(to);
	EXPECT_TRUE(wait_until(xfer_state(&self->x) ==
			       (result ? TAPXFER_STATE_CLAIMED :
					 TAPXFER_STATE_FROZEN), SOON_MS));
	end(self);
}

TEST_HARNESS_MAIN
