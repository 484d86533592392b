/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TAPXFER_CLI_H
#define TAPXFER_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <json-c/json.h>

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
	KEY_DEV = 1 << 0,
	KEY_ID = 1 << 1,
	KEY_PID = 1 << 2,
	KEY_FDS = 1 << 3,
	KEY_HOLD = 1 << 4,
	KEY_DEADLINE = 1 << 5,
	KEY_TIMEOUT = 1 << 6,
	KEY_TOKEN_FILE = 1 << 7,
	KEY_TOKEN_FD = 1 << 8,
	KEY_TOKEN_OUT = 1 << 9,
	KEY_TOKEN_OUT_FD = 1 << 10,
	KEY_TRY = 1 << 11,
	KEY_EXEC = 1 << 12,	/* -- CMD ARGS */
	KEY_TOPIC = 1 << 13,	/* a command's name */
	KEY_HOLD_BYTES = 1 << 14,
	KEY_NO_FDS = 1 << 15,
	KEY_SHARED = 1 << 16,
	KEY_TO = 1 << 17,	/* of pass: a process id */

	KEYS_TOKEN = KEY_TOKEN_FILE | KEY_TOKEN_FD,
	KEYS_TOKEN_OUT = KEY_TOKEN_OUT | KEY_TOKEN_OUT_FD,
};

struct args {
	unsigned int given;	/* enum key */
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
	const char *topic;
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
	unsigned int keys;
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
	handover_attrs[];

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
int out_handover(const struct cli *cli, const struct tapxfer_info *handover);
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
struct json_object *link_object(const struct link_facts *facts);
void link_lines(const struct link_facts *facts);

/* the commands */
int cmd_features(struct cli *cli, struct args *args);
int cmd_show(struct cli *cli, struct args *args);
int cmd_check(struct cli *cli, struct args *args);
int cmd_prepare(struct cli *cli, struct args *args);
int cmd_hold(struct cli *cli, struct args *args);
int cmd_freeze(struct cli *cli, struct args *args);
int cmd_claim(struct cli *cli, struct args *args);
int cmd_pass(struct cli *cli, struct args *args);
int cmd_drain(struct cli *cli, struct args *args);
int cmd_ready(struct cli *cli, struct args *args);
int cmd_thaw(struct cli *cli, struct args *args);
int cmd_abort(struct cli *cli, struct args *args);
int cmd_list(struct cli *cli, struct args *args);
int cmd_monitor(struct cli *cli, struct args *args);
int cmd_version(struct cli *cli, struct args *args);
int cmd_help(struct cli *cli, struct args *args);

#endif /* TAPXFER_CLI_H */
