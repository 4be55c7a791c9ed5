//! Numbers and strings as JSON has them.

use serde::Serialize;

#[inline]
pub(super) fn quoted<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    out.push(b'"');
    let result = write(out);
    out.push(b'"');
    result
}

/// Digits from the end of a buffer forward.
#[inline]
pub(super) fn integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

/// A string between quotes; mostly there is nothing in it to be escaped.
#[inline]
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    let escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Without a branch a byte, so that many are looked at together.
    if text.bytes().fold(false, |any, byte| any | escaped(byte)) {
        return json(text, out);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Numbers and strings can't fail to be written into memory.
pub(super) fn json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_written_as_serde_writes_them() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = b"x".to_vec();
            write(&mut out);
            String::from_utf8(out.split_off(1)).unwrap()
        };
        let mut numbers = vec![0, i64::MIN, i64::MAX];
        numbers.extend((0..19).flat_map(|n| [10_i64.pow(n), 1 - 10_i64.pow(n), -(10_i64.pow(n))]));
        for number in numbers {
            assert_eq!(written(&|out| integer(number, out)), number.to_string());
        }
        let mut texts: Vec<String> = (0..0x180)
            .filter_map(char::from_u32)
            .map(|c| format!("{}{c}b", "a".repeat(33)))
            .collect();
        texts.extend([String::new(), "\u{1f600} é".to_owned()]);
        for text in texts {
            let expected = serde_json::to_string(&text).unwrap();
            assert_eq!(written(&|out| string(&text, out)), expected);
        }
    }
}
