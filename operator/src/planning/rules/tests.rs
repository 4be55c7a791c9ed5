use headworks_plan::Field;
use serde_json::{Value, json};

use super::*;

fn contract() -> Contract {
    let field = |name: &str, data_type: &str| Field::new(name, data_type, true);
    Contract {
        fields: vec![
            field("id", "string"),
            field("amount", "decimal(12,2)"),
            field("quantity", "int"),
            field("ratio", "double"),
            field("paid", "boolean"),
            field("day", "date"),
            field("clock", "time"),
            field("ordered_at", "timestamp_ltz(3)"),
            field("shipped_at", "timestamp_ltz(3)"),
            field("local", "timestamp(6)"),
            field("customer", "struct<mail string, age int>"),
            field("tags", "array<string>"),
            field("odd-name", "string"),
        ],
        ..Contract::default()
    }
}

fn spec(checks: Value) -> QualityRuleSpec {
    let mut spec = QualityRuleSpec::new("orders", serde_json::from_value(checks).unwrap());
    spec.on_error = OnError::Drop;
    spec
}

fn planned(spec: &QualityRuleSpec) -> Result<Rule, Vec<SpecFault>> {
    let rule = Named {
        generation: 7,
        ..rule("sane", spec)
    };
    plan(rule, &contract())
}

fn rule<'a>(name: &'a str, spec: &'a QualityRuleSpec) -> Named<'a> {
    Named {
        name,
        generation: 1,
        spec,
    }
}

/// The expression of one check.
fn expression(check: Value) -> String {
    match planned(&spec(json!([check]))) {
        Ok(rule) => rule.checks[0].expression.clone(),
        Err(faults) => panic!("{faults:?}"),
    }
}

