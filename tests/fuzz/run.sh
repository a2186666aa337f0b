#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh SECONDS   fuzz every harness for so long, starting from its corpus
# run.sh replay    replay every corpus once
# A harness is tests/fuzz/NAME_fuzz.c; a comment at its top names the sources it links: "links: a.c b.c".
set -euo pipefail
cd "$(dirname "$0")/../.."
mode=${1:?seconds or replay}
out=build/fuzz
mkdir -p "$out"
packages=(libprotobuf-c libuv gnutls libcyaml yaml-0.1 jansson libsystemd libnl-3.0 libnl-route-3.0)
read -ra cflags <<<"$(pkg-config --cflags "${packages[@]}")"
read -ra libs <<<"$(pkg-config --libs "${packages[@]}") -lm"
flags=(-std=gnu11 -g -O1 "-fsanitize=fuzzer,address,undefined" -fno-sanitize-recover=all -D_GNU_SOURCE -I. -Ibuild/gen "${cflags[@]}")
for src in tests/fuzz/*_fuzz.c; do
	name=$(basename "$src" _fuzz.c)
	# from "links:" to the end of that comment
	read -ra links <<<"$(awk '/links:/ { on = 1 } on { print } on && /\*\// { exit }' "$src" |
		sed 's/.*links://; s/\*\///; s/^ \*//' | tr '\n' ' ')"
	if [ ! -x "$out/$name" ] || [ -n "$(find "$src" "${links[@]}" -newer "$out/$name")" ]; then
		clang "${flags[@]}" -o "$out/$name" "$src" "${links[@]}" "${libs[@]}"
	fi
	corpus=tests/fuzz/corpus/$name
	if [ "$mode" = replay ]; then
		"$out/$name" -runs=0 "$corpus" 2>&1 | tail -n 1
	else
		mkdir -p "$out/corpus-$name"
		"$out/$name" -max_total_time="$mode" -artifact_prefix="$out/" "$out/corpus-$name" "$corpus" 2>&1 | tail -n 3
	fi
done
