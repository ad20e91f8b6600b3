#!/usr/bin/env bash
# Three Henge nodes (N=3, W=2) beside a Redis Cluster of three masters with a replica each and WAIT 1: CPU time of all
# server processes together per operation, as ratios in interleaved rounds.
# Goals: SET interval beside everysec 1.5; SET always beside always 1.0; GET R=1 at an owner 1.5, GET R=2 4.
source "$(dirname "$0")/common.sh"

# One durability after the other: twice nine servers at once would not leave two cores to the ones that are measured.
start_redis_cluster redis-everysec $((BASE_PORT)) everysec
[ "$ONLY" = redis ] || start_henge henge-interval $((BASE_PORT + 1000)) 3 interval
for server in henge-interval redis-everysec; do load $server; done
for ((round = 1; round <= ROUNDS; round++)); do
    measure set-interval henge-interval $round --workload set --w 2 --seed $round
    measure set-interval redis-everysec $round --workload set --wait 1 --seed $round
    # Cluster clients send each key to one of its owners: no hop.
    measure get-r1 henge-interval-cluster $round --workload get --r 1 --seed $round
    measure get-r1 redis-everysec $round --workload get --seed $round
    measure get-r2 henge-interval-cluster $round --workload get --r 2 --seed $round
    measure get-r2 redis-everysec $round --workload get --seed $round
done
stop_all

start_redis_cluster redis-always $((BASE_PORT + 10)) always
[ "$ONLY" = redis ] || start_henge henge-always $((BASE_PORT + 1010)) 3 always
for server in henge-always redis-always; do load $server; done
for ((round = 1; round <= ROUNDS; round++)); do
    measure set-always henge-always $round --workload set --w 2 --seed $round
    measure set-always redis-always $round --workload set --wait 1 --seed $round
done

compare <<CASES
set-interval henge-interval         redis-everysec 1.5 cpu p50 p99
set-always   henge-always           redis-always   1.0 cpu p50 p99
get-r1       henge-interval-cluster redis-everysec 1.5 cpu p50 p99
get-r2       henge-interval-cluster redis-everysec 4.0 cpu p50 p99
CASES
