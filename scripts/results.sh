# Sourced by scripts that judge: `check NAME COMMAND...` runs a check, records it beside the tests of the build directory
# (one JSON object per line in $results, as meson's testlog.json has them) and never stops the others.
check() {
    local name=$1 start=$SECONDS result=OK
    shift
    if ! "$@"; then
        result=FAIL
        failures=$((${failures:-0} + 1))
    fi
    printf '{"name": "%s", "result": "%s", "duration": %d}\n' "$name" "$result" $((SECONDS - start)) >>"$results"
    printf '%-40s %s  %d s\n' "$name" "$result" $((SECONDS - start))
}
