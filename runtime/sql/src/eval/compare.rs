//! Comparisons, IS …, IN and LIKE, over whole columns.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::kernels::boolean as logic;
use arrow::compute::kernels::cmp;
use arrow::datatypes::{ArrowPrimitiveType, DataType as Arrow, Float32Type, Float64Type};
use regex::Regex;

use super::{Args, Kernel};
use crate::syntax::ast::{Compare, Is};

fn done(result: Result<BooleanArray, arrow::error::ArrowError>) -> Result<ArrayRef, String> {
    result
        .map(|r| Arc::new(r) as ArrayRef)
        .map_err(|e| e.to_string())
}

/// Compares two arguments of the same type. Floating-point numbers compare as IEEE 754 says
/// (`-0.0 = 0.0`, NaN equals nothing), as in Flink; Arrow's own kernels order them totally.
pub(crate) fn compare(op: Compare) -> Kernel {
    Arc::new(move |args: &Args| match args.array(0).data_type() {
        Arrow::Float32 => Ok(Arc::new(floats::<Float32Type>(args, op))),
        Arrow::Float64 => Ok(Arc::new(floats::<Float64Type>(args, op))),
        _ => {
            let (left, right) = (args.values[0].datum(), args.values[1].datum());
            done(match op {
                Compare::Equal => cmp::eq(&*left, &*right),
                Compare::NotEqual => cmp::neq(&*left, &*right),
                Compare::Less => cmp::lt(&*left, &*right),
                Compare::LessOrEqual => cmp::lt_eq(&*left, &*right),
                Compare::Greater => cmp::gt(&*left, &*right),
                Compare::GreaterOrEqual => cmp::gt_eq(&*left, &*right),
            })
        }
    })
}

fn floats<P: ArrowPrimitiveType>(args: &Args, op: Compare) -> BooleanArray
where
    P::Native: PartialOrd,
{
    let (left, right) = (args.primitive::<P>(0), args.primitive::<P>(1));
    let compare = |l: P::Native, r: P::Native| match op {
        Compare::Equal => l == r,
        Compare::NotEqual => l != r,
        Compare::Less => l < r,
        Compare::LessOrEqual => l <= r,
        Compare::Greater => l > r,
        Compare::GreaterOrEqual => l >= r,
    };
    (0..args.rows)
        .map(|row| Some(compare(left.get(row)?, right.get(row)?)))
        .collect()
}

/// `IS [NOT] DISTINCT FROM`: nulls are equal to each other and to nothing else.
pub(crate) fn distinct(negated: bool) -> Kernel {
    let equal = compare(Compare::Equal);
    Arc::new(move |args: &Args| {
        let equal = equal(args)?;
        let equal = equal.as_boolean();
        let result: BooleanArray = (0..args.rows)
            .map(|row| {
                let same = match (args.position(0, row), args.position(1, row)) {
                    (None, None) => true,
                    (Some(_), Some(_)) => equal.value(row),
                    _ => false,
                };
                Some(same == negated)
            })
            .collect();
        Ok(Arc::new(result))
    })
}

/// `IS [NOT] NULL`, TRUE, FALSE, UNKNOWN.
pub(crate) fn is(what: Is, negated: bool) -> Kernel {
    Arc::new(move |args: &Args| {
        if matches!(what, Is::Null | Is::Unknown) {
            return done(if negated {
                logic::is_not_null(args.array(0))
            } else {
                logic::is_null(args.array(0))
            });
        }
        let column = args.boolean(0);
        let wanted = what == Is::True;
        Ok(Arc::new(
            (0..args.rows)
                .map(|row| Some((column.get(row) == Some(wanted)) != negated))
                .collect::<BooleanArray>(),
        ))
    })
}

/// NOT, three-valued.
pub(crate) fn not() -> Kernel {
    Arc::new(|args: &Args| done(logic::not(args.array(0).as_boolean())))
}

/// `x IN (a, b, …)`: the first argument among the others, all of one type.
pub(crate) fn among(negated: bool) -> Kernel {
    let equal = compare(Compare::Equal);
    Arc::new(move |args: &Args| {
        let mut result: Option<BooleanArray> = None;
        for i in 1..args.len() {
            let pair = Args {
                values: vec![args.values[0].shared(), args.values[i].shared()],
                rows: args.rows,
            };
            let next = equal(&pair)?;
            let next = next.as_boolean();
            result = Some(match result {
                None => next.clone(),
                Some(so_far) => logic::or_kleene(&so_far, next).map_err(|e| e.to_string())?,
            });
        }
        let result = result.ok_or("IN of nothing")?;
        done(if negated {
            logic::not(&result)
        } else {
            Ok(result)
        })
    })
}

/// `x IN ('a', 'b', …)` with constant texts, by a hash set.
pub(crate) fn among_texts(set: HashSet<String>, has_null: bool, negated: bool) -> Kernel {
    Arc::new(move |args: &Args| {
        let column = args.text(0);
        let result = (0..args.rows).map(|row| match set.contains(column.get(row)?) {
            true => Some(!negated),
            false if has_null => None,
            false => Some(negated),
        });
        Ok(Arc::new(result.collect::<BooleanArray>()))
    })
}

