# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# Read after result.sh by the tests of a command, which is to be silent or to say
# one line on stderr.

show() { sed 's/^/# /' "$tmp/out" "$tmp/err"; }

# run STATUS CMD…: its output in $tmp/out and $tmp/err
run()
{
	local want=$1 rc

	shift
	"$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	[ $rc = "$want" ] || echo "exit status $rc, not $want: $*" >>"$tmp/err"
	[ $rc = "$want" ]
}

out() { grep -qE -- "$1" "$tmp/out"; }
err() { [ "$(wc -l <"$tmp/err")" = 1 ] && grep -qE -- "$1" "$tmp/err"; }
silent() { [ ! -s "$tmp/err" ]; }
