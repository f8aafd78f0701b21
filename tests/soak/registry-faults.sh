#!/bin/bash
# SPDX-License-Identifier: MIT
# Every fault of a server at every step of listing and reading, and of a push; make check has a third of the first table.
set -u
here=$(dirname "$0")
mkdir "$T/read" "$T/push"
env SHARE=1 "T=$T/read" "TMPDIR=$T/read" "$here/../registry/faults.sh"
env SHARE=1 "T=$T/push" "TMPDIR=$T/push" "$here/../registry/push-faults.sh"
