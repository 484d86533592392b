// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Checks of the state's bytes, which need no kernel module: "ok - …" lines for
 * check/run.sh. The argument is the directory of golden files.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state_dump.h"

#define BYTES_MAX	4096

static int failures;
static struct tapxfer *tx;

#define CHECK(cond, ...) check(!!(cond), #cond, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 4, 5)))
static void check(bool good, const char *cond, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%s - state: ", good ? "ok" : "not ok");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!good) {
		printf("# line %d: %s; %s\n", line, cond, tapxfer_error(tx));
		failures++;
	}
	fflush(stdout);
}

struct bytes {
	uint8_t b[BYTES_MAX];
	size_t n;
};

static bool slurp(const char *path, struct bytes *bytes)
{
	FILE *f = fopen(path, "r");

	bytes->n = 0;
	if (!f)
		return false;
	bytes->n = fread(bytes->b, 1, sizeof(bytes->b) - 1, f);
	bytes->b[bytes->n] = '\0';
	fclose(f);
	return true;
}

static struct tapxfer_stream *load_open(uint64_t takes)
{
	struct tapxfer_state_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_STATE_OPT_TAKES,
		.takes = takes,
	};
	struct tapxfer_stream *stream;

	return tapxfer_state_open(tx, 0, TAPXFER_DIRECTION_LOAD,
				  TAPXFER_PHASE_STOPPED, &opts, &stream) ?
	       NULL : stream;
}

/* Through a descriptor; @stream NULL on failure, and its errno is returned. */
static int load(const struct bytes *bytes, struct tapxfer_stream **stream)
{
	int fd = memfd_create("state", MFD_CLOEXEC), err;

	*stream = load_open(~0ULL);
	if (write(fd, bytes->b, bytes->n) != (ssize_t)bytes->n)
		abort();
	lseek(fd, 0, SEEK_SET);
	err = tapxfer_state_load(*stream, fd);
	/* it stays failed */
	if (err && tapxfer_state_load(*stream, fd) != err)
		abort();
	close(fd);
	if (err) {
		tapxfer_state_close(*stream);
		*stream = NULL;
	}
	return err;
}

