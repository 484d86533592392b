/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBTAPXFER_INTERNAL_H
#define LIBTAPXFER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>

#include <tapxfer/tapxfer.h>

#define EXPORT		__attribute__((visibility("default")))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/*
 * No message of the family comes near it: 256 queues take some 18 KiB. The
 * pages that are not used are never touched.
 */
#define TXL_RX_SIZE	(256 * 1024)

/* An object's attributes, and their head, have to fit a struct nlattr. */
#define TXL_INFO_MAX	UINT16_MAX

enum txl_set {
	TXL_SET_CTRL,
	TXL_SET_CAP,
	TXL_SET_DEV,
	TXL_SET_HANDOVER,
};

struct txl_error {
	char text[512];
	char extack[320];
	unsigned int attr;
	int fd;
};

struct tapxfer {
	struct mnl_socket *nl;
	char *rx;			/* TXL_RX_SIZE bytes */
	uint32_t portid;
	uint32_t seq;
	uint32_t group;			/* of events */
	uint16_t family;
	bool subscribed;
	struct tapxfer_info *caps;	/* as of once, txl_caps() */
	uint8_t scratch[TAPXFER_SCRATCH_LEN];	/* the kernel's, in commands */
	struct txl_error error;
};

/* A request under construction. Wiped when freed: it may carry a token. */
struct txl_req {
	struct nlmsghdr *nlh;
	size_t size;
	enum txl_set set;
};

/* Gets each message of the reply; its first failure is the request's. */
typedef int (*txl_reply_fn)(struct tapxfer *tx, const struct nlmsghdr *nlh,
			    void *data);

/* socket.c */
int txl_req_init(struct tapxfer *tx, struct txl_req *req, enum txl_set set,
		 uint8_t cmd, size_t room);
void txl_req_free(struct txl_req *req);
int txl_talk(struct tapxfer *tx, struct txl_req *req, txl_reply_fn fn,
	     void *data);
int txl_talk_one(struct tapxfer *tx, struct txl_req *req, bool reserve,
		 struct tapxfer_token *token, struct tapxfer_info **info);
int txl_dump(struct tapxfer *tx, enum txl_set set, uint8_t cmd,
	     tapxfer_info_cb cb, void *data);
ssize_t txl_recv(struct tapxfer *tx);
bool txl_family_parse(const struct nlmsghdr *nlh, uint16_t *id,
		      uint32_t *group);

/* error.c */
void txl_error_reset(struct tapxfer *tx);
int txl_error_errno(struct tapxfer *tx, int err, const char *what);
int txl_error_ack(struct tapxfer *tx, int err, const struct nlmsghdr *ack,
		  const struct txl_req *req);
int txl_error_set(struct tapxfer *tx, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* info.c */
struct tapxfer_info *txl_info_reserve(void);
int txl_info_new(const struct nlmsghdr *nlh, enum txl_set set,
		 struct tapxfer_token *token, struct tapxfer_info **info);
const struct tapxfer_info *txl_info_next(const struct tapxfer_info *info,
					 unsigned int attr,
					 const struct tapxfer_info *nest);

uint64_t txl_attr_u64(const struct nlattr *a);

/* All nests of a type: each is found from the one before. */
#define for_each_nest(nest, info, attr) \
	for ((nest) = txl_info_next(info, attr, NULL); (nest); \
	     (nest) = txl_info_next(info, attr, nest))

/* device.c */
int txl_caps(struct tapxfer *tx, const struct tapxfer_info **caps);
bool txl_has_feature(struct tapxfer *tx, uint64_t feature);

/* build.c */

/* An object under construction */
struct txl_build {
	char *out;
	size_t len;
	bool full;
};

int txl_build_begin(struct txl_build *b);
void txl_build_put(struct txl_build *b, uint16_t type, const void *value,
		   size_t len);
size_t txl_build_nest(struct txl_build *b, uint16_t type);
void txl_build_nest_end(struct txl_build *b, size_t start);
void txl_build_copy(struct txl_build *b, const struct tapxfer_info *from);
struct tapxfer_info *txl_build_end(struct txl_build *b, bool wanted);

/* handover.c */
int txl_pass(struct tapxfer *tx, uint32_t id, const struct tapxfer_token *token,
	     pid_t pid, struct tapxfer_info **ho);

/* proc.c */
bool txl_pidfd_ended(int pidfd);

/* tun.c */
int txl_tun_is(int fd);
int txl_tun_iff(int fd, char ifname[IFNAMSIZ], unsigned int *flags);
int txl_tun_ifindex(struct tapxfer *tx, int fd, unsigned int *ifindex);
int txl_tun_get(int fd, unsigned long cmd, int *value);
int txl_tun_set(int fd, unsigned long cmd, int value);
int txl_tun_detach(int fd, bool detach);

#endif /* LIBTAPXFER_INTERNAL_H */
