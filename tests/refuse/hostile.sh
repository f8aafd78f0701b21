#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile layouts on a mount: what is refused is refused with a reason, the good kernel beside it stays usable, and
# programs that walk the tree come to an end. layouts.c has the same cases on the cache alone.
. "$(dirname "$0")/../lib.sh"

make_layout=$TOOLS/refuse/make_layout
bad=$M/kernels/bad/1.0

try() { # CASE OUTCOME PATH: prints what is wrong
	local said
	case $2 in
	refused)
		said=$(timeout 20 ls "$bad" 2>&1) && echo "is shown"
		[[ $said == *"$bad"* ]] || echo "says: $said"
		grep -q 'bad' "$M/log" || echo "the log has no reason" ;;
	unreadable)
		said=$(timeout 20 cat "$bad/$3" 2>&1 >/dev/null) && echo "is read"
		[[ $said == *"nput/output error"* || $said == *"too large"* || $said == *"Bad message"* ]] || echo "says: $said" ;;
	harmless)
		[ -e "$bad/$3" ] || [ -L "$bad/$3" ] || echo "$3 is not there" ;;
	hidden)
		[ -e "$bad/$3" ] || [ -L "$bad/$3" ] && echo "$3 is there" ;;
	esac
	cmp -s "$M/kernels/good/1.0/src/ok.c" "$T/ok.c" || echo "the good kernel cannot be read"
	timeout 20 find "$M/kernels" >/dev/null 2>&1
	[ $? = 124 ] && echo "find does not end"
	timeout 20 grep -r x "$M/kernels" >/dev/null 2>&1
	[ $? = 124 ] && echo "grep -r does not end"
	[ -z "$(find "$M/kernels" \( -type b -o -type c -o -type p -o -perm /7000 \) 2>/dev/null)" ] || echo "devices or set-id files"
	[ -s "$M/README" ] || echo "the mount is dead"
}

printf 'int ok;\n' >"$T/ok.c"
while read -r name outcome path; do
	REGISTRY=$T/layout
	"$make_layout" "$name" "$REGISTRY" || exit 1
	mount_registry
	is "$name is $outcome${path:+ ($path)}" "$(try "$name" "$outcome" "$path")" ""
	unmount_registry || exit 1
	rm -rf "$T/layout" "$T/cache" # what is in the cache was verified, and would hide the next lie
done < <("$make_layout" --list)
