#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build a kernel for the tests out of Debian's linux-source-6.1, or find it in
# the cache, and print its release:
#
#	mkkernel.sh NAME	with NAME.config (debug, kcsan, signed)
#
# Nothing is in it but what is asked for: by the tests (../config), by the
# machine (vm.config) and by NAME.config. What was asked for and is not in the
# result is an error. TRUSTED_KEYS in the environment is a file of certificates, by
# whose keys modules may be signed. "fetch.sh kernel RELEASE" tells where it is then, and a
# module is built with KDIR= its lib/modules/RELEASE/build.
#
# A kernel is built once for each source, compiler and configuration.

set -euo pipefail

# depmod is in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin
# what a make that calls this was told is not for the kernel's
unset MAKEFLAGS MFLAGS MAKEOVERRIDES KBUILD_OUTPUT ARCH

here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tapxfer
name=${1-}
fragments=("$here/../config" "$here/vm.config" "$here/$name.config")
keys=${TRUSTED_KEYS:+$(readlink -f "$TRUSTED_KEYS")}

die()
{
	echo "mkkernel: $*" >&2
	exit 1
}

if [ -z "$name" ] || [ ! -f "${fragments[2]}" ]; then
	sed -n 's/^#\t\(mkkernel.sh\)/usage: \1/p' "$0" >&2
	exit 1
fi
archive=$("$here/fetch.sh" source)

# What makes the kernel what it is
key=$(cat "$archive" "${fragments[@]}" ${keys:+"$keys"} <(gcc --version) "$0" | sha256sum)
suffix=-$name-${key:0:8}

# The release that is in the cache, if it is.
cached()
{
	local d

	for d in "$cache/kernel-"*"$suffix"; do
		[ ! -d "$d" ] || basename "${d#"$cache/kernel-"}"
	done
}

# Options that are not as the fragments want them
refused()
{
	local f line

	for f in "${fragments[@]}"; do
		while read -r line; do
			case $line in
			CONFIG_*)
				grep -qxF "$line" .config || echo "$line" ;;
			"# CONFIG_"*" is not set")
				! grep -q "^${line:2:-11}=" .config || echo "$line" ;;
			esac
		done <"$f"
	done
}

configure()
{
	local bad

	{
		scripts/kconfig/merge_config.sh -n "${fragments[@]}" &&
			scripts/config --set-str LOCALVERSION "$suffix" \
				${keys:+--set-str SYSTEM_TRUSTED_KEYS "$keys"} &&
			make olddefconfig
	} >"$work/log" 2>&1 ||
		{ tail -n 20 "$work/log" >&2; die "no configuration"; }
	bad=$(refused)
	[ -z "$bad" ] || die "not in the configuration:"$'\n'"$bad"
}

# What modules are built with, as Debian's headers have it
headers()
{
	{
		find . arch/x86 -maxdepth 1 -name 'Makefile*'
		find include scripts arch/x86/include -type f -o -type l
		find arch/x86 -name Kbuild.platforms -o -name Platform
		find arch/x86 -path '*/scripts/*' -type f
		echo .config
		echo Module.symvers
		echo tools/objtool/objtool
	} | grep -v '\.o$' | tar -c --no-recursion -T - | tar -x -C "$1"
}

build()
{
	local tree=$work/tree kver src

	make -j"$(nproc)" bzImage modules >"$work/log" 2>&1 ||
		{ grep -B 5 -A 15 -m 3 -e 'error:' -e '\*\*\*' "$work/log" >&2
		  die "the kernel does not build"; }
	# before the build it would lack the suffix
	kver=$(make -s kernelrelease)
	make -s INSTALL_MOD_PATH="$tree" modules_install >"$work/log" 2>&1 ||
		{ tail "$work/log" >&2; die "no modules"; }
	mkdir -p "$tree/boot" "$tree/usr/src/linux-$kver"
	cp arch/x86/boot/bzImage "$tree/boot/vmlinuz-$kver"
	cp System.map "$tree/boot/System.map-$kver"
	cp .config "$tree/boot/config-$kver"
	headers "$tree/usr/src/linux-$kver"
	src=$tree/lib/modules/$kver
	rm -f "$src/build" "$src/source"
	ln -s "../../../usr/src/linux-$kver" "$src/build"
	depmod -b "$tree" "$kver"
	mv -T "$tree" "$cache/kernel-$kver"
}

if [ -z "$(cached)" ]; then
	# One builder at a time; who waited finds the work done.
	mkdir -p "$cache"
	exec 9>"$cache/.lock-mkkernel"
	flock 9
	if [ -z "$(cached)" ]; then
		work=$(mktemp -d "$cache/.tmp.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		echo "# mkkernel: building the $name kernel, once" >&2
		mkdir "$work/src"
		tar -xJf "$archive" -C "$work/src" --strip-components=1
		cd "$work/src"
		configure
		build
	fi
fi
cached
