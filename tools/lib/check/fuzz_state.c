// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Anybody's bytes to the reader of states, under libFuzzer: it must neither
 * crash nor leak, and what it takes must be written and read again as the same.
 */
#include <stdlib.h>
#include <string.h>

#include <endian.h>

#include "state_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tapxfer handle;

#define MUST(cond) do { if (!(cond)) __builtin_trap(); } while (0)

static struct tapxfer_stream *open_to_load(void)
{
	struct tapxfer_stream *stream;

	MUST(!tapxfer_state_open(&handle, 0, TAPXFER_DIRECTION_LOAD,
				 TAPXFER_PHASE_STOPPED, NULL, &stream));
	return stream;
}

/* In pieces that the bytes themselves choose */
static struct tapxfer_stream *load(const uint8_t *data, size_t size)
{
	struct tapxfer_stream *stream = open_to_load();
	size_t n, at = 0;
	ssize_t used = 0;

	while (at < size && !tapxfer_state_complete(stream)) {
		n = data[at] % 64 + 1U;
		if (n > size - at)
			n = size - at;
		used = tapxfer_state_push(stream, data + at, n);
		if (used < 0)
			break;
		MUST((size_t)used == n || tapxfer_state_complete(stream));
		at += (size_t)used;
	}
	if (used < 0)
		MUST(tapxfer_error(&handle)[0]);
	if (tapxfer_state_complete(stream))
		return stream;
	MUST(!tapxfer_state_info(stream) && tapxfer_state_check(stream));
	tapxfer_state_close(stream);
	return NULL;
}

static char *dump(const struct tapxfer_info *info)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	MUST(out);
	dump_state(out, info);
	fclose(out);
	return text;
}

/*
 * The first line is of the features, and attributes of the saver's own follow
 * all of the handover's: both may be others, when others write.
 */
static const char *without_saver(char *text)
{
	char number[16], *p;
	unsigned int attr;

	for (attr = TAPXFER_A_STATE_LIBRARY; attr <= TAPXFER_A_STATE_READS;
	     attr++) {
		snprintf(number, sizeof(number), "\n%u=", attr);
		p = strstr(text, number);
		if (p)
			p[1] = '\0';
	}
	return strchr(text, '\n');
}

static void taken(const struct tapxfer_info *info)
{
	struct txl_state_source src = { .ho = info };
	struct txl_state_header header;
	struct tapxfer_info *back;
	struct txl_build b;
	char *before, *after;
	void *bytes;
	size_t len;

	MUST(!txl_state_verdict(&handle, info, info));
	MUST(!txl_build_begin(&b));
	src.caps = txl_build_end(&b, true);
	MUST(!txl_state_encode(&handle, &src, &bytes, &len));
	MUST(!txl_state_header(&handle, bytes, TXL_STATE_FEATURES, &header));
	MUST(!txl_state_decode(&handle, bytes, len, NULL, &back));
	before = dump(info);
	after = dump(back);
	MUST(!strcmp(without_saver(before), without_saver(after)));
	free(before);
	free(after);
	free(bytes);
	tapxfer_info_free(back);
	tapxfer_info_free((struct tapxfer_info *)src.caps);
}

static void try(const uint8_t *data, size_t size)
{
	struct tapxfer_stream *stream = load(data, size);

	if (stream)
		taken(tapxfer_state_info(stream));
	tapxfer_state_close(stream);
}

static void set_le32(uint8_t *p, uint32_t value)
{
	value = htole32(value);
	memcpy(p, &value, sizeof(value));
}

/* Sums that are right */
static void seal(uint8_t *bytes, size_t body)
{
	set_le32(bytes + TXL_STATE_OFF_CRC,
		 txl_crc32c(0, bytes, TXL_STATE_OFF_CRC));
	set_le32(bytes + TXL_STATE_HEADER + body,
		 txl_crc32c(0, bytes, TXL_STATE_HEADER + body));
}

/* What passes exec has a token and numbers of descriptors besides. */
static void try_exec(const uint8_t *bytes, size_t size)
{
	const uint64_t takes = TXL_STATE_FEATURES |
			       TAPXFER_STATE_FEATURE_FDS;
	struct txl_state_header header;
	struct tapxfer_token token;
	struct tapxfer_info *info;

	if (txl_state_header(&handle, bytes, takes, &header))
		return;
	MUST(header.features & TAPXFER_STATE_FEATURE_FDS);
	if (txl_state_decode(&handle, bytes, size, &token, &info))
		return;
	free(dump(info));
	tapxfer_info_free(info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t body = size - TXL_STATE_HEADER - TXL_STATE_TRAILER;
	uint8_t *copy;

	try(data, size);
	if (size < TXL_STATE_HEADER + TXL_STATE_TRAILER)
		return 0;

	/* no fuzzer guesses a checksum: with a head and sums that are right */
	copy = malloc(size);
	MUST(copy);
	memcpy(copy, data, size);
	memcpy(copy, TXL_STATE_MAGIC, TXL_STATE_MAGIC_LEN);
	set_le32(copy + TXL_STATE_OFF_VERSION, TXL_STATE_VERSION);
	set_le32(copy + TXL_STATE_OFF_LENGTH, (uint32_t)body);
	copy[TXL_STATE_OFF_FEATURES] &= TXL_STATE_FEATURES;
	memset(copy + TXL_STATE_OFF_FEATURES + 1, 0, 7);
	set_le32(copy + TXL_STATE_OFF_RESERVED, 0);
	seal(copy, body);
	try(copy, size);
	copy[TXL_STATE_OFF_FEATURES] |= TAPXFER_STATE_FEATURE_FDS;
	seal(copy, body);
	try_exec(copy, size);
	free(copy);
	return 0;
}
