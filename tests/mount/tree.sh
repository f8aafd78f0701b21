#!/bin/bash
# SPDX-License-Identifier: MIT
# What a newcomer sees: the tree, its files, and that programs which walk it come to an end.
. "$(dirname "$0")/../lib.sh"

mount_registry
cd "$M" || exit 1

is "the root" "$(ls | tr '\n' ' ')" "README cache kernels log modes run search status "
is "kernels" "$(ls kernels | tr '\n' ' ')" "$(embedded)"
is "a kernel's tags" "$(ls kernels/hello)" "1.0"
for f in kernel.conf README.md manifest digest cached src images run; do
	ok "hello has $f" test -e "kernels/hello/1.0/$f"
done
like "kernel.conf names it" "$(cat kernels/hello/1.0/kernel.conf)" '^name *= *hello'
ok "run is executable" test -x kernels/hello/1.0/run
ok "nothing under kernels/ is writable" test -z "$(find kernels/hello -type f -perm /222)"
ok "src holds main.c" test -n "$(find kernels/hello/1.0/src -name main.c)"
is "sizes are true" "$(stat -c %s kernels/hello/1.0/README.md)" "$(wc -c <kernels/hello/1.0/README.md)"
modes_known() { ! grep -q "^fullVM unknown" modes; }
wait_for "what can be launched is found out" modes_known
like "modes: fullVM is available" "$(cat modes)" '^fullVM +available'
like "status names the registry" "$(cat status)" "$REGISTRY"
is "run holds new" "$(ls run)" new

fails "no such kernel" "No such file" ls kernels/nosuch
fails "no such tag" "No such file" ls kernels/hello/9.9
fails "kernels/ takes no directory" "Read-only|not permitted|Permission" mkdir kernels/mine
fails "kernels' files are not written" "Read-only|not permitted|Permission" put x kernels/hello/1.0/README.md
fails "the root takes no file" "Read-only|not permitted|Permission" touch "$M/x"

ok "find ends" timeout 60 find . -type f
ok "ls -lR ends" timeout 60 ls -lR .
ok "du ends" timeout 60 du -s .
ok "grep -r ends" timeout 60 bash -c 'grep -rl hello . ; true'
ok "tar ends" timeout 60 tar cf "$T/all.tar" kernels
ok "cp -r ends" timeout 60 cp -r kernels/hello "$T/copy"
ok "the copy is the same" diff -r kernels/hello/1.0/src "$T/copy/1.0/src"
inodes=$(find kernels -printf '%i\n' | sort | uniq -d)
is "no two files have one inode number" "$inodes" ""
is "stat by digest shows the same" "$(cat "kernels/hello/$(cat kernels/hello/1.0/digest)/digest")" "$(cat kernels/hello/1.0/digest)"
cd / && ok "unmounts" unmount_registry

# Whoever opens a file first gets its content with the answer, while others ask for it, too.
(cd "$BUILD/stage/reef/src" && find . -type f -print0 | xargs -0 sha256sum | sort) >"$T/sums"
mount_registry
for i in $(seq 8); do
	sort -R --random-source=<(yes "$i") "$T/sums" | cut -c67- |
		(cd "$M/kernels/reef/1.0/src" && timeout 60 xargs sha256sum) | sort >"$T/read$i" &
done
for p in $(jobs -p); do wait "$p"; done
is "eight read the same $(wc -l <"$T/sums") files at once" "$(cmp "$T/sums" "$T/read1")$(sha256sum "$T"/read? | cut -c-64 | uniq -c | awk '{ print $1 }')" 8
ok "unmounts again" unmount_registry
is "the mount point is empty again" "$(ls -A "$M")" ""
