#!/bin/bash
# SPDX-License-Identifier: MIT
# Ways to write a config, and that a bad one is refused where it is written while the old one stays.
. "$(dirname "$0")/../lib.sh"

mount_registry
mkdir "$M/run/h"
cd "$M/run/h" || exit 1
ok "echo" put 'kernel = hello' config
fails "a typo fails the echo" "Invalid argument" put 'kernl = hello' config
like "error names the line" "$(cat error)" '(line 1|:1:).*kernl|kernl'
is "the old config stays" "$(cat config)" "kernel = hello"
fails "an unknown kernel" "." put 'kernel = nosuch' config
like "error names it" "$(cat error)" nosuch
is "the old config stays" "$(cat config)" "kernel = hello"
fails "a size that is none" "Invalid" bash -c '{ echo "kernel = hello"; echo "memory = much"; } >config'
like "error names the line" "$(cat error)" '(line 2|:2:).*|memory'

two() { echo 'kernel = hello'; echo 'memory = 32M'; }
ok "several echos in braces" bash -c '{ echo "kernel = hello"; echo "memory = 32M"; } >config'
is "are one config" "$(cat config)" "$(two)"
ok "append" bash -c 'echo "cpus = 1" >>config'
is "appended" "$(tail -n 1 config)" "cpus = 1"
ok "sed -i" sed -i 's/32M/48M/' config
like "sed -i changed it" "$(cat config)" '^memory = 48M$'
two >"$T/config"
ok "cp" cp "$T/config" config
is "cp changed it" "$(cat config)" "$(two)"
printf 'kernel = upper\n' >"$T/config"
ok "mv over it" mv "$T/config" config
is "mv changed it" "$(cat config)" "kernel = upper"
if command -v vi >/dev/null; then
	ok "vi" timeout "$SLOW" bash -c 'vi -u NONE -es -c "s/upper/sort/" -c wq config </dev/null'
	is "vi changed it" "$(cat config)" "kernel = sort"
	is "vi left no scratch file" "$(find . -maxdepth 1 -name ".*" ! -name . -o -name "*~")" ""
else
	skip "vi" "no vi"
fi
ok "printf without a newline" bash -c 'printf "kernel = hello" >config'
is "is as written" "$(cat config)" "kernel = hello"
ok "dd" bash -c 'printf "kernel = upper\n# a comment\n" | dd of=config status=none'
is "comments stay" "$(cat config)" "$(printf 'kernel = upper\n# a comment')"
within "$SLOW" state_in h "new configured built exited failed"
ok "what was chosen last is launched" put fullVM deploy
ok "stop" put stop ctl
wait_for "stopped" state_is h exited

like "deploy lists the modes" "$(cat deploy)" 'fullVM'
fails "an unknown mode" "Invalid" put fastVM deploy
like "error names it" "$(cat error)" fastVM
fails "a mode that is not there yet" "." put splitHW deploy
like "error says why" "$(cat error)" splitHW
cd / || exit 1
ok "rm -r" rm -r "$M/run/h"

mkdir "$M/run/now"
ok "a mode in the config launches it" bash -c "printf 'kernel = hello\nmode = fullVM\n' >$M/run/now/config"
wait_for "without a deploy" state_is now exited
is "with its exit code" "$(cat "$M/run/now/wait")" 0
