#!/usr/bin/env bash
# What clients see while a cluster grows from three nodes to five and shrinks to four, and what that moves: N=3, W=R=2, `always`,
# KEYS keys of VALUE_SIZE bytes in 64 partitions, RATE operations per second in open loop, half of them writes. Goals: no errors; no
# acknowledged write lost; p99 while partitions move at most 2 times the p99 of the same load beside no movement, in the same run;
# bytes moved at most 1.15 times the least, which is what those partitions have that a node owns afterwards and did not before.
#
# Load is measured in slices: three before, as many as the movement takes, three between, and so on. A witness writes keys of its own
# all the while through every node, and in the end asks every node for what was acknowledged to it.
# KEYS=1000000 RATE=2000 SLICE=15 MEMORY=128MiB
TOOLS="python3 curl"
KEYS=${KEYS:-1000000}
BASE_PORT=${BASE_PORT:-17600}
source "$(dirname "$0")/common.sh"
RATE=${RATE:-2000}
SLICE=${SLICE:-15}
MEMORY=${MEMORY:-128MiB}
GROWTH=$ROOT/bench/growth.py

# start NUMBER flag...: RESP on BASE_PORT + NUMBER, cluster on +100, HTTP on +200, peers on +300.
start() {
    local number=$1 port=$((BASE_PORT + $1))
    shift
    require_free "$port"
    "$HENGE" server --node-id "n$number" --data-dir "$WORK/n$number" --memory "$MEMORY" --cluster-name grow \
        --resp "127.0.0.1:$port" --cluster "127.0.0.1:$((port + 100))" --http "127.0.0.1:$((port + 200))" \
        --peer "127.0.0.1:$((port + 300))" "$@" >"$WORK/n$number.log" 2>&1 &
    STARTED+=($!)
    [ -z "${WAIT-yes}" ] || await curl -fsS "http://127.0.0.1:$((port + 200))/readyz"
}

ask() { python3 "$GROWTH" "$@"; }

# load_with flag...: through n1, n2 and n3, none of which leaves.
load_with() {
    local port=$BASE_PORT
    # BENCH is a list of words on purpose.
    $BENCH --addresses "127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2)),127.0.0.1:$((port + 3))" --keys "$KEYS" \
        --value-size "$VALUE_SIZE" --connections "$CONNECTIONS" --warmup "$WARMUP" --verify --quiet "$@"
}

# slice CASE NUMBER
slice() {
    load_with --workload a --rate "$RATE" --duration "${SLICE}s" --seed "$2" --json "$RESULTS/$1.$2.json" >/dev/null
}

at_rest() { local i; for i in 1 2 3; do slice "$1" $i; done; }

# while_moving CASE NODES: slices until all has moved.
while_moving() {
    local case=$1 nodes=$2 number=0 began
    began=$(date +%s)
    until ask is_settled "$BASE_PORT" "$nodes" && [ $number -gt 0 ]; do
        number=$((number + 1))
        [ $number -le 60 ] || die "it has not moved after $number slices"
        slice "$case" $number
    done
    echo "$case: settled $(($(date +%s) - began)) s after it began, to the slice" >&2
}

start 1 --bootstrap --partitions 64
start 2 --seeds "127.0.0.1:$((BASE_PORT + 301))"
start 3 --seeds "127.0.0.1:$((BASE_PORT + 301))"
await ask is_settled "$BASE_PORT" 3
echo "loading $KEYS keys" >&2
load_with --load-only >&2
# What an owner missed under full load it is to have before anything moves: what moves then is what the movements move.
"$HENGE" repair --at "127.0.0.1:$((BASE_PORT + 201))" >&2
sleep 5

ask witness "$BASE_PORT" "$RESULTS/witness" &
witness=$!
at_rest three
ask snapshot "$BASE_PORT" 3 "$RESULTS/three"
WAIT= start 4 --seeds "127.0.0.1:$((BASE_PORT + 301))"
start 5 --seeds "127.0.0.1:$((BASE_PORT + 301))"
while_moving growing 5
ask snapshot "$BASE_PORT" 5 "$RESULTS/five"
at_rest five
"$HENGE" node drain n4 --dry-run --at "127.0.0.1:$((BASE_PORT + 201))" | tail -12 >&2
"$HENGE" node drain n4 --no-wait --at "127.0.0.1:$((BASE_PORT + 201))" >&2
while_moving shrinking 4
ask snapshot "$BASE_PORT" 5 "$RESULTS/four"
at_rest four
touch "$RESULTS/witness.stop"
wait $witness
ask check "$BASE_PORT" "$KEYS" "$RESULTS" 1 2 3 5
ask table "$KEYS" "$RESULTS"
