#!/bin/bash
# usage: scripts/bootstrap.sh GROUP...      (groups: build demo test lint windows bench browser)
#
# Installs the Debian packages of these groups that are missing, as root or through "sudo -n". Does nothing, quickly, when
# all are there. When it may not install, it prints the command that would and fails. Services that come with a package
# are neither started nor enabled, and no PostgreSQL cluster is made.
#
# STILE_NO_BOOTSTRAP=1 skips all of this (other distributions, package builds).
set -euo pipefail

# The one list of packages.
packages() {
    case $1 in
    build)
        echo build-essential meson ninja-build pkg-config libuv1-dev libssl-dev libargon2-dev libnghttp2-dev \
            libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libjansson-dev libfyaml-dev libsqlite3-dev \
            libmnl-dev libseccomp-dev libcap-ng-dev libsystemd-dev libcmocka-dev
        ;;
    demo) echo postgresql redis-server nginx-light curl dnsutils iproute2 netcat-openbsd openssl ;;
    test)
        echo haproxy dnsmasq-base socat python3 python3-grpcio python3-protobuf python3-grpc-tools util-linux procps \
            strace e2fsprogs dbus openssh-client openssh-server nftables locales
        ;;
    lint) echo clang clang-format clang-tidy cppcheck libclang-rt-14-dev mandoc python3 ;;
    windows) echo gcc-mingw-w64-x86-64-posix wine wine64 osslsigncode dpkg-dev python3 ;;
    browser) echo chromium-headless-shell ;;
    bench) echo haproxy dnsmasq-base python3 ;;
    *)
        echo "bootstrap: no package group '$1' (build demo test lint windows bench browser)" >&2
        return 1
        ;;
    esac
}

missing_of() {
    local installed
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' || true)
    comm -23 <(printf '%s\n' "$@" | sort -u) <(sort -u <<<"$installed")
}

# Installing a server must not start it: invoke-rc.d asks this file. An existing one is the administrator's and stays.
POLICY=/usr/sbin/policy-rc.d
# The postgresql package makes a cluster "main" unless told otherwise.
PG_CONF=/etc/postgresql-common/createcluster.d/stile-bootstrap.conf

restore() {
    [ -z "${made_policy:-}" ] || rm -f "$POLICY"
    [ -z "${made_pg:-}" ] || rm -f "$PG_CONF"
    [ -z "${made_pg_dirs:-}" ] || rmdir --ignore-fail-on-non-empty /etc/postgresql-common/createcluster.d 2>/dev/null || true
}

# A mirror's bad moment, or another's apt that holds a lock, is no reason to fail: three times, with pauses.
update_and_install() {
    local options=(-y -q --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3) pause
    for pause in 10 30 0; do
        apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update >/dev/null ||
            echo "bootstrap: apt-get update failed, trying with the lists at hand" >&2
        apt-get install "${options[@]}" "$@" </dev/null >"$log" 2>&1 && return 0
        [ "$pause" -eq 0 ] || { echo "bootstrap: this failed; once more in $pause s" >&2; sleep "$pause"; }
    done
    return 1
}

install_as_root() {
    trap restore EXIT
    if [ ! -e "$POLICY" ]; then
        made_policy=1
        printf '#!/bin/sh\nexit 101\n' >"$POLICY"
        chmod 755 "$POLICY"
    fi
    if [[ " $* " == *" postgresql "* ]] && [ ! -e "$PG_CONF" ]; then
        [ -d /etc/postgresql-common/createcluster.d ] || made_pg_dirs=1
        mkdir -p /etc/postgresql-common/createcluster.d
        made_pg=1
        echo 'create_main_cluster = false' >"$PG_CONF"
    fi
    export DEBIAN_FRONTEND=noninteractive
    echo "bootstrap: installing $*"
    update_and_install "$@" || { tail -n 30 "$log" >&2; return 1; }
    disable_services "$@"
}

# Only those that were not there before.
disable_services() {
    local package unit
    for package in "$@"; do
        case $package in
        nginx-light) unit=nginx ;;
        openssh-server) unit=ssh ;;
        postgresql | redis-server | haproxy) unit=$package ;;
        *) continue ;;
        esac
        deb-systemd-helper disable "$unit.service" >/dev/null 2>&1 || true
        update-rc.d "$unit" disable >/dev/null 2>&1 || true
    done
}

main() {
    [ -z "${STILE_NO_BOOTSTRAP:-}" ] || return 0
    local wanted=() missing=() group
    for group; do
        # shellcheck disable=SC2207
        wanted+=($(packages "$group"))
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    if ! command -v dpkg-query >/dev/null; then
        echo "bootstrap: this is no Debian system. Install what these packages hold: ${wanted[*]}" >&2
        echo "           and run again with STILE_NO_BOOTSTRAP=1." >&2
        return 1
    fi
    mapfile -t missing < <(missing_of "${wanted[@]}")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if sudo -n true 2>/dev/null; then
            exec sudo -n -- "$(readlink -f "$0")" "$@"
        fi
        echo "bootstrap: these packages are missing; install them as root, then run this again:" >&2
        echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
        return 1
    fi
    log=$(mktemp)
    local rc=0
    (install_as_root "${missing[@]}") || rc=1
    rm -f "$log"
    return $rc
}

main "$@"
