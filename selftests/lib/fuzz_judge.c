// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "fuzz_judge.h"
#include "util.h"

#define BIT(n)		(1U << (n))
#define HEX_MAX		1024
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

void fuzz_fail(struct fuzz *f, int actor, const char *fmt, ...)
{
	const struct actor_desk *d;
	va_list ap;
	size_t i;

	f->failures++;
	printf("# message %llu of seed %llu", (unsigned long long)f->n,
	       (unsigned long long)f->seed);
	if (actor >= 0)
		printf(", by %s", f->actors[actor].name);
	printf(": ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (actor >= 0) {
		d = f->actors[actor].desk;
		printf("# %zu bytes:", d->len);
		for (i = 0; i < d->len && i < HEX_MAX; i++)
			printf("%s%02x", i % 4 ? "" : " ", d->datagram[i]);
		printf("%s\n", i < d->len ? " ..." : "");
	}
	fflush(stdout);
}

int fuzz_home(int actor)
{
	return actor == ACTOR_USERNS ? ACTOR_USERNS : ACTOR_ROOT;
}

static int dev_home(int dev)
{
	return dev == DEV_USERNS ? ACTOR_USERNS : ACTOR_ROOT;
}

struct fuzz_ho *fuzz_ho(struct fuzz *f, uint32_t id)
{
	struct fuzz_ho *ho = &f->hos[id % FUZZ_HOS];

	return id && ho->id == id ? ho : NULL;
}

static struct fuzz_dev *find_dev(struct fuzz *f, int actor, int ifindex)
{
	int i;

	for (i = 0; i < DEVS; i++)
		if (dev_home(i) == fuzz_home(actor) &&
		    f->devs[i].tap.ifindex == ifindex)
			return &f->devs[i];
	return NULL;
}

/* -- what must not have been accepted ---------------------------------------- */

bool fuzz_unsure(const struct fuzz_ho *ho)
{
	return ho->vague || now_ms() >= ho->ends;
}

/* Which of the device's files a descriptor of the actor's is, or -1 */
static int file_of(struct fuzz *f, int actor, const struct fuzz_dev *dev,
		   int fd)
{
	int i;

	if (!(dev->actors & BIT(actor)))
		return -1;
	if (dev == &f->devs[DEV_SHARED] && fd == f->twin)
		return 0;
	for (i = 0; i < dev->tap.n; i++)
		if (dev->tap.fds[i] == fd)
			return i;
	return -1;
}

/* Whether it is one that a claim gave to the actor: of some device's */
static bool is_claimed(const struct fuzz *f, int actor, int fd)
{
	const struct actor_desk *desk = f->actors[actor].desk;
	unsigned int i;

	for (i = 0; i < desk->nkept; i++)
		if (desk->kept[i] == fd)
			return true;
	return false;
}

static const char *wrong_files(struct fuzz *f, int actor,
			       const struct fuzz_view *v,
			       const struct fuzz_dev *dev)
{
	bool seen[TAP_MAX] = {};
	unsigned int i;
	int file;

	for (i = 0; i < v->nfds && i < TAP_MAX; i++) {
		/* which one of which device is not known */
		if (is_claimed(f, actor, v->fds[i]))
			continue;
		file = file_of(f, actor, dev, v->fds[i]);
		if (file < 0)
			return "a file that is no queue of the device";
		if (seen[file])
			return "a file twice";
		seen[file] = true;
	}
	if (v->nfds != (unsigned int)dev->tap.n)
		return "another number of files than the device has";
	return NULL;
}

static const char *wrong_limits(struct fuzz *f, int actor,
				const struct fuzz_view *v)
{
	static const unsigned int attrs[] = {
		TAPXFER_A_HANDOVER_HOLD, TAPXFER_A_HANDOVER_DEADLINE,
		TAPXFER_A_HANDOVER_HOLD_BYTES,
	};
	uint64_t allowed[] = {
		f->hold_default, f->deadline_default, f->bytes_default,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(attrs); i++) {
		uint64_t value = 0;

		if (!v->val[attrs[i]])
			continue;
		memcpy(&value, v->val[attrs[i]], i == 2 ? 8 : 4);
		if (!value)
			return "a limit of 0";
		/* an administrator's are 16, 30 and 64 times as large */
		if (value > allowed[i] * (actor == ACTOR_NOBODY ? 1 : 64))
			return "a limit above what the sender may ask for";
	}
	return NULL;
}

