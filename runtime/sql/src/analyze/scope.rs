//! Which columns a SELECT sees, and how a path finds its column or field.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::compute::kernels::boolean::is_not_null;
use arrow::compute::nullif;
use sha2::{Digest, Sha256};

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use crate::error::SqlError;
use crate::eval::hash::hex;
use crate::eval::{Args, Kernel};
use crate::schema::Schema;
use crate::suggest::nearest;
use crate::syntax::ast::{Expr, Kind, Name};
use crate::syntax::walk::canonical;
use crate::types::DataType;

/// The columns that a SELECT sees.
#[derive(Clone)]
pub(crate) struct Scope {
    /// The name before a dot: the alias, or the stream's own.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<(String, BoundExpr)>,
    /// Of a join: the names before a dot, each with the columns that it stands for. Both may have columns of one name.
    pub sides: Vec<Side>,
    /// What the filter has made non-null.
    pub not_null: NotNull,
}

/// One input of a join.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    /// Its alias, or the stream's own name; empty for a sub-query without alias.
    pub name: String,
    /// Its columns, by their places.
    pub columns: Range<usize>,
}

/// What a filter has made non-null.
#[derive(Clone, Default)]
pub(crate) struct NotNull {
    /// Columns of the stream and their fields.
    pub paths: HashSet<Vec<usize>>,
    /// Whatever else, by [`Scope::text`]: computed columns of a sub-query, `CAST(a AS INT)`.
    pub texts: HashSet<String>,
}

impl NotNull {
    /// True if it has the expression, whose text is made only where it may have.
    pub(crate) fn has(&self, expr: &Expr, text: impl FnOnce() -> String) -> bool {
        if self.texts.is_empty() {
            return false;
        }
        let head = format!("{}(", expr.label());
        let likely = matches!(expr.kind, Kind::Path(_))
            || self.texts.iter().any(|known| known.starts_with(&head));
        likely && self.texts.contains(&text())
    }
}

impl Scope {
    pub(crate) fn of_stream(name: &str, schema: &Schema) -> Self {
        let columns = schema.columns.iter().enumerate();
        let columns = columns.map(|(i, c)| {
            let place = crate::error::Place::default();
            let mut typed = BoundExpr::column(place, i, c.data_type.clone(), c.nullable);
            typed.identity = Some(format!("{:?}", c.name).into());
            (c.name.clone(), typed)
        });
        Self {
            name: name.to_owned(),
            columns: columns.collect(),
            sides: Vec::new(),
            not_null: NotNull::default(),
        }
    }

    /// The columns that `*`, or the name before `.*`, stands for; none for a name that isn't there.
    pub(crate) fn all(&self, of: Option<&str>) -> Option<Vec<(String, BoundExpr)>> {
        let range = match of {
            None => 0..self.columns.len(),
            Some(of) => self.side(of)?,
        };
        let columns = self.columns.iter().enumerate().skip(range.start);
        let columns = columns.take(range.len()).map(|(index, (name, typed))| {
            let mut typed = self.narrowed(typed.clone());
            let text = column_text(&[self.label(index)]);
            typed.nullable &= !self.not_null.texts.contains(&text);
            (name.clone(), typed)
        });
        Some(columns.collect())
    }

    /// The columns that the name before a dot stands for.
    fn side(&self, name: &str) -> Option<Range<usize>> {
        if self.sides.is_empty() {
            return (name == self.name).then_some(0..self.columns.len());
        }
        let side = self.sides.iter().find(|side| side.name == name)?;
        Some(side.columns.clone())
    }

