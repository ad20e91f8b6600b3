#!/usr/bin/env bash
# Latency in open loop, at half of what the slower of the two servers can do: p50, p99, p99.9 of get and put.
# First one node beside one Redis; then three nodes at (R,W) = (1,N), (N,1), (2,2), (1,1) beside Redis Cluster, whose
# writes WAIT for one replica. Both servers of a line get the same arrivals.
source "$(dirname "$0")/common.sh"

# half_of_saturation HENGE REDIS "henge flags" "redis flags" flag...
half_of_saturation() {
    local name flags rate lowest=
    for name in "$1" "$2"; do
        has "$name" || continue
        [ "$name" = "$1" ] && flags=$3 || flags=$4
        # shellcheck disable=SC2086
        rate=$(saturation "$name" $flags "${@:5}")
        if [ -z "$lowest" ] || [ "$rate" -lt "$lowest" ]; then lowest=$rate; fi
    done
    echo $((lowest / 2))
}

one() {
    start_redis redis $((BASE_PORT)) everysec
    [ "$ONLY" = redis ] || start_henge henge $((BASE_PORT + 1000)) 1 interval
    load henge
    load redis
    local kind rate round server
    for kind in get set; do
        rate=$(half_of_saturation henge redis "" "" --workload $kind)
        echo "one node, $kind at $rate per second" >&2
        for ((round = 1; round <= ROUNDS; round++)); do
            for server in henge redis; do
                measure one-$kind $server $round --workload $kind --rate "$rate" --seed $round
            done
        done
    done
    stop_all
}

three() {
    start_redis_cluster redis3 $((BASE_PORT + 10)) everysec
    [ "$ONLY" = redis ] || start_henge henge3 $((BASE_PORT + 1010)) 3 interval
    load henge3
    load redis3
    local kind rate round levels wait
    for kind in get set; do
        wait=$([ $kind = set ] && echo "--wait 1" || true)
        rate=$(half_of_saturation henge3 redis3 "--r 2 --w 2" "$wait" --workload $kind)
        echo "three nodes, $kind at $rate per second" >&2
        for ((round = 1; round <= ROUNDS; round++)); do
            for levels in 1,3 3,1 2,2 1,1; do
                measure "r${levels%,*}-w${levels#*,}-$kind" henge3 $round --workload $kind --rate "$rate" \
                    --r "${levels%,*}" --w "${levels#*,}" --seed $round
            done
            # shellcheck disable=SC2086
            measure "three-$kind" redis3 $round --workload $kind --rate "$rate" $wait --seed $round
        done
        # One run of Redis per round stands beside each of the levels.
        for levels in r1-w3 r3-w1 r2-w2 r1-w1; do
            for ((round = 1; round <= ROUNDS; round++)); do
                cp "$RESULTS/three-$kind.redis3.$round.json" "$RESULTS/$levels-$kind.redis3.$round.json"
            done
        done
    done
}

one
three
compare <<CASES
one-get   henge  redis  - p50 p99 p99.9
one-set   henge  redis  - p50 p99 p99.9
r1-w3-get henge3 redis3 - p50 p99 p99.9
r1-w3-set henge3 redis3 - p50 p99 p99.9
r3-w1-get henge3 redis3 - p50 p99 p99.9
r3-w1-set henge3 redis3 - p50 p99 p99.9
r2-w2-get henge3 redis3 - p50 p99 p99.9
r2-w2-set henge3 redis3 - p50 p99 p99.9
r1-w1-get henge3 redis3 - p50 p99 p99.9
r1-w1-set henge3 redis3 - p50 p99 p99.9
CASES
