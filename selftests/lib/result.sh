# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Read by the tests that are shell scripts: their results, in TAP's words. $tmp is
# a directory of the test's own, which it removes.

n=0 failed=0
tmp=$(mktemp -d)
exec 2>&1
# This machine may be slower than a usual one.
# shellcheck disable=SC2034 # the tests'
scale=${SELFTESTS_SCALE:-1}

# What is shown of a case that failed; a test may have its own.
show() { sed 's/^/# /' "${1-$tmp/out}"; }

result()	# STATUS NAME [FILE]
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		show "${@:3}"
		failed=$((failed + 1))
	fi
}

# The last line of a test, and its status
plan()
{
	echo "1..$n"
	[ "$failed" = 0 ]
}
