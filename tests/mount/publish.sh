#!/bin/bash
# SPDX-License-Identifier: MIT
# diverfs publish: reproducible, seen by a running mount, a moved tag is a new view; other tools read the layout.
. "$(dirname "$0")/../lib.sh"

REGISTRY=$T/layout
cp -r "$BUILD/stage/hello" "$T/k" || skip_all "no staged kernel in $BUILD/stage/hello"
publish() { "$DIVERFS" publish "$@"; }

first=$(publish "$T/k" "$REGISTRY")
like "publish prints the digest" "$first" '(^|[^0-9a-f])sha256:[0-9a-f]{64}'
find "$T/k" -exec touch -d '2001-02-03' {} +
publish "$T/k" "$T/again" >"$T/second"
is "the same input gives the same digest" "$(grep -o 'sha256:[0-9a-f]*' "$T/second")" "$(grep -o 'sha256:[0-9a-f]*' <<<"$first")"

mount_registry
cd "$M/kernels/hello/1.0" || exit 1
exec 5<README.md
old=$(cat digest)

mkdir "$T/other" && cp -r "$T/k/." "$T/other" && sed -i 's/^name *=.*/name = other/' "$T/other/kernel.conf"
publish "$T/other" "$REGISTRY" >/dev/null
wait_for "a kernel published while mounted appears" test -e "$M/kernels/other/1.0/digest"

echo "changed" >>"$T/k/README.md"
publish "$T/k" "$REGISTRY" >/dev/null
moved() { [ "$(cat "$M/kernels/hello/1.0/digest")" != "$old" ]; }
wait_for "a moved tag shows the new kernel" moved
like "its README is the new one" "$(cat "$M/kernels/hello/1.0/README.md")" '^changed$'
is "who is in the old view stays there" "$(cat digest 2>&1)" "$old"
is "and reads its files to the end" "$(grep -c '^changed$' <&5)" 0
is "the old one by digest" "$(cat "$M/kernels/hello/$old/digest")" "$old"
is "digests are not listed" "$(ls "$M/kernels/hello")" "1.0"
cd / || exit 1
exec 5<&-

ok "publish under another name" publish "$T/k" "$REGISTRY" lib/deep/hello:2.0
wait_for "a name with slashes is nested" test -e "$M/kernels/lib/deep/hello/2.0/digest"

mkdir "$T/bad" && cp -r "$T/k/." "$T/bad" && echo 'colour = red' >>"$T/bad/kernel.conf"
fails "an unknown key is refused with its line" "kernel.conf.*colour|colour.*line" publish "$T/bad" "$REGISTRY"
mkdir "$T/empty"
fails "no kernel.conf" "kernel\.conf" publish "$T/empty" "$REGISTRY"
fails "no such directory" "No such file" publish "$T/none" "$REGISTRY"
fails "publish wants two arguments" "[Uu]sage|publish" publish

copy() { skopeo copy -q --insecure-policy "oci:$1:$3" "oci:$2:$3"; }
if command -v skopeo >/dev/null; then
	ref=$(grep -o '"org.opencontainers.image.ref.name" *: *"[^"]*"' "$REGISTRY/index.json" | cut -d'"' -f4 | head -n 1)
	ok "skopeo copies it to another layout" copy "$REGISTRY" "$T/there" "$ref"
	ok "and back" copy "$T/there" "$T/back" "$ref"
	was=$(grep -o '"digest" *: *"[^"]*"' "$T/back/index.json" | head -n 1)
	ok "its digest is unchanged" grep -q "${was##*:}" "$REGISTRY/index.json"
else
	skip "skopeo copy" "no skopeo"
fi
layer=$(grep -o '"mediaType":"[^"]*tar+zstd"[^}]*' "$M/kernels/hello/1.0/manifest" | grep -o 'sha256:[0-9a-f]*' | head -n 1)
ok "zstd and tar read the source layer" bash -c \
	"zstd -dc <'$REGISTRY/blobs/sha256/${layer#sha256:}' | tar t | grep -q main.c"
