// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel told, as JSON for programs and as text for people. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_tun.h>

#include "cli.h"

/* Keys are this wide in the lines of an object. */
#define KEY_WIDTH	18

/* libtapxfer's names, for values of any width */
static const char *state_name(uint64_t v)
{
	return tapxfer_state_name((unsigned int)v);
}

static const char *event_name(uint64_t v)
{
	return tapxfer_event_name((unsigned int)v);
}

static const char *type_name(uint64_t v)
{
	return tapxfer_dev_type_name((unsigned int)v);
}

static const char *not_exported_name(uint64_t v)
{
	return tapxfer_not_exported_name((uint32_t)v);
}

static const char *violation_name(uint64_t v)
{
	return tapxfer_violation_name((uint32_t)v);
}

const struct attr cap_attrs[] = {
	{ TAPXFER_A_CAP_MODULE_VERSION, "module-version", KIND_STRING, "", NULL },
	{ TAPXFER_A_CAP_FEATURES, "features", KIND_BITS, "",
	  tapxfer_feature_name },
	{ TAPXFER_A_CAP_HOLD_DEFAULT, "hold-default", KIND_NUMBER,
	  " packets a queue", NULL },
	{ TAPXFER_A_CAP_HOLD_MAX, "hold-max", KIND_NUMBER,
	  " packets a queue, with CAP_NET_ADMIN", NULL },
	{ TAPXFER_A_CAP_HOLD_BYTES_DEFAULT, "hold-bytes-default", KIND_BYTES,
	  " a handover", NULL },
	{ TAPXFER_A_CAP_HOLD_BYTES_MAX, "hold-bytes-max", KIND_BYTES,
	  " a handover, with CAP_NET_ADMIN", NULL },
	{ TAPXFER_A_CAP_DEADLINE_DEFAULT, "deadline-default", KIND_MS, "", NULL },
	{ TAPXFER_A_CAP_DEADLINE_MAX, "deadline-max", KIND_MS,
	  ", with CAP_NET_ADMIN", NULL },
	{ TAPXFER_A_CAP_TIMEOUT_MAX, "timeout-max", KIND_MS,
	  " a freeze or drain", NULL },
	{ TAPXFER_A_CAP_QUEUES_MAX, "queues-max", KIND_NUMBER, " a device", NULL },
	{ 0 },
};

const struct attr dev_attrs[] = {
	{ TAPXFER_A_DEV_IFINDEX, "ifindex", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_DEV_IFNAME, "ifname", KIND_STRING, "", NULL },
	{ TAPXFER_A_DEV_TYPE, "type", KIND_ENUM, "", type_name },
	{ TAPXFER_A_DEV_LINK_TYPE, "link-type", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_DEV_FLAGS, "flags", KIND_IFF, "", NULL },
	{ TAPXFER_A_DEV_VNET_HDR_SZ, "vnet-hdr-sz", KIND_NUMBER, " bytes", NULL },
	{ TAPXFER_A_DEV_VNET_LE, "vnet-le", KIND_BOOL, "", NULL },
	{ TAPXFER_A_DEV_VNET_BE, "vnet-be", KIND_BOOL, "", NULL },
	{ TAPXFER_A_DEV_OFFLOADS, "offloads", KIND_OFFLOADS, "", NULL },
	{ TAPXFER_A_DEV_SNDBUF, "sndbuf", KIND_SIGNED, " bytes", NULL },
	{ TAPXFER_A_DEV_OWNER, "owner", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_DEV_GROUP, "group", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_DEV_PERSIST, "persist", KIND_BOOL, "", NULL },
	{ TAPXFER_A_DEV_MULTI_QUEUE, "multi-queue", KIND_BOOL, "", NULL },
	{ TAPXFER_A_DEV_NUM_QUEUES, "num-queues", KIND_NUMBER, " enabled", NULL },
	{ TAPXFER_A_DEV_NUM_DETACHED, "num-detached", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_DEV_MAC, "mac", KIND_MAC, "", NULL },
	{ TAPXFER_A_DEV_MTU, "mtu", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_DEV_CARRIER, "carrier", KIND_BOOL, "", NULL },
	{ TAPXFER_A_DEV_TX_QUEUE_LEN, "tx-queue-len", KIND_NUMBER, " packets",
	  NULL },
	{ TAPXFER_A_DEV_XDP_PROG_ID, "xdp-prog-id", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_DEV_NOT_EXPORTED, "not-exported", KIND_BITS, "",
	  not_exported_name },
	{ TAPXFER_A_DEV_HANDOVER, "handover", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_DEV_HANDOVER_STATE, "handover-state", KIND_ENUM, "",
	  state_name },
	{ 0 },
};

