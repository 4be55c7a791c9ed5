//! The functions of a SELECT with OVER: which there are, and what they take and give.

use super::super::aggregates::{self, BoundAggregate};
use super::super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::super::rows::Cell;
use super::super::scope::{Scope, shortened};
use super::super::{Binder, BoundSelect, casts};
use super::Calls;
use crate::error::{Place, SqlError};
use crate::keyed::over::OverFunction;
use crate::keyed::{self, Aggregate};
use crate::stack;
use crate::syntax::ast::{self, AggregateCall, Expr, Item, Kind, OverWindowRef, RowNumber, Select};
use crate::syntax::over::{MAX_ROWS, name};
use crate::types::DataType;

/// Most functions of a SELECT.
const MAX_FUNCTIONS: usize = 200;

/// A call of the SELECT list.
pub(in super::super) struct Asked<'a> {
    pub text: String,
    pub place: Place,
    pub name: &'a str,
    pub what: What<'a>,
    /// None: of ROW_NUMBER, which has its own.
    pub window: Option<&'a OverWindowRef>,
}

/// What is asked for.
pub(in super::super) enum What<'a> {
    Aggregate(&'a AggregateCall),
    Lag(&'a [Expr]),
    RowNumber(&'a RowNumber),
    Rank,
    DenseRank,
}

/// A checked function.
pub(super) struct Function {
    /// The texts that stand for it.
    pub texts: Vec<String>,
    pub data_type: DataType,
    pub nullable: bool,
    does: Does,
}

enum Does {
    Aggregate(Box<BoundAggregate>),
    Lag {
        cell: Cell,
        offset: u32,
        default: Option<Cell>,
    },
    RowNumber,
    Rank,
    DenseRank,
}

impl Function {
    /// The columns that it reads.
    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        let (first, second) = match &self.does {
            Does::Aggregate(of) => (of.argument.as_ref(), of.filter.as_ref()),
            Does::Lag { cell, default, .. } => (Some(cell), default.as_ref()),
            Does::RowNumber | Does::Rank | Does::DenseRank => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// True if it comes from the order of the rows alone.
    pub(super) fn counts(&self) -> bool {
        matches!(self.does, Does::RowNumber | Does::Rank | Does::DenseRank)
    }

    /// What it is, equal for functions that are equal; also the order in which results have them.
    fn identity(&self) -> String {
        match &self.does {
            Does::Aggregate(of) => of.identity(),
            Does::Lag {
                cell,
                offset,
                default,
            } => format!(
                "LAG {:?} {offset} {:?}",
                cell.identity,
                default.as_ref().map(|d| &d.identity)
            ),
            Does::RowNumber => "ROW_NUMBER".to_owned(),
            Does::Rank => "RANK".to_owned(),
            Does::DenseRank => "DENSE_RANK".to_owned(),
        }
    }

    /// As state computes it; `row`: which column of the rows a cell is.
    pub(super) fn compiled(&self, row: &impl Fn(&Cell) -> usize) -> OverFunction {
        match &self.does {
            Does::Aggregate(of) => OverFunction::Aggregate(Aggregate {
                function: of.function.clone(),
                argument: of.argument.as_ref().map(row),
                filter: of.filter.as_ref().map(row),
                distinct: false,
                data_type: of.data_type.clone(),
            }),
            Does::Lag {
                cell,
                offset,
                default,
            } => OverFunction::Lag {
                column: row(cell),
                offset: *offset,
                default: default.as_ref().map(row),
                data_type: self.data_type.clone(),
            },
            Does::RowNumber => OverFunction::RowNumber,
            Does::Rank => OverFunction::Rank,
            Does::DenseRank => OverFunction::DenseRank,
        }
    }
}

/// The calls of the SELECT list, each with its text.
pub(super) fn asked<'a>(select: &'a Select, scope: &Scope) -> Analyzed<Calls<'a>> {
    let mut found: Calls<'a> = Vec::new();
    for item in &select.items {
        if let Item::Expr { expr, .. } = item {
            collect(expr, scope, &mut found)?;
        }
    }
    if found.len() > MAX_FUNCTIONS {
        return refuse(
            select.place,
            format!("a SELECT has at most {MAX_FUNCTIONS} functions with OVER"),
        );
    }
    Ok(found)
}

fn collect<'a>(expr: &'a Expr, scope: &Scope, found: &mut Calls<'a>) -> Analyzed<()> {
    let (what, name, window) = match &expr.kind {
        Kind::Over(call) => {
            let what = match &call.function {
                ast::OverFunction::Aggregate(call) => What::Aggregate(call),
                ast::OverFunction::Lag(args) => What::Lag(args),
                ast::OverFunction::Rank => What::Rank,
                ast::OverFunction::DenseRank => What::DenseRank,
            };
            (what, name(&call.function), Some(&call.window))
        }
        Kind::RowNumber(number) => (What::RowNumber(number), "ROW_NUMBER", None),
        _ => {
            return stack::deeper(|| {
                let mut children = expr.children().into_iter();
                children.try_for_each(|child| collect(child, scope, found))
            });
        }
    };
    if let Some(inner) = expr.children().into_iter().find_map(Expr::stateful) {
        return refuse(
            inner.place,
            format!(
                "{name} OVER (…) is made of rows, and here an aggregate or another OVER is its part; put the inner one in a stream of its own by another Pipeline"
            ),
        );
    }
    found.push(Asked {
        text: scope.text(expr),
        place: expr.place,
        name,
        what,
        window,
    });
    Ok(())
}

