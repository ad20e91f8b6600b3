//! A whole cluster on virtual time from one seed
