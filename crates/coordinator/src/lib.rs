//! One state machine for each client operation: quorums, repair, honest results
