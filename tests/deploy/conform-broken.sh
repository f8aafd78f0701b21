#!/bin/bash
# SPDX-License-Identifier: MIT
# diverfs conform on the kernels that are broken on purpose: the second half of conform.sh, which says more.
. "$(dirname "$0")/conform.sh"
