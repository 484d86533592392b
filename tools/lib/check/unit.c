// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Checks that need no kernel module: "ok - …" lines for check/run.sh, which
 * numbers them. They see the library's insides.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include <tapxfer/vhost.h>

#include "internal.h"

/* VMMs send it to each other, of one version or of two. */
_Static_assert(sizeof(struct tapxfer_vhost_vring) == 40 &&
	       offsetof(struct tapxfer_vhost_vring, used) == 16 &&
	       offsetof(struct tapxfer_vhost_vring, num) == 24 &&
	       offsetof(struct tapxfer_vhost_vring, base) == 28 &&
	       offsetof(struct tapxfer_vhost_vring, busyloop) == 32 &&
	       sizeof(struct tapxfer_vhost_state) == 104 &&
	       offsetof(struct tapxfer_vhost_state, features) == 8 &&
	       offsetof(struct tapxfer_vhost_state, backend_features) == 16 &&
	       offsetof(struct tapxfer_vhost_state, vrings) == 24,
	       "the layout of a vhost-net device's state");

static int failures;

#define CHECK(cond, ...) check(!!(cond), #cond, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 4, 5)))
static void check(bool good, const char *cond, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%s - ", good ? "ok" : "not ok");
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

/* A handle that no kernel is behind. */
static struct tapxfer *fake_handle(void)
{
	struct tapxfer *tx = calloc(1, sizeof(*tx));

	tx->rx = malloc(TXL_RX_SIZE);
	tx->nl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	mnl_socket_bind(tx->nl, 0, MNL_SOCKET_AUTOPID);
	tx->portid = mnl_socket_get_portid(tx->nl);
	tx->family = 0x7ff0;	/* nobody has it */
	txl_error_reset(tx);
	return tx;
}

static void tokens(void)
{
	static const char good[] = "00112233445566778899aabbccddeeff";
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
		{ good, 31 },
		{ "00112233445566778899aabbccddeeff\n", 33 },
		{ " 0112233445566778899aabbccddeeff", 32 },
		{ "0x112233445566778899aabbccddeeff", 32 },
		{ "00112233445566778899aabbccddeefg", 32 },
		{ "-0112233445566778899aabbccddeeff", 32 },
		{ "00112233445566\0" "78899aabbccddeeff0", 32 },
		{ "", 0 },
	};
	struct tapxfer_token token, zero = { 0 };
	char text[TAPXFER_TOKEN_TEXT_LEN + 1];
	size_t i;

	CHECK(!tapxfer_token_parse(&token, good, 32) &&
	      token.bytes[0] == 0 && token.bytes[1] == 0x11 &&
	      token.bytes[15] == 0xff, "token: parse");
	CHECK(!tapxfer_token_format(&token, text, sizeof(text)) &&
	      !strcmp(text, good), "token: format");
	CHECK(tapxfer_token_format(&token, text, 32) == -ENOSPC &&
	      !strcmp(text, good), "token: no room is told, nothing written");
	CHECK(!tapxfer_token_parse(&token,
				   "00112233445566778899AABBCCDDEEFF", 32),
	      "token: upper case digits");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&token, 1, sizeof(token));
		CHECK(tapxfer_token_parse(&token, bad[i].text,
					  bad[i].len) == -EINVAL &&
		      !memcmp(&token, &zero, sizeof(token)),
		      "token: bad text %zu is refused and wiped", i);
	}
	memset(&token, 1, sizeof(token));
	tapxfer_token_wipe(&token);
	CHECK(!memcmp(&token, &zero, sizeof(token)), "token: wipe");
	tapxfer_token_wipe(NULL);
}

/* An ack as the kernel makes it: errno, the request's head, TLVs. */
static struct nlmsghdr *ack_begin(char *buf, int err,
				  const struct txl_req *req, bool capped)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlmsgerr *e;
	size_t rest = req->nlh->nlmsg_len - sizeof(*req->nlh);

	nlh->nlmsg_type = NLMSG_ERROR;
	nlh->nlmsg_flags = NLM_F_ACK_TLVS | (capped ? NLM_F_CAPPED : 0);
	e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));
	e->error = err;
	e->msg = *req->nlh;
	if (!capped)
		memcpy(mnl_nlmsg_put_extra_header(nlh, rest), req->nlh + 1,
		       rest);
	return nlh;
}

