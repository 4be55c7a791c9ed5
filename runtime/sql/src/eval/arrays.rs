//! Kernels that make arrays of arrays.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, UInt32Array, make_comparator};
use arrow::array::{new_empty_array, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, interleave, take};
use arrow::datatypes::{Field, Int64Type};

use super::{Args, Kernel, Value};

/// Where an element of a result is: which of the sources, and its place in it.
type Picked = (usize, usize);

fn error(error: &arrow::error::ArrowError) -> String {
    error.to_string()
}

/// The elements of a list, by their places among its values.
fn span(list: &ListArray, at: usize) -> std::ops::Range<usize> {
    let offsets = list.offsets();
    offsets[at] as usize..offsets[at + 1] as usize
}

/// Lists of picked elements; none: null.
fn lists(sources: &[ArrayRef], rows: Vec<Option<Vec<Picked>>>) -> Result<ArrayRef, String> {
    let Some(first) = sources.first() else {
        return Err("internal error: a list of nothing".to_owned());
    };
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect::<Vec<_>>().into();
    let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let picked: Vec<Picked> = rows.into_iter().flatten().flatten().collect();
    let values = if picked.is_empty() {
        new_empty_array(first.data_type())
    } else {
        let sources: Vec<&dyn Array> = sources.iter().map(AsRef::as_ref).collect();
        interleave(&sources, &picked).map_err(|e| error(&e))?
    };
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    ListArray::try_new(field, offsets, values, nulls)
        .map(|list| Arc::new(list) as ArrayRef)
        .map_err(|e| error(&e))
}

type Compare = Box<dyn Fn(usize, usize) -> Ordering + Send + Sync>;

/// How elements compare; null is equal to null.
fn comparator(one: &ArrayRef, other: &ArrayRef) -> Result<Compare, String> {
    make_comparator(one, other, SortOptions::default()).map_err(|e| error(&e))
}

/// A list with an element before or behind it. A null element is one; a null list stays null.
pub(crate) fn with_element(before: bool) -> Kernel {
    Arc::new(move |args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let null = new_null_array(args.array(1).data_type(), 1);
        let sources = [list.values().clone(), args.array(1).clone(), null];
        let row = |row| {
            let at = args.position(0, row)?;
            let own = span(list, at).map(|place| (0, place));
            let element = args.position(1, row).map_or((2, 0), |at| (1, at));
            Some(if before {
                std::iter::once(element).chain(own).collect()
            } else {
                own.chain([element]).collect()
            })
        };
        lists(&sources, (0..args.rows).map(row).collect())
    })
}

/// All elements of the lists, one list behind the other.
pub(crate) fn concat() -> Kernel {
    Arc::new(|args: &Args| {
        let all: Vec<&ListArray> = (0..args.len()).map(|i| args.array(i).as_list()).collect();
        let sources: Vec<ArrayRef> = all.iter().map(|list| list.values().clone()).collect();
        let row = |row| {
            let mut picked = Vec::new();
            for (source, list) in all.iter().enumerate() {
                let at = args.position(source, row)?;
                picked.extend(span(list, at).map(|place| (source, place)));
            }
            Some(picked)
        };
        lists(&sources, (0..args.rows).map(row).collect())
    })
}

/// What is made of the elements of two lists; each comes once, at its first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sets {
    /// Those of the first, which are not in the second.
    Except,
    /// Those of the first that are in the second, too.
    Intersect,
    /// Those of both.
    Union,
}

/// See [`Sets`].
pub(crate) fn sets(of: Sets) -> Kernel {
    Arc::new(move |args: &Args| {
        let [one, other]: [&ListArray; 2] = [0, 1].map(|i| args.array(i).as_list());
        let sources = [one.values().clone(), other.values().clone()];
        let within = [
            comparator(&sources[0], &sources[0])?,
            comparator(&sources[1], &sources[1])?,
        ];
        let across = comparator(&sources[0], &sources[1])?;
        let row = |row| {
            let first = span(one, args.position(0, row)?);
            let second = span(other, args.position(1, row)?);
            let in_second = |place: usize| second.clone().any(|p| across(place, p).is_eq());
            let mut picked: Vec<Picked> = Vec::new();
            for place in first.clone() {
                let wanted = match of {
                    Sets::Except => !in_second(place),
                    Sets::Intersect => in_second(place),
                    Sets::Union => true,
                };
                if wanted && !picked.iter().any(|(_, p)| within[0](*p, place).is_eq()) {
                    picked.push((0, place));
                }
            }
            if of == Sets::Union {
                for place in second.clone() {
                    let before = (second.start..place).any(|p| within[1](p, place).is_eq());
                    if !before && !first.clone().any(|p| across(p, place).is_eq()) {
                        picked.push((1, place));
                    }
                }
            }
            Some(picked)
        };
        lists(&sources, (0..args.rows).map(row).collect())
    })
}

