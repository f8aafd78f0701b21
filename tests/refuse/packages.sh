#!/bin/bash
# SPDX-License-Identifier: MIT
# make's installing of packages: says what and why first; sudo where not root; words where there is neither.
. "$(dirname "$0")/../lib.sh"

mkdir "$T/bin"
fake() { # NAME, its script on stdin
	{ echo '#!/bin/sh'; cat; } >"$T/bin/$1"
	chmod 755 "$T/bin/$1"
}
fake dpkg-query <<'END'
case "$*" in *skopeo* | *less*) exit 1 ;; esac
echo installed
END
fake apt-get <<END
echo "\$*" >>"$T/asked"
[ ! -e "$T/fail" ] || { echo "E: no network"; exit 100; }
END
fake id <<'END'
echo "${FAKE_UID:-0}"
END
deps() { env PATH="$T/bin:$PATH" "$SOURCE/.ci/deps" "$@"; }

said=$(deps build check 2>&1)
is "as root: succeeds" $? 0
like "names what is missing, with the reason" "$said" 'skopeo +[a-z]'
is "and nothing else" "$(grep -c 'fuse3' <<<"$said")" 0
like "asks apt-get for these" "$(cat "$T/asked")" 'install -y --no-install-recommends skopeo less$'
is "after an update" "$(grep -c update "$T/asked")" 1
rm "$T/asked"
is "with nothing missing it says nothing" "$(deps lint 2>&1)" ""
ok "and asks for nothing" test ! -e "$T/asked"

touch "$T/fail"
fails "apt-get fails: says so, and what to do" "apt-get install skopeo" deps check
rm "$T/fail" "$T/asked"
export FAKE_UID=1000
fake sudo <<END
echo sudo >>"$T/asked"
exec "\$@"
END
said=$(deps check 2>&1)
like "not root: says that sudo is used" "$said" 'sudo'
like "and uses it" "$(cat "$T/asked")" '^sudo'
no_sudo() { # the directories of PATH without sudo
	local d
	mkdir -p "$T/few"
	for d in bash sh env cat grep sed tail mktemp rm printf cut tr awk; do ln -sf "$(command -v $d)" "$T/few/$d"; done
	rm -f "$T/bin/sudo"
	env PATH="$T/bin:$T/few" "$SOURCE/.ci/deps" check
}
fails "no sudo: says what to do as root" "As root: +apt-get install" no_sudo
