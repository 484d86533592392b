#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build Debian's packages and try them in a Debian root: installed, dkms builds and
# signs the module; a second kernel that is installed afterwards has it by itself;
# that system is booted and used; purged, nothing is left. The last line is "N
# passed, N failed", the exit status says whether anything failed.
#
#	check-deb.sh [DIR]	packages are in DIR, and not built
#
# As root, by sudo if need be.

set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
cd "$top" || exit 1

[ "$(id -u)" = 0 ] ||
	exec sudo env XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" "$0" "$@"
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d)
totals=$work/totals
: >"$totals"
finished=
# shellcheck source=selftests/vm/result.sh
. "$here/result.sh"

trap 'finish check-deb' EXIT
trap 'exit 1' INT TERM HUP

root=$work/root
in_root()
{
	"$here/in-root.sh" "$root" "$@"
}

# apt of the root has what it needs in its cache, and no network.
apt_root()
{
	in_root apt-get -y -q --no-install-recommends --no-download "$@"
}

# files FILE: all that there is but logs and caches
files()
{
	in_root find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp \
		-o -path /run -o -path /var/log -o -path /var/cache \
		-o -path /var/lib/dpkg -o -path /var/lib/apt \) -prune -o -print |
		sort >"$1"
}

# installed KERNEL: the module for it; dkms packs it as the kernel's own are
installed()
{
	local ko

	ko=$(in_root modinfo -k "$1" -n tapxfer) || return 1
	case $ko in
	"/lib/modules/$1/updates/dkms/tapxfer.ko" | \
	"/lib/modules/$1/updates/dkms/tapxfer.ko.xz") ;;
	*) echo "$ko"; return 1 ;;
	esac
	[[ $(in_root modinfo -k "$1" -F vermagic tapxfer) = "$1 "* ]] || return 1
	in_root dkms status tapxfer | grep "^tapxfer/$version, $1, .*: installed"
}

# signed KERNEL: by dkms's own key, over all of the module. The signature is what
# sign-file appends: PKCS#7, a struct module_signature, and a magic line.
signed()
{
	local ko=$root/lib/modules/$1/updates/dkms/tapxfer.ko

	if [ -e "$ko.xz" ]; then
		xz -dc "$ko.xz" >"$work/ko"
	else
		cp "$ko" "$work/ko"
	fi
	[ "$(in_root modinfo -k "$1" -F signer tapxfer)" = "DKMS module signing key" ] &&
		python3 - "$work/ko" "$work" <<-'END' &&
		import struct, sys
		data = open(sys.argv[1], "rb").read()
		magic = b"~Module signature appended~\n"
		assert data.endswith(magic)
		data = data[:-len(magic)]
		size = struct.unpack(">I", data[-4:])[0]
		open(sys.argv[2] + "/p7s", "wb").write(data[-12 - size:-12])
		open(sys.argv[2] + "/module", "wb").write(data[:-12 - size])
		END
		openssl x509 -inform DER -in "$root/var/lib/dkms/mok.pub" -out "$work/mok.pem" &&
		verify || return
	# and a module with one bit of it turned is not
	printf 'X' | dd of="$work/module" bs=1 seek=4096 conv=notrunc status=none
	! verify
}

verify()
{
	openssl smime -verify -binary -inform DER -in "$work/p7s" -content "$work/module" \
		-certfile "$work/mok.pem" -nointern -noverify -out /dev/null
}

# excluded KERNEL: by dkms.conf, before anything is built
excluded()
{
	local out

	out=$(in_root dkms build -m tapxfer -v "$version" -k "$1" \
		--kernelsourcedir /usr/src 2>&1)
	echo "$out"
	grep -q BUILD_EXCLUSIVE <<<"$out"
}

builds_against()
{
	cat >"$root/tmp/example.c" <<-'END'
	#include <stdio.h>
	#include <tapxfer/tapxfer.h>

	int main(void)
	{
		struct tapxfer *tx;
		int err = tapxfer_open(&tx);

		puts(err ? tapxfer_open_error(err) : "connected");
		tapxfer_close(tx);
		return err != 0;
	}
	END
	# shellcheck disable=SC2016 # expands there
	in_root sh -c 'cc -Wall -Werror -o /usr/local/bin/example /tmp/example.c \
		$(pkg-config --cflags --libs libtapxfer) &&
		ldd /usr/local/bin/example | grep "libtapxfer.so.0 => /"'
}

# page NUMBER NAME: it is there, and can be shown
page()
{
	in_root man "$1" "$2" | grep -q "^NAME"
}

second_left()
{
	find "$root"/boot "$root"/lib/modules -name "*$second*"
}

