//! How a window's values are spread over bins, beside how they should be: counts with FILTER, and a statistic over them.

use headworks_crds::{DistributionCheck, DistributionTest};
use headworks_sql::{schema::Schema, types::DataType};

use super::figures::{ELSEWHERE, Figure, is_ordered, shown};
use crate::planning::rules::{
    expressions::{Fault, column, fault, quoted},
    values::{self, Value},
};

/// A bin without values counts as this part of them in the population stability index, or its logarithm would have no end.
const LEAST: &str = "1e-4";
/// Fractions are added up in so many parts of one.
const WHOLE: u64 = 1_000_000_000;

/// The figure of a check.
///
/// # Errors
/// As [`super::figures::of`]; bounds that don't ascend, a value in two bins, fractions that don't come to 1.
pub fn of(of: &DistributionCheck, schema: &Schema) -> Result<Figure, Fault> {
    let found = column(schema, "distribution.field", &of.field)?;
    let single = is_ordered(&found.data_type) || found.data_type == DataType::Boolean;
    if !single {
        return fault(
            "distribution.field",
            format!(
                "\"{}\" is {}; distribution is for single values",
                of.field, found.data_type
            ),
        );
    }
    let field = quoted(&of.field);
    if of.reference.is_some() {
        return Ok(counted(&bins(of, &found.data_type)?.each(&field), &field));
    }
    let fractions = fractions(of)?;
    let bins = bins(of, &found.data_type)?;
    let all = format!("COUNT({field})");
    let max = values::read(&of.max, &DataType::Double)
        .or_else(|message| fault("distribution.max", message))?;
    let part = |condition: &str| {
        format!(
            "CAST(COUNT({field}) FILTER (WHERE {condition}) AS DOUBLE) / CAST(NULLIF({all}, 0) AS DOUBLE)"
        )
    };
    let double = |billionths: u64| format!("{billionths}e-9");
    let statistic = match of.test {
        DistributionTest::Psi => {
            let terms = bins.each(&field).into_iter().zip(&fractions);
            let terms = terms.map(|(condition, fraction)| {
                let a = format!("GREATEST({}, {LEAST})", part(&condition));
                let e = format!("GREATEST({}, {LEAST})", double(*fraction));
                format!("({a} - {e}) * LN({a} / {e})")
            });
            terms.collect::<Vec<_>>().join(" + ")
        }
        DistributionTest::ChiSquare => {
            if let Some(none) = fractions.iter().position(|fraction| *fraction == 0) {
                return fault(
                    format!("distribution.bins[{none}].fraction"),
                    "ChiSquare divides by it: put the bin together with another, or take the test Psi",
                );
            }
            let terms = bins.each(&field).into_iter().zip(&fractions);
            let terms = terms.map(|(condition, fraction)| {
                let (a, e) = (part(&condition), double(*fraction));
                format!("({a} - {e}) * ({a} - {e}) / {e}")
            });
            let sum = terms.collect::<Vec<_>>().join(" + ");
            format!("CAST({all} AS DOUBLE) * ({sum})")
        }
        DistributionTest::KolmogorovSmirnov => {
            let mut sum = 0;
            let ends = bins.cumulative(&field).into_iter().zip(&fractions);
            let ends = ends.map(|(condition, fraction)| {
                sum += fraction;
                format!("ABS({} - {})", part(&condition), double(sum))
            });
            let ends: Vec<String> = ends.collect();
            match ends.as_slice() {
                [one] => one.clone(),
                _ => format!("GREATEST({})", ends.join(", ")),
            }
        }
    };
    Ok(Figure {
        observed: Some(shown(&format!("({statistic})"))),
        passed: format!("({statistic}) <= {}", max.sql()),
    })
}

/// How many values each bin has, such as `12 0 7`: whoever has those of the reference compares.
fn counted(conditions: &[String], field: &str) -> Figure {
    let counts: Vec<String> = conditions
        .iter()
        .map(|condition| shown(&format!("COUNT({field}) FILTER (WHERE {condition})")))
        .collect();
    Figure {
        observed: Some(format!("CONCAT_WS(' ', {})", counts.join(", "))),
        passed: ELSEWHERE.to_owned(),
    }
}