/// The elements of a list, each once, at its first place.
pub(crate) fn distinct() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let same = comparator(list.values(), list.values())?;
        let row = |row| {
            let mut picked: Vec<Picked> = Vec::new();
            for place in span(list, args.position(0, row)?) {
                if !picked.iter().any(|(_, p)| same(*p, place).is_eq()) {
                    picked.push((0, place));
                }
            }
            Some(picked)
        };
        let sources = [list.values().clone()];
        lists(&sources, (0..args.rows).map(row).collect())
    })
}

/// The elements of a list that aren't a value; a null value takes the nulls away.
pub(crate) fn remove() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let values = list.values();
        let same = comparator(values, args.array(1))?;
        let constant = matches!(args.values[1], Value::Constant(_));
        let row = |row| {
            let wanted = if constant { 0 } else { row };
            let own = span(list, args.position(0, row)?);
            Some(
                own.filter(|place| !same(*place, wanted).is_eq())
                    .map(|place| (0, place))
                    .collect(),
            )
        };
        let sources = [values.clone()];
        lists(&sources, (0..args.rows).map(row).collect())
    })
}

/// The first place of a value in a list, from 1; 0 where it isn't there.
pub(crate) fn position() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let same = comparator(list.values(), args.array(1))?;
        let row = |row| {
            let mut own = span(list, args.position(0, row)?);
            let wanted = args.position(1, row)?;
            let found = own.position(|place| same(place, wanted).is_eq());
            Some(found.map_or(0, |at| at as i32 + 1))
        };
        Ok(Arc::new((0..args.rows).map(row).collect::<Int32Array>()))
    })
}

/// A list from its end.
pub(crate) fn reverse() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let row = |row| {
            let own = span(list, args.position(0, row)?);
            Some(own.rev().map(|place| (0, place)).collect())
        };
        let sources = [list.values().clone()];
        lists(&sources, (0..args.rows).map(row).collect())
    })
}

/// The elements of a list from one place to another, both included: from 1, negative ones from the end; 0 is 1.
pub(crate) fn slice() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let (from, has_end) = (args.primitive::<Int64Type>(1), args.len() == 3);
        let row = |row| {
            let own = span(list, args.position(0, row)?);
            let length = own.len() as i64;
            let place = |at: i64| match at {
                0 => 1,
                at if at < 0 => length.saturating_add(at).saturating_add(1),
                at => at,
            };
            let first = place(from.get(row)?).max(1);
            let end = if has_end {
                place(args.primitive::<Int64Type>(2).get(row)?).min(length)
            } else {
                length
            };
            let places = first..=end;
            Some(
                places
                    .map(|at| (0, own.start + (at - 1) as usize))
                    .collect(),
            )
        };
        let sources = [list.values().clone()];
        lists(&sources, (0..args.rows).map(row).collect())
    })
}

/// A list in order: ascending or not, and nulls before all or behind. Absent: ascending, and nulls before all; descending, and behind.
pub(crate) fn sort() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let values = list.values();
        let compare = comparator(values, values)?;
        let row = |row| {
            let own = span(list, args.position(0, row)?);
            let ascending = match args.len() {
                1 => true,
                _ => args.boolean(1).get(row)?,
            };
            let nulls_first = match args.len() {
                3 => args.boolean(2).get(row)?,
                _ => ascending,
            };
            let (nulls, mut rest): (Vec<usize>, Vec<usize>) =
                own.partition(|place| values.is_null(*place));
            rest.sort_by(|one, other| {
                let order = compare(*one, *other);
                if ascending { order } else { order.reverse() }
            });
            let (before, behind) = if nulls_first {
                (nulls, rest)
            } else {
                (rest, nulls)
            };
            let all = before.into_iter().chain(behind);
            Some(all.map(|place| (0, place)).collect())
        };
        let sources = [values.clone()];
        lists(&sources, (0..args.rows).map(row).collect())
    })
}

/// The greatest or the least element of a list that isn't null.
pub(crate) fn extreme(greatest: bool) -> Kernel {
    Arc::new(move |args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let values = list.values();
        let compare = comparator(values, values)?;
        let row = |row| {
            let own = span(list, args.position(0, row)?);
            let own = own.filter(|place| values.is_valid(*place));
            let found = own.reduce(|best, place| {
                let order = compare(place, best);
                let better = if greatest {
                    order.is_gt()
                } else {
                    order.is_lt()
                };
                if better { place } else { best }
            });
            found.map(|place| place as u32)
        };
        let places: UInt32Array = (0..args.rows).map(row).collect();
        take(values, &places, None).map_err(|e| error(&e))
    })
}
