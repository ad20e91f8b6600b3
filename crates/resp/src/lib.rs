//! RESP2 and RESP3: a pure codec, one command table, sessions
