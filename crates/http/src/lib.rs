//! HTTP and JSON over the same vocabulary