/// Binds the calls, each once.
pub(super) fn bind(asked: &Calls, inputs: &[(BoundSelect, Scope)]) -> Analyzed<Vec<Function>> {
    let (mut found, mut errors) = (Vec::<Function>::new(), Vec::<SqlError>::new());
    for one in asked {
        if let Some(known) = found.iter_mut().find(|f| f.texts.contains(&one.text)) {
            known.texts.push(one.text.clone());
            continue;
        }
        match function(one, inputs) {
            Ok(function) => {
                let identity = function.identity();
                match found.iter_mut().find(|f| f.identity() == identity) {
                    Some(known) => known.texts.extend(function.texts),
                    None => found.push(function),
                }
            }
            Err(more) => errors.extend(more),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    found.sort_by_key(Function::identity);
    Ok(found)
}

fn function(one: &Asked, inputs: &[(BoundSelect, Scope)]) -> Analyzed<Function> {
    let counts = |does| Function {
        texts: vec![one.text.clone()],
        data_type: DataType::BigInt,
        nullable: false,
        does,
    };
    Ok(match one.what {
        What::RowNumber(_) => counts(Does::RowNumber),
        What::Rank => counts(Does::Rank),
        What::DenseRank => counts(Does::DenseRank),
        What::Aggregate(call) => {
            let of = aggregate(one, call, inputs)?;
            Function {
                texts: vec![one.text.clone()],
                data_type: of.data_type.clone(),
                nullable: of.nullable,
                does: Does::Aggregate(Box::new(of)),
            }
        }
        What::Lag(args) => lag(one, args, inputs)?,
    })
}

fn aggregate(
    one: &Asked,
    call: &AggregateCall,
    inputs: &[(BoundSelect, Scope)],
) -> Analyzed<BoundAggregate> {
    if call.distinct {
        return refuse(
            one.place,
            format!(
                "{}(DISTINCT …) OVER (…) is not in this version: it would keep every value of each frame; count them in windows: GROUP BY key, HOP(time, slide, size)",
                one.name
            ),
        );
    }
    let of = aggregates::bind(inputs, call, one.place)?;
    if let keyed::Function::ListAgg(_) | keyed::Function::ArrayAgg { .. } = of.function {
        return refuse(
            one.place,
            format!(
                "{} OVER (…) is not in this version: what it gives grows with every row; take it in windows: GROUP BY key, TUMBLE(time, INTERVAL …)",
                one.name
            ),
        );
    }
    Ok(of)
}

/// `LAG(x [, n [, default]])`.
fn lag(one: &Asked, args: &[Expr], inputs: &[(BoundSelect, Scope)]) -> Analyzed<Function> {
    let (Some(value), true) = (args.first(), args.len() <= 3) else {
        return refuse(
            one.place,
            format!(
                "LAG takes a value, how many rows before, and what stands for a row that isn't there, not {} argument(s)",
                args.len()
            ),
        );
    };
    let cell = Cell::bind(inputs, value)?;
    let offset = match args.get(1) {
        None => 1,
        Some(expr) => offset(expr, inputs)?,
    };
    let default = match args.get(2) {
        None => None,
        Some(expr) => default(expr, &cell, inputs)?,
    };
    let lacks = default.as_ref().is_none_or(Cell::nullable);
    Ok(Function {
        texts: vec![one.text.clone()],
        data_type: cell.data_type().clone(),
        nullable: cell.nullable() || (lacks && offset > 0),
        does: Does::Lag {
            cell,
            offset,
            default,
        },
    })
}

fn offset(expr: &Expr, inputs: &[(BoundSelect, Scope)]) -> Analyzed<u32> {
    let typed = one_of(expr, inputs)?;
    let number = typed.and_then(|typed| typed.literal_int());
    match number.and_then(|n| u32::try_from(n).ok()) {
        Some(number) if number <= MAX_ROWS => Ok(number),
        _ => refuse(
            expr.place,
            format!("LAG looks back a whole number of rows from 0 to {MAX_ROWS}, written as such"),
        ),
    }
}

fn one_of(expr: &Expr, inputs: &[(BoundSelect, Scope)]) -> Analyzed<Option<BoundExpr>> {
    let Some((_, scope)) = inputs.first() else {
        return Ok(None);
    };
    let binder = Binder {
        scope,
        groups: None,
    };
    binder.bind(expr).map(Some)
}

/// What stands for a row that isn't there, of the value's type; none: null.
fn default(expr: &Expr, cell: &Cell, inputs: &[(BoundSelect, Scope)]) -> Analyzed<Option<Cell>> {
    if matches!(expr.kind, Kind::Null) {
        return Ok(None);
    }
    let mut default = Cell::bind(inputs, expr)?;
    let to = cell.data_type().clone();
    let given = default.data_type().clone();
    if casts::common(&to, &given).as_ref() != Some(&to) {
        return refuse(
            expr.place,
            format!(
                "LAG gives {} here, and what stands for a missing row is {}; make it that with CAST",
                shortened(&to),
                shortened(&given)
            ),
        );
    }
    if given != to {
        for typed in &mut default.typed {
            *typed = casts::coerce(typed.clone(), &to)?;
        }
        for identity in &mut default.identity {
            *identity = format!("{identity} as {to}").into();
        }
    }
    "default".clone_into(&mut default.name);
    Ok(Some(default))
}
