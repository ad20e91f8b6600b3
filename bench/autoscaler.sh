#!/usr/bin/env bash
# The autoscaler end to end, with the provider `local`: three nodes, and a load that rises and falls. The cluster is to go 3 -> 5 -> 3
# by itself, and no client is to see an error. Draws load, nodes and latency over time.
#
#   cargo build --release -p henge && bench/autoscaler.sh
#
# The load is an open loop that changes every STEP seconds: so many operations per second as RATES says, half reads, half updates, R = W = 2
# of N = 3. What nodes are told they are good for (GOOD_FOR, in reads and writes that reach the records of a node) is far below what they
# are: on one machine more nodes do no more, and what is shown is what is decided.
#
# Results: $RESULTS/steps/*.json (a report of `henge bench` for each step), nodes.csv (seconds, members, processes),
# autoscaler.json (all decisions), and the picture in PLOT.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HENGE=${HENGE:-$ROOT/target/release/henge}
RESULTS=${RESULTS:-$(mktemp -d)}
PLOT=${PLOT:-$RESULTS/autoscaler.svg}
BASE_PORT=${BASE_PORT:-18400}
STEP=${STEP:-10}
RATES=${RATES:-"150 150 150 300 450 600 750 900 900 900 900 900 900 900 900 900 900 750 600 450 300 150 150 150 150 150 150 150 150 150 150 150 150"}
GOOD_FOR=${GOOD_FOR:-900}
KEYS=${KEYS:-5000}
VALUE_SIZE=${VALUE_SIZE:-256}
PIDS=()

http() { echo "127.0.0.1:$((BASE_PORT + 200 + $1))"; }

# Ends the nodes that were started here, and whatever the provider has started below its own directory.
finish() {
    local pid line
    [ -n "${WATCHER:-}" ] && kill "$WATCHER" 2>/dev/null
    for pid in "${PIDS[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    for line in /proc/[0-9]*/cmdline; do
        if { tr '\0' '\n' < "$line"; } 2>/dev/null | grep -q "^$RESULTS/auto/"; then
            pid=${line#/proc/}
            kill -KILL "${pid%/cmdline}" 2>/dev/null
        fi
    done
    return 0
}
trap finish EXIT

mkdir -p "$RESULTS/steps"
# Nodes that the provider starts may come to lead, so they are told the same.
cat > "$RESULTS/autoscaler.toml" <<TOML
[autoscaler]
enabled = true
min = 3
max = 5
operations_per_second = $GOOD_FOR
target = { operations_percent = 60, cpu_percent = 95, disk_percent = 95 }
window = "10s"
calm = "20s"
cool_down_out = "10s"
cool_down_in = "10s"
[autoscaler.local]
root = "$RESULTS/auto"
binary = "$HENGE"
arguments = ["--memory", "128MiB", "--config", "$RESULTS/autoscaler.toml"]
[[autoscaler.pool]]
rack = "r4"
[[autoscaler.pool]]
rack = "r5"
TOML

# How many members there are, if all are settled and nothing is to move.
settled() {
    curl -fs -m 5 "http://$(http 1)/v1/cluster" | python3 -c '
import json, sys
cluster = json.load(sys.stdin)
moves = cluster["movements"] or cluster["waiting"]
print("" if moves or any(node["standing"] != "settled" for node in cluster["nodes"]) else len(cluster["nodes"]))'
}

for node in 1 2 3; do
    how=(--seeds "127.0.0.1:$((BASE_PORT + 301))"); [ $node = 1 ] && how=(--bootstrap)
    "$HENGE" server --config "$RESULTS/autoscaler.toml" --node-id n$node --data-dir "$RESULTS/n$node" --memory 128MiB --rack r$node \
        --resp "127.0.0.1:$((BASE_PORT + node))" --http "$(http $node)" --peer "127.0.0.1:$((BASE_PORT + 300 + node))" \
        --cluster-name figure --partitions 64 "${how[@]}" 2> "$RESULTS/n$node.log" &
    PIDS+=($!)
    disown                           # the shell has nothing to say of its end
    for ((try = 0; try < 300; try++)); do
        [ "$(settled 2>/dev/null)" = $node ] && break
        kill -0 "${PIDS[-1]}" || { tail -3 "$RESULTS/n$node.log"; exit 1; }
        sleep 0.2
    done
done

ADDRESSES="127.0.0.1:$((BASE_PORT + 1)),127.0.0.1:$((BASE_PORT + 2)),127.0.0.1:$((BASE_PORT + 3))"
bench() { "$HENGE" bench --addresses "$ADDRESSES" --keys "$KEYS" --value-size "$VALUE_SIZE" --quiet "$@"; }
bench --load-only

BEGAN=$(date +%s.%N)
since() { awk -v began="$BEGAN" -v now="$(date +%s.%N)" 'BEGIN { printf "%.1f", now - began }'; }

echo "seconds,members,settled" > "$RESULTS/nodes.csv"
(
    while sleep 1; do
        seen=$(curl -fs -m 5 "http://$(http 1)/v1/cluster" | python3 -c '
import json, sys
nodes = json.load(sys.stdin)["nodes"]
print("%d,%d" % (len(nodes), sum(node["state"] == "up" for node in nodes)))') && echo "$(since),$seen" >> "$RESULTS/nodes.csv"
    done
) 2>/dev/null &
WATCHER=$!

step=0
for rate in $RATES; do
    step=$((step + 1))
    at=$(since)
    # An open loop that fails altogether is what is to be seen here, and no reason to stop.
    bench --rate "$rate" --connections 24 --distribution uniform --r 2 --w 2 --warmup 0s --duration "${STEP}s" --timeout 10s --seed $step \
        --json "$RESULTS/steps/$(printf %03d $step)-$at.json" > /dev/null || echo "step $step at $rate per second failed" >&2
    echo "$at s: $rate per second, $(tail -1 "$RESULTS/nodes.csv" | cut -d, -f2) nodes"
done

"$HENGE" autoscaler --at "$(http 1)" --json > "$RESULTS/autoscaler.json"
"$HENGE" autoscaler --at "$(http 1)"
cargo run --quiet --manifest-path "$ROOT/Cargo.toml" -p henge-bench --example autoscaler_plot -- "$RESULTS" "$PLOT"
echo "results: $RESULTS, picture: $PLOT"
