#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check/run.sh UNIT SHARED WORKDIR [nogrind]: the library's checks as TAP, from
# tools/lib. "nogrind" for a build with sanitizers, which valgrind can't run.

set -u
shopt -s extglob

unit=$1 shared=$2 work=$3 nogrind=${4-}
n=0 failed=0

result()	# STATUS NAME
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=$((failed + 1))
	fi
}

comment()
{
	sed 's/^/# /'
}

mkdir -p "$work"
stage=$(mktemp -d "$work/stage.XXXXXX")
trap 'rm -rf "$stage"' EXIT

echo '#include <tapxfer/tapxfer.h>' >"$work/header.cc"
for std in c++11 c++17; do
	out=$($CXX -std=$std -Wall -Wextra -Werror -pedantic -Iinclude \
		-I../../include/uapi -fsyntax-only "$work/header.cc" 2>&1)
	result $? "header: $std"
	[ -z "$out" ] || comment <<<"$out"
done
cp "$work/header.cc" "$work/header.c"
out=$($CC -std=c11 -Wall -Wextra -Werror -pedantic -Iinclude \
	-I../../include/uapi -fsyntax-only "$work/header.c" 2>&1)
result $? "header: c11"
[ -z "$out" ] || comment <<<"$out"

# Exported, in the version script, declared: three lists of the same names
exported=$(nm -D --defined-only --with-symbol-versions "$shared" |
	awk '$2 != "A" { print $3 }' | sort)
mapped=$(awk '/^LIBTAPXFER_/ { version = $1 }
	/^\t[a-z0-9_]+;$/ { sub(";", ""); print $1 "@@" version }' libtapxfer.map | sort)
out=$(diff <(echo "$mapped") <(echo "$exported"))
result $? "symbols: exported as the version script says"
[ -z "$out" ] || comment <<<"$out"
declared=$(sed 's/^ \*.*//' include/tapxfer/tapxfer.h |
	grep -o '\<tapxfer_[a-z0-9_]*(' | tr -d '(' | sort -u)
out=$(diff <(echo "$declared") <(echo "${exported//@@LIBTAPXFER_+([0-9.])/}"))
result $? "symbols: exported as the header declares"
[ -z "$out" ] || comment <<<"$out"
# what the first version had is there for good, at its version
out=$(diff <(sed -n '1,/^}/s/^\t\([a-z0-9_]*\);$/\1/p' libtapxfer.map | sha256sum) \
	check/abi-0.1.sha256)
result $? "symbols: LIBTAPXFER_0.1 is as it was released"
[ -z "$out" ] || comment <<<"$out"
soname=$(readelf -d "$shared" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
[ "$soname" = libtapxfer.so.0 ]
result $? "symbols: soname"
undocumented=
for name in $declared; do
	grep -q "^\( \*\|/\*\*\) $name() - " include/tapxfer/tapxfer.h ||
		undocumented+=" $name"
done
[ -z "$undocumented" ]
result $? "header: each function is documented$undocumented"

# An example against an install elsewhere, as a user of the package builds it
cat >"$work/example.c" <<'END'
#include <stdio.h>
#include <tapxfer/tapxfer.h>

int main(void)
{
	struct tapxfer *tx;
	int err = tapxfer_open(&tx);

	puts(err ? tapxfer_open_error(err) : "connected");
	tapxfer_close(tx);
	return 0;
}
END
root=$(cd "$stage" && pwd)
out=$(make --no-print-directory install DESTDIR="$root" PREFIX=/usr \
	LIBDIR=/usr/lib INCLUDEDIR=/usr/include \
	${nogrind:+SAN=1} 2>&1)
result $? "install: to a stage"
[ -z "$out" ] || comment <<<"$out"
export PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
san=${nogrind:+-fsanitize=address,undefined}
run_example()	# NAME FLAG…
{
	local what=$1 out

	shift
	# shellcheck disable=SC2046,SC2086 # words
	out=$($CC $san -Wall -Werror -o "$work/example" "$work/example.c" \
		$($PKG_CONFIG --cflags libtapxfer) "$@" 2>&1 &&
		LD_LIBRARY_PATH=$root/usr/lib "$work/example")
	case $out in
	connected | *"modprobe tapxfer") result 0 "pkg-config: $what: $out" ;;
	*) result 1 "pkg-config: $what"; comment <<<"$out" ;;
	esac
}
# shellcheck disable=SC2046
run_example shared $($PKG_CONFIG --libs libtapxfer)
# libmnl is not in the stage: its flags without the stage's root
# shellcheck disable=SC2046
run_example static "$root/usr/lib/libtapxfer.a" \
	$(PKG_CONFIG_SYSROOT_DIR='' $PKG_CONFIG --libs libmnl)
out=$(make --no-print-directory uninstall DESTDIR="$root" PREFIX=/usr \
	LIBDIR=/usr/lib INCLUDEDIR=/usr/include 2>&1)
out=$(find "$root" ! -type d)
[ -z "$out" ]
result $? "uninstall: nothing is left"
[ -z "$out" ] || comment <<<"$out"
unset PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH

while IFS= read -r line; do
	case $line in
	"ok - "*"# SKIP"*)
		n=$((n + 1))
		echo "ok $n ${line#ok }" ;;
	"ok - "*) result 0 "${line#ok - }" ;;
	"not ok - "*) result 1 "${line#not ok - }" ;;
	*) comment <<<"$line" ;;
	esac
done < <("$unit" 2>&1; echo $? >"$work/status")
status=$(cat "$work/status")
[ "$status" -le 1 ]
result $? "the unit checks came to their end (status $status)"

# Debian 12's valgrind has no pidfd_open(2), which skips what needs it; the
# sanitizers see that.
if [ -n "$nogrind" ]; then
	:
elif command -v valgrind >/dev/null; then
	valgrind -q --leak-check=full --show-leak-kinds=all --error-exitcode=99 \
		--log-file="$work/valgrind.log" "$unit" >"$work/valgrind.out" 2>&1
	status=$?
	[ "$status" = 0 ]
	result $? "the unit checks under valgrind (status $status)"
	[ "$status" = 0 ] || cat "$work/valgrind.out" "$work/valgrind.log" | comment
else
	n=$((n + 1))
	echo "ok $n - the unit checks under valgrind # SKIP no valgrind here"
fi

echo "1..$n"
[ "$failed" = 0 ]
