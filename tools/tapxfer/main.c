// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tapxfer: hand the queues of a tun/tap netdev from one process to another.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define BEGIN_KEYS	(KEY_DEV | KEY_PID | KEY_FDS | KEY_HOLD | \
			 KEY_HOLD_BYTES | KEY_DEADLINE | KEYS_TOKEN_OUT)

#define BEGIN_USAGE	"[DEV] --pid PID | --fds N,N,...\n" \
			"            [--hold PACKETS] [--hold-bytes SIZE] [--deadline TIME]"
#define OUT_USAGE	"--token-out PATH | --token-out-fd N"
#define IN_USAGE	"--token-file PATH | --token-fd N"

const struct command commands[] = {
	{ "features", cmd_features, 0, "",
	  "what this kernel's tapxfer can do, and its limits" },
	{ "show", cmd_show, KEY_DEV | KEY_PID | KEY_FDS,
	  "[DEV] [--pid PID | --fds N]",
	  "devices and their state; with one of its files, all of it" },
	{ "check", cmd_check,
	  KEY_DEV | KEY_PID | KEY_HOLD | KEY_HOLD_BYTES | KEY_DEADLINE | KEY_TRY,
	  "[DEV] [--pid PID] [--hold PACKETS] [--hold-bytes SIZE]\n"
	  "            [--deadline TIME] [--try]",
	  "what would stop a handover; --try prepares one and aborts it" },
	{ "prepare", cmd_prepare, BEGIN_KEYS,
	  BEGIN_USAGE "\n"
	  "            " OUT_USAGE,
	  "begin a handover; traffic flows on" },
	{ "hold", cmd_hold, BEGIN_KEYS | KEY_ID | KEYS_TOKEN,
	  BEGIN_USAGE "\n"
	  "            " OUT_USAGE "\n"
	  "       ID " IN_USAGE,
	  "hold the packets to the queues; writes still pass" },
	{ "freeze", cmd_freeze,
	  BEGIN_KEYS | KEY_ID | KEYS_TOKEN | KEY_TIMEOUT,
	  BEGIN_USAGE " [--timeout TIME]\n"
	  "            " OUT_USAGE "\n"
	  "       ID " IN_USAGE " [--timeout TIME]",
	  "close the other direction too and keep the settings still" },
	{ "drain", cmd_drain, KEY_ID | KEYS_TOKEN | KEY_TIMEOUT,
	  "ID " IN_USAGE " [--timeout TIME]",
	  "wait until the host has let go of what was written" },
	{ "claim", cmd_claim,
	  KEY_ID | KEYS_TOKEN | KEY_NO_FDS | KEY_ATTACH_ALL | KEY_EXEC,
	  "ID " IN_USAGE " [--no-fds] [--attach-all]\n"
	  "            -- CMD ARGS...",
	  "take the queue files and become CMD, which has them; --attach-all\n"
	  "             attaches the detached ones from the thaw on" },
	{ "export", cmd_export, KEY_ID | KEY_OUT | KEY_OUT_FD | KEY_TAKES,
	  "ID [--out PATH | --out-fd N] [--takes FEATURE,...]",
	  "write the state of a frozen handover, as a stream of bytes" },
	{ "import", cmd_import,
	  KEY_DEV | KEY_PID | KEY_FDS | KEY_IN | KEY_IN_FD | KEY_TAKES |
	  KEY_APPLY | KEY_SHOW | KEY_EXEC,
	  "[DEV] [--pid PID | --fds N,N,...] [--in PATH | --in-fd N]\n"
	  "            [--takes FEATURE,...] [--apply [-- CMD ARGS...]]\n"
	  "       --show [--in PATH | --in-fd N] [--takes FEATURE,...]",
	  "read such a state and name what a device has otherwise; --apply sets\n"
	  "             it, all or nothing, and becomes CMD" },
	{ "exec", cmd_exec,
	  KEY_DEV | KEY_FDS | KEY_HOLD | KEY_HOLD_BYTES | KEY_DEADLINE |
	  KEY_TIMEOUT | KEY_ID | KEYS_TOKEN | KEY_EXEC,
	  "[DEV] --fds N,N,... [--hold PACKETS] [--hold-bytes SIZE]\n"
	  "            [--deadline TIME] [--timeout TIME] -- CMD ARGS...\n"
	  "       ID " IN_USAGE " -- CMD ARGS...",
	  "freeze inherited queues, or claim, and become CMD, which finds them\n"
	  "             with tapxfer_exec_restore()" },
	{ "fdstore", cmd_fdstore,
	  KEY_DEV | KEY_PID | KEY_FDS | KEY_HOLD | KEY_HOLD_BYTES |
	  KEY_DEADLINE | KEY_TIMEOUT | KEY_RESTORE | KEY_EXEC,
	  BEGIN_USAGE " [--timeout TIME]\n"
	  "       --restore -- CMD ARGS...",
	  "freeze queues and leave them with the service manager; --restore takes\n"
	  "             them out again and becomes CMD, as exec does" },
	{ "pass", cmd_pass, KEY_ID | KEY_TO | KEYS_TOKEN,
	  "ID PID " IN_USAGE,
	  "pass the claim on to another process" },
	{ "ready", cmd_ready, KEY_ID | KEYS_TOKEN | KEY_SHARED,
	  "ID " IN_USAGE " [--shared]",
	  "apply the claimant's settings; packets still wait" },
	{ "thaw", cmd_thaw, KEY_ID | KEYS_TOKEN | KEY_SHARED,
	  "ID " IN_USAGE " [--shared]",
	  "let traffic go on, the held packets first; --shared even while others\n"
	  "             than the claimant hold queue files" },
	{ "abort", cmd_abort, KEY_ID | KEYS_TOKEN,
	  "ID [" IN_USAGE "]",
	  "put everything back; without a token it takes CAP_NET_ADMIN" },
	{ "send", cmd_send,
	  KEY_DEV | KEY_PID | KEY_FDS | KEY_HOLD | KEY_HOLD_BYTES |
	  KEY_DEADLINE | KEY_TIMEOUT | KEY_SHARED | KEYS_CHANNEL |
	  KEY_TRANSPORT | KEY_DRAIN | KEY_OFF | KEY_ON_HOLD | KEY_ON_ACCEPT |
	  KEYS_TOKEN_OUT,
	  "[DEV,...] --pid PID | --fds N,N,...\n"
	  "            --socket PATH | --socket-fd N [--late PATH | --late-fd N]\n"
	  "            [--peer-uid UID] [--peer-pid PID] [--transport token|fds]\n"
	  "            [--local fail|skip] [--off DEV,...] [--drain] [--shared]\n"
	  "            [--on-hold CMD] [--on-accept CMD] [--timeout TIME]\n"
	  "            [--hold PACKETS] [--hold-bytes SIZE] [--deadline TIME]\n"
	  "            [" OUT_USAGE "]",
	  "hand devices over to 'recv' at the other end of a socket;\n"
	  "             --on-hold CMD stops the guest, --on-accept CMD ends the source" },
	{ "recv", cmd_recv,
	  KEY_TIMEOUT | KEY_SHARED | KEYS_CHANNEL | KEY_TAKES | KEY_EXEC,
	  "--socket PATH | --socket-fd N [--late PATH | --late-fd N]\n"
	  "            [--peer-uid UID] [--peer-pid PID] [--local fail|skip]\n"
	  "            [--takes FEATURE,...] [--shared] [--timeout TIME]\n"
	  "            -- CMD ARGS...",
	  "take what 'send' sends, thaw, and become CMD; {fds:NAME} in ARGS is the\n"
	  "             files of a device, {fds} of a single one; TAPXFER_DEVICES has all" },
	{ "list", cmd_list, KEY_ID, "[ID]",
	  "the handovers, or one with its device and queues" },
	{ "monitor", cmd_monitor, KEY_DEV | KEY_ID, "[DEV | ID]",
	  "events as they come, until SIGINT, SIGTERM or SIGHUP" },
	{ "qemu", cmd_qemu,
	  KEY_SOURCE | KEY_TARGET | KEY_NETDEV | KEY_PLAN | KEY_HOOK |
	  KEY_DRY_RUN | KEY_HOLD | KEY_HOLD_BYTES | KEY_DEADLINE |
	  KEY_TIMEOUT | KEY_SHARED,
	  "--source QMP --target QMP [--netdev ID,ID...] [--plan PATH]\n"
	  "            [--dry-run] [--hook PROGRAM] [--timeout TIME] [--shared]\n"
	  "            [--hold PACKETS] [--hold-bytes SIZE] [--deadline TIME]",
	  "move a running VM from one QEMU process to another" },
	{ "version", cmd_version, 0, "",
	  "versions of command, library and module" },
	{ "help", cmd_help, KEY_TOPIC, "[COMMAND]", "this, or more" },
	{ 0 },
};

