#!/usr/bin/env bash
# What it costs that owners compare what they have: CPU time of three nodes at rest that each own all of KEYS keys (a million
# unless set), and, where BEFORE names another build of henge, CPU time per write beside that, in interleaved rounds.
# Goals: at rest less than 1 % of a core per node; per write at most 1.1 times.
KEYS=${KEYS:-1000000}
VALUE_SIZE=${VALUE_SIZE:-100}
TOOLS="python3 curl"                 # no Redis has a part in this
source "$(dirname "$0")/common.sh"
REST=${REST:-60}                     # seconds at rest that are measured

figure() { curl -fsS "http://127.0.0.1:$1/metrics" | awk -v name="henge_$2" '$1 == name { print $2 }'; }

# Nothing left to build, nothing known to differ, everything compared since.
is_equal() {
    local node http
    for node in 1 2 3; do
        http=$((BASE_PORT + node + 199))
        [ "$(figure $http trees_unbuilt)" = 0 ] && [ "$(figure $http exchange_differing_keys)" = 0 ] \
            && [ "$(figure $http exchange_agreeing_pairs)" = "$(figure $http exchange_pairs)" ] || return 1
    done
}

# Clock ticks of a process so far.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

start_henge henge $BASE_PORT 3 interval
load henge
await is_equal
sleep 15

declare -A BEGIN
for pid in ${PIDS[henge]}; do BEGIN[$pid]=$(ticks "$pid"); done
rounds=$(figure $((BASE_PORT + 200)) exchange_rounds_total)
sleep "$REST"
worst=0
for pid in ${PIDS[henge]}; do
    used=$(($(ticks "$pid") - BEGIN[$pid]))
    share=$(awk -v used=$used -v rest="$REST" -v hertz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f", 100 * used / hertz / rest }')
    echo "at rest, $KEYS keys, 3 owners: $share % of a core (goal: below 1)"
    worst=$(awk -v a="$worst" -v b="$share" 'BEGIN { print (a > b) ? a : b }')
done
rounds=$(($(figure $((BASE_PORT + 200)) exchange_rounds_total) - rounds))
echo "comparisons by one node meanwhile: $rounds; memory for its trees: $(figure $((BASE_PORT + 200)) tree_memory_bytes) bytes"

if [ -n "${BEFORE:-}" ]; then
    HENGE=$BEFORE start_henge before $((BASE_PORT + 1000)) 3 interval
    load before
    for ((round = 1; round <= ROUNDS; round++)); do
        for server in henge before; do
            measure set $server $round --workload set --w 2 --seed $round
        done
    done
    compare <<CASES
set henge before 1.1 cpu p50 p99
CASES
fi
awk -v worst="$worst" 'BEGIN { exit worst < 1 ? 0 : 1 }'
