#!/bin/sh
# SPDX-License-Identifier: MIT
# words.sh MOUNTPOINT [N] <TEXT    prints the N (10) most frequent words of TEXT
#
# Kernels are programs: upper and sort below are virtual machines, tr and uniq are the host's, and a pipe is a pipe.
set -eu

mount=${1:?usage: words.sh MOUNTPOINT [N] <TEXT}
n=${2:-10}
kernels=$mount/kernels

tr -cs 'A-Za-z' '\n' |
	"$kernels/upper/1.0/run" |
	"$kernels/sort/1.0/run" |
	uniq -c |
	sed '/^ *[0-9]* *$/d' |
	sort -k1,1nr -k2 |
	sed "${n}q"
