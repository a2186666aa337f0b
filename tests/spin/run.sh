#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Verifies tests/spin/permit.pml, then that every seeded mutation of it is caught. Exits 0 or 1.
#   run.sh [--deep]    --deep: more messages and longer clocks, some minutes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${BUILD:-build}/spin
mkdir -p "$out"
out=$(cd "$out" && pwd)
deep=()
[ "${1:-}" = --deep ] && deep=(-DSEQ_MAX=4 -DCLOCK_MAX=6)
failed=0

# search DIR FLAG...: builds a verifier of its own and runs it over all states
search() {
	local dir=$1
	shift
	rm -rf "$dir" && mkdir -p "$dir" && cp "$here/permit.pml" "$dir" && cd "$dir" &&
		spin "$@" -a permit.pml >spin.log 2>&1 &&
		gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=3000 -o pan pan.c >gcc.log 2>&1 &&
		./pan -m400000 -E >pan.log 2>&1
}

# verify NAME clean|caught FLAG...
verify() {
	local name=$1 want=$2 dir=$out/$1 got errors states
	shift 2
	if ! (search "$dir" "$@"); then
		printf '%-22s could not be verified: see the logs in %s\n' "$name" "$dir"
		failed=1
		return
	fi
	errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$dir/pan.log")
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$dir/pan.log")
	# "out of memory" or a depth that was not enough is no proof
	if ! grep -q '^State-vector' "$dir/pan.log" || grep -qi 'out of memory\|max search depth too small\|incomplete' "$dir/pan.log"; then
		[ "${errors:-0}" -gt 0 ] || errors=unknown
	fi
	case $errors in
	0) got=clean ;;
	unknown | '') got=unknown ;;
	*) got=caught ;;
	esac
	if [ "$got" = "$want" ]; then
		printf '%-22s %s, %s states\n' "$name" "$got" "$states"
	else
		printf '%-22s %s, but should be %s: %s/pan.log\n' "$name" "$got" "$want" "$dir"
		failed=1
	fi
}

small=(-DSEQ_MAX=3 -DCLOCK_MAX=4)
# one site, whose controller does as it likes: is whoever is counted on to be relied on?
verify counted-on clean -DSEQ_MAX=3 -DCLOCK_MAX=5 "${deep[@]}"
verify counted-on-orders clean -DORDERS "${small[@]}"
# two sites, one of which must stay
verify two-sites clean -DN=2 -DORDERS -DSEQ_MAX=2 -DCLOCK_MAX=2 -DLEASE=1 -DEPOCH_MAX=1
[ ${#deep[@]} = 0 ] || verify two-sites-deep clean -DN=2 -DSEQ_MAX=2 -DCLOCK_MAX=3 -DLEASE=1
for m in ARRIVAL RESTART SILENT CONFIRM; do
	verify "mutation-${m,,}" caught "-DMUT_$m" -DSEQ_MAX=3 -DCLOCK_MAX=5
done
verify mutation-order caught -DORDERS -DMUT_ORDER -DN=2 -DSEQ_MAX=2 -DCLOCK_MAX=3 -DEPOCH_MAX=1
exit $failed
