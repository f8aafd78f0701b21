#!/bin/bash
# SPDX-License-Identifier: MIT
# Every command that the README in the mount's root gives works as it stands there.
. "$(dirname "$0")/../lib.sh"

mount_registry
cd "$M" || exit 1
commands=$(sed -nE 's/^ *\$ //p' README)
[ -n "$commands" ] || commands=$(sed -nE 's/^(    |\t)+([^ ].*)/\2/p' README)
ok "README has commands" test -n "$commands"
like "README says what this is" "$(head -n 5 README)" "[Kk]ernel"
while read -r line; do
	[ -n "$line" ] || continue
	ok "README: $line" timeout 120 bash -c "$line"
done <<<"$commands"
cd / || exit 1
