//! Windows over event time: as a table in FROM, and as a call in GROUP BY.

use std::sync::Arc;

use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::lengths::window;
use super::scope::Scope;
use super::{Binder, BoundSelect, Input, StatefulNode, casts};
use crate::error::{Place, SqlError};
use crate::keyed::Window;
use crate::schema::Column;
use crate::suggest::nearest;
use crate::syntax::ast::{Expr, Kind, Name, WindowTable};
use crate::types::DataType;

/// The type of a row's event time.
pub(super) const TIME: DataType = DataType::TimestampLtz(3);
/// Columns of a window, in the order of a window table and of results.
pub(super) const COLUMNS: [(&str, DataType); 3] = [
    ("window_start", DataType::Timestamp(3)),
    ("window_end", DataType::Timestamp(3)),
    ("window_time", TIME),
];
/// What the columns are called beside a group window.
const PROPERTIES: [&str; 3] = ["START", "END", "ROWTIME"];
/// Windows of GROUP BY and their lengths.
const GROUP_WINDOWS: &[(&str, &[&str], &str)] = &[
    ("TUMBLE", &["SIZE"], "TUMBLE(time, size)"),
    ("HOP", &["SLIDE", "SIZE"], "HOP(time, slide, size)"),
    ("SESSION", &["GAP"], "SESSION(time, gap)"),
];
/// A window table, whose rows wait for their GROUP BY.
#[derive(Clone)]
pub(crate) struct Windowed {
    pub window: Window,
    pub place: Place,
    /// The event time of a row.
    pub time: BoundExpr,
    /// The columns of the stream end here; those of [`COLUMNS`] follow.
    pub first: usize,
    /// The keys of a session window, as what they are.
    pub partition: Option<Vec<Arc<str>>>,
}

impl Windowed {
    /// True if the expression reads a column of the window.
    pub(super) fn reads(&self, typed: &BoundExpr) -> bool {
        let own = self.first..self.first + COLUMNS.len();
        typed.sources.range(own).next().is_some()
    }

    /// Which column of the window it is, if nothing but that.
    pub(super) fn column(&self, typed: &BoundExpr) -> Option<usize> {
        match typed.path.as_deref() {
            Some([index]) => {
                let column = index.checked_sub(self.first);
                column.filter(|column| *column < COLUMNS.len())
            }
            _ => None,
        }
    }
}

/// A window table over what it reads.
pub(super) fn table(
    table: &WindowTable,
    inputs: Vec<(BoundSelect, Scope)>,
) -> Analyzed<Vec<BoundSelect>> {
    let length = |parameter: &str| {
        let found = table.lengths.iter().find(|l| l.parameter == parameter);
        found.map(|l| (l.interval, l.place))
    };
    let window = window(&table.function.text, &length)?;
    let mut branches = Vec::with_capacity(inputs.len());
    for (mut checked, scope) in inputs {
        if checked.windowed.is_some() {
            return refuse(
                table.function.place,
                "these rows are in a window already; a window of a window needs a Pipeline of its own for the inner one",
            );
        }
        let typed = scope.path(std::slice::from_ref(&table.time))?;
        let time = event_time(&table.function.text, &checked, typed)?;
        let mut partition = Vec::new();
        for name in &table.partition {
            scope.path(std::slice::from_ref(name))?;
            partition.push(scope.identity(&column(name)));
        }
        if let Some((name, _)) = checked
            .columns
            .iter()
            .find(|(n, _)| COLUMNS.iter().any(|(c, _)| c == n))
        {
            return refuse(
                table.function.place,
                format!(
                    "the window would give a second \"{name}\"; name the column otherwise in a sub-query"
                ),
            );
        }
        let first = checked.schema.columns.len();
        for (index, (name, data_type)) in COLUMNS.iter().enumerate() {
            checked.schema.columns.push(Column {
                name: (*name).to_owned(),
                data_type: data_type.clone(),
                nullable: false,
                labels: Vec::new(),
            });
            let mut typed = BoundExpr::column(
                table.function.place,
                first + index,
                data_type.clone(),
                false,
            );
            typed.identity = Some(format!("{name}()").into());
            checked.columns.push(((*name).to_owned(), typed));
        }
        checked.windowed = Some(Windowed {
            window,
            place: table.function.place,
            time,
            first,
            partition: matches!(window, Window::Session { .. }).then_some(partition),
        });
        branches.push(checked);
    }
    Ok(branches)
}

