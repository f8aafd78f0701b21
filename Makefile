# diverfs: one Makefile for all of it.   make help   lists the targets.
#
# All output goes to $(BUILD), laid out as an installation is, so that what runs from there is what
# is installed:  bin/diverfs  libexec/diverfs/*  share/diverfs/registry  share/man

VERSION := 0.1
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC := gcc
endif

PKGS     := fuse3 sqlite3 libxxhash libzstd zlib libcrypto jansson libcurl
CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 -DDIVERFS_VERSION='"$(VERSION)"'
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SANITIZE) -pthread
ALL_LDFLAGS = $(LDFLAGS) $(SANITIZE) -pthread

# Asked once, and only when something is compiled: make demo may have to install pkg-config first.
pkg_cflags = $(eval pkg_cflags := $(shell pkg-config --cflags $(PKGS)))$(pkg_cflags)
pkg_libs   = $(eval pkg_libs := $(shell pkg-config --libs $(PKGS)))$(pkg_libs)
archive_libs = $(eval archive_libs := $(shell pkg-config --libs libarchive))$(archive_libs)
test_libs  = $(eval test_libs := $(shell pkg-config --libs cmocka))$(test_libs)

O       := $(BUILD)/obj
BIN     := $(BUILD)/bin
LIBEXEC := $(BUILD)/libexec/diverfs
SHARE   := $(BUILD)/share/diverfs
MAN     := $(BUILD)/share/man
TESTS   := $(BUILD)/tests

objs = $(patsubst %.c,$(O)/%.o,$(sort $(wildcard $(1))))

