//! Kernels over arrays, maps and rows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, MapArray, StringArray,
    StructArray, UInt32Array, make_comparator,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, interleave, take};
use arrow::datatypes::{DataType as Arrow, Field, Int64Type};

use super::{Args, Kernel, Value};

fn error(error: &arrow::error::ArrowError) -> String {
    error.to_string()
}

/// The element of a list at an index from 1: null before the beginning and behind the end.
pub(crate) fn element_at() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let index = args.primitive::<Int64Type>(1);
        let positions = (0..args.rows).map(|row| {
            let at = args.position(0, row)?;
            let index = usize::try_from(index.get(row)?.checked_sub(1)?).ok()?;
            let (start, end) = span(list.offsets(), at);
            start
                .checked_add(index)
                .filter(|p| *p < end)
                .map(|p| p as u32)
        });
        take(list.values(), &positions.collect::<UInt32Array>(), None).map_err(|e| error(&e))
    })
}

fn span(offsets: &OffsetBuffer<i32>, at: usize) -> (usize, usize) {
    (offsets[at] as usize, offsets[at + 1] as usize)
}

/// The value of a map's key; null if it has none. Of equal keys the last counts.
pub(crate) fn value_of() -> Kernel {
    Arc::new(|args: &Args| {
        let map: &MapArray = args.array(0).as_map();
        let keys = map.keys().as_string::<i32>();
        let wanted = args.text(1);
        let positions = (0..args.rows).map(|row| {
            let at = args.position(0, row)?;
            let wanted = wanted.get(row)?;
            let (start, end) = span(map.offsets(), at);
            (start..end)
                .rev()
                .find(|p| keys.value(*p) == wanted)
                .map(|p| p as u32)
        });
        take(map.values(), &positions.collect::<UInt32Array>(), None).map_err(|e| error(&e))
    })
}

/// The arguments as one array each.
fn columns(args: &Args) -> Result<Vec<ArrayRef>, String> {
    args.values
        .iter()
        .map(|v| v.shared().into_array(args.rows).map_err(|e| e.message))
        .collect()
}

/// A list of the arguments, row by row.
pub(crate) fn make_array(element: Arrow) -> Kernel {
    Arc::new(move |args: &Args| {
        let columns = columns(args)?;
        let values = side_by_side(&columns.iter().collect::<Vec<_>>(), args.rows, &element)?;
        let offsets = OffsetBuffer::from_repeated_length(columns.len(), args.rows);
        let field = Arc::new(Field::new("item", element.clone(), true));
        ListArray::try_new(field, offsets, values, None)
            .map(|l| Arc::new(l) as ArrayRef)
            .map_err(|e| error(&e))
    })
}

/// Row 0 of every column, then row 1 of every column, and so on.
fn side_by_side(columns: &[&ArrayRef], rows: usize, data_type: &Arrow) -> Result<ArrayRef, String> {
    if rows == 0 || columns.is_empty() {
        return Ok(arrow::array::new_empty_array(data_type));
    }
    let arrays: Vec<&dyn Array> = columns.iter().map(std::convert::AsRef::as_ref).collect();
    let order: Vec<(usize, usize)> = (0..rows)
        .flat_map(|row| (0..columns.len()).map(move |c| (c, row)))
        .collect();
    interleave(&arrays, &order).map_err(|e| error(&e))
}

/// A map of the arguments: keys and values in turn. Of equal keys the last counts.
pub(crate) fn make_map(data_type: Arrow) -> Kernel {
    Arc::new(move |args: &Args| {
        let columns = columns(args)?;
        if args.rows == 0 {
            return Ok(arrow::array::new_empty_array(&data_type));
        }
        let Arrow::Map(entries, _) = &data_type else {
            return Err("internal error: no map type".to_owned());
        };
        let Arrow::Struct(fields) = entries.data_type() else {
            return Err("internal error: no entries".to_owned());
        };
        let keys: Vec<&ArrayRef> = columns.iter().step_by(2).collect();
        let values: Vec<&ArrayRef> = columns.iter().skip(1).step_by(2).collect();
        let texts: Vec<&StringArray> = keys.iter().map(|k| k.as_string()).collect();
        let last = |pair: usize, row: usize| {
            let key = texts[pair].value(row);
            texts[pair + 1..]
                .iter()
                .all(|later| later.value(row) != key)
        };
        let mut kept: Vec<(usize, usize)> = Vec::with_capacity(keys.len() * args.rows);
        let mut lengths = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let before = kept.len();
            kept.extend((0..keys.len()).filter(|p| last(*p, row)).map(|p| (p, row)));
            lengths.push(kept.len() - before);
        }
        let take = |columns: &[&ArrayRef]| {
            let arrays: Vec<&dyn Array> = columns.iter().map(std::convert::AsRef::as_ref).collect();
            interleave(&arrays, &kept).map_err(|e| error(&e))
        };
        let content =
            StructArray::try_new(fields.clone(), vec![take(&keys)?, take(&values)?], None)
                .map_err(|e| error(&e))?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        MapArray::try_new(entries.clone(), offsets, content, None, false)
            .map(|m| Arc::new(m) as ArrayRef)
            .map_err(|e| error(&e))
    })
}

