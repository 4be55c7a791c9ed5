//! The aggregate functions: what they take, and what they give by Flink's rules.

use super::bound_expr::{Analyzed, refuse};
use super::rows::Cell;
use super::scope::{Scope, shortened};
use super::{Binder, BoundSelect};
use crate::error::Place;
use crate::keyed::Function;
use crate::syntax::ast::{AggregateCall, Expr};
use crate::types::DataType as T;

/// A checked aggregate.
pub(super) struct BoundAggregate {
    pub function: Function,
    pub argument: Option<Cell>,
    pub filter: Option<Cell>,
    pub distinct: bool,
    pub data_type: T,
    pub nullable: bool,
}

impl BoundAggregate {
    /// Its text, equal for aggregates that are equal; also the order in which state keeps them.
    pub(super) fn identity(&self) -> String {
        let cell = |cell: &Option<Cell>| cell.as_ref().map(|c| c.identity.clone());
        format!(
            "{:?} {} {:?} {:?} {}",
            self.function,
            self.distinct,
            cell(&self.argument),
            cell(&self.filter),
            self.data_type
        )
    }
}

/// Checks an aggregate's call.
pub(super) fn bind(
    inputs: &[(BoundSelect, Scope)],
    call: &AggregateCall,
    place: Place,
) -> Analyzed<BoundAggregate> {
    for inner in call.args.iter().chain(&call.filter) {
        if let Some(found) = inner.stateful() {
            return refuse(
                found.place,
                format!(
                    "an aggregate in the argument of {} is not defined",
                    call.function
                ),
            );
        }
    }
    let filter = match &call.filter {
        None => None,
        Some(expr) => Some(filter(inputs, expr)?),
    };
    if call.star {
        return Ok(BoundAggregate {
            function: Function::Count,
            argument: None,
            filter,
            distinct: false,
            data_type: T::BigInt,
            nullable: false,
        });
    }
    let name = call.function.as_str();
    let function = function(call, place)?;
    let Some(arg) = call.args.first() else {
        return refuse(place, format!("{name} needs an argument"));
    };
    let argument = Cell::bind(inputs, arg)?;
    if argument.reads_window(inputs) {
        return refuse(
            arg.place,
            format!("a window's bounds are the same for all its rows; take them without {name}"),
        );
    }
    let given = argument.data_type().clone();
    let Some(data_type) = result(&function, &given) else {
        return refuse(arg.place, unfit(name, &function, &given));
    };
    if call.distinct && matches!(given, T::Array(_) | T::Map(_) | T::Struct(_) | T::Bytes) {
        let given = shortened(&given);
        return refuse(
            arg.place,
            format!("{name}(DISTINCT …) takes single values that aren't bytes, this is {given}"),
        );
    }
    let null = argument.nullable();
    let count = function == Function::Count;
    Ok(BoundAggregate {
        // Rows with equal values have the same least, greatest and first one.
        distinct: call.distinct
            && !matches!(
                function,
                Function::Min | Function::Max | Function::FirstValue
            ),
        // Of a column that is never null every value counts.
        argument: (!count || call.distinct || null).then_some(argument),
        nullable: match function {
            Function::Count => false,
            // A null is a value of it.
            Function::ArrayAgg { nulls: true } => filter.is_some(),
            _ => null || filter.is_some() || may_lack(&function, &given),
        },
        function,
        filter,
        data_type,
    })
}

fn filter(inputs: &[(BoundSelect, Scope)], expr: &Expr) -> Analyzed<Cell> {
    for (_, scope) in inputs {
        let binder = Binder {
            scope,
            groups: None,
        };
        super::select::condition("FILTER", expr, &binder)?;
    }
    let cell = Cell::bind(inputs, expr)?;
    if cell.reads_window(inputs) {
        return refuse(
            expr.place,
            "a window's bounds are the same for all its rows; say this of the window in HAVING",
        );
    }
    Ok(cell)
}

