//! Which columns a SELECT sees, and how a path finds its column or field.

use std::collections::HashSet;
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
    /// What the filter has made non-null.
    pub not_null: NotNull,
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
            not_null: NotNull::default(),
        }
    }

    /// All columns, as `*` gives them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (String, BoundExpr)> + '_ {
        self.columns.iter().map(|(name, typed)| {
            let mut typed = self.narrowed(typed.clone());
            typed.nullable &= !self.not_null.texts.contains(&column_text(&[name]));
            (name.clone(), typed)
        })
    }

    /// Finds a path: `column.field.field`, or the same behind the stream's name.
    pub(crate) fn path(&self, names: &[Name]) -> Analyzed<BoundExpr> {
        let Some((first, mut rest)) = names.split_first() else {
            return refuse(crate::error::Place::default(), "a name is missing");
        };
        // A column of the name wins over the stream's name, as in Flink.
        let mut found = self.column(first);
        if found.is_none()
            && first.text == self.name
            && let Some((second, fields)) = rest.split_first()
        {
            found = self.column(second);
            rest = fields;
            if found.is_none() {
                return Err(vec![self.unknown(second)]);
            }
        }
        let Some(mut typed) = found else {
            return Err(vec![self.unknown(first)]);
        };
        for name in rest {
            typed = self.field(typed, name)?;
        }
        typed.place = first.place;
        Ok(typed)
    }

    pub(super) fn column(&self, name: &Name) -> Option<BoundExpr> {
        let (_, typed) = self.columns.iter().find(|(n, _)| *n == name.text)?;
        Some(self.narrowed(typed.clone().at(name.place)))
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
            let (column, fields) = self.split(names);
            let column = column.map_or("", |(name, _)| name);
            let fields = fields.iter().map(|f| f.text.as_str());
            column_text(&std::iter::once(column).chain(fields).collect::<Vec<_>>())
        })
    }

    /// The text of an expression in terms of the stream's columns; what is long becomes a digest.
    pub(crate) fn identity(&self, expr: &Expr) -> Arc<str> {
        let text = canonical(expr, &|names| {
            let (column, fields) = self.split(names);
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

    /// The column that a path begins with, and the fields behind.
    fn split<'n>(&self, names: &'n [Name]) -> (Option<&(String, BoundExpr)>, &'n [Name]) {
        let find = |name: &Name| self.columns.iter().find(|(n, _)| *n == name.text);
        match names {
            [first, rest @ ..] if find(first).is_some() => (find(first), rest),
            [_, second, rest @ ..] => (find(second), rest),
            _ => (None, &[]),
        }
    }

    fn unknown(&self, name: &Name) -> SqlError {
        let near = nearest(&name.text, self.columns.iter().map(|(n, _)| n));
        let mut message = format!("unknown column \"{}\"", name.text);
        if near.is_none() {
            let names: Vec<&str> = self
                .columns
                .iter()
                .take(12)
                .map(|(n, _)| n.as_str())
                .collect();
            let more = if self.columns.len() > 12 { ", …" } else { "" };
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
