#!/bin/bash
# usage: scripts/test-daemons.sh [TREE...]            prints the directory that holds the trees
#        scripts/test-daemons.sh --cached [TREE...]   the same, but fetches nothing: fails when these (or all) are not there
#
# The daemons of the tests, from Debian's packages, extracted and NEVER installed: they conflict with each other, and their
# maintainer scripts would start daemons, rewrite this machine's /etc/resolv.conf, and change its networks.
#
#   DIR/resolved/          systemd-resolved, with its own libsystemd-shared
#   DIR/networkmanager/    network-manager, with the libraries it needs
#   DIR/resolvconf/        Debian's resolvconf
#   DIR/openresolv/        openresolv
#   DIR/openssh/           openssh-server: the server of a test, for ssh
#   DIR/containerd/        containerd with its CRI, and runc
#   DIR/podman/            podman, conmon, crun, netavark, aardvark-dns, with the libraries they need and their configuration
#   DIR/cni/               containernetworking-plugins (usr/lib/cni)
#   DIR/busybox/           a static busybox, for images
#
# DIR is $STILE_CACHE/daemons, else ~/.cache/stile/daemons. Each tree is a root directory of merged-/usr form: usr/ and etc/ (and
# var/), with lib, bin and sbin moved below usr. So a test, in a mount namespace of its own, lays a whole one over the machine's:
#   mount -t overlay -o lowerdir=$DIR/resolved/usr:/usr overlay /usr      (daemon: /usr/lib/systemd/systemd-resolved)
#   mount -t overlay -o lowerdir=$DIR/resolved/etc:/etc,upperdir=…,workdir=… overlay /etc
# What maintainer scripts would make is the test's to make: the user systemd-resolve, /run/resolvconf/interface,
# /etc/resolvconf/run -> /run/resolvconf. resolved's tree has usr/sbin/resolvconf -> resolvectl, which is neither flavour.
#
# Quick when all is there. Otherwise it needs apt and the network, and root only where the package lists are missing or old; with
# STILE_NO_BOOTSTRAP=1 nothing is fetched either.
# Exit code 1 with the reason: the tests that need the daemons are then skipped, saying so.
set -euo pipefail

# Raised when the lists below, or how trees are made, change: old caches are then made anew.
LAYOUT=1
TREES=(resolved networkmanager resolvconf openresolv openssh containerd podman cni busybox)

packages() {
    case $1 in
    resolved) echo systemd-resolved libsystemd-shared ;;
    networkmanager)
        echo network-manager libnm0 libndp0 libmm-glib0 libbluetooth3 libnewt0.52 libteamdctl0 libcurl3-gnutls libpsl5 libjansson4
        ;;
    openssh) echo openssh-server openssh-sftp-server libwrap0 ;;
    containerd) echo containerd runc ;;
    podman)
        echo podman conmon crun netavark aardvark-dns catatonit golang-github-containers-common golang-github-containers-image \
            libgpgme11 libassuan0 libsubid4 libyajl2
        ;;
    cni) echo containernetworking-plugins ;;
    busybox) echo busybox-static ;;
    *) echo "$1" ;;
    esac
}

# What a tree is for, relative to it.
programs() {
    case $1 in
    resolved) echo usr/lib/systemd/systemd-resolved usr/bin/resolvectl ;;
    networkmanager) echo usr/sbin/NetworkManager usr/bin/nmcli ;;
    openssh) echo usr/sbin/sshd ;;
    containerd) echo usr/bin/containerd usr/bin/containerd-shim-runc-v2 usr/bin/ctr usr/sbin/runc ;;
    podman) echo usr/bin/podman usr/bin/conmon usr/bin/crun usr/lib/podman/netavark ;;
    cni) echo usr/lib/cni/bridge usr/lib/cni/loopback usr/lib/cni/host-local ;;
    busybox) echo usr/bin/busybox ;;
    *) echo usr/sbin/resolvconf ;;
    esac
}

dir=${STILE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stile}/daemons

is_there() {
    [ "$(cat "$dir/$1/.layout" 2>/dev/null)" = "$LAYOUT" ]
}

# complete TREE...
complete() {
    local tree
    for tree; do
        is_there "$tree" || return 1
    done
}

fail() {
    echo "test-daemons: $*" >&2
    exit 1
}

# Whether it succeeds shows when the packages are asked for again.
update_lists() {
    if [ "$(id -u)" -eq 0 ]; then
        apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update >/dev/null || true
    else
        sudo -n apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update >/dev/null 2>&1 ||
            fail "can't download the packages; run as root: apt-get update, then this again as yourself"
    fi
}

# download DIR PACKAGE...: apt checks what it fetches against the signed lists.
download() {
    (cd "$1" && shift && apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$@" >"$work/log" 2>&1)
}

fetch() {
    local pause
    mkdir -p "$work/$1.debs"
    # The lists may be missing or old; and a mirror has bad moments.
    for pause in 0 10 30 end; do
        # shellcheck disable=SC2046
        download "$work/$1.debs" $(packages "$1") && return 0
        [ "$pause" = end ] || { sleep "$pause"; update_lists; }
    done
    cat "$work/log" >&2
    fail "could not download the packages of '$1'"
}

# One root directory per system: /usr is merged on the machines that run this.
merge_usr() {
    local top
    for top in lib lib64 bin sbin; do
        [ -d "$1/$top" ] || continue
        mkdir -p "$1/usr/$top"
        cp -a "$1/$top/." "$1/usr/$top/"
        rm -rf "${1:?}/$top"
    done
}

# Every program and its libraries load here.
check_tree() {
    local program missing libs
    libs=$([ ! -d "$1/usr/lib" ] || find "$1/usr/lib" -maxdepth 2 -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
    for program in $(programs "$2"); do
        [ -x "$1/$program" ] || fail "the packages of '$2' have no $program"
        missing=$({ LD_LIBRARY_PATH=$libs ldd "$1/$program" 2>/dev/null || true; } | awk '/not found/ { print $1 }')
        [ -z "$missing" ] || fail "$program of '$2' needs libraries that are not here: $missing (scripts/test-daemons.sh names the packages)"
    done
}

make_tree() {
    local deb tree=$work/$1
    fetch "$1"
    mkdir -p "$tree"
    for deb in "$work/$1.debs"/*.deb; do
        dpkg -x "$deb" "$tree"
    done
    merge_usr "$tree"
    check_tree "$tree" "$1"
    echo "$LAYOUT" >"$tree/.layout"
    chmod 755 "$tree"
    rm -rf "${dir:?}/$1"
    mv "$tree" "$dir/$1"
}

main() {
    local cached='' tree wanted
    [ "${1:-}" != --cached ] || { cached=1; shift; }
    wanted=("${@:-${TREES[@]}}")
    if complete "${wanted[@]}"; then
        echo "$dir"
        return 0
    fi
    [ "$cached${STILE_NO_BOOTSTRAP:+1}" = "" ] ||
        fail "the daemons of the tests (${wanted[*]}) are not all in $dir; run scripts/test-daemons.sh${STILE_NO_BOOTSTRAP:+ without STILE_NO_BOOTSTRAP}"
    command -v apt-get >/dev/null || fail "this is no Debian system: the daemons can't be fetched"
    mkdir -p "$dir"
    exec 9>"$dir.lock"
    flock 9
    work=$(mktemp -d "$dir/.new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    for tree in "${wanted[@]}"; do
        is_there "$tree" || make_tree "$tree"
    done
    echo "$dir"
}

main "$@"
