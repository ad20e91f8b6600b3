# Shared by the comparison scripts; sourced, not run. Starts servers on loopback, runs `henge bench` against them in
# turns, and stops exactly what it started.
#
# What a script does:
#   start_redis NAME PORT appendfsync            one Redis
#   start_redis_cluster NAME PORT appendfsync    three masters with a replica each, on PORT..PORT+5
#   start_henge NAME PORT nodes durability       Henge; RESP on PORT.., cluster on PORT+100.., HTTP +200, peers +300
#   load NAME                                    all keys, once
#   measure CASE NAME ROUND flag...              one run; the report goes to $RESULTS/CASE.NAME.ROUND.json
#   compare                                      reads lines of "CASE HENGE REDIS GOAL METRIC", prints ratios
#
# TARGET[NAME] holds the flags that reach the server, PIDS[NAME] all its processes.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HENGE=${HENGE:-$ROOT/target/release/henge}
BENCH=${BENCH:-$HENGE bench}
ONLY=${ONLY:-}                       # "redis" leaves Henge out: to try the scripts, or to know a machine
ROUNDS=${ROUNDS:-5}
DURATION=${DURATION:-5s}
WARMUP=${WARMUP:-1s}
KEYS=${KEYS:-100000}
VALUE_SIZE=${VALUE_SIZE:-1024}
CONNECTIONS=${CONNECTIONS:-50}
BASE_PORT=${BASE_PORT:-17000}

declare -A TARGET PIDS
STARTED=()

die() { echo "$*" >&2; exit 1; }

for tool in ${TOOLS:-redis-server redis-cli python3 curl}; do
    command -v "$tool" >/dev/null || die "$tool is needed and not installed"
done
if [ "$ONLY" != redis ] && [ ! -x "$HENGE" ]; then
    die "no program at $HENGE: build it (cargo build --release), name it in HENGE, or set ONLY=redis"
fi

# On a file system in memory a flush costs nothing, and `always` would be measured as if disks were free.
WORK=$(mktemp -d -p "${BENCH_DIR:-/var/tmp}" henge-bench.XXXXXX)
RESULTS=$WORK/results
mkdir "$RESULTS"
if [ "$(stat -f -c %T "$WORK")" = tmpfs ]; then
    echo "warning: $WORK is in memory, flushes are free there; set BENCH_DIR to a directory on a disk" >&2
fi

stop_all() {
    local pid
    for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${STARTED[@]}"; do wait "$pid" 2>/dev/null || true; done
    STARTED=()
}

