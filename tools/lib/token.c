// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "internal.h"

EXPORT int tapxfer_token_format(const struct tapxfer_token *token, char *text,
				size_t size)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	if (size < TAPXFER_TOKEN_TEXT_LEN + 1)
		return -ENOSPC;

	for (i = 0; i < sizeof(token->bytes); i++) {
		*text++ = digits[token->bytes[i] >> 4];
		*text++ = digits[token->bytes[i] & 15];
	}
	*text = '\0';
	return 0;
}

/* Not isxdigit(): what a digit is must not depend on the locale. */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

EXPORT int tapxfer_token_parse(struct tapxfer_token *token, const char *text,
			       size_t len)
{
	size_t i;

	tapxfer_token_wipe(token);
	if (len != TAPXFER_TOKEN_TEXT_LEN)
		return -EINVAL;

	for (i = 0; i < sizeof(token->bytes); i++) {
		int high = digit(text[2 * i]);
		int low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0) {
			tapxfer_token_wipe(token);
			return -EINVAL;
		}
		token->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

EXPORT void tapxfer_token_wipe(struct tapxfer_token *token)
{
	if (token)
		explicit_bzero(token, sizeof(*token));
}
