// SPDX-License-Identifier: GPL-2.0-or-later
/* The words of a command. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

bool parse_u32(const char *text, uint32_t *value)
{
	unsigned long long n;
	char *end;

	/* strtoull() would take a sign and blanks */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end || errno || n > UINT32_MAX)
		return false;
	*value = (uint32_t)n;
	return true;
}

/* 10s, 500ms, 2m; a number alone is milliseconds, as in the kernel's limits. */
bool parse_duration(const char *text, uint32_t *ms)
{
	static const struct {
		const char *name;
		uint32_t ms;
	} units[] = {
		{ "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
		{ "min", 60000 },
	};
	size_t digits = strspn(text, "0123456789");
	char number[11];
	uint32_t n;
	size_t i;

	if (!digits || digits >= sizeof(number))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!parse_u32(number, &n))
		return false;

	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(text + digits, units[i].name))
			continue;
		if (n > UINT32_MAX / units[i].ms)
			return false;
		*ms = n * units[i].ms;
		return true;
	}
	return false;
}

/* 256M, 16G, 64k: powers of 1024; a number alone is bytes. */
bool parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kMGT";
	unsigned long long n;
	unsigned int shift = 0;
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		/* K is as good as k */
		unit = strchr(units, *end == 'K' ? 'k' : *end);
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (n > UINT64_MAX >> shift)
		return false;
	*bytes = (uint64_t)n << shift;
	return true;
}

static bool parse_fd(const char *text, int *fd)
{
	uint32_t n;

	if (!parse_u32(text, &n) || n > INT32_MAX)
		return false;
	*fd = (int)n;
	return true;
}

/* 3,4,5 */
bool parse_fds(const char *text, int **fds, size_t *n)
{
	char *copy = strdup(text), *word, *save = NULL;
	bool good;

	*fds = NULL;
	*n = 0;
	if (!copy)
		return false;

	/* strtok_r() would overlook an empty word */
	good = *copy && *copy != ',' && copy[strlen(copy) - 1] != ',' &&
	       !strstr(copy, ",,");
	for (word = strtok_r(copy, ",", &save); good && word;
	     word = strtok_r(NULL, ",", &save)) {
		*fds = xrealloc(*fds, *n + 1, sizeof(**fds));
		good = parse_fd(word, &(*fds)[*n]);
		++*n;
	}
	free(copy);
	if (!good) {
		free(*fds);
		*fds = NULL;
		*n = 0;
	}
	return good;
}

static bool set_dev(struct args *args, const char *text)
{
	args->dev = text;
	return *text;
}

static bool set_id(struct args *args, const char *text)
{
	return parse_u32(text, &args->id);
}

static bool set_pid(struct args *args, const char *text)
{
	uint32_t pid;

	if (!parse_u32(text, &pid) || !pid || pid > INT32_MAX)
		return false;
	args->pid = (pid_t)pid;
	return true;
}

static bool set_fds(struct args *args, const char *text)
{
	return parse_fds(text, &args->fds, &args->nfds);
}

static bool set_hold(struct args *args, const char *text)
{
	return parse_u32(text, &args->hold);
}

static bool set_hold_bytes(struct args *args, const char *text)
{
	return parse_size(text, &args->hold_bytes);
}

static bool set_deadline(struct args *args, const char *text)
{
	return parse_duration(text, &args->deadline);
}

static bool set_timeout(struct args *args, const char *text)
{
	return parse_duration(text, &args->timeout);
}

static bool set_token_file(struct args *args, const char *text)
{
	args->token_file = text;
	return *text;
}

static bool set_token_fd(struct args *args, const char *text)
{
	if (!strcmp(text, "-")) {
		args->token_fd = 0;
		return true;
	}
	return parse_fd(text, &args->token_fd);
}

static bool set_token_out(struct args *args, const char *text)
{
	args->token_out = text;
	return *text;
}

