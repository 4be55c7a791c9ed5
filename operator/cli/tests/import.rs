//! `headworks import`: what it prints, and that its rules give the verdicts of the tools that the files are from.
//!
//! `import/*.verdicts.json` is what Great Expectations and dbt said of the rows in `import/rows.ndjson`; `e2e/parity/quality` asks
//! them again.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use headworks_crds::{DataStream, QualityRule};
use headworks_operator::contract;
use headworks_operator::planning::rules::{Named, plan};
use headworks_plan::Rule;
use serde_json::Value;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn headworks(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_headworks"))
        .args(arguments)
        .current_dir(cases())
        .env_remove("GITHUB_ACTIONS")
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that has read enough doesn't read on.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn told(output: &Output) -> String {
    format!(
        "{}--- stderr\n{}--- exit {}\n",
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap()
    )
}

const STREAM: [&str; 6] = ["--stream", "sales", "-n", "shop", "-f", "stream.yaml"];

/// What a file becomes beside the stream's contract.
fn imported(file: &str) -> Output {
    headworks(&[&["import", file][..], &STREAM].concat(), "")
}

#[test]
fn every_part_of_a_file_is_a_check_or_is_named_with_its_reason() {
    for file in ["gx-0.18.json", "gx-1.x.json", "schema.yml"] {
        insta::assert_snapshot!(format!("import-{file}"), told(&imported(file)));
    }
}

#[test]
fn a_suite_that_is_translated_whole_ends_well_and_needs_no_contract() {
    let suite = r#"{"name": "orders.daily", "expectations": [
  {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "order_id"}},
  {"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "min_value": 0, "strict_min": true, "max_value": 1e3, "mostly": 0.67}, "severity": "warning"},
  {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "currency", "value_set": ["EUR", "no"]}}
]}"#;
    let output = headworks(
        &[
            "import",
            "-",
            "--stream",
            "orders",
            "--on-error",
            "quarantine",
        ],
        suite,
    );
    let wanted = r#"# Made by headworks import of -.
apiVersion: headworks.dev/v1alpha1
kind: QualityRule
metadata: {name: orders-daily}
spec:
  stream: orders
  onError: Quarantine
  checks:
    - {name: order_id-not-null, notNull: {field: order_id}} # -:2:3
    - {name: currency-in-set, accepted: {field: currency, values: [EUR, "no"]}} # -:4:3
---
apiVersion: headworks.dev/v1alpha1
kind: QualityRule
metadata: {name: orders-daily-amount-between}
spec:
  stream: orders
  filter: "`amount` IS NOT NULL"
  onError: Alert
  threshold: "67"
  checks:
    - {name: amount-between, severity: Warn, range: {field: amount, min: "0", minExclusive: true, max: "1000"}} # -:3:3
--- stderr
3 parts: 3 checks in 2 QualityRules, 0 without need of one, 0 left out
--- exit 0
"#;
    assert_eq!(told(&output), wanted);
}

#[test]
fn columns_of_a_table_are_a_check_of_the_contract() {
    let suite = r#"{"expectations": [
  {"type": "expect_table_columns_to_match_set", "kwargs": {"column_set": ["code", "id"], "exact_match": false}},
  {"type": "expect_table_columns_to_match_ordered_list", "kwargs": {"column_list": ["id", "codes"]}},
  {"type": "expect_table_columns_to_match_set", "kwargs": {"column_set": ["id", "id"]}}
]}"#;
    let output = headworks(&[&["import", "-"][..], &STREAM].concat(), suite);
    let wanted = r"# Made by headworks import of -.
apiVersion: headworks.dev/v1alpha1
kind: QualityRule
metadata: {name: sales-windows, namespace: shop}
spec:
  stream: sales
  onError: Alert
  checks:
    - {name: columns, schema: {columns: [{name: code}, {name: id}]}} # -:2:3
    - {name: columns-in-order, schema: {columns: [{name: id}, {name: codes}], exact: true, ordered: true}} # -:3:3
