/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TAPXFER_CLI_H
#define TAPXFER_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <json-c/json.h>

#include <tapxfer/channel.h>
#include <tapxfer/tapxfer.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Exit status, as ip(8) has it, and of what could not be run, as env(1) */
enum {
	EXIT_OK = 0,
	EXIT_USAGE = 1,
	EXIT_KERNEL = 2,
	EXIT_CANNOT_EXEC = 126,
	EXIT_NOT_FOUND = 127,
};

/* What a command's words can say; a command takes a set of them */
enum key {
	KEY_DEV = 1ULL << 0,
	KEY_ID = 1ULL << 1,
	KEY_PID = 1ULL << 2,
	KEY_FDS = 1ULL << 3,
	KEY_HOLD = 1ULL << 4,
	KEY_DEADLINE = 1ULL << 5,
	KEY_TIMEOUT = 1ULL << 6,
	KEY_TOKEN_FILE = 1ULL << 7,
	KEY_TOKEN_FD = 1ULL << 8,
	KEY_TOKEN_OUT = 1ULL << 9,
	KEY_TOKEN_OUT_FD = 1ULL << 10,
	KEY_TRY = 1ULL << 11,
	KEY_EXEC = 1ULL << 12,	/* -- CMD ARGS */
	KEY_TOPIC = 1ULL << 13,	/* a command's name */
	KEY_HOLD_BYTES = 1ULL << 14,
	KEY_NO_FDS = 1ULL << 15,
	KEY_SHARED = 1ULL << 16,
	KEY_TO = 1ULL << 17,	/* of pass: a process id */
	KEY_ATTACH_ALL = 1ULL << 18,
	KEY_OUT = 1ULL << 19,	/* of a state */
	KEY_OUT_FD = 1ULL << 20,
	KEY_IN = 1ULL << 21,
	KEY_IN_FD = 1ULL << 22,
	KEY_TAKES = 1ULL << 23,
	KEY_APPLY = 1ULL << 24,
	KEY_SHOW = 1ULL << 25,
	KEY_RESTORE = 1ULL << 26,

	/* of send and recv */
	KEY_SOCKET = 1ULL << 27,
	KEY_SOCKET_FD = 1ULL << 28,
	KEY_LATE = 1ULL << 29,
	KEY_LATE_FD = 1ULL << 30,
	KEY_PEER_UID = 1ULL << 31,
	KEY_PEER_PID = 1ULL << 32,
	KEY_TRANSPORT = 1ULL << 33,
	KEY_LOCAL = 1ULL << 34,
	KEY_DRAIN = 1ULL << 35,
	KEY_OFF = 1ULL << 36,
	KEY_ON_HOLD = 1ULL << 37,
	KEY_ON_ACCEPT = 1ULL << 38,

	/* of qemu */
	KEY_SOURCE = 1ULL << 39,	/* QMP sockets */
	KEY_TARGET = 1ULL << 40,
	KEY_NETDEV = 1ULL << 41,
	KEY_PLAN = 1ULL << 42,
	KEY_HOOK = 1ULL << 43,
	KEY_DRY_RUN = 1ULL << 44,

	KEYS_CHANNEL = KEY_SOCKET | KEY_SOCKET_FD | KEY_LATE | KEY_LATE_FD |
		       KEY_PEER_UID | KEY_PEER_PID | KEY_LOCAL,
	KEYS_TOKEN = KEY_TOKEN_FILE | KEY_TOKEN_FD,
	KEYS_TOKEN_OUT = KEY_TOKEN_OUT | KEY_TOKEN_OUT_FD,
};

struct args {
	uint64_t given;		/* enum key */
	const char *dev;
	uint32_t id;
	pid_t pid;
	int *fds;
	size_t nfds;
	uint32_t hold;
	uint64_t hold_bytes;
	uint32_t deadline;	/* ms */
	uint32_t timeout;	/* ms */
	const char *token_file;
	int token_fd;
	const char *token_out;
	int token_out_fd;
	const char *out;
	int out_fd;
	const char *in;
	int in_fd;
	uint64_t takes;		/* enum tapxfer_state_feature */
	const char *socket;
	int socket_fd;
	const char *late;
	int late_fd;
	uint32_t peer_uid;
	pid_t peer_pid;
	uint32_t transport;	/* enum tapxfer_transport */
	uint32_t local;		/* enum tapxfer_local */
	const char *off;
	const char *on_hold;
	const char *on_accept;
	const char *topic;
	const char *source;
	const char *target;
	const char *netdev;
	const char *plan;
	const char *hook;
	char **exec;		/* ends with NULL */
};

