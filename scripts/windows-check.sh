#!/bin/bash
# usage: scripts/windows-check.sh BUILD_DIR
#
# Cross-builds the portable modules and stile.exe with mingw-w64 against the cached sysroot. Runs their unit and replay suites under
# wine, in a prefix of their own inside the build directory, and stile.exe itself with doubles of HNS's libraries (tests/windows).
set -euo pipefail
cd "$(dirname "$0")/.."

build=$1
root=$PWD
export CMOCKA_MESSAGE_OUTPUT=TAP
JOBS=${JOBS:-$(nproc)}
# It may have to fetch, and a mirror has bad moments.
sysroot=$(cross/sysroot.sh || { sleep 20 && cross/sysroot.sh; })

paths() {
    cat <<INI
[binaries]
exe_wrapper = ['$root/cross/wine.sh']

[properties]
pkg_config_libdir = '$sysroot/lib/pkgconfig'
INI
}

# Anew when the sysroot or the tree's place changed.
prepare() {
    [ -f "$build/build.ninja" ] && [ "$(paths)" = "$(cat "$build/paths.ini")" ] && return 0
    rm -rf "$build"
    mkdir -p "$build"
    paths >"$build/paths.ini"
}

configure() {
    [ ! -f "$build/build.ninja" ] || return 0
    /usr/bin/meson setup "$build" --cross-file cross/mingw64.ini --cross-file "$build/paths.ini" -Dwerror=true \
        >"$build/setup.log" 2>&1 || { cat "$build/setup.log" >&2; return 1; }
}

# A server that stays: without a running program wine stops its services after two seconds.
start_wine() {
    export WINEPREFIX=$root/$build/wine WINEDLLOVERRIDES='winedbg.exe=d;mscoree=;mshtml=' WINELOADER=/usr/lib/wine/wine64
    trap 'wineserver -k || true' EXIT
    local attempt
    for attempt in 1 2 3; do
        make_prefix && return 0
        echo "windows-check: wine didn't start ($attempt)" >&2
        wineserver -k || true
        wineserver -w || true
        rm -rf "$WINEPREFIX"
    done
    return 1
}

make_prefix() {
    mkdir -p "$WINEPREFIX"
    wineserver -p || return 1
    if [ ! -f "$WINEPREFIX/stile-ready" ]; then
        wine_quietly wineboot -i && wine_quietly winecfg -v win10 || return 1
        touch "$WINEPREFIX/stile-ready"
    fi
    # The first program starts wine's own services: what they say is not about our tests.
    wine_quietly cmd /c exit
}

wine_quietly() {
    WINEDEBUG=-all timeout 120 /usr/lib/wine/wine64 "$@" >/dev/null 2>&1 </dev/null
}

prepare
start_wine
configure
ninja -C "$build" -j"$JOBS" -k 0 --quiet
rm -f "$build/meson-logs/testlog.json"
rc=0
/usr/bin/meson test -C "$build" --no-rebuild --suite unit --suite replay --suite windows --timeout-multiplier 4 --print-errorlogs || rc=1
scripts/count_tests.py "$build" || rc=1
exit $rc
