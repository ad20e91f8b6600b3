#!/usr/bin/env bash
# One node with several shards beside one with one: CPU per operation, operations per second and latency, as ratios in
# interleaved rounds. On two cores it tells what dividing costs; what it gains shows on a machine with more.
source "$(dirname "$0")/common.sh"

SHARDS=${SHARDS:-2 4}
for shards in 1 $SHARDS; do
    HENGE_SHARDS=$shards start_henge shards$shards $((BASE_PORT + 10 * shards)) 1 always
    load shards$shards
done

for ((round = 1; round <= ROUNDS; round++)); do
    for shards in 1 $SHARDS; do measure get shards$shards $round --workload get --seed $round; done
    for shards in 1 $SHARDS; do measure set shards$shards $round --workload set --seed $round; done
    for shards in 1 $SHARDS; do measure get-pipelined shards$shards $round --workload get --pipeline 16 --seed $round; done
done

for shards in $SHARDS; do
    for case in get set get-pipelined; do echo "$case shards$shards shards1 - cpu rate p50 p99"; done
done | compare
