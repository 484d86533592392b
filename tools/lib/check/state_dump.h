/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a state says, a line an attribute, as state_spec.py tells it. */
#ifndef LIBTAPXFER_STATE_DUMP_H
#define LIBTAPXFER_STATE_DUMP_H

#include <stdio.h>

#include "state.h"

static void dump_value(FILE *out, const struct txl_state_attr *attr,
		       const struct tapxfer_info *info)
{
	const uint8_t *bin;
	size_t len, i;

	switch (attr->kind) {
	case TXL_STATE_STRING:
		fputs(tapxfer_info_str(info, attr->type), out);
		break;
	case TXL_STATE_BINARY:
		bin = tapxfer_info_bin(info, attr->type, &len);
		for (i = 0; i < len; i++)
			fprintf(out, "%02x", bin[i]);
		break;
	case TXL_STATE_S32:
		fprintf(out, "%d", tapxfer_info_s32(info, attr->type));
		break;
	default:
		fprintf(out, "%llu", (unsigned long long)
			tapxfer_info_u64(info, attr->type));
	}
	fputc('\n', out);
}

static void dump_level(FILE *out, const struct txl_state_attr *table,
		       const struct tapxfer_info *info, const char *path)
{
	const struct tapxfer_info *nest;
	const struct txl_state_attr *a;
	char inner[64];
	size_t i;

	for (a = table; a->type; a++) {
		for (i = 0; a->nest; i++) {
			nest = tapxfer_info_nest(info, a->type, i);
			if (!nest)
				break;
			snprintf(inner, sizeof(inner), "%s%u[%zu].", path,
				 a->type, i);
			dump_level(out, a->nest, nest, inner);
		}
		if (a->nest || !tapxfer_info_has(info, a->type))
			continue;
		fprintf(out, "%s%u=", path, a->type);
		dump_value(out, a, info);
	}
}

static void dump_state(FILE *out, const struct tapxfer_info *info)
{
	fprintf(out, "%u=%llu\n", TAPXFER_A_STATE_FEATURES, (unsigned long long)
		tapxfer_info_u64(info, TAPXFER_A_STATE_FEATURES));
	dump_level(out, txl_state_attrs, info, "");
}

#endif /* LIBTAPXFER_STATE_DUMP_H */