/// A struct of the arguments.
pub(crate) fn make_struct(data_type: Arrow) -> Kernel {
    Arc::new(move |args: &Args| {
        let Arrow::Struct(fields) = &data_type else {
            return Err("internal error: no struct type".to_owned());
        };
        StructArray::try_new(fields.clone(), columns(args)?, None)
            .map(|s| Arc::new(s) as ArrayRef)
            .map_err(|e| error(&e))
    })
}

/// How many elements or entries.
pub(crate) fn cardinality() -> Kernel {
    Arc::new(|args: &Args| {
        let offsets = match args.array(0).data_type() {
            Arrow::Map(..) => args.array(0).as_map().offsets(),
            _ => args.array(0).as_list::<i32>().offsets(),
        };
        let counts = (0..args.rows).map(|row| {
            args.position(0, row)
                .map(|at| offsets[at + 1] - offsets[at])
        });
        Ok(Arc::new(counts.collect::<Int32Array>()))
    })
}

/// The only element of a list: null of an empty one, an error of a longer one.
pub(crate) fn only_element() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let mut positions = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            positions.push(
                match args.position(0, row).map(|at| span(list.offsets(), at)) {
                    None => None,
                    Some((start, end)) if end <= start => None,
                    Some((start, end)) if end - start == 1 => Some(start as u32),
                    Some((start, end)) => {
                        return Err(format!("ELEMENT of an array with {} elements", end - start));
                    }
                },
            );
        }
        take(list.values(), &UInt32Array::from(positions), None).map_err(|e| error(&e))
    })
}

/// True if a list holds a value; null is found where an element is null.
pub(crate) fn contains() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let values = list.values();
        let same = make_comparator(values, args.array(1), SortOptions::default())
            .map_err(|e| error(&e))?;
        let constant = matches!(args.values[1], Value::Constant(_));
        let found = (0..args.rows).map(|row| {
            let (start, end) = span(list.offsets(), args.position(0, row)?);
            let wanted = if constant { 0 } else { row };
            Some((start..end).any(|p| same(p, wanted).is_eq()))
        });
        Ok(Arc::new(found.collect::<BooleanArray>()))
    })
}

/// Joins a list's texts; nulls are left out, or replaced by the third argument.
pub(crate) fn join() -> Kernel {
    Arc::new(|args: &Args| {
        let list: &ListArray = args.array(0).as_list();
        let values = list.values().as_string::<i32>();
        let separator = args.text(1);
        let has_third = args.len() == 3;
        let texts = (0..args.rows).map(|row| {
            let (start, end) = span(list.offsets(), args.position(0, row)?);
            let separator = separator.get(row)?;
            let null = if has_third {
                Some(args.text(2).get(row)?)
            } else {
                None
            };
            let parts: Vec<&str> = (start..end)
                .filter_map(|p| {
                    if values.is_null(p) {
                        null
                    } else {
                        Some(values.value(p))
                    }
                })
                .collect();
            Some(parts.join(separator))
        });
        Ok(Arc::new(texts.collect::<StringArray>()))
    })
}

/// A map's keys or values as a list.
pub(crate) fn map_part(keys: bool) -> Kernel {
    Arc::new(move |args: &Args| {
        let map: &MapArray = args.array(0).as_map();
        let part = if keys { map.keys() } else { map.values() };
        let field = Arc::new(Field::new("item", part.data_type().clone(), true));
        let nulls: Option<NullBuffer> = map.nulls().cloned();
        ListArray::try_new(field, map.offsets().clone(), part.clone(), nulls)
            .map(|l| Arc::new(l) as ArrayRef)
            .map_err(|e| error(&e))
    })
}