/* Of one byte, by the definition */
static uint32_t crc_by_bits(unsigned int byte)
{
	uint32_t crc = ~(uint32_t)0 ^ byte;
	int bit;

	for (bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	return ~crc;
}

static void checksums(void)
{
	/* RFC 3720, appendix B.4, and the usual one */
	static const uint8_t zeros[32];
	unsigned int n, same = 0;
	uint32_t crc;
	uint8_t byte;

	CHECK(txl_crc32c(0, "123456789", 9) == 0xe3069283U &&
	      txl_crc32c(0, zeros, sizeof(zeros)) == 0x8a9136aaU,
	      "crc-32c: the known sums");
	for (n = 0; n < 256; n++) {
		byte = (uint8_t)n;
		same += txl_crc32c(0, &byte, 1) == crc_by_bits(n);
	}
	CHECK(same == 256, "crc-32c: of each byte");
	crc = txl_crc32c(0, "1234", 4);
	CHECK(txl_crc32c(crc, "56789", 5) == 0xe3069283U,
	      "crc-32c: in pieces");
}

static bool says(const struct tapxfer_info *info, const char *path)
{
	char *text = NULL;
	struct bytes want;
	size_t size;
	FILE *out;
	bool same;

	if (!slurp(path, &want))
		return false;
	out = open_memstream(&text, &size);
	dump_state(out, info);
	fclose(out);
	same = size == want.n && !memcmp(text, want.b, size);
	if (!same)
		printf("# %s\n", text);
	free(text);
	return same;
}

/* Byte by byte what the file has, up to what the saver says of himself */
static bool same_bytes(const uint8_t *bytes, size_t len, const char *txt)
{
	struct bytes want;
	char path[512];
	uint8_t *end;

	snprintf(path, sizeof(path), "%.*s.state", (int)strlen(txt) - 4, txt);
	slurp(path, &want);
	end = memmem(want.b, want.n, "\x0a\0\x01\x01", 4);
	return end && len > (size_t)(end - want.b) &&
	       !memcmp(bytes + TXL_STATE_HEADER, want.b + TXL_STATE_HEADER,
		       (size_t)(end - want.b) - TXL_STATE_HEADER) &&
	       !memcmp(bytes, want.b, TXL_STATE_OFF_LENGTH);
}

/* What a reader gets out of it has to be what was put in. */
static bool round_trip(const struct tapxfer_info *info, const char *path)
{
	uint64_t features =
		tapxfer_info_u64(info, TAPXFER_A_STATE_KERNEL_FEATURES);
	const char *module = tapxfer_info_str(info, TAPXFER_A_STATE_MODULE);
	struct txl_state_source src = { .ho = info };
	struct tapxfer_info *caps, *back = NULL;
	struct txl_state_header header;
	struct txl_build b;
	void *bytes = NULL;
	bool good = false;
	size_t len;

	txl_build_begin(&b);
	txl_build_put(&b, TAPXFER_A_CAP_FEATURES, &features, sizeof(features));
	if (module)
		txl_build_put(&b, TAPXFER_A_CAP_MODULE_VERSION, module,
			      strlen(module) + 1);
	caps = txl_build_end(&b, true);
	src.caps = caps;
	if (!txl_state_encode(tx, &src, &bytes, &len) &&
	    !txl_state_header(tx, bytes, TXL_STATE_FEATURES, &header) &&
	    header.length == len - TXL_STATE_HEADER - TXL_STATE_TRAILER &&
	    !txl_state_decode(tx, bytes, len, NULL, &back))
		/* of the others the saver says more, and v1-later less */
		good = !strstr(path, "v1-tap") ||
		       (says(back, path) && same_bytes(bytes, len, path));
	tapxfer_info_free(back);
	tapxfer_info_free(caps);
	free(bytes);
	return good;
}

static void golden(const char *dir)
{
	struct tapxfer_stream *stream;
	struct dirent **names;
	char path[512], *dot;
	struct bytes bytes;
	int i, n, found = 0;

	n = scandir(dir, &names, NULL, alphasort);
	for (i = 0; i < n; i++) {
		dot = strrchr(names[i]->d_name, '.');
		if (!dot || strcmp(dot, ".state"))
			goto next;
		found++;
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		slurp(path, &bytes);
		CHECK(!load(&bytes, &stream), "golden: %s is read",
		      names[i]->d_name);
		snprintf(path, sizeof(path), "%s/%.*s.txt", dir,
			 (int)(dot - names[i]->d_name), names[i]->d_name);
		CHECK(stream && says(tapxfer_state_info(stream), path) &&
		      !tapxfer_state_check(stream),
		      "golden: %s says what it says", names[i]->d_name);
		CHECK(stream && round_trip(tapxfer_state_info(stream), path),
		      "golden: %s is written and read again",
		      names[i]->d_name);
		tapxfer_state_close(stream);
next:
		free(names[i]);
	}
	free(names);
	CHECK(found >= 4, "golden: all %d of them", found);
}

/* A device may have a name that no reader takes: then nobody writes it. */
static void odd_name(const char *dir)
{
	struct tapxfer_stream *stream;
	const struct tapxfer_info *info;
	char path[512], text[512], *name;
	struct bytes bytes;

	snprintf(path, sizeof(path), "%s/v1-tap.state", dir);
	snprintf(text, sizeof(text), "%s/v1-tap.txt", dir);
	slurp(path, &bytes);
	load(&bytes, &stream);
	info = tapxfer_state_info(stream);
	name = (char *)tapxfer_info_str(info, TAPXFER_A_HANDOVER_IFNAME);
	*name = '\033';
	CHECK(!round_trip(info, text) &&
	      strstr(tapxfer_error(tx), "not as it should: ifname"),
	      "saved: not a name that steers terminals: %s", tapxfer_error(tx));
	tapxfer_state_close(stream);
}

static int errno_of(const char *name)
{
	static const struct {
		const char *name;
		int err;
	} errnos[] = {
		{ "EBADMSG", -EBADMSG }, { "EOPNOTSUPP", -EOPNOTSUPP },
		{ "EMSGSIZE", -EMSGSIZE }, { "ENODATA", -ENODATA },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errnos); i++)
		if (!strcmp(errnos[i].name, name))
			return errnos[i].err;
	return 0;
}

