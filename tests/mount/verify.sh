#!/bin/bash
# SPDX-License-Identifier: MIT
# What the mount shows agrees with the registry and with the sources that it was made from.
. "$(dirname "$0")/../lib.sh"

mount_registry
for dir in "$M"/kernels/*/*/; do
	k=$(basename "$(dirname "$dir")")
	digest=$(cat "$dir/digest")
	is "$k: digest is the manifest's" "sha256:$(sha256sum <"$dir/manifest" | cut -d' ' -f1)" "$digest"
	ok "$k: manifest is the registry's blob" cmp "$dir/manifest" "$REGISTRY/blobs/sha256/${digest#sha256:}"
	for image in "$dir"images/*; do
		sum=$(sha256sum <"$image" | cut -d' ' -f1)
		ok "$k: $(basename "$image") is a blob of the registry" test -f "$REGISTRY/blobs/sha256/$sum"
		is "$k: $(basename "$image"): read backwards in pieces, the same" \
			"$(size=$(stat -c %s "$image"); n=$(((size + 4095) / 4096)); while [ $n -gt 0 ]; do
				n=$((n - 1)); dd if="$image" of="$T/back" bs=4096 skip=$n seek=$n count=1 conv=notrunc status=none; done
				sha256sum <"$T/back" | cut -d' ' -f1; rm -f "$T/back")" "$sum"
	done
done
stage=$BUILD/stage/hello
if [ -d "$stage/src" ]; then
	ok "src is what was published" diff -r "$stage/src" "$M/kernels/hello/1.0/src"
	ok "README.md is what was published" cmp "$stage/README.md" "$M/kernels/hello/1.0/README.md"
else
	skip "src is what was published" "no $stage"
fi