static const char *wrong_begin(struct fuzz *f, int actor,
			       const struct fuzz_view *v)
{
	struct fuzz_dev *dev;
	const char *why;

	if (v->val[TAPXFER_A_HANDOVER_TOKEN])
		return "a token without an id";
	dev = find_dev(f, actor, fuzz_view_u32(v, TAPXFER_A_HANDOVER_IFINDEX));
	if (!dev)
		return "no device of that index";
	why = wrong_files(f, actor, v, dev);
	if (!why)
		why = wrong_limits(f, actor, v);
	if (!why && dev->ho && !fuzz_unsure(dev->ho))
		why = "the device is in a handover already";
	return why;
}

static const char *wrong_state(const struct fuzz_ho *ho, uint8_t cmd)
{
	static const unsigned int states[TAPXFER_CMD_MAX + 1] = {
		[TAPXFER_CMD_HOLD] = BIT(TAPXFER_STATE_PREPARED),
		[TAPXFER_CMD_FREEZE] = BIT(TAPXFER_STATE_PREPARED) |
				       BIT(TAPXFER_STATE_HOLDING),
		[TAPXFER_CMD_CLAIM] = BIT(TAPXFER_STATE_FROZEN),
		[TAPXFER_CMD_THAW] = BIT(TAPXFER_STATE_CLAIMED) |
				     BIT(TAPXFER_STATE_READY),
		[TAPXFER_CMD_PASS] = BIT(TAPXFER_STATE_CLAIMED) |
				     BIT(TAPXFER_STATE_READY),
		[TAPXFER_CMD_READY] = BIT(TAPXFER_STATE_CLAIMED),
		[TAPXFER_CMD_DRAIN] = BIT(TAPXFER_STATE_FROZEN) |
				      BIT(TAPXFER_STATE_CLAIMED),
	};

	if (!ho->live)
		return "the handover has ended";
	if (!states[cmd] || states[cmd] & BIT(ho->state) || fuzz_unsure(ho))
		return NULL;
	return "the handover is in another state";
}

/*
 * Whether it has CAP_NET_ADMIN over the device's network namespace. So has whoever
 * a user namespace belongs to, in it: nobody, who has made it.
 */
static bool rules(int actor, int dev)
{
	return actor == ACTOR_ROOT || dev_home(dev) == ACTOR_USERNS;
}

static int actor_of(const struct fuzz *f, pid_t pid)
{
	int i;

	for (i = 0; i < ACTORS; i++)
		if (f->actors[i].pid == pid)
			return i;
	return -1;
}

/* All but root are one user, and anybody may be who is none of them. */
static bool passes_to_root(const struct fuzz *f, int actor,
			   const struct fuzz_view *v)
{
	return v->cmd == TAPXFER_CMD_PASS && actor != ACTOR_ROOT &&
	       actor_of(f, fuzz_view_u32(v, TAPXFER_A_HANDOVER_PID)) ==
	       ACTOR_ROOT;
}

static bool passes_to_stranger(const struct fuzz *f, int actor,
			       const struct fuzz_view *v)
{
	return v->cmd == TAPXFER_CMD_PASS && actor != ACTOR_ROOT &&
	       actor_of(f, fuzz_view_u32(v, TAPXFER_A_HANDOVER_PID)) < 0;
}