static void refused(const char *dir)
{
	char line[256], path[512], name[64], err[32], text[128];
	struct tapxfer_stream *stream;
	struct bytes bytes;
	int ret, n = 0;
	FILE *list;

	snprintf(path, sizeof(path), "%s/refused/expected", dir);
	list = fopen(path, "r");
	while (list && fgets(line, sizeof(line), list)) {
		if (sscanf(line, "%63s %31s %127[^\n]", name, err, text) != 3)
			continue;
		snprintf(path, sizeof(path), "%s/refused/%s.state", dir, name);
		slurp(path, &bytes);
		ret = load(&bytes, &stream);
		CHECK(ret && ret == errno_of(err) &&
		      strstr(tapxfer_error(tx), text),
		      "refused: %s: %s", name, tapxfer_error(tx));
		tapxfer_state_close(stream);
		n++;
	}
	if (list)
		fclose(list);
	CHECK(n >= 20, "refused: all %d of them", n);
}

static void set_le32(uint8_t *p, uint32_t value)
{
	value = htole32(value);
	memcpy(p, &value, sizeof(value));
}

/*
 * Each bit of it wrong: the checksums find all of these. With the sums made
 * good the rest of the parser sees them: it may take some, and must survive
 * all, which valgrind and the sanitizers watch.
 */
static void damage(const char *dir)
{
	unsigned int accepted = 0, refusals = 0, good = 0;
	struct bytes bytes, bad;
	struct tapxfer_stream *stream;
	char path[512];
	size_t i, len;

	snprintf(path, sizeof(path), "%s/v1-detached.state", dir);
	slurp(path, &bytes);
	for (i = 0; i < bytes.n * 8; i++) {
		bad = bytes;
		bad.b[i / 8] ^= (uint8_t)(1 << i % 8);
		if (!load(&bad, &stream))
			accepted++;
		tapxfer_state_close(stream);

		set_le32(bad.b + TXL_STATE_OFF_CRC,
			 txl_crc32c(0, bad.b, TXL_STATE_OFF_CRC));
		len = bad.n - TXL_STATE_TRAILER;
		set_le32(bad.b + len, txl_crc32c(0, bad.b, len));
		if (load(&bad, &stream))
			refusals++;
		else
			good++;
		tapxfer_state_close(stream);
	}
	CHECK(bytes.n > 500 && !accepted,
	      "damage: none of %zu wrong bits is taken", bytes.n * 8);
	CHECK(refusals && good,
	      "damage: with good checksums %u are refused and %u taken",
	      refusals, good);

	accepted = 0;
	for (bad = bytes; bad.n--;) {
		if (load(&bad, &stream) != -ENODATA)
			accepted++;
		tapxfer_state_close(stream);
	}
	CHECK(!accepted, "damage: cut anywhere it has ended too early");
}

