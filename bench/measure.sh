# Sourced by the benches: what is measured in the same way everywhere. Times are milliseconds, wall clock.
# shellcheck shell=bash
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A folder on tmpfs that ends with the bench: disks' noise is larger than what is measured.
scratch() {
    mktemp -d "$(if [ -w /dev/shm ]; then echo /dev/shm; else echo /tmp; fi)/minato-bench-XXXXXX"
}

# Builds the released program and prints its path.
release_program() {
    (cd "$repository" && cargo build --quiet --release --package minato) >&2
    echo "${CARGO_TARGET_DIR:-$repository/target}/release/minato"
}

# needs COMMAND PACKAGE: installs a Debian package unless its command is there; ends the bench where that can't be done.
needs() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$2" >/dev/null 2>&1 ||
            { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$2"; } >/dev/null
    fi
    command -v "$1" >/dev/null || { echo "$1 is needed: install $2" >&2; exit 2; }
}

# took COMMAND...: runs it without output and prints how long it took; ends the bench when it fails.
took() {
    local log began ended
    log=$(mktemp)
    began=$(date +%s%N)
    "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; echo "failed: $*" >&2; exit 1; }
    ended=$(date +%s%N)
    rm -f "$log"
    awk -v ns=$((ended - began)) 'BEGIN { printf "%.1f\n", ns / 1e6 }'
}

# repeat N COMMAND...: one time a line.
repeat() {
    local count=$1
    shift
    for _ in $(seq "$count"); do took "$@"; done
}

# The median of the numbers on standard input.
median() {
    sort -n | awk '{ n[NR] = $1 } END { print NR % 2 ? n[(NR + 1) / 2] : (n[NR / 2] + n[NR / 2 + 1]) / 2 }'
}

# ratio A B: A divided by B.
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", a / b }'; }

# What else the machine was doing: a figure without it means nothing.
machine() {
    echo "machine: $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1), Linux $(uname -r)"
}

missed=0
# at_most NAME VALUE LIMIT UNIT and at_least: one row of the table of what must be reached.
at_most() { row "$1" "$2" "<=" "$3" "$4"; }
at_least() { row "$1" "$2" ">=" "$3" "$4"; }
row() {
    local verdict=reached
    awk -v v="$2" -v l="$4" -v c="$3" 'BEGIN { exit !(c == "<=" ? v <= l : v >= l) }' || { verdict=MISSED missed=1; }
    printf '%-58s %10s %-4s %s %s %-4s %s\n' "$1" "$2" "$5" "$3" "$4" "$5" "$verdict"
}

# Ends the bench: code 1 when a row was missed.
finish() {
    machine
    exit $missed
}
