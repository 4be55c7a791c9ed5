//! Queries: FROM gives a scope, WHERE narrows it, the SELECT list makes columns, UNION ALL joins branches.

use std::cell::Cell;
use std::collections::HashSet;

use super::casts;
use super::scope::Scope;
use super::typed::{Bound, Typed, build, refuse};
use super::{Checked, Checker};
use crate::Catalog;
use crate::error::{Place, SqlError};
use crate::eval::Node;
use crate::schema::Schema;
use crate::suggest::nearest;
use crate::syntax::ast::{
    Body, Expr, From, FromSource, Is, Item, Kind, Name, Named, Query, Select,
};
use crate::syntax::own_name;
use crate::types::DataType;

/// Most branches once sub-queries are put in.
const MAX_BRANCHES: usize = 64;
/// Most SELECTs once sub-queries are put in.
pub(super) const MAX_SELECTS: usize = 500;
/// Most columns of a SELECT.
const MAX_COLUMNS: usize = 1000;

/// The names that FROM may use: streams, and sub-queries of WITH.
pub(super) struct Environment<'a> {
    catalog: &'a Catalog,
    with: Vec<&'a Named>,
    /// SELECTs that may still be checked: sub-queries that use each other twice double at every step.
    budget: &'a Cell<usize>,
}

impl<'a> Environment<'a> {
    pub(super) fn of(catalog: &'a Catalog, budget: &'a Cell<usize>) -> Self {
        Self {
            catalog,
            with: Vec::new(),
            budget,
        }
    }

    /// What a sub-query of WITH sees: what was defined before it.
    fn before(&self, index: usize) -> Self {
        Self {
            catalog: self.catalog,
            with: self.with[..index].to_vec(),
            budget: self.budget,
        }
    }
}

pub(super) fn query<'a>(query: &'a Query, outer: &Environment<'a>) -> Bound<Vec<Checked>> {
    let mut environment = Environment {
        catalog: outer.catalog,
        with: outer.with.clone(),
        budget: outer.budget,
    };
    environment.with.extend(query.with.iter());
    let (mut branches, mut errors) = (Vec::<Checked>::new(), Vec::new());
    for (index, body) in query.branches.iter().enumerate() {
        let (place, checked) = match body {
            Body::Query(inner) => (
                Place { line: 1, column: 1 },
                self::query(inner, &environment),
            ),
            Body::Select(one) => (one.place, select(one, &environment, index == 0)),
        };
        match checked {
            Ok(more) => branches.extend(more.into_iter().map(|mut c| {
                // Every branch's place, for the errors of UNION ALL.
                for (_, typed) in &mut c.columns {
                    if typed.place == Place::default() {
                        typed.place = place;
                    }
                }
                c
            })),
            Err(more) => errors.extend(more),
        }
        if branches.len() > MAX_BRANCHES {
            errors.push(SqlError::new(
                place,
                format!(
                    "with its sub-queries put in, the query has more than {MAX_BRANCHES} branches"
                ),
            ));
            break;
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    unite(branches)
}

/// Gives the branches of a UNION ALL the same columns; the first branch names them.
fn unite(mut branches: Vec<Checked>) -> Bound<Vec<Checked>> {
    let mut errors = Vec::new();
    let count = branches.first().map_or(0, |b| b.columns.len());
    for branch in branches.iter().skip(1) {
        if branch.columns.len() != count {
            let place = branch
                .columns
                .first()
                .map_or(Place::default(), |(_, t)| t.place);
            errors.push(SqlError::new(
                place,
                format!(
                    "UNION ALL: this branch has {} columns, the first has {count}",
                    branch.columns.len()
                ),
            ));
        }
    }
    if !errors.is_empty() || branches.len() < 2 {
        return if errors.is_empty() {
            Ok(branches)
        } else {
            Err(errors)
        };
    }
    for index in 0..count {
        let name = branches[0].columns[index].0.clone();
        let column: Vec<Typed> = branches
            .iter()
            .map(|b| b.columns[index].1.clone())
            .collect();
        if let Some(data_type) = casts::unify(&column) {
            for branch in &mut branches {
                let typed = branch.columns[index].1.clone();
                match casts::coerce(typed, &data_type) {
                    Ok(typed) => branch.columns[index] = (name.clone(), typed),
                    Err(more) => errors.extend(more),
                }
            }
        } else {
            let first = &column[0].data_type;
            let other = column
                .iter()
                .find(|t| casts::unify(&[column[0].clone(), (*t).clone()]).is_none())
                .unwrap_or(&column[0]);
            errors.push(SqlError::new(other.place, format!("UNION ALL: column {} (\"{name}\") is {first} in the first branch and {} here; make them equal with CAST", index + 1, other.data_type)));
        }
    }
    if errors.is_empty() {
        Ok(branches)
    } else {
        Err(errors)
    }
}

/// A SELECT; one branch for each branch of what it reads. `named`: its columns need names, as those
/// of the later branches of a UNION ALL don't.
fn select<'a>(
    select: &'a Select,
    environment: &Environment<'a>,
    named: bool,
) -> Bound<Vec<Checked>> {
    let left = environment.budget.get();
    if left == 0 {
        return refuse(
            select.place,
            "with its sub-queries put in, the query is too large; split the pipeline in two with a stream between them",
        );
    }
    environment.budget.set(left - 1);
    let inputs = from(&select.from, environment)?;
    let (mut branches, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        match over(select, input, named) {
            Ok(checked) => branches.push(checked),
            Err(more) => errors.extend(more),
        }
        if !errors.is_empty() {
            return Err(errors);
        }
    }
    Ok(branches)
}