static const char usage[] =
	"Usage: tapxfer [OPTIONS] COMMAND [WORDS]\n"
	"\n"
	"Options:\n"
	"  -j, --json        answers as JSON\n"
	"  -p, --pretty      JSON on many lines\n"
	"  -n, --netns NAME  look into another network namespace (a name of ip-netns(8),\n"
	"                    or a path)\n"
	"  -V, --version     version of the command\n"
	"  -h, --help        this\n"
	"\n"
	"Commands:\n";

static const char more[] =
	"\n"
	"Words may be written as \"key value\", \"--key value\" or \"--key=value\". A TIME\n"
	"is 10s, 500ms or 2m; a SIZE is 65536, 64k, 256M or 1G, in powers of 1024. A token\n"
	"is 32 hexadecimal digits on a line, read from a file or descriptor (\"-\" is\n"
	"standard input) and written to a new file or a descriptor; it is never an\n"
	"argument. In the arguments of claim's CMD {fds} becomes 3:4:5 and {fd0}, {fd1}...\n"
	"the descriptors one by one; its environment has TAPXFER_FDS, TAPXFER_ID,\n"
	"TAPXFER_IFNAME, TAPXFER_IFINDEX, TAPXFER_NUM_QUEUES and TAPXFER_VNET_HDR_SZ.\n"
	"\n"
	"Exit status: 0 done, 1 usage, 2 refused by the kernel or not to be had; of a command\n"
	"that becomes CMD, CMD's own, or 126 and 127 when CMD could not be run.\n";

