//! One process: event loop, shard, transport, a cheap handle
