//! FROM: streams, sub-queries, window tables and joins become branches, each with the scope over it.

use super::bound_expr::{Analyzed, refuse};
use super::scope::{NotNull, Scope};
use super::select::{Environment, query};
use super::{BoundSelect, Input, Stream, join, spread, unnest, window};
use crate::branch::Reads;
use crate::error::{Place, SqlError};
use crate::schema::Schema;
use crate::stack;
use crate::suggest::nearest;
use crate::syntax::ast::{From, FromSource, Name};
use crate::types::DataType;

/// What FROM names: branches and the scope over each.
pub(super) fn from<'a>(
    from: &'a From,
    environment: &Environment<'a>,
) -> Analyzed<Vec<(BoundSelect, Scope)>> {
    if let Some(time) = &from.as_of {
        return refuse(
            time.place,
            "FOR SYSTEM_TIME AS OF is for the right side of a join, and takes the event time of the left one: FROM orders AS o JOIN rates FOR SYSTEM_TIME AS OF o.placed_at AS r ON o.currency = r.currency",
        );
    }
    match &from.source {
        FromSource::Join(join) => return Ok(vec![join::join(join, environment)?]),
        FromSource::Unnest(of) => return unnest::unnest(of, environment),
        _ => {}
    }
    let alias = from.alias.as_ref().map(|a| a.text.as_str());
    let (own_name, branches) = source(&from.source, environment)?;
    let branches = rename(branches, &from.columns)?;
    Ok(branches
        .into_iter()
        .map(|checked| {
            let scope = Scope {
                name: alias.unwrap_or(own_name).to_owned(),
                columns: checked.columns.clone(),
                sides: Vec::new(),
                not_null: NotNull::default(),
            };
            (checked, scope)
        })
        .collect())
}

/// What FROM names with FOR SYSTEM_TIME AS OF: the versions that a stream holds.
pub(super) fn versions(
    from: &From,
    environment: &Environment<'_>,
) -> Analyzed<(BoundSelect, Scope)> {
    let FromSource::Name(name) = &from.source else {
        return refuse(
            Place::default(),
            "FOR SYSTEM_TIME AS OF stands behind a stream",
        );
    };
    if environment.with.iter().any(|n| n.name.text == name.text) {
        return refuse(
            name.place,
            format!(
                "\"{}\" is a sub-query, and only a stream has versions: name the compacted stream itself, and say what else is wanted of its rows in ON or WHERE",
                name.text
            ),
        );
    }
    let mut renamed = rename(vec![stream(name, environment)?], &from.columns)?;
    let Some(mut versions) = renamed.pop() else {
        return refuse(name.place, "FROM gives no rows");
    };
    if let Input::Stream(stream) = &mut versions.input {
        stream.reads = Reads::Versions;
    }
    let scope = Scope {
        name: from.alias.as_ref().unwrap_or(name).text.clone(),
        columns: versions.columns.clone(),
        sides: Vec::new(),
        not_null: NotNull::default(),
    };
    Ok((versions, scope))
}

/// The branches of what FROM reads, and the name that they have without an alias.
fn source<'a>(
    source: &'a FromSource,
    environment: &Environment<'a>,
) -> Analyzed<(&'a str, Vec<BoundSelect>)> {
    match source {
        FromSource::Query(inner) => Ok(("", stack::deeper(|| query(inner, environment))?)),
        FromSource::Join(join) => Ok(("", vec![join::join(join, environment)?.0])),
        FromSource::Unnest(of) => {
            let branches = unnest::unnest(of, environment)?.into_iter();
            Ok(("", branches.map(|(branch, _)| branch).collect()))
        }
        FromSource::Window(table) => {
            let rows = from(&table.source, environment)?;
            let branches = if environment.windows_as_rows {
                spread::spread(table, rows)?
            } else {
                window::table(table, rows)?
            };
            Ok(("", branches))
        }
        FromSource::Name(name) => match environment
            .with
            .iter()
            .rposition(|n| n.name.text == name.text)
        {
            Some(index) => {
                let named = environment.with[index];
                // A chain of WITH is as deep as it is long.
                let branches = stack::deeper(|| query(&named.query, &environment.before(index)))?;
                Ok((name.text.as_str(), rename(branches, &named.columns)?))
            }
            None => Ok((name.text.as_str(), vec![stream(name, environment)?])),
        },
    }
}

fn stream(name: &Name, environment: &Environment) -> Analyzed<BoundSelect> {
    let Some(contract) = environment.catalog.get(&name.text) else {
        let names = environment
            .catalog
            .names()
            .chain(environment.with.iter().map(|n| n.name.text.as_str()));
        let near = nearest(&name.text, names);
        return Err(vec![
            SqlError::new(name.place, format!("unknown stream \"{}\"", name.text))
                .meant(near.map(|n| format!("\"{n}\""))),
        ]);
    };
    let schema = match Schema::from_contract(contract) {
        Ok(schema) => schema,
        Err(error) => {
            return refuse(
                name.place,
                format!(
                    "the contract of stream \"{}\" can't be read: {error}",
                    name.text
                ),
            );
        }
    };
    let columns = Scope::of_stream(&name.text, &schema).columns;
    let time = contract.event_time.as_ref();
    Ok(BoundSelect {
        input: Input::Stream(Stream {
            name: name.text.clone(),
            time: time.and_then(|time| path(&schema, &time.field)),
            time_field: time.map(|time| time.field.clone()),
            compacted: contract.compacted,
            key: contract.key.clone(),
            reads: Reads::Records,
            spread: None,
        }),
        schema,
        filter: None,
        conditions: Vec::new(),
        columns,
        unnested: Vec::new(),
        windowed: None,
    })
}

fn rename(mut branches: Vec<BoundSelect>, names: &[Name]) -> Analyzed<Vec<BoundSelect>> {
    let Some(first) = names.first() else {
        return Ok(branches);
    };
    for branch in &mut branches {
        if branch.columns.len() != names.len() {
            return refuse(
                first.place,
                format!(
                    "{} names are given for {} columns",
                    names.len(),
                    branch.columns.len()
                ),
            );
        }
        for (column, name) in branch.columns.iter_mut().zip(names) {
            column.0.clone_from(&name.text);
        }
    }
    Ok(branches)
}

/// The indexes of a dotted path such as `customer.since`.
fn path(schema: &Schema, dotted: &str) -> Option<Vec<usize>> {
    let mut steps = dotted.split('.');
    let first = steps.next()?;
    let column = schema.columns.iter().position(|c| c.name == first)?;
    let (mut path, mut data_type) = (vec![column], &schema.columns.get(column)?.data_type);
    for step in steps {
        let DataType::Struct(fields) = data_type else {
            return None;
        };
        let field = fields.iter().position(|f| f.name == step)?;
        path.push(field);
        data_type = &fields.get(field)?.data_type;
    }
    Some(path)
}
