//! Numbers and byte strings as the engine's own records hold them: LEB128, zigzag where the sign matters.

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a number with a sign.
pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)) as u64);
}

/// Appends a number that may be absent.
pub(crate) fn put_optional(out: &mut Vec<u8>, number: Option<i64>) {
    out.push(u8::from(number.is_some()));
    if let Some(number) = number {
        put_signed(out, number);
    }
}

/// Appends bytes with their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends bytes that may be absent.
pub(crate) fn put_optional_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_bytes(out, bytes);
    }
}

/// Reads what was put, and never beyond its end.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

/// What is wrong with a record of the engine's own.
pub(crate) type Broken = &'static str;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        let (first, rest) = self.0.split_first().ok_or("it is cut off")?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Broken> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number is too long")
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Broken> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(crate) fn optional(&mut self) -> Result<Option<i64>, Broken> {
        (self.byte()? != 0).then(|| self.signed()).transpose()
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(self.number()?).map_err(|_| "a length is too large")?;
        if length > self.0.len() {
            return Err("it is cut off");
        }
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>, Broken> {
        (self.byte()? != 0).then(|| self.bytes()).transpose()
    }

    /// A number of things to come, each of at least one byte.
    pub(crate) fn count(&mut self) -> Result<usize, Broken> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            return Err("it is cut off");
        }
        Ok(count as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_and_what_is_cut_off_is_refused() {
        let mut out = Vec::new();
        let numbers = [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN];
        for number in numbers {
            put_signed(&mut out, number);
        }
        put(&mut out, u64::MAX);
        put_optional(&mut out, None);
        put_optional(&mut out, Some(-5));
        put_optional_bytes(&mut out, Some(b"key"));
        put_optional_bytes(&mut out, None);
        let mut reader = Reader::new(&out);
        for number in numbers {
            assert_eq!(reader.signed(), Ok(number));
        }
        assert_eq!(reader.number(), Ok(u64::MAX));
        assert_eq!(
            (reader.optional(), reader.optional()),
            (Ok(None), Ok(Some(-5)))
        );
        assert_eq!(reader.optional_bytes(), Ok(Some(&b"key"[..])));
        assert_eq!(reader.optional_bytes(), Ok(None));
        assert!(reader.byte().is_err());
        assert!(Reader::new(&[0x80; 11]).number().is_err());
        assert!(Reader::new(&[5, 1, 2]).bytes().is_err());
        assert!(Reader::new(&[5, 1, 2]).count().is_err());
    }
}