/// The bins' parts in billionths, which come to one.
fn fractions(of: &DistributionCheck) -> Result<Vec<u64>, Fault> {
    let mut all = Vec::with_capacity(of.bins.len());
    for (index, bin) in of.bins.iter().enumerate() {
        let text = bin.fraction.as_deref().unwrap_or_default();
        let (whole, behind) = text.split_once('.').unwrap_or((text, ""));
        let read = format!("{whole}{behind:0<9}").parse::<u64>();
        let read = read.ok().filter(|parts: &u64| *parts <= WHOLE);
        let Some(read) = read.filter(|_| behind.len() <= 9) else {
            return fault(
                format!("distribution.bins[{index}].fraction"),
                "is no part of a whole: write a number from 0 to 1, such as 0.25",
            );
        };
        all.push(read);
    }
    if all.iter().sum::<u64>() != WHOLE {
        return fault(
            "distribution.bins",
            "the fractions don't come to 1: correct them, or add a last bin without upTo and values for what is left",
        );
    }
    Ok(all)
}

/// Bins of values: by their upper ends, which ascend, or by lists.
enum Bins {
    /// The ends; true: a last bin takes what is above.
    Ends(Vec<Value>, bool),
    /// The lists; true: a last bin takes what is in none.
    Lists(Vec<Vec<Value>>, bool),
}

fn bins(of: &DistributionCheck, data_type: &DataType) -> Result<Bins, Fault> {
    let place = |index: usize, field: &str| format!("distribution.bins[{index}].{field}");
    let (mut ends, mut lists) = (Vec::<Value>::new(), Vec::<Vec<Value>>::new());
    for (index, bin) in of.bins.iter().enumerate() {
        if let Some(end) = &bin.up_to {
            let end = values::read(end, data_type)
                .or_else(|message| fault(place(index, "upTo"), message))?;
            if ends.last().is_some_and(|before| *before >= end) {
                return fault(
                    place(index, "upTo"),
                    "isn't above that of the bin before: put them in order",
                );
            }
            ends.push(end);
        } else if !bin.values.is_empty() {
            let mut list = Vec::with_capacity(bin.values.len());
            for (at, value) in bin.values.iter().enumerate() {
                let place = place(index, &format!("values[{at}]"));
                let value =
                    values::read(value, data_type).or_else(|message| fault(&place, message))?;
                if list.contains(&value) || lists.iter().any(|before| before.contains(&value)) {
                    return fault(place, "stands in a bin already: take one of them away");
                }
                list.push(value);
            }
            lists.push(list);
        }
    }
    let left = ends.len() + lists.len() < of.bins.len();
    if ends.is_empty() {
        Ok(Bins::Lists(lists, left))
    } else {
        Ok(Bins::Ends(ends, left))
    }
}

fn listed(values: &[Value]) -> String {
    let all: Vec<String> = values.iter().map(Value::sql).collect();
    all.join(", ")
}

impl Bins {
    /// The condition of each bin.
    fn each(&self, field: &str) -> Vec<String> {
        match self {
            Self::Ends(ends, left) => {
                let mut all = Vec::with_capacity(ends.len() + 1);
                let mut before: Option<String> = None;
                for end in ends {
                    let end = end.sql();
                    let above = before.map(|before| format!("{field} > {before} AND "));
                    all.push(format!("{}{field} <= {end}", above.unwrap_or_default()));
                    before = Some(end);
                }
                let last = before.filter(|_| *left);
                all.extend(last.map(|last| format!("{field} > {last}")));
                all
            }
            Self::Lists(lists, left) => {
                let mut all: Vec<String> = lists
                    .iter()
                    .map(|list| format!("{field} IN ({})", listed(list)))
                    .collect();
                if *left {
                    let known: Vec<Value> = lists.iter().flatten().cloned().collect();
                    all.push(format!("{field} NOT IN ({})", listed(&known)));
                }
                all
            }
        }
    }

    /// The condition of each bin and all before it; none of a last one, which has all.
    fn cumulative(&self, field: &str) -> Vec<String> {
        match self {
            Self::Ends(ends, _) => {
                let all = ends.iter();
                all.map(|end| format!("{field} <= {}", end.sql())).collect()
            }
            Self::Lists(..) => self.each(field),
        }
    }
}
