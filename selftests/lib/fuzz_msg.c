// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "fuzz_msg.h"

void rng_seed(struct rng *r, uint64_t seed, uint64_t n)
{
	r->state = seed ^ (n * 0xd1342543de82ef95ULL);
	rng_next(r);
}

/* splitmix64 */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return rng_next(r) % n;
}

bool rng_chance(struct rng *r, unsigned int percent)
{
	return rng_below(r, 100) < percent;
}

#define PICK(r, array) ((array)[rng_below(r, sizeof(array) / sizeof((array)[0]))])

void fuzz_msg_init(struct fuzz_msg *m, uint16_t family, uint8_t cmd)
{
	m->type = family;
	m->flags = NLM_F_REQUEST | NLM_F_ACK;
	m->cmd = cmd;
	m->version = TAPXFER_FAMILY_VERSION;
	m->reserved = 0;
	m->told = 0;
	m->n = 0;
}

void fuzz_msg_add(struct fuzz_msg *m, uint16_t type, const void *data,
		  uint16_t len)
{
	struct fuzz_attr *a = &m->attr[m->n];

	if (m->n == FUZZ_ATTRS)
		return;
	m->n++;
	a->type = type;
	a->len = len;
	a->told = 0;
	memset(a->data, 0, sizeof(a->data));
	memcpy(a->data, data, len < sizeof(a->data) ? len : sizeof(a->data));
}

void fuzz_msg_u32(struct fuzz_msg *m, uint16_t type, uint32_t value)
{
	fuzz_msg_add(m, type, &value, sizeof(value));
}

/* -- spoiling ---------------------------------------------------------------- */

static uint32_t odd_number(struct rng *r)
{
	static const uint32_t odd[] = {
		0, 1, 2, 63, 64, 255, 256, 257, 1000, 16384, 16385, 262144,
		262145, 300000, 300001, 0x7fffffff, 0x80000000, 0xfffffffe,
		0xffffffff,
	};

	return rng_chance(r, 80) ? PICK(r, odd) : rng_next(r);
}

static uint16_t odd_type(struct rng *r)
{
	static const uint16_t flags[] = {
		0, 0, 0, 0, NLA_F_NESTED, NLA_F_NET_BYTEORDER,
		NLA_F_NESTED | NLA_F_NET_BYTEORDER,
	};

	/* a few more than there are */
	return rng_below(r, TAPXFER_A_HANDOVER_MAX + 4) | PICK(r, flags);
}

/* As many as netlink takes in one message, and more than it counts to */
static uint16_t odd_len(struct rng *r)
{
	static const uint16_t odd[] = {
		0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 64, 255, 4096,
		65535 - NLA_HDRLEN,
	};

	return PICK(r, odd);
}

static void random_data(struct fuzz_attr *a, struct rng *r)
{
	unsigned int i;

	for (i = 0; i < sizeof(a->data); i++)
		a->data[i] = rng_next(r);
}

static struct fuzz_attr *any_attr(struct fuzz_msg *m, struct rng *r)
{
	return m->n ? &m->attr[rng_below(r, m->n)] : NULL;
}

/* One of that number, or NULL */
static struct fuzz_attr *attr_of(struct fuzz_msg *m, uint16_t type)
{
	unsigned int i;

	for (i = 0; i < m->n; i++)
		if (m->attr[i].type == type)
			return &m->attr[i];
	return NULL;
}

static void drop_all(struct fuzz_msg *m, uint16_t type)
{
	unsigned int i, n = 0;

	for (i = 0; i < m->n; i++)
		if (m->attr[i].type != type)
			m->attr[n++] = m->attr[i];
	m->n = n;
}

static void add_random(struct fuzz_msg *m, struct rng *r)
{
	uint32_t value = odd_number(r);

	fuzz_msg_add(m, odd_type(r), &value, sizeof(value));
	if (rng_chance(r, 50))
		m->attr[m->n - 1].len = odd_len(r);
	if (rng_chance(r, 30))
		random_data(&m->attr[m->n - 1], r);
}

/* Up to more files than a device can have */
static void add_files(struct fuzz_msg *m, struct rng *r,
		      const struct fuzz_spare *spare)
{
	uint16_t type = m->cmd == TAPXFER_CMD_DEV_GET ? TAPXFER_A_DEV_FD :
							TAPXFER_A_HANDOVER_FD;
	struct fuzz_attr *a = attr_of(m, type);
	unsigned int n = rng_chance(r, 50) ? 1 : 200 + rng_below(r, 150);
	uint32_t fd;

	while (n--) {
		fd = spare->fds[rng_below(r, spare->nfds)];
		if (a && rng_chance(r, 50))
			memcpy(&fd, a->data, sizeof(fd));
		fuzz_msg_u32(m, type, fd);
	}
}

/* All that follows becomes its payload. */
static void nest(struct fuzz_msg *m, struct rng *r)
{
	unsigned int at = rng_below(r, m->n + 1), i;
	uint16_t len = 0;

	if (m->n == FUZZ_ATTRS)
		return;
	for (i = m->n; i > at; i--) {
		m->attr[i] = m->attr[i - 1];
		len += NLA_ALIGN(NLA_HDRLEN + m->attr[i].len);
	}
	m->n++;
	m->attr[at].type = odd_type(r);
	m->attr[at].len = 0;
	m->attr[at].told = NLA_HDRLEN + len;
}

