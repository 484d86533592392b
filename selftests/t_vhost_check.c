// SPDX-License-Identifier: GPL-2.0
/*
 * What "tapxfer check" tells of vhost-net: that a backend is attached, to which
 * queues, and when it stands in the way of a thaw.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "net.h"
#include "util.h"
#include "vhost.h"

#define QUEUES	4

FIXTURE(check) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct vhost v[QUEUES];
	char out[8192];
};

FIXTURE_SETUP(check)
{
	int q;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, xfer_open(&self->x));
	for (q = 0; q < QUEUES; q++)
		ASSERT_EQ(0, vhost_open(&self->v[q], 0, -1));
}

FIXTURE_TEARDOWN(check)
{
	int q;

	for (q = 0; q < QUEUES; q++)
		vhost_close(&self->v[q]);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->claimed);
	tap_close(&self->tap);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* Its exit status; what it says is in @out. */
static int run_check(char *out, size_t size, const char *words)
{
	char cmd[256];
	size_t len;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "tapxfer check tap0 %s 2>&1", words);
	f = popen(cmd, "r");
	if (!f)
		return -errno;
	len = fread(out, 1, size - 1, f);
	out[len] = '\0';
	return WEXITSTATUS(pclose(f));
}

#define CHECK(status, words) \
	EXPECT_EQ(status, run_check(self->out, sizeof(self->out), words)) \
		TH_LOG("%s", self->out)
#define EXPECT_SAYS(part) \
	EXPECT_NE(NULL, strstr(self->out, part)) TH_LOG("%s", self->out)
#define EXPECT_SILENT_ON(part) \
	EXPECT_EQ(NULL, strstr(self->out, part)) TH_LOG("%s", self->out)

TEST_F(check, tells_the_queues_that_have_a_backend)
{
	CHECK(0, "--try");
	EXPECT_SAYS("vhost-net is open (pid ");
	EXPECT_SILENT_ON("is attached to");

	ASSERT_EQ(0, vhost_start(&self->v[1], self->tap.fds[1]));
	ASSERT_EQ(0, vhost_start(&self->v[3], self->tap.fds[3]));
	CHECK(0, "--try");
	EXPECT_SAYS("a backend of vhost-net is attached to 2 of 4 queues: 1, 3;");
	EXPECT_SAYS("nothing stops a handover");

	ASSERT_EQ(0, vhost_stop(&self->v[1]));
	CHECK(0, "--try");
	EXPECT_SAYS("attached to 1 of 4 queues: 3;");
	ASSERT_EQ(0, vhost_stop(&self->v[3]));
	CHECK(0, "--try");
	EXPECT_SILENT_ON("is attached to");
}

/* What else holds a file is no backend. */
TEST_F(check, tells_a_backend_from_a_file_in_flight)
{
	struct tap lost = self->tap;
	int sv[2];
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.hdr), &lost.fds[2], sizeof(int));
	ASSERT_EQ(1, sendmsg(sv[0], &msg, 0));
	ASSERT_EQ(0, vhost_start(&self->v[0], self->tap.fds[0]));
	CHECK(2, "--try");
	EXPECT_SAYS("attached to 1 of 4 queues: 0;");
	EXPECT_SAYS("stops: 1 reference to queue files that no process's");
	close(sv[0]);
	close(sv[1]);
}

TEST_F(check, tells_what_stands_in_the_way_of_a_thaw)
{
	int q;

	for (q = 0; q < QUEUES; q++)
		ASSERT_EQ(0, vhost_start(&self->v[q], self->tap.fds[q]));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	CHECK(2, "");
	EXPECT_SAYS("is in handover");
	EXPECT_SAYS("a backend of vhost-net is attached to 4 of 4 queues;");

	/* the claimant has all descriptors, and the backends are no descriptors */
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_EQ(-EBUSY, xfer_thaw(&self->x));
	CHECK(2, "");
	EXPECT_SAYS("hold 4 of 4 queue files (8 references), which a thaw refuses: a backend of vhost-net");
	ASSERT_EQ(0, vhost_stop(&self->v[0]));
	CHECK(2, "");
	EXPECT_SAYS("hold 3 of 4 queue files (6 references)");
	for (q = 1; q < QUEUES; q++)
		ASSERT_EQ(0, vhost_stop(&self->v[q]));
	CHECK(2, "");
	EXPECT_SILENT_ON("vhost-net is attached");
	EXPECT_SILENT_ON("which a thaw refuses");
	ASSERT_EQ(0, xfer_thaw(&self->x));
}

TEST_HARNESS_MAIN
