#!/bin/bash
# SPDX-License-Identifier: MIT
# diverfs conform on kernels that do not come up, or end in another way than by EXIT.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../conform.sh"

broken boot
