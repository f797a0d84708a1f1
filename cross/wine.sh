#!/bin/bash
# usage: cross/wine.sh PROGRAM.exe ARGUMENT...       (meson's exe_wrapper; scripts/windows-check.sh sets WINEPREFIX)
#
# Runs a Windows program and fails also if wine says that it met something it doesn't implement ("fixme"), unless that is
# listed in cross/wine-fixme.txt: what wine fakes must not pass for tested.
set -uo pipefail

known=$(dirname "$0")/wine-fixme.txt
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT

# Now and then the kernel puts something where wine wants its first page: then nothing of the program has run yet.
for attempt in 1 2 3 4; do
    WINEDEBUG=${WINEDEBUG:-fixme+all} /usr/lib/wine/wine64 "$@" 2>"$messages"
    status=$?
    grep -q 'failed to map the shared user data' "$messages" || break
done
unknown=$(grep 'fixme:' "$messages" | grep -v -F -f <(grep -v '^#' "$known"))
grep -v 'fixme:' "$messages" >&2
if [ -n "$unknown" ]; then
    printf 'wine does not implement what this program used:\n%s\n' "$unknown" >&2
    [ "$status" -ne 0 ] || status=1
fi
exit "$status"
