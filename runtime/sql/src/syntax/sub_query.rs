//! Sub-queries in WHERE, which are joins: `[NOT] EXISTS (SELECT …)` and `a IN (SELECT …)`.
//!
//! The SELECT around them reads their join: rows of what it names in FROM that have a partner in the sub-query, or have none. What
//! else WHERE says of these rows is asked before.

use super::ast::{
    Body, Compare, Expr, From, FromSource, Item, Join, Kind, Name, Query, Select, SubQuery, Wants,
};
use super::{Parsed, Parser, refused};
use crate::error::{Place, SqlError};
use crate::stack;

const SHAPE: &str = "EXISTS takes one SELECT over a stream, whose WHERE joins it by key and time: EXISTS (SELECT 1 FROM b WHERE b.key = a.key AND b.time BETWEEN a.time AND a.time + INTERVAL '1' HOUR)";

impl Parser {
    /// Behind `EXISTS`.
    pub(super) fn exists(&mut self, place: Place, negated: bool) -> Parsed<Expr> {
        self.expect_sign("(")?;
        let select = self.joined_select()?;
        let is_nothing = |item: &Item| match item {
            Item::All { of, .. } => of.is_none(),
            Item::Expr { expr, .. } => matches!(
                expr.kind,
                Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::Text(_)
            ),
        };
        if !select.items.iter().all(is_nothing) {
            return Err(SqlError::new(
                select.place,
                "nothing is taken from the rows of EXISTS but whether there are any: write SELECT 1",
            ));
        }
        let Some(on) = select.filter else {
            return Err(SqlError::new(select.place, SHAPE));
        };
        let kind = Kind::SubQuery(Box::new(SubQuery {
            negated,
            right: select.from,
            on,
        }));
        Self::node(place, 0, kind)
    }

    /// Behind `expr IN (`.
    pub(super) fn in_query(&mut self, expr: Expr, place: Place, negated: bool) -> Parsed<Kind> {
        if negated {
            return Err(SqlError::new(
                place,
                "NOT IN with a sub-query gives nothing at all as soon as one of its rows is null; write NOT EXISTS (SELECT …)",
            ));
        }
        let mut select = self.joined_select()?;
        let (Some(Item::Expr { expr: item, .. }), true) =
            (select.items.pop(), select.items.is_empty())
        else {
            return Err(SqlError::new(
                select.place,
                "the sub-query of IN has one column, by its name",
            ));
        };
        let equal = Self::node(
            place,
            expr.depth.max(item.depth),
            Kind::Compare(Compare::Equal, Box::new(expr), Box::new(item)),
        )?;
        let Some(rest) = select.filter else {
            return Err(SqlError::new(
                select.place,
                "this join has no bounds on the time between its sides, and would keep rows for ever: say in the sub-query's WHERE how near they are, such as b.time BETWEEN a.time AND a.time + INTERVAL '1' HOUR",
            ));
        };
        let on = Self::node(
            place,
            equal.depth.max(rest.depth),
            Kind::And(vec![equal, rest]),
        )?;
        Ok(Kind::SubQuery(Box::new(SubQuery {
            negated,
            right: select.from,
            on,
        })))
    }

    /// The SELECT of a sub-query that is a join, up to the bracket that closes it.
    fn joined_select(&mut self) -> Parsed<Select> {
        let place = self.place();
        let query = self.query()?;
        self.close_query()?;
        let Query { with, mut branches } = query;
        let (Some(Body::Select(select)), true, true) =
            (branches.pop(), branches.is_empty(), with.is_empty())
        else {
            return Err(SqlError::new(place, SHAPE));
        };
        // Which of them are given makes no difference, so DISTINCT makes none.
        if select.group.is_some() || select.having.is_some() {
            return Err(SqlError::new(place, SHAPE));
        }
        if let FromSource::Join(join) = &select.from.source {
            return Err(refused::refused(
                join.place,
                "a join of more than two inputs",
            ));
        }
        if let FromSource::Unnest(unnest) = &select.from.source {
            return Err(Self::unnest_and_join(unnest.place));
        }
        Ok(*select)
    }
}

/// What a SELECT reads and asks, once a sub-query of its WHERE is a join.
pub(super) fn join(from: From, filter: Expr) -> Parsed<(From, Option<Expr>)> {
    let mut found = None;
    let mut rest = Vec::new();
    taken(filter, &mut found, &mut rest)?;
    let rest = match rest.len() {
        0 | 1 => rest.pop(),
        _ => {
            let depth = rest.iter().map(|part| part.depth).max().unwrap_or(0);
            let place = rest.first().map_or_else(Place::default, |part| part.place);
            Some(Parser::node(place, depth, Kind::And(rest))?)
        }
    };
    let Some((place, sub_query)) = found else {
        return Ok((from, rest));
    };
    if matches!(from.source, FromSource::Join(_)) {
        return Err(refused::refused(place, "a join of more than two inputs"));
    }
    if matches!(from.source, FromSource::Unnest(_)) {
        return Err(Parser::unnest_and_join(place));
    }
    let (left, rest) = before(from, rest);
    let SubQuery { negated, right, on } = sub_query;
    let joined = From {
        source: FromSource::Join(Box::new(Join {
            place,
            wants: Wants::Left { negated },
            left,
            right,
            on,
        })),
        as_of: None,
        alias: None,
        columns: Vec::new(),
    };
    Ok((joined, rest))
}

/// What is asked of the left rows alone is asked before the join, where they have a name that it may be asked by.
fn before(from: From, rest: Option<Expr>) -> (From, Option<Expr>) {
    let name = match (&from.alias, &from.source) {
        (Some(alias), _) => Some(alias.clone()),
        (None, FromSource::Name(name)) => Some(name.clone()),
        _ => None,
    };
    let (Some(name), Some(filter)) = (name, rest.as_ref()) else {
        return (from, rest);
    };
    let Name { place, .. } = name;
    let select = Select {
        place,
        distinct: None,
        items: vec![Item::All { place, of: None }],
        from,
        filter: Some(filter.clone()),
        group: None,
        having: None,
        windows: Vec::new(),
    };
    let query = Query {
        with: Vec::new(),
        branches: vec![Body::Select(Box::new(select))],
    };
    let from = From {
        source: FromSource::Query(Box::new(query)),
        as_of: None,
        alias: Some(name),
        columns: Vec::new(),
    };
    (from, None)
}

/// Takes the sub-query out of what AND joins.
fn taken(expr: Expr, found: &mut Option<(Place, SubQuery)>, rest: &mut Vec<Expr>) -> Parsed<()> {
    match expr.kind {
        Kind::And(parts) => stack::deeper(|| {
            let mut parts = parts.into_iter();
            parts.try_for_each(|part| taken(part, found, rest))
        }),
        Kind::SubQuery(sub_query) => {
            if found.is_some() {
                return Err(refused::refused(
                    expr.place,
                    "a join of more than two inputs",
                ));
            }
            *found = Some((expr.place, *sub_query));
            Ok(())
        }
        _ => {
            rest.push(expr);
            Ok(())
        }
    }
}
