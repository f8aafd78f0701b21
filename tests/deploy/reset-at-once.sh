#!/bin/bash
# SPDX-License-Identifier: MIT
# A kernel that resets the machine in its first instructions: its end is told as that, every time, and not as a
# QEMU that was lost before it answered.
. "$(dirname "$0")/../lib.sh"

REGISTRY=$T/layout
cp -r "$BUILD/stage/hello" "$T/k" || skip_all "no staged kernel in $BUILD/stage/hello"
sed -i 's/^name *=.*/name = triple/' "$T/k/kernel.conf"
find "$T/k/src" -name '*.[cS]' -exec sed -i -f "$SOURCE/tests/deploy/broken/boot/triple.sed" {} +
make -s -C "$T/k/src" OUT="$T/k/images" >"$T/make.log" 2>&1 || skip_all "it cannot be built: $(tail -n 1 "$T/make.log")"
mv "$T"/k/images/triple.elf "$T/k/images/hello.elf" 2>/dev/null
"$DIVERFS" publish "$T/k" "$REGISTRY" >/dev/null || exit 1
mount_registry

said=
for _ in 1 2 3 4 5 6 7 8; do
	timeout "$SLOW" "$M/kernels/triple/1.0/run" </dev/null >/dev/null 2>"$T/err"
	said+="$? "
done
is "134, each time" "$said" "134 134 134 134 134 134 134 134 "
instance t 'kernel = triple'
ok "deploy" put fullVM "$M/run/t/deploy"
is "its status" "$(timeout "$SLOW" cat "$M/run/t/wait")" 134
like "how it ended" "$(cat "$M/run/t/status")" 'reset'
