//! The two inputs of a join: what each gives, and the scope over both.

use std::sync::Arc;

use super::condition::Rest;
use crate::analyze::bound_expr::{Analyzed, BoundExpr, refuse};
use crate::analyze::rows::Cell;
use crate::analyze::scope::{NotNull, Scope, Side};
use crate::analyze::select::and;
use crate::analyze::spread::Spread;
use crate::analyze::window::TIME;
use crate::analyze::{Binder, BoundSelect, Input, casts, literals, window};
use crate::error::Place;
use crate::keyed::Window;
use crate::syntax::ast::{Expr, Join, Name};

/// The inputs, each as its branches.
pub(super) struct Sides {
    place: Place,
    pub left: Vec<(BoundSelect, Scope)>,
    pub right: Vec<(BoundSelect, Scope)>,
    /// Over the columns of both, first those of the left.
    scope: Scope,
    /// How many columns the left one has.
    width: usize,
    /// Where both are window tables: their windows.
    pub windows: Option<Window>,
}

impl Sides {
    pub(super) fn new(
        join: &Join,
        left: Vec<(BoundSelect, Scope)>,
        right: Vec<(BoundSelect, Scope)>,
    ) -> Analyzed<Sides> {
        for (branch, scope) in left.iter().chain(&right) {
            check(branch, scope, join.place)?;
        }
        let windows = same_windows(&left, &right, join.place)?;
        Ok(Sides {
            windows,
            ..Sides::checked(join, left, right)?
        })
    }

    /// The same, of inputs that may be joined.
    pub(super) fn checked(
        join: &Join,
        left: Vec<(BoundSelect, Scope)>,
        right: Vec<(BoundSelect, Scope)>,
    ) -> Analyzed<Sides> {
        let place = join.place;
        let mut columns = Vec::new();
        let mut sides: Vec<Side> = Vec::new();
        for branches in [&left, &right] {
            let Some((_, scope)) = branches.first() else {
                return refuse(place, "FROM gives no rows");
            };
            let first = columns.len();
            for (index, (name, typed)) in scope.columns.iter().enumerate() {
                let nullable = branches.iter().any(|(_, scope)| {
                    let column = scope.columns.get(index);
                    column.is_none_or(|(_, typed)| typed.nullable)
                });
                let at = first + index;
                let mut shown = BoundExpr::column(place, at, typed.data_type.clone(), nullable);
                shown.identity = Some(format!("{}.{name:?}", sides.len()).into());
                columns.push((name.clone(), shown));
            }
            let name = scope.name.clone();
            if !name.is_empty() && sides.iter().any(|side| side.name == name) {
                return refuse(
                    place,
                    format!("both sides of the join are called \"{name}\": give one an alias"),
                );
            }
            sides.push(Side {
                name,
                columns: first..columns.len(),
            });
        }
        let width = sides.first().map_or(0, |side| side.columns.len());
        Ok(Sides {
            place,
            left,
            right,
            scope: Scope {
                name: String::new(),
                columns,
                sides,
                not_null: NotNull::default(),
            },
            width,
            windows: None,
        })
    }

    /// The scope over the columns of both.
    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The name of a side, for messages.
    pub(super) fn name(&self, right: bool) -> &str {
        let side = self.scope.sides.get(usize::from(right));
        match side.map(|side| side.name.as_str()) {
            None | Some("") if right => "the right side",
            None | Some("") => "the left side",
            Some(name) => name,
        }
    }

    /// The event time of a side as its first branch writes it, for messages.
    pub(super) fn time_name(&self, right: bool) -> String {
        let branch = self.branches(right).first();
        let field = branch.and_then(|(branch, _)| match &branch.input {
            Input::Stream(stream) => stream.time_field.clone(),
            Input::Stateful(_) => None,
        });
        format!("{}.{}", self.name(right), field.unwrap_or_default())
    }

    fn branches(&self, right: bool) -> &[(BoundSelect, Scope)] {
        if right { &self.right } else { &self.left }
    }

    /// The columns of a side, by their places in the scope over both.
    pub(super) fn columns(&self, right: bool) -> std::ops::Range<usize> {
        if right {
            self.width..self.scope.columns.len()
        } else {
            0..self.width
        }
    }

    /// The one side that an expression over both reads, if it reads one.
    pub(super) fn side_of(&self, typed: &BoundExpr) -> Option<bool> {
        let right = *typed.sources.first()? >= self.width;
        let last = *typed.sources.last()? >= self.width;
        (right == last).then_some(right)
    }

