#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Put into a virtual machine's root what it needs to run a VM of its own:
#
#	stage.sh KERNELTREE ROOT GUEST PEER [VERSION...]
#
# the machine's stock QEMU with its TCG and firmware, and those that are named, each in
# a root of its own; a kernel and an initramfs of busybox, the modules of a virtio NIC
# and GUEST; and the state of a guest that has booted these. QEMU looks for its
# accelerator beside the place that it was built for, so all stays where Debian has it.

set -euo pipefail

# modprobe is in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
kernel=$1
root=$2
guest=$3
peer=$4
shift 4
kver=$(basename "$kernel"/lib/modules/*)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tapxfer

install -D -s /usr/bin/qemu-system-x86_64 "$root/usr/bin/qemu-system-x86_64"
for so in accel-tcg-i386.so accel-tcg-x86_64.so; do
	install -D "/usr/lib/x86_64-linux-gnu/qemu/$so" \
		"$root/usr/lib/x86_64-linux-gnu/qemu/$so"
done
for rom in kvmvapic.bin linuxboot.bin linuxboot_dma.bin; do
	install -D -m 644 "/usr/share/qemu/$rom" "$root/usr/share/qemu/$rom"
done
install -D -m 644 /usr/share/seabios/bios-256k.bin \
	"$root/usr/share/seabios/bios-256k.bin"
install -D -m 644 /usr/lib/ipxe/qemu/efi-virtio.rom \
	"$root/usr/lib/ipxe/qemu/efi-virtio.rom"

# other VERSION: program, libraries and firmware; the shell is for what it runs
other()
{
	local from to=$root/qemu/$1 program=usr/bin/qemu-system-x86_64 f

	from=$("$here/../vm/fetch.sh" qemu "$1")
	mkdir -p "$to"/{dev,proc,tmp,guest,usr/{bin,lib,lib64}}
	for f in bin lib lib64; do
		ln -s "usr/$f" "$to/$f"
	done
	cp /bin/busybox "$to/usr/bin/"
	ln -s busybox "$to/usr/bin/sh"
	ln -s busybox "$to/usr/bin/cat"
	install -s "$from/$program" "$to/$program"
	{
		"$from/lib64/ld-linux-x86-64.so.2" --library-path \
			"$from/lib/x86_64-linux-gnu" --list "$from/$program" |
			sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p'
		echo "$from/lib64/ld-linux-x86-64.so.2"
		# of these not every version has all
		find "$from/usr" -name kvmvapic.bin -o \
			-name 'linuxboot*.bin' -o -name bios-256k.bin -o \
			-name efi-virtio.rom
	} | while read -r f; do
		mkdir -p "$to$(dirname "${f#"$from"}")"
		cp -L "$f" "$to${f#"$from"}"
	done
}

for version; do
	other "$version"
done

install -D -m 644 "$kernel"/boot/vmlinuz-* "$root/guest/vmlinuz"
install -D "$peer" "$root/guest/peer"

inner=$(mktemp -d)
trap 'rm -rf "$inner"' EXIT
mkdir "$inner"/{bin,dev,proc,sys}
cp /bin/busybox "$inner/bin/"
cp "$here/guest.init" "$inner/init"
install -s "$guest" "$inner/guest"
for mod in virtio_pci virtio_net; do
	modprobe -d "$kernel" -S "$kver" --show-depends $mod
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' |
	while read -r path; do
		cp "$path" "$inner/"
		basename "$path"
	done >"$inner/modules"
# the same again for what is the same
find "$inner" -exec touch -hd @0 {} +
(cd "$inner" && find . -mindepth 1 -print0 | sort -z |
	cpio -0 -o -H newc -R 0:0 --reproducible --quiet) >"$root/guest/initrd"

# The state takes longest, and changes with what it was made by and of alone.
make=$here/../lib/qemu_vm.py
key=$({ cat "$root"/guest/{vmlinuz,initrd} /usr/bin/qemu-system-x86_64
	/usr/bin/python3 "$make" -; } | sha256sum | cut -c 1-16)
state=$cache/qemu-state-$key
if [ ! -f "$state" ]; then
	SELFTESTS_SCALE=${VM_SCALE:-1} /usr/bin/python3 "$make" "$root/guest"
	find "$cache" -maxdepth 1 -name 'qemu-state-*' -mtime +7 -delete
	mv "$root/guest/state" "$state.tmp.$$"
	mv "$state.tmp.$$" "$state"
fi
cp "$state" "$root/guest/state"