static const char *wrong_go_on(struct fuzz *f, int actor,
			       const struct fuzz_view *v)
{
	struct fuzz_ho *ho = fuzz_ho(f, fuzz_view_u32(v, TAPXFER_A_HANDOVER_ID));
	const uint8_t *token = v->val[TAPXFER_A_HANDOVER_TOKEN];

	if (!ho)
		return "there never was such a handover";
	if (token && memcmp(token, ho->token, TAPXFER_TOKEN_LEN))
		return "the token is not the handover's";
	if (!token && (v->cmd != TAPXFER_CMD_ABORT || !rules(actor, ho->dev)))
		return "no token";
	if (v->cmd == TAPXFER_CMD_PASS &&
	    !fuzz_view_u32(v, TAPXFER_A_HANDOVER_PID))
		return "no process";
	if (passes_to_root(f, actor, v))
		return "another user's process";
	if (v->cmd == TAPXFER_CMD_CLAIM && v->val[TAPXFER_A_HANDOVER_SHARED] &&
	    !v->val[TAPXFER_A_HANDOVER_THAW])
		return "shared without a thaw";
	if (v->val[TAPXFER_A_HANDOVER_ATTACH_ALL] &&
	    v->val[TAPXFER_A_HANDOVER_THAW])
		return "attach-all with a thaw";
	if (v->val[TAPXFER_A_HANDOVER_NUM_QUEUES] &&
	    (int)fuzz_view_u32(v, TAPXFER_A_HANDOVER_NUM_QUEUES) !=
	    f->devs[ho->dev].tap.n)
		return "another number of queues";
	if (v->nfds || v->val[TAPXFER_A_HANDOVER_IFINDEX] ||
	    v->val[TAPXFER_A_HANDOVER_HOLD] ||
	    v->val[TAPXFER_A_HANDOVER_HOLD_BYTES] ||
	    v->val[TAPXFER_A_HANDOVER_DEADLINE])
		return "what a new handover needs";
	return wrong_state(ho, v->cmd);
}

static const char *wrong_get(struct fuzz *f, int actor,
			     const struct fuzz_view *v)
{
	struct fuzz_dev *dev;
	struct fuzz_ho *ho;
	int fd;

	if (v->dump || v->cmd == TAPXFER_CMD_CAP_GET)
		return NULL;
	if (v->cmd == TAPXFER_CMD_HANDOVER_GET) {
		ho = fuzz_ho(f, fuzz_view_u32(v, TAPXFER_A_HANDOVER_ID));
		if (!ho)
			return "there never was such a handover";
		return dev_home(ho->dev) == fuzz_home(actor) ? NULL :
			"it is in another network namespace";
	}
	dev = find_dev(f, actor, fuzz_view_u32(v, TAPXFER_A_DEV_IFINDEX));
	if (!dev)
		return "no device of that index";
	fd = fuzz_view_u32(v, TAPXFER_A_DEV_FD);
	if (v->nfds && file_of(f, actor, dev, fd) < 0 &&
	    !is_claimed(f, actor, fd))
		return "a file that is no queue of the device";
	return NULL;
}

static bool begins(const struct fuzz_view *v)
{
	return v->cmd == TAPXFER_CMD_PREPARE ||
	       ((v->cmd == TAPXFER_CMD_HOLD || v->cmd == TAPXFER_CMD_FREEZE) &&
		!v->val[TAPXFER_A_HANDOVER_ID]);
}

static bool wrong_scratch(const struct fuzz_view *v)
{
	uint64_t addr;

	if (!v->val[TAPXFER_A_HANDOVER_SCRATCH])
		return false;
	memcpy(&addr, v->val[TAPXFER_A_HANDOVER_SCRATCH], sizeof(addr));
	return !fuzz_scratch_is(addr);
}

static const char *wrong(struct fuzz *f, int actor, const struct fuzz_view *v)
{
	uint32_t timeout = 0;

	if (v->illegal)
		return v->illegal;
	if (v->cmd <= TAPXFER_CMD_HANDOVER_GET)
		return wrong_get(f, actor, v);
	timeout = fuzz_view_u32(v, TAPXFER_A_HANDOVER_TIMEOUT);
	if (timeout > 1000)
		return "a timeout above the limit";
	if (wrong_scratch(v))
		return "an address of no memory";
	return begins(v) ? wrong_begin(f, actor, v) : wrong_go_on(f, actor, v);
}

/* -- what has changed -------------------------------------------------------- */

