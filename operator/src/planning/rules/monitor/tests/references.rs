//! What a rule may refer to.

use headworks_plan::{Contract, EventTime, Field};
use serde_json::json;

use super::super::references::faults;
use super::{contract, spec};

#[test]
fn what_a_rule_refers_to_is_held_to_what_it_must_be() {
    let other = |types: [&str; 2], key: &[&str], compacted, time| Contract {
        fields: vec![
            Field::new("article", types[0], false),
            Field::new("line", types[1], false),
            Field::new("since", "timestamp_ltz(3)", false),
        ],
        key: key.iter().map(|key| (*key).to_owned()).collect(),
        compacted,
        event_time: Some(EventTime {
            field: "since".into(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        })
        .filter(|_| time),
        ..Contract::default()
    };
    let rule = spec(json!([
        {"references": {"fields": ["id", "line"], "stream": "articles", "key": ["article", "line"]}},
    ]));
    let said = |other: &Contract| -> Vec<String> {
        let faults = faults(&rule, &contract(), |name| {
            (name == "articles").then_some(other)
        });
        faults.iter().map(ToString::to_string).collect()
    };
    let right = ["string", "int"];
    let key = ["line", "article"];
    assert_eq!(said(&other(right, &key, true, true)), [""; 0]);
    let one = |wrong: Contract, text: &str| {
        let said = said(&wrong);
        assert!(said.len() == 1 && said[0].starts_with(text), "{said:?}");
    };
    one(
        other(right, &key, false, true),
        "spec.checks[0].references.stream: DataStream articles isn't compacted",
    );
    one(
        other(right, &key, true, false),
        "spec.checks[0].references.stream: DataStream articles has no event time",
    );
    one(
        other(right, &["article"], true, true),
        "spec.checks[0].references.key: the key of DataStream articles is article, and this names article, line",
    );
    one(
        other(["string", "bigint"], &key, true, true),
        "spec.checks[0].references.fields: \"line\" is int, and \"line\" of DataStream articles is bigint",
    );
}