static void errors(void)
{
	struct tapxfer *tx = fake_handle();
	struct nlmsghdr *nlh;
	struct nlattr *second, *hold;
	struct txl_req req;
	char buf[4096];
	bool capped = true;

	txl_req_init(tx, &req, TXL_SET_HANDOVER, TAPXFER_CMD_PREPARE, 256);
	mnl_attr_put_u32(req.nlh, TAPXFER_A_HANDOVER_FD, 5);
	second = mnl_nlmsg_get_payload_tail(req.nlh);
	mnl_attr_put_u32(req.nlh, TAPXFER_A_HANDOVER_FD, 9);
	hold = mnl_nlmsg_get_payload_tail(req.nlh);
	mnl_attr_put_u32(req.nlh, TAPXFER_A_HANDOVER_HOLD, 0);

	do {
		nlh = ack_begin(buf, -EXDEV, &req, capped);
		mnl_attr_put_strz(nlh, 1, "another device's");
		mnl_attr_put_u32(nlh, 2, (uint32_t)((char *)second -
						    (char *)req.nlh));
		CHECK(txl_error_ack(tx, -EXDEV, nlh, &req) == -EXDEV &&
		      !strcmp(tapxfer_error(tx), "another device's (fd 9)") &&
		      !strcmp(tapxfer_error_extack(tx), "another device's") &&
		      tapxfer_error_attr(tx) == TAPXFER_A_HANDOVER_FD &&
		      tapxfer_error_fd(tx) == 9,
		      "errors: the offset finds the second fd, %s",
		      capped ? "request not echoed" : "request echoed");
		capped = !capped;
	} while (!capped);

	nlh = ack_begin(buf, -EINVAL, &req, true);
	mnl_attr_put_u32(nlh, 2, (uint32_t)((char *)hold - (char *)req.nlh));
	txl_error_ack(tx, -EINVAL, nlh, &req);
	CHECK(!strcmp(tapxfer_error(tx), "Invalid argument (hold 0)") &&
	      !tapxfer_error_extack(tx) && tapxfer_error_fd(tx) == -1,
	      "errors: no message: the errno's text and the attribute");

	nlh = ack_begin(buf, -EINVAL, &req, true);
	mnl_attr_put_strz(nlh, 1, "no token");
	mnl_attr_put_u32(nlh, 5, TAPXFER_A_HANDOVER_TOKEN);
	txl_error_ack(tx, -EINVAL, nlh, &req);
	CHECK(!strcmp(tapxfer_error(tx), "no token (token is missing)") &&
	      tapxfer_error_attr(tx) == TAPXFER_A_HANDOVER_TOKEN,
	      "errors: a missing attribute");

	nlh = ack_begin(buf, -EINVAL, &req, true);
	mnl_attr_put_strz(nlh, 1, "x");
	mnl_attr_put_u32(nlh, 2, 3);
	txl_error_ack(tx, -EINVAL, nlh, &req);
	CHECK(!strcmp(tapxfer_error(tx), "x"),
	      "errors: an offset that points at nothing");

	/* a length beyond the message, then none at all */
	nlh = ack_begin(buf, -EPERM, &req, true);
	mnl_attr_put_strz(nlh, 1, "short");
	((struct nlattr *)((char *)nlh + nlh->nlmsg_len - 12))->nla_len = 999;
	txl_error_ack(tx, -EPERM, nlh, &req);
	CHECK(!strcmp(tapxfer_error(tx), "Operation not permitted"),
	      "errors: a TLV longer than the message");
	nlh = ack_begin(buf, -EPERM, &req, false);
	((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->msg.nlmsg_len = 1u << 30;
	txl_error_ack(tx, -EPERM, nlh, &req);
	CHECK(!strcmp(tapxfer_error(tx), "Operation not permitted"),
	      "errors: an echoed request longer than the message");

	nlh = ack_begin(buf, -EBUSY, &req, true);
	mnl_attr_put_strz(nlh, 1, "queue 3 has 2 other holders   ");
	txl_error_ack(tx, -EBUSY, nlh, &req);
	CHECK(!strcmp(tapxfer_error_extack(tx), "queue 3 has 2 other holders") &&
	      !strcmp(tapxfer_error(tx), "queue 3 has 2 other holders"),
	      "errors: blanks at a message's end are cut");
	nlh = ack_begin(buf, -EBUSY, &req, true);
	mnl_attr_put_strz(nlh, 1, "  ");
	txl_error_ack(tx, -EBUSY, nlh, &req);
	CHECK(!tapxfer_error_extack(tx) && *tapxfer_error(tx),
	      "errors: a message of blanks is none");

	second = mnl_nlmsg_get_payload_tail(req.nlh);
	mnl_attr_put_u64(req.nlh, TAPXFER_A_HANDOVER_HOLD_BYTES, 1ULL << 40);
	nlh = ack_begin(buf, -ERANGE, &req, true);
	mnl_attr_put_strz(nlh, 1, "too much");
	mnl_attr_put_u32(nlh, 2, (uint32_t)((char *)second - (char *)req.nlh));
	txl_error_ack(tx, -ERANGE, nlh, &req);
	CHECK(!strcmp(tapxfer_error(tx), "too much (hold-bytes 1099511627776)"),
	      "errors: an attribute of 64 bits: %s", tapxfer_error(tx));

	txl_req_free(&req);
	CHECK(!strcmp(tapxfer_open_error(-ENOENT),
		      "tapxfer module is not loaded: modprobe tapxfer"),
	      "errors: module not loaded");
	tapxfer_close(tx);
}

static void infos(void)
{
	static const char mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct tapxfer_info *info = NULL;
	const struct tapxfer_info *nest;
	struct tapxfer_token token = { 0 };
	struct nlmsghdr *nlh;
	struct nlattr *nla;
	char buf[4096];
	int fds[4] = { -1, -1, -1, -1 };
	size_t len;
	uint32_t i;

	nlh = mnl_nlmsg_put_header(buf);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct genlmsghdr));
	mnl_attr_put_u32(nlh, TAPXFER_A_HANDOVER_ID, 7);
	mnl_attr_put(nlh, TAPXFER_A_HANDOVER_TOKEN, 16, "0123456789abcdef");
	mnl_attr_put_strz(nlh, TAPXFER_A_HANDOVER_IFNAME, "tap0");
	mnl_attr_put_u64(nlh, TAPXFER_A_HANDOVER_HELD, 1ULL << 40);
	/* as kernels before strict validation nest, without the flag */
	nla = mnl_attr_nest_start(nlh, TAPXFER_A_HANDOVER_DEV);
	nla->nla_type = TAPXFER_A_HANDOVER_DEV;
	mnl_attr_put(nlh, TAPXFER_A_DEV_MAC, sizeof(mac), mac);
	mnl_attr_put_u32(nlh, TAPXFER_A_DEV_SNDBUF, (uint32_t)-1);
	mnl_attr_nest_end(nlh, nla);
	for (i = 0; i < 3; i++) {
		nla = mnl_attr_nest_start(nlh, TAPXFER_A_HANDOVER_QUEUE);
		mnl_attr_put_u32(nlh, TAPXFER_A_QUEUE_INDEX, i);
		mnl_attr_put_u32(nlh, TAPXFER_A_QUEUE_FD, 20 + i);
		mnl_attr_put_u8(nlh, TAPXFER_A_QUEUE_DETACHED, i == 2);
		mnl_attr_nest_end(nlh, nla);
	}
	mnl_attr_put_u16(nlh, 200, 300);

	CHECK(!txl_info_new(nlh, TXL_SET_HANDOVER, &token, &info),
	      "info: a handover is taken");
	CHECK(!memcmp(token.bytes, "0123456789abcdef", 16) &&
	      !tapxfer_info_has(info, TAPXFER_A_HANDOVER_TOKEN),
	      "info: the token goes to its place alone");
	CHECK(tapxfer_info_u64(info, TAPXFER_A_HANDOVER_ID) == 7 &&
	      tapxfer_info_u64(info, TAPXFER_A_HANDOVER_HELD) == 1ULL << 40 &&
	      tapxfer_info_u64(info, 200) == 300 &&
	      tapxfer_info_u64(info, TAPXFER_A_HANDOVER_IFNAME) == 0 &&
	      tapxfer_info_u64(info, TAPXFER_A_HANDOVER_HOLD) == 0,
	      "info: numbers of any width, unknown ones too; 0 for the rest");
	CHECK(!strcmp(tapxfer_info_str(info, TAPXFER_A_HANDOVER_IFNAME),
		      "tap0") &&
	      !tapxfer_info_str(info, TAPXFER_A_HANDOVER_HOLD) &&
	      !tapxfer_info_str(info, 200),
	      "info: strings");
	nest = tapxfer_info_nest(info, TAPXFER_A_HANDOVER_DEV, 0);
	CHECK(nest && tapxfer_info_s32(nest, TAPXFER_A_DEV_SNDBUF) == -1 &&
	      !memcmp(tapxfer_info_bin(nest, TAPXFER_A_DEV_MAC, &len), mac, 6) &&
	      len == 6 && !tapxfer_info_bin(nest, TAPXFER_A_DEV_MTU, &len) &&
	      !len, "info: the device within");
	CHECK(!tapxfer_info_fds(nest, fds, 4), "info: no fds in a device");
	CHECK(tapxfer_info_count(info, TAPXFER_A_HANDOVER_QUEUE) == 3 &&
	      tapxfer_info_u64(tapxfer_info_nest(info,
						 TAPXFER_A_HANDOVER_QUEUE, 2),
			       TAPXFER_A_QUEUE_DETACHED) == 1 &&
	      !tapxfer_info_nest(info, TAPXFER_A_HANDOVER_QUEUE, 3) &&
	      !tapxfer_info_nest(info, TAPXFER_A_HANDOVER_ID, 0),
	      "info: the queues within");
	i = 0;
	for_each_nest(nest, info, TAPXFER_A_HANDOVER_QUEUE)
		if (nest != tapxfer_info_nest(info, TAPXFER_A_HANDOVER_QUEUE,
					      i++))
			break;
	CHECK(!nest && i == 3 &&
	      !txl_info_next(info, TAPXFER_A_HANDOVER_ID, NULL) &&
	      !txl_info_next(info, TAPXFER_A_HANDOVER_FD, NULL),
	      "info: the queues within, one after the other");
	CHECK(tapxfer_info_fds(info, fds, 2) == 3 && fds[0] == 20 &&
	      fds[1] == 21 && fds[2] == -1 &&
	      tapxfer_info_fds(info, NULL, 0) == 3,
	      "info: fds, no more than there is room for");
	tapxfer_info_free(info);
	tapxfer_info_free(NULL);

	info = NULL;
	nlh->nlmsg_len = MNL_NLMSG_HDRLEN + 2;
	CHECK(txl_info_new(nlh, TXL_SET_CAP, NULL, &info) == -EPROTO && !info,
	      "info: a message without a head is refused");
	nlh->nlmsg_len = MNL_NLMSG_HDRLEN + 4;
	CHECK(!txl_info_new(nlh, TXL_SET_CAP, NULL, &info) &&
	      !tapxfer_info_has(info, 1), "info: an empty one is not");
	tapxfer_info_free(info);

	CHECK(!strcmp(tapxfer_state_name(TAPXFER_STATE_DRAINING), "draining") &&
	      !tapxfer_state_name(0) && !tapxfer_state_name(99) &&
	      !strcmp(tapxfer_event_name(TAPXFER_EVENT_GONE), "gone") &&
	      !strcmp(tapxfer_dev_type_name(TAPXFER_DEV_TYPE_TAP), "tap") &&
	      !strcmp(tapxfer_feature_name(16), "write-wait") &&
	      !tapxfer_feature_name(3) &&
	      !strcmp(tapxfer_not_exported_name(8), "queue-index") &&
	      !strcmp(tapxfer_state_name(TAPXFER_STATE_READY), "ready") &&
	      !strcmp(tapxfer_event_name(TAPXFER_EVENT_READY), "ready") &&
	      !strcmp(tapxfer_event_name(TAPXFER_EVENT_VIOLATED), "violated") &&
	      !strcmp(tapxfer_violation_name(16), "xdp") &&
	      !tapxfer_violation_name(3),
	      "info: names");
	for (i = 0; i < 14 && tapxfer_feature_name(1ULL << i); i++)
		;
	CHECK(i == 14, "info: each feature has a name");
}