const struct attr queue_attrs[] = {
	{ TAPXFER_A_QUEUE_INDEX, "index", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_FD, "fd", KIND_SIGNED, "", NULL },
	{ TAPXFER_A_QUEUE_DETACHED, "detached", KIND_BOOL, "", NULL },
	{ TAPXFER_A_QUEUE_NONBLOCK, "nonblock", KIND_BOOL, "", NULL },
	{ TAPXFER_A_QUEUE_PENDING, "pending", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_HELD, "held", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_PUT_BACK, "put-back", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_HOLDERS, "holders", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_OTHERS, "others", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_HELD_BYTES, "held-bytes", KIND_BYTES, "", NULL },
	{ TAPXFER_A_QUEUE_FULL, "full", KIND_BOOL, "", NULL },
	{ TAPXFER_A_QUEUE_DELIVERED, "delivered", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_BATCHED, "batched", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_WRITERS, "writers", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_QUEUE_UNSENT, "unsent", KIND_BYTES, "", NULL },
	{ 0 },
};

/* What a state has beside a handover's */
const struct attr state_attrs[] = {
	{ TAPXFER_A_STATE_FEATURES, "uses", KIND_BITS, "",
	  tapxfer_state_feature_name },
	{ TAPXFER_A_STATE_LIBRARY, "library-version", KIND_STRING, "", NULL },
	{ TAPXFER_A_STATE_MODULE, "module-version", KIND_STRING, "", NULL },
	{ TAPXFER_A_STATE_KERNEL_FEATURES, "features", KIND_BITS, "",
	  tapxfer_feature_name },
	{ TAPXFER_A_STATE_READS, "reads", KIND_BITS, "",
	  tapxfer_state_feature_name },
	{ 0 },
};

/* no token here: it is never shown */
const struct attr handover_attrs[] = {
	{ TAPXFER_A_HANDOVER_EVENT, "event", KIND_ENUM, "", event_name },
	{ TAPXFER_A_HANDOVER_TIME, "time", KIND_NS_AT, "", NULL },
	{ TAPXFER_A_HANDOVER_ID, "id", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_HANDOVER_IFINDEX, "ifindex", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_HANDOVER_IFNAME, "ifname", KIND_STRING, "", NULL },
	{ TAPXFER_A_HANDOVER_STATE, "state", KIND_ENUM, "", state_name },
	{ TAPXFER_A_HANDOVER_HOLD, "hold", KIND_NUMBER, " packets a queue",
	  NULL },
	{ TAPXFER_A_HANDOVER_HOLD_BYTES, "hold-bytes", KIND_BYTES,
	  " all queues", NULL },
	{ TAPXFER_A_HANDOVER_DEADLINE, "deadline", KIND_MS, "", NULL },
	{ TAPXFER_A_HANDOVER_REMAINING, "remaining", KIND_MS, "", NULL },
	{ TAPXFER_A_HANDOVER_CLAIMANT, "claimant", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_HANDOVER_NUM_QUEUES, "num-queues", KIND_NUMBER, "", NULL },
	{ TAPXFER_A_HANDOVER_HELD, "held", KIND_NUMBER, " packets", NULL },
	{ TAPXFER_A_HANDOVER_HELD_BYTES, "held-bytes", KIND_BYTES, "", NULL },
	{ TAPXFER_A_HANDOVER_DROPPED, "dropped", KIND_NUMBER,
	  " packets at the most", NULL },
	{ TAPXFER_A_HANDOVER_DELIVERED, "delivered", KIND_NUMBER, " packets",
	  NULL },
	{ TAPXFER_A_HANDOVER_UNSENT, "unsent", KIND_BYTES, "", NULL },
	{ TAPXFER_A_HANDOVER_VIOLATED, "violated", KIND_BITS, "",
	  violation_name },
	{ TAPXFER_A_HANDOVER_BLACKOUT, "blackout", KIND_NS, "", NULL },
	{ TAPXFER_A_HANDOVER_PREPARED_AT, "prepared-at", KIND_NS_AT, "", NULL },
	{ TAPXFER_A_HANDOVER_HOLDING_AT, "holding-at", KIND_NS_AT, "", NULL },
	{ TAPXFER_A_HANDOVER_FROZEN_AT, "frozen-at", KIND_NS_AT, "", NULL },
	{ TAPXFER_A_HANDOVER_CLAIMED_AT, "claimed-at", KIND_NS_AT, "", NULL },
	{ TAPXFER_A_HANDOVER_READY_AT, "ready-at", KIND_NS_AT, "", NULL },
	{ TAPXFER_A_HANDOVER_DEV, "dev", KIND_DEV, "", NULL },
	{ TAPXFER_A_HANDOVER_QUEUE, "queue", KIND_QUEUES, "", NULL },
	{ 0 },
};

