#!/bin/bash
# SPDX-License-Identifier: MIT
# Kernels deployed and stopped in one ROS, many times: CPUs and memory come back each time.
CYCLES=$((${SOAK:-100} / 5)) exec "$(dirname "$0")/../deploy/cokernel.sh"