finish() {
    local status=$?
    trap - EXIT
    stop_all
    if [ "$status" -ne 0 ]; then
        echo "a goal was missed or a step failed; logs and results are kept in $WORK" >&2
    elif [ -n "${KEEP:-}" ]; then
        echo "results are kept in $RESULTS"
    else
        rm -rf "$WORK"
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# await COMMAND...: until it succeeds, for at most 30 seconds.
await() {
    local i
    for ((i = 0; i < 300; i++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    die "not ready after 30 seconds: $*"
}

answers_ping() { [ "$(redis-cli -p "$1" PING)" = PONG ]; }

# A port that is in use would mean measuring somebody else's server.
require_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || die "port $1 is in use; set BASE_PORT"; }

# spawn_redis NAME PORT FSYNC flag...: rewrites of the log are off, because their CPU time would come at random.
spawn_redis() {
    local name=$1 port=$2 fsync=$3 dir
    shift 3
    require_free "$port"
    dir=$WORK/$name-$port
    mkdir "$dir"
    redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' --appendonly yes --appendfsync "$fsync" \
        --auto-aof-rewrite-percentage 0 "$@" >"$dir/log" 2>&1 &
    STARTED+=($!)
    PIDS[$name]="${PIDS[$name]:-} $!"
}

start_redis() {
    local name=$1 port=$2 fsync=$3
    spawn_redis "$name" "$port" "$fsync"
    await answers_ping "$port"
    TARGET[$name]="--addresses 127.0.0.1:$port"
}

cluster_is_whole() {
    local port
    for port in "$@"; do
        redis-cli -p "$port" CLUSTER INFO | grep -q 'cluster_state:ok' || return 1
    done
    [ "$(redis-cli -p "$1" CLUSTER SLOTS | grep -c '^127.0.0.1$')" -eq 6 ]
}

start_redis_cluster() {
    local name=$1 first=$2 fsync=$3 port nodes=() ports=()
    for ((port = first; port < first + 6; port++)); do
        spawn_redis "$name" "$port" "$fsync" --cluster-enabled yes --cluster-port $((port + 50))
        nodes+=("127.0.0.1:$port")
        ports+=("$port")
    done
    for port in "${ports[@]}"; do await answers_ping "$port"; done
    redis-cli --cluster create "${nodes[@]}" --cluster-replicas 1 --cluster-yes >"$WORK/$name.create" 2>&1 \
        || die "the Redis Cluster could not be made: $(tail -3 "$WORK/$name.create")"
    await cluster_is_whole "${ports[@]}"
    TARGET[$name]="--addresses ${nodes[0]},${nodes[1]},${nodes[2]} --cluster"
}

# henge_config NAME PORT NODES DURABILITY NUMBER: the configuration of one node, all members fixed. N is the number of
# nodes, or REPLICAS; W and R are majorities; quorums are strict, or what QUORUM says.
henge_config() {
    local name=$1 port=$2 nodes=$3 durability=$4 number=$5 i
    local replicas=${REPLICAS:-$nodes}
    cat <<TOML
[node]
id = "n$number"
data_dir = "$WORK/$name/n$number"
[listen]
resp = "127.0.0.1:$((port + number - 1))"
cluster = "127.0.0.1:$((port + number + 99))"
http = "127.0.0.1:$((port + number + 199))"
peer = "127.0.0.1:$((port + number + 299))"
[cluster]
name = "$name"
TOML
    for ((i = 1; i <= nodes; i++)); do
        cat <<TOML
[[cluster.members]]
id = "n$i"
resp = "127.0.0.1:$((port + i - 1))"
cluster = "127.0.0.1:$((port + i + 99))"
http = "127.0.0.1:$((port + i + 199))"
peer = "127.0.0.1:$((port + i + 299))"
TOML
    done
    # A cluster of one has quorums of one. W = 2 of 3, and R is what each run asks for.
    cat <<TOML
[[keyspaces]]
name = "default"
n = $replicas
r = $(((replicas + 1) / 2))
w = $(((replicas + 1) / 2))
quorum = "${QUORUM:-strict}"
durability = "$durability"
TOML
}

# start_henge NAME PORT NODES DURABILITY
start_henge() {
    local name=$1 port=$2 nodes=$3 durability=$4 i addresses=() config
    mkdir "$WORK/$name"
    for ((i = 1; i <= nodes; i++)); do
        require_free $((port + i - 1))
        config=$WORK/$name/n$i.toml
        henge_config "$name" "$port" "$nodes" "$durability" "$i" >"$config"
        "$HENGE" server --config "$config" >"$WORK/$name/n$i.log" 2>&1 &
        STARTED+=($!)
        PIDS[$name]="${PIDS[$name]:-} $!"
    done
    for ((i = 1; i <= nodes; i++)); do
        await curl -fsS "http://127.0.0.1:$((port + i + 199))/readyz"
        addresses+=("127.0.0.1:$((port + i - 1))")
    done
    TARGET[$name]="--addresses $(IFS=,; echo "${addresses[*]}")"
    # The same nodes through the listener that cluster clients use.
    TARGET[$name-cluster]="--addresses 127.0.0.1:$((port + 100)) --cluster"
    PIDS[$name-cluster]=${PIDS[$name]}
}

# bench NAME flag...: one run against a server, with all its processes' CPU time.
bench() {
    local name=$1 pid pids=()
    shift
    for pid in ${PIDS[$name]}; do pids+=(--server-pid "$pid"); done
    # BENCH and TARGET are lists of words on purpose.
    # shellcheck disable=SC2086
    $BENCH ${TARGET[$name]} "${pids[@]}" --keys "$KEYS" --value-size "$VALUE_SIZE" --connections "$CONNECTIONS" \
        --warmup "$WARMUP" --quiet "$@"
}

has() { [ -n "${TARGET[$1]:-}" ]; }

load() {
    has "$1" || return 0
    echo "loading $KEYS keys into $1" >&2
    bench "$1" --load-only
}

# measure CASE NAME ROUND flag...
measure() {
    local case=$1 name=$2 round=$3
    shift 3
    has "$name" || return 0
    echo "round $round: $case on $name" >&2
    bench "$name" --duration "$DURATION" --json "$RESULTS/$case.$name.$round.json" "$@" >/dev/null
}

# saturation NAME flag...: operations per second of a closed loop.
saturation() {
    bench "$1" --duration "$DURATION" --json - "${@:2}" | python3 -c \
        'import json, sys; print(int(json.load(sys.stdin)["throughput_per_second"]))'
}

compare() { python3 "$ROOT/bench/ratios.py" "$RESULTS"; }
