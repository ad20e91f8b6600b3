#!/usr/bin/env bash
# One Henge node beside one Redis: server CPU per operation and latency, as ratios in interleaved rounds.
# Goals: at most 1.3 times Redis; pipelined 16 deep at most 2 times.
source "$(dirname "$0")/common.sh"

start_redis redis-everysec $((BASE_PORT)) everysec
start_redis redis-always $((BASE_PORT + 1)) always
if [ "$ONLY" != redis ]; then
    start_henge henge-interval $((BASE_PORT + 1000)) 1 interval
    start_henge henge-always $((BASE_PORT + 1010)) 1 always
fi
for server in henge-interval redis-everysec henge-always redis-always; do load $server; done

for ((round = 1; round <= ROUNDS; round++)); do
    for server in henge-interval redis-everysec; do
        measure get $server $round --workload get --seed $round
    done
    for server in henge-interval redis-everysec; do
        measure set-interval $server $round --workload set --seed $round
    done
    for server in henge-always redis-always; do
        measure set-always $server $round --workload set --seed $round
    done
    for server in henge-interval redis-everysec; do
        measure get-pipelined $server $round --workload get --pipeline 16 --seed $round
    done
done

compare <<CASES
get           henge-interval redis-everysec 1.3 cpu p50 p99
set-interval  henge-interval redis-everysec 1.3 cpu p50 p99
set-always    henge-always   redis-always   1.3 cpu p50 p99
get-pipelined henge-interval redis-everysec 2.0 cpu p50 p99
CASES
