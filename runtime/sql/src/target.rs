//! Does a query's result fit a stream's contract, and how is it brought into its form?
//!
//! Columns go by name. What loses nothing is done silently (`int` into `bigint`, `decimal(9,2)` into
//! `decimal(12,2)`, a column that is never null into a nullable one, an absent nullable column as
//! null). Everything else is a [`Mismatch`] that names the column, both types and the remedy.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use arrow::datatypes::{DataType as Arrow, SchemaRef};
use headworks_plan::Contract;

use crate::eval::cast::cast;
use crate::eval::{Args, Kernel, Value};
use crate::keyed::Changes;
use crate::schema::{Column, Schema};
use crate::suggest::nearest;
use crate::types::DataType;

/// A column of a query that doesn't fit a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The column; empty if the contract itself is at fault.
    pub column: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.column.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "column \"{}\": {}", self.column, self.message)
        }
    }
}

impl std::error::Error for Mismatch {}

/// How the batches of a query become batches of a stream.
pub struct Mapping {
    schema: SchemaRef,
    columns: Vec<From>,
}

enum From {
    /// The query's column of that index, as it is or by a widening cast.
    Column(usize, Option<Widen>),
    Null,
}

type Widen = Arc<dyn Fn(&ArrayRef) -> Result<ArrayRef, String> + Send + Sync>;

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// Checks a query's output against the contract of the stream that it goes to.
pub fn check(output: &Schema, target: &Contract) -> Result<Mapping, Vec<Mismatch>> {
    let wanted = Schema::from_contract(target).map_err(|error| {
        error
            .problems
            .into_iter()
            .map(|p| Mismatch {
                column: p.field,
                message: p.message,
            })
            .collect::<Vec<_>>()
    })?;
    let mut mismatches = Vec::new();
    let mut columns = Vec::with_capacity(wanted.columns.len());
    for column in &wanted.columns {
        let Some(index) = output.columns.iter().position(|c| c.name == column.name) else {
            if column.nullable {
                columns.push(From::Null);
            } else {
                // A misspelt column is told where it stands, below.
                let near = nearest(
                    &column.name,
                    output.names().filter(|n| wanted.column(n).is_none()),
                );
                let hint = near
                    .map(|n| format!("; the query gives \"{n}\", did you mean to name it so?"))
                    .unwrap_or_default();
                mismatches.push(Mismatch {
                    column: column.name.clone(),
                    message: format!("the contract requires it ({}), the query doesn't give it: add it to the SELECT, or make it nullable in the contract{hint}", column.data_type),
                });
            }
            continue;
        };
        match fit(&output.columns[index], column) {
            Ok(widen) => columns.push(From::Column(index, widen)),
            Err(message) => mismatches.push(Mismatch {
                column: column.name.clone(),
                message,
            }),
        }
    }
    for column in output
        .columns
        .iter()
        .filter(|c| wanted.column(&c.name).is_none())
    {
        let near = nearest(&column.name, wanted.names());
        let hint = near
            .map(|n| format!("; did you mean \"{n}\"?"))
            .unwrap_or_default();
        mismatches.push(Mismatch {
            column: column.name.clone(),
            message: format!("the query gives it ({}), the contract doesn't have it: leave it out, name it otherwise with AS, or add it to the contract{hint}", column.data_type),
        });
    }
    if mismatches.is_empty() {
        Ok(Mapping {
            schema: wanted.to_arrow(),
            columns,
        })
    } else {
        Err(mismatches)
    }
}

