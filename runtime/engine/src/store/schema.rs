//! What the columns of a table's rows mean.

use headworks_plan::DELETED_COLUMN;
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;

/// The columns of [`TableRows`](super::TableRows), and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// The table's columns, in the order of the batch's. The mark of deletes isn't one of them.
    pub columns: Schema,
    /// Indexes of the columns by which rows replace each other, in the order that the table names them; none: each row stays.
    pub key: Vec<usize>,
    /// Index of the boolean column that is true in a row that takes the row of its key away; absent: no row does. It comes after
    /// the table's columns.
    pub deleted: Option<usize>,
}

impl TableSchema {
    /// What `columns` mean for a table with this key: where they end with the mark of deletes, it isn't the table's. Names that no
    /// column has are left out of the key (a query without a column of the key is refused before).
    pub fn new(mut columns: Schema, key: &[String]) -> TableSchema {
        let is_mark = |column: &headworks_sql::schema::Column| {
            column.name == DELETED_COLUMN && column.data_type == DataType::Boolean
        };
        let is_marked = !key.is_empty() && columns.columns.last().is_some_and(is_mark);
        if is_marked {
            columns.columns.pop();
        }
        let index = |name: &String| {
            let mut columns = columns.columns.iter();
            columns.position(|column| column.name == *name)
        };
        TableSchema {
            key: key.iter().filter_map(index).collect(),
            deleted: is_marked.then_some(columns.columns.len()),
            columns,
        }
    }

    /// How many columns a batch of rows has.
    pub fn width(&self) -> usize {
        self.columns.columns.len() + usize::from(self.deleted.is_some())
    }
}

#[cfg(test)]
mod tests {
    use headworks_sql::schema::Column;

    use super::*;

    fn schema(columns: &[(&str, DataType)], key: &[&str]) -> TableSchema {
        let column = |(name, data_type): &(&str, DataType)| Column {
            name: (*name).into(),
            data_type: data_type.clone(),
            nullable: true,
            labels: Vec::new(),
        };
        let columns = Schema {
            columns: columns.iter().map(column).collect(),
        };
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        TableSchema::new(columns, &key)
    }

    #[test]
    fn the_mark_of_deletes_is_a_boolean_at_the_end_of_a_keyed_tables_rows() {
        let marked = |columns: &[(&str, DataType)], key: &[&str]| {
            let schema = schema(columns, key);
            assert_eq!(schema.width(), columns.len());
            (schema.columns.columns.len(), schema.deleted)
        };
        let (id, mark) = (("id", DataType::Int), (DELETED_COLUMN, DataType::Boolean));
        assert_eq!(marked(&[id.clone(), mark.clone()], &["id"]), (1, Some(1)));
        assert_eq!(marked(&[id.clone(), mark.clone()], &[]), (2, None));
        assert_eq!(marked(&[mark, id.clone()], &["id"]), (2, None));
        let number = (DELETED_COLUMN, DataType::Int);
        assert_eq!(marked(&[id.clone(), number], &["id"]), (2, None));
        assert_eq!(marked(&[id], &["id"]), (1, None));
    }

    #[test]
    fn the_key_is_in_the_tables_order() {
        let columns = [
            ("a", DataType::Int),
            ("b", DataType::String),
            ("c", DataType::Int),
        ];
        assert_eq!(schema(&columns, &["c", "a"]).key, [2, 0]);
        assert_eq!(schema(&columns, &[]).key.len(), 0);
    }
}