# Boot what is in the root, from a disk with it, and run some of the tests there.
boots()
{
	local test kernel=$work/kernel

	mkdir -p "$kernel/boot" "$root/tests/lib" "$root/etc/modprobe.d"
	cp "$root/boot/vmlinuz-$first" "$kernel/boot/"
	cp "$here/init" "$root/init"
	for test in usleep reboot; do
		ln -sf /bin/busybox "$root/usr/sbin/$test"
	done
	cp "$here"/vm_load.sh "$here"/vm_package.sh selftests/t_cli.sh selftests/t_freeze \
		"$root/tests/"
	cp selftests/lib/*.sh "$root/tests/lib/"
	printf 'vm_load.sh 60\nvm_package.sh 120\nt_freeze 120\nt_cli.sh 360\n' \
		>"$root/tests/.list"
	# loading it is not to make a device
	echo 'options dummy numdummies=0' >"$root/etc/modprobe.d/vm.conf"
	truncate -s 3G "$work/disk"
	mke2fs -q -t ext4 -d "$root" "$work/disk" || return
	VM_SCALE=${VM_SCALE:-2} VM_DISK=$work/disk VM_APPEND="root=/dev/vda rw init=/init" \
		"$here/boot.sh" "$kernel" "$root/boot/initrd.img-$first" \
		"$work/console.log" --list "$root/tests/.list" --totals "$work/vm"
	mkdir -p "$here/out"
	cp "$work/console.log" "$here/out/check-deb.log" 2>/dev/null
	rm -rf "$work/disk" "$root/tests" "$root/init" \
		"$root/etc/modprobe.d/vm.conf" "$root"/usr/sbin/{usleep,reboot}
	[ -s "$work/vm" ] && cut -d ' ' -f 1,2 "$work/vm" >>"$totals"
}

head_line "packages and a root"
"$here/deps.sh" debootstrap e2fsprogs openssl || exit
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
debs=${1-$work/deb}
[ $# -gt 0 ] || check "the packages build, and lintian has nothing to say" \
	debian/build.sh "$debs"
[ -e "$debs/tapxfer-dkms_${version}_all.deb" ] || exit
archive=$("$here/mkroot.sh") || exit
mkdir "$root"
tar -x -C "$root" -f "$archive" || exit
{ read -r first && read -r second; } <"$root/second"
files "$work/before"

head_line "installed, for $first"
cp "$debs"/*"_${version}_"*.deb "$root/tmp/"
rm -f "$root"/tmp/*-dbgsym_*
names="tapxfer tapxfer-dkms libtapxfer0 libtapxfer-dev"
mapfile -t files < <(cd "$root" && printf '%s\n' tmp/*.deb)
check "the packages are installed" in_root dpkg -i "${files[@]/#//}"
check "dkms has built the module for $first" installed "$first"
check "it is signed with dkms's own key" signed "$first"
check "a program is built with libtapxfer-dev" builds_against
for name in 3:libtapxfer 3:tapxfer_open 4:tapxfer 7:tapxfer-netlink 8:tapxfer 8:tapxfer-claim; do
	check "there is ${name#*:}(${name%:*})" page "${name%:*}" "${name#*:}"
done

head_line "a second kernel, $second"
check "it is installed" apt_root install "linux-image-$second" "linux-headers-$second"
check "the module was built for it, by itself" installed "$second"
check "and signed" signed "$second"
check "an old kernel is not served" excluded 4.19.0-27-amd64
check "nor is one that is newer than what was tested" excluded 7.3.0-1-amd64
for release in $first $second; do
	if ! excluded "$release" >"$work/log" 2>&1; then
		result 0 "dkms.conf serves $release"
	else
		result 1 "dkms.conf serves $release" "$work/log"
	fi
done

check "the packages are installed over themselves" in_root dpkg -i "${files[@]/#//}"
for release in $first $second; do
	check "and the module for $release is there again" installed "$release"
done

head_line "booted"
if [ -x selftests/t_freeze ] || make selftests >"$work/log" 2>&1; then
	boots
	[ -s "$work/vm" ]
	result $? "the system with the packages was booted and judged"
else
	result 1 "the tests are built" "$work/log"
fi

head_line "removed"
rm -f "$root/usr/local/bin/example"
check "the second kernel is purged" apt_root purge --autoremove "linux-image-$second" \
	"linux-headers-$second"
silent "nothing of it is left" second_left
# shellcheck disable=SC2086 # words
check "the packages are purged" apt_root purge $names
files "$work/after"
silent "nothing is left" diff "$work/before" "$work/after"
finished=1