static void in_pieces(const char *dir)
{
	struct tapxfer_stream *stream;
	struct bytes bytes;
	size_t step, at, n;
	bool good = true;
	char path[512];
	ssize_t used;

	snprintf(path, sizeof(path), "%s/v1-tap.state", dir);
	slurp(path, &bytes);
	for (step = 1; step < bytes.n + 10; step++) {
		stream = load_open(~0ULL);
		for (at = 0; at < bytes.n; at += (size_t)used) {
			n = bytes.n - at < step ? bytes.n - at : step;
			good &= !tapxfer_state_complete(stream) &&
				!tapxfer_state_info(stream) &&
				tapxfer_state_check(stream) == -EINPROGRESS;
			used = tapxfer_state_push(stream, bytes.b + at, n);
			if (used <= 0) {
				good = false;
				break;
			}
		}
		good &= tapxfer_state_complete(stream) &&
			tapxfer_state_info(stream) &&
			!tapxfer_state_check(stream) &&
			tapxfer_state_push(stream, "x", 1) == 0;
		tapxfer_state_close(stream);
	}
	CHECK(good, "pieces: of any size");

	/* the caller's own bytes follow */
	memcpy(bytes.b + bytes.n, "tail", 4);
	stream = load_open(~0ULL);
	used = tapxfer_state_push(stream, bytes.b, bytes.n + 4);
	CHECK(used == (ssize_t)bytes.n && tapxfer_state_complete(stream),
	      "pieces: what follows is not taken");
	CHECK(tapxfer_state_load(stream, -1) == -EALREADY &&
	      strstr(tapxfer_error(tx), "open another"),
	      "pieces: a second load: %s", tapxfer_error(tx));
	tapxfer_state_close(stream);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A writer that is slow, and a reader that signals interrupt */
static void through_socket(const char *dir)
{
	const struct itimerval every = {
		.it_interval.tv_usec = 500, .it_value.tv_usec = 500,
	};
	const struct itimerval never = { 0 };
	/* no SA_RESTART */
	struct sigaction act = { .sa_handler = on_alarm };
	struct tapxfer_stream *stream;
	struct bytes bytes;
	char path[512], tail[8];
	int sv[2], err;
	size_t i;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/v1-tap.state", dir);
	slurp(path, &bytes);
	memcpy(bytes.b + bytes.n, "tail", 4);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		abort();
	pid = fork();
	if (!pid) {
		for (i = 0; i < bytes.n + 4; i++) {
			if (write(sv[1], bytes.b + i, 1) != 1)
				_exit(1);
			if (i % 16 == 0)
				usleep(1000);
		}
		_exit(0);
	}
	close(sv[1]);
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	stream = load_open(~0ULL);
	err = tapxfer_state_load(stream, sv[0]);
	setitimer(ITIMER_REAL, &never, NULL);
	/* one may be on its way */
	signal(SIGALRM, SIG_IGN);
	CHECK(!err && !tapxfer_state_check(stream),
	      "socket: byte by byte, while signals come");
	CHECK(recv(sv[0], tail, sizeof(tail), MSG_WAITALL) == 4 &&
	      !memcmp(tail, "tail", 4), "socket: what follows is left there");
	tapxfer_state_close(stream);
	close(sv[0]);
	waitpid(pid, NULL, 0);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       sv))
		abort();
	stream = load_open(~0ULL);
	err = 0;
	for (i = 0; i < bytes.n; i++) {
		if (tapxfer_state_load(stream, sv[0]) != -EAGAIN)
			err = -1;
		if (write(sv[1], bytes.b + i, 1) != 1)
			abort();
	}
	CHECK(!err && !tapxfer_state_load(stream, sv[0]) &&
	      !tapxfer_state_check(stream),
	      "socket: one that does not block goes on where it was");
	tapxfer_state_close(stream);

	stream = load_open(~0ULL);
	if (write(sv[1], bytes.b, 40) != 40)
		abort();
	close(sv[1]);
	CHECK(tapxfer_state_load(stream, sv[0]) == -ENODATA &&
	      tapxfer_state_check(stream) == -ENODATA &&
	      strstr(tapxfer_error(tx), "after 40 bytes"),
	      "socket: closed too early: %s", tapxfer_error(tx));
	tapxfer_state_close(stream);
	close(sv[0]);

	stream = load_open(~0ULL);
	CHECK(tapxfer_state_load(stream, -1) == -EBADF &&
	      tapxfer_state_check(stream) == -EBADF,
	      "socket: no descriptor: %s", tapxfer_error(tx));
	tapxfer_state_close(stream);
}