struct cli {
	const char *command;
	bool json;
	bool pretty;
	int own_netns;		/* of before -n, or -1 */
	void (*own_sigpipe)(int sig);
	struct tapxfer *tx;
};

struct command {
	const char *name;
	int (*run)(struct cli *cli, struct args *args);
	uint64_t keys;
	const char *usage;
	const char *help;
};

extern const struct command commands[];
const struct command *command_find(const char *name);
void help(const struct command *command);

/* args.c */
int args_parse(struct cli *cli, const struct command *command, char **words,
	       struct args *args);
void args_free(struct args *args);
bool parse_u32(const char *text, uint32_t *value);
bool parse_duration(const char *text, uint32_t *ms);
bool parse_size(const char *text, uint64_t *bytes);
bool parse_fds(const char *text, int **fds, size_t *n);

/* error.c */
int fail_usage(const struct cli *cli, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int fail(const struct cli *cli, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int fail_call(const struct cli *cli, int err);
void warn_violated(const struct cli *cli, const struct tapxfer_info *ho);
int fail_call_fds(const struct cli *cli, int err, pid_t pid,
		  const struct tapxfer_queues *queues);
int cli_open(struct cli *cli);

/* source.c */

/* The device and the files that a command is about */
struct source {
	char ifname[16];
	unsigned int ifindex;	/* 0: for the library to find out */
	pid_t pid;
	struct tapxfer_queues *queues;	/* with pid */
	const int *fds;
	size_t nfds;
};

int source_get(struct cli *cli, const struct args *args, struct source *source);
int source_dev(struct cli *cli, const struct args *args, struct source *source);
void source_free(struct source *source);

/* look.c */
enum look {
	LOOK_VHOST,		/* descriptors of vhost-net */
	LOOK_IN_FLIGHT,		/* sockets with files in flight */
	LOOK_URING,		/* rings of io_uring */
};

typedef void (*look_fn)(pid_t pid, const char *comm, int fd, void *data);

void look_everywhere(enum look look, look_fn fn, void *data);
void look_at(pid_t pid, enum look look, look_fn fn, void *data);
bool is_same_file(int own, pid_t pid, int fd);
unsigned int callers_count(pid_t pid, int fd);
bool may_administer(void);

/* token.c */
int token_read(const struct cli *cli, const struct args *args,
	       struct tapxfer_token *token);
int token_out_open(const struct cli *cli, const struct args *args, int *fd);
int token_out_write(int fd, const struct tapxfer_token *token);

/* out.c */
enum kind {
	KIND_NUMBER,
	KIND_SIGNED,
	KIND_BOOL,
	KIND_STRING,
	KIND_MAC,
	KIND_NS,		/* a span */
	KIND_NS_AT,		/* a moment */
	KIND_MS,
	KIND_BYTES,
	KIND_ENUM,
	KIND_BITS,
	KIND_IFF,
	KIND_OFFLOADS,
	KIND_DEV,		/* nested objects */
	KIND_QUEUES,
};

struct attr {
	unsigned int id;
	const char *key;	/* as the spec has it */
	enum kind kind;
	const char *unit;	/* for people */
	const char *(*name)(uint64_t value);
};

extern const struct attr cap_attrs[], dev_attrs[], queue_attrs[],
	handover_attrs[], state_attrs[];

void out_value(const struct tapxfer_info *info, const struct attr *attr,
	       char *text, size_t size);
void out_ns(uint64_t ns, char *text, size_t size);
struct json_object *out_object(const struct tapxfer_info *info,
			       const struct attr *attrs);
void out_lines(const struct tapxfer_info *info, const struct attr *attrs);
void out_line(const char *key, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int out_json(const struct cli *cli, struct json_object *object);
int out_end(const struct cli *cli);
struct json_object *out_state(const struct tapxfer_info *state);
int out_handover(const struct cli *cli, const struct tapxfer_info *handover);
int out_begun(const struct cli *cli, const struct tapxfer_info *handover);
void out_queues(const struct tapxfer_info *handover);

struct table {
	char **cells;
	size_t columns;
	size_t n;
	size_t room;
};

void table_init(struct table *table, size_t columns);
void table_add(struct table *table, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void table_print(struct table *table, int indent);
void table_free(struct table *table);

void *xrealloc(void *p, size_t n, size_t size);

/* channel.c */
int channel_connect(const struct cli *cli, const struct args *args,
		    const char *path, int *sock);
int channel_listen(const struct cli *cli, const char *path, int *sock);
int channel_accept(const struct cli *cli, const char *path, int listening,
		   int wait, int *sock);
void channel_opts(const struct args *args, int sock,
		  struct tapxfer_channel_opts *opts);
int channel_hook(const struct cli *cli, const char *name, const char *command);
int channel_out(const struct cli *cli, const struct tapxfer_channel *ch);

/* link.c */
struct link_facts {
	bool known;
	bool up;
	bool carrier;
	bool is_tun;
	unsigned int mtu;
	char mac[64];
	char qdisc[32];
	char master[32];
	char master_kind[32];
};

void link_get(unsigned int ifindex, struct link_facts *facts);

/* link_set.c */
enum {
	LINK_MTU = 1,
	LINK_TXQLEN = 2,
	LINK_MAC = 4,
};

struct link_settings {
	unsigned int set;
	unsigned int mtu;
	unsigned int txqlen;
	const void *mac;
	size_t mac_len;
	unsigned char mac_room[32];	/* for those that were read */
};

int link_set(unsigned int ifindex, const struct link_settings *want,
	     struct link_settings *had, const char **what);

/* channel.c */
int channel_connect(const struct cli *cli, const struct args *args,
		    const char *path, int *sock);
int channel_listen(const struct cli *cli, const char *path, int *sock);
int channel_accept(const struct cli *cli, const char *path, int listening,
		   int wait, int *sock);
void channel_opts(const struct args *args, int sock,
		  struct tapxfer_channel_opts *opts);
int channel_hook(const struct cli *cli, const char *name, const char *command);
int channel_out(const struct cli *cli, const struct tapxfer_channel *ch);

/* link.c */
struct json_object *link_object(const struct link_facts *facts);
void link_lines(const struct link_facts *facts);

/* begin.c */
void opts_get(const struct args *args, struct tapxfer_opts *opts);

/* notify.c */
int notify_open(const struct cli *cli);
int notify_send(int sock, const char *text, int fd);
int notify_barrier(int sock);

/* claim.c */
int become(const struct cli *cli, char **argv, const char *more);

/* the commands */
int cmd_features(struct cli *cli, struct args *args);
int cmd_show(struct cli *cli, struct args *args);
int cmd_check(struct cli *cli, struct args *args);
int cmd_prepare(struct cli *cli, struct args *args);
int cmd_hold(struct cli *cli, struct args *args);
int cmd_freeze(struct cli *cli, struct args *args);
int cmd_claim(struct cli *cli, struct args *args);
int cmd_export(struct cli *cli, struct args *args);
int cmd_import(struct cli *cli, struct args *args);
int cmd_exec(struct cli *cli, struct args *args);
int cmd_fdstore(struct cli *cli, struct args *args);
int cmd_pass(struct cli *cli, struct args *args);
int cmd_drain(struct cli *cli, struct args *args);
int cmd_ready(struct cli *cli, struct args *args);
int cmd_thaw(struct cli *cli, struct args *args);
int cmd_abort(struct cli *cli, struct args *args);
int cmd_send(struct cli *cli, struct args *args);
int cmd_recv(struct cli *cli, struct args *args);
int cmd_list(struct cli *cli, struct args *args);
int cmd_monitor(struct cli *cli, struct args *args);
int cmd_qemu(struct cli *cli, struct args *args);
int cmd_version(struct cli *cli, struct args *args);
int cmd_help(struct cli *cli, struct args *args);

#endif /* TAPXFER_CLI_H */
