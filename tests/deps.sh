#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# deps.sh PACKAGE...   installs what is missing (Debian 12), as root or through sudo. Nothing that is
# installed here is started: the lab runs its own daemons in namespaces of its own.
set -euo pipefail
missing=()
for p in "$@"; do
	state=$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || echo none)
	[ "$state" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "run this as root, or install sudo" >&2; exit 1; }
	sudo=(sudo)
fi
echo "installing: ${missing[*]}"
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
ours=
cleanup() {
	rm -f "$log"
	[ -z "$ours" ] || "${sudo[@]}" rm -f "$policy"
}
trap cleanup EXIT
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
	"${sudo[@]}" chmod 755 "$policy"
	ours=1
fi
if ! { "${sudo[@]}" apt-get update -q && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get install -yq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	echo "installing failed: see above; is this Debian 12 with a package mirror?" >&2
	exit 1
fi