/// What FROM names: branches and the scope over each.
fn from<'a>(from: &'a From, environment: &Environment<'a>) -> Bound<Vec<(Checked, Scope)>> {
    let alias = from.alias.as_ref().map(|a| a.text.as_str());
    let (own_name, branches) = match &from.source {
        FromSource::Query(inner) => ("", query(inner, environment)?),
        FromSource::Name(name) => match environment
            .with
            .iter()
            .rposition(|n| n.name.text == name.text)
        {
            Some(index) => {
                let named = environment.with[index];
                let branches = query(&named.query, &environment.before(index))?;
                (name.text.as_str(), rename(branches, &named.columns)?)
            }
            None => (name.text.as_str(), vec![stream(name, environment)?]),
        },
    };
    let branches = rename(branches, &from.columns)?;
    Ok(branches
        .into_iter()
        .map(|checked| {
            let scope = Scope {
                name: alias.unwrap_or(own_name).to_owned(),
                columns: checked.columns.clone(),
                not_null: HashSet::new(),
            };
            (checked, scope)
        })
        .collect())
}

fn stream(name: &Name, environment: &Environment) -> Bound<Checked> {
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
    Ok(Checked {
        input: name.text.clone(),
        schema,
        filter: None,
        columns,
    })
}

fn rename(mut branches: Vec<Checked>, names: &[Name]) -> Bound<Vec<Checked>> {
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

fn over(select: &Select, (input, mut scope): (Checked, Scope), named: bool) -> Bound<Checked> {
    let mut errors = Vec::new();
    let mut filter = input.filter;
    if let Some(expr) = &select.filter {
        match condition(expr, &scope) {
            Ok(typed) => {
                let mut paths = HashSet::new();
                not_null(expr, &scope, &mut |path| {
                    // A field that isn't null has parents that aren't.
                    for length in 1..=path.len() {
                        paths.insert(path[..length].to_vec());
                    }
                });
                scope.not_null = paths;
                filter = Some(match filter {
                    None => typed,
                    Some(inner) => and(inner, typed)?,
                });
            }
            Err(more) => errors.extend(more),
        }
    }
    let checker = Checker { scope: &scope };
    let mut columns: Vec<(String, Typed)> = Vec::new();
    for item in &select.items {
        match self::item(item, &checker, named) {
            Ok(more) => {
                for (name, typed, place) in more {
                    if named && columns.iter().any(|(n, _)| *n == name) {
                        errors.push(SqlError::new(
                            place,
                            format!(
                                "two columns are named \"{name}\"; give one another name with AS"
                            ),
                        ));
                    }
                    columns.push((name, typed));
                }
            }
            Err(more) => errors.extend(more),
        }
    }
    if columns.len() > MAX_COLUMNS {
        errors.push(SqlError::new(
            select.place,
            format!("a SELECT gives at most {MAX_COLUMNS} columns"),
        ));
    }
    if errors.is_empty() {
        Ok(Checked {
            input: input.input,
            schema: input.schema,
            filter,
            columns,
        })
    } else {
        Err(errors)
    }
}

fn and(inner: Typed, outer: Typed) -> Bound<Typed> {
    let parts = [inner, outer];
    let node = Node::Logic {
        decides: false,
        parts: parts.iter().map(Typed::part).collect(),
    };
    build(
        parts[1].place,
        DataType::Boolean,
        &parts,
        parts.iter().any(|p| p.nullable),
        false,
        node,
    )
}

fn condition(expr: &Expr, scope: &Scope) -> Bound<Typed> {
    let typed = Checker { scope }.bind(expr)?;
    if typed.data_type == DataType::Boolean {
        Ok(typed)
    } else {
        refuse(
            typed.place,
            format!(
                "WHERE needs a condition (boolean), this is {}",
                typed.data_type
            ),
        )
    }
}

fn item(item: &Item, checker: &Checker, named: bool) -> Bound<Vec<(String, Typed, Place)>> {
    match item {
        Item::All { place, of } => {
            if let Some(of) = of
                && of.text != checker.scope.name
            {
                let near = nearest(&of.text, [checker.scope.name.as_str()].into_iter());
                return Err(vec![
                    SqlError::new(of.place, format!("unknown stream \"{}\"", of.text)).meant(near),
                ]);
            }
            Ok(checker
                .scope
                .all()
                .map(|(name, typed)| (name, typed.at(*place), *place))
                .collect())
        }
        Item::Expr { expr, alias } => {
            let typed = checker.bind(expr)?;
            if typed.untyped_null {
                return refuse(
                    expr.place,
                    "NULL alone has no type; write CAST(NULL AS STRING) or another type",
                );
            }
            let name = match (alias, own_name(&expr.kind)) {
                (Some(alias), _) => alias.text.clone(),
                (None, Some(name)) => name.to_owned(),
                (None, None) if !named => String::new(),
                (None, None) => {
                    return refuse(expr.place, "this column needs a name: add AS and one");
                }
            };
            Ok(vec![(
                name,
                typed,
                alias.as_ref().map_or(expr.place, |a| a.place),
            )])
        }
    }
}

/// Finds the paths that a row must have non-null to satisfy a condition.
fn not_null(expr: &Expr, scope: &Scope, found: &mut impl FnMut(Vec<usize>)) {
    let mut path = |expr: &Expr| {
        if matches!(expr.kind, Kind::Path(_) | Kind::Field(..))
            && let Some(path) = (Checker { scope }).bind(expr).ok().and_then(|t| t.path)
        {
            found(path);
        }
    };
    match &expr.kind {
        Kind::And(parts) => parts.iter().for_each(|p| not_null(p, scope, found)),
        Kind::Is {
            expr,
            what: Is::Null,
            negated: true,
        }
        | Kind::Is {
            expr,
            what: Is::True | Is::False,
            negated: false,
        }
        | Kind::In { expr, .. }
        | Kind::Like { expr, .. }
        | Kind::Between { expr, .. } => path(expr),
        // Comparisons of null are unknown, and WHERE keeps only what is true.
        Kind::Compare(_, left, right) => {
            path(left);
            path(right);
        }
        Kind::Path(_) | Kind::Field(..) => path(expr),
        _ => {}
    }
}
