//! How many bytes rows take.

/// About how many bytes a column's values take.
pub(super) fn size(column: &dyn arrow::array::Array) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or(0)
}

/// At least as many bytes as the largest value of a column.
pub(super) fn largest(column: &dyn arrow::array::Array) -> usize {
    use arrow::array::AsArray;
    use arrow::datatypes::DataType;
    let longest = |offsets: &[i32]| {
        offsets
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as usize)
            .max()
            .unwrap_or(0)
    };
    match column.data_type() {
        DataType::Utf8 => longest(column.as_string::<i32>().value_offsets()),
        DataType::Binary => longest(column.as_binary::<i32>().value_offsets()),
        other => other.primitive_width().unwrap_or_else(|| size(column)),
    }
}