--- stderr
";
    let told = told(&output);
    assert!(told.starts_with(wanted), "{told}");
    assert!(
        told.contains("fails as the contract is now: no codes"),
        "{told}"
    );
    assert!(told.contains("column_set has id twice"), "{told}");
}

#[test]
fn what_is_wrong_with_the_input_is_said_with_place_and_remedy() {
    let two = "models:\n  - {name: a, columns: []}\n  - {name: b, columns: []}\n";
    let near = r#"{"expectations": [{"expectation_type": "expect_column_values_to_be_beteween", "kwargs": {"column": "id", "min_value": 1}}]}"#;
    let misspelt = r#"{"expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "quantitty"}}]}"#;
    let parameter = r#"{"expectations": [{"type": "expect_column_values_to_be_between", "kwargs": {"column": "id", "max_value": {"$PARAMETER": "most"}}}]}"#;
    let argument = r#"{"expectations": [{"type": "expect_column_values_to_be_between", "kwargs": {"column": "id", "min_valu": 1}}]}"#;
    let contradiction = r#"{"expectations": [
      {"type": "expect_column_values_to_be_between", "kwargs": {"column": "id", "max_value": 1}},
      {"type": "expect_column_values_to_be_between", "kwargs": {"column": "id", "min_value": 2}}]}"#;
    for (input, code, words) in [
        (two, 2, "has tests of a, b: choose one with --model"),
        ("a: 1\n", 3, "-: is neither a suite of Great Expectations"),
        ("{\"expectations\": [1,", 3, "-:"),
        ("{\"expectations\": []}", 1, "0 parts"),
        (
            near,
            1,
            "its type isn't known; did you mean \"expect_column_values_to_be_between\"?",
        ),
        (
            misspelt,
            1,
            "the stream has no field \"quantitty\"; did you mean \"quantity\"?",
        ),
        (
            parameter,
            1,
            "max_value is a parameter that gets its value when the suite runs",
        ),
        (
            argument,
            1,
            "its argument min_valu isn't known; did you mean \"min_value\"?",
        ),
        (contradiction, 1, "contradicts checks[0]"),
    ] {
        let output = headworks(&[&["import", "-"][..], &STREAM].concat(), input);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(code), "{input}: {said}");
        assert!(text(&output.stderr).contains(words), "{words}: {said}");
    }
    let unknown = headworks(
        &[
            "import",
            "gx-1.x.json",
            "--stream",
            "sale",
            "-f",
            "stream.yaml",
        ],
        "",
    );
    assert!(
        text(&unknown.stderr).contains("did you mean \"sales\"?"),
        "{}",
        told(&unknown)
    );
    assert_eq!(unknown.status.code(), Some(1));
    let missing = headworks(&["import", "none.json", "--stream", "sales"], "");
    assert_eq!(missing.status.code(), Some(3), "{}", told(&missing));
}

#[test]
fn the_result_is_valid_beside_its_stream() {
    for file in ["gx-0.18.json", "gx-1.x.json", "schema.yml"] {
        let made = imported(file);
        let output = headworks(&["validate", "stream.yaml", "-"], text(&made.stdout));
        assert_eq!(output.status.code(), Some(0), "{file}: {}", told(&output));
    }
}

/// A check of an imported rule, and what it said of the rows.
struct Judged {
    rule: String,
    check: String,
    /// Lines of the file that it comes from.
    lines: Vec<usize>,
    threshold: Option<String>,
    /// Rows that the rule's filter takes.
    looked_at: BTreeSet<i64>,
    /// Rows that failed.
    failed: BTreeSet<i64>,
}

impl Judged {
    /// What the tool calls success: exact, without a floating-point number.
    fn succeeds(&self) -> bool {
        let threshold = self.threshold.as_deref().unwrap_or("100");
        let (whole, part) = threshold.split_once('.').unwrap_or((threshold, ""));
        let scale = 10_u128.pow(u32::try_from(part.len()).unwrap());
        let share: u128 = format!("{whole}{part}").parse().unwrap();
        let judged = self.looked_at.len() as u128;
        let passed = judged - self.failed.len() as u128;
        passed * 100 * scale >= share * judged
    }
}

