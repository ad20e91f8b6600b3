//! Every message between nodes, versioned, framed and checksummed