const struct command *command_find(const char *name)
{
	const struct command *command;

	for (command = commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

void help(const struct command *command)
{
	const struct command *c;

	if (command) {
		printf("Usage: tapxfer %s%s%s\n\n%s\n", command->name,
		       *command->usage ? " " : "", command->usage,
		       command->help);
		return;
	}
	fputs(usage, stdout);
	for (c = commands; c->name; c++)
		printf("  %-10s %s\n", c->name, c->help);
	fputs(more, stdout);
}

int cmd_help(struct cli *cli, struct args *args)
{
	const struct command *command = NULL;

	if (args->given & KEY_TOPIC) {
		command = command_find(args->topic);
		if (!command)
			return fail_usage(cli, "no command '%.64s'",
					  args->topic);
	}
	help(command);
	return out_end(cli);
}

int cmd_version(struct cli *cli, struct args *args)
{
	struct tapxfer_info *caps = NULL;
	const char *module = NULL;
	int ret;

	(void)args;
	if (!tapxfer_open(&cli->tx) && !tapxfer_caps(cli->tx, &caps))
		module = tapxfer_info_str(caps, TAPXFER_A_CAP_MODULE_VERSION);

	if (cli->json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "version",
				       json_object_new_string(TAPXFER_VERSION));
		json_object_object_add(o, "library-version",
				       json_object_new_string(tapxfer_version()));
		if (module)
			json_object_object_add(o, "module-version",
					       json_object_new_string(module));
		ret = out_json(cli, o);
	} else {
		printf("tapxfer %s\nlibtapxfer %s\nmodule %s\n",
		       TAPXFER_VERSION, tapxfer_version(),
		       module ? module : "not loaded");
		ret = out_end(cli);
	}
	tapxfer_info_free(caps);
	return ret;
}

static struct json_object *features_object(const struct tapxfer_info *caps)
{
	struct json_object *o = out_object(caps, cap_attrs);
	struct json_object *array = json_object_new_array();
	uint64_t all = tapxfer_state_features();
	int bit;

	for (bit = 0; bit < 64; bit++)
		if (all & 1ULL << bit)
			json_object_array_add(array, json_object_new_string(
				tapxfer_state_feature_name(1ULL << bit)));
	json_object_object_add(o, "state-features", array);
	return o;
}

static void state_features_line(void)
{
	uint64_t all = tapxfer_state_features();
	char text[256] = "";
	size_t len = 0;
	int bit;

	for (bit = 0; bit < 64 && len < sizeof(text); bit++)
		if (all & 1ULL << bit)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
				"%s%s", len ? " " : "",
				tapxfer_state_feature_name(1ULL << bit));
	out_line("state-features", "%s", text);
}