/// Every check of a file's rules over the rows, by the expressions that pods get, through the engine that pods run.
fn judged(file: &str) -> Vec<Judged> {
    let stream = fs::read_to_string(cases().join("stream.yaml")).unwrap();
    let typed: DataStream = serde_saphyr::from_str(&stream).unwrap();
    let contract = contract::read(&typed.spec).unwrap();
    let yaml = imported(file).stdout;
    let mut checks = Vec::new();
    let mut columns = String::from("id");
    let mut fields = String::from("    - {name: id, type: int}\n");
    for document in text(&yaml).split("---\n") {
        let rule: QualityRule = serde_saphyr::from_str(document).unwrap();
        let name = rule.metadata.name.clone().unwrap();
        let named = Named {
            name: &name,
            generation: 1,
            spec: &rule.spec,
        };
        let planned: Rule = plan(named, &contract).unwrap();
        let origins = document
            .lines()
            .filter_map(|line| line.strip_prefix("    - ")?.rsplit_once(" # "));
        for (check, (_, origins)) in planned.checks.iter().zip(origins) {
            let filter = planned.filter.as_deref().unwrap_or("TRUE");
            let column = format!("c{}", checks.len());
            // Null: not judged. What is false fails, and null passes.
            write!(
                columns,
                ", CASE WHEN ({filter}) THEN COALESCE(({}), TRUE) ELSE CAST(NULL AS BOOLEAN) END AS {column}",
                check.expression
            )
            .unwrap();
            writeln!(
                fields,
                "    - {{name: {column}, type: boolean, nullable: true}}"
            )
            .unwrap();
            let lines = origins
                .split(' ')
                .map(|origin| origin.split(':').nth(1).unwrap().parse().unwrap());
            checks.push(Judged {
                rule: name.clone(),
                check: check.name.clone(),
                lines: lines.collect(),
                threshold: rule.spec.threshold.clone(),
                looked_at: BTreeSet::new(),
                failed: BTreeSet::new(),
            });
        }
    }
    let sql = Value::from(format!("SELECT {columns} FROM sales"));
    let manifests = format!(
        "{stream}---\napiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: verdicts, namespace: shop}}\nspec:\n  owner: sales\n  schema:\n{fields}---\napiVersion: headworks.dev/v1alpha1\nkind: Pipeline\nmetadata: {{name: judge, namespace: shop}}\nspec:\n  sql: {sql}\n  to: [{{stream: verdicts}}]\n"
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("judge-{file}.yaml"));
    fs::write(&path, manifests).unwrap();
    let output = headworks(
        &["run", path.to_str().unwrap(), "--input", "rows.ndjson"],
        "",
    );
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let mut rows = 0;
    for line in text(&output.stdout).lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let id = row["id"].as_i64().unwrap();
        rows += 1;
        for (number, check) in checks.iter_mut().enumerate() {
            if let Some(passes) = row[format!("c{number}")].as_bool() {
                check.looked_at.insert(id);
                if !passes {
                    check.failed.insert(id);
                }
            }
        }
    }
    // A row whose evaluation fails would be a dead letter.
    assert_eq!(rows, 12, "{}", told(&output));
    checks
}

