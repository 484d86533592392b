# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where things are installed: GNU's directory variables, which may be given in
# lower or, as this project had them first, in upper case. DESTDIR= is a stage
# that goes before all of them.

PREFIX		?= /usr/local
prefix		?= $(PREFIX)
exec_prefix	?= $(prefix)
SBINDIR		?= $(exec_prefix)/sbin
sbindir		?= $(SBINDIR)
LIBDIR		?= $(exec_prefix)/lib
libdir		?= $(LIBDIR)
INCLUDEDIR	?= $(prefix)/include
includedir	?= $(INCLUDEDIR)
PKGCONFIGDIR	?= $(libdir)/pkgconfig
pkgconfigdir	?= $(PKGCONFIGDIR)
datarootdir	?= $(prefix)/share
datadir		?= $(datarootdir)
mandir		?= $(datarootdir)/man
docdir		?= $(datarootdir)/doc/tapxfer
# where bash-completion looks for what it loads on demand, and ynl for specs
bashcompdir	?= $(datadir)/bash-completion/completions
ynlspecdir	?= $(datadir)/ynl/specs

INSTALL		?= install
INSTALL_DATA	?= $(INSTALL) -m 644
INSTALL_PROGRAM	?= $(INSTALL) -m 755