struct bit {
	uint32_t bit;
	const char *name;
};

/* IFF_TUN_EXCL is IFF_ATTACH_QUEUE's neighbour: none of a device's flags */
static const struct bit iff_bits[] = {
	{ IFF_TUN, "tun" },
	{ IFF_TAP, "tap" },
	{ IFF_NAPI, "napi" },
	{ IFF_NAPI_FRAGS, "napi-frags" },
	{ IFF_NO_PI, "no-pi" },
	{ IFF_ONE_QUEUE, "one-queue" },
	{ IFF_VNET_HDR, "vnet-hdr" },
	{ IFF_TUN_EXCL, "tun-excl" },
	{ IFF_MULTI_QUEUE, "multi-queue" },
	{ IFF_PERSIST, "persist" },
};

static const struct bit offload_bits[] = {
	{ TUN_F_CSUM, "csum" },
	{ TUN_F_TSO4, "tso4" },
	{ TUN_F_TSO6, "tso6" },
	{ TUN_F_TSO_ECN, "tso-ecn" },
	{ TUN_F_UFO, "ufo" },
	{ 0x20, "uso4" },
	{ 0x40, "uso6" },
	{ 0x80, "udp-tunnel-gso" },
	{ 0x100, "udp-tunnel-gso-csum" },
};

static void bits_text(uint64_t value, const struct bit *bits, size_t n,
		      char *text, size_t size)
{
	size_t i, len = 0;

	snprintf(text, size, "none");
	for (i = 0; i < n && len < size; i++) {
		if (!(value & bits[i].bit))
			continue;
		len += (size_t)snprintf(text + len, size - len, "%s%s",
					len ? " " : "", bits[i].name);
		value &= ~(uint64_t)bits[i].bit;
	}
	if (value && len < size)
		snprintf(text + len, size - len, "%s0x%llx", len ? " " : "",
			 (unsigned long long)value);
}

/* Bits that libtapxfer has names for. */
static void names_text(uint64_t value, const char *(*name)(uint64_t),
		       char *text, size_t size)
{
	size_t len = 0;
	int i;

	snprintf(text, size, "none");
	for (i = 0; i < 64 && len < size; i++) {
		uint64_t bit = 1ULL << i;

		if (!(value & bit) || !name(bit))
			continue;
		len += (size_t)snprintf(text + len, size - len, "%s%s",
					len ? " " : "", name(bit));
		value &= ~bit;
	}
	if (value && len < size)
		snprintf(text + len, size - len, "%s0x%llx", len ? " " : "",
			 (unsigned long long)value);
}