/* What is refused before the kernel is asked, and by a kernel without us. */
static void arguments(void)
{
	struct tapxfer_opts opts = { .size = sizeof(opts) };
	struct {
		struct tapxfer_opts opts;
		uint32_t future;
	} newer = { .opts.size = sizeof(newer) };
	struct tapxfer_info *info = (void *)-1;
	struct tapxfer *tx = fake_handle();
	struct tapxfer_token token;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(tapxfer_dev_get(tx, 0, -1, &info) == -EINVAL && !info &&
	      *tapxfer_error(tx), "arguments: no device");
	CHECK(tapxfer_prepare(tx, 0, &fd, 1, NULL, &token,
			      &info) == -EOPNOTSUPP &&
	      strstr(tapxfer_error(tx), "(fd ") && tapxfer_error_fd(tx) == fd,
	      "arguments: not a tun file: %s", tapxfer_error(tx));
	close(fd);
	CHECK(tapxfer_prepare(tx, 0, &fd, 1, NULL, &token, &info) == -EBADF &&
	      tapxfer_error_fd(tx) == fd, "arguments: a closed file");
	CHECK(tapxfer_ifindex(tx, "") == -EINVAL &&
	      tapxfer_ifindex(tx, "0123456789abcdef") == -EINVAL &&
	      tapxfer_ifindex(tx, "no-such-dev") == -ENODEV &&
	      strstr(tapxfer_error(tx), "no-such-dev") &&
	      tapxfer_ifindex(tx, "lo") == 1 && !*tapxfer_error(tx),
	      "arguments: interface names");

	opts.set = TAPXFER_OPT_HOLD;
	CHECK(tapxfer_hold_id(tx, 1, &token, &opts, NULL) == -EINVAL &&
	      strstr(tapxfer_error(tx), "hold limit"),
	      "arguments: a hold limit where none belongs");
	opts.set = TAPXFER_OPT_TIMEOUT;
	CHECK(tapxfer_prepare(tx, 1, NULL, 0, &opts, &token, &info) == -EINVAL,
	      "arguments: a timeout where none belongs");
	opts.set = 0x80;
	CHECK(tapxfer_freeze(tx, 1, NULL, 0, &opts, &token, &info) == -EINVAL,
	      "arguments: an unknown option");
	opts.size = 0;
	CHECK(tapxfer_freeze(tx, 1, NULL, 0, &opts, &token, &info) == -EINVAL,
	      "arguments: options without a size");
	CHECK(tapxfer_freeze_id(tx, 1, &token, &newer.opts, NULL) == -ENOENT,
	      "arguments: larger options whose rest is 0");
	newer.future = 1;
	CHECK(tapxfer_freeze_id(tx, 1, &token, &newer.opts, NULL) == -E2BIG,
	      "arguments: larger options whose rest is not");

	/* as the first version had them, with anything behind */
	opts = (struct tapxfer_opts){
		.size = offsetof(struct tapxfer_opts, reserved),
		.set = TAPXFER_OPT_TIMEOUT,
		.reserved = 1,
		.hold_bytes = 1,
	};
	CHECK(tapxfer_freeze_id(tx, 1, &token, &opts, NULL) == -ENOENT,
	      "arguments: the options of version 0.1");
	opts.set = TAPXFER_OPT_HOLD_BYTES;
	CHECK(tapxfer_freeze(tx, 1, NULL, 0, &opts, &token, &info) == -EINVAL &&
	      strstr(tapxfer_error(tx), "size ends"),
	      "arguments: bytes that the options have no room for");
	opts.size = sizeof(opts);
	CHECK(tapxfer_freeze(tx, 1, NULL, 0, &opts, &token, &info) == -EINVAL &&
	      strstr(tapxfer_error(tx), "reserved"),
	      "arguments: what is reserved is 0");
	opts.reserved = 0;
	CHECK(tapxfer_freeze(tx, 1, NULL, 0, &opts, &token, &info) == -ENOENT,
	      "arguments: bytes with the call that begins");
	CHECK(tapxfer_freeze_id(tx, 1, &token, &opts, NULL) == -EINVAL &&
	      strstr(tapxfer_error(tx), "in bytes"),
	      "arguments: bytes where they do not belong");

	CHECK(tapxfer_claim_flags(tx, 1, &token, 4, &info) == -EINVAL &&
	      tapxfer_claim_fds(tx, 1, &token, TAPXFER_CLAIM_NO_FDS, NULL,
				0) == -EINVAL &&
	      tapxfer_ready(tx, 1, &token, 2, NULL) == -EINVAL &&
	      tapxfer_thaw_flags(tx, 1, &token, 2, NULL) == -EINVAL &&
	      strstr(tapxfer_error(tx), "a flag"),
	      "arguments: unknown flags");
	CHECK(tapxfer_claim_flags(tx, 1, &token, TAPXFER_CLAIM_NO_FDS,
				  &info) == -ENOENT &&
	      tapxfer_ready(tx, 1, &token, TAPXFER_THAW_SHARED,
			    &info) == -ENOENT &&
	      tapxfer_thaw_flags(tx, 1, &token, TAPXFER_THAW_SHARED,
				 &info) == -ENOENT &&
	      tapxfer_drain(tx, 1, &token, -1, &info) == -ENOENT && !info,
	      "arguments: known ones, to nobody");

	CHECK(tapxfer_claim(tx, 1, &token, &info) == -ENOENT && !info &&
	      !strcmp(tapxfer_error(tx), tapxfer_open_error(-ENOENT)),
	      "no module: %s", tapxfer_error(tx));
	CHECK(tapxfer_subscribe(tx) == -EPROTO &&
	      tapxfer_event_next(tx, 0, &info) == -EINVAL,
	      "arguments: events of nobody");
	tx->subscribed = true;
	CHECK(tapxfer_thaw(tx, 1, &token, NULL) == -EBUSY,
	      "arguments: a command on a handle for events");
	CHECK(tapxfer_event_next(tx, 0, &info) == -EAGAIN &&
	      tapxfer_event_next(tx, 20, &info) == -EAGAIN && !info,
	      "events: none in time");
	tapxfer_close(tx);
	tapxfer_close(NULL);

	CHECK(tapxfer_open_netns(&tx, 0) < 0 && !tx,
	      "arguments: not a network namespace");
}

