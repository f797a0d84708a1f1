#!/bin/bash
# usage: STILE=PATH tests/demo/demo.sh      (what `make demo` runs)
#
# What a user would do, on real programs, in a throw-away directory: PostgreSQL, Redis, nginx and a gateway in a network
# namespace that nothing else reaches; a user logs in and reaches them by name through `stile run`. The gateway's listener is
# opened out here and inherited, as under systemd's socket activation. Works as root and as an ordinary user who can open
# /dev/net/tun. Ends with a count; the exit status is 0 if nothing failed.
set -uo pipefail
umask 022 # its servers are other users

here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../tools" && pwd)
STILE=$(readlink -f "${STILE:-$here/../../build/stile}")
ZONE=demo.stile.test
SERVERS=127.0.0.1 # in the namespace, which has a loopback of its own
LIMIT=60          # seconds for one step

passed=0
failed=0
pids=()
work=
holder=

# ---- ends ----

say() {
    printf 'demo: %s\n' "$*"
}

# Stops everything that was started, newest first, and removes the directory.
# shellcheck disable=SC2317,SC2329
cleanup() {
    local i pid
    trap '' INT TERM HUP
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill "${pids[i]}" 2>/dev/null
    done
    for pid in "${pids[@]}"; do
        for ((i = 0; i < 50; i++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    [ -z "$work" ] || rm -rf "$work"
}

finish() {
    echo
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

# The set-up itself failed: says why, with the end of a log if one is named.
give_up() {
    say "$1" >&2
    [ -z "${2:-}" ] || [ ! -s "$2" ] || tail -n 20 "$2" >&2
    failed=$((failed + 1))
    finish
}

# ---- the namespace ----

root() {
    [ "$(id -u)" -eq 0 ]
}

# Runs a command in the namespace, as the caller (root's capabilities there, whoever the caller is).
# shellcheck disable=SC2317
inside() {
    if root; then
        nsenter -t "$holder" -n -- "$@"
    else
        nsenter -t "$holder" -U -n --preserve-credentials -- "$@"
    fi
}

# The words that make a command run in the namespace, in their own array: for what is started in the background, so that its
# pid is ours. Servers refuse to be root: they run as nobody, or as the ordinary user. All die with this script.
enter=()
enter_as_server=()
set_enter() {
    if root; then
        enter=(nsenter -t "$holder" -n -- setpriv --pdeathsig KILL)
        enter_as_server=(nsenter -t "$holder" -n --
            setpriv --reuid nobody --regid nogroup --clear-groups --pdeathsig KILL)
    else
        enter=(nsenter -t "$holder" -U -n --preserve-credentials -- setpriv --pdeathsig KILL)
        enter_as_server=(nsenter -t "$holder" -U -n --preserve-credentials --
            unshare --map-user="$(id -u)" --map-group="$(id -g)" -- setpriv --pdeathsig KILL)
    fi
}

start() {
    local log=$work/$1.log
    shift
    "$@" </dev/null >"$log" 2>&1 &
    pids+=($!)
}

wait_for() {
    local what=$1 log=$work/$1.log i
    shift
    for ((i = 0; i < LIMIT * 10; i++)); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    give_up "$what didn't start" "$log"
}

make_namespace() {
    local flags=(-n)
    root || flags=(-U -r -n)
    unshare "${flags[@]}" true 2>"$work/unshare.log" ||
        give_up "can't make a network namespace; as an ordinary user this needs user namespaces (sysctl user.max_user_namespaces)" \
            "$work/unshare.log"
    # Port 80 belongs to root otherwise, and the servers aren't.
    # shellcheck disable=SC2016
    start namespace setpriv --pdeathsig KILL unshare "${flags[@]}" sh -c \
        'ip link set lo up && echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start && echo ready >"$1" && exec sleep 600' \
        sh "$work/ready"
    holder=${pids[-1]}
    wait_for namespace test -s "$work/ready"
    set_enter
}

# ---- the servers ----

start_postgres() {
    local bin
    bin=$(find /usr/lib/postgresql -maxdepth 3 -path '*/bin/postgres' 2>/dev/null | sort -V | tail -n 1)
    bin=${bin%/postgres}
    [ -n "$bin" ] || give_up "there is no PostgreSQL under /usr/lib/postgresql"
    "${enter_as_server[@]}" "$bin/initdb" -D "$work/servers/pg" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
        >"$work/initdb.log" 2>&1 </dev/null || give_up "initdb failed" "$work/initdb.log"
    start postgres "${enter_as_server[@]}" "$bin/postgres" -D "$work/servers/pg" -h "$SERVERS" -p 5432 -k '' -c fsync=off \
        -c shared_buffers=16MB
    wait_for postgres inside psql -X -h "$SERVERS" -U postgres -c \
        "create table secret as select '$nonce' as word, n from generate_series(1, 1000) n"
}

start_redis() {
    start redis "${enter_as_server[@]}" redis-server --bind "$SERVERS" --port 6379 --save '' --appendonly no \
        --dir "$work/servers" --daemonize no
    wait_for redis inside redis-cli -h "$SERVERS" set secret "$nonce"
}

start_nginx() {
    local dir=$work/servers/nginx
    cat >"$dir.conf" <<END
daemon off;
pid $dir.pid;
error_log stderr;
worker_processes 1;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $dir.body;
    proxy_temp_path $dir.proxy;
    fastcgi_temp_path $dir.fastcgi;
    uwsgi_temp_path $dir.uwsgi;
    scgi_temp_path $dir.scgi;
    server {
        listen $SERVERS:80;
        location / { return 200 "$nonce from nginx\n"; }
    }
}
END
    start nginx "${enter_as_server[@]}" nginx -c "$dir.conf" -e stderr
    wait_for nginx inside curl -sf "http://$SERVERS/"
}

start_digest() {
    start digest "${enter[@]}" python3 "$tools/digest_server.py" "$SERVERS" 9000
    wait_for digest inside nc -z "$SERVERS" 9000
}

# ---- the gateway and the user ----

write_config() {
    cat >"$work/gateway/gateway.yaml" <<END
cluster: demo
listen: "127.0.0.1:443"
public_addr: "$1"
names: [localhost]
state: state.db
dns_zones: [$ZONE]
ipv4_range: 100.64.0.0/10
apps:
  - {name: pg, public_name: pg.$ZONE, target: "$SERVERS:5432", ports: [5432], allow: {users: [alice]}}
  - {name: cache, public_name: cache.$ZONE, target: "$SERVERS:6379", ports: [6379], allow: {groups: [everyone]}}
  - {name: web, public_name: web.$ZONE, target: "$SERVERS", ports: any, allow: {groups: [staff]}}
  - {name: digest, public_name: digest.$ZONE, target: "$SERVERS:9000", ports: [9000], allow: {groups: [everyone]}}
  - {name: dash, public_name: dash.$ZONE, web: true}
END
}

start_gateway() {
    local log=$work/gateway.log
    "$STILE" gateway init "$work/gateway" --name demo >"$work/init.log" 2>&1 || give_up "gateway init failed" "$work/init.log"
    write_config 127.0.0.1:443
    (umask 077 && printf '%s\n' "$nonce" >"$work/password")
    "$STILE" gateway user add alice --config "$work/gateway/gateway.yaml" --group staff --password-file "$work/password" \
        >"$work/user.log" 2>&1 || give_up "gateway user add failed" "$work/user.log"
    # Its listener is opened here, outside; its servers are in there, and so is everything else of it.
    start gateway python3 "$tools/listen_fd.py" 127.0.0.1:0 "$work/address" "${enter[@]}" \
        "$STILE" gateway run --config "$work/gateway/gateway.yaml" -v
    wait_for gateway test -s "$work/address"
    address=$(cat "$work/address")
    local i
    for ((i = 0; i < LIMIT; i++)); do
        "$STILE" login --gateway "$address" --user alice --ca "$work/gateway/ca/ca.pem" --password-file "$work/password" \
            >"$work/login.log" 2>&1 && return
        kill -0 "${pids[-1]}" 2>/dev/null || give_up "the gateway has ended" "$log"
        sleep 0.5
    done
    cat "$work/login.log" >&2
    give_up "login failed" "$log"
}

# ---- the checks ----

# One line of the table.
report() {
    local ok=$1 name=$2 address=$3 got=$4 ms=$5
    if [ "$ok" = yes ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        got="FAILED: $got"
    fi
    printf '%-26s %-16s %-52.52s %6s\n' "$name" "$address" "$got" "$ms ms"
}

now_ms() {
    date +%s%3N
}

one_line() {
    tr -s '\n\t ' ' ' <<<"$1" | sed 's/^ //; s/ $//'
}

# through NAME CMD...: runs CMD through stile. Sets address (of NAME, as asked for in there), out, status and ms.
through() {
    local name=$1 start all
    shift
    start=$(now_ms)
    # shellcheck disable=SC2016
    all=$(timeout "$LIMIT" "$STILE" run -- sh -c 'dig +short "$1" A | head -n 1; shift; exec "$@" 2>&1' sh "$name" "$@" \
        2>"$work/run.log" </dev/null)
    status=$?
    ms=$(($(now_ms) - start))
    virtual=${all%%$'\n'*}
    out=
    [[ "$all" != *$'\n'* ]] || out=${all#*$'\n'}
}

# reaches TITLE NAME EXPECTED SHOWN CMD...: CMD must succeed and its output have EXPECTED in it.
reaches() {
    local title=$1 name=$2 expected=$3 shown=$4
    shift 4
    through "$name" "$@"
    if [ "$status" -eq 0 ] && [[ "$out" == *"$expected"* ]] && [[ "$virtual" == 100.* ]]; then
        report yes "$title" "$virtual" "${shown:-$(one_line "$out")}" "$ms"
    else
        report no "$title" "${virtual:--}" "status $status, $(one_line "$out")" "$ms"
        tail -n 5 "$work/run.log" >&2
    fi
}

# Without stile none of it may work; says so in one line each.
unreachable() {
    local title=$1 start got
    shift
    start=$(now_ms)
    got=$(timeout 5 "$@" 2>&1 </dev/null)
    if [[ "$got" == *"$nonce"* ]]; then
        report no "$title" - "reached without stile" "$(($(now_ms) - start))"
    else
        report yes "$title" - "not reachable without stile" "$(($(now_ms) - start))"
    fi
}

check_controls() {
    unreachable "psql 127.0.0.1:5432" psql -X -At -h "$SERVERS" -U postgres -c 'select word from secret limit 1'
    unreachable "redis-cli 127.0.0.1:6379" redis-cli -h "$SERVERS" get secret
    unreachable "curl http://127.0.0.1" curl -s -m 3 "http://$SERVERS/"
}

check_programs() {
    reaches "psql pg" "pg.$ZONE" "PostgreSQL $nonce" '' \
        psql -X -At -F ' ' -h "pg.$ZONE" -U postgres -c \
        "select 'PostgreSQL', min(word), sum(n), split_part(current_setting('server_version'), ' ', 1) from secret"
    reaches "redis-cli cache" "cache.$ZONE" "$nonce" '' redis-cli -h "cache.$ZONE" get secret
    reaches "curl http://web" "web.$ZONE" "$nonce" '' curl -sS -m "$LIMIT" "http://web.$ZONE/"
    reaches "dig pg AAAA" "pg.$ZONE" "fd" '' dig +short "pg.$ZONE" AAAA
    local sum
    sum=$(seq 200000 | sha256sum | cut -d' ' -f1)
    # The answer comes only after nc has half-closed.
    # shellcheck disable=SC2016
    reaches "seq 200000 | nc -N digest" "digest.$ZONE" "$sum" '' sh -c 'seq 200000 | nc -N "$1" 9000' sh "digest.$ZONE"
}

check_wrong_port() {
    through "pg.$ZONE" nc -z -w 10 "pg.$ZONE" 5433
    local reason
    reason=$(grep -h 5433 "$work/run.log" | tail -n 1)
    if [ "$status" -eq 1 ] && [[ "$reason" == *5432* ]] && [ "$ms" -lt 8000 ]; then
        report yes "nc pg:5433 (not listed)" "$virtual" "refused: ${reason#*: pg."$ZONE" has }" "$ms"
    else
        report no "nc pg:5433 (not listed)" "${virtual:--}" "status $status, $(tail -n 1 "$work/run.log")" "$ms"
    fi
}

rcode() {
    sed -n 's/.*status: \([A-Z]*\),.*/\1/p' <<<"$1" | head -n 1
}

# What upstream says is what comes back; where there is no upstream to ask, SERVFAIL.
check_unknown_name() {
    local wanted got
    wanted=$(rcode "$(dig +tries=1 +time=3 "nosuch.$ZONE" A 2>&1)")
    through "nosuch.$ZONE" dig +tries=1 +time=10 "nosuch.$ZONE" A
    got=$(rcode "$out")
    if [ "$got" = "${wanted:-SERVFAIL}" ]; then
        report yes "dig nosuch" - "$got, as upstream says" "$ms"
    else
        report no "dig nosuch" - "${got:-no answer}, upstream says ${wanted:-nothing}" "$ms"
    fi
}

check_exit_status() {
    through "pg.$ZONE" sh -c 'exit 42'
    if [ "$status" -eq 42 ]; then
        report yes "sh -c 'exit 42'" "$virtual" "exit status 42 passed through" "$ms"
    else
        report no "sh -c 'exit 42'" "${virtual:--}" "exit status $status" "$ms"
    fi
}

main() {
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    [ -x "$STILE" ] || give_up "there is no $STILE; run \`make demo\`"
    # shellcheck disable=SC2015
    [ -r /dev/net/tun ] && [ -w /dev/net/tun ] ||
        give_up "this user can't open /dev/net/tun; run \`chmod 666 /dev/net/tun\` as root (Debian's default), or this as root"
    work=$(mktemp -d "${TMPDIR:-/tmp}/stile-demo.XXXXXX") || exit 1
    export STILE_HOME=$work/home
    chmod 711 "$work"
    mkdir -m 700 "$work/servers" "$work/gateway"
    ! root || chown nobody:nogroup "$work/servers"
    nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
    say "starting PostgreSQL, Redis, nginx and a gateway where nothing else reaches them"
    make_namespace
    start_postgres
    start_redis
    start_nginx
    start_digest
    start_gateway
    say "alice is logged in at $address; each line below is its own \`stile run -- PROGRAM\`"
    printf '\n%-26s %-16s %-52s %9s\n' program "virtual address" "what came back" time
    check_controls
    check_programs
    check_wrong_port
    check_unknown_name
    check_exit_status
    finish
}

main "$@"
