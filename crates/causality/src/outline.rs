//! What tells of a record whether another one has anything that it lacks, and nothing else: a few bytes in place of the values.
//!
//! Two owners of a key compare what they hold. Where one of them has all that the other has, what is older need not travel to be
//! found out to be older: the one that asks says what it holds in outline, and who is asked says that this is enough.
//!
//! ```text
//! outline   kind u8 = 1 (lww)       stamp u64 | dot
//!           kind u8 = 2 (siblings)  known, as in a record of siblings (`codec/siblings.rs`) | count varint | dot for each
//! dot       incarnation u64 | stint varint | counter varint
//! ```
//!
//! Always true: [`Outline::has_all_of`] says so only where merging the other record into the one that was outlined gives that one
//! again, byte for byte. Where the outline does not tell, it says no, and the record travels. So a sibling is never taken for known
//! because its writer's later writes are, a delete never for known because what it deletes is, and a change to a register beside a
//! version that both have is never overlooked: of a version that stands in both, an outline does not tell enough.

use bytes::{BufMut, Bytes};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{Incarnation, Stint};

use crate::codec::{KIND_LWW, KIND_SIBLINGS, Reader, put_known, put_varint, read_known};
use crate::{Actor, DecodeError, Dot, DottedVector, Record, Stamp};

/// The fewest bytes that a dot takes.
const DOT_BYTES_MIN: usize = 8 + 1 + 1;

/// A record in outline.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outline {
    /// Of an `lww` record: the rank of its version.
    Lww {
        /// The version's stamp.
        stamp: Stamp,
        /// Its dot.
        dot: Dot,
    },
    /// Of a record that keeps siblings.
    Siblings {
        /// The writes that it knows.
        seen: DottedVector,
        /// Which of those stand.
        standing: Vec<Dot>,
    },
}

impl Record {
    /// This record in outline.
    pub fn outline(&self) -> Outline {
        match self {
            Record::Lww(lww) => Outline::Lww { stamp: lww.version().stamp, dot: lww.version().dot },
            Record::Siblings(siblings) => Outline::Siblings {
                seen: siblings.seen().clone(),
                standing: siblings.versions().iter().map(|version| version.dot).collect(),
            },
        }
    }
}

impl Outline {
    /// Whether the record that this is of would stay as it is, were `other` merged into it. No, where an outline does not tell.
    pub fn has_all_of(&self, other: &Record) -> bool {
        match (self, other) {
            (Outline::Lww { stamp, dot }, Record::Lww(other)) => {
                (*stamp, *dot) > (other.version().stamp, other.version().dot)
            }
            (Outline::Siblings { seen, standing }, Record::Siblings(other)) => {
                // All that stands with the other was covered here, and of what stands here he has never heard: else he has it too,
                // and perhaps with another end, or he has let go of it.
                seen.descends(other.seen()) && standing.iter().all(|dot| !other.seen().covers(dot))
            }
            (Outline::Lww { .. }, Record::Siblings(_)) | (Outline::Siblings { .. }, Record::Lww(_)) => false,
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Outline::Lww { stamp, dot } => {
                out.put_u8(KIND_LWW);
                out.put_u64_le(stamp.0);
                put_dot(&mut out, dot);
            }
            Outline::Siblings { seen, standing } => {
                out.put_u8(KIND_SIBLINGS);
                put_known(&mut out, seen);
                put_varint(&mut out, standing.len() as u64);
                standing.iter().for_each(|dot| put_dot(&mut out, dot));
            }
        }
        out
    }

    /// Reads an outline from all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`], for anything that no outline is. Memory grows with the bytes that came, not with the counts that they claim.
    pub fn decode(bytes: Bytes) -> Result<Outline, DecodeError> {
        let mut reader = Reader::new(bytes, 0);
        let outline = match reader.u8()? {
            KIND_LWW => Outline::Lww { stamp: Stamp(reader.u64()?), dot: read_dot(&mut reader)? },
            KIND_SIBLINGS => {
                let seen = read_known(&mut reader)?;
                let count = reader.count(DOT_BYTES_MIN)?;
                let standing = (0..count).map(|_| read_dot(&mut reader)).collect::<Result<_, _>>()?;
                Outline::Siblings { seen, standing }
            }
            _ => return Err(reader.malformed("an unknown kind")),
        };
        reader.finish()?;
        Ok(outline)
    }
}

fn put_dot(out: &mut Vec<u8>, dot: &Dot) {
    out.put_u64_le(dot.actor.incarnation.0);
    put_varint(out, u64::from(dot.actor.stint.0));
    put_varint(out, dot.counter);
}

fn read_dot(reader: &mut Reader) -> Result<Dot, DecodeError> {
    let incarnation = Incarnation(reader.u64()?);
    let stint = u32::try_from(reader.varint()?).map_err(|_| reader.malformed("a stint above 32 bits"))?;
    Ok(Dot { actor: Actor { incarnation, stint: Stint(stint) }, counter: reader.varint()? })
}

impl Serialize for Outline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Outline, D::Error> {
        let bytes = Vec::deserialize(deserializer)?;
        Outline::decode(Bytes::from(bytes)).map_err(D::Error::custom)
    }
}
