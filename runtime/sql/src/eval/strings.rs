//! Kernels of text functions. Positions and lengths count characters (Unicode scalar values), from 1.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, ListBuilder, StringBuilder};
use arrow::datatypes::{Int32Type, Int64Type};

use super::Args;

pub(super) type Evaluated = Result<ArrayRef, String>;

/// Longest text that a function may make, in bytes; a longer one fails the row.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// One text a row.
pub(super) fn texts<'a, S: AsRef<str>>(
    args: &'a Args,
    compute: impl Fn(usize) -> Option<S> + 'a,
) -> Evaluated {
    let mut builder = StringBuilder::with_capacity(args.rows, args.rows * 16);
    for row in 0..args.rows {
        builder.append_option(compute(row));
    }
    Ok(Arc::new(builder.finish()))
}

/// The byte position of the character `at` (from 0), or the text's end.
fn byte_of(text: &str, at: usize) -> usize {
    text.char_indices().nth(at).map_or(text.len(), |(i, _)| i)
}

fn chars(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().count()
    }
}

pub(crate) fn upper(args: &Args) -> Evaluated {
    let text = args.text(0);
    texts(args, |row| text.get(row).map(str::to_uppercase))
}

pub(crate) fn lower(args: &Args) -> Evaluated {
    let text = args.text(0);
    texts(args, |row| text.get(row).map(str::to_lowercase))
}

pub(crate) fn char_length(args: &Args) -> Evaluated {
    let text = args.text(0);
    Ok(Arc::new(
        (0..args.rows)
            .map(|row| text.get(row).map(|t| chars(t) as i32))
            .collect::<Int32Array>(),
    ))
}

fn trim(args: &Args, cut: impl for<'t> Fn(&'t str, &dyn Fn(char) -> bool) -> &'t str) -> Evaluated {
    let text = args.text(0);
    if args.len() == 1 {
        return texts(args, |row| text.get(row).map(|t| cut(t, &|c| c == ' ')));
    }
    let what = args.text(1);
    texts(args, |row| {
        let (text, what) = (text.get(row)?, what.get(row)?);
        Some(cut(text, &|c| what.contains(c)))
    })
}

pub(crate) fn left_trim(args: &Args) -> Evaluated {
    trim(args, |text, what| text.trim_start_matches(what))
}

pub(crate) fn right_trim(args: &Args) -> Evaluated {
    trim(args, |text, what| text.trim_end_matches(what))
}

pub(crate) fn both_trim(args: &Args) -> Evaluated {
    trim(args, |text, what| {
        text.trim_start_matches(what).trim_end_matches(what)
    })
}

/// From a position (from 1; from the end if negative), so many characters or all.
pub(crate) fn substring(args: &Args) -> Evaluated {
    let (text, from) = (args.text(0), args.primitive::<Int32Type>(1));
    texts(args, |row| {
        let (text, from) = (text.get(row)?, i64::from(from.get(row)?));
        let length = if args.len() == 3 {
            Some(i64::from(args.primitive::<Int32Type>(2).get(row)?))
        } else {
            None
        };
        if length.is_some_and(|l| l < 0) {
            return None;
        }
        let count = chars(text) as i64;
        let start = match from {
            1.. => from - 1,
            0 => 0,
            _ => count + from,
        };
        if start < 0 || start >= count {
            return Some("");
        }
        let begin = byte_of(text, start as usize);
        let rest = &text[begin..];
        Some(length.map_or(rest, |l| &rest[..byte_of(rest, l as usize)]))
    })
}

/// Where a text is found, from 1; 0 if it isn't.
fn find(text: &str, needle: &str, from: usize) -> i32 {
    if needle.is_empty() {
        return 1;
    }
    let begin = byte_of(text, from);
    text[begin..]
        .find(needle)
        .map_or(0, |at| (chars(&text[..begin + at]) + 1) as i32)
}

/// POSITION and LOCATE: the first argument in the second.
pub(crate) fn position(args: &Args) -> Evaluated {
    let (needle, text) = (args.text(0), args.text(1));
    let found = (0..args.rows).map(|row| {
        let from = if args.len() == 3 {
            args.primitive::<Int32Type>(2).get(row)?.max(1) as usize - 1
        } else {
            0
        };
        Some(find(text.get(row)?, needle.get(row)?, from))
    });
    Ok(Arc::new(found.collect::<Int32Array>()))
}

