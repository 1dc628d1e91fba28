//! [pure] Network coordinates as acks carry them.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::Error;
use crate::wire::msgpack::{Decoder, Encoder};

/// Of the space that coordinates lie in; every Serf agent has so many.
pub const DIMENSIONS: usize = 8;
/// The first byte of a coordinate in an ack.
const VERSION: u8 = 1;

/// Where a member lies among the others, by the time that packets take. All in seconds.
///
/// Nothing says that the numbers are finite: whoever computes with them looks first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinate {
    /// The place.
    pub vector: [f64; DIMENSIONS],
    /// How unsure the place is.
    pub error: f64,
    /// What measured times differ from computed ones by.
    pub adjustment: f64,
    /// The way from the member to the space that all share.
    pub height: f64,
}

impl Coordinate {
    /// Reads the payload of an ack.
    ///
    /// # Errors
    /// When it is empty, of another version, of other dimensions, cut, or wrong in a field.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        let Ok(version) = decoder.byte() else {
            return Err(Error::Empty {
                what: "a coordinate",
            });
        };
        if version != VERSION {
            return Err(Error::Unknown {
                what: "version of coordinates",
                code: version.into(),
            });
        }
        Self::decode_from(&mut decoder)
    }

    /// Reads the structure alone, as in RPC.
    ///
    /// # Errors
    /// When it is of other dimensions, cut, or wrong in a field.
    pub fn decode_from(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let fields = ["Vec", "Error", "Adjustment", "Height"];
        let mut read = Self {
            vector: [0.0; DIMENSIONS],
            error: 0.0,
            adjustment: 0.0,
            height: 0.0,
        };
        let mut dimensions = 0;
        decoder.fields("coordinate", &fields, |decoder, field| {
            match field {
                "Vec" => {
                    dimensions = decoder.array(DIMENSIONS)?;
                    for place in read.vector.iter_mut().take(dimensions) {
                        *place = decoder.float()?;
                    }
                }
                "Error" => read.error = decoder.float()?,
                "Adjustment" => read.adjustment = decoder.float()?,
                _ => read.height = decoder.float()?,
            }
            Ok(())
        })?;
        if dimensions != DIMENSIONS {
            return Err(Error::Unknown {
                what: "number of dimensions",
                code: u64::try_from(dimensions).unwrap_or(u64::MAX),
            });
        }
        Ok(read)
    }

    /// Writes the payload of an ack.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let mut out = BytesMut::with_capacity(130);
        out.put_u8(VERSION);
        self.encode_into(&mut Encoder::gossip(&mut out));
        out.freeze()
    }

    /// Writes the structure alone, as in RPC.
    pub fn encode_into(&self, encoder: &mut Encoder<'_>) {
        encoder.map(4);
        encoder.key("Adjustment").float(self.adjustment);
        encoder.key("Error").float(self.error);
        encoder.key("Height").float(self.height);
        encoder.key("Vec").array(DIMENSIONS);
        for place in self.vector {
            encoder.float(place);
        }
    }
}