    /// An expression of one side, in each of its branches.
    pub(super) fn bind(&self, right: bool, expr: &Expr) -> Analyzed<Vec<BoundExpr>> {
        let branches = self.branches(right).iter();
        branches
            .map(|(_, scope)| {
                let binder = Binder {
                    scope,
                    groups: None,
                };
                binder.bind(expr)
            })
            .collect()
    }

    /// What an expression of one side is, in each of its branches.
    pub(super) fn identities(&self, right: bool, expr: &Expr) -> Vec<Arc<str>> {
        let branches = self.branches(right).iter();
        branches.map(|(_, scope)| scope.identity(expr)).collect()
    }

    /// True if that is the event time of a side in all of its branches.
    pub(super) fn is_time(&self, right: bool, expr: &Expr) -> bool {
        let bound = self.bind(right, expr).unwrap_or_default();
        let times = self.branches(right).iter().map(|(branch, _)| time(branch));
        !bound.is_empty()
            && bound
                .iter()
                .zip(times)
                .all(|(typed, time)| time.is_some() && typed.path.as_deref() == time)
    }

    /// Lets what looks at one side alone be asked before the exchange, where a row that it isn't true of gives nothing.
    /// Gives the rest. `keeps`: rows of the left side, and of the right one, count whether it is true of them or not.
    pub(super) fn narrow<'e>(
        &mut self,
        keeps: (bool, bool),
        rest: Vec<Rest<'e>>,
    ) -> Analyzed<Vec<Rest<'e>>> {
        let mut left = Vec::new();
        for part in rest {
            let right = match self.side_of(&part.typed) {
                Some(true) if !keeps.1 => true,
                Some(false) if !keeps.0 => false,
                _ => {
                    left.push(part);
                    continue;
                }
            };
            let typed = self.bind(right, part.expr)?;
            let identities = self.identities(right, part.expr);
            let branches = if right {
                &mut self.right
            } else {
                &mut self.left
            };
            for (((branch, _), typed), identity) in branches.iter_mut().zip(typed).zip(identities) {
                branch.conditions.push(identity.to_string());
                branch.filter = Some(match branch.filter.take() {
                    None => typed,
                    Some(before) => and(before, typed)?,
                });
            }
        }
        Ok(left)
    }

    /// The event time of the rows.
    pub(super) fn time(&self, keys: usize) -> Cell {
        let branches = self.left.iter().chain(&self.right);
        let typed = branches.map(|(branch, scope)| {
            let typed = time_of(branch, scope)?;
            casts::coerce(typed, &TIME).ok()
        });
        let null = || BoundExpr::null(self.place, TIME);
        let typed: Vec<BoundExpr> = typed.map(|typed| typed.unwrap_or_else(null)).collect();
        Cell {
            name: format!("time${keys}"),
            identity: typed.iter().map(|_| "event_time".into()).collect(),
            typed,
        }
    }

    /// Says of which side a row is.
    pub(super) fn mark(&self) -> Cell {
        let of = |right: bool| (0..self.branches(right).len()).map(move |_| right);
        let rights: Vec<bool> = of(false).chain(of(true)).collect();
        Cell {
            name: "side$".to_owned(),
            identity: rights
                .iter()
                .map(|right| right.to_string().into())
                .collect(),
            typed: rights
                .iter()
                .map(|right| literals::boolean(self.place, *right))
                .collect(),
        }
    }

    /// Says of a row whether the window that it is in is the last of its record.
    pub(super) fn ends_last(&self) -> Cell {
        let branches = self.left.iter().chain(&self.right);
        let last = |branch: &BoundSelect| spread(branch).is_some_and(|spread| spread.last);
        let all: Vec<bool> = branches.map(|(branch, _)| last(branch)).collect();
        Cell {
            name: "last$".to_owned(),
            identity: all.iter().map(|last| last.to_string().into()).collect(),
            typed: all
                .iter()
                .map(|last| literals::boolean(self.place, *last))
                .collect(),
        }
    }

    /// A column of the scope over both: null in rows of the other side.
    pub(super) fn cell(&self, index: usize) -> Cell {
        let right = index >= self.width;
        let (name, shown) = match self.scope.columns.get(index) {
            Some((name, shown)) => (name.clone(), shown.data_type.clone()),
            None => (String::new(), TIME),
        };
        let at = if right { index - self.width } else { index };
        let null = || BoundExpr::null(self.place, shown.clone());
        let of = |side: bool| {
            let null = &null;
            self.branches(side).iter().map(move |(_, scope)| {
                let column = scope.columns.get(at).filter(|_| side == right);
                column.map_or_else(null, |(_, typed)| typed.clone())
            })
        };
        let typed: Vec<BoundExpr> = of(false).chain(of(true)).collect();
        let identity = typed.iter().map(|typed| typed.identity.clone());
        Cell {
            name,
            identity: identity
                .map(|text| text.unwrap_or_else(|| "null".into()))
                .collect(),
            typed,
        }
    }

    /// The branches of a side among those of a cell.
    fn of_side<'c>(&self, cell: &'c Cell, right: bool) -> &'c [BoundExpr] {
        let (left, of_right) = cell.typed.split_at(self.left.len().min(cell.typed.len()));
        if right { of_right } else { left }
    }

    /// True if a column of a side is what `known` holds in rows of that side.
    pub(super) fn is_same(&self, known: &Cell, cell: &Cell, right: bool) -> bool {
        let both = self
            .of_side(known, right)
            .iter()
            .zip(self.of_side(cell, right));
        known.data_type() == cell.data_type()
            && both.clone().count() > 0
            && both.into_iter().all(|(one, other)| {
                one.path.is_some() && one.path == other.path && one.data_type == other.data_type
            })
    }

    /// True if a column of a side may be null in rows of that side.
    pub(super) fn nullable(&self, cell: &Cell, right: bool) -> bool {
        self.of_side(cell, right).iter().any(|typed| typed.nullable)
    }

    pub(super) fn into_inputs(self) -> Vec<(BoundSelect, Scope)> {
        self.left.into_iter().chain(self.right).collect()
    }
}

