#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The library's binary interface, from tools/lib:
#
#	check/abi.sh record SHARED	write it to check/abi/, at a release
#	check/abi.sh check SHARED	silent when all that was recorded is there
#
# abidw's file has the functions and structures that they lead to, "constants" the
# numbers of all headers, which callers have compiled in. What is new may be
# there; what was recorded may not change.

set -euo pipefail

what=$1 shared=$2
arch=$(uname -m)
abi=check/abi/libtapxfer.$arch.abi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Enumerators and macros, each with its value. Those that are the end of a list
# grow with it.
constants()
{
	local headers=(include/tapxfer/*.h ../../include/uapi/linux/tapxfer.h)

	sed -n 's/^\t\(TAPXFER_[A-Z0-9_]*\)\( =.*\|,.*\|\)$/\1/p
		s/^#define \(TAPXFER_[A-Z0-9_]*\)[[:space:]].*/\1/p' "${headers[@]}" |
		grep -v '_MAX$' >"$work/names" || true
	{
		cat <<-'END'
		#include <stdio.h>
		END
		(cd include && printf '#include <%s>\n' tapxfer/*.h)
		cat <<-'END'

		static void text(const char *name, const char *value)
		{
			printf("%s \"%s\"\n", name, value);
		}

		static void number(const char *name, long long value)
		{
			printf("%s %lld\n", name, value);
		}

		#define TELL(name) _Generic((name), char *: text, default: number)(#name, name)

		int main(void)
		{
		END
		sed '/_H$/d; s/.*/TELL(&);/' "$work/names"
		echo 'return 0; }'
	} >"$work/constants.c"
	${CC:-cc} -Iinclude -I../../include/uapi -o "$work/constants" "$work/constants.c"
	"$work/constants" | sort
}

if [ "$what" = record ]; then
	constants >check/abi/constants
	abidw --exported-interfaces-only --drop-undefined-syms --drop-private-types \
		--headers-dir include --no-corpus-path --no-comp-dir-path \
		--no-show-locs --out-file "$abi" "$shared"
	exit
fi

rc=0
constants >"$work/now"
[ "$(wc -l <"$work/now")" -ge "$(wc -l <check/abi/constants)" ] || rc=1
gone=$(comm -23 check/abi/constants "$work/now")
[ -z "$gone" ] || { printf 'changed, or gone:\n%s\n' "$gone"; rc=1; }

[ -f "$abi" ] || { echo "no record for $arch: make abi, with what was released"; exit 1; }
# it tells of what it has left out, too
abidiff --no-added-syms "$abi" "$shared" >"$work/diff" 2>&1 ||
	{ cat "$work/diff"; rc=1; }
exit $rc
