//! Kernels of regular expressions.
//!
//! The syntax is the `regex` crate's: linear in the text's length, so without look-around and
//! back-references, which Java has. A pattern that uses those is refused with that reason.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, StringArray};
use arrow::datatypes::Int32Type;
use regex::{NoExpand, Regex, RegexBuilder};

use super::{Args, Kernel};

/// Where a kernel's pattern comes from.
pub(crate) enum Pattern {
    /// It is the same for all rows.
    Fixed(Regex),
    /// Each row's second argument.
    Each,
}

/// Compiles a pattern, within bounds of size.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            let shown: String = pattern.chars().take(60).collect();
            format!("the regular expression '{shown}' can't be used: {reason}")
        })
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
            Some(regex.find_iter(text).count() as i32)
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
            regex.captures(text)?.get(group).map(|m| m.as_str())
        })?;
        Ok(Arc::new(StringArray::from(values)) as ArrayRef)
    })
}

/// REGEXP_REPLACE: every match, by a text that is taken as it is.
pub(crate) fn replace(pattern: Pattern) -> Kernel {
    Arc::new(move |args: &Args| {
        let replacement = args.text(2);
        let values = pattern.each(args, |row, regex, text, _| {
            Some(
                regex
                    .replace_all(text, NoExpand(replacement.get(row)?))
                    .into_owned(),
            )
        })?;
        Ok(Arc::new(StringArray::from(values)) as ArrayRef)
    })
}
