//! [pure] Tags: what a member says of itself, in the metadata of its alive message.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::Error;
use crate::wire::memberlist::META_BYTES_MAX;
use crate::wire::msgpack::{Decoder, Encoder};

/// The most bytes that all tags of a member take together, encoded.
pub const TAGS_BYTES_MAX: usize = META_BYTES_MAX;
/// The first byte of encoded tags. Metadata without it is the role of a member from before there were tags.
const MAGIC: u8 = 0xff;
/// The most tags that fit: each takes two bytes at least.
const TAGS_MAX: usize = TAGS_BYTES_MAX / 2;
/// The tag that a member without tags has.
const ROLE: &str = "role";

/// Keys and values. What is no text in those of other members is replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(pub BTreeMap<String, String>);

impl Tags {
    /// Reads the metadata of a member.
    ///
    /// # Errors
    /// When it begins as tags do and is none, is longer than [`TAGS_BYTES_MAX`], or cut.
    pub fn decode(meta: &Bytes) -> Result<Self, Error> {
        too_large(meta.len())?;
        let mut decoder = Decoder::new(meta);
        if meta.first() != Some(&MAGIC) {
            let role = String::from_utf8_lossy(meta).into_owned();
            return Ok(Self(BTreeMap::from([(ROLE.to_owned(), role)])));
        }
        decoder.byte()?;
        Self::decode_from(&mut decoder, TAGS_MAX)
    }

    /// Reads the map alone, as in conflict responses and RPC.
    ///
    /// # Errors
    /// When it is no map of strings, has more than `tags_max` pairs, or is cut.
    pub fn decode_from(decoder: &mut Decoder<'_>, tags_max: usize) -> Result<Self, Error> {
        let mut tags = BTreeMap::new();
        for _ in 0..decoder.map(tags_max)? {
            let key = decoder.string(usize::MAX)?;
            tags.insert(key, decoder.string(usize::MAX)?);
        }
        Ok(Self(tags))
    }

    /// Writes the metadata of a member.
    ///
    /// # Errors
    /// When it would be longer than [`TAGS_BYTES_MAX`]; says how long.
    pub fn to_bytes(&self) -> Result<Bytes, Error> {
        let mut out = BytesMut::new();
        out.put_u8(MAGIC);
        self.encode_into(&mut Encoder::gossip(&mut out));
        too_large(out.len())?;
        Ok(out.freeze())
    }

    /// Writes the map alone, as in conflict responses and RPC.
    pub fn encode_into(&self, encoder: &mut Encoder<'_>) {
        encoder.map(self.0.len());
        for (key, value) in &self.0 {
            encoder.text(key);
            encoder.text(value);
        }
    }
}

fn too_large(bytes: usize) -> Result<(), Error> {
    if bytes > TAGS_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "tags in bytes",
            found: u64::try_from(bytes).unwrap_or(u64::MAX),
            max: TAGS_BYTES_MAX,
        });
    }
    Ok(())
}