UNPACK_O := $(call objs,cache/unpack/*.c)
BASE_O   := $(call objs,cache/base/*.c)
CACHE_O  := $(call objs,cache/*.c)
FS_O     := $(call objs,fs/*.c)
CLIENT_O := $(call objs,fs/client/*.c)
DEPLOY_O := $(call objs,deployers/*.c)
FULLVM_O := $(call objs,deployers/fullvm/*.c)
SPLITVM_O := $(call objs,deployers/splitvm/*.c)
TALK_O   := $(O)/deployers/cokernel/talk.o
ROOT_O   := $(call objs,deployers/root/*.c)
BUILD_O  := $(call objs,deployers/build/*.c)
LOADER_O := $(O)/deployers/cokernel/agent/image.o $(O)/deployers/cokernel/agent/words.o
CONFORM_O := $(call objs,deployers/conform/*.c)
MODES_O  := $(filter-out %/main.o,$(FULLVM_O) $(SPLITVM_O) $(BUILD_O) $(ROOT_O)) $(TALK_O)

PROGRAMS := $(BIN)/diverfs $(LIBEXEC)/diverfs-run $(LIBEXEC)/diverfs-fullvm $(LIBEXEC)/diverfs-splitvm \
	    $(LIBEXEC)/diverfs-root $(LIBEXEC)/diverfs-build $(LIBEXEC)/diverfs-conform \
	    $(LIBEXEC)/diverfs-unpack

.PHONY: all programs kernels registry demo check check-asan check-tsan soak bench lint format
.PHONY: install uninstall deps help clean
all: programs registry $(MAN)/man8/diverfs.8 $(MAN)/man7/diver-kernel.7

# --- programs -------------------------------------------------------------------------------------

programs: $(PROGRAMS) $(if $(wildcard examples/diver),$(BIN)/diver)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(pkg_cflags) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The names of the system calls, as a C table.
$(O)/cache/base/sysnames.o: $(O)/gen/sysnames.inc
$(O)/cache/base/sysnames.o: CPPFLAGS += -I$(O)/gen
$(O)/gen/sysnames.inc: Makefile
	@mkdir -p $(@D)
	echo '#include <asm/unistd_64.h>' | $(CC) -E -dM - | sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]*\)$$/[\2] = "\1",/p' >$@.tmp
	@test -s $@.tmp && mv $@.tmp $@

$(O)/libbase.a: $(BASE_O)
$(O)/libcache.a: $(CACHE_O)
$(O)/libdeploy.a: $(DEPLOY_O)
$(O)/libmodes.a: $(MODES_O)
$(O)/libfs.a: $(filter-out %/main.o,$(FS_O))
$(O)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) qcs $@ $^

$(BIN)/diverfs: $(FS_O) $(O)/libcache.a $(O)/libbase.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(pkg_libs)
$(LIBEXEC)/diverfs-unpack: $(UNPACK_O)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(archive_libs)
$(LIBEXEC)/diverfs-run: $(CLIENT_O) $(O)/libbase.a
$(LIBEXEC)/diverfs-fullvm: $(FULLVM_O) $(O)/libdeploy.a $(O)/libbase.a
$(LIBEXEC)/diverfs-splitvm: $(SPLITVM_O) $(TALK_O) $(O)/libdeploy.a $(O)/libbase.a
$(LIBEXEC)/diverfs-root: $(ROOT_O) $(O)/libdeploy.a $(O)/libbase.a
$(LIBEXEC)/diverfs-conform: $(CONFORM_O) $(LOADER_O) $(O)/libmodes.a $(O)/libdeploy.a $(O)/libbase.a
$(LIBEXEC)/diverfs-build: $(BUILD_O) $(O)/libdeploy.a $(O)/libbase.a
$(LIBEXEC)/diverfs-%:
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^

$(BIN)/diver: examples/diver
	@mkdir -p $(@D)
	install -m 755 $< $@
$(MAN)/man8/diverfs.8: diverfs.8
$(MAN)/man7/diver-kernel.7: deployers/diver-kernel.7
$(MAN)/man8/% $(MAN)/man7/%:
	@mkdir -p $(@D)
	install -m 644 $< $@

# --- kernels: examples/ becomes the embedded registry -----------------------------------------------

# The example kernels are made in $(BUILD)/stage and published to $(SHARE)/registry.
include examples/stage.mk

kernels: registry
# The kernel by which the deployers try whether KVM really works.
registry: $(LIBEXEC)/probe.elf
$(LIBEXEC)/probe.elf: $(STAGE)/hello/.done
	@mkdir -p $(@D)
	install -m 644 $(STAGE)/hello/images/hello.elf $@

# --- packages -----------------------------------------------------------------------------------------

# demo and check install what is missing and say so first. What needs the packages runs in a second
# make, because this one may have started without pkg-config.
again = +@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$$(nproc))

deps:
	@.ci/deps build check lint

# --- showing and testing --------------------------------------------------------------------------------

demo:
	@.ci/deps build
	$(again) all
	@BUILD=$(BUILD) examples/demo.sh

unit_tests   := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/*.c)))
refuse_progs := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/refuse/*.c)))
deploy_tools := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/deploy/*.c tests/mount/*.c tests/registry/*.c tests/bench/*.c)))
TEST_PROGRAMS = $(unit_tests) $(refuse_progs) $(deploy_tools) $(TEST_KERNELS) $(TEST_ROS)
# make_*: tools of the tests, not tests
CHECKS  = $(unit_tests) $(filter-out %/make_layout,$(refuse_progs)) \
	  $(sort $(wildcard tests/mount/*.sh tests/registry/*.sh tests/refuse/*.sh tests/deploy/*.sh))
RUN     = BUILD=$(BUILD) tests/run

# What of the ROS's agent can be tried here; it is made for the ROS by deployers/cokernel/ros/Makefile.
AGENT_O := $(patsubst %,$(O)/deployers/cokernel/agent/%.o,image layout tables info config policy words)
AGENT_RINGS_O := $(patsubst %,$(O)/deployers/cokernel/agent/%.o,wire rings words)
$(O)/deployers/cokernel/agent/handlers.o: deployers/cokernel/agent/handlers.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -c -o $@ $<
AGENT_O += $(O)/deployers/cokernel/agent/handlers.o

.SECONDEXPANSION:
.SECONDARY:
# By the first word of its name a test is linked with what it tests.
test_parts = $(if $(filter deploy_% driver% build_% fullvm_%,$(notdir $*)),$(O)/libmodes.a $(O)/libdeploy.a) \
	     $(if $(filter cokernel_agent,$(notdir $*)),$(AGENT_O)) \
	     $(if $(filter cokernel_rings,$(notdir $*)),$(AGENT_RINGS_O)) \
	     $(if $(filter fs_%,$(notdir $*)),$(O)/libfs.a) $(O)/libcache.a $(O)/libbase.a
$(TESTS)/%: $(O)/tests/%.o $$(test_parts)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(pkg_libs) $(test_libs)

check:
	@.ci/deps build check
	$(again) check-built
	@$(RUN) $(CHECKS)
.PHONY: check-built
check-built: all $(TEST_PROGRAMS)

# A sanitizer says nothing of kernels: they, and what was fetched for them, are those of $(BUILD).
link_kernels = @mkdir -p $(1) && for d in stage debian lwip lua5.4; do \
	[ -L $(1)/$$d ] || { rm -rf $(1)/$$d; ln -s $(abspath $(BUILD))/$$d $(1)/$$d; }; done

check-asan:
	@.ci/deps build check
	$(again) stage
	$(call link_kernels,$(BUILD)-asan)
	$(again) check-built BUILD=$(BUILD)-asan CFLAGS='-O1 -g' SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer'
	@BUILD=$(BUILD)-asan tests/run $(subst $(BUILD)/,$(BUILD)-asan/,$(CHECKS))

# setarch -R: gcc 12's thread sanitizer does not start with the address randomisation of newer kernels.
check-tsan:
	@.ci/deps build check
	$(again) stage
	$(call link_kernels,$(BUILD)-tsan)
	$(again) check-built BUILD=$(BUILD)-tsan CFLAGS='-O1 -g' SANITIZE='-fsanitize=thread'
	@BUILD=$(BUILD)-tsan setarch -R tests/run $(subst $(BUILD)/,$(BUILD)-tsan/,$(CHECKS))

SOAK ?= 100
soak:
	@.ci/deps build check
	$(again) check-built
	@SOAK=$(SOAK) TEST_LIMIT=7200 JOBS=1 $(RUN) $(sort $(wildcard tests/soak/*.sh))

bench:
	@.ci/deps build check
	$(again) check-built
	@BUILD=$(BUILD) tests/bench/bench

lint:
	@.ci/deps build lint
	@CC='$(CC)' CPPFLAGS='$(subst ','\'',$(CPPFLAGS))' PKG_CFLAGS="`pkg-config --cflags $(PKGS)`" tests/lint

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

# --- installing -------------------------------------------------------------------------------------------

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/diverfs
	install -d $(DESTDIR)$(PREFIX)/share/diverfs
	install -d $(DESTDIR)$(PREFIX)/share/man/man7 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(BIN)/* $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(LIBEXEC)/diverfs-* $(DESTDIR)$(PREFIX)/libexec/diverfs
	install -m 644 $(LIBEXEC)/probe.elf $(DESTDIR)$(PREFIX)/libexec/diverfs
	rm -rf $(DESTDIR)$(PREFIX)/share/diverfs/registry
	cp -r $(SHARE)/registry $(DESTDIR)$(PREFIX)/share/diverfs/registry
	chmod -R u=rwX,go=rX $(DESTDIR)$(PREFIX)/share/diverfs/registry
	install -m 644 diverfs.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 deployers/diver-kernel.7 $(DESTDIR)$(PREFIX)/share/man/man7

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/diverfs $(DESTDIR)$(PREFIX)/bin/diver
	rm -rf $(DESTDIR)$(PREFIX)/libexec/diverfs $(DESTDIR)$(PREFIX)/share/diverfs
	rm -f $(DESTDIR)$(PREFIX)/share/man/man8/diverfs.8 $(DESTDIR)$(PREFIX)/share/man/man7/diver-kernel.7

help:
	@echo 'make             programs, example kernels and the embedded registry, in $(BUILD)/'
	@echo 'make demo        shows what diverfs does, in under two minutes; installs missing packages'
	@echo 'make check       all tests; installs missing packages'
	@echo 'make check-asan  the same with the address and undefined-behaviour sanitizers'
	@echo 'make check-tsan  the same with the thread sanitizer'
	@echo 'make soak        hundreds of boots, kills and streams (SOAK=$(SOAK))'
	@echo 'make bench       a table of figures beside bare QEMU, a pipe, ext4 and other mounts'
	@echo 'make lint        include arrows, headers alone, manual, shell scripts'
	@echo 'make format      clang-format over all C files'
	@echo 'make install     to $$(DESTDIR)$$(PREFIX) (PREFIX=$(PREFIX)); make uninstall removes it'
	@echo 'make deps        installs the Debian packages that build, tests and lint need'
	@echo 'make clean       removes $(BUILD)/'

clean:
	rm -rf $(BUILD)

-include $(shell [ -d $(O) ] && find $(O) -name '*.d')