/// A column's name as an expression.
pub(super) fn column(name: &Name) -> Expr {
    Expr {
        place: name.place,
        depth: 1,
        kind: Kind::Path(vec![name.clone()]),
    }
}

/// The window of a call such as `TUMBLE(placed_at, INTERVAL '1' MINUTE)` in GROUP BY.
pub(super) fn of_call(name: &Name, args: &[Expr]) -> Analyzed<Window> {
    let upper = name.text.to_ascii_uppercase();
    let Some((_, parameters, form)) = GROUP_WINDOWS.iter().find(|w| w.0 == upper) else {
        return Err(vec![misplaced(name)]);
    };
    if args.len() != parameters.len() + 1 {
        let hint = if args.len() > parameters.len() + 1 {
            "; a shift is given in FROM TABLE(…)"
        } else {
            ""
        };
        return refuse(name.place, format!("{upper} is written {form}{hint}"));
    }
    let mut lengths = Vec::new();
    for (parameter, arg) in parameters.iter().zip(&args[1..]) {
        let Kind::Interval(interval) = arg.kind else {
            return refuse(
                arg.place,
                format!("{upper} is written {form}, and lengths as INTERVAL '1' MINUTE"),
            );
        };
        lengths.push((*parameter, interval, arg.place));
    }
    window(&upper, &|parameter| {
        lengths
            .iter()
            .find(|l| l.0 == parameter)
            .map(|l| (l.1, l.2))
    })
}

/// The texts of a group window's properties, from the window's own text and in the order of [`COLUMNS`].
pub(super) fn properties(text: &str) -> impl Iterator<Item = String> + '_ {
    PROPERTIES.iter().map(move |property| {
        let (name, args) = text.split_once('(').unwrap_or((text, ""));
        format!("{name}_{property}({args}")
    })
}

/// True for a window's name, or that of its property.
pub(super) fn is_window(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper == "CUMULATE"
        || GROUP_WINDOWS.iter().any(|(window, ..)| {
            upper.strip_prefix(window).is_some_and(|rest| {
                rest.is_empty()
                    || rest.strip_prefix('_').is_some_and(|property| {
                        property == "PROCTIME" || PROPERTIES.contains(&property)
                    })
            })
        })
}

/// Why a window, or its property, can't stand where it does.
pub(super) fn misplaced(name: &Name) -> SqlError {
    let upper = name.text.to_ascii_uppercase();
    let message = match upper.rsplit_once('_') {
        Some((_, "PROCTIME")) => format!(
            "{upper} is processing time, by which a repeated record would fall into another window; windows are over event time"
        ),
        Some((window, _)) => format!(
            "{upper} needs the same {window}(…) in this SELECT's GROUP BY, with the same arguments, and stands in the SELECT list or in HAVING"
        ),
        None if upper == "CUMULATE" => {
            "CUMULATE stands in FROM: TABLE(CUMULATE(TABLE stream, DESCRIPTOR(time), step, size))"
                .to_owned()
        }
        None => format!(
            "{upper} stands in GROUP BY, as a whole; its bounds are {upper}_START and {upper}_END with the same arguments"
        ),
    };
    SqlError::new(name.place, message)
}