fn verdicts(file: &str) -> Value {
    let stem = file.rsplit_once('.').unwrap().0;
    let text = fs::read_to_string(cases().join(format!("{stem}.verdicts.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The ids of a verdict's failed rows.
fn failed(verdict: &Value) -> Option<BTreeSet<i64>> {
    let ids = verdict["failed"].as_array()?;
    Some(ids.iter().map(|id| id.as_i64().unwrap()).collect())
}

/// Each expectation stands on a line of its own.
fn suite_lines(file: &str) -> BTreeMap<usize, usize> {
    let text = fs::read_to_string(cases().join(file)).unwrap();
    let lines = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| line.contains("\"kwargs\""));
    lines.map(|(_, line)| line).zip(0..).collect()
}

#[test]
fn rules_give_the_verdicts_of_great_expectations_row_for_row() {
    // What raises an error in a version has no verdict: dates beside timestamps in 1.x, and in 0.18 pairs after rows were dropped.
    let raising = [
        ("gx-0.18.json", "expect_column_pair_values_to_be_in_set"),
        ("gx-1.x.json", "expect_column_values_to_be_between"),
    ];
    for (file, least) in [("gx-0.18.json", 45), ("gx-1.x.json", 50)] {
        let verdicts = verdicts(file);
        let lines = suite_lines(file);
        assert_eq!(lines.len(), verdicts["verdicts"].as_array().unwrap().len());
        let mut compared = 0;
        for check in judged(file) {
            for line in &check.lines {
                let verdict = &verdicts["verdicts"][lines[line]];
                let about = format!(
                    "{file}:{line}: {} of {}: {verdict}",
                    check.check, check.rule
                );
                if verdict.get("raised").is_some() {
                    let kind = verdict["type"].as_str().unwrap();
                    assert!(raising.contains(&(file, kind)), "{about}");
                    continue;
                }
                assert_eq!(verdict["success"], check.succeeds(), "{about}");
                if let Some(failed) = failed(verdict) {
                    assert_eq!(check.failed, failed, "{about}");
                }
                // Where a share counts, and not all, the rows that it is a share of are the tool's.
                if let (Some(share), Some(considered)) =
                    (&check.threshold, verdict["considered"].as_u64())
                    && share != "100"
                {
                    assert_eq!(check.looked_at.len() as u64, considered, "{about}");
                }
                compared += 1;
            }
        }
        assert!(compared >= least, "{file}: {compared} compared");
    }
}

#[test]
fn rules_give_the_verdicts_of_dbt_row_for_row() {
    let verdicts = verdicts("schema.yml");
    let rows = fs::read_to_string(cases().join("rows.ndjson")).unwrap();
    let rows: Vec<Value> = rows
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let schema = fs::read_to_string(cases().join("schema.yml")).unwrap();
    let schema: Vec<&str> = schema.lines().collect();
    let mut compared = 0;
    for check in judged("schema.yml") {
        for line in &check.lines {
            // Tests without a name are called by dbt, and each stands once in the file.
            let name = match (check.check.as_str(), schema[line - 1].trim()) {
                ("id-not-null", _) => "not_null_sales_id",
                ("code-not-null", _) => "not_null_sales_code",
                ("currency-accepted", _) => "accepted_values_sales_currency__EUR__USD__GBP",
                (named, _) => named,
            };
            let verdict = &verdicts["verdicts"][name];
            let about = format!("line {line}: {} is {name}: {verdict}", check.check);
            assert_eq!(
                verdict["status"] == "pass",
                check.failed.is_empty(),
                "{about}"
            );
            if let Some(failed) = failed(verdict) {
                assert_eq!(check.failed, failed, "{about}");
            }
            if let Some(values) = verdict["values"].as_array() {
                // dbt's failures are values: those of the rows that fail.
                let column = ["currency", "quantity", "paid", "note"]
                    .into_iter()
                    .find(|c| check.check.starts_with(c));
                let of = |row: &&Value| check.failed.contains(&row["id"].as_i64().unwrap());
                let ours: BTreeSet<String> = rows
                    .iter()
                    .filter(of)
                    .map(|row| row[column.unwrap()].to_string())
                    .collect();
                let theirs: BTreeSet<String> = values.iter().map(Value::to_string).collect();
                assert_eq!(ours, theirs, "{about}");
                assert_eq!(
                    verdict["failures"].as_u64().unwrap(),
                    ours.len() as u64,
                    "{about}"
                );
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 10);
}
