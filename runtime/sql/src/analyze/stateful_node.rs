//! What keeps state of a query: rows of branches go in, results come out.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::rows::{Cell, branches, distinct_names};
use super::scope::Scope;
use super::window::COLUMNS;
use super::{BoundSelect, Input, join};
use crate::error::Place;
use crate::eval::hash::hex;
use crate::keyed::{Operator, Rank, Window};
use crate::schema::{Column, Schema};
use crate::types::DataType;

/// Raised when state of before means something else.
const STATE: u32 = 1;

/// The operator of a query with state, and what goes into it.
#[derive(Clone)]
pub(crate) struct StatefulNode {
    /// Where it is in the query: GROUP BY, DISTINCT, ROW_NUMBER or JOIN.
    pub place: Place,
    /// Branches that give the rows.
    pub rows: Vec<BoundSelect>,
    /// How many columns of the rows are the key.
    pub keys: usize,
    /// For each of them, how an error names it.
    pub named: Vec<String>,
    pub time: Option<usize>,
    pub window: Option<Window>,
    /// The limit of a rank is 0 as long as the query hasn't said it.
    pub operator: Operator,
    /// The results' columns; labels come later.
    pub results: Schema,
    /// For each column of the results, the rows' columns that it is made of.
    pub from: Vec<Vec<usize>>,
    /// Of a join: what it needs besides.
    pub join: Option<JoinNode>,
}

/// What a join has besides its operator.
#[derive(Clone)]
pub(crate) struct JoinNode {
    /// How many branches give rows of the left input; they come first.
    pub left: usize,
    /// What else must be true of a pair, with its text; only of outer joins.
    pub condition: Option<(BoundExpr, Arc<str>)>,
}

/// The parts of its rows.
pub(super) struct Parts {
    pub place: Place,
    pub keys: Vec<Cell>,
    pub time: Option<Cell>,
    pub arguments: Vec<Cell>,
    pub window: Option<Window>,
}

impl StatefulNode {
    /// A node whose results begin with the key and the window; `operator`'s own columns follow, each
    /// with the rows' columns that it is made of.
    pub(super) fn new(
        inputs: Vec<(BoundSelect, Scope)>,
        parts: Parts,
        operator: Operator,
        own: Vec<(Column, Vec<usize>)>,
    ) -> Self {
        let keys = parts.keys.len();
        let named = parts.keys.iter().enumerate().map(|(index, cell)| {
            if cell.name.is_empty() {
                format!(
                    "key {} (an expression, which is to be repeated there)",
                    index + 1
                )
            } else {
                format!("\"{}\"", cell.name)
            }
        });
        let named = named.collect();
        let time = parts.time.as_ref().map(|_| keys);
        let mut cells = parts.keys;
        cells.extend(parts.time);
        cells.extend(parts.arguments);
        let rows = branches(inputs, &cells);
        let mut results: Vec<(Column, Vec<usize>)> = (0..keys)
            .filter_map(|index| cells.get(index).map(|cell| (index, cell)))
            .map(|(index, cell)| {
                (
                    column(&cell.name, cell.data_type(), cell.nullable()),
                    vec![index],
                )
            })
            .collect();
        if parts.window.is_some() {
            for (name, data_type) in &COLUMNS {
                results.push((column(name, data_type, false), time.into_iter().collect()));
            }
        }
        results.extend(own);
        let (mut columns, from): (Vec<Column>, Vec<Vec<usize>>) = results.into_iter().unzip();
        let distinct = distinct_names(columns.iter().map(|c| c.name.as_str()));
        for (column, name) in columns.iter_mut().zip(distinct) {
            column.name = name;
        }
        Self {
            place: parts.place,
            rows,
            keys,
            named,
            time,
            window: parts.window,
            operator,
            results: Schema { columns },
            from,
            join: None,
        }
    }

    /// True: a result replaces the one before it by its key.
    pub(crate) fn replaces(&self) -> bool {
        self.window.is_none() && !self.operator.is_join() && !self.operator.is_over()
    }

    /// A column of the results as an expression.
    pub(super) fn result(&self, index: usize) -> BoundExpr {
        let (data_type, nullable) = self
            .results
            .columns
            .get(index)
            .map_or((DataType::String, true), |c| {
                (c.data_type.clone(), c.nullable)
            });
        BoundExpr::column(Place::default(), index, data_type, nullable)
    }

    /// Where the results of a window begin, if there are any.
    pub(super) fn window_column(&self, index: usize) -> Option<usize> {
        self.window.is_some().then_some(self.keys + index)
    }

    /// Where the operator's own results begin.
    pub(super) fn own_column(&self, index: usize) -> usize {
        self.keys
            + if self.window.is_some() {
                COLUMNS.len()
            } else {
                0
            }
            + index
    }

    /// The branches that a column of the results comes from: of a join those of one input.
    pub(crate) fn branches_of(&self, result: usize) -> &[BoundSelect] {
        let (Some(join), Some(of_left)) = (&self.join, self.operator.left()) else {
            return &self.rows;
        };
        let (left, right) = self.rows.split_at(join.left.min(self.rows.len()));
        if result < of_left.len() { left } else { right }
    }

    /// The results with the labels of what they are made of.
    pub(crate) fn labelled(&self) -> Schema {
        let mut results = self.results.clone();
        for (index, (column, from)) in results.columns.iter_mut().zip(&self.from).enumerate() {
            let branches = self.branches_of(index);
            let labels: BTreeSet<String> = from
                .iter()
                .flat_map(|row| branches.iter().filter_map(|branch| branch.output(*row)))
                .flat_map(|column| column.labels)
                .collect();
            column.labels = labels.into_iter().collect();
        }
        results
    }