static bool set_token_out_fd(struct args *args, const char *text)
{
	return parse_fd(text, &args->token_out_fd);
}

static bool set_out(struct args *args, const char *text)
{
	args->out = text;
	return *text;
}

static bool set_out_fd(struct args *args, const char *text)
{
	return parse_fd(text, &args->out_fd);
}

static bool set_in(struct args *args, const char *text)
{
	args->in = text;
	return *text;
}

static bool set_in_fd(struct args *args, const char *text)
{
	return parse_fd(text, &args->in_fd);
}

/* held,drained: names of libtapxfer's */
static bool set_takes(struct args *args, const char *text)
{
	const char *name;
	size_t len;
	int bit;

	args->takes = 0;
	for (; *text; text += len + (text[len] == ',')) {
		len = strcspn(text, ",");
		for (bit = 0; bit < 64; bit++) {
			name = tapxfer_state_feature_name(1ULL << bit);
			if (name && strlen(name) == len &&
			    !strncmp(name, text, len))
				break;
		}
		if (bit == 64)
			return false;
		args->takes |= 1ULL << bit;
	}
	return args->takes;
}

static bool set_socket(struct args *args, const char *text)
{
	args->socket = text;
	return *text;
}

static bool set_socket_fd(struct args *args, const char *text)
{
	return parse_fd(text, &args->socket_fd);
}

static bool set_late(struct args *args, const char *text)
{
	args->late = text;
	return *text;
}

static bool set_late_fd(struct args *args, const char *text)
{
	return parse_fd(text, &args->late_fd);
}

static bool set_peer_uid(struct args *args, const char *text)
{
	return parse_u32(text, &args->peer_uid);
}

static bool set_peer_pid(struct args *args, const char *text)
{
	return parse_fd(text, &args->peer_pid) && args->peer_pid;
}

static bool set_transport(struct args *args, const char *text)
{
	args->transport = !strcmp(text, "fds") ? TAPXFER_TRANSPORT_FDS :
					         TAPXFER_TRANSPORT_TOKEN;
	return !strcmp(text, "fds") || !strcmp(text, "token");
}

static bool set_local(struct args *args, const char *text)
{
	args->local = !strcmp(text, "skip") ? TAPXFER_LOCAL_SKIP :
					      TAPXFER_LOCAL_FAIL;
	return !strcmp(text, "skip") || !strcmp(text, "fail");
}

static bool set_off(struct args *args, const char *text)
{
	args->off = text;
	return *text;
}

static bool set_on_hold(struct args *args, const char *text)
{
	args->on_hold = text;
	return *text;
}

static bool set_on_accept(struct args *args, const char *text)
{
	args->on_accept = text;
	return *text;
}

static bool set_source(struct args *args, const char *text)
{
	args->source = text;
	return *text;
}

static bool set_target(struct args *args, const char *text)
{
	args->target = text;
	return *text;
}

static bool set_netdev(struct args *args, const char *text)
{
	args->netdev = text;
	return *text;
}

static bool set_plan(struct args *args, const char *text)
{
	args->plan = text;
	return *text;
}

static bool set_hook(struct args *args, const char *text)
{
	args->hook = text;
	return *text;
}

