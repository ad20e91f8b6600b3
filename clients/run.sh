#!/usr/bin/env bash
# Runs the tests with other languages' clients; see README.md.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
installed="$root/target/clients"

# The program, unless one is given.
if [ -z "${HENGE_BIN:-}" ]; then
  cargo build --quiet --manifest-path "$root/Cargo.toml" --package henge
  export HENGE_BIN=$root/target/debug/henge
fi

# The cluster for the tests, unless one is given.
start_cluster() {
  work=$(mktemp -d)
  "$HENGE_BIN" dev --data "$work/data" --resp-port 17001 --cluster-port 17101 --http-port 18001 --peer-port 19001 \
    >"$work/log" 2>&1 &
  cluster=$!
  trap 'kill "$cluster" 2>/dev/null || true; wait "$cluster" 2>/dev/null || true; rm -rf "$work"' EXIT
  for _ in $(seq 100); do
    grep -q ready "$work/log" && break
    kill -0 "$cluster" 2>/dev/null || { cat "$work/log"; exit 1; }
    sleep 0.1
  done
  export HENGE_TEST_RESP=127.0.0.1:17001,127.0.0.1:17002,127.0.0.1:17003
  export HENGE_TEST_CLUSTER=127.0.0.1:17101,127.0.0.1:17102,127.0.0.1:17103
}

install_python() {
  local venv="$installed/python"
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/python/requirements.txt"
}

install_node() {
  mkdir -p "$installed/node"
  cp "$here"/node/* "$installed/node/"
  (cd "$installed/node" && npm install --silent --no-audit --no-fund --no-package-lock)
}

install_python
install_node
export HENGE_NODE_CLIENT=$installed/node
if [ -z "${HENGE_TEST_RESP:-}" ]; then start_cluster; fi

echo "redis-py"
(cd "$here/python" && PYTHONDONTWRITEBYTECODE=1 "$installed/python/bin/python" -m unittest)
echo "node-redis"
(cd "$installed/node" && node --test)