    /// The node without the columns of a rank or a join that nothing asks for.
    pub(crate) fn pruned(&self, used: &BTreeSet<usize>) -> Self {
        let rank = match &self.operator {
            Operator::Rank(rank) => rank,
            Operator::IntervalJoin(of) => return join::pruned(self, of, used),
            Operator::WindowJoin(of) => return join::pruned_windows(self, of, used),
            Operator::TemporalJoin(of) => return join::pruned_temporal(self, of, used),
            Operator::Aggregate(_) | Operator::Over(_) => return self.clone(),
        };
        let first = self.keys + usize::from(self.time.is_some());
        let width = self.rows.first().map_or(0, |r| r.columns.len());
        let kept: Vec<usize> = (0..width)
            .filter(|row| {
                *row < first
                    || rank.order.iter().any(|o| o.column == *row)
                    || used.contains(&self.own_column(*row - self.keys))
            })
            .collect();
        let moved: BTreeMap<usize, usize> = kept
            .iter()
            .enumerate()
            .map(|(to, from)| (*from, to))
            .collect();
        let mut stateful = self.clone();
        for branch in &mut stateful.rows {
            let columns = std::mem::take(&mut branch.columns);
            let columns = columns.into_iter().enumerate();
            branch.columns = columns
                .filter(|(row, _)| moved.contains_key(row))
                .map(|(_, column)| column)
                .collect();
        }
        let mut rank = rank.clone();
        for order in &mut rank.order {
            order.column = moved.get(&order.column).copied().unwrap_or(order.column);
        }
        stateful.operator = Operator::Rank(rank);
        // The row number, which is last, is made of all that is ordered by.
        let last = self.results.columns.len().saturating_sub(1);
        let keep = |result: usize| {
            result < self.own_column(0)
                || result == last
                || moved.contains_key(&(result + self.keys - self.own_column(0)))
        };
        stateful.results.columns = picked(&self.results.columns, keep);
        stateful.from = picked(&self.from, keep)
            .into_iter()
            .map(|from| {
                from.iter()
                    .filter_map(|row| moved.get(row).copied())
                    .collect()
            })
            .collect();
        stateful
    }

    /// See [`crate::keyed::Keyed::fingerprint`].
    pub(crate) fn fingerprint(&self, rows: &Schema) -> String {
        let mut hash = Sha256::new();
        hash.update(format!(
            "headworks.keyed/{STATE}\n{} {:?} {:?}\n{:?}\n",
            self.keys, self.time, self.window, self.operator
        ));
        for column in &rows.columns {
            hash.update(format!("{}\n", column.data_type));
        }
        let mut branches: Vec<String> = self.rows.iter().map(branch_text).collect();
        branches.sort();
        for branch in branches {
            hash.update(branch);
        }
        hex(&hash.finalize())
    }
}

pub(super) fn picked<T: Clone>(all: &[T], keep: impl Fn(usize) -> bool) -> Vec<T> {
    let all = all.iter().enumerate();
    all.filter(|(index, _)| keep(*index))
        .map(|(_, one)| one.clone())
        .collect()
}

fn branch_text(branch: &BoundSelect) -> String {
    let mut conditions = branch.conditions.clone();
    conditions.sort();
    let columns = branch.columns.iter();
    let columns = columns.map(|(_, t)| t.identity.as_deref().unwrap_or_default());
    format!(
        "{:?} {conditions:?} {:?}\n",
        branch.stream(),
        columns.collect::<Vec<_>>()
    )
}

/// A column of results.
pub(super) fn column(name: &str, data_type: &DataType, nullable: bool) -> Column {
    Column {
        name: name.to_owned(),
        data_type: data_type.clone(),
        nullable,
        labels: Vec::new(),
    }
}

/// Checks that the query as a whole leaves nothing open.
pub(super) fn finished(checked: Vec<BoundSelect>) -> Analyzed<Vec<BoundSelect>> {
    for one in &checked {
        if let Some(windowed) = &one.windowed {
            return refuse(
                windowed.place,
                "a window is for an aggregation: add GROUP BY window_start, window_end (and keys), or take the first rows with ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY …)",
            );
        }
        let Input::Stateful(stateful) = &one.input else {
            continue;
        };
        if matches!(&stateful.operator, Operator::Rank(Rank { limit: 0, .. })) {
            return refuse(
                stateful.place,
                "the row number needs a bound, else every row would be kept for ever: write WHERE rn = 1 (or, in a window, rn <= n) around this SELECT, with the number's name; to number all rows as they come write COUNT(*) OVER (PARTITION BY … ORDER BY time ROWS UNBOUNDED PRECEDING)",
            );
        }
        unique(one, stateful)?;
    }
    Ok(checked)
}

/// The output columns that hold the key, where results replace each other.
pub(crate) fn unique(checked: &BoundSelect, stateful: &Rc<StatefulNode>) -> Analyzed<Vec<usize>> {
    if !stateful.replaces() {
        return Ok(Vec::new());
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for key in 0..stateful.keys {
        let path = [key];
        match checked
            .columns
            .iter()
            .position(|(_, t)| t.path.as_deref() == Some(&path))
        {
            Some(index) => found.push(index),
            None => missing.extend(stateful.named.get(key).cloned()),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    refuse(
        stateful.place,
        format!(
            "without a window, a result replaces the one before it by its key, and the output doesn't have all of the key: add {} to the SELECT",
            missing.join(" and ")
        ),
    )
}
