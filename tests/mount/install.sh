#!/bin/bash
# SPDX-License-Identifier: MIT
# make install with DESTDIR and PREFIX gives a diverfs that works from there; make uninstall leaves nothing.
. "$(dirname "$0")/../lib.sh"

make_it() { env -u MAKEFLAGS -u MAKELEVEL make -s -C "$SOURCE" "BUILD=$BUILD" "DESTDIR=$T/root" PREFIX=/usr -o all "$@"; } # -o: what was built is installed
ok "make install" make_it install
for f in bin/diverfs libexec/diverfs/diverfs-run libexec/diverfs/diverfs-fullvm libexec/diverfs/diverfs-build \
	libexec/diverfs/probe.elf share/diverfs/registry/index.json share/man/man8/diverfs.8; do
	ok "installs $f" test -f "$T/root/usr/$f"
done
is "all can be read by everybody" "$(find "$T/root" ! -perm -444)" ""
mkdir "$M" "$T/cache" "$T/state"
ok "mounts without naming a registry" "$T/root/usr/bin/diverfs" -o "cache=$T/cache,state=$T/state" "$M"
is "and shows the embedded one" "$(ls "$M/kernels" | tr '\n' ' ')" "$(embedded)"
is "and launches" "$(echo a | timeout "$SLOW" "$M/kernels/upper/1.0/run" 2>/dev/null)" A
ok "unmounts" unmount_registry
ok "make uninstall" make_it uninstall
is "leaves nothing" "$(find "$T/root" -type f)" ""
