#!/bin/bash
# SPDX-License-Identifier: MIT
# A registry over the network: pushed with skopeo, mounted, read on demand, the same bytes, kept when it is gone.
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
need docker-registry skopeo

LAYOUT=$BUILD/share/diverfs/registry
docker_registry "$T/reg"
reg=$ADDR server=$SERVER
make_kernel "$T/big" big 20000000
"$DIVERFS" publish "$T/big" "$T/layout" >"$T/digest" || exit 1
for k in hello sort; do push "$LAYOUT" "$k:1.0" "$reg" "lib/$k:1.0" || exit 1; done
ok "skopeo pushes a kernel" push "$T/layout" big:1.0 "$reg"

REGISTRY=http://$reg
mount_registry
is "the registry is listed" "$(ls "$M/kernels" "$M/kernels/lib")" "$M/kernels:
big
lib

$M/kernels/lib:
hello
sort"
is "the digest is the published one" "$(cat "$M/kernels/big/1.0/digest")" "$(grep -o 'sha256:[0-9a-f]*' "$T/digest")"
like "status says what it is" "$(cat "$M/status")" "registry http://$reg: OCI registry, reachable"

before=$(fetched)
find "$M/kernels" >/dev/null
ls -lR "$M/kernels" >/dev/null
listed=$(fetched)
ok "find and ls -lR fetch metadata only" [ $((listed - before)) -lt 300000 ]

f=$M/kernels/big/1.0/images/kernel.img
dd if="$f" bs=4k count=1 skip=2500 status=none >"$T/part"
ok "4 KiB in the middle are right" cmp -n 4096 -i 0:$((2500 * 4096)) "$T/part" "$T/big/images/kernel.img"
ok "and cost at most 512 KiB" [ $(($(fetched) - listed)) -le $((512 * 1024)) ]
before=$(fetched)
is "the head of a source file" "$(head -n 1 "$M/kernels/big/1.0/src/sub/7.txt")" "small file 7 of big"
ok "costs little" [ $(($(fetched) - before)) -le 200000 ]

same() { diff -r --no-dereference -x cached -x run -x digest -x manifest -x kernel.conf "$1" "$2"; }
ok "all of it is the same" same "$T/big" "$M/kernels/big/1.0"
total=$(fetched)
ok "reading it again" same "$T/big" "$M/kernels/big/1.0"
is "fetches nothing" "$(fetched)" "$total"

ok "skopeo copies it from there to a layout" skopeo copy -q --insecure-policy --src-tls-verify=false \
	"docker://$reg/big:1.0" "oci:$T/copy:big:1.0"
ok "with the same digest" grep -q "$(cut -d: -f2 "$T/digest")" "$T/copy/index.json"

is "a kernel of it runs" "$(printf 'b\na\n' | "$M/kernels/lib/sort/1.0/run" 2>"$T/console")" "a
b"

# a tag that appears, and one that moves
unmount_registry
mount_registry -o fresh=1
push "$LAYOUT" upper:1.0 "$reg" >/dev/null
appears() { [[ $(ls "$M/kernels") == *upper* ]]; }
wait_for "a kernel pushed while mounted appears" appears
old=$(cat "$M/kernels/lib/hello/1.0/digest")
push "$LAYOUT" sort:1.0 "$reg" lib/hello:1.0 >/dev/null
moved() { [ "$(cat "$M/kernels/lib/hello/1.0/digest")" != "$old" ]; }
wait_for "a moved tag shows the new kernel" moved
is "the old one by digest" "$(cat "$M/kernels/lib/hello/$old/digest")" "$old"

# gone, and back
stop_server "$server"
is "without it, the names stay" "$(ls "$M/kernels/lib")" "hello
sort"
ok "what was read stays" cmp "$f" "$T/big/images/kernel.img"
fails "what was not read fails, with the reason in the log" "host" cat "$M/kernels/upper/1.0/README.md"
like "the log names the registry" "$(cat "$M/log")" "registry http://$reg.*(refused|[Cc]onnect)"
unmount_registry
mount_registry -o fresh=1
is "a new mount knows the names" "$(ls "$M/kernels/lib")" "hello
sort"
ok "and what was read" cmp "$f" "$T/big/images/kernel.img"
like "status tells" "$(cat "$M/status")" "unreachable"
docker_registry "$T/reg" "" "${reg##*:}"
wait_for "it comes back by itself" cat "$M/kernels/upper/1.0/README.md"
unmount_registry
mount_registry -o offline
ok "offline: what was read" cmp "$f" "$T/big/images/kernel.img"
before=$(wc -l <"$T/reg.log")
fails "offline: what was not read fails at once" "host" head -c 100 "$M/kernels/upper/1.0/images/upper.elf"
like "and says so" "$(cat "$M/log")" "offline"
is "offline: nothing is asked" "$(wc -l <"$T/reg.log")" "$before"
