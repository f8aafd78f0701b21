#!/bin/bash
# SPDX-License-Identifier: MIT
# Every fault of a server at every step of a push: what can be mended is; the rest fails in bounded time and says
# where and why, the tag stays where it was, and the push can be repeated.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

make_kernel "$T/k" art 500000
make_kernel "$T/before" art 1000
"$DIVERFS" publish "$T/before" "$T/keep" >/dev/null || exit 1
before=$(cat "$T/keep/index.json")
digest=$("$DIVERFS" publish "$T/k" "$T/other") || exit 1
steps=("probe GET /v2/" "look HEAD /v2/art/blobs/*" "begin POST /v2/art/blobs/uploads/" "send PUT /v2/art/blobs/uploads/*"
	"manifest PUT /v2/art/manifests/1.0")
# mended|fails, how often, the fault, what is said of it, in which steps
faults=(
	"mended|1|close||*"
	"mended|1|reset 1||send manifest"
	"mended|1|status 503||*"
	"mended|1|status 500||*"
	"mended|*|bearer||*"
	"mended|2|expire||*"
	"fails|*|status 500|answered 500|look send manifest"
	"fails|*|status 403|403|*"
	"fails|*|status 400|400|begin send manifest"
	"fails|*|status 200|200|begin send"
	"fails|*|status 429:600|asked again in 600 s|*"
	"fails|*|reset 1|.|send manifest"
	"fails|*|close|.|look send"
	"fails|*|garbage|.|begin manifest"
	"fails|*|basic|skopeo login|look begin send manifest"
	"fails|*|stall|no answer came|begin"
	"fails|*|redirect http://192.0.2.1/x|.|begin send manifest"
)

cases=()
for f in "${faults[@]}"; do
	for s in "${steps[@]}"; do
		where=${f##*|}
		[[ "$where" == '*' || " $where " == *" ${s%% *} "* ]] && cases+=("${f%|*}|$s")
	done
done

# Most of a case is waiting, so there are several workers: number $w, with a server of its own over $layout.
WORKERS=6
publish() { timeout "$((2 * SLOW))" "$DIVERFS" publish "$T/k" "http://$ADDR"; }

one_case() {
	local verdict count what regex s step method path name
	IFS='|' read -r verdict count what regex s <<<"$1"
	read -r step method path <<<"$s"
	name="$step: $what, $count: $verdict"
	rm -rf "$layout"
	cp -r "$T/keep" "$layout"
	fault "w$w" "$count $method $path $what"
	if [ "$verdict" = mended ]; then
		is "$name" "$(publish 2>&1)" "$digest"
		return
	fi
	fails "$name" "registry http://$ADDR.*$regex" publish
	is "$step: the tag has not moved" "$(cat "$layout/index.json")" "$before"
}

worker() {
	local i layout=$T/layout$w
	trap - EXIT
	faulty "$layout" "w$w"
	trap 'kill $SERVER 2>/dev/null; exit' EXIT TERM
	for ((i = w; i < ${#cases[@]}; i += WORKERS)); do one_case "${cases[i]}"; done
	fault "w$w"
	is "and it can be repeated" "$(publish 2>&1)" "$digest"
	like "then the tag has moved" "$(cat "$layout/index.json")" "$digest"
	echo end
}

for ((w = 0; w < WORKERS; w++)); do worker >"$T/said$w" & done
wait
for ((w = 0; w < WORKERS; w++)); do
	collect "worker $w" <"$T/said$w"
done

# killed while the server holds an answer back, so that it is known how far the push has come
layout=$T/layout
faulty "$layout" a
mkdir "$T/tmp"
empty() { [ -z "$(ls -A "$T/tmp")" ]; }
for s in "${steps[@]}"; do
	read -r step method path <<<"$s"
	rm -rf "$layout"
	cp -r "$T/keep" "$layout"
	fault a "* $method $path stall"
	: >"$T/a.requests"
	TMPDIR=$T/tmp "$DIVERFS" publish "$T/k" "http://$ADDR" >/dev/null 2>&1 &
	wait_for "$step: waits for an answer" grep -q "^$method ${path%\*}" "$T/a.requests"
	kill -9 $!
	wait $! 2>/dev/null
	wait_for "$step: killed, it leaves nothing behind" empty
	is "$step: and no tag" "$(cat "$layout/index.json")" "$before"
done
fault a
is "and it can be repeated" "$(publish 2>&1)" "$digest"
like "then the tag has moved" "$(cat "$layout/index.json")" "$digest"
