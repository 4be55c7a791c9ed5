//! Queries: FROM gives a scope, WHERE narrows it, the SELECT list makes columns, UNION ALL joins branches.

use super::bound_expr::{Analyzed, BoundExpr, build, refuse};
use super::from::from;
use super::items::{item, not_null};
use super::scope::{NotNull, Scope};
use super::{Binder, BoundSelect, aggregate, casts, over, rank, rank_limit};
use crate::catalog::Catalog;
use crate::error::{Place, SqlError};
use crate::eval::Node;
use crate::stack;
use crate::syntax::ast::{Body, Expr, Kind, Named, Query, Select};
use crate::types::DataType;
use std::cell::Cell;

/// Most branches once sub-queries are put in.
const MAX_BRANCHES: usize = 64;
/// Most SELECTs once sub-queries are put in.
pub(super) const MAX_SELECTS: usize = 500;
/// Most columns of a SELECT.
const MAX_COLUMNS: usize = 1000;

/// The names that FROM may use: streams, and sub-queries of WITH.
pub(super) struct Environment<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) with: Vec<&'a Named>,
    /// SELECTs that may still be checked: sub-queries that use each other twice double at every step.
    budget: &'a Cell<usize>,
    /// Each window of a row is a row of its own: below a join, and where nothing aggregates windows.
    pub(super) windows_as_rows: bool,
}

impl<'a> Environment<'a> {
    pub(super) fn of(catalog: &'a Catalog, budget: &'a Cell<usize>) -> Self {
        Self {
            catalog,
            with: Vec::new(),
            budget,
            windows_as_rows: false,
        }
    }

    /// What a sub-query of WITH sees: what was defined before it.
    pub(super) fn before(&self, index: usize) -> Self {
        Self {
            catalog: self.catalog,
            with: self.with[..index].to_vec(),
            budget: self.budget,
            windows_as_rows: self.windows_as_rows,
        }
    }

    /// The same, where each window of a row is a row of its own.
    pub(super) fn of_rows(&self) -> Self {
        Self {
            catalog: self.catalog,
            with: self.with.clone(),
            budget: self.budget,
            windows_as_rows: true,
        }
    }
}

