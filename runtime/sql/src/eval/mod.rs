//! Typed expressions, evaluated a whole batch at a time over Arrow's kernels.
//!
//! A [`Node`] is built once by the analysis, with every cast already explicit, and evaluated for each
//! batch. What Flink evaluates lazily (the branches of CASE, the right side of AND and OR, the later
//! arguments of COALESCE) is evaluated only for the rows that reach it, so that
//! `b <> 0 AND a / b > 1` doesn't divide by zero. A failing row fails the batch, with the place in the
//! query; the engine then halves the batch until it has the row.

pub(crate) mod arithmetic;
pub(crate) mod arrays;
pub(crate) mod calendar;
pub(crate) mod cast;
pub(crate) mod collections;
pub(crate) mod compare;
pub(crate) mod decimal;
pub(crate) mod hash;
pub(crate) mod json;
pub(crate) mod lazy;
pub(crate) mod moments;
pub(crate) mod pattern;
pub(crate) mod regex;
pub(crate) mod simple_format;
pub(crate) mod strings;
pub(crate) mod time;
pub(crate) mod url;
pub(crate) mod values;

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Datum, RecordBatch, Scalar, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::DataType as Arrow;

use crate::error::Place;
use crate::stack;
pub(crate) use values::Args;

/// A shared expression.
pub(crate) type NodeRef = Arc<Node>;

/// What a call computes: an array as long as [`Args::rows`], or why it can't.
pub(crate) type Kernel = Arc<dyn Fn(&Args) -> Result<ArrayRef, String> + Send + Sync>;

/// An expression.
pub(crate) enum Node {
    /// A column of the input, by its index in the stream's contract.
    Column(usize),
    /// A constant: an array of one value.
    Literal(ArrayRef),
    /// A function of its arguments.
    Call {
        place: Place,
        args: Vec<NodeRef>,
        kernel: Kernel,
    },
    /// AND (`decides`: false) or OR (`decides`: true), three-valued, from left to right.
    Logic { decides: bool, parts: Vec<Part> },
    /// Searched CASE.
    Case {
        whens: Vec<(Part, Part)>,
        otherwise: Part,
        data_type: Arrow,
    },
    /// The first argument that isn't null.
    Coalesce { parts: Vec<Part>, data_type: Arrow },
}

/// An expression that is evaluated only where it is needed, if it can fail.
pub(crate) struct Part {
    pub node: NodeRef,
    /// True: it may be evaluated only for the rows that need it.
    pub fallible: bool,
}

/// The result of an expression: an array, or one value for all rows.
pub(crate) enum Value {
    Array(ArrayRef),
    Constant(ArrayRef),
}

/// Why a batch can't be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationError {
    /// Where in the query.
    pub place: Place,
    /// What went wrong, such as `division by zero`.
    pub message: String,
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for EvaluationError {}

/// The rows under evaluation.
#[derive(Clone)]
pub(crate) struct Rows<'a> {
    pub batch: RecordBatch,
    /// For each column of the contract, its index in the batch.
    pub slots: &'a [Option<usize>],
}

type Evaluated<T> = Result<T, EvaluationError>;

impl Node {
    pub(crate) fn evaluate(&self, rows: &Rows) -> Evaluated<Value> {
        stack::deeper(|| self.evaluate_here(rows))
    }

    fn evaluate_here(&self, rows: &Rows) -> Evaluated<Value> {
        match self {
            Self::Column(index) => match rows.slots.get(*index).copied().flatten() {
                Some(slot) if slot < rows.batch.num_columns() => {
                    Ok(Value::Array(rows.batch.column(slot).clone()))
                }
                _ => Err(internal("a column is missing from the batch")),
            },
            Self::Literal(value) => Ok(Value::Constant(value.clone())),
            Self::Call {
                place,
                args,
                kernel,
            } => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    values.push(arg.evaluate(rows)?);
                }
                let constant =
                    !values.is_empty() && values.iter().all(|v| matches!(v, Value::Constant(_)));
                let count = if constant { 1 } else { rows.batch.num_rows() };
                let args = Args {
                    values,
                    rows: count,
                };
                let result = kernel(&args).map_err(|message| EvaluationError {
                    place: *place,
                    message,
                })?;
                if result.len() != count {
                    return Err(EvaluationError {
                        place: *place,
                        message: format!("the result has {} rows instead of {count}", result.len()),
                    });
                }
                Ok(if constant {
                    Value::Constant(result)
                } else {
                    Value::Array(result)
                })
            }
            Self::Logic { decides, parts } => lazy::logic(*decides, parts, rows),
            Self::Case {
                whens,
                otherwise,
                data_type,
            } => lazy::case(whens, otherwise, data_type, rows),
            Self::Coalesce { parts, data_type } => lazy::coalesce(parts, data_type, rows),
        }
    }

    /// The constant's value.
    pub(crate) fn literal(&self) -> Option<&ArrayRef> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl Value {
    /// An array of `rows` values.
    pub(crate) fn into_array(self, rows: usize) -> Evaluated<ArrayRef> {
        match self {
            Self::Array(array) => Ok(array),
            Self::Constant(value) => repeat(&value, rows),
        }
    }

    pub(crate) fn array(&self) -> &ArrayRef {
        match self {
            Self::Array(array) | Self::Constant(array) => array,
        }
    }

    /// The same value again.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Array(array) => Self::Array(array.clone()),
            Self::Constant(value) => Self::Constant(value.clone()),
        }
    }

    /// The value for Arrow's kernels.
    pub(crate) fn datum(&self) -> Box<dyn Datum> {
        match self {
            Self::Array(array) => Box::new(array.clone()),
            Self::Constant(value) => Box::new(Scalar::new(value.clone())),
        }
    }
}

/// One value, `rows` times.
fn repeat(value: &ArrayRef, rows: usize) -> Evaluated<ArrayRef> {
    if value.is_null(0) {
        return Ok(new_null_array(value.data_type(), rows));
    }
    take(value, &UInt32Array::from_value(0, rows), None).map_err(|e| internal(&e.to_string()))
}

/// What should not happen, and doesn't stop the process.
pub(crate) fn internal(message: &str) -> EvaluationError {
    EvaluationError {
        place: Place::default(),
        message: format!("internal error: {message}"),
    }
}
