#!/usr/bin/env bash
# Data ten times the memory that one node may use: resident memory against `node.memory` while it is loaded and while
# it is read under a zipfian load, the hit rate, and how long hot and cold reads take.
#
#   MEMORY_MIB (128) and TIMES (10) say how much; DURATION (20s) how long each reading lasts, RATE (2000) how fast the
#   open loop asks. Exits with 1 if the node was ever larger than what it may use.
DURATION=${DURATION:-20s}
CONNECTIONS=${CONNECTIONS:-50}
# What is counted and what is answered must be the same reads.
WARMUP=0s
source "$(dirname "$0")/common.sh"

MEMORY_MIB=${MEMORY_MIB:-128}
TIMES=${TIMES:-10}
RATE=${RATE:-2000}
KEYS=$((MEMORY_MIB * TIMES * 1024 * 1024 / VALUE_SIZE))
# One in 500: a fiftieth of the memory, well inside the record cache.
HOT_KEYS=${HOT_KEYS:-$((KEYS / 500))}

# resident PID: in KiB, as the kernel counts it: all pages, those of the program's file included.
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }

# watch PID FILE: a line "PHASE KIB" five times a second, for as long as the process lives.
watch() {
    local kib
    while kib=$(resident "$1" 2>/dev/null) && [ -n "$kib" ]; do
        echo "$(cat "$WORK/phase") $kib"
        sleep 0.2
    done >"$2"
}

# In one step, because it is read at any time.
phase() { echo "$1" >"$WORK/phase.new" && mv "$WORK/phase.new" "$WORK/phase"; }

# metric NAME: a figure of the node's.
metric() { curl -fsS "$METRICS" | awk -v name="henge_$1" '$1 ~ "^" name "({|$)" { print $NF; exit }'; }

# A node publishes its figures from time to time.
counters() {
    local name
    sleep 2
    for name in memtable_hits record_cache_hits block_cache_hits; do metric "storage_${name}_total"; done
}

# hit_rate BEFORE AFTER READS: how many of the reads in between memory answered. Not of the lookups: a read that memory
# cannot answer looks twice, at once and then as an operation.
hit_rate() {
    paste <(echo "$1") <(echo "$2") | awk -v reads="$3" '
        { share[NR] = 100 * ($2 - $1) / reads }
        END { printf "memtable %.1f %%, record cache %.1f %%, block cache %.1f %%, disk or page cache %.1f %%\n",
            share[1], share[2], share[3], 100 - share[1] - share[2] - share[3] }'
}

answered() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["operations"])' "$1"; }

latencies() {
    python3 -c 'import json, sys
report = json.load(open(sys.argv[1]))
line = report["latency"][-1]
lag = report.get("send_lag")
print("%d per second, p50 %d us, p99 %d us, p99.9 %d us%s" % (report["throughput_per_second"], line["p50_us"],
    line["p99_us"], line["p99_9_us"], " (of it the generator itself: p99 %d us)" % lag["p99_us"] if lag else ""))' "$1"
}

# read_as NAME KEYS flag...: one reading, its latencies and where the lookups were answered.
read_as() {
    local name=$1 keys=$2 before after
    shift 2
    phase "$name"
    before=$(counters)
    KEYS=$keys bench memory --workload get --duration "$DURATION" --json "$RESULTS/$name.json" "$@" >/dev/null
    after=$(counters)
    echo "$name: $(latencies "$RESULTS/$name.json")"
    echo "    answered by: $(hit_rate "$before" "$after" "$(answered "$RESULTS/$name.json")")"
}

# The least and the most resident memory of each phase.
report_memory() {
    awk -v budget=$((MEMORY_MIB * 1024)) '
        !($1 in most) { order[++phases] = $1; least[$1] = $2 }
        { if ($2 > most[$1]) most[$1] = $2; if ($2 < least[$1]) least[$1] = $2; if ($2 > peak) peak = $2 }
        END {
            for (i = 1; i <= phases; i++)
                printf "resident, %s: %.1f to %.1f MiB\n", order[i], least[order[i]] / 1024, most[order[i]] / 1024
            printf "peak %.1f MiB of %.0f that it may use (%.0f %%)\n", peak / 1024, budget / 1024, 100 * peak / budget
            exit peak > budget
        }' "$1"
}

export HENGE_MEMORY=${MEMORY_MIB}MiB
start_henge memory "$BASE_PORT" 1 interval
METRICS=http://127.0.0.1:$((BASE_PORT + 200))/metrics
SERVER=${PIDS[memory]# }
phase start
watch "$SERVER" "$WORK/resident" &
WATCHER=$!

phase load
load memory
echo "loaded $KEYS values of $VALUE_SIZE bytes ($((KEYS * VALUE_SIZE >> 20)) MiB) with $MEMORY_MIB MiB"
# Caches fill first. Each reading draws other keys, or it would find those that the one before it has left.
phase fill
bench memory --workload get --duration "$DURATION" --distribution zipfian --seed 1 >/dev/null
read_as zipfian "$KEYS" --distribution zipfian --seed 2
read_as zipfian-open-loop "$KEYS" --distribution zipfian --rate "$RATE" --seed 3
phase warm
KEYS=$HOT_KEYS bench memory --workload get --operations $((HOT_KEYS * 20)) --json "$RESULTS/warm.json" >/dev/null
read_as hot "$HOT_KEYS" --distribution uniform --rate "$RATE"
read_as cold "$KEYS" --distribution uniform --rate "$RATE"

stop_all
wait "$WATCHER" 2>/dev/null || true
cp "$WORK/resident" "$RESULTS/resident"
report_memory "$WORK/resident"
