#!/bin/bash
# SPDX-License-Identifier: MIT
# run/INSTANCE/publish: a kernel and an application are changed, published to a layout and to a real registry,
# and launched from there; what fails says why, and nothing is left.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

"$DIVERFS" publish "$BUILD/stage/hello" "$T/second" other:0 >/dev/null || skip_all "no staged kernel in $BUILD/stage/hello"
cp -r "$BUILD/stage/hello" "$T/k"
mount_registry "$T/second"
I=$M/run/h P=$M/run/h/publish
last_error() { head -n 1 "$M/run/h/error"; }
no_copy() { [ -z "$(find "$T/state" -path '*/h/publish' -o -name 'diverfs-publish-*')" ]; }

# --- before there is anything ---------------------------------------------------------------------
mkdir "$I"
is "nothing yet" "$(cat "$P")" ""
fails "without a kernel" "No such file" put mine:1.0 "$P"
like "error says what to do" "$(last_error)" "echo 'kernel = NAME' > config"
echo 'kernel = hello' >"$I/config"
within "$SLOW" state_in h "built configured"
for words in mine Mine:1 mine:1:2/x ":1" "mine:" "../x:1" "mine:1 relative/path" "mine:1 ftp://x/" ""; do
	fails "'$words' is refused" "Invalid argument" put "$words" "$P"
done
like "and error says how" "$(put mine "$P" 2>/dev/null; last_error)" "'mine' is not NAME:TAG"
fails "a password in the address" "Invalid argument" put "mine:1 http://alice:secret@127.0.0.1:1" "$P"
ok "is not repeated" bash -c "! grep -q secret '$I/error' '$M/log'"
fails "a place in the mount itself" "Invalid argument" put "mine:1 $M/run/new1" "$P"
ok "made nothing there" gone "$M/run/new1"

# --- changed and published ------------------------------------------------------------------------
ok "change the application" sed -i 's/hello, world/Good evening/' "$I/src/main.c"
ok "and the kernel" bash -c "printf '/* mine */\n' >>'$I/kernel/lib/start.c'"
ok "a file more, one less" bash -c "mkdir '$I/kernel/doc' && echo notes >'$I/kernel/doc/notes' && echo x >'$I/src/extra'"
ok "publish" put "lib/mine:2.0" "$P"
is "it was built first" "$(sed -n 's/^images \([a-z]*\).*/\1/p' "$I/status")" build
like "reading it says what and where" "$(cat "$P")" "^lib/mine:2.0 sha256:[0-9a-f]{64} $T/second$"
like "events, too" "$(cat "$I/events")" "published lib/mine:2.0 sha256:"
like "timeline" "$(cat "$I/timeline")" "^publish "
ok "the copy is gone" no_copy
K=$M/kernels/lib/mine/2.0
listed() { [ -e "$K/digest" ]; }
wait_for "it is listed in the same mount" listed
is "by that digest" "$(cat "$K/digest")" "$(cut -d' ' -f2 "$P")"
is "kernel.conf has the new name and version" "$(sed -n 's/^\(name\|version\) = //p' "$K/kernel.conf" | tr '\n' ' ')" "lib/mine 2.0 "
is "and else the old lines" "$(grep -vE '^(name|version) ' "$K/kernel.conf")" "$(grep -vE '^(name|version) ' "$M/kernels/hello/1.0/kernel.conf")"
ok "README.md is the kernel's" cmp "$K/README.md" "$M/kernels/hello/1.0/README.md"
is "the sources have what was changed" "$(tail -n 1 "$K/src/lib/start.c") $(cat "$K/src/doc/notes")" "/* mine */ notes"
ok "and are the kernel's beside it" diff -r --exclude=app "$I/kernel" "$K/src"
ok "the template is the application" diff -r "$I/src" "$K/src/app"
ok "the images are what was built" cmp "$I/images/hello.elf" "$K/images/hello.elf"
is "it is launched" "$(timeout "$SLOW" "$K/run" you 2>/dev/null </dev/null)" \
	"$(timeout "$SLOW" "$M/kernels/hello/1.0/run" you 2>/dev/null </dev/null | sed 's/hello, world/Good evening/')"
if command -v skopeo >/dev/null; then
	is "skopeo reads it" "$(skopeo inspect --raw "oci:$T/second:lib/mine:2.0" | sha256sum | cut -d' ' -f1)" \
		"$(cut -d' ' -f2 "$P" | cut -d: -f2)"
else
	skip "skopeo reads it" "no skopeo"
