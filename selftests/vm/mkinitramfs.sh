#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Make the virtual machine's root file system, an initramfs:
#
#	mkinitramfs.sh -k KERNELTREE -o OUT [-m MODULE.ko] [-r DIR] [-y YNLTREE]
#		[-s SPEC.yaml] [-p PROGRAMS] -t TESTDIR
#
# KERNELTREE is what "fetch.sh kernel" gives; MODULE.ko goes where dkms puts it;
# DIR is merged into the root (what "make install DESTDIR=" made); TESTDIR
# becomes /tests; with YNLTREE there are python3 and a command "ynl"; PROGRAMS are
# wanted as well. Programs and libraries are the machine's, or those in
# KERNELTREE/sysroot, for another architecture (mksysroot.sh).

set -euo pipefail

# depmod and modprobe are in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
kernel='' out='' ko='' merge='' ynl='' spec='' progs='' tests=''
while getopts k:o:m:r:y:s:p:t: o; do
	case $o in
	k) kernel=$OPTARG ;;
	o) out=$OPTARG ;;
	m) ko=$OPTARG ;;
	r) merge=$OPTARG ;;
	y) ynl=$OPTARG ;;
	s) spec=$OPTARG ;;
	p) progs=$OPTARG ;;
	t) tests=$OPTARG ;;
	*) exit 1 ;;
	esac
done
kver=$(basename "$kernel"/lib/modules/*)
sys=
[ ! -d "$kernel/sysroot" ] || sys=$kernel/sysroot

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# As on Debian, / has links to what is in /usr.
mkdir -p "$root"/{dev,proc,sys,tmp,run,root,etc,var,tests,usr/{bin,sbin,lib,lib64}}
ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root/"
ln -s ../run "$root/var/run"
ln -s ../proc/mounts "$root/etc/mtab"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'nobody:x:65534:65534:nobody:/:/bin/sh' >>"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
echo '127.0.0.1 localhost vm' >"$root/etc/hosts"
[ ! -d "$sys/etc/iproute2" ] || cp -r "$sys/etc/iproute2" "$root/etc/"

# Loading these is not to make devices.
mkdir "$root/etc/modprobe.d"
printf 'options dummy numdummies=0\noptions ifb numifbs=0\n' \
	>"$root/etc/modprobe.d/vm.conf"

# Programs: busybox for all that a real one does not do better. Nothing that
# runs others is busybox's: it would run its own ip and timeout.
cp "$sys/bin/busybox" "$root/usr/bin/"
for applet in $(/bin/busybox --list); do
	[ "$applet" = busybox ] || ln -s busybox "$root/usr/bin/$applet"
done
# shellcheck disable=SC2086 # words
for prog in dash bash env nohup setsid timeout xargs nsenter unshare \
	ip ss bridge tc genl ethtool kmod $progs; do
	path=$(PATH=$sys/usr/sbin:$sys/usr/bin command -v "$prog") || continue
	rm -f "$root/usr/bin/$prog"
	cp -L "$path" "$root/usr/bin/"
done
for link in sh ash; do
	ln -sf dash "$root/usr/bin/$link"
done
for prog in modprobe depmod insmod rmmod lsmod modinfo; do
	rm -f "$root/usr/bin/$prog"
	ln -s ../bin/kmod "$root/usr/sbin/$prog"
done

if [ -n "$ynl" ]; then
	py=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	cp -L "$sys/usr/bin/python3" "$root/usr/bin/python3"
	mkdir -p "$root$py" "$root/usr/lib/python3/dist-packages"
	tar -C "$sys$py" -c --exclude=test --exclude=tests --exclude='config-*' \
		--exclude=idlelib --exclude=lib2to3 --exclude=ensurepip \
		--exclude=tkinter --exclude=pydoc_data --exclude=distutils \
		--exclude=dist-packages . | tar -C "$root$py" -x
	cp -r "$sys"/usr/lib/python3/dist-packages/{yaml,_yaml} \
		"$root/usr/lib/python3/dist-packages/"
	mkdir "$root/ynl"
	cp -r "$ynl"/* "$root/ynl/"
	cat >"$root/usr/bin/ynl" <<-END
	#!/bin/sh
	exec /usr/bin/python3 /ynl/tools/net/ynl/cli.py --no-schema \\
		--spec /ynl/Documentation/netlink/specs/tapxfer.yaml "\$@"
	END
	chmod +x "$root/usr/bin/ynl"
	[ -z "$spec" ] || cp "$spec" "$root/ynl/Documentation/netlink/specs/"
fi

[ -z "$merge" ] || cp -a "$merge"/. "$root/"
cp -a "$tests"/. "$root/tests/"
cp "$here/init" "$root/init"

# The shared libraries of all of it. ldd fails on what is static or a script.
elf_files()
{
	find "$root/usr/bin" "$root/usr/sbin" "$root/tests" -type f -perm -u=x
	find "$root/usr" -type f -name '*.so*'
}

libraries()
{
	elf_files | { LD_LIBRARY_PATH="$root/usr/lib" xargs -r ldd 2>/dev/null || true; } |
		sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p' |
		sort -u |
		while read -r lib; do
			case $lib in "$root"/*) continue ;; esac
			[ ! -e "$root$lib" ] || continue
			mkdir -p "$root$(dirname "$lib")"
			cp -L "$lib" "$root$lib"
		done
	# what pthread_exit() loads by itself
	libgcc=$(find /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu \
		-name libgcc_s.so.1 -print -quit)
	[ -z "$libgcc" ] || cp -L "$libgcc" "$root/usr/lib/"
}

# ldd cannot ask those of another architecture: all that there are
all_libraries()
{
	(cd "$sys/usr/lib" && find . -maxdepth 2 -name '*.so*' -print0 |
		tar -c --null -T -) | tar -x -C "$root/usr/lib"
}

if [ -n "$sys" ]; then all_libraries; else libraries; fi

# Kernel modules: those that tests use, with what they depend on.
mods="tun tap vhost_net veth bridge dummy ifb macvtap macvlan 8021q nlmon vsock
sch_ingress sch_netem sch_plug sch_tbf sch_prio sch_fq sch_multiq cls_u32 cls_matchall
cls_bpf cls_flower act_mirred act_gact act_bpf act_police nf_tables af_packet_diag
inet_diag udp_diag unix_diag netlink_diag"
for mod in $mods; do
	modprobe -d "$kernel" -S "$kver" --show-depends "$mod" 2>/dev/null || true
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u |
	while read -r path; do
		path=${path#"$kernel"}
		mkdir -p "$root$(dirname "$path")"
		cp "$kernel$path" "$root$path"
	done
cp "$kernel/lib/modules/$kver"/modules.{order,builtin,builtin.modinfo} \
	"$root/lib/modules/$kver/"
if [ -n "$ko" ]; then
	install -D -m 644 "$ko" "$root/lib/modules/$kver/updates/dkms/$(basename "$ko")"
fi
depmod -b "$root" "$kver"

(cd "$root" && find . -mindepth 1 -print0 | sort -z |
	cpio -0 -o -H newc -R 0:0 --quiet) >"$out.tmp"
mv "$out.tmp" "$out"
