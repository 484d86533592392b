// SPDX-License-Identifier: GPL-2.0
/*
 * A request that is being served while the module is unloaded: it finds the
 * module, or it fails, and never leaves a file with operations that are gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"

#define QUESTIONS	3000	/* of one datagram, which keep the family busy */
#define ROUNDS		4

struct unload {
	useconds_t after;
	long ret;
};

static void *unload_run(void *arg)
{
	struct unload *u = arg;

	usleep(u->after);
	u->ret = syscall(SYS_delete_module, "tapxfer", O_NONBLOCK) ? -errno : 0;
	return NULL;
}

/* Many questions and at last a prepare, in one datagram. */
static size_t batch_fill(struct genl *g, const struct tap *t, char *batch)
{
	size_t len = 0;
	int i;

	for (i = 0; i <= QUESTIONS; i++) {
		if (i < QUESTIONS) {
			genl_new(g, TAPXFER_CMD_DEV_GET);
			g->req->nlmsg_flags &= ~NLM_F_ACK;
			mnl_attr_put_u32(g->req, TAPXFER_A_DEV_IFINDEX,
					 t->ifindex);
		} else {
			genl_begin(g, TAPXFER_CMD_PREPARE, t->ifindex, t->fds,
				   t->n);
		}
		memcpy(batch + len, g->req, g->req->nlmsg_len);
		len += NLMSG_ALIGN(g->req->nlmsg_len);
	}
	return len;
}

/* The prepare's answer: 0 or an errno, negative; 1 when there was none. */
static int batch_answer(struct genl *g)
{
	static char buf[1 << 16];
	int fd = mnl_socket_get_fd(g->nl), answer = 1;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *nlh = (const void *)buf;
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

		if (nlh->nlmsg_type == NLMSG_ERROR)
			answer = e->error;
	}
	return answer;
}

TEST(unload_while_a_prepare_is_on_its_way)
{
	int i, room = 512 << 20, gone = 0, answer;
	struct unload u = { .after = 2000 };
	pthread_t thread;
	struct tap t;
	struct genl g;
	size_t len;
	char *batch, c;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&t, "tap0", 2, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&t, true));
	batch = malloc((QUESTIONS + 1) * 64);
	ASSERT_NE(NULL, batch);

	for (i = 0; i < ROUNDS; i++, u.after *= 3) {
		/* loads the module, if the last round was rid of it */
		ASSERT_EQ(0, genl_open(&g));
		setsockopt(mnl_socket_get_fd(g.nl), SOL_SOCKET, SO_SNDBUFFORCE,
			   &room, sizeof(room));
		setsockopt(mnl_socket_get_fd(g.nl), SOL_SOCKET, SO_RCVBUFFORCE,
			   &room, sizeof(room));
		len = batch_fill(&g, &t, batch);

		ASSERT_EQ(0, pthread_create(&thread, NULL, unload_run, &u));
		mnl_socket_sendto(g.nl, batch, len);
		pthread_join(thread, NULL);
		answer = batch_answer(&g);
		TH_LOG("unload after %u us: %ld, prepare: %d", u.after, u.ret,
		       answer);
		/* a handover keeps the module */
		if (answer == 0)
			EXPECT_NE(0, u.ret);
		gone += u.ret == 0;
		genl_close(&g);

		/* whoever's operations they are, they are there */
		EXPECT_EQ(-1, read(t.fds[0], &c, 1));
		EXPECT_EQ(EAGAIN, errno);
		if (answer == 0) {
			ASSERT_EQ(0, shell("tapxfer abort $(tapxfer -j list | grep -o '\"id\": *[0-9]*' | grep -o '[0-9]*') >/dev/null"));
			EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
		}
	}
	/* or the test has tried nothing */
	EXPECT_LT(0, gone);
	free(batch);
	tap_close(&t);
}

TEST_HARNESS_MAIN
