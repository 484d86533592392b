# SPDX-License-Identifier: GPL-2.0
#
# tapxfer: what a person types. The module's objects are in kmod/Kbuild.
#
#	make			module, library, command and tests
#	make check		build, check, boot a kernel, test: N passed, N failed
#	make check-debug	test in a kernel that is built to find faults
#	make check-mutants	break the module in many ways, see the tests notice
#	make check-models	have spin search the models of the protocols
#	make fuzz		throw messages at the family (N=, SEED=)
#	make race		race for 10,000 handovers under load (N=, SEED=)
#	make demo		boot a kernel and show one handover under load
#	make install		library and command (DESTDIR=, PREFIX=)
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
PREFIX	?= /usr/local

ifneq ($(V),1)
MAKEFLAGS += --no-print-directory
endif

# dkms-install for another root: DKMSFLAGS="--dkmstree DIR --sourcetree DIR
# --installtree DIR" with DKMS_SRC the same sourcetree
DKMS		:= dkms
DKMSFLAGS	?=
DKMS_SRC	?= /usr/src
DKMS_DIR	:= $(DKMS_SRC)/$(NAME)-$(VERSION)

.PHONY: all kmod lib cli selftests
all: kmod lib cli selftests

kmod:
	$(if $(KDIR),,$(error no kernel headers: apt-get install linux-headers-cloud-amd64, or KDIR=))
	$(MAKE) -C $(KDIR) M=$(CURDIR)/kmod V=$(or $(V),0) modules

lib:
	$(MAKE) -C tools/lib

cli: lib
	$(MAKE) -C tools/tapxfer

selftests: lib
	$(MAKE) -C selftests

.PHONY: check demo
check:
	@selftests/vm/check.sh

# TESTS= names some of the tests: "t_hold demo.sh"; CONFIG=kcsan is for another
# kernel, which finds races. The last two lines are what the kernel said, and the
# counts.
.PHONY: check-debug
check-debug:
	@selftests/vm/check-debug.sh $(if $(CONFIG),-c $(CONFIG)) $(TESTS)

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

# The last line of its output is the demo's verdict.
demo:
	@selftests/vm/demo.sh

.PHONY: install
install: lib cli
	$(MAKE) -C tools/lib install DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)
	$(MAKE) -C tools/tapxfer install DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)

.PHONY: dkms-install dkms-remove
dkms-install:
	install -d $(DKMS_DIR)/kmod $(DKMS_DIR)/include/uapi/linux
	install -m 644 dkms.conf $(DKMS_DIR)
	install -m 644 kmod/Kbuild $(filter-out %.mod.c,$(wildcard kmod/*.[ch])) $(DKMS_DIR)/kmod
	install -m 644 include/uapi/linux/*.h $(DKMS_DIR)/include/uapi/linux
	$(DKMS) add -m $(NAME) -v $(VERSION) $(DKMSFLAGS)
	$(DKMS) install -m $(NAME) -v $(VERSION) -k $(KVER) $(DKMSFLAGS)

dkms-remove:
	$(DKMS) remove -m $(NAME) -v $(VERSION) --all $(DKMSFLAGS)
	rm -rf $(DKMS_DIR)

.PHONY: clean
clean:
	$(if $(KDIR),$(MAKE) -C $(KDIR) M=$(CURDIR)/kmod clean)
	$(MAKE) -C tools/tapxfer clean
	$(MAKE) -C tools/lib clean
	$(MAKE) -C selftests clean
	rm -rf selftests/vm/out

.PHONY: help
help:
	@sed -n 's/^#\t\(make.*\)/\1/p' Makefile
