# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# layout.sh: an OCI image layout put together by hand, in $L, for what our own tools would not write; read after lib.sh.
oci=application/vnd.oci.image note=org.opencontainers.image

# blob FILE TYPE [ANNOTATIONS]: puts it into the layout; prints its descriptor
blob() {
	local sum
	sum=$(sha256sum <"$1" | cut -d' ' -f1)
	cp "$1" "$L/blobs/sha256/$sum"
	printf '{"mediaType":"%s","digest":"sha256:%s","size":%d,"annotations":{%s}}' "$2" "$sum" "$(stat -c %s "$1")" "${3:-}"
}

# tar_gz FILE: the descriptor of sources that come as they are, without an index
tar_gz() { blob "$1" $oci.layer.v1.tar+gzip "\"$note.title\":\"src.tar.gz\""; }

# pack_by_hand NAME LAYER: a kernel NAME:1 with its sources in this layer, a descriptor; prints its own
pack_by_hand() {
	printf '{"schema":1,"name":"%s","version":"1","arch":"x86_64","modes":["fullVM"],"boot":[],"files":[]}' "$1" >"$T/config"
	echo "# $1" >"$T/readme"
	printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","artifactType":"application/vnd.diverfs.kernel.v1","config":%s,"layers":[%s,%s]}' \
		$oci "$(blob "$T/config" application/vnd.diverfs.kernel.config.v1+json)" \
		"$(blob "$T/readme" text/markdown "\"$note.title\":\"README.md\"")" \
		"$2" >"$T/manifest"
	blob "$T/manifest" $oci.manifest.v1+json "\"$note.ref.name\":\"$1:1\""
}
