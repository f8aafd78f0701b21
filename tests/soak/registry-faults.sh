#!/bin/bash
# SPDX-License-Identifier: MIT
# Every fault of a server at every step of listing and reading, and of a push; make check has a third of the first table.
set -u
export SHARE=1
for part in faults push-faults; do
	dir=$T/$part
	mkdir -p "$dir"
	T=$dir TMPDIR=$dir "$(dirname "$0")/../registry/$part.sh"
done
