#!/bin/bash
# SPDX-License-Identifier: MIT
# -o verify=KEY: only kernels with a good signature are shown, from a directory, a static server and a real registry; and
# everything that is wrong with a signature is a reason not to be shown, which is told.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
need nginx docker-registry skopeo openssl

L=$T/layout
key() { # NAME ALGORITHM...
	openssl genpkey -out "$T/$1.key" "${@:2}" 2>/dev/null && openssl pkey -in "$T/$1.key" -pubout -out "$T/$1.pub"
}
key ec -algorithm EC -pkeyopt ec_paramgen_curve:P-256
key ed -algorithm ed25519
key other -algorithm ed25519
publish() { # NAME [OPTIONS]
	"$DIVERFS" publish "${@:2}" "$BUILD/stage/hello" "$L" "$1:1" >>"$T/digests"
}
ok "publish signs with ECDSA" publish k/ec --sign "$T/ec.key"
ok "and with Ed25519" publish ed --sign "$T/ed.key"
ok "another's key" publish other --sign "$T/other.key"
ok "no key" publish none
fails "a public key signs nothing" "private key" publish x --sign "$T/ec.pub"
openssl genpkey -algorithm ed25519 -aes256 -pass pass:x -out "$T/secret.key" 2>/dev/null
fails "a key with a passphrase is refused, not asked for" "passphrase" publish x --sign "$T/secret.key"
digest=$(head -n 1 "$T/digests")
tag=sha256-${digest#sha256:}.sig

# What openssl makes of a signature of ours, as a stranger to our code.
manifest=$L/blobs/sha256/$(grep -o '"digest":"sha256:[0-9a-f]*","size":[0-9]*,"annotations":{"org.opencontainers.image.ref.name":"k/ec:sha256[^"]*' "$L/index.json" | grep -o 'sha256:[0-9a-f]*' | head -n 1 | cut -d: -f2)
payload=$L/blobs/sha256/$(grep -o 'simplesigning.v1+json","digest":"sha256:[0-9a-f]*' "$manifest" | grep -o '[0-9a-f]*$')
grep -o 'cosign/signature":"[^"]*' "$manifest" | sed 's/.*"//' | base64 -d >"$T/sig"
ok "openssl verifies it" openssl dgst -sha256 -verify "$T/ec.pub" -signature "$T/sig" "$payload"
like "it names the digest" "$(cat "$payload")" "\"docker-manifest-digest\":\"$digest\""

# Copies of a good signature that are bad: under another name, for another digest, of a payload that was cut.
retag() { # OLD NEW: both NAME:TAG; the descriptor of OLD once more
	sed -i -E "s|(\{[^{}]*\"annotations\":\{\"org.opencontainers.image.ref.name\":\")$1(\"\}\})|\1$1\2,\1$2\2|" "$L/index.json"
}
retag "k/ec:1" "thief:1" # the same digest
retag "k/ec:$tag" "thief:$tag"
publish moved --sign "$T/ec.key"
cp -r "$BUILD/stage/hello" "$T/changed"
chmod -R u+w "$T/changed"
echo more >>"$T/changed/README.md"
changed=$("$DIVERFS" publish "$T/changed" "$L" changed:1)
retag "k/ec:$tag" "changed:sha256-${changed#sha256:}.sig"

# Signatures of several: each is added to those that are there; who has signed does not sign again.
signatures() { # REGISTRY-OR-LAYOUT NAME, as skopeo names it
	skopeo inspect --raw --tls-verify=false "$1$2:$tag" | tee "$T/signatures" | grep -o 'cosign/signature"' | wc -l
}
sign_twice() { # WHERE NAME
	local where=$1 name=$2 first
	for key in ec ed; do "$DIVERFS" publish --sign "$T/$key.key" "$BUILD/stage/hello" "$where" "$name:1" >/dev/null; done
	first=$(signatures "$3" "$name")
	is "$3: two have signed" "$first" 2
	cp "$T/signatures" "$T/signatures.before"
	"$DIVERFS" publish --sign "$T/ec.key" "$BUILD/stage/hello" "$where" "$name:1" >/dev/null
	is "$3: the first once more" "$(signatures "$3" "$name")" 2
	ok "$3: changes nothing" cmp "$T/signatures" "$T/signatures.before"
	for key in ec ed; do
		REGISTRY=$where mount_registry -o "verify=$T/$key.pub"
		ok "$3: good for who trusts $key" cat "$M/kernels/$name/1/README.md"
		unmount_registry
		rm -rf "$T/cache"
	done
	REGISTRY=$where mount_registry -o "verify=$T/other.pub"
	fails "$3: not for who trusts another" "rejected|No such file" cat "$M/kernels/$name/1/README.md"
	unmount_registry
	rm -rf "$T/cache"
}
sign_twice "$T/both" two "oci:$T/both:"

mount_verified() { REGISTRY=$1 mount_registry -o "verify=$T/ec.pub,verify=$T/ed.pub"; }
readable() { cat "$M/kernels/$1/README.md" "$M/kernels/$1/images/hello.elf"; }

REGISTRY=$L mount_registry
is "without the option all are shown" "$(cd "$M/kernels" && echo *)" "changed ed k moved none other thief"
is "and signatures are no tags" "$(ls "$M/kernels/ed")" 1
ok "unmounts" unmount_registry
rm -rf "$T/cache"

mount_verified "$L"
is "a directory: only what is signed" "$(cd "$M/kernels" && echo *)" "ed k moved"
ok "it is read" readable k/ec/1
ok "the other key's, too" readable ed/1
for bad in none other thief changed; do
	fails "$bad is not there" "No such file" ls "$M/kernels/$bad/1"
done
like "status says that some are not shown" "$(cat "$M/status")" 'verify: 4 kernels are not shown'
ok "the log says why: not signed" grep -q 'kernels/none: .*not signed' "$M/log"
ok "by another" grep -q 'kernels/other: .*none of the given keys' "$M/log"
ok "under another name" grep -q 'kernels/thief: .*is called k/ec' "$M/log"
ok "for another digest" grep -q 'kernels/changed: .*another digest' "$M/log"
publish none --sign "$T/ed.key"
appears() { readable none/1; }
wait_for "signed, it is shown" appears
ok "unmounts" unmount_registry

cut=$(wc -c <"$payload")
chmod u+w "$payload"
truncate -s $((cut - 1)) "$payload"
rm -rf "$T/cache"
mount_verified "$L"
fails "a payload that was cut" "No such file" ls "$M/kernels/k/ec/1"
ok "is told" grep -qE 'kernels/k/ec: .*(bytes where its descriptor|digest)' "$M/log"
printf '}' >>"$payload"
ok "unmounts" unmount_registry
rm -rf "$T/cache"

static_server "$L"
mount_verified "http://$ADDR"
is "a static server: only what is signed" "$(cd "$M/kernels" && echo *)" "ed k moved none"
ok "it is read" readable k/ec/1
for bad in other thief changed; do
	fails "$bad is not there" "No such file" ls "$M/kernels/$bad/1"
done
fails "nor by its digest" "rejected|No such file" ls "$M/kernels/ed/$changed"
like "status says so" "$(cat "$M/status")" 'verify: 4 kernels are not shown'
ok "unmounts" unmount_registry
rm -rf "$T/cache"

docker_registry "$T/reg"
copy() { skopeo copy -q --preserve-digests --dest-tls-verify=false "oci:$L:$1" "docker://$ADDR/$1"; }
ok "skopeo copies kernel and signature" eval "copy k/ec:1 && copy k/ec:$tag && copy other:1 && copy other:$tag && copy changed:1"
mount_verified "http://$ADDR"
is "a registry: only what is signed" "$(cd "$M/kernels" && echo *)" "k"
ok "it is read" readable k/ec/1
is "the signature is no tag" "$(ls "$M/kernels/k/ec")" 1
fails "what another signed is not shown" "rejected|No such file" readable other/1
fails "nor what nobody signed" "rejected|No such file" readable changed/1
ok "the log says why: another's key" grep -q 'kernels/other: .*none of the given keys' "$M/log"
ok "not signed" grep -q 'kernels/changed/1 is not shown: it is not signed' "$M/log"
ok "unmounts" unmount_registry

sign_twice "http://$ADDR" two "docker://$ADDR/"
printf '{"schemaVersion":2,"layers":"none"}' >"$T/none"
sum=$(sha256sum <"$T/none" | cut -d' ' -f1)
cp "$T/none" "$T/both/blobs/sha256/$sum"
sed -i "s|sha256:[0-9a-f]*\",\"size\":[0-9]*,\"annotations\":{\"org.opencontainers.image.ref.name\":\"two:sha256|sha256:$sum\",\"size\":$(wc -c <"$T/none"),\"annotations\":{\"org.opencontainers.image.ref.name\":\"two:sha256|" "$T/both/index.json"
fails "to what is no manifest of signatures none is added" "no signature can be added.*layers" \
	"$DIVERFS" publish --sign "$T/ec.key" "$BUILD/stage/hello" "$T/both" two:1

mkdir "$T/other"
fails "a public key for what instances publish" "no private key" "$DIVERFS" -o "sign=$T/ec.pub" "$L" "$T/other"
fails "a key that is none" "public key" "$DIVERFS" -o "verify=$T/ec.key" "$L" "$T/other"
fails "a key that is not there" "No such file" "$DIVERFS" -o "verify=$T/nokey" "$L" "$T/other"