pub(super) fn query<'a>(query: &'a Query, outer: &Environment<'a>) -> Analyzed<Vec<BoundSelect>> {
    let mut environment = Environment {
        catalog: outer.catalog,
        with: outer.with.clone(),
        budget: outer.budget,
        windows_as_rows: outer.windows_as_rows,
    };
    environment.with.extend(query.with.iter());
    let (mut branches, mut errors) = (Vec::<BoundSelect>::new(), Vec::new());
    for (index, body) in query.branches.iter().enumerate() {
        let (place, checked) = match body {
            Body::Query(inner) => (
                Place { line: 1, column: 1 },
                stack::deeper(|| self::query(inner, &environment)),
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
fn unite(mut branches: Vec<BoundSelect>) -> Analyzed<Vec<BoundSelect>> {
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
    for branch in &branches {
        let place = branch
            .columns
            .first()
            .map_or(Place::default(), |(_, t)| t.place);
        if let Some(stateful) = branch.stateful() {
            if stateful.operator.is_join() {
                return refuse(
                    place,
                    "UNION ALL of a join is not in this version; unite the streams before they are joined, or write each join to the stream by a Pipeline of its own",
                );
            }
            return refuse(
                place,
                "UNION ALL of what was aggregated is not in this version; unite the streams first and aggregate the sub-query, or write each aggregation to the stream by a Pipeline of its own",
            );
        }
        if let Some(windowed) = &branch.windowed {
            return refuse(
                windowed.place,
                "UNION ALL of windows is not in this version; unite the streams in a sub-query and take the window of that: TABLE(TUMBLE((SELECT * FROM (SELECT … UNION ALL SELECT …)), DESCRIPTOR(…), …))",
            );
        }
    }
    for index in 0..count {
        let name = branches[0].columns[index].0.clone();
        let column: Vec<BoundExpr> = branches
            .iter()
            .map(|b| b.columns[index].1.clone())
            .collect();
        if let Some(data_type) = casts::unify(&column) {
            for branch in &mut branches {
                let typed = branch.columns[index].1.clone();
                let mut identity = typed.identity.clone();
                if typed.data_type != data_type {
                    identity = identity.map(|i| format!("{i} as {data_type}").into());
                }
                match casts::coerce(typed, &data_type) {
                    Ok(mut typed) => {
                        typed.identity = identity;
                        branch.columns[index] = (name.clone(), typed);
                    }
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
) -> Analyzed<Vec<BoundSelect>> {
    let left = environment.budget.get();
    if left == 0 {
        return refuse(
            select.place,
            "with its sub-queries put in, the query is too large; split the pipeline in two with a stream between them",
        );
    }
    environment.budget.set(left - 1);
    let mut inputs = from(&select.from, environment)?;
    if let Some(first) = over::wanted(select) {
        return over::select(select, inputs, named, first.place).map(|checked| vec![checked]);
    }
    if let Some((name, window)) = select.windows.first() {
        return refuse(
            window.place,
            format!(
                "no function names the window \"{}\" with OVER; leave WINDOW out",
                name.text
            ),
        );
    }
    if rank::wanted(select) {
        return rank::select(select, inputs, named).map(|checked| vec![checked]);
    }
    if aggregate::wanted(select) {
        return aggregate::select(select, inputs, named).map(|checked| vec![checked]);
    }
    for (input, scope) in &mut inputs {
        rank_limit::close(select, input, scope)?;
    }
    let (mut branches, mut errors) = (Vec::new(), Vec::new());
    for input in inputs {
        match projected(select, input, named) {
            Ok(checked) => branches.push(checked),
            Err(more) => errors.extend(more),
        }
        if !errors.is_empty() {
            return Err(errors);
        }
    }
    Ok(branches)
}

/// A SELECT without GROUP BY over one branch.
fn projected(
    select: &Select,
    (mut input, mut scope): (BoundSelect, Scope),
    named: bool,
) -> Analyzed<BoundSelect> {
    let mut errors = filter(select, &mut input, &mut scope)
        .err()
        .unwrap_or_default();
    let binder = Binder {
        scope: &scope,
        groups: None,
    };
    match columns(select, &binder, named) {
        Ok(columns) => input.columns = columns,
        Err(more) => errors.extend(more),
    }
    if errors.is_empty() {
        Ok(input)
    } else {
        Err(errors)
    }
}

/// WHERE over all branches.
pub(super) fn filtered(
    select: &Select,
    mut inputs: Vec<(BoundSelect, Scope)>,
) -> Analyzed<Vec<(BoundSelect, Scope)>> {
    for (input, scope) in &mut inputs {
        filter(select, input, scope)?;
    }
    Ok(inputs)
}

/// WHERE over one branch.
fn filter(select: &Select, input: &mut BoundSelect, scope: &mut Scope) -> Analyzed<()> {
    let Some(expr) = &select.filter else {
        return Ok(());
    };
    let binder = Binder {
        scope,
        groups: None,
    };
    let typed = condition("WHERE", expr, &binder)?;
    if let Some(windowed) = &input.windowed
        && windowed.reads(&typed)
    {
        return refuse(
            expr.place,
            "WHERE is asked before a row is in its window; say this of the window in HAVING, or in WHERE around the aggregation",
        );
    }
    input.conditions.push(scope.identity(expr).to_string());
    let known = known(expr, &binder);
    scope.not_null = known;
    input.filter = Some(match input.filter.take() {
        None => typed,
        Some(inner) => and(inner, typed)?,
    });
    Ok(())
}

/// What a condition makes non-null.
pub(super) fn known(expr: &Expr, binder: &Binder) -> NotNull {
    let mut known = NotNull::default();
    for (text, expr) in not_null(expr, binder) {
        if matches!(
            expr.kind,
            Kind::Path(_) | Kind::Field(..) | Kind::Aggregate(_)
        ) && let Some(path) = binder.bind(expr).ok().and_then(|t| t.path)
        {
            // A field that isn't null has parents that aren't.
            for length in 1..=path.len() {
                known.paths.insert(path[..length].to_vec());
            }
        }
        known.texts.insert(text);
    }
    known
}

/// The SELECT list.
pub(super) fn columns(
    select: &Select,
    binder: &Binder,
    named: bool,
) -> Analyzed<Vec<(String, BoundExpr)>> {
    let (mut columns, mut errors) = (Vec::<(String, BoundExpr)>::new(), Vec::new());
    for item in &select.items {
        match self::item(item, binder, named) {
            Ok(more) => {
                for (name, typed, place) in more {
                    if named && columns.iter().any(|(n, _)| *n == name) {
                        errors.push(twice(place, &name));
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
        Ok(columns)
    } else {
        Err(errors)
    }
}

/// A name that two columns have.
pub(super) fn twice(place: Place, name: &str) -> SqlError {
    SqlError::new(
        place,
        format!("two columns are named \"{name}\"; give one another name with AS"),
    )
}

/// Both conditions.
pub(super) fn and(inner: BoundExpr, outer: BoundExpr) -> Analyzed<BoundExpr> {
    let parts = [inner, outer];
    let node = Node::Logic {
        decides: false,
        parts: parts.iter().map(BoundExpr::part).collect(),
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

/// A condition of WHERE or HAVING.
pub(super) fn condition(clause: &str, expr: &Expr, binder: &Binder) -> Analyzed<BoundExpr> {
    let typed = binder.bind(expr)?;
    if typed.data_type == DataType::Boolean {
        Ok(typed)
    } else {
        refuse(
            typed.place,
            format!(
                "{clause} needs a condition (boolean), this is {}",
                typed.data_type
            ),
        )
    }
}