/// What is said of checks, a line a fault.
fn faults(checks: Value) -> Vec<String> {
    let faults = planned(&spec(checks)).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

fn fault(check: Value) -> String {
    let mut faults = faults(json!([check]));
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn each_check_becomes_an_expression() {
    for (check, wanted) in [
        (json!({"expression": " amount > 0 "}), "amount > 0"),
        (
            json!({"notNull": {"field": "customer.mail"}}),
            "`customer`.`mail` IS NOT NULL",
        ),
        (
            json!({"length": {"field": "id", "min": 2, "max": 8}}),
            "CHAR_LENGTH(`id`) >= 2 AND CHAR_LENGTH(`id`) <= 8",
        ),
        (
            json!({"length": {"field": "odd-name", "max": 8}}),
            "CHAR_LENGTH(`odd-name`) <= 8",
        ),
        (
            json!({"range": {"field": "amount", "min": "-1.50", "max": "1000"}}),
            "`amount` >= -1.5 AND `amount` <= 1000",
        ),
        (
            json!({"range": {"field": "quantity", "min": "0", "minExclusive": true}}),
            "`quantity` > 0",
        ),
        (
            json!({"range": {"field": "ratio", "max": "1", "maxExclusive": true}}),
            "`ratio` < 1",
        ),
        (
            json!({"range": {"field": "day", "min": "2026-01-01"}}),
            "`day` >= DATE '2026-01-01'",
        ),
        (
            json!({"range": {"field": "clock", "max": "18:00:00"}}),
            "`clock` <= TIME '18:00:00'",
        ),
        (
            json!({"range": {"field": "local", "min": "2026-01-01T00:00:00"}}),
            "`local` >= TIMESTAMP '2026-01-01 00:00:00'",
        ),
        (
            json!({"range": {"field": "ordered_at", "min": "2026-01-01T01:00:00+01:00"}}),
            "`ordered_at` >= CAST(TIMESTAMP '2026-01-01 00:00:00' AS TIMESTAMP_LTZ(6))",
        ),
        (
            json!({"range": {"field": "id", "min": "a", "max": "it's"}}),
            "`id` >= 'a' AND `id` <= 'it''s'",
        ),
        (
            json!({"pattern": {"field": "id", "regex": "^[A-Z]{2}'"}}),
            "REGEXP(`id`, '^[A-Z]{2}''')",
        ),
        (
            json!({"notMatching": {"field": "id", "regex": r"\s"}}),
            r"NOT REGEXP(`id`, '\s')",
        ),
        (
            json!({"accepted": {"field": "quantity", "values": ["1", "02"]}}),
            "`quantity` IN (1, 2)",
        ),
        (
            json!({"accepted": {"field": "paid", "values": ["true"]}}),
            "`paid` IN (TRUE)",
        ),
        (
            json!({"forbidden": {"field": "id", "values": ["", "x"]}}),
            "`id` NOT IN ('', 'x')",
        ),
        (
            json!({"compare": {"left": "ordered_at", "operator": "LessOrEqual", "right": "shipped_at"}}),
            "`ordered_at` <= `shipped_at`",
        ),
        (
            json!({"compare": {"left": "quantity", "operator": "NotEqual", "right": "ratio"}}),
            "`quantity` <> `ratio`",
        ),
    ] {
        assert_eq!(expression(check.clone()), wanted, "{check}");
    }
    for format in ["Email", "Uuid", "Ipv4", "Ipv6", "Uri", "Date"] {
        let made = expression(json!({"format": {"field": "id", "is": format}}));
        assert!(made.starts_with(r"REGEXP(`id`, '\A"), "{made}");
    }
}

#[test]
fn what_a_pod_is_told() {
    let mut spec = spec(json!([
        {"name": "positive", "expression": "amount > 0"},
        {"notNull": {"field": "customer.mail"}, "severity": "Warn"},
        {"expression": "quantity > 0 AND amount > 0"},
        {"compare": {"left": "ordered_at", "operator": "Less", "right": "shipped_at"}},
    ]));
    spec.filter = Some("paid".into());
    let rule = planned(&spec).unwrap();
    assert_eq!((rule.name.as_str(), rule.generation), ("sane", 7));
    assert_eq!(rule.filter.as_deref(), Some("paid"));
    let told: Vec<_> = rule
        .checks
        .iter()
        .map(|c| (c.name.as_str(), c.field.as_deref(), c.action))
        .collect();
    assert_eq!(
        told,
        [
            ("positive", Some("amount"), RuleAction::Drop),
            (
                "notNull-customer.mail",
                Some("customer.mail"),
                RuleAction::Alert
            ),
            ("expression-3", None, RuleAction::Drop),
            ("compare-ordered_at", None, RuleAction::Drop),
        ]
    );
    let actions = [
        (OnError::Quarantine, RuleAction::DeadLetter),
        (OnError::Drop, RuleAction::Drop),
        (OnError::Alert, RuleAction::Alert),
        (OnError::Stop, RuleAction::Stop),
    ];
    for (on_error, wanted) in actions {
        assert_eq!(action(on_error, CheckSeverity::Error), wanted);
        assert_eq!(action(on_error, CheckSeverity::Warn), RuleAction::Alert);
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_with_a_check_is_said_with_its_place() {
    for (check, wanted) in [
        (
            json!({"notNull": {"field": "amout"}}),
            vec![
                "spec.checks[0].notNull.field: ",
                "amout",
                "did you mean",
                "amount",
            ],
        ),
        (
            json!({"notNull": {"field": "customer.mails"}}),
            vec!["spec.checks[0].notNull.field: ", "did you mean", "mail"],
        ),
        (
            json!({"length": {"field": "amount", "min": 1}}),
            vec![
                "spec.checks[0].length.field: ",
                "decimal(12,2)",
                "length is for string",
            ],
        ),
        (
            json!({"range": {"field": "amount", "min": "10", "max": "9.99"}}),
            vec!["spec.checks[0].range.min: nothing lies between"],
        ),
        (
            json!({"range": {"field": "quantity", "min": "5", "max": "5", "minExclusive": true}}),
            vec!["spec.checks[0].range.min: nothing lies between"],
        ),
        (
            json!({"range": {"field": "day", "min": "soon"}}),
            vec![
                "spec.checks[0].range.min: \"soon\" is no date",
                "2026-01-31",
            ],
        ),
        (
            json!({"range": {"field": "tags", "min": "1"}}),
            vec!["spec.checks[0].range.min: array<string>"],
        ),
        (
            json!({"range": {"field": "paid", "min": "true"}}),
            vec!["spec.checks[0].range.field: ", "accepted"],
        ),
        (
            json!({"pattern": {"field": "id", "regex": "("}}),
            vec!["spec.checks[0].pattern.regex: the regular expression '('"],
        ),
        (
            json!({"notMatching": {"field": "id", "regex": "[z-a]"}}),
            vec!["spec.checks[0].notMatching.regex: the regular expression"],
        ),
        (
            json!({"pattern": {"field": "quantity", "regex": "1"}}),
            vec!["spec.checks[0].pattern.field: ", "int"],
        ),
        (
            json!({"format": {"field": "day", "is": "Date"}}),
            vec!["spec.checks[0].format.field: ", "date"],
        ),
        (
            json!({"accepted": {"field": "quantity", "values": ["1", "3000000000"]}}),
            vec!["spec.checks[0].accepted.values[1]: no int is ever 3000000000"],
        ),
        (
            json!({"compare": {"left": "id", "operator": "Less", "right": "id"}}),
            vec!["spec.checks[0].compare.right: ", "another field"],
        ),
        (
            json!({"compare": {"left": "tags", "operator": "Less", "right": "paid"}}),
            vec!["spec.checks[0].compare: "],
        ),
        (
            json!({"expression": "amount >"}),
            vec!["spec.checks[0].expression: line 1, column "],
        ),
        (
            json!({"expression": "amount"}),
            vec!["spec.checks[0].expression: line 1, column 1: ", "boolean"],
        ),
        (
            json!({"expression": "quantity > 0\n  AND amout > 0"}),
            vec![
                "spec.checks[0].expression: line 2, column 7: ",
                "did you mean",
            ],
        ),
        (
            json!({"expression": "SUM(amount) > 0"}),
            vec!["spec.checks[0].expression: line 1, column 1: "],
        ),
        (
            json!({"expression": "id IN (SELECT id FROM x)"}),
            vec!["spec.checks[0].expression: line 1, column "],
        ),
        (json!({}), vec!["spec.checks[0].name: ", "checks nothing"]),
    ] {
        let told = fault(check.clone());
        for word in wanted {
            assert!(
                told.contains(word),
                "{check}: {word:?} should be in {told:?}"
            );
        }
    }
}

#[test]
fn a_filter_is_checked_as_an_expression() {
    let mut rule = spec(json!([{"notNull": {"field": "id"}}]));
    for (filter, word) in [
        ("quantity", "boolean"),
        ("quantity >", "line 1"),
        ("quantty > 1", "did you mean"),
    ] {
        rule.filter = Some(filter.into());
        let told = planned(&rule).unwrap_err();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].field, "spec.filter");
        assert!(told[0].message.contains(word), "{told:?}");
    }
}

#[test]
fn checks_that_no_value_passes_together_contradict() {
    let contradicts = |checks: Value, word: &str| {
        let told = faults(checks);
        assert!(
            told.len() == 1
                && told[0].starts_with("spec.checks[1]: contradicts checks[0]: ")
                && told[0].contains(word),
            "{told:?}"
        );
    };
    let accepted = |values: Value| json!({"accepted": {"field": "id", "values": values}});
    contradicts(
        json!([{"range": {"field": "amount", "max": "5"}}, {"name": "b", "range": {"field": "amount", "min": "5.01"}}]),
        "no value lies in both ranges",
    );
    contradicts(
        json!([{"range": {"field": "amount", "max": "5", "maxExclusive": true}}, {"range": {"field": "amount", "min": "5"}, "name": "b"}]),
        "no value",
    );
    contradicts(
        json!([{"length": {"field": "id", "min": 5}}, {"length": {"field": "id", "max": 4}, "name": "b"}]),
        "no text has both lengths",
    );
    contradicts(
        json!([accepted(json!(["a", "b"])), {"forbidden": {"field": "id", "values": ["b", "a", "c"]}}]),
        "none of the accepted values is left",
    );
    contradicts(
        json!([accepted(json!(["a"])), {"name": "b", "accepted": {"field": "id", "values": ["b"]}}]),
        "none of the accepted",
    );
    contradicts(
        json!([accepted(json!(["a"])), {"length": {"field": "id", "min": 2}}]),
        "none of the accepted",
    );
    // What leaves one value is right.
    for right in [
        json!([accepted(json!(["a", "b"])), {"forbidden": {"field": "id", "values": ["a"]}}]),
        json!([{"range": {"field": "amount", "max": "5"}}, {"range": {"field": "amount", "min": "5"}, "name": "b"}]),
        json!([{"range": {"field": "amount", "max": "5"}}, {"range": {"field": "quantity", "min": "6"}}]),
    ] {
        assert_eq!(faults(right), Vec::<String>::new());
    }
}

#[test]
fn names_are_unique_and_nothing_is_checked_twice() {
    let told = faults(
        json!([{"notNull": {"field": "id"}}, {"name": "notNull-id", "notNull": {"field": "day"}}]),
    );
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("spec.checks[1].name: \"notNull-id\" is what checks[0] is called, too"),
        "{told:?}"
    );
    let told = faults(
        json!([{"notNull": {"field": "id"}}, {"name": "other", "severity": "Warn", "notNull": {"field": "id"}}]),
    );
    assert_eq!(
        told,
        ["spec.checks[1]: checks the same as checks[0]: take one of them away"]
    );
}

#[test]
fn one_bad_rule_holds_up_no_other_and_a_suspended_one_is_in_no_plan() {
    let good = spec(json!([{"notNull": {"field": "id"}}]));
    let bad = spec(json!([{"notNull": {"field": "nobody"}}]));
    let mut rests = good.clone();
    rests.suspend = true;
    let found = of_stream(
        [
            rule("z", &good),
            rule("b", &bad),
            rule("a", &good),
            rule("rests", &rests),
        ],
        &contract(),
    );
    let names: Vec<&str> = found.planned.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["a", "z"]);
    assert_eq!(found.faults.keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn what_a_namespace_can_put_into_plans_is_bounded() {
    let names: Vec<String> = (0..40).map(|n| format!("r{n:02}")).collect();
    let good = spec(json!([{"notNull": {"field": "id"}}]));
    let all = names.iter().map(|name| rule(name, &good));
    let found = of_stream(all, &contract());
    assert_eq!((found.planned.len(), found.faults.len()), (MAX_RULES, 8));
    assert!(
        found.faults["r39"][0]
            .to_string()
            .starts_with("spec.stream: DataStream orders has more than 32 rules")
    );
    let long: Vec<String> = (0..256).map(|n| format!("{n:0>250}")).collect();
    let checks = [
        json!({"name": "a", "accepted": {"field": "id", "values": long}}),
        json!({"name": "b", "forbidden": {"field": "odd-name", "values": long}}),
    ];
    let told = faults(json!(checks)).remove(0);
    let wanted = "spec.checks: come to more than 65536 bytes";
    assert!(told.starts_with(wanted), "{told}");
    // A plan is JSON, in which a backslash is two.
    let slashes = json!({"forbidden": {"field": "id", "values": ["\\".repeat(24_000)]}});
    let slashes = spec(json!([slashes]));
    let four = names[..4].iter().map(|name| rule(name, &slashes));
    let found = of_stream(four, &contract());
    let plan = serde_json::to_string(&found.planned).unwrap();
    assert!(plan.len() > 96_000 && plan.len() <= MAX_STREAM_TEXT);
    assert_eq!((found.planned.len(), found.faults.len()), (2, 2));
}

#[test]
fn rules_of_one_stream_may_contradict_each_other() {
    let low = spec(json!([{"range": {"field": "amount", "max": "5"}}]));
    let mut high = spec(json!([{"range": {"field": "amount", "min": "6"}}]));
    let told = between(rule("low", &low), rule("high", &high), &contract());
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("check range-amount of QualityRule high contradicts check range-amount of QualityRule low: no value"), "{told:?}");
    // Of other records.
    high.filter = Some("paid".into());
    assert!(between(rule("low", &low), rule("high", &high), &contract()).is_empty());
}
