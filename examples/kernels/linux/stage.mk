# stage.mk: the kernel `linux`, from Debian's packages. Included by examples/stage.mk.
#
# What is fetched is kept in $(BUILD)/debian, and never committed. Where it cannot be fetched everything else is made, and one
# line says so; `make linux` tries again.

LINUX        := examples/kernels/linux
LINUX_STAGE  := $(STAGE)/linux
LINUX_FILES  := $(sort $(shell find $(LINUX)/src -type f)) deployers/guest.h

$(BUILD)/debian/.done: $(LINUX)/fetch
	@mkdir -p $(@D)
	@$(LINUX)/fetch $(@D) >$(@D)/why || \
		echo "kernel linux is left out: $$(cat $(@D)/why); make linux tries again"
	@touch $@

$(LINUX_STAGE)/.done: $(BUILD)/debian/.done $(LINUX)/kernel.conf $(LINUX)/README.md $(LINUX)/stage.mk $(LINUX_FILES)
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@if [ ! -s $(BUILD)/debian/why ]; then $(LINUX)/stage $(BUILD)/debian $(@D); fi
	@touch $@

.PHONY: linux
linux:
	@[ ! -s $(BUILD)/debian/why ] || rm -f $(BUILD)/debian/.done
	+@$(MAKE) --no-print-directory $(BUILD)/debian/.done
	+@$(MAKE) --no-print-directory registry
