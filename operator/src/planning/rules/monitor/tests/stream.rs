//! The stream that rules are about.

use headworks_plan::{Contract, EventTime, Field};

/// Its contract.
pub(super) fn contract() -> Contract {
    let field = |name: &str, data_type: &str| Field::new(name, data_type, true);
    let mut mail = field("mail", "string");
    mail.labels = vec!["pii".into()];
    let mut salary = field("salary", "int");
    salary.labels = vec!["pii".into()];
    Contract {
        fields: vec![
            field("id", "string"),
            field("line", "int"),
            field("amount", "decimal(12,2)"),
            field("ratio", "double"),
            field("day", "date"),
            field("paid", "boolean"),
            field("tags", "array<string>"),
            field("customer", "struct<mail string, age int>"),
            mail,
            salary,
            Field::new("at", "timestamp_ltz(3)", false),
        ],
        event_time: Some(EventTime {
            field: "at".into(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        ..Contract::default()
    }
}