    /// The names that may stand before a dot.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self.sides.as_slice() {
            [] => vec![&self.name],
            sides => sides.iter().map(|side| side.name.as_str()).collect(),
        }
    }

    /// What a column is called in texts: two of a join may have the same name.
    fn label(&self, index: usize) -> String {
        let name = self.columns.get(index).map_or("", |(name, _)| name);
        if self.sides.is_empty() {
            name.to_owned()
        } else {
            format!("{index} {name}")
        }
    }

    /// The place of the column of that name, if there is one.
    fn position(&self, name: &Name) -> Analyzed<Option<usize>> {
        let columns = self.columns.iter().enumerate();
        let mut found = columns.filter(|(_, (known, _))| *known == name.text);
        let first = found.next().map(|(index, _)| index);
        let second = found.next().filter(|_| !self.sides.is_empty());
        let (Some(one), Some((other, _))) = (first, second) else {
            return Ok(first);
        };
        let of = |index: usize| {
            let side = self.sides.iter().find(|side| side.columns.contains(&index));
            side.map_or_else(String::new, |side| {
                format!("\"{}.{}\"", side.name, name.text)
            })
        };
        refuse(
            name.place,
            format!(
                "both sides of the join have a column \"{}\": write {} or {}",
                name.text,
                of(one),
                of(other)
            ),
        )
    }

    /// The column that a path begins with, and the fields behind. As in Flink, `a.b` is the column b of what is called a; where it has none,
    /// the field b of a column a.
    fn split<'n>(&self, names: &'n [Name]) -> Analyzed<Option<(usize, &'n [Name])>> {
        let Some((first, rest)) = names.split_first() else {
            return Ok(None);
        };
        if let (Some(side), Some((second, fields))) = (self.side(&first.text), rest.split_first()) {
            let mut of_side = self.columns[side.clone()].iter();
            if let Some(at) = of_side.position(|(known, _)| *known == second.text) {
                return Ok(Some((side.start + at, fields)));
            }
            let is_struct = |typed: &BoundExpr| matches!(typed.data_type, DataType::Struct(_));
            let mut all = self.columns.iter();
            if !all.any(|(known, typed)| *known == first.text && is_struct(typed)) {
                return Err(vec![self.unknown(second, side)]);
            }
        }
        Ok(self.position(first)?.map(|index| (index, rest)))
    }

    /// Finds a path: `column.field.field`, or the same behind the stream's name.
    pub(crate) fn path(&self, names: &[Name]) -> Analyzed<BoundExpr> {
        let Some(first) = names.first() else {
            return refuse(crate::error::Place::default(), "a name is missing");
        };
        let Some((index, rest)) = self.split(names)? else {
            return Err(vec![self.unknown(first, 0..self.columns.len())]);
        };
        let typed = self.columns.get(index).map(|(_, typed)| typed.clone());
        let mut typed = match typed {
            Some(typed) => self.narrowed(typed.at(first.place)),
            None => return Err(vec![self.unknown(first, 0..self.columns.len())]),
        };
        for name in rest {
            typed = self.field(typed, name)?;
        }
        typed.place = first.place;
        Ok(typed)
    }

    pub(super) fn narrowed(&self, mut typed: BoundExpr) -> BoundExpr {
        if typed
            .path
            .as_ref()
            .is_some_and(|p| self.not_null.paths.contains(p))
        {
            typed.nullable = false;
        }
        typed
    }

    /// The text of an expression by the names that it uses; equal for equal expressions of one SELECT.
    pub(crate) fn text(&self, expr: &Expr) -> String {
        canonical(expr, &|names| {
            let (column, fields) = match self.split(names) {
                Ok(Some((index, fields))) => (self.label(index), fields),
                _ => (String::new(), &[][..]),
            };
            let fields = fields.iter().map(|f| f.text.clone());
            column_text(&std::iter::once(column).chain(fields).collect::<Vec<_>>())
        })
    }

    /// The text of an expression in terms of the stream's columns; what is long becomes a digest.
    pub(crate) fn identity(&self, expr: &Expr) -> Arc<str> {
        let text = canonical(expr, &|names| {
            let (column, fields) = match self.split(names) {
                Ok(Some((index, fields))) => (self.columns.get(index), fields),
                _ => (None, &[][..]),
            };
            let mut text = column
                .and_then(|(_, typed)| typed.identity.as_deref())
                .unwrap_or_default()
                .to_owned();
            for field in fields {
                text = format!("{text}.{:?}", field.text);
            }
            text
        });
        if text.len() <= 80 {
            return text.into();
        }
        hex(&Sha256::digest(text.as_bytes())).into()
    }

    /// What is said of a name that none of these columns has.
    fn unknown(&self, name: &Name, among: Range<usize>) -> SqlError {
        let columns = self.columns.get(among).unwrap_or_default();
        let near = nearest(&name.text, columns.iter().map(|(n, _)| n));
        let mut message = format!("unknown column \"{}\"", name.text);
        if near.is_none() {
            let names: Vec<&str> = columns.iter().take(12).map(|(n, _)| n.as_str()).collect();
            let more = if columns.len() > 12 { ", …" } else { "" };
            message = format!(
                "{message}; {} has {}{more}",
                if self.name.is_empty() {
                    "the input"
                } else {
                    &self.name
                },
                names.join(", ")
            );
        }
        SqlError::new(name.place, message).meant(near.map(|n| format!("\"{n}\"")))
    }

    /// A field of a struct, or of a column that holds one.
    pub(crate) fn field(&self, of: BoundExpr, name: &Name) -> Analyzed<BoundExpr> {
        let DataType::Struct(fields) = &of.data_type else {
            let hint = match &of.data_type {
                DataType::Map(_) => format!("; a map's value is taken with ['{}']", name.text),
                DataType::Array(_) => "; an array's element is taken with [1]".to_owned(),
                DataType::String => format!(
                    "; if the text is JSON, use JSON_VALUE(…, '$.{}')",
                    name.text
                ),
                _ => String::new(),
            };
            return refuse(
                name.place,
                format!(
                    "{} has no fields, so no \"{}\"{hint}",
                    of.data_type, name.text
                ),
            );
        };
        let Some(index) = fields.iter().position(|f| f.name == name.text) else {
            let near = nearest(&name.text, fields.iter().map(|f| f.name.as_str()));
            let error = SqlError::new(
                name.place,
                format!(
                    "unknown field \"{}\" of {}",
                    name.text,
                    shortened(&of.data_type)
                ),
            );
            return Err(vec![error.meant(near.map(|n| format!("\"{n}\"")))]);
        };
        let field = &fields[index];
        let kernel: Kernel = Arc::new(move |args: &Args| struct_field(args.array(0), index));
        let nulls = if field.nullable {
            Nulls::Possible
        } else {
            Nulls::Strict
        };
        let data_type = field.data_type.clone();
        let mut typed = call(
            name.place,
            data_type,
            std::slice::from_ref(&of),
            nulls,
            false,
            kernel,
        )?;
        typed.path = of.path.map(|mut path| {
            path.push(index);
            path
        });
        Ok(self.narrowed(typed))
    }
}

/// The text of a column and its fields.
fn column_text(names: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("{:?}", n.as_ref())).collect();
    quoted.join(".")
}

/// A struct's child, null where the struct is.
fn struct_field(array: &ArrayRef, index: usize) -> Result<ArrayRef, String> {
    let fields = array.as_struct();
    let child = fields.column(index);
    match array.nulls() {
        None => Ok(child.clone()),
        Some(nulls) if child.nulls().is_none() => {
            // Only the struct has nulls: share the child's buffers and put the struct's nulls on top.
            let data = child
                .to_data()
                .into_builder()
                .nulls(Some(nulls.clone()))
                .build()
                .map_err(|e| e.to_string())?;
            Ok(make_array(data))
        }
        Some(_) => {
            let null = arrow::compute::not(&is_not_null(array).map_err(|e| e.to_string())?)
                .map_err(|e| e.to_string())?;
            nullif(child, &null).map_err(|e| e.to_string())
        }
    }
}

/// A type's text, cut to what fits a message.
pub(crate) fn shortened(data_type: &DataType) -> String {
    let text = data_type.to_string();
    if text.chars().count() <= 80 {
        text
    } else {
        format!("{}…", text.chars().take(80).collect::<String>())
    }
}
