//! A bound expression: what it gives, from which columns, and how to compute it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};

use crate::branch::Computed;
use crate::error::{Place, SqlError};
use crate::eval::{Kernel, Node, NodeRef, Part, Rows};
use crate::types::DataType;

/// Most nodes an expression may have once sub-queries are put in.
const MAX_WEIGHT: usize = 20_000;
/// Deepest nesting once sub-queries are put in; evaluation recurses as deep.
const MAX_DEPTH: usize = 320;

/// What the analysis gives: all that is wrong, not only the first.
pub(crate) type Analyzed<T> = Result<T, Vec<SqlError>>;

/// An error as an [`Analyzed`].
pub(crate) fn refuse<T>(place: Place, message: impl Into<String>) -> Analyzed<T> {
    Err(vec![SqlError::new(place, message)])
}

/// An expression whose names and types are known.
#[derive(Clone)]
pub(crate) struct BoundExpr {
    pub place: Place,
    pub node: NodeRef,
    pub data_type: DataType,
    /// A bare NULL, whose type is still open.
    pub untyped_null: bool,
    /// False: never null.
    pub nullable: bool,
    /// True: some row's value may make it fail.
    pub fallible: bool,
    /// The columns of the stream that it is computed from.
    pub sources: BTreeSet<usize>,
    /// Column and fields, if it is nothing but those.
    pub path: Option<Vec<usize>>,
    /// The text of what a column is, in terms of the stream's columns; equal for columns that are equal.
    pub identity: Option<Arc<str>>,
    pub weight: usize,
    pub depth: usize,
}

/// When a function's result is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// If an argument is.
    Strict,
    /// It may be, whatever the arguments are.
    Possible,
    /// Never.
    Never,
}

impl BoundExpr {
    /// A constant of one value.
    pub(crate) fn literal(place: Place, data_type: DataType, value: ArrayRef) -> Self {
        let nullable = value.is_null(0);
        Self {
            place,
            node: Arc::new(Node::Literal(value)),
            data_type,
            untyped_null: false,
            nullable,
            fallible: false,
            sources: BTreeSet::new(),
            path: None,
            identity: None,
            weight: 1,
            depth: 1,
        }
    }

    /// NULL of a type.
    pub(crate) fn null(place: Place, data_type: DataType) -> Self {
        let value = new_null_array(&data_type.to_arrow(), 1);
        Self::literal(place, data_type, value)
    }

    /// The NULL that a query writes.
    pub(crate) fn untyped_null(place: Place) -> Self {
        Self {
            untyped_null: true,
            ..Self::null(place, DataType::String)
        }
    }

    /// A column of the stream.
    pub(crate) fn column(place: Place, index: usize, data_type: DataType, nullable: bool) -> Self {
        Self {
            place,
            node: Arc::new(Node::Column(index)),
            data_type,
            untyped_null: false,
            nullable,
            fallible: false,
            sources: BTreeSet::from([index]),
            path: Some(vec![index]),
            identity: None,
            weight: 1,
            depth: 1,
        }
    }

    /// The same at another place, for a column of a sub-query.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// True for a constant.
    pub(crate) fn is_literal(&self) -> bool {
        self.node.literal().is_some()
    }

    /// The constant's text.
    pub(crate) fn literal_text(&self) -> Option<&str> {
        let value = self.node.literal()?;
        let array = value.as_any().downcast_ref::<arrow::array::StringArray>()?;
        array.is_valid(0).then(|| array.value(0))
    }

    /// The constant's value as a whole number.
    pub(crate) fn literal_int(&self) -> Option<i64> {
        let value = self.node.literal()?;
        if value.is_null(0) {
            return None;
        }
        if let Some(ints) = value.as_any().downcast_ref::<arrow::array::Int32Array>() {
            return Some(i64::from(ints.value(0)));
        }
        value
            .as_any()
            .downcast_ref::<arrow::array::Int64Array>()
            .map(|a| a.value(0))
    }

    /// The expression as a branch evaluates it.
    pub(crate) fn computed(&self) -> Computed<'_> {
        Computed {
            node: &self.node,
            reads: &self.sources,
        }
    }

    /// The expression as a part that is evaluated only where needed.
    pub(crate) fn part(&self) -> Part {
        Part {
            node: self.node.clone(),
            fallible: self.fallible,
        }
    }
}

/// A function call. A call of constants is computed now; if that fails, the query always would.
pub(crate) fn call(
    place: Place,
    data_type: DataType,
    args: &[BoundExpr],
    nulls: Nulls,
    fallible: bool,
    kernel: Kernel,
) -> Analyzed<BoundExpr> {
    let nullable = match nulls {
        Nulls::Strict => args.iter().any(|a| a.nullable),
        Nulls::Possible => true,
        Nulls::Never => false,
    };
    let constant = !args.is_empty() && args.iter().all(BoundExpr::is_literal);
    let node = Node::Call {
        place,
        args: args.iter().map(|a| a.node.clone()).collect(),
        kernel,
    };
    if constant {
        let batch =
            arrow::array::RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
        return match node.evaluate(&Rows { batch, slots: &[] }) {
            Ok(value) => Ok(BoundExpr::literal(place, data_type, value.array().clone())),
            Err(error) => refuse(place, format!("this always fails: {}", error.message)),
        };
    }
    build(place, data_type, args, nullable, fallible, node)
}

/// A node over checked parts.
pub(crate) fn build(
    place: Place,
    data_type: DataType,
    parts: &[BoundExpr],
    nullable: bool,
    fallible: bool,
    node: Node,
) -> Analyzed<BoundExpr> {
    let weight = parts
        .iter()
        .fold(1usize, |sum, p| sum.saturating_add(p.weight));
    let depth = 1 + parts.iter().map(|p| p.depth).max().unwrap_or(0);
    if weight > MAX_WEIGHT || depth > MAX_DEPTH {
        return refuse(
            place,
            "with its sub-queries put in, this expression is too large; split the pipeline in two with a stream between them",
        );
    }
    Ok(BoundExpr {
        place,
        node: Arc::new(node),
        data_type,
        untyped_null: false,
        nullable,
        fallible: fallible || parts.iter().any(|p| p.fallible),
        sources: parts
            .iter()
            .flat_map(|p| p.sources.iter().copied())
            .collect(),
        path: None,
        identity: None,
        weight,
        depth,
    })
}
