#!/usr/bin/env bash
# What clients of the other nodes see when one of three, and one of five, `henge server` is killed with -9 under load and comes
# back: N=3, W=R=2, `always`, sloppy quorums as by default. Goals: no errors; p99 in the 10 s after the kill at most 3 times
# the p99 before; with the node coming back under full load p99 at most 2 times that of full load before, and what it
# missed is there within the time that it was away.
#
# Each round is a cluster of its own, and each ratio is of one round. Half as many operations a second as the cluster can do are
# sent in open loop for the first; full load is a closed loop of all connections.
# SECONDS_EACH=10 RATE= (operations a second; half of what it can do) CLUSTERS="3 5"
REPLICAS=3 QUORUM=sloppy TOOLS="python3 curl"
source "$(dirname "$0")/common.sh"
SECONDS_EACH=${SECONDS_EACH:-10}
ROUNDS=${ROUNDS:-3}
RATIO=${RATIO:-1:1}

# through SERVERS CASE flag...: a run through those that stay, into a file of its own.
through() {
    local servers=$1 case=$2
    shift 2
    bench "$servers" --ratio "$RATIO" --distribution uniform --duration "${SECONDS_EACH}s" \
        --json "$RESULTS/$case.json" "$@" >/dev/null
}

for nodes in ${CLUSTERS:-3 5}; do
    for ((round = 1; round <= ROUNDS; round++)); do
        name=of$nodes-$round port=$((BASE_PORT + 20 * round)) case=$nodes.$round
        [ "$nodes" = 3 ] || port=$((port + 10))
        start_henge "$name" $port "$nodes" always
        last=$((port + nodes - 1)) victim=${PIDS[$name]##* }
        # Only those that stay are asked; CPU time is counted of them.
        addresses=()
        for ((p = port; p < last; p++)); do addresses+=("127.0.0.1:$p"); done
        TARGET[stay]="--addresses $(IFS=,; echo "${addresses[*]}")"
        PIDS[stay]=${PIDS[$name]% *}
        load stay
        through stay "$case.full" --seed $round
        rate=${RATE:-$(python3 -c 'import json, sys; print(int(json.load(open(sys.argv[1]))["throughput_per_second"] / 2))' \
            "$RESULTS/$case.full.json")}
        echo "round $round of $nodes nodes: $rate operations a second" >&2
        through stay "$case.before" --rate "$rate" --seed $round

        through stay "$case.killed" --rate "$rate" --seed $round &
        running=$!
        sleep 1.2   # the warmup, in which nothing is counted
        kill -9 "$victim"
        away=$(date +%s.%N)
        wait "$victim" 2>/dev/null || true
        python3 "$ROOT/bench/markers.py" write $port 0 500
        wait $running
        through stay "$case.away" --seed $((round + 100))
        python3 "$ROOT/bench/markers.py" write $port 500 1000

        through stay "$case.back" --seed $((round + 200)) &
        running=$!
        sleep 1.2
        back=$(date +%s.%N)
        "$HENGE" server --config "$WORK/$name/n$nodes.toml" >>"$WORK/$name/n$nodes.log" 2>&1 &
        STARTED+=($!)
        python3 "$ROOT/bench/markers.py" await $port "$nodes" "$away" "$back" >"$RESULTS/$case.backlog.json"
        wait $running
        stop_all
        rm -rf "${WORK:?}/$name"/n?
    done
done

python3 "$ROOT/bench/outage.py" "$RESULTS"
