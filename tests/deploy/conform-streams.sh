#!/bin/bash
# SPDX-License-Identifier: MIT
# diverfs conform on kernels that treat streams, arguments or requests badly.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../conform.sh"

broken streams
