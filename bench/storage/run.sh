#!/usr/bin/env bash
# Storage beside other engines, in interleaved rounds, every measurement a process of its own. See ../README.md.
#
#   ENGINES      "henge fjall"; with rocks where it was built (cargo build --release --features rocks)
#   ROUNDS       3
#   KEYS         100000 that fit into MEMORY_MIB (256)
#   LARGE_KEYS   640000, ten times LARGE_MEMORY_MIB (64)
#   LOG_KEYS     1000000: about a gigabyte of log to recover
#   PARTS        "fits large log": which of them
#   BENCH_DIR    /var/tmp
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROGRAM=${PROGRAM:-$HERE/target/release/henge-storage-comparison}
read -ra ENGINES <<<"${ENGINES:-henge fjall}"
ROUNDS=${ROUNDS:-3}
KEYS=${KEYS:-100000}
MEMORY_MIB=${MEMORY_MIB:-256}
LARGE_KEYS=${LARGE_KEYS:-640000}
LARGE_MEMORY_MIB=${LARGE_MEMORY_MIB:-64}
LOG_KEYS=${LOG_KEYS:-1000000}
PARTS=${PARTS:-fits large log}

[ -x "$PROGRAM" ] || { echo "no program at $PROGRAM: build it (cargo build --release in $HERE)" >&2; exit 1; }
WORK=$(mktemp -d -p "${BENCH_DIR:-/var/tmp}" henge-storage.XXXXXX)
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
if [ "$(stat -f -c %T "$WORK")" = tmpfs ]; then
    echo "warning: $WORK is in memory, syncs are free there; set BENCH_DIR to a directory on a disk" >&2
fi

# measure CASE ENGINE MEASUREMENT DIRECTORY flag...: appends {case, engine, round, figures} to the results.
measure() {
    local case=$1 engine=$2 measurement=$3 dir=$WORK/$2-$4 figures
    shift 4
    echo "round $round: $case, $engine" >&2
    mkdir -p "$dir"
    figures=$("$PROGRAM" "$engine" "$measurement" --dir "$dir" "$@" 2>>"$WORK/log") \
        || { tail -5 "$WORK/log" >&2; exit 1; }
    echo "{\"case\": \"$case\", \"engine\": \"$engine\", \"round\": $round, \"figures\": $figures}" >>"$WORK/results"
}

# For every engine before the next measurement, so that a round's ratio is of one minute.
each() {
    local engine case=$1 measurement=$2
    shift 2
    for engine in "${ENGINES[@]}"; do measure "$case" "$engine" "$measurement" "$@"; done
}

drop() {
    local engine
    for engine in "${ENGINES[@]}"; do rm -rf "${WORK:?}/$engine-$1"; done
}

has() { [[ " $PARTS " == *" $1 "* ]]; }

for ((round = 1; round <= ROUNDS; round++)); do
    if has fits; then
        fits=(--keys "$KEYS" --memory-mib "$MEMORY_MIB")
        each "load, 8 together" load 8 "${fits[@]}" --writers 8
        drop 8
        each "load, 50 together" load fits "${fits[@]}" --writers 50
        each "read hot" hot fits "${fits[@]}" --operations 500000
        each "read any, all fits" uncached fits "${fits[@]}" --operations 100000
        each "read absent" absent fits "${fits[@]}" --operations 200000
        drop fits
        # Far fewer, because some engines sync for each.
        each "load, 8 apart" load-apart apart --keys 4000 --memory-mib "$MEMORY_MIB" --writers 8
        drop apart
        each "load, 50 apart" load-apart apart --keys 4000 --memory-mib "$MEMORY_MIB" --writers 50
        drop apart
    fi
    if has large; then
        large=(--keys "$LARGE_KEYS" --memory-mib "$LARGE_MEMORY_MIB")
        each "large: load, 50 together" load large "${large[@]}" --writers 50
        each "large: read hot" hot large "${large[@]}" --operations 200000
        each "large: read from page cache" uncached large "${large[@]}" --operations 50000
        each "large: read from device" cold large "${large[@]}" --operations 10000
        each "large: read absent" absent large "${large[@]}" --operations 100000
        drop large
    fi
    if has log; then
        each "fill log" fill-log log --keys "$LOG_KEYS"
        each "recover" recover log --keys "$LOG_KEYS"
        drop log
    fi
done
cat "$WORK/log" >&2
python3 "$HERE/table.py" "$WORK/results"