fi
first=$(cut -d' ' -f2 "$P")
ok "again" put "lib/mine:2.0" "$P"
is "the same bytes, the same digest" "$(cut -d' ' -f2 "$P")" "$first"
instance again 'kernel = lib/mine'
within "$SLOW" state_in again "built configured"
is "an instance of it begins with the application" "$(cat "$M/run/again/src/extra")" x
ok "and is published in turn, unchanged" put "mine2:1 $T/third" "$M/run/again/publish"
ok "into a directory that was not there" test -f "$T/third/oci-layout"
rm -r "$M/run/again"

# --- while it runs, and one after the other -------------------------------------------------------
instance r 'kernel = sort'
ok "one that runs" put fullVM "$M/run/r/deploy"
ok "is published" put r:1 "$M/run/r/publish"
is "and runs on" "$(cat "$M/run/r/state")" running
ok "kill" put kill "$M/run/r/ctl"
echo fullVM >"$M/run/r/deploy" &
wait_for "while it is being launched" grep -qE "^(launching|running)" "$M/run/r/state"
ok "publish waits" put r:2 "$M/run/r/publish"
wait $!
is "and it runs" "$(cat "$M/run/r/state")" running
like "published" "$(cat "$M/run/r/publish")" "^r:2 "
ok "kill" put kill "$M/run/r/ctl"
sed -i '/^template/d' "$T/k/kernel.conf"
"$DIVERFS" publish "$T/k" "$T/second" bare:1 >/dev/null
instance bare 'kernel = bare'
within "$SLOW" state_in bare "built configured"
ok "a kernel without a template" put bare:2 "$M/run/bare/publish"
echo x >"$M/run/bare/src/x"
echo 'build = cp -r images "$OUT" 2>/dev/null; cp lib/start.c "$OUT/hello.elf"' >>"$M/run/bare/config"
fails "has no place for src/" "not supported" put bare:3 "$M/run/bare/publish"
like "in words" "$(cat "$M/run/bare/error")" "bare:[0-9] has no template"
rm "$M/run/bare/src/x"
ok "without that" put bare:3 "$M/run/bare/publish"
wait_for "its config's build command is the kernel's" grep -q '^build = cp -r' "$M/kernels/bare/3/kernel.conf"
ok "and its image what that made" cmp "$M/kernels/bare/3/images/hello.elf" "$M/kernels/bare/1/src/lib/start.c"
"$DIVERFS" publish "$BUILD/stage/hello" "$T/second" moved:1 >/dev/null
within "$SLOW" test -e "$M/kernels/moved/1/digest"
before=$(cat "$M/kernels/moved/1/digest")
ok "a tag that there is moves" put moved:1 "$P"
moved() { [ "$(cat "$M/kernels/moved/1/digest")" != "$before" ]; }
wait_for "and is seen to" moved

# --- what fails -----------------------------------------------------------------------------------
published=$(cat "$P")
echo 'int x = nosuchname;' >>"$I/src/main.c"
fails "a build that fails" "." put bad:1 "$P"
like "names file and line" "$(last_error)" "main\.c:[0-9]+:.*nosuchname"
is "the last one that worked is shown" "$(cat "$P")" "$published"
ok "nothing was published" gone "$M/kernels/bad"
sed -i '/nosuchname/d' "$I/src/main.c"
echo file >"$T/file"
fails "a registry that is a file" "." put "bad:1 $T/file" "$P"
like "is named" "$(last_error)" "publish: .*$T/file"
echo 'build = sleep 1000' >>"$I/config"
echo bad:1 2>/dev/null >"$P" &
writer=$!
wait_for "a build that takes long" grep -q "^building" "$I/state"
fails "another at the same time" "busy" put bad:2 "$P"
kill -TERM $writer
wait $writer 2>/dev/null
wait_for "the writer is interrupted" state_in h "configured built"
ok "deploy and all else go on" bash -c "echo 'kernel = hello' >'$I/config'"
within "$SLOW" state_in h "built configured"
if [ "$(id -u)" = 0 ]; then
	is "nobody but the owner" "$(setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "echo x:1 >$P" 2>&1 | grep -oi 'permission denied')" "Permission denied"
fi
unmount_registry

mount_registry
is "after a restart it still says so" "$(cat "$P")" "$published"
fails "no registry that can be written to" "Read-only" put x:1 "$P"
like "error says how" "$(last_error)" "name one, as in echo x:1 /DIRECTORY > publish"
unmount_registry
if [ "$(id -u)" = 0 ] && mkdir "$T/ro" && mount --bind "$T/second" "$T/ro" && mount -o remount,ro,bind "$T/ro"; then
	cleanup() { umount "$T/ro"; }
	mount_registry "$T/ro"
	fails "a registry that is read-only is not chosen" "Read-only" put x:1 "$P"
	fails "and refused by name" "Read-only" put "x:1 $T/ro" "$P"
	like "in words" "$(last_error)" "publish: .*$T/ro"
	unmount_registry
