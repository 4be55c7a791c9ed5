//! Protobuf's wire format: tags, varints, lengths, and passing over what isn't known.

use super::super::refused::Refused;

/// Groups in groups.
const MAX_GROUPS: usize = 32;

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const LENGTH: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
pub(super) const FIXED32: u8 = 5;

/// A field as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) wire: u8,
    /// A number: of a varint or fixed field itself, of a length-delimited one where its bytes begin.
    pub(super) value: u64,
    /// Where its tag begins, and where it ends.
    pub(super) begin: usize,
    pub(super) end: usize,
}

#[cold]
pub(super) fn cut_off() -> Refused {
    Refused::decode("the record is cut off")
}

#[inline]
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, Refused> {
    let rest = bytes.get(*at..).unwrap_or_default();
    let mut value = 0_u64;
    for (index, byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *at += index + 1;
            return Ok(value);
        }
    }
    Err(if rest.len() < 10 {
        cut_off()
    } else {
        Refused::decode("a number of more than 64 bits")
    })
}

#[inline]
fn array<const N: usize>(bytes: &[u8], at: &mut usize) -> Result<[u8; N], Refused> {
    let found = bytes
        .get(*at..)
        .and_then(<[u8]>::first_chunk)
        .ok_or_else(cut_off)?;
    *at += N;
    Ok(*found)
}

/// The next field at `at`, which moves behind it.
#[inline]
pub(super) fn field(bytes: &[u8], at: &mut usize) -> Result<Field, Refused> {
    let begin = *at;
    let tag = varint(bytes, at)?;
    let wire = (tag & 7) as u8;
    let number = u32::try_from(tag >> 3).unwrap_or(0);
    if number == 0 || number > 536_870_911 {
        return Err(Refused::decode("a field number that can't be"));
    }
    let value = match wire {
        VARINT => varint(bytes, at)?,
        FIXED64 => u64::from_le_bytes(array(bytes, at)?),
        FIXED32 => u64::from(u32::from_le_bytes(array(bytes, at)?)),
        LENGTH => {
            let length = varint(bytes, at)?;
            let from = *at;
            let end = usize::try_from(length)
                .ok()
                .and_then(|length| from.checked_add(length))
                .filter(|end| *end <= bytes.len());
            *at = end.ok_or_else(cut_off)?;
            from as u64
        }
        GROUP => {
            group(bytes, at, number, 0)?;
            0
        }
        _ => return Err(Refused::decode("a wire type that can't be")),
    };
    Ok(Field {
        number,
        wire,
        value,
        begin,
        end: *at,
    })
}

/// Passes over a group, whose first tag is read.
fn group(bytes: &[u8], at: &mut usize, number: u32, depth: usize) -> Result<(), Refused> {
    if depth > MAX_GROUPS {
        return Err(Refused::decode("groups nested too deep"));
    }
    loop {
        let begin = *at;
        let tag = varint(bytes, at)?;
        let inner = u32::try_from(tag >> 3).unwrap_or(0);
        match (tag & 7) as u8 {
            GROUP_END if inner == number => return Ok(()),
            GROUP_END => return Err(Refused::decode("a group that ends as another")),
            GROUP => group(bytes, at, inner, depth + 1)?,
            _ => {
                *at = begin;
                field(bytes, at)?;
            }
        }
    }
}

pub(in crate::formats) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub(super) fn unzigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}
