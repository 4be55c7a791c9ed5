//! The streams that queries are planned over.

use headworks_plan::{Contract, EventTime, Field};
use headworks_sql::Catalog;

/// Fields as name and type (`type?`: nullable), and the event time.
pub fn contract(fields: &[(&str, &str)], time: Option<&str>) -> Contract {
    let field = |(name, type_): &(&str, &str)| {
        let (nullable, type_) = type_
            .strip_suffix('?')
            .map_or((false, *type_), |t| (true, t));
        Field {
            name: (*name).into(),
            type_: type_.into(),
            nullable,
            labels: if *name == "email" {
                vec!["pii".into()]
            } else {
                vec![]
            },
        }
    };
    Contract {
        fields: fields.iter().map(field).collect(),
        event_time: time.map(|time| EventTime {
            field: time.into(),
            max_out_of_orderness_ms: 5000,
            idle_timeout_ms: None,
        }),
        ..Contract::default()
    }
}

pub fn catalog() -> Catalog {
    let orders = [
        ("order_id", "string"),
        ("user_id", "bigint"),
        ("amount", "decimal(12,2)"),
        ("qty", "int"),
        ("email", "string?"),
        ("rating", "double"),
        ("note", "int?"),
        ("items", "array<struct<sku string, qty int>>"),
        ("customer", "struct<name string, since timestamp_ltz(3)>"),
        ("placed_at", "timestamp_ltz(3)"),
        ("created", "timestamp_ltz(3)"),
    ];
    let refunds = [
        ("id", "string"),
        ("user_id", "int"),
        ("amount", "decimal(9,2)"),
        ("refunded_at", "timestamp_ltz(3)?"),
    ];
    let mut prices = contract(
        &[
            ("sku", "string"),
            ("price", "int"),
            ("changed_at", "timestamp_ltz(3)"),
        ],
        Some("changed_at"),
    );
    prices.key = vec!["sku".into()];
    prices.compacted = true;
    let mut stock = contract(
        &[
            ("shop", "bigint"),
            ("sku", "string"),
            ("level", "int?"),
            ("at", "timestamp_ltz(3)"),
        ],
        Some("at"),
    );
    stock.key = vec!["shop".into(), "sku".into()];
    stock.compacted = true;
    let mut undated = contract(&[("sku", "string"), ("n", "int")], None);
    undated.key = vec!["sku".into()];
    undated.compacted = true;
    let mut daily = contract(
        &[("sku", "string"), ("day", "timestamp_ltz(3)")],
        Some("day"),
    );
    daily.key = vec!["sku".into(), "day".into()];
    daily.compacted = true;
    Catalog::new()
        .with("stock", stock)
        .with("undated", undated)
        .with("daily", daily)
        .with("orders", contract(&orders, Some("placed_at")))
        .with("refunds", contract(&refunds, Some("refunded_at")))
        .with("deep", contract(&orders, Some("customer.since")))
        .with("timeless", contract(&[("k", "string"), ("n", "int")], None))
        .with(
            "fine",
            contract(&[("k", "string"), ("t", "timestamp_ltz(6)")], Some("t")),
        )
        .with("prices", prices)
}
