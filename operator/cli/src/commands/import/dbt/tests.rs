use super::values::printed;
use super::*;

fn node(yaml: &str) -> Node {
    let (mut documents, flaws) = crate::yaml::read(yaml);
    assert!(flaws.is_empty(), "{flaws:?}");
    documents.remove(0)
}

#[test]
fn values_are_printed_as_python_prints_them() {
    for (yaml, wanted) in [
        ("yes", "True"),
        ("'yes'", "yes"),
        ("off", "False"),
        ("~", "None"),
        ("7", "7"),
        ("010", "8"),
        ("1.50", "1.5"),
        ("2.0", "2.0"),
        ("1e5", "1e5"),
        ("1.5e3", "1.5e3"),
        ("1.5e+3", "1500.0"),
        ("2026-01-01", "2026-01-01"),
    ] {
        assert_eq!(printed(&node(yaml)).as_deref(), Ok(wanted), "{yaml}");
    }
    for yaml in ["'{{ var(\"a\") }}'", "[1]", "1.5e+30"] {
        assert!(printed(&node(yaml)).is_err(), "{yaml}");
    }
}

fn asked(yaml: &str) -> Import {
    let node = node(yaml);
    let mut import = Import::default();
    for relation in relations(&node) {
        read("schema.yml", &relation, None, &mut import);
    }
    import
}

#[test]
fn arguments_and_settings_stand_where_dbt_lets_them() {
    let import = asked(
        "models:
  - name: a
    columns:
      - name: c
        tests:
          - not_null: {severity: warn, where: \"d > 1\"}
          - not_null: {config: {severity: WARN, where: \"d > 1\"}}
          - accepted_values: {arguments: {values: [x]}, config: {error_if: '>0'}}
          - {name: named, test_name: accepted_values, values: [x]}
          - accepted_values: {column_name: c, values: ['x']}
sources:
  - {name: s, tables: [{name: t, columns: [{name: c, data_tests: [not_null]}]}]}
",
    );
    assert!(import.left_out.is_empty(), "{:?}", import.left_out);
    let rules = import.rules("a", "a", headworks_crds::OnError::Drop);
    let told: Vec<_> = rules
        .iter()
        .map(|rule| {
            let names = rule.spec.checks.iter().filter_map(|c| c.name.as_deref());
            (
                rule.spec.filter.as_deref(),
                names.collect::<Vec<_>>(),
                rule.parts.len(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some("d > 1"), vec!["c-not-null"], 1),
            (None, vec!["c-accepted", "c-not-null"], 2),
        ]
    );
}

#[test]
fn what_a_check_cannot_say_is_left_out() {
    for (test, words) in [
        (
            "relationships: {to: ref('x'), field: y}",
            "references check",
        ),
        ("dbt_utils.accepted_range: {min_value: 0}", "of a package"),
        ("uniqe", "did you mean \"unique\"?"),
        ("not_null: {config: {error_if: '>10'}}", "a share of them"),
        (
            "not_null: {config: {severity: warn, warn_if: '>10'}}",
            "a share of them",
        ),
        ("not_null: {config: {fail_calc: 'sum(n)'}}", "fail_calc"),
        (
            "not_null: {config: {where: \"a > {{ var('x') }}\"}}",
            "Jinja",
        ),
        ("not_null: {config: {where: \"a >\"}}", "where: line 1"),
        ("accepted_values: {values: []}", "empty"),
        ("accepted_values: {values: [\"it's\"]}", "escape"),
        (
            "accepted_values: {values: [a], quote: false}",
            "no constant",
        ),
        ("accepted_values: {value: [a]}", "did you mean \"values\"?"),
    ] {
        let yaml = format!(
            "models:\n  - name: a\n    columns:\n      - name: c\n        tests:\n          - {test}\n"
        );
        let import = asked(&yaml);
        let [(part, why)] = &import.left_out[..] else {
            panic!("{test}: {import:?}")
        };
        assert!(why.contains(words), "{test}: {why}");
        assert_eq!(part.whereabouts(), "schema.yml:6:13");
    }
    let off = asked(
        "models: [{name: a, columns: [{name: c, tests: [{unique: {config: {enabled: false}}}]}]}]",
    );
    assert_eq!(off.holding.len(), 1);
}

#[test]
fn freshness_of_a_source_is_a_check_of_event_time() {
    let import = asked(
        "sources:
  - name: s
    tables:
      - name: t
        loaded_at_field: at
        freshness: {warn_after: {count: 90, period: minute}, error_after: {count: 2, period: day}}
",
    );
    assert!(import.left_out.is_empty(), "{:?}", import.left_out);
    let rules = import.rules("a", "a", headworks_crds::OnError::Drop);
    let told: Vec<_> = rules
        .iter()
        .map(|rule| {
            let check = &rule.spec.checks[0];
            let age = check.freshness.as_ref().map(|of| of.max_age.to_string());
            (rule.name.as_str(), check.severity, age)
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "a-windows-warn",
                CheckSeverity::Warn,
                Some("90m".to_owned())
            ),
            ("a-windows", CheckSeverity::Error, Some("2d".to_owned())),
        ]
    );
    assert!(
        import.notes[0].1.contains("dbt looks at at"),
        "{:?}",
        import.notes
    );
    for (freshness, words) in [
        (
            "{warn_after: {count: 1.5, period: hour}}",
            "no whole number",
        ),
        (
            "{warn_after: {count: 1, period: week}}",
            "none of minute, hour, day",
        ),
        ("{error_after: {count: 31, period: day}}", "at most 30d"),
        (
            "{error_after: {count: 1, period: day}, filter: a > 1}",
            "has a filter",
        ),
    ] {
        let yaml = format!("sources: [{{name: s, tables: [{{name: t, freshness: {freshness}}}]}}]");
        let import = asked(&yaml);
        let [(_, why)] = &import.left_out[..] else {
            panic!("{freshness}: {import:?}")
        };
        assert!(why.contains(words), "{freshness}: {why}");
    }
}
