#!/bin/bash
# SPDX-License-Identifier: MIT
# The tour of README.md and what follows it, command by command, in a home of its own: each succeeds, or says itself what to do if
# it does not.
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

needs_splitvm reef lua mksquashfs
export HOME=$T/home
mkdir "$HOME" "$T/here"
ln -s "$BUILD" "$T/here/build"
cd "$T/here" || exit 1
over() { # the mount and what it serves, also if a command failed
	cd "$T" || return
	fusermount3 -u -z "$HOME/dive" 2>/dev/null
}
M=$HOME/dive # which lib.sh unmounts

# The commands act on one another (cd, &), so they are run in this shell.
while IFS= read -r command <&3; do
	eval "$command" >"$T/said" 2>"$T/complained" </dev/null
	is "README: $command" "$? $(grep -c '^diverfs: ' "$T/complained")" "0 0"
	case $command in
	"cd; "*) cd "$T/here" || exit 1 ;; # where the reader's source is
	*"error") like "which says why" "$(cat "$T/said")" . ;;
	*"hw/console") like "which is hello's" "$(cat "$T/said")" '[Hh]ello' ;;
	*"hw/wait") is "which is its status" "$(cat "$T/said")" 0 ;;
	*"two/stdout") like "which is that of ls" "$(cat "$T/said")" '^d' ;;
	*"u/stdout") is "through both" "$(cat "$T/said")" $'REEF\nSEA' ;;
	*"head -1") is "of what yes says" "$(cat "$T/said")" Y ;;
	esac
done 3< <(awk '/^## / { on = /^## A (tour|kernel)/ } on && sub(/^    /, "")' "$SOURCE/README.md")
over
wait_for "and nothing is left" no_process '/bin/diverfs '