static void spoil_value(struct fuzz_msg *m, struct fuzz_attr *a, struct rng *r,
			const struct fuzz_spare *spare)
{
	uint32_t value = odd_number(r);

	if (a->len == TAPXFER_TOKEN_LEN) {
		/* a bit, all of it, another's */
		if (rng_chance(r, 40))
			a->data[rng_below(r, a->len)] ^= 1 << rng_below(r, 8);
		else if (rng_chance(r, 50) && spare->token)
			memcpy(a->data, spare->token, TAPXFER_TOKEN_LEN);
		else
			random_data(a, r);
		return;
	}
	if (a->type == TAPXFER_A_HANDOVER_ID && spare->nids &&
	    rng_chance(r, 60))
		value = spare->ids[rng_below(r, spare->nids)];
	else if (rng_chance(r, 30))
		value = spare->fds[rng_below(r, spare->nfds)];
	memcpy(a->data, &value, sizeof(value));
}

static void spoil_header(struct fuzz_msg *m, struct rng *r)
{
	static const uint16_t types[] = {
		0, NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN, 15,
		GENL_ID_CTRL, 0x3ff, 0x7fff, 0xffff,
	};
	static const int told[] = {
		-65536, -20, -16, -4, -1, 1, 2, 3, 4, 16, 20, 65536, 1 << 30,
	};

	switch (rng_below(r, 6)) {
	case 0:
		m->type = PICK(r, types);
		break;
	case 1:
		m->flags ^= 1 << rng_below(r, 16);
		break;
	case 2:
		m->flags |= NLM_F_DUMP;
		break;
	case 3:
		m->cmd = rng_chance(r, 80) ? rng_below(r, TAPXFER_CMD_MAX + 3) :
					     rng_next(r);
		break;
	case 4:
		if (rng_chance(r, 70))
			m->version = rng_next(r);
		else
			m->reserved = rng_next(r);
		break;
	case 5:
		m->told = PICK(r, told);
		break;
	}
}

void fuzz_msg_spoil(struct fuzz_msg *m, struct rng *r,
		    const struct fuzz_spare *spare)
{
	struct fuzz_attr *a = any_attr(m, r);
	unsigned int kind = rng_below(r, 100);

	if (kind < 12) {
		spoil_header(m, r);
	} else if (kind < 22 || !a) {
		add_random(m, r);
	} else if (kind < 32) {
		add_files(m, r, spare);
	} else if (kind < 38) {
		nest(m, r);
	} else if (kind < 48) {
		/* once more, or not at all, or none of its kind */
		if (rng_chance(r, 50) && m->n < FUZZ_ATTRS)
			m->attr[m->n++] = *a;
		else if (rng_chance(r, 50))
			*a = m->attr[--m->n];
		else
			drop_all(m, a->type);
	} else if (kind < 58) {
		a->type = rng_chance(r, 70) ? odd_type(r) :
					      a->type ^ NLA_F_NESTED;
	} else if (kind < 68) {
		a->len = odd_len(r);
	} else if (kind < 74) {
		a->told = rng_chance(r, 50) ? odd_len(r) :
					      rng_below(r, 2 * NLA_HDRLEN);
	} else if (kind < 78) {
		a->data[rng_below(r, sizeof(a->data))] ^= 1 << rng_below(r, 8);
	} else {
		spoil_value(m, a, r, spare);
	}
}

/* -- sending ----------------------------------------------------------------- */

static size_t put(uint8_t *buf, size_t at, const void *data, size_t len)
{
	if (at + len <= FUZZ_DATAGRAM)
		memcpy(buf + at, data, len);
	return at + len;
}

static size_t put_attr(const struct fuzz_attr *a, uint8_t *buf, size_t at)
{
	static const uint8_t pad[NLA_ALIGNTO];
	struct nlattr nla = {
		.nla_len = a->told ? a->told : NLA_HDRLEN + a->len,
		.nla_type = a->type,
	};
	size_t left = a->len, n;

	at = put(buf, at, &nla, sizeof(nla));
	for (; left; left -= n) {
		n = left < sizeof(a->data) ? left : sizeof(a->data);
		at = put(buf, at, a->data, n);
	}
	return put(buf, at, pad, NLA_ALIGN(a->len) - a->len);
}

size_t fuzz_msg_put(const struct fuzz_msg *m, uint8_t *buf, size_t len,
		    uint32_t seq)
{
	struct nlmsghdr nlh = {
		.nlmsg_type = m->type,
		.nlmsg_flags = m->flags,
		.nlmsg_seq = seq,
	};
	struct genlmsghdr genl = {
		.cmd = m->cmd,
		.version = m->version,
		.reserved = m->reserved,
	};
	size_t at = len;
	unsigned int i;

	at = put(buf, at, &nlh, sizeof(nlh));
	at = put(buf, at, &genl, sizeof(genl));
	for (i = 0; i < m->n; i++)
		at = put_attr(&m->attr[i], buf, at);
	/* It did not fit: what is there already has to do. */
	if (at > FUZZ_DATAGRAM)
		return len;
	nlh.nlmsg_len = at - len + m->told;
	memcpy(buf + len, &nlh, sizeof(nlh));
	return at;
}
