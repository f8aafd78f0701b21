# diverfs: one Makefile for all of it.   make help   lists the targets.
#
# All output goes to $(BUILD), laid out as an installation is, so that what runs from there is what
# is installed:  bin/diverfs  libexec/diverfs/*  share/diverfs/registry  share/man

VERSION := 0.1
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc

PKGS     := fuse3 libcurl sqlite3 libarchive libxxhash libzstd libcrypto jansson
CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 -DDIVERFS_VERSION='"$(VERSION)"'
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SANITIZE) -pthread
ALL_LDFLAGS = $(LDFLAGS) $(SANITIZE) -pthread

pkg_cflags = $(shell pkg-config --cflags $(PKGS))
pkg_libs   = $(shell pkg-config --libs $(PKGS))

O       := $(BUILD)/obj
BIN     := $(BUILD)/bin
LIBEXEC := $(BUILD)/libexec/diverfs
SHARE   := $(BUILD)/share/diverfs

objs = $(patsubst %.c,$(O)/%.o,$(sort $(wildcard $(1))))

BASE_O   := $(call objs,cache/base/*.c)
CACHE_O  := $(call objs,cache/*.c)
FS_O     := $(call objs,fs/*.c)
CLIENT_O := $(call objs,fs/client/*.c)
DEPLOY_O := $(call objs,deployers/*.c)
FULLVM_O := $(call objs,deployers/fullvm/*.c)
BUILD_O  := $(call objs,deployers/build/*.c)

PROGRAMS := $(BIN)/diverfs $(LIBEXEC)/diverfs-run $(LIBEXEC)/diverfs-fullvm $(LIBEXEC)/diverfs-build

.PHONY: all programs clean
all: programs
programs: $(PROGRAMS)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(pkg_cflags) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/libbase.a: $(BASE_O)
$(O)/libcache.a: $(CACHE_O)
$(O)/libdeploy.a: $(DEPLOY_O)
$(O)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(BIN)/diverfs: $(FS_O) $(O)/libcache.a $(O)/libbase.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(pkg_libs)
$(LIBEXEC)/diverfs-run: $(CLIENT_O) $(O)/libbase.a
$(LIBEXEC)/diverfs-fullvm: $(FULLVM_O) $(O)/libdeploy.a $(O)/libbase.a
$(LIBEXEC)/diverfs-build: $(BUILD_O) $(O)/libdeploy.a $(O)/libbase.a
$(LIBEXEC)/%:
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^

clean:
	rm -rf $(BUILD)

-include $(shell [ -d $(O) ] && find $(O) -name '*.d')