static const struct word {
	const char *name;
	uint64_t key;
	bool (*set)(struct args *args, const char *text);
	const char *what;	/* that it needs */
} words[] = {
	{ "dev", KEY_DEV, set_dev, "an interface's name" },
	{ "id", KEY_ID, set_id, "a handover's number" },
	{ "pid", KEY_PID, set_pid, "a process id" },
	{ "pid", KEY_TO, set_pid, "a process id" },
	{ "fds", KEY_FDS, set_fds, "descriptors, as in 3,4,5" },
	{ "hold", KEY_HOLD, set_hold, "packets a queue" },
	{ "hold-bytes", KEY_HOLD_BYTES, set_hold_bytes,
	  "a size, as in 256M or 1G" },
	{ "deadline", KEY_DEADLINE, set_deadline, "a time, as in 10s or 500ms" },
	{ "timeout", KEY_TIMEOUT, set_timeout, "a time, as in 1s or 500ms" },
	{ "token-file", KEY_TOKEN_FILE, set_token_file, "a path" },
	{ "token-fd", KEY_TOKEN_FD, set_token_fd, "a descriptor, or -" },
	{ "token-out", KEY_TOKEN_OUT, set_token_out, "a path" },
	{ "token-out-fd", KEY_TOKEN_OUT_FD, set_token_out_fd, "a descriptor" },
	{ "out", KEY_OUT, set_out, "a path" },
	{ "out-fd", KEY_OUT_FD, set_out_fd, "a descriptor" },
	{ "in", KEY_IN, set_in, "a path" },
	{ "in-fd", KEY_IN_FD, set_in_fd, "a descriptor" },
	{ "takes", KEY_TAKES, set_takes,
	  "features of a state, as in held,drained" },
	{ "apply", KEY_APPLY, NULL, NULL },
	{ "show", KEY_SHOW, NULL, NULL },
	{ "socket", KEY_SOCKET, set_socket, "a path" },
	{ "socket-fd", KEY_SOCKET_FD, set_socket_fd, "a descriptor" },
	{ "late", KEY_LATE, set_late, "a path" },
	{ "late-fd", KEY_LATE_FD, set_late_fd, "a descriptor" },
	{ "peer-uid", KEY_PEER_UID, set_peer_uid, "a user's number" },
	{ "peer-pid", KEY_PEER_PID, set_peer_pid, "a process id" },
	{ "transport", KEY_TRANSPORT, set_transport, "token or fds" },
	{ "local", KEY_LOCAL, set_local, "fail or skip" },
	{ "drain", KEY_DRAIN, NULL, NULL },
	{ "off", KEY_OFF, set_off, "names of devices, as in tap0,tap1" },
	{ "on-hold", KEY_ON_HOLD, set_on_hold, "a command" },
	{ "on-accept", KEY_ON_ACCEPT, set_on_accept, "a command" },
	{ "restore", KEY_RESTORE, NULL, NULL },
	{ "try", KEY_TRY, NULL, NULL },
	{ "no-fds", KEY_NO_FDS, NULL, NULL },
	{ "shared", KEY_SHARED, NULL, NULL },
	{ "attach-all", KEY_ATTACH_ALL, NULL, NULL },
	{ "source", KEY_SOURCE, set_source, "the path of a QMP socket" },
	{ "target", KEY_TARGET, set_target, "the path of a QMP socket" },
	{ "netdev", KEY_NETDEV, set_netdev, "names of netdevs, as in hn0,hn1" },
	{ "plan", KEY_PLAN, set_plan, "a path" },
	{ "hook", KEY_HOOK, set_hook, "a program" },
	{ "dry-run", KEY_DRY_RUN, NULL, NULL },
};

/* One of @keys. @len: up to the "=" of --key=value */
static const struct word *word_find(uint64_t keys, const char *name,
				    size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if ((words[i].key & keys) && strlen(words[i].name) == len &&
		    !strncmp(words[i].name, name, len))
			return &words[i];
	return NULL;
}

