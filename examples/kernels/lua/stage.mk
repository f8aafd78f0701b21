# stage.mk: the kernel `lua`: reef with Lua's sources as its application, from Debian's source package. Included by
# examples/stage.mk.
#
# What is fetched is kept in $(BUILD)/lua5.4, and never committed. Where it cannot be fetched everything else is made, and
# one line says so; `make lua` tries again.

LUA         := examples/kernels/lua
LUA_STAGE   := $(STAGE)/lua
LUA_FETCHED := $(BUILD)/lua5.4

$(LUA_FETCHED)/.done: $(LUA)/fetch
	@mkdir -p $(@D)
	@if command -v musl-gcc >/dev/null; then $(LUA)/fetch $(@D); else echo "musl-gcc is missing"; fi >$(@D)/why || true
	@[ ! -s $(@D)/why ] || echo "kernel lua is left out: $$(cat $(@D)/why); make lua tries again"
	@touch $@

$(LUA_STAGE)/.done: $(LUA_FETCHED)/.done $(LUA)/kernel.conf $(LUA)/README.md $(LUA)/stage.mk $(LIB_FILES) $(REEF_FILES) \
		deployers/guest.h examples/stage.mk
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@if [ ! -s $(LUA_FETCHED)/why ]; then \
		mkdir -p $(@D)/src/lib $(@D)/images && cp $(LUA)/kernel.conf $(LUA)/README.md $(@D)/ && \
		cp -r $(LUA_FETCHED)/app examples/kernels/reef/kernel examples/kernels/reef/Makefile $(@D)/src/ && \
		cp $(filter-out %/Makefile,$(LIB_FILES)) deployers/guest.h $(@D)/src/lib/ && \
		cp $(LUA_FETCHED)/copyright $(@D)/src/ && cp $(LUA_FETCHED)/packages.txt $(@D)/src/packages && \
		echo lua >$(@D)/src/name && \
		env -u MAKEFLAGS -u MAKELEVEL make -s -C $(@D)/src OUT="$(abspath $(@D))/images" CFLAGS='-O2 -w'; \
	fi
	@touch $@

.PHONY: lua
lua:
	@[ ! -s $(LUA_FETCHED)/why ] || rm -f $(LUA_FETCHED)/.done
	+@$(MAKE) --no-print-directory $(LUA_FETCHED)/.done
	+@$(MAKE) --no-print-directory registry
