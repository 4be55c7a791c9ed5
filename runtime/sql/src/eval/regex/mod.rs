//! Kernels of regular expressions.
//!
//! The syntax is Java's, as in Flink; what runs is the `regex` crate, whose work is linear in the text's
//! length. [`java`] translates, so that a pattern gives what it gives in Java or is refused.

mod class;
mod escapes;
mod java;
mod reader;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, StringArray};
use arrow::datatypes::Int32Type;
use regex::{Captures, RegexBuilder};

use super::{Args, Kernel};

/// Where a kernel's pattern comes from.
pub(crate) enum Pattern {
    /// It is the same for all rows.
    Fixed(Regex),
    /// Each row's second argument.
    Each,
}

/// A pattern of Java's, compiled.
pub(crate) struct Regex {
    engine: regex::Regex,
    /// The same for texts that end with `\r\n`, if the pattern has a `$`: it matches before those two, and
    /// before another line end only if it is the text's last character.
    before_crlf: Option<regex::Regex>,
    /// For each of the pattern's groups, from 0, its group in the engine.
    groups: Vec<usize>,
    /// The engine's groups that hold the line end behind a `$`, which is no part of the match.
    ends: Vec<usize>,
}

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 16 * 1024;

/// Compiles a pattern, within bounds of size.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let shown: String = pattern.chars().take(60).collect();
    let refused =
        |reason: &str| format!("the regular expression '{shown}' can't be used: {reason}");
    if pattern.len() > MAX_PATTERN {
        return Err(refused(&format!("it has more than {MAX_PATTERN} bytes")));
    }
    let translated = java::translate(pattern)
        .map_err(|e| refused(&format!("at its character {}: {}", e.at + 1, e.message)))?;
    let build = |text: &str| {
        RegexBuilder::new(text)
            .size_limit(1 << 20)
            .dfa_size_limit(1 << 20)
            .build()
            .map_err(|error| {
                let text = error.to_string();
                refused(
                    text.lines()
                        .last()
                        .unwrap_or_default()
                        .trim_start_matches("error: "),
                )
            })
    };
    let ended = translated.text_before_crlf.as_deref();
    Ok(Regex {
        engine: build(&translated.text)?,
        before_crlf: ended.map(build).transpose()?,
        groups: translated.groups,
        ends: translated.ends,
    })
}

impl Regex {
    fn engine(&self, text: &str) -> &regex::Regex {
        match &self.before_crlf {
            Some(engine) if text.ends_with("\r\n") => engine,
            _ => &self.engine,
        }
    }

    fn is_match(&self, text: &str) -> bool {
        self.engine(text).is_match(text)
    }

    /// The first match from a byte on.
    fn find_at(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        if self.ends.is_empty() {
            let found = self.engine.find_at(text, from)?;
            return Some((found.start(), found.end()));
        }
        let captures = self.engine(text).captures_at(text, from)?;
        let whole = captures.get(0)?;
        Some((whole.start(), whole.end().min(self.end(&captures))))
    }

    /// Where the match ends at the latest: before the line end that a `$` looked at.
    fn end(&self, captures: &Captures) -> usize {
        let starts = self.ends.iter().filter_map(|g| captures.get(*g));
        starts.map(|m| m.start()).min().unwrap_or(usize::MAX)
    }

    /// A group of the first match; 0 is all of it.
    fn group<'t>(&self, text: &'t str, group: usize) -> Option<&'t str> {
        if group == 0 {
            return self.find_at(text, 0).map(|(start, end)| &text[start..end]);
        }
        let engine_group = *self.groups.get(group)?;
        let captures = self.engine(text).captures(text)?;
        let found = captures.get(engine_group)?;
        let end = found.end().min(self.end(&captures));
        Some(&text[found.start().min(end)..end])
    }

    /// All matches, as Java finds them: behind a match an empty one may follow, and behind an empty one the
    /// search goes on a character later.
    fn matches(&self, text: &str, mut found: impl FnMut(usize, usize)) {
        let mut from = 0;
        while from <= text.len() {
            let Some((start, end)) = self.find_at(text, from) else {
                return;
            };
            found(start, end);
            from = if start == end {
                end + text[end..].chars().next().map_or(1, char::len_utf8)
            } else {
                end
            };
        }
    }

    fn replace_all(&self, text: &str, by: &str) -> String {
        let (mut out, mut kept) = (String::with_capacity(text.len()), 0);
        self.matches(text, |start, end| {
            out.push_str(&text[kept..start]);
            out.push_str(by);
            kept = end;
        });
        out.push_str(&text[kept..]);
        out
    }
}

impl Pattern {
    /// Calls `with` for each row whose first two arguments aren't null.
    fn each<'a, V>(
        &self,
        args: &'a Args,
        mut with: impl FnMut(usize, &Regex, &'a str, &str) -> Option<V>,
    ) -> Result<Vec<Option<V>>, String> {
        let (texts, patterns) = (args.text(0), args.text(1));
        let mut last: Option<(String, Regex)> = None;
        let mut values = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)) else {
                values.push(None);
                continue;
            };
            let regex = match self {
                Self::Fixed(regex) => regex,
                Self::Each => {
                    if last.as_ref().is_none_or(|(p, _)| p != pattern) {
                        last = Some((pattern.to_owned(), compile(pattern)?));
                    }
                    match &last {
                        Some((_, regex)) => regex,
                        None => continue,
                    }
                }
            };
            values.push(with(row, regex, text, pattern));
        }
        Ok(values)
    }
}

/// REGEXP: true if the pattern is found somewhere; never for an empty pattern.
pub(crate) fn matches(pattern: Pattern) -> Kernel {
    Arc::new(move |args: &Args| {
        let values = pattern.each(args, |_, regex, text, pattern| {
            Some(!pattern.is_empty() && regex.is_match(text))
        })?;
        Ok(Arc::new(BooleanArray::from(values)) as ArrayRef)
    })
}

/// REGEXP_COUNT: how often the pattern is found.
pub(crate) fn count(pattern: Pattern) -> Kernel {
    Arc::new(move |args: &Args| {
        let values = pattern.each(args, |_, regex, text, _| {
            let mut count = 0;
            regex.matches(text, |_, _| count += 1);
            Some(count)
        })?;
        Ok(Arc::new(Int32Array::from(values)) as ArrayRef)
    })
}

/// REGEXP_EXTRACT: a group of the first match (0: all of it); null without a match or group.
pub(crate) fn extract(pattern: Pattern) -> Kernel {
    Arc::new(move |args: &Args| {
        let group = (args.len() > 2).then(|| args.primitive::<Int32Type>(2));
        let values = pattern.each(args, |row, regex, text, _| {
            let group = match &group {
                None => 0,
                Some(group) => usize::try_from(group.get(row)?).ok()?,
            };
            regex.group(text, group)
        })?;
        Ok(Arc::new(StringArray::from(values)) as ArrayRef)
    })
}

/// REGEXP_REPLACE: every match, by a text that is taken as it is.
pub(crate) fn replace(pattern: Pattern) -> Kernel {
    Arc::new(move |args: &Args| {
        let replacement = args.text(2);
        let values = pattern.each(args, |row, regex, text, _| {
            Some(regex.replace_all(text, replacement.get(row)?))
        })?;
        Ok(Arc::new(StringArray::from(values)) as ArrayRef)
    })
}

#[cfg(test)]
mod tests;
