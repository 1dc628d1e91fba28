//! [pure] Documents inside other encodings: a JSON value where people read it, bytes or a name elsewhere.

use std::fmt;

use bytes::Bytes;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

use super::{Data, DataName, MAX_BYTES};

/// A JSON value where people read it; elsewhere bytes, or the name of a document that is kept elsewhere.
impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            if !self.is_to_be_had() {
                let what = format!("the document {self} cannot be had");
                return Err(ser::Error::custom(what));
            }
            return self.to_json().serialize(serializer);
        }
        match self.name() {
            Some(name) => name.serialize(serializer),
            None => serializer.serialize_bytes(self.as_bytes()),
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            serde_json::Value::deserialize(deserializer).map(Self::from)
        } else {
            deserializer.deserialize_any(BytesOrName)
        }
    }
}

struct BytesOrName;

impl<'de> Visitor<'de> for BytesOrName {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a document or its name")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Data, E> {
        Data::from_bytes(Bytes::copy_from_slice(bytes)).map_err(E::custom)
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Data, E> {
        Data::from_bytes(bytes.into()).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Data, A::Error> {
        let hash: Option<serde_bytes::ByteArray<32>> = parts.next_element()?;
        let len: Option<u64> = parts.next_element()?;
        let (Some(hash), Some(len)) = (hash, len) else {
            return Err(de::Error::custom("the name of a document is cut off"));
        };
        if usize::try_from(len).map_or(true, |len| len > MAX_BYTES) {
            return Err(de::Error::custom("the named document is too large"));
        }
        let hash = hash.into_array();
        Ok(Data::kept(DataName { hash, len }, None))
    }
}
