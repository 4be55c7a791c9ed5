//! Digests (as lower-case hexadecimal) and Base64.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use md5::Digest as _;

use super::Args;

/// What Java's decoder takes: the `=` at the end may be missing.
const PADDED_OR_NOT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| {
            [
                DIGITS[usize::from(b >> 4)] as char,
                DIGITS[usize::from(b & 15)] as char,
            ]
        })
        .collect()
}

fn digest(args: &Args, digest: impl Fn(&[u8]) -> String) -> Result<ArrayRef, String> {
    let column = args.text(0);
    Ok(Arc::new(
        (0..args.rows)
            .map(|row| column.get(row).map(|t| digest(t.as_bytes())))
            .collect::<StringArray>(),
    ))
}

pub(crate) fn md5(args: &Args) -> Result<ArrayRef, String> {
    digest(args, |b| hex(&md5::Md5::digest(b)))
}

pub(crate) fn sha1(args: &Args) -> Result<ArrayRef, String> {
    digest(args, |b| hex(&sha1::Sha1::digest(b)))
}

pub(crate) fn sha224(args: &Args) -> Result<ArrayRef, String> {
    digest(args, |b| hex(&sha2::Sha224::digest(b)))
}

pub(crate) fn sha256(args: &Args) -> Result<ArrayRef, String> {
    digest(args, |b| hex(&sha2::Sha256::digest(b)))
}

pub(crate) fn sha384(args: &Args) -> Result<ArrayRef, String> {
    digest(args, |b| hex(&sha2::Sha384::digest(b)))
}

pub(crate) fn sha512(args: &Args) -> Result<ArrayRef, String> {
    digest(args, |b| hex(&sha2::Sha512::digest(b)))
}

pub(crate) fn text_to_base64(args: &Args) -> Result<ArrayRef, String> {
    digest(args, |b| STANDARD.encode(b))
}

pub(crate) fn bytes_to_base64(args: &Args) -> Result<ArrayRef, String> {
    let column = args.bytes(0);
    Ok(Arc::new(
        (0..args.rows)
            .map(|row| column.get(row).map(|b| STANDARD.encode(b)))
            .collect::<StringArray>(),
    ))
}

pub(crate) fn from_base64(args: &Args) -> Result<ArrayRef, String> {
    let column = args.text(0);
    let mut values = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        values.push(match column.get(row) {
            None => None,
            Some(text) => {
                let bytes = PADDED_OR_NOT
                    .decode(text)
                    .map_err(|_| "the text is no Base64".to_owned())?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
        });
    }
    Ok(Arc::new(StringArray::from(values)))
}