static void taken(const char *dir)
{
	static const struct {
		const char *file;
		uint64_t not;
		const char *name;
	} cases[] = {
		{ "v1-tap", TAPXFER_STATE_FEATURE_DRAINED, "'drained'" },
		{ "v1-tap", TAPXFER_STATE_FEATURE_HELD, "'held'" },
		{ "v1-detached", TAPXFER_STATE_FEATURE_LEFT, "'left'" },
		{ "v1-detached", TAPXFER_STATE_FEATURE_DETACHED, "'detached'" },
	};
	uint64_t all = tapxfer_state_features();
	struct tapxfer_stream *stream;
	struct bytes bytes;
	char path[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(path, sizeof(path), "%s/%s.state", dir, cases[i].file);
		slurp(path, &bytes);
		stream = load_open(all & ~cases[i].not);
		/* the header is enough to know */
		CHECK(tapxfer_state_push(stream, bytes.b, TXL_STATE_HEADER) ==
		      -EOPNOTSUPP &&
		      strstr(tapxfer_error(tx), cases[i].name),
		      "features: a target that does not take %s: %s",
		      cases[i].name, tapxfer_error(tx));
		tapxfer_state_close(stream);
	}
	CHECK(!(all & TAPXFER_STATE_FEATURE_FDS) &&
	      !strcmp(tapxfer_state_feature_name(4), "left") &&
	      !tapxfer_state_feature_name(1ULL << 40) &&
	      !tapxfer_state_feature_name(3), "features: names");
}

static void arguments(void)
{
	struct tapxfer_stream *stream = (void *)-1;
	struct tapxfer_state_opts opts = { 0 };
	char buf[8];
	uint32_t i;
	bool good = true;

	for (i = 1; i < 4; i++)
		good &= tapxfer_state_open(tx, 0, TAPXFER_DIRECTION_LOAD, i,
					   NULL, &stream) == -EOPNOTSUPP &&
			!stream;
	CHECK(good, "arguments: other phases: %s", tapxfer_error(tx));
	CHECK(tapxfer_state_open(tx, 0, 2, 0, NULL, &stream) == -EINVAL,
	      "arguments: another direction: %s", tapxfer_error(tx));
	CHECK(tapxfer_state_open(tx, 0, TAPXFER_DIRECTION_SAVE, 0, NULL,
				 &stream) == -EINVAL,
	      "arguments: nothing to save: %s", tapxfer_error(tx));
	CHECK(tapxfer_state_open(tx, 0, 1, 0, &opts, &stream) == -EINVAL,
	      "arguments: options without a size: %s", tapxfer_error(tx));
	opts.size = sizeof(opts);
	opts.set = 2;
	CHECK(tapxfer_state_open(tx, 0, 1, 0, &opts, &stream) == -EINVAL,
	      "arguments: an unknown option: %s", tapxfer_error(tx));
	stream = load_open(~0ULL);
	CHECK(tapxfer_state_save(stream, 1) == -EINVAL &&
	      tapxfer_state_pull(stream, buf, sizeof(buf)) == -EINVAL &&
	      tapxfer_state_check(stream) == -EINPROGRESS,
	      "arguments: the wrong direction: %s", tapxfer_error(tx));
	tapxfer_state_close(stream);
	tapxfer_state_close(NULL);

	CHECK(!tapxfer_state_open(NULL, 0, TAPXFER_DIRECTION_LOAD, 0, NULL,
				  &stream) &&
	      tapxfer_state_push(stream, "this is no state, as one can see",
				 32) == -EBADMSG,
	      "arguments: without a handle");
	tapxfer_state_close(stream);
	CHECK(tapxfer_state_open(NULL, 7, TAPXFER_DIRECTION_LOAD, 0, NULL,
				 &stream) == -EINVAL,
	      "arguments: a handover without a handle");
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : ".";

	/* no kernel is asked: errors have a place, that is all */
	tx = calloc(1, sizeof(*tx));
	txl_error_reset(tx);
	checksums();
	golden(dir);
	odd_name(dir);
	refused(dir);
	damage(dir);
	in_pieces(dir);
	through_socket(dir);
	taken(dir);
	arguments();
	free(tx);
	return !!failures;
}