/// The event time of a branch's rows, which must be the given expression.
pub(super) fn event_time(
    function: &str,
    checked: &BoundSelect,
    given: BoundExpr,
) -> Analyzed<BoundExpr> {
    let place = given.place;
    let stream = match &checked.input {
        Input::Stream(stream) => stream,
        Input::Stateful(node) => return Err(vec![over_state(place, node)]),
    };
    let (Some(path), Some(field)) = (&stream.time, &stream.time_field) else {
        return refuse(
            place,
            format!(
                "{function} is over event time, and stream \"{}\" has none: say in its contract which field it is (eventTime)",
                stream.name
            ),
        );
    };
    if stream.compacted {
        return Err(vec![compacted(place, &stream.name)]);
    }
    if given.path.as_ref() != Some(path) {
        let what = if given.path.is_some() {
            "this is another column"
        } else {
            "this is computed"
        };
        return refuse(
            place,
            format!(
                "{function} is over event time, which of stream \"{}\" is \"{field}\"; {what}. Use \"{field}\" as it is, or make another field the event time in the stream's contract (eventTime)",
                stream.name
            ),
        );
    }
    // A row without event time is bad, which is found where it is read.
    let mut time = casts::coerce(given, &TIME)?;
    time.identity = Some(format!("event_time({field:?})").into());
    Ok(time)
}

/// Aggregation of what was aggregated.
pub(super) fn nested(place: Place) -> SqlError {
    SqlError::new(
        place,
        "an aggregation over an aggregation is not in this version; write the inner query to a stream by a Pipeline of its own, and aggregate that stream here",
    )
}

/// Aggregation of what was aggregated or joined.
pub(super) fn over_state(place: Place, inner: &StatefulNode) -> SqlError {
    if inner.operator.is_over() {
        return SqlError::new(
            place,
            "state over what OVER gives is not in this version; write the SELECT with OVER to a stream by a Pipeline of its own, and go on from that stream here",
        );
    }
    if !inner.operator.is_join() {
        return nested(place);
    }
    SqlError::new(
        place,
        "an aggregation over a join is not in this version; write the join to a stream by a Pipeline of its own, and aggregate that stream here",
    )
}

/// State over a stream whose records replace each other.
pub(super) fn compacted(place: Place, stream: &str) -> SqlError {
    SqlError::new(
        place,
        format!(
            "records of stream \"{stream}\" replace each other (it is compacted), and an aggregate would count the old ones, too; aggregate the stream of events that it was made from"
        ),
    )
}

/// A join of a stream whose records replace each other.
pub(super) fn compacted_side(place: Place, stream: &str) -> SqlError {
    SqlError::new(
        place,
        format!(
            "records of stream \"{stream}\" replace each other (it is compacted), and a join would pair the old ones, too; join the stream of events that it was made from, or, for what was valid at the time of the other side's rows, write JOIN {stream} FOR SYSTEM_TIME AS OF their event time"
        ),
    )
}

/// The window that a GROUP BY or PARTITION BY names, from what it has of a window table's columns.
pub(super) fn named(
    windowed: &Windowed,
    has: [bool; 3],
    place: Place,
    clause: &str,
) -> Analyzed<()> {
    let missing: Vec<&str> = COLUMNS[..2]
        .iter()
        .zip(has)
        .filter(|(_, has)| !has)
        .map(|((name, _), _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let function = match windowed.window {
        Window::Tumble { .. } => "TUMBLE",
        Window::Hop { .. } => "HOP",
        Window::Cumulate { .. } => "CUMULATE",
        Window::Session { .. } => "SESSION",
    };
    refuse(
        place,
        format!(
            "{clause} over TABLE({function}(…)) names window_start and window_end; add {}",
            missing.join(" and ")
        ),
    )
}

/// A group window's name in an expression of GROUP BY, if it is one.
pub(super) fn call(expr: &Expr) -> Option<(&Name, &[Expr])> {
    match &expr.kind {
        Kind::Call { name, args } if is_window(&name.text) => Some((name, args)),
        _ => None,
    }
}

/// The time of a group window in one branch.
pub(super) fn time_of(
    name: &Name,
    args: &[Expr],
    checked: &BoundSelect,
    scope: &Scope,
) -> Analyzed<BoundExpr> {
    let Some(time) = args.first() else {
        return refuse(name.place, "the time column is missing");
    };
    let binder = Binder {
        scope,
        groups: None,
    };
    let typed = binder.bind(time)?;
    event_time(&name.text.to_ascii_uppercase(), checked, typed)
}

/// What a misspelt column of a window was meant to be.
pub(super) fn near(name: &str) -> Option<String> {
    nearest(name, COLUMNS.iter().map(|(n, _)| *n))
}