static void mac_text(const struct tapxfer_info *info, unsigned int attr,
		     char *text, size_t size)
{
	const unsigned char *mac;
	size_t i, len;

	mac = tapxfer_info_bin(info, attr, &len);
	*text = '\0';
	for (i = 0; i < len && 3 * i + 3 < size; i++)
		sprintf(text + 3 * i, "%02x%s", mac[i], i + 1 < len ? ":" : "");
}

void out_ns(uint64_t ns, char *text, size_t size)
{
	if (ns < 1000)
		snprintf(text, size, "%u ns", (unsigned int)ns);
	else if (ns < 1000000)
		snprintf(text, size, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(text, size, "%.3f ms", (double)ns / 1e6);
	else
		snprintf(text, size, "%.3f s", (double)ns / 1e9);
}

static void bytes_text(uint64_t bytes, char *text, size_t size)
{
	static const char * const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	uint64_t rest = 0;
	size_t i;

	for (i = 0; bytes >= 1024 && i + 1 < ARRAY_SIZE(units); i++) {
		rest = bytes % 1024 * 10 / 1024;
		bytes /= 1024;
	}
	if (rest)
		snprintf(text, size, "%llu.%u %s", (unsigned long long)bytes,
			 (unsigned int)rest, units[i]);
	else
		snprintf(text, size, "%llu %s", (unsigned long long)bytes,
			 units[i]);
}

/* The value of an attribute that is there, for people, without its unit. */
void out_value(const struct tapxfer_info *info, const struct attr *attr,
	       char *text, size_t size)
{
	uint64_t v = tapxfer_info_u64(info, attr->id);
	const char *string;

	switch (attr->kind) {
	case KIND_SIGNED:
		snprintf(text, size, "%d", tapxfer_info_s32(info, attr->id));
		return;
	case KIND_BOOL:
		snprintf(text, size, "%s", v ? "yes" : "no");
		return;
	case KIND_STRING:
		string = tapxfer_info_str(info, attr->id);
		snprintf(text, size, "%s", string ? string : "");
		return;
	case KIND_MAC:
		mac_text(info, attr->id, text, size);
		return;
	case KIND_NS:
		out_ns(v, text, size);
		return;
	case KIND_NS_AT:
		snprintf(text, size, "%llu.%06llu",
			 (unsigned long long)(v / 1000000000),
			 (unsigned long long)(v % 1000000000 / 1000));
		return;
	case KIND_MS:
		if (v && v % 1000 == 0)
			snprintf(text, size, "%llu s",
				 (unsigned long long)(v / 1000));
		else
			snprintf(text, size, "%llu ms", (unsigned long long)v);
		return;
	case KIND_BYTES:
		bytes_text(v, text, size);
		return;
	case KIND_ENUM:
		string = attr->name(v);
		if (string)
			snprintf(text, size, "%s", string);
		else
			snprintf(text, size, "%llu", (unsigned long long)v);
		return;
	case KIND_BITS:
		names_text(v, attr->name, text, size);
		return;
	case KIND_IFF:
		bits_text(v, iff_bits, ARRAY_SIZE(iff_bits), text, size);
		return;
	case KIND_OFFLOADS:
		bits_text(v, offload_bits, ARRAY_SIZE(offload_bits), text, size);
		return;
	case KIND_NUMBER:
	case KIND_DEV:
	case KIND_QUEUES:
		break;
	}
	snprintf(text, size, "%llu", (unsigned long long)v);
}

static struct json_object *names_array(uint64_t value,
				       const char *(*name)(uint64_t))
{
	struct json_object *array = json_object_new_array();
	int i;

	for (i = 0; i < 64; i++) {
		uint64_t bit = 1ULL << i;
		const char *text = value & bit ? name(bit) : NULL;

		if (text)
			json_object_array_add(array,
					      json_object_new_string(text));
		else if (value & bit)
			json_object_array_add(array,
					      json_object_new_uint64(bit));
	}
	return array;
}

static struct json_object *value_object(const struct tapxfer_info *info,
					const struct attr *attr)
{
	uint64_t v = tapxfer_info_u64(info, attr->id);
	struct json_object *array;
	const char *string;
	char text[256];
	size_t i, n;

	switch (attr->kind) {
	case KIND_SIGNED:
		return json_object_new_int(tapxfer_info_s32(info, attr->id));
	case KIND_BOOL:
		return json_object_new_boolean(!!v);
	case KIND_STRING:
		string = tapxfer_info_str(info, attr->id);
		return json_object_new_string(string ? string : "");
	case KIND_MAC:
		mac_text(info, attr->id, text, sizeof(text));
		return json_object_new_string(text);
	case KIND_ENUM:
		string = attr->name(v);
		return string ? json_object_new_string(string) :
				json_object_new_uint64(v);
	case KIND_BITS:
		return names_array(v, attr->name);
	case KIND_DEV:
		return out_object(tapxfer_info_nest(info, attr->id, 0),
				  dev_attrs);
	case KIND_QUEUES:
		array = json_object_new_array();
		n = tapxfer_info_count(info, attr->id);
		for (i = 0; i < n; i++)
			json_object_array_add(array, out_object(
				tapxfer_info_nest(info, attr->id, i),
				queue_attrs));
		return array;
	default:
		return json_object_new_uint64(v);
	}
}

/* What is absent has no key. */
struct json_object *out_object(const struct tapxfer_info *info,
			       const struct attr *attrs)
{
	struct json_object *object = json_object_new_object();

	for (; info && attrs->key; attrs++)
		if (tapxfer_info_has(info, attrs->id))
			json_object_object_add(object, attrs->key,
					       value_object(info, attrs));
	return object;
}

/* A state: one object, its own attributes first */
struct json_object *out_state(const struct tapxfer_info *state)
{
	struct json_object *object = out_object(state, state_attrs);
	struct json_object *rest = out_object(state, handover_attrs);

	json_object_object_foreach(rest, key, value)
		json_object_object_add(object, key, json_object_get(value));
	json_object_put(rest);
	return object;
}

void out_line(const char *key, const char *fmt, ...)
{
	va_list ap;

	printf("    %-*s ", KEY_WIDTH, key);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* One line an attribute; nested objects are for the caller. */
void out_lines(const struct tapxfer_info *info, const struct attr *attrs)
{
	char text[256];

	for (; attrs->key; attrs++) {
		if (attrs->kind == KIND_DEV || attrs->kind == KIND_QUEUES ||
		    !tapxfer_info_has(info, attrs->id))
			continue;
		out_value(info, attrs, text, sizeof(text));
		out_line(attrs->key, "%s%s", text, attrs->unit);
	}
}

/* Does any queue have it? */
static bool queues_have(const struct tapxfer_info *handover, unsigned int attr)
{
	size_t i, n = tapxfer_info_count(handover, TAPXFER_A_HANDOVER_QUEUE);

	for (i = 0; i < n; i++)
		if (tapxfer_info_has(tapxfer_info_nest(handover,
						       TAPXFER_A_HANDOVER_QUEUE,
						       i), attr))
			return true;
	return false;
}

/* A line a queue, with the columns that there is something to put into. */
void out_queues(const struct tapxfer_info *handover)
{
	size_t i, n = tapxfer_info_count(handover, TAPXFER_A_HANDOVER_QUEUE);
	const struct attr *attr, *shown[ARRAY_SIZE(queue_attrs)];
	size_t columns = 0, j;
	struct table table;
	char text[64];

	for (attr = queue_attrs; attr->key; attr++)
		if (queues_have(handover, attr->id))
			shown[columns++] = attr;
	table_init(&table, columns);
	for (j = 0; j < columns; j++)
		table_add(&table, "%s", shown[j]->key);
	for (i = 0; i < n; i++) {
		const struct tapxfer_info *q =
			tapxfer_info_nest(handover, TAPXFER_A_HANDOVER_QUEUE, i);

		for (j = 0; j < columns; j++) {
			snprintf(text, sizeof(text), "-");
			if (tapxfer_info_has(q, shown[j]->id))
				out_value(q, shown[j], text, sizeof(text));
			table_add(&table, "%s", text);
		}
	}
	table_print(&table, 4);
	table_free(&table);
}

/* Takes the object. */
int out_json(const struct cli *cli, struct json_object *object)
{
	int flags = cli->pretty ? JSON_C_TO_STRING_PRETTY |
				  JSON_C_TO_STRING_SPACED :
				  JSON_C_TO_STRING_PLAIN;

	puts(json_object_to_json_string_ext(object, flags |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
	return out_end(cli);
}

/* The answer to a step, on one line. */
int out_handover(const struct cli *cli, const struct tapxfer_info *ho)
{
	const char *ifname = tapxfer_info_str(ho, TAPXFER_A_HANDOVER_IFNAME);
	const char *state = tapxfer_state_name((unsigned int)
		tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_STATE));

	if (cli->json)
		return out_json(cli, out_object(ho, handover_attrs));

	printf("handover %llu: %s %s",
	       (unsigned long long)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID),
	       ifname ? ifname : "?", state ? state : "?");
	if (tapxfer_info_has(ho, TAPXFER_A_HANDOVER_NUM_QUEUES))
		printf(", %llu queues, %llu packets held",
		       (unsigned long long)
		       tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_NUM_QUEUES),
		       (unsigned long long)
		       tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_HELD));
	if (tapxfer_info_has(ho, TAPXFER_A_HANDOVER_CLAIMANT))
		printf(", claimed by process %llu", (unsigned long long)
		       tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_CLAIMANT));
	putchar('\n');
	return out_end(cli);
}