int cmd_features(struct cli *cli, struct args *args)
{
	struct tapxfer_info *caps;
	int ret;

	(void)args;
	ret = cli_open(cli);
	if (ret)
		return ret;
	ret = tapxfer_caps(cli->tx, &caps);
	if (ret)
		return fail_call(cli, ret);

	if (cli->json) {
		ret = out_json(cli, features_object(caps));
	} else {
		out_lines(caps, cap_attrs);
		state_features_line();
		ret = out_end(cli);
	}
	tapxfer_info_free(caps);
	return ret;
}

static int netns_enter(struct cli *cli, const char *name)
{
	char path[4096];
	int fd;

	if (!*name || strlen(name) > sizeof(path) - 16)
		return fail_usage(cli, "'%.64s' is no network namespace", name);
	snprintf(path, sizeof(path), "%s%s",
		 strchr(name, '/') ? "" : "/run/netns/", name);

	cli->own_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(cli,
			    "cannot open network namespace '%.64s': %m; 'ip netns' shows those that have names",
			    name);
	if (cli->own_netns < 0 || setns(fd, CLONE_NEWNET)) {
		fail(cli, "cannot enter network namespace '%.64s': %m%s", name,
		     errno == EPERM ? "; it takes CAP_SYS_ADMIN" : "");
		close(fd);
		return EXIT_KERNEL;
	}
	close(fd);
	return 0;
}

/* A descriptor that we get must not be one of the three that all know. */
static void fds_reserve(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/*
 * Options before the command, by hand: getopt_long(3) would look for them
 * among the command's words as well. Returns the first word, or NULL when
 * *ret is how to end.
 */
static char **options(struct cli *cli, char **argv, int *ret)
{
	const char *netns = NULL;

	*ret = EXIT_OK;
	for (argv++; *argv && **argv == '-'; argv++) {
		const char *word = *argv;

		if (!strncmp(word, "--netns=", 8)) {
			netns = word + 8;
		} else if (!strcmp(word, "-n") || !strcmp(word, "--netns")) {
			netns = *++argv;
			if (!netns) {
				*ret = fail_usage(cli, "%s needs a name", word);
				return NULL;
			}
		} else if (!strcmp(word, "-j") || !strcmp(word, "--json")) {
			cli->json = true;
		} else if (!strcmp(word, "-p") || !strcmp(word, "--pretty")) {
			cli->pretty = true;
		} else if (!strcmp(word, "-jp") || !strcmp(word, "-pj")) {
			cli->json = true;
			cli->pretty = true;
		} else if (!strcmp(word, "-V") || !strcmp(word, "--version")) {
			puts("tapxfer " TAPXFER_VERSION);
			*ret = out_end(cli);
			return NULL;
		} else if (!strcmp(word, "-h") || !strcmp(word, "--help")) {
			help(NULL);
			*ret = out_end(cli);
			return NULL;
		} else {
			*ret = fail_usage(cli, "unknown option '%.64s'", word);
			return NULL;
		}
	}
	if (!*argv) {
		*ret = fail_usage(cli, "no command");
		return NULL;
	}
	if (netns)
		*ret = netns_enter(cli, netns);
	return *ret ? NULL : argv;
}

int main(int argc, char **argv)
{
	struct cli cli = { .own_netns = -1 };
	const struct command *command;
	struct args args = { 0 };
	char **words;
	int ret;

	if (argc < 1)
		return EXIT_USAGE;
	fds_reserve();
	/* a reader that has gone shows as an error of write(2) */
	cli.own_sigpipe = signal(SIGPIPE, SIG_IGN);

	words = options(&cli, argv, &ret);
	if (!words)
		return ret;

	command = command_find(*words);
	if (!command)
		return fail_usage(&cli, "no command '%.64s'", *words);
	cli.command = command->name;
	if (words[1] && (!strcmp(words[1], "-h") || !strcmp(words[1], "--help") ||
			 !strcmp(words[1], "help"))) {
		help(command);
		return out_end(&cli);
	}

	ret = args_parse(&cli, command, words + 1, &args);
	if (!ret)
		ret = command->run(&cli, &args);
	args_free(&args);
	tapxfer_close(cli.tx);
	return ret;
}
