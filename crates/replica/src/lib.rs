//! What a node does for the partitions that it owns
