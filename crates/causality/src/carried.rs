//! How contexts and stamps travel inside messages between nodes: a context as its token (unbound, because the key is in
//! the same message), a stamp as its number. Decoding is as strict as that of a client's token.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Context, Stamp};

/// The binding of a token that no client is ever given.
const UNBOUND: u32 = 0;

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_token(UNBOUND))
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Context, D::Error> {
        let token = String::deserialize(deserializer)?;
        Context::from_token(&token, UNBOUND).map_err(D::Error::custom)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stamp, D::Error> {
        u64::deserialize(deserializer).map(Stamp)
    }
}