/* The kernel's part of a pass: what it was told, and what befell then. */
static struct {
	int calls;
	pid_t pid[2];
	pid_t dies;
	int err;
} passes;

int __wrap_txl_pass(struct tapxfer *tx, uint32_t id,
		    const struct tapxfer_token *token, pid_t pid,
		    struct tapxfer_info **ho);

int __wrap_txl_pass(struct tapxfer *tx, uint32_t id,
		    const struct tapxfer_token *token, pid_t pid,
		    struct tapxfer_info **ho)
{
	(void)id;
	(void)token;
	if (passes.calls < 2)
		passes.pid[passes.calls] = pid;
	passes.calls++;
	if (passes.dies) {
		kill(passes.dies, SIGKILL);
		waitpid(passes.dies, NULL, 0);
		passes.dies = 0;
	}
	if (passes.err)
		return txl_error_set(tx, passes.err, "no");
	if (ho)
		*ho = txl_info_reserve();
	return 0;
}

static pid_t child_new(int *pidfd)
{
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	*pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pid;
}

static void pass(void)
{
	struct tapxfer_info *ho = (void *)-1;
	struct tapxfer_token token = { 0 };
	struct tapxfer *tx = fake_handle();
	int fd, ended, pidfd;
	pid_t pid, dead;

	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(tapxfer_pass(tx, 1, &token, fd, &ho) == -EBADF && !ho &&
	      strstr(tapxfer_error(tx), "no pidfd"), "pass: not a pidfd: %s",
	      tapxfer_error(tx));
	close(fd);
	CHECK(tapxfer_pass(tx, 1, &token, fd, NULL) == -EBADF &&
	      tapxfer_pass(tx, 1, &token, -1, NULL) == -EBADF,
	      "pass: a closed descriptor: %s", tapxfer_error(tx));

	pid = child_new(&pidfd);
	if (pidfd < 0) {
		puts("ok - pass: # SKIP no pidfd_open(2) here");
		goto out;
	}
	CHECK(!tapxfer_pass(tx, 1, &token, pidfd, &ho) && ho &&
	      passes.calls == 1 && passes.pid[0] == pid,
	      "pass: the process's number goes to the kernel");
	tapxfer_info_free(ho);
	passes.err = -EPROTO;
	CHECK(tapxfer_pass(tx, 1, &token, pidfd, &ho) == -EPROTO && !ho &&
	      passes.calls == 2 && !strcmp(tapxfer_error(tx), "no"),
	      "pass: the kernel's word on it");

	memset(&passes, 0, sizeof(passes));
	passes.dies = pid;
	CHECK(tapxfer_pass(tx, 1, &token, pidfd, &ho) == -ESRCH && !ho &&
	      passes.calls == 2 && passes.pid[0] == pid &&
	      passes.pid[1] == getpid(),
	      "pass: one that ends meanwhile: the claim is taken back");
	CHECK(tapxfer_pass(tx, 1, &token, pidfd, &ho) == -ESRCH && !ho &&
	      passes.calls == 2 && *tapxfer_error(tx),
	      "pass: one that was reaped: %s", tapxfer_error(tx));

	dead = child_new(&ended);
	kill(dead, SIGKILL);
	waitid(P_PID, (id_t)dead, NULL, WEXITED | WNOWAIT);
	CHECK(tapxfer_pass(tx, 1, &token, ended, NULL) == -ESRCH &&
	      passes.calls == 2, "pass: one that ended and was not reaped");
	waitpid(dead, NULL, 0);

	pid = dead = child_new(&fd);
	memset(&passes, 0, sizeof(passes));
	passes.dies = pid;
	passes.err = -EPERM;
	CHECK(tapxfer_pass(tx, 1, &token, fd, NULL) == -ESRCH &&
	      passes.calls == 1, "pass: refused, and ended: nothing to take back");
	close(fd);
	close(ended);
	close(pidfd);
out:
	if (pidfd < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	tapxfer_close(tx);
}

struct seen {
	int n;
	int stop;
	pid_t pid;
	int fds[8];
	uint32_t flags[8];
};

static int see(const struct tapxfer_holder *holder, void *data)
{
	struct seen *s = data;

	if (s->n < 8) {
		s->fds[s->n] = holder->fd;
		s->flags[s->n] = holder->flags;
	}
	s->n++;
	s->pid = holder->pid;
	return s->stop;
}

static int same(const char *name, void *data)
{
	return strcmp(name, data) ? 0 : 77;
}

static int tap_open(const char *ifname)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void processes(void)
{
	struct tapxfer_queues *q = (void *)-1;
	struct tapxfer *tx = fake_handle();
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
	struct seen seen = { 0 };
	unsigned int unreadable = 99;
	int i, err, fds[3], more;
	char ifname[16];
	pid_t child;

	if (syscall(SYS_pidfd_open, getpid(), 0) < 0) {
		puts("ok - processes: queues # SKIP no pidfd_open(2) here");
		tapxfer_close(tx);
		return;
	}
	CHECK(tapxfer_queues_open(tx, getpid(), "no-such-dev", &q) == -ENODEV &&
	      !q, "processes: no such device");
	CHECK(tapxfer_queues_open(tx, 0, "lo", &q) == -EINVAL &&
	      tapxfer_queues_open(tx, 0x3ffffff, "lo", &q) == -ESRCH,
	      "processes: no such process: %s", tapxfer_error(tx));
	CHECK(!tapxfer_queues_open(tx, getpid(), "lo", &q) &&
	      tapxfer_queues_count(q) == 0, "processes: no queue");
	tapxfer_queues_close(q);

	snprintf(ifname, sizeof(ifname), "txu%d", (int)getpid());
	for (i = 0; i < 3; i++)
		fds[i] = tap_open(ifname);
	if (fds[0] < 0) {
		puts("ok - processes: queues # SKIP no tap can be made here");
		tapxfer_close(tx);
		return;
	}
	more = fcntl(fds[0], F_DUPFD_CLOEXEC, 100);
	ioctl(fds[2], TUNSETQUEUE, &ifr);

	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	/* a hole below, where duplicates would like to go */
	close(fds[0]);
	fds[0] = -1;
	CHECK(!tapxfer_queues_open(tx, getpid(), ifname, &q) &&
	      tapxfer_queues_count(q) == 3 &&
	      tapxfer_queues_numbers(q)[0] == fds[1] &&
	      tapxfer_queues_numbers(q)[1] == fds[2] &&
	      tapxfer_queues_numbers(q)[2] == more,
	      "processes: own queues, a detached one too");
	tapxfer_queues_close(q);

	CHECK(!tapxfer_queues_open(NULL, child, ifname, &q) &&
	      tapxfer_queues_count(q) == 3 &&
	      tapxfer_queues_numbers(q)[2] == fds[2] &&
	      fcntl(tapxfer_queues_fds(q)[0], F_GETFD) == FD_CLOEXEC,
	      "processes: a child's, dup()ed files once, close-on-exec");
	tapxfer_queues_close(q);

	err = tapxfer_holders(tx, ifname, see, &seen, &unreadable);
	CHECK(!err && seen.n == 7 && unreadable != 99 &&
	      seen.flags[1] == TAPXFER_HOLDER_DETACHED && seen.flags[0] == 0,
	      "processes: holders: %d of 7 descriptors, %u unreadable",
	      seen.n, unreadable);
	seen = (struct seen){ .stop = 5 };
	CHECK(tapxfer_holders(NULL, ifname, see, &seen, NULL) == 5 &&
	      seen.n == 1, "processes: holders: the callback stops the walk");

	CHECK(tapxfer_process_devices(tx, child, same, ifname) == 77 &&
	      tapxfer_process_devices(NULL, 0, same, ifname) == -EINVAL,
	      "processes: a process's devices");

	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	CHECK(tapxfer_queues_open(tx, child, ifname, &q) == -ESRCH,
	      "processes: one that has ended");
	close(fds[1]);
	close(fds[2]);
	close(more);
	tapxfer_close(tx);
}

int main(void)
{
	struct tapxfer *tx = (void *)-1;
	int err;

	tokens();
	errors();
	infos();
	arguments();
	pass();
	processes();

	err = tapxfer_open(&tx);
	CHECK((!err && tx) || (err == -ENOENT && !tx),
	      "open: %s", err ? tapxfer_open_error(err) : "the module is here");
	tapxfer_close(tx);
	return !!failures;
}