/// Checks that a stream can hold a query's changes: results that replace each other need a compacted
/// stream whose key is theirs. A stream that is compacted takes every query.
pub fn accepts(changes: &Changes, output: &Schema, target: &Contract) -> Result<(), Mismatch> {
    let Changes::Upsert { key } = changes else {
        return Ok(());
    };
    let of = |index: &usize| output.columns.get(*index).map(|c| c.name.as_str());
    let wanted: BTreeSet<&str> = key.iter().filter_map(of).collect();
    let given: BTreeSet<&str> = target.key.iter().map(String::as_str).collect();
    let named = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
    let what = format!(
        "without a window, the query's results replace each other by their key ({})",
        named(&wanted)
    );
    let message = if !target.compacted {
        format!(
            "{what}, and the stream keeps all records: make it compacted, with that key, or aggregate in windows, whose results are final"
        )
    } else if wanted == given {
        let null = key.iter().filter_map(|i| output.columns.get(*i));
        return match null.filter(|c| c.nullable).map(|c| &c.name).next() {
            None => Ok(()),
            Some(name) => Err(Mismatch {
                column: name.clone(),
                message: format!(
                    "without a window, the query's results replace each other by this key, and it may be null, which is no key: use COALESCE({name}, …) in GROUP BY (or PARTITION BY) and SELECT, or leave such rows out with WHERE {name} IS NOT NULL"
                ),
            }),
        };
    } else if given.is_empty() {
        format!(
            "{what}, and the stream's contract has no key: make it {}",
            named(&wanted)
        )
    } else {
        format!(
            "{what}, and the stream's key is another one ({}): make it {}, or group by the stream's key",
            named(&given),
            named(&wanted)
        )
    };
    Err(Mismatch {
        column: String::new(),
        message,
    })
}

