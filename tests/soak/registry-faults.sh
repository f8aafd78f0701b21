#!/bin/bash
# SPDX-License-Identifier: MIT
# Every fault of a server at every step of listing and reading, and of a push; make check has a third of the first table.
set -u
export SHARE=1
for part in faults push-faults; do
	mkdir -p "$T/$part"
	T="$T/$part" TMPDIR=$T/$part "$(dirname "$0")/../registry/$part.sh"
done
