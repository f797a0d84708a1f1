#!/bin/bash
# usage: scripts/lint.sh BUILD_DIR
#
# What machines can say about the source: layout, clang's warnings (the tree is built with clang for that, which also makes
# the generated headers), clang-tidy, cppcheck, the direction of dependencies, the man page, the scripts' syntax.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/results.sh

build=$1
JOBS=${JOBS:-$(nproc)}
results=$build/results.json
mapfile -t sources < <(find src tests bench examples -name '*.[ch]' 2>/dev/null | sort)

format() {
    [ ${#sources[@]} -eq 0 ] || printf '%s\n' "${sources[@]}" | xargs -P "$JOBS" -n 16 clang-format --dry-run -Werror
}

build_with_clang() {
    if [ ! -f "$build/build.ninja" ]; then
        CC=clang /usr/bin/meson setup "$build" -Dwerror=true --buildtype=debug >"$build/setup.log" 2>&1 ||
            { cat "$build/setup.log"; return 1; }
    fi
    ninja -C "$build" -j"$JOBS" --quiet
}

cppcheck_all() {
    mkdir -p "$build/cppcheck"
    cppcheck -j "$JOBS" --quiet --std=c11 --language=c --library=posix --platform=unix64 --cppcheck-build-dir="$build/cppcheck" \
        --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --suppressions-list=.cppcheck-suppressions -D__linux__ -D_GNU_SOURCE -Isrc src
}

man_pages() {
    local page rc=0
    for page in docs/man/*.[1-8]; do
        [ ! -e "$page" ] || mandoc -T lint -W warning "$page" || rc=1
    done
    return $rc
}

script_syntax() {
    local script rc=0
    while read -r script; do
        case $(head -c 40 "$script") in
        '#!/bin/bash'* | '#!/usr/bin/env bash'*) bash -n "$script" || rc=1 ;;
        '#!/bin/sh'*) sh -n "$script" || rc=1 ;;
        '#!/usr/bin/python3'*) /usr/bin/python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$script" || rc=1 ;;
        esac
    done < <(find .ci scripts cross tests bench packaging -type f -perm -u+x 2>/dev/null)
    return $rc
}

mkdir -p "$build"
: >"$results"
failures=0
check 'lint: dependencies' scripts/check_deps.py
check 'lint: scripts' script_syntax
check 'lint: man pages' man_pages
check 'lint: clang-format' format
check 'lint: clang warnings' build_with_clang
check 'lint: cppcheck' cppcheck_all
check 'lint: clang-tidy' scripts/tidy.py "$build" --jobs "$JOBS"
scripts/count_tests.py "$build"
