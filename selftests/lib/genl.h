/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages to the family as a test wants them, be they right or wrong.
 */
#ifndef SELFTESTS_GENL_H
#define SELFTESTS_GENL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>
#include <linux/tapxfer.h>

struct genl {
	struct mnl_socket *nl;
	uint16_t family;
	uint32_t seq;
	struct nlmsghdr *req;		/* the message being made */
	char *buf;
	char *reply;			/* the answer, when there was one */
	char msg[256];			/* extended ack: the text, "" */
	unsigned int bad_attr;		/* of the request, by its offset; 0 */
	unsigned int bad_nth;		/* which one of that number, from 0 */
};

int genl_open(struct genl *g);
void genl_close(struct genl *g);

/* A new message; then put attributes with mnl_attr_put_*(g->req, ...). */
void genl_new(struct genl *g, uint8_t cmd);
/* Send it and take the answer: 0 or -errno. */
int genl_talk(struct genl *g);

/* The two apart. Send it: 0 or -errno, and then there is no answer. */
int genl_send(struct genl *g);

/* What came of an answer that may be incomplete */
struct genl_answer {
	bool replied;		/* g->reply has it, the last one of a dump */
	bool acked;		/* with @err, and g->msg */
	bool lost;		/* the kernel had no memory for some of it */
	int err;
};

/* Take what is there, and wait for nothing. */
void genl_take(struct genl *g, struct genl_answer *a);

/* Room for answers, bytes: who may not ask for so much gets a little. */
void genl_set_room(int fd, int size);
/* Have answers lie there until no other one gets in. */
void genl_clog(int fd);

/* An attribute of the answer; NULL when it is not there. */
const struct nlattr *genl_attr(const struct genl *g, unsigned int type);
uint32_t genl_u32(const struct genl *g, unsigned int type);

/* What begins a handover, but for options */
void genl_begin(struct genl *g, uint8_t cmd, int ifindex, const int *fds,
		size_t n);
/* What goes on with one; @token may be NULL. */
void genl_go_on(struct genl *g, uint8_t cmd, uint32_t id, const void *token);

#endif /* SELFTESTS_GENL_H */
