# SPDX-License-Identifier: GPL-2.0
#
# tapxfer: what a person types. The module's objects are in kmod/Kbuild.
#
#	make			module, library, command, examples and tests
#	make check		build, check, boot a kernel, test: N passed, N failed
#	make check KERNEL=6.12	build for and test in another kernel (TESTS=)
#	make check ARCH=arm64	cross-build, and test in an emulated one (TESTS=)
#	make check-kernels	the same in all kernels that the module is for
#	make check-qemu		test moves between QEMUs of other versions (QEMU=)
#	make check-deb		build, install, boot and purge Debian's packages
#	make check-signed	have a kernel take the module for its signature alone
#	make check-debug	test in a kernel that is built to find faults
#	make check-mutants	break the module in many ways, see the tests notice
#	make check-models	have spin search the models of the protocols
#	make fuzz		throw messages at the family (N=, SEED=)
#	make race		race for 10,000 handovers under load (N=, SEED=)
#	make bench		measure it beside all other ways (N=, PARTS=, HOST=1)
#	make demo		boot a kernel and show one handover under load
#	make qemu-demo		the same with a VM that goes from QEMU to QEMU
#	make install		library, command, manual pages (DESTDIR=, prefix= …)
#	make uninstall
#	make deb		Debian's packages, in deb/ (OUT=)
#	make dkms-install	module, by dkms (KVER=; as root)
#	make dkms-remove
#
# KDIR= is the kernel to build for, V=1 shows the commands.

NAME	:= tapxfer
VERSION	:= $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)

# The running kernel's headers, or else Debian's newest 6.1 ones, which is what
# the tests boot.
RUNNING	:= $(wildcard /lib/modules/$(shell uname -r)/build)
KDIR	?= $(or $(RUNNING),$(wildcard /lib/modules/$(shell selftests/vm/fetch.sh kver)/build))
KVER	?= $(shell uname -r)

ifneq ($(V),1)
MAKEFLAGS += --no-print-directory
endif

# dkms-install for another root: DKMSFLAGS="--dkmstree DIR --sourcetree DIR
# --installtree DIR" with DKMS_SRC the same sourcetree
DKMS		:= dkms
DKMSFLAGS	?=
DKMS_SRC	?= /usr/src
DKMS_DIR	:= $(DKMS_SRC)/$(NAME)-$(VERSION)

.PHONY: all kmod lib cli examples man selftests
all: kmod lib cli examples man selftests

include tools/dirs.mk

kmod:
	$(if $(KDIR),,$(error no kernel headers: apt-get install linux-headers-cloud-amd64, or KDIR=))
	$(MAKE) -C $(KDIR) M=$(CURDIR)/kmod V=$(or $(V),0) modules

lib:
	$(MAKE) -C tools/lib

cli: lib
	$(MAKE) -C tools/tapxfer

examples: lib
	$(MAKE) -C tools/examples

man:
	$(MAKE) -C Documentation/man

selftests: lib
	$(MAKE) -C selftests

# BRIEF=1 leaves out what is no different in another kernel.
.PHONY: check demo
check:
	@selftests/vm/$(if $(KERNEL)$(ARCH),check-kernels.sh $(if $(BRIEF),-b) $(or $(ARCH),$(KERNEL)) $(TESTS),check.sh)

# The kernels are those in selftests/vm/series; the last lines are a table of them
# and the counts.
.PHONY: check-kernels
check-kernels:
	@selftests/vm/check-kernels.sh

# QEMU= names pairs of versions: "7.2:10.0 11.1:11.1".
.PHONY: check-qemu
check-qemu:
	@selftests/vm/check-qemu.sh $(QEMU)

# TESTS= names some of the tests: "t_hold demo.sh"; CONFIG=kcsan is for another
# kernel, which finds races. The last two lines are what the kernel said, and the
# counts.
.PHONY: check-debug
check-debug:
	@selftests/vm/check-debug.sh $(if $(CONFIG),-c $(CONFIG)) $(TESTS)

# Takes minutes, and as root: a Debian root is made for it, once.
.PHONY: check-deb
check-deb: selftests
	@selftests/vm/check-deb.sh

