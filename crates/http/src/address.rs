//! Which key, keyspace or node a path names. A key is any bytes, percent-decoded, which is why this reads the path itself: the
//! router's own parameters are text and refuse what is not UTF-8. So the API description of these segments is made here too.

use std::sync::Arc;

use api::{KeyspaceStatus, Operation, Request, Status};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use bytes::Bytes;
use ring::context_binding;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, PartialSchema};

use crate::front::Shared;
use crate::percent;
use crate::problem::Problem;

/// `/v1/keyspaces/{keyspace}/...` and `/v1/explain/{keyspace}/...` name the keyspace in this segment, and `/v1/nodes/{name}/...`
/// the node, `/v1/partitions/{partition}/...` the partition. The segment before the first slash is empty.
const NAME_SEGMENT: usize = 3;

/// A keyspace that exists.
#[derive(Clone)]
pub(crate) struct KeyspaceAddress {
    status: Arc<Status>,
    place: usize,
}

impl KeyspaceAddress {
    /// What the keyspace promises.
    pub(crate) fn keyspace(&self) -> &KeyspaceStatus {
        &self.status.keyspaces[self.place]
    }

    /// A key of this keyspace.
    pub(crate) fn with_key(self, key: Bytes) -> KeyAddress {
        KeyAddress { keyspace: self, key }
    }
}

/// A key of a keyspace that exists.
#[derive(Clone)]
pub(crate) struct KeyAddress {
    keyspace: KeyspaceAddress,
    pub(crate) key: Bytes,
}

impl KeyAddress {
    /// What the keyspace of the key promises.
    pub(crate) fn keyspace(&self) -> &KeyspaceStatus {
        self.keyspace.keyspace()
    }

    /// What binds contexts to this key.
    pub(crate) fn binding(&self) -> u32 {
        context_binding(self.keyspace().id, &self.key)
    }

    /// The request to do `operation` with this key.
    pub(crate) fn request(&self, operation: Operation) -> Request {
        Request::key(self.keyspace().id, self.key.clone(), operation)
    }

    /// The path of this key.
    pub(crate) fn path(&self) -> String {
        let keyspace = percent::encode_segment(self.keyspace().name.as_bytes());
        format!("/v1/keyspaces/{keyspace}/keys/{}", percent::encode_segment(&self.key))
    }
}

impl FromRequestParts<Shared> for KeyspaceAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, front: &Shared) -> Result<KeyspaceAddress, Problem> {
        let name = name(parts, "the name of the keyspace")?;
        let status = front.status();
        let wanted = status.keyspace(&name).map(|keyspace| keyspace.id);
        let place = status.keyspaces.iter().position(|keyspace| Some(keyspace.id) == wanted);
        let place = place.ok_or_else(|| Problem::no_such_keyspace(&name, &status))?;
        Ok(KeyspaceAddress { status, place })
    }
}

/// A keyspace to be changed, by name. Whether there is one is for those to say who keep the cluster state: this node may not have
/// heard of it yet.
pub(crate) struct KeyspaceName(pub(crate) String);

impl FromRequestParts<Shared> for KeyspaceName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, front: &Shared) -> Result<KeyspaceName, Problem> {
        let name = name(parts, "the name of the keyspace")?;
        let known = front.status().keyspace(&name).map(|keyspace| keyspace.name.clone());
        Ok(KeyspaceName(known.unwrap_or(name)))
    }
}

/// A node to be changed, by name; there too others say whether there is one.
pub(crate) struct NodeName(pub(crate) String);

impl FromRequestParts<Shared> for NodeName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<NodeName, Problem> {
        Ok(NodeName(name(parts, "the name of the node")?))
    }
}

/// A partition, by number; there too others say whether there is one.
pub(crate) struct PartitionNumber(pub(crate) u16);

impl FromRequestParts<Shared> for PartitionNumber {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<PartitionNumber, Problem> {
        let number = name(parts, "the number of the partition")?;
        number.parse().map(PartitionNumber).map_err(|_| {
            Problem::invalid(format!(
                "`{number}` is no partition: want its number, such as 17 (GET /v1/hot names some)"
            ))
        })
    }
}

impl FromRequestParts<Shared> for KeyAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, front: &Shared) -> Result<KeyAddress, Problem> {
        let keyspace = KeyspaceAddress::from_request_parts(parts, front).await?;
        let segment = parts.uri.path().rsplit('/').next().unwrap_or_default();
        let key = decode(segment, "the key")?;
        Ok(keyspace.with_key(Bytes::from(key)))
    }
}

impl IntoParams for KeyspaceAddress {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter("keyspace", "Name or number of the keyspace", "default")]
    }
}

impl IntoParams for KeyspaceName {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        KeyspaceAddress::into_params(place)
    }
}

impl IntoParams for NodeName {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter("name", "Name of the node", "n4")]
    }
}

impl IntoParams for PartitionNumber {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter("partition", "Number of the partition", "17")]
    }
}

impl IntoParams for KeyAddress {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut params = KeyspaceAddress::into_params(place);
        params.push(parameter("key", "The key: any bytes, percent-encoded; a slash is %2F", "greeting"));
        params
    }
}

fn parameter(name: &str, description: &str, example: &str) -> Parameter {
    Parameter::builder()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(String::schema()))
        .example(Some(example.into()))
        .build()
}

fn name(parts: &Parts, what: &str) -> Result<String, Problem> {
    let segment = parts.uri.path().split('/').nth(NAME_SEGMENT).unwrap_or_default();
    String::from_utf8(decode(segment, what)?)
        .map_err(|_| Problem::invalid(format!("{what} in the path is not UTF-8")))
}

fn decode(segment: &str, what: &str) -> Result<Vec<u8>, Problem> {
    let decoded = percent::decode(segment).ok_or_else(|| {
        Problem::invalid(format!(
            "{what} in the path has a % that is not followed by two hexadecimal digits; a percent sign itself is written %25"
        ))
    })?;
    Ok(decoded.into_owned())
}
