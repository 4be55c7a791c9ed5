//! Kernels over URLs.

use super::Args;
use super::strings::{Evaluated, texts};

/// A part of a URL: PROTOCOL, AUTHORITY, USERINFO, HOST, PATH, QUERY (whole, or one key's value), FILE or REF.
pub(crate) fn parse_url(args: &Args) -> Evaluated {
    let (url, part) = (args.text(0), args.text(1));
    texts(args, |row| {
        let key = if args.len() == 3 {
            Some(args.text(2).get(row)?)
        } else {
            None
        };
        url_part(url.get(row)?, part.get(row)?, key)
    })
}

/// The protocols that java.net.URL knows; of others it reads nothing.
const PROTOCOLS: [&str; 8] = [
    "http", "https", "ftp", "file", "jar", "mailto", "jrt", "jmod",
];

fn url_part<'a>(url: &'a str, part: &str, key: Option<&str>) -> Option<&'a str> {
    let (protocol, rest) = url.trim_matches(|c| c <= ' ').split_once(':')?;
    let protocol = PROTOCOLS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(protocol))?;
    let (rest, reference) = rest
        .split_once('#')
        .map_or((rest, None), |(r, f)| (r, Some(f)));
    let (authority, file) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (path, query) = file
        .split_once('?')
        .map_or((file, None), |(p, q)| (p, Some(q)));
    let (user, host) = authority
        .rsplit_once('@')
        .map_or((None, authority), |(u, h)| (Some(u), h));
    let host = match host.rsplit_once(':') {
        Some((_, digits)) if digits.contains(']') => host,
        // A port that is no number makes it no URL.
        Some((name, digits)) => {
            let number = digits == "-1" || digits.bytes().all(|b| b.is_ascii_digit());
            number.then_some(name)?
        }
        None => host,
    };
    if key.is_some() && part != "QUERY" {
        return None;
    }
    match part {
        "PROTOCOL" => Some(protocol),
        "AUTHORITY" => Some(authority),
        "USERINFO" => user,
        "HOST" if authority.matches('@').count() > 1 => Some(""),
        "HOST" => Some(host),
        "PATH" => Some(path),
        "FILE" => Some(file),
        "REF" => reference,
        "QUERY" => match key {
            None => query,
            Some(key) => query?.split('&').find_map(|pair| {
                pair.split_once('=')
                    .filter(|(k, _)| *k == key)
                    .map(|(_, v)| v)
            }),
        },
        _ => None,
    }
}

const HEX: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
];

/// `application/x-www-form-urlencoded`, as java.net.URLEncoder writes it.
pub(crate) fn url_encode(args: &Args) -> Evaluated {
    let text = args.text(0);
    texts(args, |row| {
        let mut encoded = String::new();
        for byte in text.get(row)?.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                    encoded.push(char::from(byte));
                }
                b' ' => encoded.push('+'),
                _ => encoded.extend([
                    '%',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]),
            }
        }
        Some(encoded)
    })
}

/// The reverse; null for a broken escape.
pub(crate) fn url_decode(args: &Args) -> Evaluated {
    let text = args.text(0);
    texts(args, |row| {
        let bytes = text.get(row)?.as_bytes();
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'+' => decoded.push(b' '),
                b'%' => {
                    let digits = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
                    decoded.push(u8::from_str_radix(digits, 16).ok()?);
                    at += 2;
                }
                byte => decoded.push(byte),
            }
            at += 1;
        }
        Some(String::from_utf8_lossy(&decoded).into_owned())
    })
}