# Takes a kernel of its own, which is built once.
.PHONY: check-signed
check-signed: lib cli
	@selftests/vm/check-signed.sh

# MUTANTS= names some of selftests/mutants/, without the suffix.
.PHONY: check-mutants
check-mutants:
	@selftests/vm/deps.sh
	@$(MAKE) lib cli selftests
	@selftests/vm/mutants $(MUTANTS)

# MODELS= names some of selftests/models/, without the suffix.
.PHONY: check-models
check-models:
	@selftests/vm/deps.sh
	@selftests/models/run $(MODELS)

# CONFIG=debug or kcsan is for another kernel, RUN= are options of run.sh's.
.PHONY: fuzz race
fuzz race:
	@CONFIG=$(CONFIG) selftests/vm/long.sh $@ "$(N)" "$(SEED)" $(RUN)

# N= handovers of each way at each point (200; 20 takes some minutes), PARTS=
# names some of the measurements. HOST=1 is for the running kernel, as root. The
# last lines are a verdict on each target.
.PHONY: bench
bench:
	@N=$(N) selftests/vm/bench.sh $(if $(HOST),-h) $(PARTS)

# The last line of its output is the demo's verdict.
demo:
	@selftests/vm/demo.sh

.PHONY: qemu-demo
qemu-demo:
	@selftests/vm/demo.sh -q

# The directories are GNU's, as tools/dirs.mk has them.
INSTALLED	:= tools/lib tools/tapxfer Documentation/man
DOCS	:= README.md SECURITY.md $(wildcard Documentation/*.rst Documentation/*.md)
SPEC	:= Documentation/netlink/specs/tapxfer.yaml

.PHONY: install uninstall
install: lib cli man
	for part in $(INSTALLED); do $(MAKE) -C $$part install || exit; done
	$(INSTALL) -d $(DESTDIR)$(docdir) $(DESTDIR)$(ynlspecdir)
	$(INSTALL_DATA) $(DOCS) $(DESTDIR)$(docdir)
	$(INSTALL_DATA) $(SPEC) $(DESTDIR)$(ynlspecdir)

uninstall:
	for part in $(INSTALLED); do $(MAKE) -C $$part uninstall || exit; done
	rm -f $(addprefix $(DESTDIR)$(docdir)/,$(notdir $(DOCS)))
	rm -f $(DESTDIR)$(ynlspecdir)/$(notdir $(SPEC))
	rmdir $(DESTDIR)$(docdir) 2>/dev/null || true

.PHONY: dkms-source dkms-install dkms-remove
dkms-source:
	$(INSTALL) -d $(DESTDIR)$(DKMS_DIR)/kmod $(DESTDIR)$(DKMS_DIR)/include/uapi/linux
	$(INSTALL_DATA) dkms.conf $(DESTDIR)$(DKMS_DIR)
	$(INSTALL_DATA) kmod/Kbuild $(filter-out %.mod.c,$(wildcard kmod/*.[ch])) $(DESTDIR)$(DKMS_DIR)/kmod
	$(INSTALL_DATA) include/uapi/linux/*.h $(DESTDIR)$(DKMS_DIR)/include/uapi/linux

dkms-install: dkms-source
	$(DKMS) add -m $(NAME) -v $(VERSION) $(DKMSFLAGS)
	$(DKMS) install -m $(NAME) -v $(VERSION) -k $(KVER) $(DKMSFLAGS)

dkms-remove:
	$(DKMS) remove -m $(NAME) -v $(VERSION) --all $(DKMSFLAGS)
	rm -rf $(DKMS_DIR)

# Fails if lintian warns of anything.
.PHONY: deb
deb:
	@debian/build.sh $(or $(OUT),deb)

.PHONY: clean
clean:
	$(if $(KDIR),$(MAKE) -C $(KDIR) M=$(CURDIR)/kmod clean)
	$(MAKE) -C tools/tapxfer clean
	$(MAKE) -C tools/examples clean
	$(MAKE) -C tools/lib clean
	$(MAKE) -C Documentation/man clean
	$(MAKE) -C selftests clean
	rm -rf selftests/vm/out deb

.PHONY: help
help:
	@sed -n 's/^#\t\(make.*\)/\1/p' Makefile
