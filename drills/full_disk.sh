#!/usr/bin/env bash
# Fills a real file system of 256 MB with values until the node refuses them, kills it, deletes half, stores as much again,
# and kills it once more; nothing that was acknowledged may be missing. Needs Linux with user namespaces (or root), so that
# it can mount a file system that nobody else sees.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked --quiet -p henge --test processes --no-run
HENGE_SMALL_DISK=$(mktemp -d)
export HENGE_SMALL_DISK
trap 'rmdir "$HENGE_SMALL_DISK"' EXIT
unshare --user --map-root-user --mount bash -euc '
    mount -t tmpfs -o size=256m henge-drill "$HENGE_SMALL_DISK"
    cargo test --locked --quiet -p henge --test processes -- --ignored --nocapture a_disk_fills_up
'