else
	skip "a read-only registry" "cannot mount"
fi

# --- over HTTP ------------------------------------------------------------------------------------
need docker-registry skopeo nginx openssl
cp -r "$T/second" "$T/www" && chmod -R a+rX "$T/www" && chmod 755 "$T"
static_server "$T/www"
static=$ADDR
docker_registry "$T/reg"
openssl genpkey -algorithm ed25519 -out "$T/sign.key" 2>/dev/null
openssl pkey -in "$T/sign.key" -pubout -out "$T/sign.pub"
mount_registry -o "sign=$T/sign.key" "http://$static" "http://$ADDR"
up() { ls "$M/kernels" >/dev/null && grep -q "OCI layout over HTTP" "$M/status" && grep -q "OCI registry" "$M/status"; }
wait_for "a static server and a registry are mounted" up
ok "publish goes to the one that takes it" put net/mine:3 "$P"
like "which is said" "$(cat "$P")" "^net/mine:3 sha256:[0-9a-f]{64} http://$ADDR$"
is "skopeo finds it" "$(skopeo inspect --raw --tls-verify=false "docker://$ADDR/net/mine:3" | sha256sum | cut -d' ' -f1)" \
	"$(cut -d' ' -f2 "$P" | cut -d: -f2)"
signature() { skopeo inspect --raw --tls-verify=false "$1:$(cut -d' ' -f2 "$P" | tr : -).sig"; }
like "it is signed, by -o sign" "$(signature "docker://$ADDR/net/mine")" "simplesigning"
ok "to a directory" put "signed:1 $T/signed" "$P"
like "it is signed, too" "$(signature "oci:$T/signed:signed")" "simplesigning"
mkdir "$T/m2"
"$DIVERFS" -o "cache=$T/cache2,state=$T/state2,verify=$T/sign.pub" "$T/signed" "$T/m2"
is "which is a good signature" "$(cat "$T/m2/kernels/signed/1/digest")" "$(cut -d' ' -f2 "$P")"
fusermount3 -u "$T/m2"
K=$M/kernels/net/mine/3
wait_for "it is listed" listed
is "it is launched from there" "$(timeout "$SLOW" "$K/run" 2>/dev/null </dev/null | head -n 1)" "Good evening"
ok "a registry that is not mounted" put "x:1 http://$ADDR/deep" "$P"
fails "a server that takes nothing" "." put "x:1 http://$static" "$P"
like "is named" "$(last_error)" "publish: .*http://$static"
fails "nobody there" "." put "x:1 http://127.0.0.1:1" "$P"
like "is named" "$(last_error)" "publish: .*127.0.0.1:1"
ok "no copy is left" no_copy

# given up in the middle, of which there is enough: the registry does not answer
head -c 10000000 /dev/urandom >"$I/src/large"
cleanup() { kill -CONT "$SERVER"; umount "$T/ro"; } 2>/dev/null
kill -STOP "$SERVER"
(echo gone:1 >"$P") 2>/dev/null &
writer=$!
wait_for "it is being published" grep -q "^publishing" "$I/state"
fails "it cannot be removed meanwhile" "busy" rmdir "$I"
kill -KILL $writer
wait $writer 2>/dev/null
wait_for "given up by its writer it ends" state_in h built
like "in words" "$(last_error)" "publish: cancelled"
ok "no copy is left" no_copy
ok "no process either" no_process "diverfs.*publish"
kill -CONT "$SERVER"
like "no tag" "$(skopeo list-tags --tls-verify=false "docker://$ADDR/gone" 2>&1)" "unknown|404|\"Tags\": (\[\]|null)"
kill -STOP "$SERVER"
(echo gone:1 >"$P") 2>/dev/null &
wait_for "once more" grep -q "^publishing" "$I/state"
ok "the daemon ends in the middle" kill "$(daemon_pid)"
wait_for "it does" no_process "bin/diverfs .*$M"
ok "no copy is left" no_copy
ok "no process either" no_process "diverfs.*publish"
mount_registry "http://$static" "http://$ADDR"
(echo gone:1 >"$P") 2>/dev/null &
wait_for "once more" grep -q "^publishing" "$I/state"
kill -KILL "$(daemon_pid)"
wait_for "killed in the middle, its child ends" no_process "diverfs.*publish"
mount_registry "http://$static" "http://$ADDR"
wait_for "and the next one removes the copy" no_copy
is "the instance is there" "$(cat "$I/state")" built
like "with what it has published" "$(cat "$P")" "^x:1 sha256:"
kill -CONT "$SERVER"