impl Mapping {
    /// The Arrow schema of the stream's contract.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Orders, widens and completes a query's batch. Fails only on a batch that isn't the query's.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        let rows = batch.num_rows();
        let wrong = |message: String| arrow::error::ArrowError::InvalidArgumentError(message);
        let mut columns = Vec::with_capacity(self.columns.len());
        for (i, from) in self.columns.iter().enumerate() {
            columns.push(match from {
                From::Null => new_null_array(self.schema.field(i).data_type(), rows),
                From::Column(index, widen) => {
                    let column = batch
                        .columns()
                        .get(*index)
                        .ok_or_else(|| wrong(format!("the batch has no column {index}")))?;
                    match widen {
                        None => column.clone(),
                        Some(widen) => widen(column).map_err(wrong)?,
                    }
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }
}

/// How a column becomes the wanted one; `Err` says why it can't.
fn fit(given: &Column, wanted: &Column) -> Result<Option<Widen>, String> {
    let widen = widen(&given.data_type, &wanted.data_type).map_err(|hint| {
        format!(
            "the query gives {}, the contract wants {}{hint}",
            given.data_type, wanted.data_type
        )
    })?;
    if given.nullable && !wanted.nullable {
        let name = &given.name;
        return Err(format!(
            "the query may give null, the contract requires a value: use COALESCE({name}, …), or leave such rows out with WHERE … IS NOT NULL, or make it nullable in the contract"
        ));
    }
    Ok(widen)
}

/// True if every value of the one type is, without loss, one of the other, as SQL's implicit casts and JSON's texts widen.
pub fn lossless(given: &DataType, wanted: &DataType) -> bool {
    use DataType as T;
    match (given, wanted) {
        (T::Int, T::BigInt | T::Double) | (T::Float, T::Double) => true,
        (T::Int, T::Decimal { precision, scale }) => precision - scale >= 10,
        (T::BigInt, T::Decimal { precision, scale }) => precision - scale >= 19,
        (
            T::Decimal {
                precision: p,
                scale: s,
            },
            T::Decimal { precision, scale },
        ) => scale >= s && precision - scale >= p - s,
        (T::Timestamp(given), T::Timestamp(wanted))
        | (T::TimestampLtz(given), T::TimestampLtz(wanted)) => wanted >= given,
        _ => false,
    }
}

/// A widening of one type into another, `None` if they are the same.
fn widen(given: &DataType, wanted: &DataType) -> Result<Option<Widen>, String> {
    use DataType as T;
    if given == wanted {
        return Ok(None);
    }
    if lossless(given, wanted) {
        let kernel: Kernel = cast(given, wanted, false, false)
            .ok_or_else(String::new)?
            .kernel;
        return Ok(Some(Arc::new(move |array: &ArrayRef| {
            kernel(&Args {
                values: vec![Value::Array(array.clone())],
                rows: array.len(),
            })
        })));
    }
    match (given, wanted) {
        (T::Array(a), T::Array(b)) => Ok(Some(widen_list(
            nested(a, b, "its elements")?,
            &wanted.to_arrow(),
        ))),
        (T::Map(a), T::Map(b)) => Ok(Some(widen_map(
            nested(a, b, "its values")?,
            &wanted.to_arrow(),
        ))),
        (T::Struct(given_fields), T::Struct(wanted_fields)) => {
            let mut fields = Vec::new();
            for field in wanted_fields {
                match given_fields.iter().position(|f| f.name == field.name) {
                    None if field.nullable => fields.push(From::Null),
                    None => {
                        return Err(format!(
                            ": the field \"{}\" is required and missing",
                            field.name
                        ));
                    }
                    Some(index) if given_fields[index].nullable && !field.nullable => {
                        return Err(format!(
                            ": the field \"{}\" may be null and is required",
                            field.name
                        ));
                    }
                    Some(index) => {
                        let widen = widen(&given_fields[index].data_type, &field.data_type)
                            .map_err(|hint| {
                                format!(": the field \"{}\" differs{hint}", field.name)
                            })?;
                        fields.push(From::Column(index, widen));
                    }
                }
            }
            if let Some(extra) = given_fields
                .iter()
                .find(|f| !wanted_fields.iter().any(|w| w.name == f.name))
            {
                return Err(format!(
                    ": the field \"{}\" is not in the contract",
                    extra.name
                ));
            }
            Ok(Some(widen_struct(fields, &wanted.to_arrow())))
        }
        (T::Timestamp(_), T::TimestampLtz(_)) | (T::TimestampLtz(_), T::Timestamp(_)) => {
            Err(format!(
                ": one is an instant, the other has no zone; if UTC is meant, use CAST(… AS {})",
                sql_name(wanted)
            ))
        }
        _ if cast(given, wanted, false, false).is_some() => Err(format!(
            ": that may lose something; if it is meant, use CAST(… AS {})",
            sql_name(wanted)
        )),
        _ => Err(": one can't become the other".to_owned()),
    }
}

fn nested(given: &DataType, wanted: &DataType, what: &str) -> Result<Option<Widen>, String> {
    widen(given, wanted).map_err(|hint| format!(": {what} differ{hint}"))
}

/// A type as a query writes it in CAST.
fn sql_name(data_type: &DataType) -> String {
    data_type.to_string().to_uppercase()
}

fn child(widen: Option<&Widen>, array: &ArrayRef) -> Result<ArrayRef, String> {
    widen.map_or_else(|| Ok(array.clone()), |widen| widen(array))
}

fn widen_list(element: Option<Widen>, wanted: &Arrow) -> Widen {
    let wanted = wanted.clone();
    Arc::new(move |array: &ArrayRef| {
        let list: &ListArray = array.as_list();
        let Arrow::List(field) = &wanted else {
            return Err("internal error: no list".to_owned());
        };
        let values = child(element.as_ref(), list.values())?;
        ListArray::try_new(
            field.clone(),
            list.offsets().clone(),
            values,
            list.nulls().cloned(),
        )
        .map(|l| Arc::new(l) as ArrayRef)
        .map_err(|e| e.to_string())
    })
}

fn widen_map(value: Option<Widen>, wanted: &Arrow) -> Widen {
    let wanted = wanted.clone();
    Arc::new(move |array: &ArrayRef| {
        let map: &MapArray = array.as_map();
        let Arrow::Map(entries, _) = &wanted else {
            return Err("internal error: no map".to_owned());
        };
        let Arrow::Struct(fields) = entries.data_type() else {
            return Err("internal error: no entries".to_owned());
        };
        let content = StructArray::try_new(
            fields.clone(),
            vec![map.keys().clone(), child(value.as_ref(), map.values())?],
            None,
        )
        .map_err(|e| e.to_string())?;
        MapArray::try_new(
            entries.clone(),
            map.offsets().clone(),
            content,
            map.nulls().cloned(),
            false,
        )
        .map(|m| Arc::new(m) as ArrayRef)
        .map_err(|e| e.to_string())
    })
}

fn widen_struct(from: Vec<From>, wanted: &Arrow) -> Widen {
    let wanted = wanted.clone();
    Arc::new(move |array: &ArrayRef| {
        let given = array.as_struct();
        let Arrow::Struct(fields) = &wanted else {
            return Err("internal error: no struct".to_owned());
        };
        let columns: Result<Vec<ArrayRef>, String> = from
            .iter()
            .zip(fields)
            .map(|(from, field)| match from {
                From::Null => Ok(new_null_array(field.data_type(), array.len())),
                From::Column(index, widen) => child(widen.as_ref(), given.column(*index)),
            })
            .collect();
        StructArray::try_new(fields.clone(), columns?, array.nulls().cloned())
            .map(|s| Arc::new(s) as ArrayRef)
            .map_err(|e| e.to_string())
    })
}
