#!/bin/bash
# SPDX-License-Identifier: MIT
# Without QEMU all but launching works, and what to do is said.
. "$(dirname "$0")/../lib.sh"

mount_registry -o "qemu=/nonexistent/qemu"
like "modes: unavailable, and what to do" "$(cat "$M/modes")" '^fullVM +unavailable.*(qemu|QEMU)'
ok "kernels can be read" cat "$M/kernels/hello/1.0/README.md"
instance h 'kernel = hello'
fails "deploy fails at once" "." timeout 30 bash -c "echo fullVM >'$M/run/h/deploy'"
like "error says what to do" "$(cat "$M/run/h/error")" '(apt-get install|install).*qemu|qemu.*install'
like "the state is true" "$(cat "$M/run/h/state")" 'failed|built|configured'
timeout 30 "$M/kernels/hello/1.0/run" >"$T/out" 2>"$T/err" </dev/null
status=$?
is "run: cannot be launched here" $status 126
like "run says why" "$(cat "$T/err")" 'qemu|QEMU'
is "run wrote nothing to stdout" "$(cat "$T/out")" ""
is "no instance of run is left" "$(ls "$M/run" | tr '\n' ' ')" "h new "
ok "rm -r" rm -r "$M/run/h"
