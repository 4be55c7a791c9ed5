//! A kernel's arguments: columns and constants, read row by row.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, GenericByteArray, PrimitiveArray,
};
use arrow::datatypes::{BinaryType, ByteArrayType, Utf8Type};

use super::Value;

/// The arguments of a kernel for one batch.
pub(crate) struct Args {
    pub values: Vec<Value>,
    /// How many values the result has.
    pub rows: usize,
}

/// A typed argument; a constant gives the same value for every row.
pub(crate) struct Column<'a, A> {
    array: &'a A,
    step: usize,
}

impl Args {
    /// Argument `i` as it is.
    pub(crate) fn array(&self, i: usize) -> &ArrayRef {
        self.values[i].array()
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    fn step(&self, i: usize) -> usize {
        usize::from(matches!(self.values[i], Value::Array(_)))
    }

    /// Argument `i`, an array of Arrow's type `P`.
    pub(crate) fn primitive<P: ArrowPrimitiveType>(
        &self,
        i: usize,
    ) -> Column<'_, PrimitiveArray<P>> {
        Column {
            array: self.array(i).as_primitive(),
            step: self.step(i),
        }
    }

    /// Argument `i`, text.
    pub(crate) fn text(&self, i: usize) -> Column<'_, GenericByteArray<Utf8Type>> {
        Column {
            array: self.array(i).as_string(),
            step: self.step(i),
        }
    }

    /// Argument `i`, bytes.
    pub(crate) fn bytes(&self, i: usize) -> Column<'_, GenericByteArray<BinaryType>> {
        Column {
            array: self.array(i).as_binary(),
            step: self.step(i),
        }
    }

    /// Argument `i`, true or false.
    pub(crate) fn boolean(&self, i: usize) -> Column<'_, BooleanArray> {
        Column {
            array: self.array(i).as_boolean(),
            step: self.step(i),
        }
    }

    /// Argument `i` in row `row`: its place in the argument's array, `None` for null.
    pub(crate) fn position(&self, i: usize, row: usize) -> Option<usize> {
        let at = row * self.step(i);
        self.array(i).is_valid(at).then_some(at)
    }
}

impl<A: Array> Column<'_, A> {
    fn at(&self, row: usize) -> Option<usize> {
        let at = row * self.step;
        self.array.is_valid(at).then_some(at)
    }
}

impl<P: ArrowPrimitiveType> Column<'_, PrimitiveArray<P>> {
    pub(crate) fn get(&self, row: usize) -> Option<P::Native> {
        self.at(row).map(|at| self.array.value(at))
    }
}

impl<'a, T: ByteArrayType> Column<'a, GenericByteArray<T>> {
    pub(crate) fn get(&self, row: usize) -> Option<&'a T::Native> {
        let array: &'a GenericByteArray<T> = self.array;
        self.at(row).map(|at| array.value(at))
    }
}

impl Column<'_, BooleanArray> {
    pub(crate) fn get(&self, row: usize) -> Option<bool> {
        self.at(row).map(|at| self.array.value(at))
    }
}
