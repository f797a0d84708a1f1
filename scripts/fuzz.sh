#!/bin/bash
# usage: scripts/fuzz.sh BUILD_DIR quick|SECONDS_EACH [HARNESS...]
#
# Builds the libFuzzer harnesses with clang, ASan and UBSan and runs them from their committed corpus, several at once.
# "quick" shares about two minutes among all of them. New inputs are kept in BUILD_DIR/found/HARNESS, those that break something
# in BUILD_DIR/crashes: reduce such a one, fix the cause and add it to tests/fuzz/corpus/HARNESS.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/results.sh

build=$1
seconds=$2
shift 2
JOBS=${JOBS:-$(nproc)}
results=$build/results.json
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

build_harnesses() {
    if [ ! -f "$build/build.ninja" ]; then
        CC=clang /usr/bin/meson setup "$build" -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Db_pie=false \
            >"$build/setup.log" 2>&1 || { cat "$build/setup.log"; return 1; }
    fi
    ninja -C "$build" -j"$JOBS" --quiet
}

harnesses() {
    find "$build/tests/fuzz" -maxdepth 1 -type f -perm -u+x -name 'fuzz_*' -printf '%f\n' | sed 's/^fuzz_//' | sort
}

# Seconds for each, so that all together take about two minutes.
share() {
    local each=$((130 * JOBS / $1))
    [ "$each" -le 20 ] || each=20
    [ "$each" -ge 3 ] || each=3
    echo "$each"
}

run_one() {
    local name=$1 seconds=$2 corpus=tests/fuzz/corpus/$1 more=()
    [ -z "$quick" ] || more=(-seed=1)
    mkdir -p "$build/found/$name" "$build/crashes" "$build/logs"
    [ -d "$corpus" ] || { echo "$name: no corpus in $corpus"; return 1; }
    "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" "${more[@]}" -timeout=10 -rss_limit_mb=1500 -max_len=4096 \
        -artifact_prefix="$build/crashes/$name-" "$build/found/$name" "$corpus" >"$build/logs/$name" 2>&1 </dev/null && return 0
    tail -n 60 "$build/logs/$name"
    return 1
}

mkdir -p "$build"
: >"$results"
failures=0
check 'fuzz: build' build_harnesses
if [ "$failures" -eq 0 ]; then
    mapfile -t names < <(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else harnesses; fi)
    if [ ${#names[@]} -gt 0 ]; then
        # The quick ones are a test, which goes the same way each time; the long ones search.
        quick=
        [ "$seconds" != quick ] || { quick=1 && seconds=$(share ${#names[@]}); }
        # Each in a shell of its own; `check` appends one short line, which no other can cut.
        export -f run_one check
        export build results quick
        printf '%s\n' "${names[@]}" | xargs -P "$JOBS" -I{} bash -c 'check "fuzz: $1" run_one "$1" "$2"' sh {} "$seconds"
    fi
fi
scripts/count_tests.py "$build"