static const struct nlattr *attr(const struct nlmsghdr *nlh, unsigned int type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

void fuzz_ho_end(struct fuzz *f, struct fuzz_ho *ho)
{
	ho->live = false;
	if (f->devs[ho->dev].ho == ho)
		f->devs[ho->dev].ho = NULL;
}

static struct fuzz_ho *new_ho(struct fuzz *f, int actor,
			      const struct fuzz_view *v,
			      const struct nlmsghdr *reply)
{
	const struct nlattr *id = attr(reply, TAPXFER_A_HANDOVER_ID);
	const struct nlattr *token = attr(reply, TAPXFER_A_HANDOVER_TOKEN);
	uint32_t deadline = fuzz_view_u32(v, TAPXFER_A_HANDOVER_DEADLINE);
	struct fuzz_dev *dev;
	struct fuzz_ho *ho;

	dev = find_dev(f, actor, fuzz_view_u32(v, TAPXFER_A_HANDOVER_IFINDEX));
	if (!id || !token || !dev) {
		fuzz_fail(f, actor, "a reply without id and token");
		return NULL;
	}
	if (dev->ho)
		fuzz_ho_end(f, dev->ho);
	ho = &f->hos[mnl_attr_get_u32(id) % FUZZ_HOS];
	/* it lived so long that others are where it was */
	if (ho->live)
		fuzz_ho_end(f, ho);
	memset(ho, 0, sizeof(*ho));
	ho->id = mnl_attr_get_u32(id);
	memcpy(ho->token, mnl_attr_get_payload(token), TAPXFER_TOKEN_LEN);
	ho->dev = dev - f->devs;
	ho->live = true;
	/* As late as we can be sure that it lives; others of the datagram came
	 * after it.
	 */
	ho->ends = f->sent_at + (deadline ?: f->deadline_default) / 2;
	dev->ho = ho;
	return ho;
}

/* The claimant's settings are the device's from now on. */
static void applied(struct fuzz *f, struct fuzz_ho *ho)
{
	if (ho->sndbuf)
		f->devs[ho->dev].sndbuf = ho->sndbuf;
	ho->sndbuf = 0;
}

static void step(struct fuzz *f, struct fuzz_ho *ho, int actor,
		 const struct fuzz_view *v)
{
	switch (v->cmd) {
	case TAPXFER_CMD_PREPARE:
		ho->state = TAPXFER_STATE_PREPARED;
		break;
	case TAPXFER_CMD_HOLD:
		ho->state = TAPXFER_STATE_HOLDING;
		break;
	case TAPXFER_CMD_FREEZE:
		ho->state = TAPXFER_STATE_FROZEN;
		break;
	case TAPXFER_CMD_CLAIM:
		ho->state = TAPXFER_STATE_CLAIMED;
		ho->claimant = actor;
		ho->vague = false;
		ho->sndbuf = 0;
		/* What a ready claimant has left, a thaw puts back; the
		 * deadline does not.
		 */
		if (ho->ready)
			f->devs[ho->dev].sndbuf = 0;
		if (!v->val[TAPXFER_A_HANDOVER_THAW])
			break;
		f->states[ho->state]++;
		ho->state = TAPXFER_STATE_DRAINING;
		fuzz_ho_end(f, ho);
		break;
	case TAPXFER_CMD_PASS:
		ho->claimant = actor_of(f, fuzz_view_u32(v,
						TAPXFER_A_HANDOVER_PID));
		/* Whoever else it is may exit at any time. */
		ho->vague = ho->claimant < 0;
		break;
	case TAPXFER_CMD_READY:
		ho->state = TAPXFER_STATE_READY;
		if (!ho->ready)
			ho->before = f->devs[ho->dev].sndbuf;
		ho->ready = true;
		applied(f, ho);
		break;
	case TAPXFER_CMD_THAW:
		applied(f, ho);
		ho->state = TAPXFER_STATE_DRAINING;
		fuzz_ho_end(f, ho);
		break;
	case TAPXFER_CMD_ABORT:
		/* unless the claimant's end or the deadline came first */
		if (ho->ready)
			f->devs[ho->dev].sndbuf = fuzz_unsure(ho) ? 0 :
								    ho->before;
		ho->state = TAPXFER_STATE_DRAINING;
		fuzz_ho_end(f, ho);
		break;
	default:
		return;
	}
	f->states[ho->state]++;
}

static void accept_one(struct fuzz *f, int actor, const struct fuzz_view *v,
		       const struct nlmsghdr *reply)
{
	const char *why = wrong(f, actor, v);
	struct fuzz_ho *ho;

	f->accepted[v->cmd][v->dump]++;
	f->by_actor[actor][0]++;
	if (why)
		fuzz_fail(f, actor, "%s was accepted: %s",
			  fuzz_cmd_name(v->cmd), why);
	if (v->illegal || v->cmd <= TAPXFER_CMD_HANDOVER_GET)
		return;
	if (!begins(v))
		ho = fuzz_ho(f, fuzz_view_u32(v, TAPXFER_A_HANDOVER_ID));
	else if (reply)
		ho = new_ho(f, actor, v, reply);
	else
		return;
	if (ho)
		step(f, ho, actor, v);
}

/* -- what was refused -------------------------------------------------------- */

/* What the header for userspace names */
static bool documented(int err)
{
	static const int errnos[] = {
		EINVAL, ERANGE, EPERM, EBADF, EBADFD, ENODEV, ENOTUNIQ,
		EOPNOTSUPP, EXDEV, EAGAIN, EBUSY, EDQUOT, ESRCH, ENOENT,
		EPROTO, ESTALE, ETIMEDOUT, ECANCELED, EMFILE, ENOMEM, EFAULT,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i] == err)
			return true;
	return false;
}