/// A LIKE pattern, compiled.
pub(crate) enum Like {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
}

impl Like {
    /// Compiles a pattern: `%` is any text, `_` one character, `escape` takes away their meaning.
    pub(crate) fn compile(pattern: &str, escape: Option<char>) -> Result<Self, String> {
        // Some(c): that character; None: `%`; `_` makes it a regular expression.
        let mut parts: Vec<Option<char>> = Vec::new();
        let mut regex = String::from("(?s)^");
        let mut single = false;
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if Some(c) == escape {
                match chars.next() {
                    Some(next) if next == '%' || next == '_' || Some(next) == escape => {
                        parts.push(Some(next));
                        regex.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                    }
                    _ => {
                        return Err(format!(
                            "in the LIKE pattern '{pattern}' the escape character '{c}' stands before neither % nor _ nor itself"
                        ));
                    }
                }
            } else if c == '%' {
                parts.push(None);
                regex.push_str(".*");
            } else if c == '_' {
                single = true;
                regex.push('.');
            } else {
                parts.push(Some(c));
                regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            }
        }
        regex.push('$');
        let any = parts.iter().filter(|p| p.is_none()).count();
        let text = || parts.iter().flatten().collect::<String>();
        let (first, last) = (parts.first() == Some(&None), parts.last() == Some(&None));
        if !single {
            match (any, first, last) {
                (0, ..) => return Ok(Self::Exact(text())),
                (1, false, true) => return Ok(Self::Prefix(text())),
                (1, true, false) => return Ok(Self::Suffix(text())),
                (2, true, true) => return Ok(Self::Contains(text())),
                _ => {}
            }
        }
        Regex::new(&regex)
            .map(Self::Regex)
            .map_err(|_| "the LIKE pattern is too large".to_owned())
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(pattern) => text == pattern,
            Self::Prefix(pattern) => text.starts_with(pattern.as_str()),
            Self::Suffix(pattern) => text.ends_with(pattern.as_str()),
            Self::Contains(pattern) => text.contains(pattern.as_str()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// LIKE with a constant pattern.
pub(crate) fn like(pattern: Like, negated: bool) -> Kernel {
    Arc::new(move |args: &Args| {
        let column = args.text(0);
        Ok(Arc::new(
            (0..args.rows)
                .map(|row| column.get(row).map(|t| pattern.matches(t) != negated))
                .collect::<BooleanArray>(),
        ))
    })
}

/// LIKE with a pattern from each row.
pub(crate) fn like_each(escape: Option<char>, negated: bool) -> Kernel {
    Arc::new(move |args: &Args| {
        let (texts, patterns) = (args.text(0), args.text(1));
        let mut compiled: Option<(String, Like)> = None;
        let mut values = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)) else {
                values.push(None);
                continue;
            };
            let fresh = compiled.as_ref().is_none_or(|(p, _)| p != pattern);
            if fresh {
                compiled = Some((pattern.to_owned(), Like::compile(pattern, escape)?));
            }
            values.push(
                compiled
                    .as_ref()
                    .map(|(_, like)| like.matches(text) != negated),
            );
        }
        Ok(Arc::new(BooleanArray::from(values)))
    })
}

/// The greatest or least of the arguments, null if one is.
pub(crate) fn extreme(greatest: bool) -> Kernel {
    let better = compare(if greatest {
        Compare::Greater
    } else {
        Compare::Less
    });
    Arc::new(move |args: &Args| {
        let mut best = args.values[0]
            .shared()
            .into_array(args.rows)
            .map_err(|e| e.message)?;
        for value in &args.values[1..] {
            let next = value
                .shared()
                .into_array(args.rows)
                .map_err(|e| e.message)?;
            let pair = Args {
                values: vec![
                    super::Value::Array(next.clone()),
                    super::Value::Array(best.clone()),
                ],
                rows: args.rows,
            };
            let wins = better(&pair)?;
            let wins = wins.as_boolean();
            let mask: BooleanArray = {
                // As in Flink, NaN is the greatest here, though no comparison says so.
                let over = not_a_number(if greatest { &next } else { &best });
                // Null where either is: take the side that is null.
                let takes = |row: usize| {
                    let wins = wins.is_valid(row) && (wins.value(row) || over(row));
                    next.is_null(row) || wins
                };
                (0..args.rows).map(|row| Some(takes(row))).collect()
            };
            best = arrow::compute::kernels::zip::zip(&mask, &next, &best)
                .map_err(|e| e.to_string())?;
        }
        Ok(best)
    })
}

/// Which values of a column are NaN.
fn not_a_number(column: &ArrayRef) -> Box<dyn Fn(usize) -> bool + '_> {
    if let Some(floats) = column.as_primitive_opt::<Float32Type>() {
        return Box::new(move |row| floats.value(row).is_nan());
    }
    match column.as_primitive_opt::<Float64Type>() {
        Some(doubles) => Box::new(move |row| doubles.value(row).is_nan()),
        None => Box::new(|_| false),
    }
}
