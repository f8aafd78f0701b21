#!/bin/bash
# SPDX-License-Identifier: MIT
# Every fault of a server at every step of a push: what can be mended is; the rest fails in bounded time and says
# where and why, the tag stays where it was, and the push can be repeated.
#
#   SHARE   1: with what takes minutes, too      ONLY   a regex: the cases of which the name is like it
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"

SHARE=${SHARE:-3}
ONLY=${ONLY:-.}
make_kernel "$T/k" art 500000
make_kernel "$T/before" art 1000
"$DIVERFS" publish "$T/before" "$T/keep" >/dev/null || exit 1
before=$(cat "$T/keep/index.json")
digest=$("$DIVERFS" publish "$T/k" "$T/other") || exit 1
# step, method, path; of the token service only if others want its tokens
steps=("probe GET /v2/" "look HEAD /v2/art/blobs/*" "begin POST /v2/art/blobs/uploads/" "send PUT /v2/art/blobs/uploads/*"
	"manifest PUT /v2/art/manifests/1.0")
token="token GET /token"
served="probe look begin send manifest" # all but the token service
patient=                                # where a minute goes by before it is given up
[ "$SHARE" = 1 ] && patient="send manifest"
# mended|fails, how often, the fault, what is said of it, in which steps (* all)
faults=(
	"mended|1|close||*"
	"mended|1|reset 1||*"
	"mended|1|truncate 1||probe token"
	"mended|1|status 503||*"
	"mended|1|status 500||*"
	"mended|1|status 429:1||*"
	"mended|*|slow 1000||probe token"
	"mended|*|bearer||$served"
	"mended|2|expire||$served"
	"fails|*|status 500|answered 500|*"
	"fails|*|status 403|403|$served"
	"fails|*|status 403|nothing to strangers|token"
	"fails|*|status 400|400|begin send manifest token"
	"fails|*|status 200|200|begin send"
	"fails|*|status 200|no token|token"
	"fails|*|status 429:600|asked again in 600 s|*"
	"fails|*|reset 1|.|send manifest token"
	"fails|*|truncate 1|.|probe token"
	"fails|*|short|.|probe token"
	"fails|*|corrupt|no token|token"
	"fails|*|close|.|*"
	"fails|*|garbage|.|*"
	"fails|*|html|.|begin send token"
	"fails|*|basic|skopeo login|look begin send manifest token"
	"fails|*|expire|401|look begin send manifest"
	"fails|*|stall|no answer came|probe look begin token $patient"
	"fails|*|stall-body 1|next to nothing|probe token"
	"fails|*|redirect http://192.0.2.1/x|.|*"
	"fails|*|elsewhere SELF|.|*"
)

cases=()
for ((f = 0; f < ${#faults[@]}; f++)); do
	where=${faults[f]##*|}
	for s in "${steps[@]}" "$token"; do
		[[ "$where" == '*' || " $where " == *" ${s%% *} "* ]] || continue
		[[ "${s%% *}: ${faults[f]}" =~ $ONLY ]] && cases+=("${faults[f]%|*}|$s")
	done
done

# Most of a case is waiting, so there are several workers: number $w, with a server of its own over $layout.
WORKERS=8
publish() { timeout "$((2 * SLOW))" "$DIVERFS" publish "$T/k" "http://$ADDR"; }

one_case() {
	local verdict count what regex s step method path name after=
	IFS='|' read -r verdict count what regex s <<<"$1"
	read -r step method path <<<"$s"
	name="$step: $what, $count: $verdict"
	rm -rf "$layout"
	cp -r "$T/keep" "$layout"
	[ "$step" = token ] && after="* * /v2/* bearer"
	fault "w$w" "$count $method $path ${what/SELF/http://$ADDR}" "$after"
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
