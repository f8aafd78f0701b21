#!/bin/bash
# SPDX-License-Identifier: MIT
# diverfs publish to registries over the network: open ones, and those that want a password or a token.
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
need docker-registry skopeo nginx openssl htpasswd

make_kernel "$T/k" art 3000000
export REGISTRY_AUTH_FILE=$T/auth.json
publish() {
	"$DIVERFS" publish "$@" 2>"$T/stderr"
	local status=$?
	tee -a "$T/said" <"$T/stderr" >&2
	return $status
}
# No password, in plain or as Basic sends it, and no token is in what was said, or in the mount's log, status and errors.
no_secrets() {
	local s
	for s in secret wrong "$(printf alice:secret | base64)" "$(printf alice:wrong | base64)" Authorization \
		"$(sed 's/.*"token":"//; s/".*//' "$T/token/token" 2>/dev/null || echo nothing)"; do
		! grep -F -- "$s" "$T/said" "$M/log" "$M/status" "$M"/run/*/error "$M"/run/*/events || return 1
	done 2>/dev/null
}
puts() { grep -c '"PUT /v2/.*/blobs/' "$1"; } # blobs that were sent to a registry, by its log

docker_registry "$T/a"
a=$ADDR
docker_registry "$T/b"
b=$ADDR
digest=$(publish "$T/k" "$T/layout")
is "publish to a registry prints the digest" "$(publish "$T/k" "http://$a" lib/art:1.0)" "$digest"
sent=$(puts "$T/a.log")
ok "it has sent blobs" [ "$sent" -ge 3 ]
is "again, under another tag" "$(publish "$T/k" "http://$a" lib/art:2.0)" "$digest"
is "nothing is sent again" "$(puts "$T/a.log")" "$sent"
ok "without a name, kernel.conf's" publish "$T/k" "http://$a"
ok "skopeo copies it to another registry" skopeo copy -q --insecure-policy --src-tls-verify=false \
	--dest-tls-verify=false "docker://$a/lib/art:2.0" "docker://$b/art:1"
REGISTRY=http://$b
mount_registry
is "mounted from there: the same digest" "$(cat "$M/kernels/art/1/digest")" "$digest"
ok "and the same image" cmp "$M/kernels/art/1/images/kernel.img" "$T/k/images/kernel.img"
unmount_registry

# a signature goes with it, before the tag
openssl ecparam -name prime256v1 -genkey -noout 2>/dev/null | openssl pkcs8 -topk8 -nocrypt >"$T/key.pem" 2>/dev/null
is "published with a signature" "$(publish --sign "$T/key.pem" "$T/k" "http://$a" signed:1)" "$digest"
like "which is there" "$(skopeo inspect --raw --tls-verify=false "docker://$a/signed:${digest/:/-}.sig")" simplesigning

# a password
mkdir -p "$T/p"
htpasswd -bcB "$T/p/users" alice secret 2>/dev/null
docker_registry "$T/c" "auth: {htpasswd: {realm: tests, path: $T/p/users}}"
c=$ADDR
fails "without a password it is refused" "registry http://$c.*skopeo login $c" publish "$T/k" "http://$c"
cat >"$T/auth.json" <<-END
	{"auths": {"$c": {"auth": "$(printf alice:wrong | base64)"}}}
END
fails "nor with a wrong one" "registry http://$c" publish "$T/k" "http://$c"
echo secret | skopeo login --authfile "$T/auth.json" --tls-verify=false -u alice --password-stdin "$c" >/dev/null 2>&1
is "after skopeo login" "$(publish "$T/k" "http://$c")" "$digest"
REGISTRY=http://$c
mount_registry
is "it is mounted with the password" "$(cat "$M/kernels/art/1.0/digest")" "$digest"
ok "and read" cmp "$M/kernels/art/1.0/images/kernel.img" "$T/k/images/kernel.img"
instance i 'kernel = art:1.0'
put "no such name" "$M/run/i/publish" 2>/dev/null
put "art:9 http://$c" "$M/run/i/publish" 2>/dev/null
ok "the password is said nowhere" no_secrets
unmount_registry
echo '{}' >"$T/auth.json"
rm -r "$T/cache" "$T/state"
mount_registry
fails "without it nothing is listed" "denied" ls "$M/kernels"
like "and the log says why" "$(cat "$M/log")" "registry http://$c.*skopeo login"
unmount_registry

# a helper
mkdir -p "$T/bin" "$T/docker"
printf '#!/bin/sh\nread -r host\necho "$host" >>%s/asked\necho "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"alice\\",\\"Secret\\":\\"secret\\"}"\n' \
	"$T" >"$T/bin/docker-credential-test"
chmod +x "$T/bin/docker-credential-test"
echo "{\"credHelpers\": {\"$c\": \"test\"}}" >"$T/docker/config.json"
rm "$T/auth.json"
with_helper() { env -u REGISTRY_AUTH_FILE DOCKER_CONFIG="$T/docker" PATH="$T/bin:$PATH" "$@"; }
is "a credential helper is asked" "$(with_helper "$DIVERFS" publish "$T/k" "http://$c" art:3)" "$digest"
is "for the host" "$(sort -u "$T/asked")" "$c"
rm -rf "$T/cache" "$T/asked"
(
	unset REGISTRY_AUTH_FILE
	export DOCKER_CONFIG=$T/docker PATH=$T/bin:$PATH
	REGISTRY=http://$c mount_registry
)
ok "and for a mount" cmp "$M/kernels/art/3/images/kernel.img" "$T/k/images/kernel.img"
is "once" "$(wc -l <"$T/asked")" 1
unmount_registry

# tokens
token_server art
docker_registry "$T/d" "$TOKEN_AUTH"
d=$ADDR
fails "a token service that wants a password" "registry http://$d.*token service" publish "$T/k" "http://$d"
echo "{\"auths\": {\"$d\": {\"auth\": \"$(printf alice:secret | base64)\"}}}" >"$T/auth.json"
is "with it, a token is got and used" "$(publish "$T/k" "http://$d")" "$digest"
REGISTRY=http://$d
rm -r "$T/cache" "$T/state"
mount_registry
ok "and to read" cmp "$M/kernels/art/1.0/images/kernel.img" "$T/k/images/kernel.img"
echo '{}' >"$T/auth.json"
ls "$M/kernels" >/dev/null 2>&1
ok "neither password nor token is said" no_secrets
unmount_registry

# what cannot be, and what is interrupted
mkdir -p "$T/www/v"
static_server "$T/www"
fails "a web server cannot be written to" "there is no registry" publish "$T/k" "http://$ADDR"
fails "nobody there" "registry http://127.0.0.1:1.*(refused|connect)" publish "$T/k" http://127.0.0.1:1
fails "a password in the address" "user or password" publish "$T/k" "http://alice:secret@$a"
fails "plain http to elsewhere" "insecure" publish "$T/k" http://192.0.2.1
