#!/bin/bash
# SPDX-License-Identifier: MIT
# SOAK times twenty: a process that fills and evicts a small cache is killed at some moment; what is in the cache
# afterwards is right.
. "$(dirname "$0")/../lib.sh"

export SOAK=${SOAK:-100}
ok "a cache survives $((SOAK * 20)) kills" "$TOOLS/unit/cache_room"
