#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check/run.sh UNIT STATE CHANNEL FUZZ SHARED WORKDIR [nogrind]: the library's checks
# as TAP, from tools/lib; STATE and FUZZ are those of the state's bytes. FUZZ may be "";
# "nogrind" for a build with sanitizers, which valgrind can't run.

set -u
shopt -s extglob

unit=$1 state=$2 channel=$3 fuzz=$4 shared=$5 work=$6 nogrind=${7-}
golden=../../selftests/golden
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

# The headers on their own, in each language that is said to read them
parses()	# COMPILER STD SUFFIX HEADER
{
	local out

	echo "#include <$4>" >"$work/header.$3"
	out=$($1 -std="$2" -Wall -Wextra -Werror -pedantic -Iinclude \
		-I../../include/uapi -fsyntax-only "$work/header.$3" 2>&1)
	result $? "header: $4: $2"
	[ -z "$out" ] || comment <<<"$out"
}
for header in $(cd include && echo tapxfer/*.h) linux/tapxfer.h; do
	for std in c++11 c++17 c++20; do
		parses "$CXX" $std cc "$header"
	done
	for std in c99 c11 c17 c2x; do
		parses "$CC" $std c "$header"
	done
done

# Who makes bindings for other languages has a parser and no preprocessor: a
# constant is an enumerator, or a macro that is a literal; no macro is code.
(cd include && printf '#include <%s>\n' tapxfer/*.h) >"$work/header.c"
macros=$($CC -Iinclude -I../../include/uapi -E -dM "$work/header.c" |
	grep 'define [_A-Z]*TAPXFER' | grep -v '_H *$')
[ -n "$macros" ]
result $? "header: macros are found"
out=$(grep -vE '^#define TAPXFER_[A-Z_]+ ([0-9]+|"[a-z]+")$' <<<"$macros")
[ -z "$out" ]
result $? "header: macros are literals"
[ -z "$out" ] || comment <<<"$out"
# nor has it what the compiler alone knows
out=$(sed '/^ \*/d; s/\/\*.*\*\///' include/tapxfer/*.h ../../include/uapi/linux/tapxfer.h |
	grep -nE '__attribute__|__extension__|\btypeof\b|\b_Bool\b|static inline|:[ ]*[0-9]+;')
[ -z "$out" ]
result $? "header: no extension, inline function or bit field"
[ -z "$out" ] || comment <<<"$out"

# Exported, in the version script, declared: three lists of the same names
exported=$(nm -D --defined-only --with-symbol-versions "$shared" |
	awk '$2 != "A" { print $3 }' | sort)
mapped=$(awk '/^LIBTAPXFER_/ { version = $1 }
	/^\t[a-z0-9_]+;$/ { sub(";", ""); print $1 "@@" version }' libtapxfer.map | sort)
out=$(diff <(echo "$mapped") <(echo "$exported"))
result $? "symbols: exported as the version script says"
[ -z "$out" ] || comment <<<"$out"
declared=$(cat include/tapxfer/*.h | sed 's/^ \*.*//' |
	grep -o '\<tapxfer_[a-z0-9_]*(' | tr -d '(' | sort -u)
out=$(diff <(echo "$declared") <(echo "${exported//@@LIBTAPXFER_+([0-9.])/}"))
result $? "symbols: exported as the header declares"
[ -z "$out" ] || comment <<<"$out"
# what the first version had is there for good, at its version
out=$(diff <(sed -n '1,/^}/s/^\t\([a-z0-9_]*\);$/\1/p' libtapxfer.map | sha256sum) \
	check/abi/0.1.sha256)
result $? "symbols: LIBTAPXFER_0.1 is as it was released"
[ -z "$out" ] || comment <<<"$out"
soname=$(readelf -d "$shared" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
[ "$soname" = libtapxfer.so.0 ]
result $? "symbols: soname"
undocumented=
for name in $declared; do
	grep -q "^\( \*\|/\*\*\) $name() - " include/tapxfer/*.h ||
		undocumented+=" $name"
done
[ -z "$undocumented" ]
result $? "header: each function is documented$undocumented"
# and says what holds for threads, which a comment's end may not lack
unthreaded=$(awk '/^ \* tapxfer_[a-z0-9_]*\(\) - / { name = $2 }
	/^ \* Threads: ./ { name = "" }
	/^ \*\// && name { print name; name = "" }' include/tapxfer/*.h)
[ -z "$unthreaded" ]
result $? "header: each function says what holds for threads"
[ -z "$unthreaded" ] || comment <<<"$unthreaded"

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

# unit_checks NAME PROGRAM ARG…: its lines, and the same under valgrind
unit_checks()
{
	local what=$1 line status

	shift
	while IFS= read -r line; do
		case $line in
		"ok - "*"# SKIP"*)
			n=$((n + 1))
			echo "ok $n ${line#ok }" ;;
		"ok - "*) result 0 "${line#ok - }" ;;
		"not ok - "*) result 1 "${line#not ok - }" ;;
		*) comment <<<"$line" ;;
		esac
	done < <("$@" 2>&1; echo $? >"$work/status")
	status=$(cat "$work/status")
	[ "$status" -le 1 ]
	result $? "$what came to their end (status $status)"

	# Debian 12's valgrind has no pidfd_open(2), which skips what needs it;
	# the sanitizers see that.
	[ -z "$nogrind" ] || return
	if ! command -v valgrind >/dev/null; then
		n=$((n + 1))
		echo "ok $n - $what under valgrind # SKIP no valgrind here"
		return
	fi
	valgrind -q --leak-check=full --show-leak-kinds=all --error-exitcode=99 \
		--log-file="$work/valgrind.log" "$@" >"$work/valgrind.out" 2>&1
	status=$?
	[ "$status" = 0 ]
	result $? "$what under valgrind (status $status)"
	[ "$status" = 0 ] || cat "$work/valgrind.out" "$work/valgrind.log" | comment
}

unit_checks "the unit checks" "$unit"
unit_checks "the state's checks" "$state" "$golden"
unit_checks "the channel's checks" "$channel"

# What was written is read for ever: no golden file changes.
out=$(cd "$golden" && sha256sum -c --quiet SHA256 2>&1 &&
	diff <(find . -name '*.state' | sed 's,^\./,,' | sort) \
		<(sed -n 's/^.*  \(.*\.state\)$/\1/p' SHA256 | sort))
result $? "golden: the files are as they were released"
[ -z "$out" ] || comment <<<"$out"
out=$(for file in "$golden"/*.state; do
	/usr/bin/python3 "$golden/state_spec.py" dump "$file" |
		diff - "${file%.state}.txt" || exit
done)
result $? "golden: a reader by the document alone reads them too"
[ -z "$out" ] || comment <<<"$out"
out=$(/usr/bin/python3 "$golden/state_spec.py" document \
	../../Documentation/state-format.rst 2>&1)
result $? "golden: that reader's tables are the document's"
[ -z "$out" ] || comment <<<"$out"
if [ -n "$fuzz" ]; then
	out=$(check/fuzz.sh "$fuzz" "$golden" "${RUNS:-200000}" "${TIME:-30}" 2>&1)
	status=$?
	result $status "fuzz: the state's reader: ${out##*$'\n'}"
	[ $status = 0 ] || comment <<<"$out"
else
	n=$((n + 1))
	echo "ok $n - fuzz: the state's reader # SKIP left out"
fi

echo "1..$n"
[ "$failed" = 0 ]
