#!/bin/bash
# SPDX-License-Identifier: MIT
# diverfs conform on kernels whose messages or exit status are wrong.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../conform.sh"

broken messages