static bool all_digits(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* What may be a secret is not repeated. */
static bool is_token(const char *text)
{
	return strlen(text) == TAPXFER_TOKEN_TEXT_LEN &&
	       !text[strspn(text, "0123456789abcdefABCDEF")];
}

/* A word that is no key: device, handover, process or topic, if wanted. */
static int args_bare(struct cli *cli, const struct command *command,
		     const char *text, struct args *args)
{
	uint64_t wanted = command->keys & ~args->given;

	if (text[0] != '-' && !(args->given & (KEY_DEV | KEY_ID))) {
		if ((wanted & KEY_ID) &&
		    (all_digits(text) || !(wanted & KEY_DEV))) {
			args->given |= KEY_ID;
			return set_id(args, text) ? 0 :
			       fail_usage(cli, "'%s' is no handover's number",
					  text);
		}
		if (wanted & KEY_DEV) {
			args->given |= KEY_DEV;
			return set_dev(args, text) ? 0 :
			       fail_usage(cli, "'' is no interface's name");
		}
	}
	if (text[0] != '-' && (wanted & KEY_TO)) {
		args->given |= KEY_TO;
		return set_pid(args, text) ? 0 :
		       fail_usage(cli, "'%.64s' is no process id", text);
	}
	if (wanted & KEY_TOPIC) {
		args->given |= KEY_TOPIC;
		args->topic = text;
		return 0;
	}
	return fail_usage(cli, "unknown word '%.64s'", text);
}

/* What is in itself a contradiction */
static int args_check(const struct cli *cli, const struct args *args)
{
	static const struct {
		uint64_t a, b;
		const char *text;
	} clashes[] = {
		{ KEY_PID, KEY_FDS, "--pid and --fds: give one" },
		{ KEY_ID, KEY_DEV, "a handover's number and a device: give one" },
		{ KEY_ID, KEY_PID, "a handover's number and --pid: give one" },
		{ KEY_ID, KEY_FDS, "a handover's number and --fds: give one" },
		{ KEY_TOKEN_FILE, KEY_TOKEN_FD,
		  "--token-file and --token-fd: give one" },
		{ KEY_SOCKET, KEY_SOCKET_FD, "--socket and --socket-fd: give one" },
		{ KEY_LATE, KEY_LATE_FD, "--late and --late-fd: give one" },
		{ KEY_TOKEN_OUT, KEY_TOKEN_OUT_FD,
		  "--token-out and --token-out-fd: give one" },
		{ KEY_OUT, KEY_OUT_FD, "--out and --out-fd: give one" },
		{ KEY_IN, KEY_IN_FD, "--in and --in-fd: give one" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(clashes); i++)
		if ((args->given & clashes[i].a) && (args->given & clashes[i].b))
			return fail_usage(cli, "%s", clashes[i].text);
	return 0;
}

int args_parse(struct cli *cli, const struct command *command, char **argv,
	       struct args *args)
{
	int err = 0;

	for (; !err && *argv; argv++) {
		const char *text = *argv, *name = text, *value = NULL;
		const struct word *word;
		size_t len;

		if (!strcmp(text, "--")) {
			if (!(command->keys & KEY_EXEC))
				return fail_usage(cli, "unknown word '--'");
			args->given |= KEY_EXEC;
			args->exec = argv + 1;
			break;
		}
		if (is_token(text))
			return fail_usage(cli,
					  "a token is never an argument, which all can read: give --token-file or --token-fd");
		if (!strncmp(text, "--", 2))
			name += 2;
		len = strlen(name);
		if (name != text && strchr(name, '=')) {
			len = strcspn(name, "=");
			value = name + len + 1;
		}
		word = word_find(command->keys, name, len);
		if (!word) {
			err = args_bare(cli, command, text, args);
			continue;
		}
		if (args->given & word->key)
			return fail_usage(cli, "'%s' is there twice",
					  word->name);
		args->given |= word->key;
		if (!word->set) {
			if (value)
				return fail_usage(cli, "'%s' takes no value",
						  word->name);
			continue;
		}
		if (!value)
			value = *++argv;
		if (!value)
			return fail_usage(cli, "'%s' needs %s", word->name,
					  word->what);
		if (is_token(value))
			return fail_usage(cli, "'%s' needs %s, not a token",
					  word->name, word->what);
		if (!word->set(args, value))
			return fail_usage(cli, "'%s' needs %s, not '%.64s'",
					  word->name, word->what, value);
	}
	return err ? err : args_check(cli, args);
}

void args_free(struct args *args)
{
	free(args->fds);
}