/*
 * The answer to a step that begins a handover, or goes on to freeze it. Of a
 * queue a freeze tells no more than is needed to go on: ask for the rest.
 */
int out_begun(const struct cli *cli, const struct tapxfer_info *ho)
{
	uint32_t id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	struct tapxfer_info *all;
	int ret;

	if (!cli->json || !tapxfer_info_has(ho, TAPXFER_A_HANDOVER_QUEUE) ||
	    tapxfer_handover_get(cli->tx, id, &all))
		return out_handover(cli, ho);
	ret = out_handover(cli, all);
	tapxfer_info_free(all);
	return ret;
}

/* A full disk or a reader that has gone is an error too. */
int out_end(const struct cli *cli)
{
	if (!fflush(stdout) && !ferror(stdout))
		return EXIT_OK;
	return fail(cli, "cannot write to standard output: %m");
}

static void out_of_memory(void)
{
	fputs("tapxfer: out of memory.\n", stderr);
	exit(EXIT_KERNEL);
}

void *xrealloc(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n, size);
	if (!p)
		out_of_memory();
	return p;
}

void table_init(struct table *table, size_t columns)
{
	*table = (struct table){ .columns = columns };
}

/* The next cell; rows fill up by themselves. */
void table_add(struct table *table, const char *fmt, ...)
{
	va_list ap;
	int len;

	if (table->n == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		table->cells = xrealloc(table->cells, table->room,
					sizeof(*table->cells));
	}
	va_start(ap, fmt);
	len = vasprintf(&table->cells[table->n], fmt, ap);
	va_end(ap);
	if (len < 0)
		out_of_memory();
	table->n++;
}

/* Columns as wide as their widest cell, the last one without blanks behind. */
void table_print(struct table *table, int indent)
{
	size_t i, column;
	int *width;

	width = xrealloc(NULL, table->columns, sizeof(*width));
	memset(width, 0, table->columns * sizeof(*width));
	for (i = 0; i < table->n; i++) {
		int len = (int)strlen(table->cells[i]);

		if (len > width[i % table->columns])
			width[i % table->columns] = len;
	}
	for (i = 0; i < table->n; i++) {
		column = i % table->columns;
		if (column == 0)
			printf("%*s", indent, "");
		if (column + 1 == table->columns)
			puts(table->cells[i]);
		else
			printf("%-*s  ", width[column], table->cells[i]);
	}
	free(width);
}

void table_free(struct table *table)
{
	while (table->n)
		free(table->cells[--table->n]);
	free(table->cells);
}
