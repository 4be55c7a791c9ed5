//! GROUPING SETS: every row goes into each grouping, with nulls for the keys that aren't its. As Flink plans it, by an expansion of the
//! rows before they are brought together; the grouping's number is a key of its own, so a key that is null is told from one that isn't
//! there.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int32Type};

use super::BoundSelect;
use super::bound_expr::{Analyzed, BoundExpr, Nulls, build, call, refuse};
use super::rows::Cell;
use super::scope::Scope;
use super::unnest::Unnested;
use crate::error::{Place, SqlError};
use crate::eval::{Args, Node};
use crate::schema::Column;
use crate::syntax::ast::{Expr, Kind, Name};
use crate::types::DataType;

/// The name of the key that says which grouping a row is in.
const NUMBER: &str = "grouping$";

/// Which keys each of several groupings has.
#[derive(Clone, Default)]
pub(crate) struct GroupingSets {
    /// For each grouping the texts of its keys; a single one of a GROUP BY without sets.
    pub has: Vec<Vec<String>>,
    /// For each grouping how many equal ones come before it.
    repeats: Vec<i64>,
}

impl GroupingSets {
    pub(super) fn new(has: Vec<Vec<String>>) -> Self {
        let key = |set: &Vec<String>| {
            let mut set = set.clone();
            set.sort();
            set.dedup();
            set
        };
        let keys: Vec<Vec<String>> = has.iter().map(key).collect();
        let before = |at: usize| keys[..at].iter().filter(|one| **one == keys[at]).count();
        let repeats = (0..keys.len()).map(|at| before(at) as i64).collect();
        Self { has, repeats }
    }

    /// True for each grouping that has the key.
    fn members(&self, text: &str) -> Vec<bool> {
        let has = self.has.iter();
        has.map(|set| set.iter().any(|key| key == text)).collect()
    }

    /// Gives every row once for each grouping, and masks the keys that aren't its. The key that is the grouping's number comes last.
    pub(super) fn expand(
        &self,
        inputs: &mut [(BoundSelect, Scope)],
        keys: &mut Vec<(String, Cell)>,
        place: Place,
    ) -> Analyzed<()> {
        let sets = self.has.len();
        let mut numbers = Vec::with_capacity(inputs.len());
        for (branch, _) in inputs {
            numbers.push(number(branch, sets, place));
        }
        for (text, cell) in keys.iter_mut() {
            let members = self.members(text);
            if members.iter().all(|member| *member) {
                continue;
            }
            for (typed, number) in cell.typed.iter_mut().zip(&numbers) {
                *typed = masked(typed, number, members.clone())?;
            }
            for identity in &mut cell.identity {
                *identity = format!("{identity} of {members:?}").into();
            }
        }
        keys.push((
            // No expression's text.
            NUMBER.to_owned(),
            Cell {
                name: NUMBER.to_owned(),
                identity: numbers.iter().map(|_| NUMBER.into()).collect(),
                typed: numbers,
            },
        ));
        Ok(())
    }

    /// GROUPING, GROUPING_ID or GROUP_ID; none for another function. `number`: what says which grouping a result is of, if there are
    /// several. `text`: that of an expression.
    pub(super) fn function(
        &self,
        expr: &Expr,
        number: Option<&BoundExpr>,
        text: impl Fn(&Expr) -> String,
    ) -> Option<Analyzed<BoundExpr>> {
        let Kind::Call { name, args } = &expr.kind else {
            return None;
        };
        if !is_grouping(name) {
            return None;
        }
        let values = match self.values(name, args, text) {
            Ok(values) => values,
            Err(errors) => return Some(Err(errors)),
        };
        let of = |value: i64| {
            let value: ArrayRef = Arc::new(Int64Array::from(vec![value]));
            BoundExpr::literal(expr.place, DataType::BigInt, value)
        };
        let (Some(number), [_, _, ..]) = (number, values.as_slice()) else {
            return Some(Ok(of(values.first().copied().unwrap_or(0))));
        };
        let kernel = move |args: &Args| {
            let numbers = args.primitive::<Int32Type>(0);
            let value = |row| {
                let number = usize::try_from(numbers.get(row)?).ok()?;
                values.get(number).copied()
            };
            let values: Int64Array = (0..args.rows).map(value).collect();
            Ok(Arc::new(values) as ArrayRef)
        };
        Some(call(
            expr.place,
            DataType::BigInt,
            std::slice::from_ref(number),
            Nulls::Strict,
            false,
            Arc::new(kernel),
        ))
    }

