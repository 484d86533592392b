/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's harness, which this file stands before, and a choice of what it
 * runs: a program's argument is "fixture.case", or "fixture.variant.case" as
 * the results name it. Later kernels' harnesses have options for that. The time
 * that a case may take is that of a usual machine.
 */
#ifndef SELFTESTS_KSELFTEST_HARNESS_H
#define SELFTESTS_KSELFTEST_HARNESS_H

#include_next <kselftest_harness.h>

#include <stdbool.h>
#include <string.h>

#include "util.h"

#define HARNESS_KEEP(head, keep) do {					\
	__typeof__(head) *at_ = &(head);				\
									\
	while (*at_) {							\
		__typeof__(head) it = *at_;				\
									\
		if (keep)						\
			at_ = &it->next;				\
		else							\
			*at_ = it->next;				\
	}								\
} while (0)

static inline bool harness_is(const char *name, const char *from, size_t len)
{
	return strlen(name) == len && !strncmp(name, from, len);
}

/* Whether there is such a case; it is the only one that is left then. */
static inline bool harness_choose(const char *name)
{
	const char *variant = strchr(name, '.');
	const char *test = strrchr(name, '.');
	struct __fixture_metadata *f;
	bool found = false, any;

	if (!test)
		return false;
	variant++;
	test++;
	for (f = __fixture_list; f; f = f->next) {
		any = harness_is(f->name, name, variant - 1 - name);
		if (any && variant != test) {
			HARNESS_KEEP(f->variant,
				     harness_is(it->name, variant,
						test - 1 - variant));
			any = !!f->variant;
		}
		HARNESS_KEEP(f->tests, any && !strcmp(it->name, test));
		if (f->tests)
			found = true;
	}
	return found;
}

static inline void harness_scale(void)
{
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout = scaled_ms(t->timeout * 1000) / 1000;
}

static inline int harness_main(int argc, char **argv)
{
	if (argc > 1 && !harness_choose(argv[1])) {
		fprintf(TH_LOG_STREAM, "Bail out! no case %s\n", argv[1]);
		return KSFT_FAIL;
	}
	harness_scale();
	return test_harness_run(argc, argv);
}

#undef TEST_HARNESS_MAIN
#define TEST_HARNESS_MAIN						\
	static void __attribute__((constructor))			\
	__constructor_order_last(void)					\
	{								\
		if (!__constructor_order)				\
			__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD; \
	}								\
									\
	int main(int argc, char **argv)					\
	{								\
		return harness_main(argc, argv);			\
	}

#endif /* SELFTESTS_KSELFTEST_HARNESS_H */