/* What can happen to a message that is right */
static bool excused(int err)
{
	static const int errnos[] = {
		EINVAL,		/* more is queued than shall be held */
		EAGAIN, EBUSY, EDQUOT, ESRCH, ENOENT, EPROTO, ETIMEDOUT,
		ECANCELED, ENOMEM,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i] == err)
			return true;
	return false;
}

static void refuse_one(struct fuzz *f, int actor, const struct fuzz_view *v,
		       int err, const char *text)
{
	struct fuzz_ho *ho;

	f->refused[v->cmd][v->dump]++;
	f->by_actor[actor][1]++;
	f->errnos[(unsigned int)err % ARRAY_SIZE(f->errnos)]++;
	/* One dump at a time for each socket: the core says so without a text. */
	if (v->dump && err == EBUSY)
		return;
	if (!documented(err))
		fuzz_fail(f, actor, "%s was refused with errno %d: %s",
			  fuzz_cmd_name(v->cmd), err, text);
	else if (!*text && err != ENOMEM)
		fuzz_fail(f, actor, "%s was refused with errno %d and no text",
			  fuzz_cmd_name(v->cmd), err);
	else if (f->straight && !excused(err) &&
		 !(err == EPERM && (passes_to_root(f, actor, v) ||
				    passes_to_stranger(f, actor, v))))
		fuzz_fail(f, actor, "%s is right, and was refused with errno %d: %s",
			  fuzz_cmd_name(v->cmd), err, text);

	ho = fuzz_ho(f, fuzz_view_u32(v, TAPXFER_A_HANDOVER_ID));
	/* A freeze may have got as far as the hold; who was passed the claim
	 * may have gone.
	 */
	if (ho && ((v->cmd == TAPXFER_CMD_FREEZE &&
		    (err == ETIMEDOUT || err == ECANCELED)) ||
		   (v->cmd == TAPXFER_CMD_PASS && err == ESRCH)))
		ho->vague = true;
}

/* -- answers ----------------------------------------------------------------- */

#define ANSWERS	(4 * FUZZ_BATCH)	/* messages may be cut in pieces */

struct answer {
	uint32_t seq;		/* of the message, which may be a random one */
	bool twice;		/* of another one, too: not known whose it is */
	bool seen;
	int err;
	char text[256];
	const struct nlmsghdr *reply;
};

static void read_ack(struct fuzz *f, int actor, const struct nlmsghdr *nlh,
		     struct answer *ans)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;
	size_t skip = sizeof(*err);

	ans->seen = true;
	ans->err = -err->error;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (nlh->nlmsg_type == NLMSG_DONE)
		skip = sizeof(err->error);
	else if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&err->msg);
	mnl_attr_for_each(a, nlh, skip) {
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(ans->text, sizeof(ans->text), "%s",
				 mnl_attr_get_str(a));
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_OFFS &&
		    mnl_attr_get_u32(a) >= f->actors[actor].desk->len)
			fuzz_fail(f, actor, "the error is at byte %u",
				  mnl_attr_get_u32(a));
	}
}

