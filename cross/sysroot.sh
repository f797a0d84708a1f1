#!/bin/bash
# usage: cross/sysroot.sh            builds the libraries of the Windows build if need be, prints where they are
#
# Static mingw-w64 libraries from Debian's source packages, which apt verifies: with a configuration, lists and cache of our
# own, so that the system's apt is not touched. The result stands outside the tree, in $XDG_CACHE_HOME (~/.cache) under
# stile/sysroot-<hash of this script and of the compiler>, and is built once. The small libraries are compiled from their
# sources directly: their own build systems take minutes to find out what we know about the one target.
#
# JOBS=n (default: all processors), STILE_DEBIAN_MIRROR=url. Messages go to standard error.
set -euo pipefail

TRIPLET=x86_64-w64-mingw32
CC=$TRIPLET-gcc-posix
AR=$TRIPLET-gcc-ar-posix
JOBS=${JOBS:-$(nproc)}
MIRROR=${STILE_DEBIAN_MIRROR:-http://deb.debian.org/debian}
# Debian's main archive; the security archive's sources are not always there.
SOURCES=(openssl=3.0.20-1~deb12u2 libuv1=1.44.2-1+deb12u1 nghttp2=1.52.0-1+deb12u3 jansson=2.14-2 cmocka=1.1.5-2.1
    protobuf-c=1.4.1-1)
CFLAGS=(-O2 -g1 -w -fstack-protector-strong -D_WIN32_WINNT=0x0A00 -DWIN32_LEAN_AND_MEAN)

say() {
    echo "sysroot: $*" >&2
}

hash=$( (cat "$0"; $CC -dumpfullversion) | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/stile
sysroot=$cache/sysroot-$hash

fetch_configure() {
    mkdir -p apt/state/lists/partial apt/cache/archives/partial
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR bookworm main" >apt/sources.list
    cat >apt/apt.conf <<CONF
Dir::State "$PWD/apt/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$PWD/apt/cache";
Dir::Etc::sourcelist "$PWD/apt/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    export APT_CONFIG=$PWD/apt/apt.conf
}

# A pinned version leaves the archive with the next point release: then what is there has to do.
fetch_source() {
    apt-get -q source "$1" >>fetch.log 2>&1 && return 0
    say "$1 is not in the archive, taking its current version of ${1%%=*}"
    apt-get -q source "${1%%=*}" >>fetch.log 2>&1 || { tail -n 20 fetch.log >&2; return 1; }
}

fetch_all() {
    local source
    fetch_configure
    apt-get -q update >fetch.log 2>&1 || { tail -n 20 fetch.log >&2; return 1; }
    for source in "${SOURCES[@]}"; do
        fetch_source "$source"
    done
    unset APT_CONFIG
}

# build_static NAME FLAG... -- FILE...
build_static() {
    local name=$1 flags=()
    shift
    while [ "$1" != -- ]; do
        flags+=("$1")
        shift
    done
    shift
    mkdir -p "obj/$name"
    printf '%s\n' "$@" | xargs -P "$JOBS" -I{} sh -c \
        'o=$1/$(echo "$2" | tr / _).o; shift; s=$1; shift; exec "$@" -c "$s" -o "$o"' \
        sh "obj/$name" {} "$CC" "${CFLAGS[@]}" "${flags[@]}"
    $AR rcs "$prefix/lib/lib$name.a" "obj/$name"/*.o
    say "built $name"
}

# pc NAME VERSION LIBS [CFLAGS]
pc() {
    cat >"$prefix/lib/pkgconfig/$1.pc" <<PC
prefix=$sysroot
Name: $1
Description: $1, static, for $TRIPLET
Version: $2
Libs: -L\${prefix}/lib $3
Cflags: -I\${prefix}/include ${4:-}
PC
}

version_of() {
    basename "$1" | sed 's/.*-//'
}

build_openssl() {
    local src
    src=$(echo openssl-*/)
    (
        cd "$src"
        # Left out: what TLS 1.3 between our own ends, X.509 and signatures don't need.
        ./Configure mingw64 "--cross-compile-prefix=$TRIPLET-" "CC=gcc-posix" --prefix="$sysroot" --libdir=lib \
            --openssldir=C:/stile-has-no-openssl-directory no-shared no-tests no-module no-legacy no-engine no-dso no-comp no-ssl3 \
            no-tls1 no-tls1_1 no-dtls no-srp no-psk no-idea no-camellia no-seed no-aria no-bf no-cast no-rc2 no-rc4 \
            no-md4 no-mdc2 no-rmd160 no-whirlpool no-sm2 no-sm3 no-sm4 no-cms no-ts no-ct no-srtp no-gost no-ec2m \
            no-ocb no-cmp no-rfc3779 no-uplink no-autoload-config no-dsa no-capieng no-static-engine -g1 >configure.log 2>&1
        # Debian's patches list perl modules by hand; only libraries and headers are wanted.
        make -j"$JOBS" build_libs >build.log 2>&1 || { tail -n 30 build.log >&2; exit 1; }
        make DESTDIR="$stage" install_dev >install.log 2>&1 || { tail -n 30 install.log >&2; exit 1; }
    )
    say "built openssl"
}

build_libuv() {
    local src
    src=$(echo libuv1-*/)
    build_static uv "-I$src/include" "-I$src/src" -D_CRT_DECLARE_NONSTDC_NAMES=0 -- "$src"/src/*.c "$src"/src/win/*.c
    cp -r "$src"/include/* "$prefix/include/"
    pc libuv "$(version_of "$src")" "-luv -lpsapi -luser32 -ladvapi32 -liphlpapi -luserenv -lws2_32"
}

build_nghttp2() {
    local src version number
    src=$(echo nghttp2-*/)
    version=$(version_of "$src")
    IFS=. read -r a b c <<<"$version"
    number=$(printf '0x%02x%02x%02x' "$a" "$b" "$c")
    sed "s/@PACKAGE_VERSION@/$version/; s/@PACKAGE_VERSION_NUM@/$number/" \
        "$src/lib/includes/nghttp2/nghttp2ver.h.in" >"$src/lib/includes/nghttp2/nghttp2ver.h"
    build_static nghttp2 "-I$src/lib/includes" "-I$src/lib" -DNGHTTP2_STATICLIB -DBUILDING_NGHTTP2 -DHAVE_TIME_H \
        -DHAVE_SYSINFOAPI_H -DHAVE_GETTICKCOUNT64 -DNGHTTP2_NORETURN= -- "$src"/lib/*.c
    mkdir -p "$prefix/include/nghttp2"
    cp "$src"/lib/includes/nghttp2/*.h "$prefix/include/nghttp2/"
    pc libnghttp2 "$version" -lnghttp2 -DNGHTTP2_STATICLIB
}

build_jansson() {
    local src
    src=$(echo jansson-*/)
    sed 's/@json_inline@/inline/; s/@json_have_[a-z_]*@/1/' "$src/src/jansson_config.h.in" >"$src/src/jansson_config.h"
    printf '#include <stdint.h>\n#define INITIAL_HASHTABLE_ORDER 3\n#define USE_WINDOWS_CRYPTOAPI 1\n' \
        >"$src/src/jansson_private_config.h"
    build_static jansson "-I$src/src" -DHAVE_CONFIG_H -DHAVE_STDINT_H -DHAVE_LOCALECONV -DHAVE_ATOMIC_BUILTINS \
        -DHAVE_FCNTL_H -DHAVE_SYS_TYPES_H -DHAVE_SYS_STAT_H -DHAVE_UNISTD_H -DHAVE_GETPID -- "$src"/src/*.c
    cp "$src"/src/jansson.h "$src"/src/jansson_config.h "$prefix/include/"
    pc jansson "$(version_of "$src")" -ljansson
}

build_cmocka() {
    local src
    src=$(echo cmocka-*/)
    touch "$src/src/config.h"
    build_static cmocka "-I$src/include" "-I$src/src" -DHAVE_CONFIG_H -DHAVE_GCC_THREAD_LOCAL_STORAGE=1 -DHAVE_MALLOC_H \
        -DHAVE_INTTYPES_H -DHAVE_SIGNAL_H -DHAVE_STRINGS_H -DHAVE_STRUCT_TIMESPEC -DHAVE_CLOCK_GETTIME \
        -DHAVE_CLOCK_REALTIME -DHAVE_STDINT_H -DHAVE_TIME_H -DHAVE_UNISTD_H -D__USE_MINGW_ANSI_STDIO=1 -- "$src/src/cmocka.c"
    cp "$src/include/cmocka.h" "$prefix/include/"
    pc cmocka "$(version_of "$src")" -lcmocka
}

build_protobuf_c() {
    local src
    src=$(echo protobuf-c-*/)
    build_static protobuf-c "-I$src" -- "$src/protobuf-c/protobuf-c.c"
    mkdir -p "$prefix/include/protobuf-c"
    cp "$src/protobuf-c/protobuf-c.h" "$prefix/include/protobuf-c/"
    pc libprotobuf-c "$(version_of "$src")" -lprotobuf-c
}

build_all() {
    work=$(mktemp -d "$cache/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    stage=$work/stage
    prefix=$stage$sysroot
    mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
    say "building the Windows libraries, once, into $sysroot"
    fetch_all
    build_libuv
    build_nghttp2
    build_jansson
    build_cmocka
    build_protobuf_c
    build_openssl
    mv "$prefix" "$sysroot"
}

mkdir -p "$cache"
exec 8>"$cache/sysroot.lock"
flock 8
[ -d "$sysroot" ] || (build_all 8>&-)
echo "$sysroot"
