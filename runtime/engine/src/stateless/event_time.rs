//! The event time of decoded records.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};

/// Where the event time is among decoded columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventTime {
    /// The column, and the way down through structs.
    pub(crate) path: Vec<usize>,
    /// The field, as the contract names it.
    pub(crate) field: String,
    /// True: a record without it is bad.
    pub(crate) required: bool,
}

impl EventTime {
    /// What is wrong with a record without it.
    pub(super) fn missing(&self) -> String {
        format!(
            "field {}: it is the event time, by which the query puts records in order, and it is null",
            self.field
        )
    }

    /// The event time of each row, in milliseconds.
    pub(crate) fn of(&self, columns: &RecordBatch) -> Vec<Option<i64>> {
        let none = || vec![None; columns.num_rows()];
        let Some((first, steps)) = self.path.split_first() else {
            return none();
        };
        let Some(mut column) = columns.columns().get(*first).cloned() else {
            return none();
        };
        let mut nulls = column.nulls().cloned();
        for step in steps {
            let inner: Option<ArrayRef> = column
                .as_struct_opt()
                .and_then(|fields| fields.columns().get(*step).cloned());
            let Some(inner) = inner else { return none() };
            nulls = NullBuffer::union(nulls.as_ref(), inner.nulls());
            column = inner;
        }
        millis(&column, nulls.as_ref())
    }
}

fn millis(column: &ArrayRef, nulls: Option<&NullBuffer>) -> Vec<Option<i64>> {
    let DataType::Timestamp(unit, _) = column.data_type() else {
        return vec![None; column.len()];
    };
    let (values, to_millis): (&[i64], fn(i64) -> i64) = match unit {
        TimeUnit::Second => (
            column.as_primitive::<TimestampSecondType>().values(),
            |at| at.saturating_mul(1_000),
        ),
        TimeUnit::Millisecond => (
            column.as_primitive::<TimestampMillisecondType>().values(),
            |at| at,
        ),
        TimeUnit::Microsecond => (
            column.as_primitive::<TimestampMicrosecondType>().values(),
            |at| at.div_euclid(1_000),
        ),
        TimeUnit::Nanosecond => return vec![None; column.len()],
    };
    values
        .iter()
        .enumerate()
        .map(|(row, at)| {
            nulls
                .is_none_or(|nulls| nulls.is_valid(row))
                .then(|| to_millis(*at))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        StructArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::Field;

    use super::*;

    fn of(column: ArrayRef, steps: &[usize]) -> Vec<Option<i64>> {
        let time = EventTime {
            path: [&[0], steps].concat(),
            field: "at".into(),
            required: true,
        };
        let schema =
            arrow::datatypes::Schema::new(vec![Field::new("at", column.data_type().clone(), true)]);
        time.of(&RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap())
    }

    #[test]
    fn the_event_time_is_in_milliseconds_whatever_the_columns_precision() {
        let seconds = TimestampSecondArray::from(vec![Some(3), None]);
        assert_eq!(of(Arc::new(seconds), &[]), [Some(3_000), None]);
        let millis = TimestampMillisecondArray::from(vec![Some(3), None]);
        assert_eq!(of(Arc::new(millis), &[]), [Some(3), None]);
        let micros = TimestampMicrosecondArray::from(vec![Some(-1_500), Some(-2_500)]);
        assert_eq!(
            of(Arc::new(micros), &[]),
            [Some(-2), Some(-3)],
            "1969 has milliseconds too"
        );
    }

    #[test]
    fn within_a_struct_that_is_null_it_is_null() {
        let inner: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(1), Some(2)]));
        let field = Arc::new(Field::new("at", inner.data_type().clone(), true));
        let nulls = NullBuffer::from(vec![false, true]);
        let outer = StructArray::new(vec![field].into(), vec![inner], Some(nulls));
        assert_eq!(of(Arc::new(outer), &[0]), [None, Some(2)]);
    }
}
