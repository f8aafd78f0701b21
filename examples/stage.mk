# stage.mk: the example kernels, from their sources to the embedded registry. Included by the main Makefile.
#
# A kernel's published src/ is complete: $(BUILD)/stage/NAME has src/ (lib, guest.h, app, Makefile, name) and the image
# built from exactly that by the command that kernel.conf names.

PLAIN    := hello upper sort count copy fail keys
# On reef: its sources with another application. They need musl (package musl-dev, musl-tools); without it they are left out.
ON_REEF  := reef matmul nbody fannkuch spectral-norm mandelbrot binary-trees fasta stream
KERNELS  := $(PLAIN) $(if $(shell command -v musl-gcc),$(ON_REEF))
STAGE    := $(BUILD)/stage
REGISTRY := $(SHARE)/registry

LIB_FILES  := $(sort $(wildcard examples/lib/*))
REEF_FILES := $(sort $(wildcard examples/kernels/reef/Makefile examples/kernels/reef/kernel/*))

.PHONY: stage registry
stage: $(KERNELS:%=$(STAGE)/%/.done)
registry: $(REGISTRY)/index.json

.SECONDEXPANSION:
$(ON_REEF:%=$(STAGE)/%/.done): $(STAGE)/%/.done: $(LIB_FILES) $(REEF_FILES) deployers/guest.h examples/stage.mk \
		$$(sort $$(wildcard examples/kernels/$$*/* examples/kernels/$$*/app/*))
	@rm -rf $(@D)
	@mkdir -p $(@D)/src/lib $(@D)/images
	@cp examples/kernels/$*/kernel.conf examples/kernels/$*/README.md $(@D)/
	@cp -r examples/kernels/$*/app examples/kernels/reef/kernel examples/kernels/reef/Makefile $(@D)/src/
	@cp $(filter-out %/Makefile,$(LIB_FILES)) deployers/guest.h $(@D)/src/lib/
	@echo $* >$(@D)/src/name
	env -u MAKEFLAGS -u MAKELEVEL make -s -C $(@D)/src OUT="$(abspath $(@D))/images"
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
FETCHED := linux lua

# All kernels go into a new layout, which then takes the old one's place.
$(REGISTRY)/index.json: $(KERNELS:%=$(STAGE)/%/.done) $(FETCHED:%=$(STAGE)/%/.done) $(BIN)/diverfs
	@rm -rf $(REGISTRY).tmp
	@mkdir -p $(SHARE)
	for k in $(KERNELS) $(FETCHED); do [ ! -e $(STAGE)/$$k/kernel.conf ] || $(BIN)/diverfs publish $(STAGE)/$$k $(REGISTRY).tmp || exit 1; done
	@rm -rf $(REGISTRY)
	@mv $(REGISTRY).tmp $(REGISTRY)
	@touch $@
