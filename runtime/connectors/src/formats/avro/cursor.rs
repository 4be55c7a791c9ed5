//! Reads Avro's primitives from a record's bytes.

use super::super::refused::Refused;

/// Most items of a record's arrays and maps beyond its bytes. An item has a byte of its own, unless it is of a type
/// that takes none; of those a few bytes could claim any number.
const EMPTY_ITEMS: u64 = 65_536;

/// Most values that are passed over for a byte: records in records end in something that takes one.
const STEPS_A_BYTE: u64 = 16;

pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// So many more items are believed.
    items: u64,
    /// So many more values are passed over.
    steps: u64,
}

#[cold]
fn cut_off() -> Refused {
    Refused::decode("the record is cut off")
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor {
            bytes,
            items: bytes.len() as u64 + EMPTY_ITEMS,
            steps: bytes.len() as u64 * STEPS_A_BYTE + EMPTY_ITEMS,
        }
    }

    /// One more value is passed over.
    #[inline]
    pub(super) fn step(&mut self) -> Result<(), Refused> {
        match self.steps.checked_sub(1) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(Refused::decode(
                "the schema that it was written with has too many values without bytes",
            )),
        }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Refused> {
        match self.bytes.split_at_checked(length) {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(taken)
            }
            None => Err(cut_off()),
        }
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        match self.bytes.split_first_chunk() {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(*taken)
            }
            None => Err(cut_off()),
        }
    }

    /// A zigzag varint of 64 bits.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Refused> {
        let mut value = 0_u64;
        for (at, byte) in self.bytes.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if at == 9 && *byte > 1 {
                    break;
                }
                self.bytes = &self.bytes[at + 1..];
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(if self.bytes.len() < 10 {
            cut_off()
        } else {
            Refused::decode("a number of more than 64 bits")
        })
    }

    /// A zigzag varint of 32 bits.
    #[inline]
    pub(super) fn int(&mut self) -> Result<i32, Refused> {
        i32::try_from(self.long()?).map_err(|_| Refused::decode("an int of more than 32 bits"))
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool, Refused> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Refused::decode("a boolean that is neither 0 nor 1")),
        }
    }

    /// A length and so many bytes.
    #[inline]
    pub(super) fn prefixed(&mut self) -> Result<&'a [u8], Refused> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(Refused::decode("a negative length")),
        }
    }

    /// The head of a block of an array or map: how many items, and how many bytes they take if that is said.
    pub(super) fn block(&mut self) -> Result<(u64, Option<usize>), Refused> {
        let count = self.long()?;
        let size = if count < 0 {
            let size = usize::try_from(self.long()?);
            Some(size.map_err(|_| Refused::decode("a block of negative size"))?)
        } else {
            None
        };
        let count = count.unsigned_abs();
        self.items = self.items.checked_sub(count).ok_or_else(|| {
            Refused::decode(format!(
                "an array or map of {count} items where {} bytes are left",
                self.left()
            ))
        })?;
        Ok((count, size))
    }
}
