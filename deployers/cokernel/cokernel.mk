# cokernel.mk: the ROS, from Debian's packages and agent/ and module/. Included by examples/stage.mk, before its registry rule.
#
# The kernel is the one that examples/kernels/linux/stage.mk fetches; the headers are fetched here. Where that cannot be, or musl
# is missing, everything else is made, and one line says so; `make ros` tries again.

COKERNEL   := deployers/cokernel
ROS_STAGE  := $(STAGE)/ros
ROS_FILES  := $(sort $(shell find $(COKERNEL) -type f)) deployers/guest.h examples/kernels/linux/src/pack.c

$(BUILD)/debian/.headers: $(BUILD)/debian/.done
	@if [ -s $(BUILD)/debian/why ]; then cp $(BUILD)/debian/why $(BUILD)/debian/why-headers; \
	elif ! command -v musl-gcc >/dev/null; then echo 'there is no musl-gcc (package musl-tools)' >$(BUILD)/debian/why-headers; \
	else $(LINUX)/fetch $(BUILD)/debian headers >$(BUILD)/debian/why-headers || true; fi
	@[ ! -s $(BUILD)/debian/why-headers ] || \
		echo "kernel ros, and splitVM with it, is left out: $$(cat $(BUILD)/debian/why-headers); make ros tries again"
	@touch $@

$(ROS_STAGE)/.done: $(BUILD)/debian/.headers $(ROS_FILES)
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@if [ ! -s $(BUILD)/debian/why-headers ]; then $(COKERNEL)/ros/stage $(BUILD)/debian $(@D); fi
	@touch $@

.PHONY: ros
ros:
	@[ ! -s $(BUILD)/debian/why ] || rm -f $(BUILD)/debian/.done
	@[ ! -s $(BUILD)/debian/why-headers ] || rm -f $(BUILD)/debian/.headers
	+@$(MAKE) --no-print-directory $(BUILD)/debian/.done
	+@$(MAKE) --no-print-directory registry

# The kernels that tests run beside it.
TEST_KERNELS := $(TESTS)/kernels/cokernel.elf $(TESTS)/kernels/hrt.elf
TK := tests/kernels/cokernel
TK_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -mcmodel=large -mno-red-zone -mgeneral-regs-only \
	     -fno-stack-protector -fcf-protection=none -I. -nostdlib -static -no-pie -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 \
	     -Wl,--build-id=none -Wl,--no-warn-rwx-segments -T $(TK)/link.ld
$(TESTS)/kernels/cokernel.elf: private ENTRY := $(TK)/entry.S -Wl,--defsym=BASE=0xffffffff80200000,--defsym=PHYSICAL=0x200000
$(TESTS)/kernels/hrt.elf: private ENTRY := tests/kernels/hrt/entry.S -Wl,--defsym=BASE=0xffff800010000000,--defsym=PHYSICAL=0x10000000
$(TEST_KERNELS): $(wildcard $(TK)/* tests/kernels/hrt/*) deployers/guest.h $(COKERNEL)/cokernel.mk
	@mkdir -p $(@D)
	$(CC) $(TK_CFLAGS) -o $@ $(ENTRY) $(TK)/main.c $(TK)/lib.c $(TK)/pages.c $(TK)/files.c

# And what makes a ROS that fails.
TEST_ROS := $(TESTS)/kernels/saboteur $(TESTS)/kernels/pack
$(TESTS)/kernels/saboteur: tests/kernels/saboteur.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -static -o $@ $<
$(TESTS)/kernels/pack: examples/kernels/linux/src/pack.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -o $@ $<