/// INSTR: the second argument in the first.
pub(crate) fn position_in(args: &Args) -> Evaluated {
    let (text, needle) = (args.text(0), args.text(1));
    Ok(Arc::new(
        (0..args.rows)
            .map(|row| Some(find(text.get(row)?, needle.get(row)?, 0)))
            .collect::<Int32Array>(),
    ))
}

pub(crate) fn replace(args: &Args) -> Evaluated {
    let (text, from, to) = (args.text(0), args.text(1), args.text(2));
    texts(args, |row| {
        Some(text.get(row)?.replace(from.get(row)?, to.get(row)?))
    })
}

pub(crate) fn concat(args: &Args) -> Evaluated {
    let columns: Vec<_> = (0..args.len()).map(|i| args.text(i)).collect();
    let mut builder = StringBuilder::with_capacity(args.rows, args.rows * 16);
    let mut joined = String::new();
    for row in 0..args.rows {
        joined.clear();
        let whole = columns
            .iter()
            .all(|c| c.get(row).map(|t| joined.push_str(t)).is_some());
        builder.append_option(whole.then_some(&joined));
    }
    Ok(Arc::new(builder.finish()))
}

pub(crate) fn concat_with(args: &Args) -> Evaluated {
    let columns: Vec<_> = (1..args.len()).map(|i| args.text(i)).collect();
    let separator = args.text(0);
    texts(args, |row| {
        let parts: Vec<&str> = columns.iter().filter_map(|c| c.get(row)).collect();
        Some(parts.join(separator.get(row)?))
    })
}

/// Brings a text to a length: cut, or filled with the pad on one side. Null for a negative length or an empty pad.
fn pad(args: &Args, left: bool) -> Evaluated {
    let (text, length, pad) = (args.text(0), args.primitive::<Int32Type>(1), args.text(2));
    texts(args, |row| {
        let (text, length, pad) = (
            text.get(row)?,
            usize::try_from(length.get(row)?).ok()?,
            pad.get(row)?,
        );
        let count = chars(text);
        if pad.is_empty() || length > MAX_TEXT {
            return None;
        }
        if length <= count {
            return Some(Cow::Borrowed(&text[..byte_of(text, length)]));
        }
        let fill: String = pad.chars().cycle().take(length - count).collect();
        Some(Cow::Owned(if left {
            fill + text
        } else {
            text.to_owned() + &fill
        }))
    })
}

pub(crate) fn left_pad(args: &Args) -> Evaluated {
    pad(args, true)
}

pub(crate) fn right_pad(args: &Args) -> Evaluated {
    pad(args, false)
}

pub(crate) fn repeat(args: &Args) -> Evaluated {
    let (text, times) = (args.text(0), args.primitive::<Int32Type>(1));
    for row in 0..args.rows {
        if let (Some(text), Some(times)) = (text.get(row), times.get(row))
            && text.len().saturating_mul(times.max(0) as usize) > MAX_TEXT
        {
            return Err(format!("REPEAT makes a text of more than {MAX_TEXT} bytes"));
        }
    }
    texts(args, |row| {
        Some(text.get(row)?.repeat(times.get(row)?.max(0) as usize))
    })
}

pub(crate) fn reverse(args: &Args) -> Evaluated {
    let text = args.text(0);
    texts(args, |row| {
        text.get(row).map(|t| t.chars().rev().collect::<String>())
    })
}

pub(crate) fn left(args: &Args) -> Evaluated {
    let (text, count) = (args.text(0), args.primitive::<Int32Type>(1));
    texts(args, |row| {
        let text = text.get(row)?;
        Some(&text[..byte_of(text, count.get(row)?.max(0) as usize)])
    })
}

pub(crate) fn right(args: &Args) -> Evaluated {
    let (text, count) = (args.text(0), args.primitive::<Int32Type>(1));
    texts(args, |row| {
        let (text, count) = (text.get(row)?, count.get(row)?.max(0) as usize);
        Some(&text[byte_of(text, chars(text).saturating_sub(count))..])
    })
}

/// Each word's first letter upper, the others lower. As Flink does, words are of ASCII letters and digits, and
/// other letters are left as they are.
pub(crate) fn initcap(args: &Args) -> Evaluated {
    let text = args.text(0);
    texts(args, |row| {
        let mut within = false;
        let capped = text.get(row)?.chars().map(|c| {
            let cased = if within {
                c.to_ascii_lowercase()
            } else {
                c.to_ascii_uppercase()
            };
            within = c.is_ascii_alphanumeric();
            cased
        });
        Some(capped.collect::<String>())
    })
}

