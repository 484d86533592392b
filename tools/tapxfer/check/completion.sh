#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Read by run.sh: what bash completes of PROG's own usage. A command, an option
# or a kind of value that it does not know fails here. Devices and handovers are
# selftests/t_completion.sh's.

# shellcheck source=tools/tapxfer/tapxfer.bash-completion
# shellcheck disable=SC2154 # what run.sh has
. ./tapxfer.bash-completion

# completed WORD...: what may be in the last one's place
completed()
{
	local COMP_WORDS=(tapxfer "$@") COMP_CWORD=$# COMPREPLY

	_tapxfer "$prog"
	printf '%s\n' "${COMPREPLY[@]}"
}

# completes WANT WORD...: the whole line WANT is among it
completes()
{
	local want=$1

	shift
	completed "$@" >"$err"
	grep -qxF -e "$want" "$err"
	result $? "completion: $* <$want>"
}

# offers WANT WORD...: exactly these
offers()
{
	local want=$1

	shift
	completed "$@" | sort -u >"$err"
	[ "$(tr '\n' ' ' <"$err")" = "$want " ]
	result $? "completion: $* <$want>"
}

knows()
{
	# shellcheck disable=SC2034 # what _tapxfer_values() goes by
	local _tapxfer=$prog _tapxfer_cur=x _tapxfer_netns=()

	_tapxfer_values "$1" >/dev/null 2>"$err"
}

commands=$("$prog" help | sed -n '/^Commands:/,/^$/s/^  \([a-z][^ ]*\) .*/\1/p')
[ "$(wc -w <<<"$commands")" -gt 10 ]
result $? "completion: 'help' lists the commands"
for command in $commands; do
	completes "$command" "${command:0:1}"
	completes "$command" help "${command:0:1}"
	usage=$("$prog" help "$command" | sed '/^$/,$d')
	words=$(grep -o -e '--[a-z][a-z-]*' <<<"$usage" | sort -u)
	for word in $words; do
		completes "$word" "$command" --
	done
	words=$(grep -oE '\<[A-Z][A-Z0-9,]*[.]*' <<<"${usage#Usage: }" | sort -u)
	for word in $words; do
		knows "$word"
		result $? "completion: $command: it knows $word"
	done
done

# Usages that no command has, or not yet
usage_of()
{
	printf '#!/bin/sh\necho "Usage: tapxfer x %s"; echo; echo "what it is for"\n' "$1" >"$fake"
	chmod +x "$fake"
}

real=$prog
fake=$(mktemp)
prog=$fake
usage_of '[DEV,...] --way token|fds [--apply [-- CMD ARGS...]]\n   --show [--in PATH]'
offers '--apply --in --show --way' x -
offers 'fds token' x --way ''
offers 'token' x way = t
offers '' x --apply 7
offers '/dev/null' x --show --in /dev/nul
rm -f "$fake"
prog=$real

for word in --json --pretty --netns --version --help; do
	completes "$word" -
done
offers list -j --netns x li
offers "$$" pass 3 "$$"
offers "$$" freeze --pid = "$$"
offers '' freeze --hold ''
offers --hold-bytes prepare --hold 5 --hold
offers /dev/null thaw 3 --token-file /dev/nul
offers /dev/null thaw 3 token-file = /dev/nul
offers /dev/null claim 3 --token-fd 4 -- cat /dev/nul
completes bash claim 3 -- bas