/// The event time of what a branch reads.
fn time(branch: &BoundSelect) -> Option<&[usize]> {
    match &branch.input {
        Input::Stream(stream) => stream.time.as_deref(),
        Input::Stateful(_) => None,
    }
}

/// The event time of a branch's rows, as its scope has it: a column, or a field of one.
fn time_of(branch: &BoundSelect, scope: &Scope) -> Option<BoundExpr> {
    let Input::Stream(stream) = &branch.input else {
        return None;
    };
    if let Some(spread) = &stream.spread {
        return Some(spread.time.clone());
    }
    let path = stream.time.as_deref()?;
    let of = |path: &[usize]| {
        let mut columns = scope.columns.iter();
        let found = columns.find(|(_, typed)| typed.path.as_deref() == Some(path));
        found.map(|(_, typed)| typed.clone())
    };
    if let Some(typed) = of(path) {
        return Some(typed);
    }
    let mut steps = stream.time_field.as_deref()?.split('.').skip(1);
    steps.try_fold(of(path.get(..1)?)?, |typed, step| {
        let name = Name {
            text: step.to_owned(),
            place: typed.place,
        };
        scope.field(typed, &name).ok()
    })
}

/// The window of a branch's rows.
fn spread(branch: &BoundSelect) -> Option<&Spread> {
    match &branch.input {
        Input::Stream(stream) => stream.spread.as_deref(),
        Input::Stateful(_) => None,
    }
}

/// The windows of both sides; none, where neither is a window table.
fn same_windows(
    left: &[(BoundSelect, Scope)],
    right: &[(BoundSelect, Scope)],
    place: Place,
) -> Analyzed<Option<Window>> {
    let all = || left.iter().chain(right).map(|(branch, _)| spread(branch));
    let Some(first) = all().flatten().next() else {
        return Ok(None);
    };
    if all().any(|one| one.is_none()) {
        return refuse(
            place,
            "one side of this join is a window table and the other isn't: give both the same window, or join the streams with bounds on their event times",
        );
    }
    if let Some(other) = all().flatten().find(|one| one.window != first.window) {
        return refuse(
            other.place,
            "the windows of the two sides differ, so that no row of the one is in a window of the other: give both the same function, lengths and offset",
        );
    }
    Ok(Some(first.window))
}

/// Checks that the rows of a branch may be joined by event time.
pub(super) fn check(branch: &BoundSelect, scope: &Scope, place: Place) -> Analyzed<()> {
    let stream = match &branch.input {
        Input::Stream(stream) => stream,
        Input::Stateful(_) => {
            return refuse(
                place,
                "a join of what was aggregated or joined is not in this version; write it to a stream by a Pipeline of its own, and join that stream here",
            );
        }
    };
    if stream.compacted {
        return Err(vec![window::compacted_side(place, &stream.name)]);
    }
    if stream.time.is_none() {
        return refuse(
            place,
            format!(
                "stream \"{}\" has no event time, and a join needs that of both sides: say in its contract which field it is (eventTime)",
                stream.name
            ),
        );
    }
    if time_of(branch, scope).is_none() {
        return refuse(
            place,
            format!(
                "a join is by event time, and this sub-query doesn't give that of stream \"{}\": add \"{}\" to its SELECT",
                stream.name,
                stream.time_field.as_deref().unwrap_or_default()
            ),
        );
    }
    Ok(())
}
