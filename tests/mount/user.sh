#!/bin/bash
# SPDX-License-Identifier: MIT
# An ordinary user mounts, launches and unmounts, with nothing but what a desktop gives.
. "$(dirname "$0")/../lib.sh"

if [ "$(id -u)" = 0 ]; then
	id nobody >/dev/null 2>&1 || skip_all "no user nobody"
	as_user() { setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --inh-caps=-all --bounding-set=-all \
		env -u XDG_CACHE_HOME -u XDG_STATE_HOME "HOME=$T/home" "$@"; }
	as_mounter() { setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups \
		env -u XDG_CACHE_HOME -u XDG_STATE_HOME "HOME=$T/home" "$@"; }
	mkdir "$T/home" "$M" && chown nobody "$T/home" "$M"
	as_user test -x "$DIVERFS" || skip_all "nobody cannot reach $DIVERFS"
else
	as_user() { env -u XDG_CACHE_HOME -u XDG_STATE_HOME "HOME=$T/home" "$@"; }
	as_mounter() { as_user "$@"; }
	mkdir "$T/home" "$M"
fi
cleanup() { as_mounter fusermount3 -u "$M" 2>/dev/null; }

as_mounter "$DIVERFS" "$REGISTRY" "$M" >"$T/log" 2>&1 || {
	grep -q 'fusermount3.*ermitted\|fusermount3.*denied\|/dev/fuse' "$T/log" && skip_all "$(tail -n 1 "$T/log")"
	sed 's/^/# /' "$T/log"
}
ok "an ordinary user mounts" mounted
if [ "$(id -u)" = 0 ]; then
	ok "the state is in his own directories" test -d "$T/home/.local/state/diverfs"
	ok "so is the cache" test -d "$T/home/.cache/diverfs"
fi
is "launches" "$(printf 'b\na\n' | as_mounter "$M/kernels/sort/1.0/run" 2>"$T/err" | tr '\n' ' ')" "a b "
ok "makes an instance" as_mounter mkdir "$M/run/h"
ok "configures it" as_mounter sh -c "echo 'kernel = hello' >$M/run/h/config"
ok "deploys it" as_mounter sh -c "echo fullVM >$M/run/h/deploy"
is "and waits for it" "$(as_mounter cat "$M/run/h/wait")" 0
ok "removes it" as_mounter rm -r "$M/run/h"
ok "unmounts" as_mounter fusermount3 -u "$M"
wait_for "the daemon ends" no_process "bin/diverfs .*$M"