    /// What the function gives for each grouping.
    fn values(
        &self,
        name: &Name,
        args: &[Expr],
        text: impl Fn(&Expr) -> String,
    ) -> Analyzed<Vec<i64>> {
        if name.text.eq_ignore_ascii_case("GROUP_ID") {
            if let Some(arg) = args.first() {
                return refuse(arg.place, "GROUP_ID takes no arguments");
            }
            return Ok(self.repeats.clone());
        }
        if args.is_empty() || args.len() > 63 {
            return refuse(
                name.place,
                format!("{} takes 1 to 63 keys of the GROUP BY", name.text),
            );
        }
        let mut values = vec![0_i64; self.has.len()];
        for arg in args {
            let members = self.members(&text(arg));
            if !members.contains(&true) {
                return refuse(
                    arg.place,
                    format!("{} takes keys of the GROUP BY, and this is none", name.text),
                );
            }
            for (value, member) in values.iter_mut().zip(members) {
                *value = *value << 1 | i64::from(!member);
            }
        }
        Ok(values)
    }
}

/// True for the functions that say which grouping a result is of.
pub(super) fn is_grouping(name: &Name) -> bool {
    ["GROUPING", "GROUPING_ID", "GROUP_ID"]
        .iter()
        .any(|known| name.text.eq_ignore_ascii_case(known))
}

/// Where one of them has no GROUP BY beside it.
pub(super) fn misplaced(name: &Name) -> SqlError {
    SqlError::new(
        name.place,
        format!(
            "{}(…) says which keys a result is grouped by: it stands in the SELECT list or in HAVING, beside a GROUP BY",
            name.text
        ),
    )
}

/// Gives every row of a branch once for each grouping; gives the column that is the grouping's number.
fn number(branch: &mut BoundSelect, sets: usize, place: Place) -> BoundExpr {
    let numbers: Int32Array = (0..sets as i32).collect();
    let item = Arc::new(Field::new("item", DataType::Int.to_arrow(), true));
    let offsets = OffsetBuffer::from_lengths([sets]);
    let list = ListArray::new(item, offsets, Arc::new(numbers), None);
    let array = DataType::Array(Box::new(DataType::Int));
    let argument = BoundExpr::literal(place, array, Arc::new(list));
    let first = branch.schema.columns.len();
    branch.schema.columns.push(Column {
        name: NUMBER.to_owned(),
        data_type: DataType::Int,
        nullable: false,
        labels: Vec::new(),
    });
    branch.conditions.push(format!("{NUMBER}{sets}"));
    let unnested = Unnested::each(branch, argument, first, place);
    branch.unnested.push(unnested);
    BoundExpr::column(place, first, DataType::Int, false)
}

/// The key in the groupings that have it, else null.
fn masked(key: &BoundExpr, number: &BoundExpr, members: Vec<bool>) -> Analyzed<BoundExpr> {
    let kernel = move |args: &Args| {
        let numbers = args.primitive::<Int32Type>(0);
        let member = |row| {
            let number = usize::try_from(numbers.get(row)?).ok()?;
            members.get(number).copied()
        };
        let members: BooleanArray = (0..args.rows).map(member).collect();
        Ok(Arc::new(members) as ArrayRef)
    };
    let number = std::slice::from_ref(number);
    let kernel = Arc::new(kernel);
    let has = call(
        key.place,
        DataType::Boolean,
        number,
        Nulls::Strict,
        false,
        kernel,
    )?;
    let null = BoundExpr::null(key.place, key.data_type.clone());
    let node = Node::Case {
        whens: vec![(has.part(), key.part())],
        otherwise: null.part(),
        data_type: key.data_type.to_arrow(),
    };
    let parts = [has, key.clone(), null];
    build(key.place, key.data_type.clone(), &parts, true, false, node)
}
