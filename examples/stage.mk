# stage.mk: the example kernels, from their sources to the embedded registry. Included by the main Makefile.
#
# A kernel's published src/ is complete: $(BUILD)/stage/NAME has src/ (lib, guest.h, app, Makefile, name) and the image
# built from exactly that by the command that kernel.conf names.

PLAIN    := hello upper sort count copy fail keys
# On reef: its sources with another application. They need musl (package musl-dev, musl-tools); without it they are left out.
ON_REEF  := reef matmul nbody fannkuch spectral-norm mandelbrot binary-trees fasta stream
ON_NET   := kv
KERNELS  := $(PLAIN) $(if $(shell command -v musl-gcc),$(ON_REEF) $(ON_NET))
STAGE    := $(BUILD)/stage
REGISTRY := $(SHARE)/registry

LIB_FILES  := $(sort $(wildcard examples/lib/*))
REEF_FILES := $(sort $(shell find examples/kernels/reef/Makefile examples/kernels/reef/stage examples/kernels/reef/kernel examples/kernels/reef/net -type f))
LWIP       := $(BUILD)/lwip

.PHONY: stage registry
stage: $(KERNELS:%=$(STAGE)/%/.done)
registry: $(REGISTRY)/index.json

.SECONDEXPANSION:
# lwIP is fetched once and kept in $(LWIP), never committed. Where it cannot be fetched reef is made without, the kernels
# that need it are left out, and one line says so; `make lwip` tries again.
$(LWIP)/.done: examples/kernels/reef/lwip-fetch
	@mkdir -p $(@D)
	@examples/kernels/reef/lwip-fetch $(@D) >$(@D)/why || \
		echo "TCP/IP for reef, and what needs it ($(ON_NET)), is left out: $$(cat $(@D)/why); make lwip tries again"
	@touch $@
.PHONY: lwip
lwip:
	@[ ! -s $(LWIP)/why ] || rm -f $(LWIP)/.done
	+@$(MAKE) --no-print-directory $(LWIP)/.done
	+@$(MAKE) --no-print-directory registry

$(ON_REEF:%=$(STAGE)/%/.done) $(ON_NET:%=$(STAGE)/%/.done): $(STAGE)/%/.done: $(LIB_FILES) $(REEF_FILES) $(LWIP)/.done \
		deployers/guest.h examples/stage.mk $$(sort $$(wildcard examples/kernels/$$*/* examples/kernels/$$*/app/*))
	@rm -rf $(@D)
	@mkdir -p $(@D)
	$(if $(filter $*,$(ON_NET)),@[ -s $(LWIP)/why ] || )examples/kernels/reef/stage $* $(@D) $(LWIP) \
		$(filter-out %/Makefile,$(LIB_FILES)) deployers/guest.h
	@touch $@

$(PLAIN:%=$(STAGE)/%/.done): $(STAGE)/%/.done: $(LIB_FILES) deployers/guest.h examples/stage.mk \
		$$(sort $$(wildcard examples/kernels/$$*/* examples/kernels/$$*/app/*))
	@rm -rf $(@D)
	@mkdir -p $(@D)/src/lib $(@D)/images
	@cp examples/kernels/$*/kernel.conf examples/kernels/$*/README.md $(@D)/
	@cp -r examples/kernels/$*/app $(@D)/src/
	@cp $(filter-out %/Makefile,$(LIB_FILES)) deployers/guest.h $(@D)/src/lib/
	@cp examples/lib/Makefile $(@D)/src/
	@echo $* >$(@D)/src/name
	env -u MAKEFLAGS -u MAKELEVEL make -s -C $(@D)/src OUT="$(abspath $(@D))/images"
	@touch $@

# From Debian's packages; left out where they cannot be fetched.
include examples/kernels/linux/stage.mk
include examples/kernels/lua/stage.mk
include deployers/cokernel/cokernel.mk
FETCHED := linux lua ros
stage: $(FETCHED:%=$(STAGE)/%/.done)

# All kernels go into a new layout, which then takes the old one's place.
$(REGISTRY)/index.json: $(KERNELS:%=$(STAGE)/%/.done) $(FETCHED:%=$(STAGE)/%/.done) $(BIN)/diverfs
	@rm -rf $(REGISTRY).tmp
	@mkdir -p $(SHARE)
	for k in $(KERNELS) $(FETCHED); do [ ! -e $(STAGE)/$$k/kernel.conf ] || $(BIN)/diverfs publish $(STAGE)/$$k $(REGISTRY).tmp || exit 1; done
	@rm -rf $(REGISTRY)
	@mv $(REGISTRY).tmp $(REGISTRY)
	@touch $@