/// The first byte as a signed number, 0 for an empty text.
pub(crate) fn ascii(args: &Args) -> Evaluated {
    let text = args.text(0);
    Ok(Arc::new(
        (0..args.rows)
            .map(|row| {
                text.get(row)
                    .map(|t| t.bytes().next().map_or(0, |b| i32::from(b as i8)))
            })
            .collect::<Int32Array>(),
    ))
}

/// The character of a code modulo 256; an empty text for a negative one.
pub(crate) fn chr(args: &Args) -> Evaluated {
    let code = args.primitive::<Int64Type>(0);
    texts(args, |row| {
        let code = code.get(row)?;
        Some(if code < 0 {
            String::new()
        } else {
            char::from((code % 256) as u8).to_string()
        })
    })
}

/// The part at an index from 0; null beyond.
pub(crate) fn split_index(args: &Args) -> Evaluated {
    let (text, separator, index) = (args.text(0), args.text(1), args.primitive::<Int32Type>(2));
    texts(args, |row| {
        let (text, separator, index) = (
            text.get(row)?,
            separator.get(row)?,
            usize::try_from(index.get(row)?).ok()?,
        );
        if text.is_empty() {
            return None;
        }
        if separator.is_empty() {
            // As in Flink, each space of whatever kind parts.
            return text.split(java_space).nth(index);
        }
        text.split(separator).nth(index)
    })
}

/// Java's `Character.isWhitespace`, which leaves out the spaces at which no line is broken.
fn java_space(c: char) -> bool {
    let control = matches!(c, '\t'..='\r' | '\u{1c}'..='\u{1f}');
    let kept = matches!(c, '\u{85}' | '\u{a0}' | '\u{2007}' | '\u{202f}');
    control || (c.is_whitespace() && !kept)
}

/// The parts between a separator, or, if it is empty, the characters; an empty text has none.
pub(crate) fn split(args: &Args) -> Evaluated {
    let (text, separator) = (args.text(0), args.text(1));
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in 0..args.rows {
        match (text.get(row), separator.get(row)) {
            (Some(text), Some("")) => {
                for c in text.chars() {
                    builder.values().append_value(c.encode_utf8(&mut [0; 4]));
                }
                builder.append(true);
            }
            (Some(""), Some(_)) => builder.append(true),
            (Some(text), Some(separator)) => {
                for part in text.split(separator) {
                    builder.values().append_value(part);
                }
                builder.append(true);
            }
            _ => builder.append(false),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Puts a text over another from a position, over so many characters (or as many as it has).
pub(crate) fn overlay(args: &Args) -> Evaluated {
    let (text, over, from) = (args.text(0), args.text(1), args.primitive::<Int32Type>(2));
    texts(args, |row| {
        let (text, over, from) = (text.get(row)?, over.get(row)?, from.get(row)?);
        let length = if args.len() == 4 {
            i64::from(args.primitive::<Int32Type>(3).get(row)?)
        } else {
            chars(over) as i64
        };
        let count = chars(text) as i64;
        if from < 1 || i64::from(from) > count {
            return Some(Cow::Borrowed(text));
        }
        let begin = byte_of(text, from as usize - 1);
        let end = i64::from(from) - 1 + length;
        // A negative length takes the rest, as in Flink.
        let end = if length < 0 || end > count {
            text.len()
        } else {
            byte_of(text, end as usize)
        };
        Some(Cow::Owned(format!(
            "{}{over}{}",
            &text[..begin],
            &text[end..]
        )))
    })
}

/// Replaces each character of the second text by the one at its place in the third, or nothing.
pub(crate) fn translate(args: &Args) -> Evaluated {
    let (text, from, to) = (args.text(0), args.text(1), args.text(2));
    texts(args, |row| {
        let (text, from, to) = (text.get(row)?, from.get(row)?, to.get(row)?);
        let translated = text
            .chars()
            .filter_map(|c| match from.chars().position(|f| f == c) {
                None => Some(c),
                Some(at) => to.chars().nth(at),
            });
        Some(translated.collect::<String>())
    })
}

pub(crate) fn starts_with(args: &Args) -> Evaluated {
    let (text, start) = (args.text(0), args.text(1));
    Ok(Arc::new(
        (0..args.rows)
            .map(|row| Some(text.get(row)?.starts_with(start.get(row)?)))
            .collect::<BooleanArray>(),
    ))
}

pub(crate) fn ends_with(args: &Args) -> Evaluated {
    let (text, end) = (args.text(0), args.text(1));
    Ok(Arc::new(
        (0..args.rows)
            .map(|row| Some(text.get(row)?.ends_with(end.get(row)?)))
            .collect::<BooleanArray>(),
    ))
}
