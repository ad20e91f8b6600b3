//! What a client may ask and what it may be told
