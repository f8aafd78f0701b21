#!/bin/bash
# SPDX-License-Identifier: MIT
# The workspace: src/ is filled from the template, edited, built and launched; a mistake is reported by its line.
. "$(dirname "$0")/../lib.sh"

mount_registry
instance h 'kernel = hello'
cd "$M/run/h" || exit 1
wait_for "the template is built" state_in h "built configured"
ok "edit src/main.c" sed -i 's/hello, world/Good morning/' src/main.c
like "the edit is there" "$(cat src/main.c)" 'Good morning'
ok "deploy builds what changed" put fullVM deploy
like "and launches it" "$(timeout "$SLOW" cat console)" 'Good morning'
is "exit code" "$(timeout "$SLOW" cat wait)" 0
like "images/ has what was built" "$(ls images)" .

cp src/main.c "$T/good.c"
printf '\nint oops(void) { return nosuchname; }\n' >>src/main.c
line=$(wc -l <src/main.c)
fails "a build that fails: the echo fails" "." put fullVM deploy
like "build.log names the line" "$(cat build.log)" "main\.c:$line:.*nosuchname"
like "error names the line" "$(cat error)" "main\.c:$line"
like "the state says so" "$(cat state)" 'failed|configured'
ok "cp the good one back" cp "$T/good.c" src/main.c
ok "and it is launched again" put fullVM deploy
is "exit code" "$(timeout "$SLOW" cat wait)" 0
is "error is empty" "$(cat error)" ""

began=$(date +%s%N)
ok "deployed again, nothing is built" put fullVM deploy
timeout "$SLOW" cat wait >/dev/null
like "events tell that the build was used again, or it was quick ($((($(date +%s%N) - began) / 1000000)) ms)" \
	"$(cat state)" exited

ok "ordinary work in src/: mkdir" mkdir src/sub
ok "write" put text src/sub/file
ok "rename" mv src/sub/file src/sub/other
ok "link" ln -s other src/sub/link
is "read through the link" "$(cat src/sub/link)" text
ok "chmod" chmod 600 src/sub/other
ok "rm -r" rm -r src/sub
ok "git in src/" bash -c 'cd src && ! command -v git >/dev/null || { git init -q . && git add -A && rm -rf .git; }'
cd / || exit 1
ok "rm -r of the instance" rm -r "$M/run/h"
nothing_left() { [ -z "$(find "$T/state" -name main.c)" ]; } # its directory goes in the background
wait_for "nothing is left in the state" nothing_left
