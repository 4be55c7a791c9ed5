//! The allow-list of functions. What isn't in it is refused by name: a function is here only with
//! Flink's argument types, result type, null rule and overflow rule (see `tests/golden`).

use arrow::array::ArrayRef;

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::casts::{coerce, read_as_time};
use super::expressions::plain;
use super::scope::shortened;
use super::{Binder, arrays, collections, grouping_sets, logic, math, strings, time};
use crate::error::{Place, SqlError};
use crate::eval::Args;
use crate::suggest::nearest;
use crate::syntax::ast::{Expr, Name};
use crate::types::DataType as T;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParamType {
    Text,
    /// INT.
    Int,
    /// BIGINT, or INT widened to it.
    BigInt,
    /// A number, as DOUBLE.
    Double,
    /// Whatever; the function's own rule looks at it.
    Any,
}

/// A function of the allow-list.
pub(super) struct Function {
    /// Upper case.
    pub name: &'static str,
    pub params: &'static [ParamType],
    /// How many parameters must be given.
    pub least: usize,
    /// True: the last parameter may be repeated.
    pub repeats: bool,
    pub rule: Rule,
}

/// How a function's call is checked.
pub(super) enum Rule {
    /// A kernel with a fixed result type. `fails`: a value may fail the row.
    Kernel {
        result: T,
        nulls: Nulls,
        fails: bool,
        kernel: fn(&Args) -> Result<ArrayRef, String>,
    },
    /// A rule of its own.
    Own(fn(Place, &'static str, Vec<BoundExpr>) -> Analyzed<BoundExpr>),
}

/// A function with a kernel, null if an argument is.
pub(super) const fn kernel(
    name: &'static str,
    params: &'static [ParamType],
    least: usize,
    result: T,
    kernel: fn(&Args) -> Result<ArrayRef, String>,
) -> Function {
    Function {
        name,
        params,
        least,
        repeats: false,
        rule: Rule::Kernel {
            result,
            nulls: Nulls::Strict,
            fails: false,
            kernel,
        },
    }
}

/// A function with a kernel that may give null for arguments that aren't.
pub(super) const fn nullable(
    name: &'static str,
    params: &'static [ParamType],
    least: usize,
    result: T,
    kernel: fn(&Args) -> Result<ArrayRef, String>,
) -> Function {
    Function {
        name,
        params,
        least,
        repeats: false,
        rule: Rule::Kernel {
            result,
            nulls: Nulls::Possible,
            fails: false,
            kernel,
        },
    }
}

/// A function with a kernel that may fail the row.
pub(super) const fn failing(
    name: &'static str,
    params: &'static [ParamType],
    least: usize,
    result: T,
    kernel: fn(&Args) -> Result<ArrayRef, String>,
) -> Function {
    Function {
        name,
        params,
        least,
        repeats: false,
        rule: Rule::Kernel {
            result,
            nulls: Nulls::Strict,
            fails: true,
            kernel,
        },
    }
}

/// A function with a rule of its own.
pub(super) const fn own(
    name: &'static str,
    params: &'static [ParamType],
    least: usize,
    repeats: bool,
    rule: fn(Place, &'static str, Vec<BoundExpr>) -> Analyzed<BoundExpr>,
) -> Function {
    Function {
        name,
        params,
        least,
        repeats,
        rule: Rule::Own(rule),
    }
}

fn rooms() -> impl Iterator<Item = &'static Function> {
    strings::FUNCTIONS
        .iter()
        .chain(math::FUNCTIONS)
        .chain(time::FUNCTIONS)
        .chain(collections::FUNCTIONS)
        .chain(arrays::FUNCTIONS)
}

/// Conditional functions, which [`Binder`] itself knows.
const CONDITIONAL: &[&str] = &["COALESCE", "NULLIF", "IF", "IFNULL", "GREATEST", "LEAST"];
/// Functions that have a syntax of their own.
const SPECIAL: &[&str] = &[
    "CAST",
    "TRY_CAST",
    "EXTRACT",
    "FLOOR",
    "CEIL",
    "TRIM",
    "SUBSTRING",
    "POSITION",
    "OVERLAY",
    "TIMESTAMPADD",
    "TIMESTAMPDIFF",
    "JSON_VALUE",
    "JSON_QUERY",
    "JSON_EXISTS",
];

/// Checks a call.
pub(super) fn bind(binder: &Binder, name: &Name, args: &[Expr]) -> Analyzed<BoundExpr> {
    let upper = name.text.to_ascii_uppercase();
    let place = name.place;
    if CONDITIONAL.contains(&upper.as_str()) {
        return conditional(binder, &upper, place, args);
    }
    if grouping_sets::is_grouping(name) {
        return Err(vec![grouping_sets::misplaced(name)]);
    }
    let Some(function) = rooms().find(|f| f.name == upper) else {
        // Errors in the arguments are worth saying too.
        let mut errors = vec![unknown(name, &upper)];
        errors.extend(binder.bind_all(args).err().unwrap_or_default());
        return Err(errors);
    };
    let args = binder.bind_all(args)?;
    let most = if function.repeats {
        usize::MAX
    } else {
        function.params.len()
    };
    if args.len() < function.least || args.len() > most {
        let wanted = match (function.least, most) {
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        return refuse(
            place,
            format!("{upper} takes {wanted} argument(s), not {}", args.len()),
        );
    }
    let mut given = Vec::with_capacity(args.len());
    for (i, arg) in args.into_iter().enumerate() {
        let param = function
            .params
            .get(i)
            .or(function.params.last())
            .copied()
            .unwrap_or(ParamType::Any);
        given.push(take(&upper, i, param, arg)?);
    }
    match &function.rule {
        Rule::Kernel {
            result,
            nulls,
            fails,
            kernel,
        } => call(
            place,
            result.clone(),
            &given,
            *nulls,
            *fails,
            plain(*kernel),
        ),
        Rule::Own(rule) => rule(place, function.name, given),
    }
}

/// Brings an argument to what its parameter takes.
fn take(function: &str, index: usize, param: ParamType, arg: BoundExpr) -> Analyzed<BoundExpr> {
    let to = match param {
        ParamType::Any => return Ok(arg),
        ParamType::Text => T::String,
        ParamType::Int => T::Int,
        ParamType::BigInt => T::BigInt,
        ParamType::Double => T::Double,
    };
    let fits = arg.untyped_null
        || arg.data_type == to
        || match param {
            ParamType::BigInt => arg.data_type == T::Int,
            ParamType::Double => arg.data_type.is_numeric(),
            _ => false,
        };
    if fits {
        return coerce(arg, &to);
    }
    let hint = if param == ParamType::Text {
        "; use CAST(… AS STRING)".to_owned()
    } else {
        String::new()
    };
    refuse(
        arg.place,
        format!(
            "argument {} of {function} is {}, not {}{hint}",
            index + 1,
            to,
            shortened(&arg.data_type)
        ),
    )
}

fn conditional(binder: &Binder, upper: &str, place: Place, args: &[Expr]) -> Analyzed<BoundExpr> {
    let args = binder.bind_all(args)?;
    let count = args.len();
    let wrong = |wanted: &str| {
        refuse(
            place,
            format!("{upper} takes {wanted} arguments, not {count}"),
        )
    };
    match upper {
        "COALESCE" if count == 0 => wrong("at least 1"),
        "IFNULL" if count != 2 => wrong("2"),
        "COALESCE" | "IFNULL" => logic::coalesce(place, upper, args),
        "NULLIF" => match <[BoundExpr; 2]>::try_from(args) {
            Ok([left, right]) => logic::nullif(place, left, right),
            Err(_) => wrong("2"),
        },
        "IF" => match <[BoundExpr; 3]>::try_from(args) {
            Ok([condition, yes, no]) if condition.data_type == T::Boolean => {
                logic::choose(place, upper, vec![condition], vec![yes, no])
            }
            Ok([condition, ..]) => refuse(
                condition.place,
                format!(
                    "IF needs a condition (boolean), this is {}",
                    shortened(&condition.data_type)
                ),
            ),
            Err(_) => wrong("3"),
        },
        _ if count == 0 => wrong("at least 1"),
        _ => math::extreme(place, upper == "GREATEST", upper, args),
    }
}

fn unknown(name: &Name, upper: &str) -> SqlError {
    let elsewhere = match upper {
        "LEN" | "LENGTH" => Some("CHAR_LENGTH"),
        "NVL" => Some("COALESCE"),
        "TO_CHAR" | "STRFTIME" => Some("DATE_FORMAT"),
        "DATE_TRUNC" => Some("FLOOR(… TO DAY)"),
        "DATEDIFF" => Some("TIMESTAMPDIFF"),
        "DATEADD" | "DATE_ADD" => Some("TIMESTAMPADD"),
        "DATE_PART" => Some("EXTRACT"),
        "SPLIT_PART" => Some("SPLIT_INDEX"),
        "REGEXP_LIKE" | "REGEXP_MATCHES" | "RLIKE" => Some("REGEXP"),
        "STRPOS" | "CHARINDEX" => Some("POSITION"),
        "GET_JSON_OBJECT" | "JSON_EXTRACT" | "JSON_EXTRACT_SCALAR" => Some("JSON_VALUE"),
        "ARRAY_LENGTH" | "SIZE" => Some("CARDINALITY"),
        "IIF" => Some("IF"),
        "LCASE" => Some("LOWER"),
        "UCASE" => Some("UPPER"),
        "SHA" => Some("SHA1"),
        "TO_NUMBER" => Some("CAST"),
        _ => None,
    };
    let near = elsewhere.map(str::to_owned).or_else(|| {
        nearest(
            upper,
            rooms()
                .map(|f| f.name)
                .chain(CONDITIONAL.iter().copied())
                .chain(SPECIAL.iter().copied()),
        )
    });
    SqlError::new(
        name.place,
        format!("unknown function {upper}; this version has those of docs/reference/sql.md"),
    )
    .meant(near)
}

/// Reads a constant text beside dates and times as one.
pub(super) fn times_of(args: Vec<BoundExpr>) -> Analyzed<Vec<BoundExpr>> {
    let beside = args
        .iter()
        .map(|a| a.data_type.clone())
        .find(|t| *t != T::String);
    match beside {
        Some(beside) => args.into_iter().map(|a| read_as_time(a, &beside)).collect(),
        None => Ok(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_upper_case() {
        let mut names: Vec<&str> = rooms()
            .map(|f| f.name)
            .chain(CONDITIONAL.iter().copied())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(
            rooms().all(|f| f.name == f.name.to_ascii_uppercase() && f.least <= f.params.len())
        );
    }

    #[test]
    fn the_reference_names_every_function() {
        let path = "../../docs/reference/sql.md";
        let text = std::fs::read_to_string(path).unwrap();
        for name in rooms().map(|f| f.name).chain(CONDITIONAL.iter().copied()) {
            assert!(
                text.contains(&format!("`{name}`")) || text.contains(&format!("`{name}(")),
                "{name}"
            );
        }
    }
}
