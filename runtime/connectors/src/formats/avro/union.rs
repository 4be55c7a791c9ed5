//! Unions of several types: a column of them is a struct, of which a value has one field.

use arrow::array::{Array, ArrayRef};
use headworks_schema::avro::defaults::long;
use headworks_schema::avro::union::branches;
use headworks_schema::avro::{Avro, Id, Kind};
use headworks_sql::types::DataType;

use super::super::refused::Refused;
use super::compile::Compiler;
use super::encode::{Value, value};
use super::read::Op;
use super::write::write;

type Wrong = (String, String);

impl Compiler<'_> {
    /// How the writer's type, which is no union, is read as the reader's union of several types; `None`: that is none.
    ///
    /// It is read as the branch of its kind and full name, else of its kind and name, else as the first that takes it
    /// (Avro 1.12, "Schema Resolution").
    pub(super) fn chosen(
        &self,
        id: Id,
        reader: Option<Id>,
        to: &DataType,
        depth: usize,
    ) -> Option<Result<Op, Wrong>> {
        let kind = &self.writer.node(id).kind;
        let DataType::Struct(columns) = to else {
            return None;
        };
        if matches!(kind, Kind::Null | Kind::Union(_)) {
            return None;
        }
        let branches = branches(self.reader, reader?)?;
        let made = |at: usize| {
            let (branch, name) = &branches[at];
            let column = columns.iter().position(|column| column.name == *name);
            let Some(column) = column else {
                return Err((name.clone(), "the contract doesn't have it".to_owned()));
            };
            let op = self.op(id, Some(*branch), &columns[column].data_type, depth + 1);
            op.map(|op| Op::Chosen {
                column,
                name: name.clone(),
                op: Box::new(op),
            })
        };
        let of_kind = |same: fn(&str, &str) -> bool| {
            branches.iter().position(|(branch, _)| {
                let other = &self.reader.node(*branch).kind;
                std::mem::discriminant(other) == std::mem::discriminant(kind)
                    && same(other.word(), kind.word())
            })
        };
        let simple = |a: &str, b: &str| a.rsplit('.').next() == b.rsplit('.').next();
        if let Some(at) = of_kind(|a, b| a == b).or_else(|| of_kind(simple)) {
            return Some(made(at));
        }
        let first = (0..branches.len()).find_map(|at| made(at).ok());
        Some(first.ok_or_else(|| {
            let message = format!(
                "is {} in the definition that the record was written with, which the contract's union hasn't got",
                kind.word()
            );
            (String::new(), message)
        }))
    }
}

/// A union of several types, as it is written.
pub(super) struct Choice {
    /// The index of null, if it is one of them.
    pub(super) null: Option<i64>,
    branches: Vec<Branch>,
}

struct Branch {
    /// The struct's field.
    column: usize,
    name: String,
    data_type: DataType,
    /// Where it stands in the union.
    index: i64,
    value: Value,
}

/// A union of several types, from a struct with a field for each.
pub(super) fn choice(avro: &Avro, id: Id, from: &DataType) -> Result<Choice, Wrong> {
    let (Kind::Union(all), Some(branches), DataType::Struct(columns)) =
        (&avro.node(id).kind, branches(avro, id), from)
    else {
        return Err((
            String::new(),
            format!("is {from} in the contract, and a union of several types in the definition"),
        ));
    };
    let index = |wanted: &dyn Fn(Id) -> bool| {
        let found = all.iter().position(|id| wanted(*id));
        found.map(|at| at as i64)
    };
    let mut made = Vec::with_capacity(branches.len());
    for (branch, name) in branches {
        let column = columns.iter().position(|column| column.name == name);
        let (Some(column), Some(index)) = (column, index(&|id| id == branch)) else {
            return Err((
                format!(".{name}"),
                "the contract doesn't have it".to_owned(),
            ));
        };
        let data_type = columns[column].data_type.clone();
        let value = value(avro, branch, &data_type)
            .map_err(|(path, why)| (format!(".{name}{path}"), why))?;
        made.push(Branch {
            column,
            name,
            data_type,
            index,
            value,
        });
    }
    Ok(Choice {
        null: index(&|id| matches!(avro.node(id).kind, Kind::Null)),
        branches: made,
    })
}

impl Choice {
    /// Writes the one field that is set.
    pub(super) fn write(
        &self,
        columns: &[ArrayRef],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let set = |branch: &&Branch| {
            let column = columns.get(branch.column);
            column.is_some_and(|column| !column.is_null(row))
        };
        let mut all = self.branches.iter().filter(set);
        let (Some(branch), other) = (all.next(), all.next()) else {
            return Err(Refused::contract(
                "has none of its fields set; it is a union in the definition, and a value has one of its types",
            ));
        };
        if let Some(other) = other {
            return Err(Refused::contract(format!(
                "has {} and {} set; it is a union in the definition, and a value has one of its types",
                branch.name, other.name
            )));
        }
        long(branch.index, out);
        let column = columns
            .get(branch.column)
            .ok_or_else(|| Refused::contract("the batch has no such column"))?;
        write(&branch.value, &branch.data_type, column, row, out)
            .map_err(|refused| refused.field(&branch.name))
    }
}