fn function(call: &AggregateCall, place: Place) -> Analyzed<Function> {
    let name = call.function.as_str();
    let most = if name == "LISTAGG" { 2 } else { 1 };
    if call.args.len() > most {
        let hint = if name == "COUNT" {
            "; of several columns, count one of CONCAT_WS('|', …) or of IF(a IS NOT NULL AND b IS NOT NULL, 1, NULL)"
        } else {
            ""
        };
        return refuse(
            place,
            format!(
                "{name} takes {most} argument(s), not {}{hint}",
                call.args.len()
            ),
        );
    }
    Ok(match name {
        "COUNT" => Function::Count,
        "SUM" => Function::Sum,
        "MIN" => Function::Min,
        "MAX" => Function::Max,
        "AVG" => Function::Avg,
        "STDDEV_POP" => Function::StddevPop,
        "STDDEV_SAMP" | "STDDEV" => Function::StddevSamp,
        "VAR_POP" => Function::VarPop,
        "VAR_SAMP" | "VARIANCE" => Function::VarSamp,
        "FIRST_VALUE" => Function::FirstValue,
        "LAST_VALUE" if call.distinct => {
            return refuse(
                place,
                "LAST_VALUE(DISTINCT x) is LAST_VALUE(x); leave DISTINCT out",
            );
        }
        "LAST_VALUE" => Function::LastValue,
        "ARRAY_AGG" => Function::ArrayAgg {
            nulls: !call.ignores_nulls,
        },
        _ => {
            let separator = match call.args.get(1) {
                None => ",",
                Some(Expr {
                    kind: crate::syntax::ast::Kind::Text(text),
                    ..
                }) => text,
                Some(other) => {
                    return refuse(
                        other.place,
                        "LISTAGG's separator is a text in quotes, the same for all rows",
                    );
                }
            };
            Function::ListAgg(separator.to_owned())
        }
    })
}

/// The type of the result; `None`: the function doesn't take the argument.
fn result(function: &Function, given: &T) -> Option<T> {
    let nested = matches!(given, T::Array(_) | T::Map(_) | T::Struct(_));
    match function {
        Function::Count => Some(T::BigInt),
        Function::Sum => match given {
            T::Decimal { scale, .. } => Some(T::Decimal {
                precision: 38,
                scale: *scale,
            }),
            _ => given.is_numeric().then(|| given.clone()),
        },
        Function::Avg
        | Function::StddevPop
        | Function::StddevSamp
        | Function::VarPop
        | Function::VarSamp => match given {
            T::Decimal { scale, .. } => Some(T::Decimal {
                precision: 38,
                scale: (*scale).max(6),
            }),
            _ => given.is_numeric().then(|| given.clone()),
        },
        Function::Min | Function::Max => (!nested && *given != T::Bytes).then(|| given.clone()),
        Function::FirstValue | Function::LastValue => (!nested).then(|| given.clone()),
        Function::ListAgg(_) => (*given == T::String).then_some(T::String),
        Function::ArrayAgg { .. } => Some(T::Array(Box::new(given.clone()))),
    }
}

/// True if the result may be null though values were there: of one value there is no sample's variance,
/// and a decimal that has too many digits is null. (Flink says "never null" and gives null all the same.)
fn may_lack(function: &Function, given: &T) -> bool {
    let T::Decimal { precision, .. } = given else {
        return matches!(function, Function::StddevSamp | Function::VarSamp);
    };
    match function {
        Function::StddevSamp | Function::VarSamp => true,
        // A sum of 20 digits needs 10^18 rows for a digit too many; a variance has twice the digits.
        Function::Sum | Function::Avg | Function::StddevPop => *precision > 20,
        Function::VarPop => *precision > 15,
        _ => false,
    }
}

fn unfit(name: &str, function: &Function, given: &T) -> String {
    match function {
        Function::Sum
        | Function::Avg
        | Function::StddevPop
        | Function::StddevSamp
        | Function::VarPop
        | Function::VarSamp => {
            let hint = if *given == T::String {
                "; text becomes one with CAST(… AS DECIMAL(12,2)) or another type"
            } else {
                ""
            };
            format!("{name} takes a number, this is {}{hint}", shortened(given))
        }
        Function::ListAgg(_) => {
            let given = shortened(given);
            format!("{name} takes text, this is {given}; use CAST(… AS STRING)")
        }
        _ => format!(
            "{name} takes single values that have an order, this is {}",
            shortened(given)
        ),
    }
}