/* Nobody learns a token but who began. */
static void look_for_tokens(struct fuzz *f, int actor, const uint8_t *data,
			    size_t len)
{
	int i;

	for (i = 0; i < DEVS; i++)
		if (f->devs[i].ho && memmem(data, len, f->devs[i].ho->token,
					    TAPXFER_TOKEN_LEN))
			fuzz_fail(f, actor, "an answer has a token");
}

static struct answer *answer_to(struct answer ans[], unsigned int n,
				uint32_t seq)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (ans[i].seq == seq)
			return &ans[i];
	return NULL;
}

static void read_answers(struct fuzz *f, int actor, struct answer ans[],
			 unsigned int n)
{
	const uint8_t *data = NULL;
	const struct nlmsghdr *nlh;
	struct answer *to;
	size_t size;

	while ((data = actor_answer(&f->actors[actor], data, &size))) {
		int len = size;

		look_for_tokens(f, actor, data, size);
		for (nlh = (void *)data; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len)) {
			to = answer_to(ans, n, nlh->nlmsg_seq);
			if (!to)
				continue;
			if (nlh->nlmsg_type == NLMSG_ERROR ||
			    nlh->nlmsg_type == NLMSG_DONE)
				read_ack(f, actor, nlh, to);
			else
				to->reply = nlh;
		}
	}
}

/*
 * Nobody was told. What was to begin has not, and a claim was taken back; of the
 * rest it is not known whether it was done.
 */
static void lose_one(struct fuzz *f, const struct fuzz_view *v)
{
	struct fuzz_ho *ho;

	f->lost++;
	f->err = -1;
	if (v->illegal || v->cmd <= TAPXFER_CMD_HANDOVER_GET || begins(v))
		return;
	ho = fuzz_ho(f, fuzz_view_u32(v, TAPXFER_A_HANDOVER_ID));
	if (ho && v->cmd != TAPXFER_CMD_CLAIM)
		ho->vague = true;
}

static void judge_one(struct fuzz *f, int actor, const struct fuzz_view *v,
		      const struct answer *ans)
{
	if (v->reach == FUZZ_UNSEEN) {
		f->unseen++;
	} else if (v->reach == FUZZ_CORE) {
		f->refused_core++;
	} else if (!ans->seen && f->overrun) {
		/* The reply may have got through before there was no room. */
		if (ans->reply && !v->dump)
			accept_one(f, actor, v, ans->reply);
		else
			lose_one(f, v);
	} else if (!ans->seen && v->acked) {
		fuzz_fail(f, actor, "%s was not answered",
			  fuzz_cmd_name(v->cmd));
	} else if (ans->err) {
		refuse_one(f, actor, v, ans->err, ans->text);
	} else {
		accept_one(f, actor, v, ans->reply);
	}
}

void fuzz_exchange(struct fuzz *f, int actor)
{
	static struct answer ans[ANSWERS];
	static struct fuzz_view v;
	struct actor *a = &f->actors[actor];
	struct answer *to;
	unsigned int n = 0;
	size_t at = 0;

	f->err = -1;
	f->sent_at = now_ms();
	if (!actor_send(a)) {
		fuzz_fail(f, actor, "the process is gone");
		return;
	}
	if (a->desk->err) {
		f->unsent++;
		return;
	}
	f->overrun = a->desk->overrun;
	memset(ans, 0, sizeof(ans));
	while (n < ANSWERS && (at = fuzz_view_at(a->desk->datagram,
						 a->desk->len, at, a->family,
						 &v))) {
		to = answer_to(ans, n, v.seq);
		if (to)
			to->twice = true;
		else
			ans[n++].seq = v.seq;
	}
	read_answers(f, actor, ans, n);
	f->err = ans[0].err;
	at = 0;
	while ((at = fuzz_view_at(a->desk->datagram, a->desk->len, at,
				  a->family, &v))) {
		to = answer_to(ans, n, v.seq);
		if (to && !to->twice)
			judge_one(f, actor, &v, to);
	}
}
