//! The dialect against a real Flink: every expression of `golden/*.golden`, over the rows of
//! `golden/table.txt`, must give the type and values that Flink 2.3.0 gave, or the ones that the file
//! says we give instead, with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int32Array, RecordBatch, StringArray, StructArray,
    new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes as at;
use arrow::datatypes::DataType as Arrow;
use headworks_plan::{Contract, Field};
use headworks_sql::types::DataType as T;
use headworks_sql::{Catalog, plan};

const ROWS: usize = 4;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Name, Flink's type and one cell a row.
fn columns() -> Vec<(String, String, Vec<String>)> {
    let text = std::fs::read_to_string(folder().join("table.txt")).unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#') && l.contains('|'))
        .map(|l| {
            let cells: Vec<String> = l.split('|').map(|c| c.trim().to_owned()).collect();
            (cells[0].clone(), cells[1].clone(), cells[2..].to_vec())
        })
        .collect()
}

fn ours(flink: &str) -> String {
    let text = flink
        .replace(
            "ROW<p STRING, q ROW<z INT>>",
            "struct<p string, q struct<z int>>",
        )
        .replace("MAP<STRING, INT>", "map<string,int>");
    if text.starts_with("struct") {
        text
    } else {
        text.to_lowercase()
            .replace("time(3)", "time")
            .replace(", ", ",")
    }
}

fn contract() -> Contract {
    let fields = columns().into_iter().map(|(name, flink, _)| Field {
        nullable: name != "n",
        name,
        type_: ours(&flink),
        labels: vec![],
    });
    Contract {
        fields: fields.collect(),
        ..Contract::default()
    }
}

fn base() -> RecordBatch {
    let schema = headworks_sql::schema::Schema::from_contract(&contract()).unwrap();
    let arrays =
        columns()
            .into_iter()
            .zip(&schema.columns)
            .map(|((name, flink, cells), column)| match name.as_str() {
                "n" => Arc::new(Int32Array::from(vec![1, 2, 3, 4])) as ArrayRef,
                "y" => Arc::new(BinaryArray::from(vec![
                    Some(&b"Hello"[..]),
                    Some(b""),
                    None,
                    Some(&[0xff, 0]),
                ])),
                "r" => row_column(&column.data_type.to_arrow()),
                _ => {
                    let parts: Vec<ArrayRef> = cells
                        .iter()
                        .map(|cell| constant(cell, &flink, &column.data_type))
                        .collect();
                    concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap()
                }
            });
    RecordBatch::try_new(schema.to_arrow(), arrays.collect()).unwrap()
}

fn row_column(data_type: &Arrow) -> ArrayRef {
    let Arrow::Struct(fields) = data_type else {
        panic!("a struct")
    };
    let Arrow::Struct(inner) = fields[1].data_type() else {
        panic!("a struct")
    };
    let z = Int32Array::from(vec![Some(5), None, None, Some(6)]);
    let q = StructArray::new(inner.clone(), vec![Arc::new(z)], None);
    let p = StringArray::from(vec![Some("in"), None, None, Some("y")]);
    Arc::new(StructArray::new(
        fields.clone(),
        vec![Arc::new(p), Arc::new(q)],
        Some(vec![true, true, false, true].into()),
    ))
}

/// A cell's value, read by the planner itself; Flink's answers for bare columns check that it is right.
fn constant(cell: &str, flink: &str, data_type: &T) -> ArrayRef {
    if cell == "NULL" {
        return new_null_array(&data_type.to_arrow(), 1);
    }
    let expression = if flink.starts_with("MAP") {
        cell.to_owned()
    } else {
        format!("CAST({cell} AS {flink})")
    };
    let one = Contract {
        fields: vec![Field {
            name: "n".into(),
            type_: "int".into(),
            nullable: false,
            labels: vec![],
        }],
        ..Contract::default()
    };
    let flow = plan(
        &format!("SELECT {expression} AS v FROM dual"),
        &Catalog::new().with("dual", one),
    )
    .unwrap_or_else(|e| panic!("{cell}: {}", e[0]));
    let batch = RecordBatch::try_new(
        flow.branches[0].input_schema.clone(),
        vec![Arc::new(Int32Array::from(vec![1]))],
    )
    .unwrap();
    flow.branches[0]
        .evaluate(&batch)
        .unwrap()
        .batch
        .column(0)
        .clone()
}

/// The expression's type and values, as Flink's side writes them; or why it is refused.
fn answer(expression: &str, base: &RecordBatch, catalog: &Catalog) -> String {
    let flow = match plan(&format!("SELECT {expression} AS v FROM t"), catalog) {
        Ok(flow) => flow,
        Err(errors) => {
            let error = &errors[0];
            let hint = error
                .suggestion
                .as_ref()
                .map(|s| format!("; did you mean {s}?"))
                .unwrap_or_default();
            return format!("refused: {}{hint}", error.message);
        }
    };
    let branch = &flow.branches[0];
    let input = base
        .project(
            &branch
                .columns
                .iter()
                .map(|c| base.schema().index_of(c).unwrap())
                .collect::<Vec<_>>(),
        )
        .unwrap();
    let data_type = &flow.output.columns[0].data_type;
    let mut text = flink_type(data_type);
    for row in 0..ROWS {
        let value = match branch.evaluate(&input.slice(row, 1)) {
            Ok(done) => shown(done.batch.column(0), 0, data_type),
            Err(_) => "error".to_owned(),
        };
        write!(text, " | {value}").unwrap();
    }
    // The whole batch must give the same as its rows, or fail if one does.
    match branch.evaluate(&input) {
        Ok(done) => {
            let whole: Vec<String> = (0..ROWS)
                .map(|row| shown(done.batch.column(0), row, data_type))
                .collect();
            assert_eq!(
                text,
                format!("{} | {}", flink_type(data_type), whole.join(" | ")),
                "{expression}: row by row and as a batch"
            );
        }
        Err(error) => assert!(
            text.contains("error"),
            "{expression}: only the batch fails: {error}"
        ),
    }
    text
}

fn flink_type(data_type: &T) -> String {
    match data_type {
        T::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        T::Array(element) => format!("ARRAY<{}>", flink_type(element)),
        T::Map(value) => format!("MAP<STRING, {}>", flink_type(value)),
        T::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|f| format!("`{}` {}", f.name, flink_type(&f.data_type)))
                .collect();
            format!("ROW<{}>", fields.join(", "))
        }
        other => other.to_string().to_uppercase(),
    }
}

/// Flink's type without what ours don't have: NOT NULL, lengths of text, precision of times of day.
fn normal_type(flink: &str) -> String {
    let mut text = flink.replace(" NOT NULL", "");
    for start in ["VARCHAR(", "CHAR(", "TIME("] {
        while let Some(at) = text
            .find(start)
            .filter(|at| *at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric())
        {
            let end = at + text[at..].find(')').unwrap();
            text.replace_range(at..=end, if start == "TIME(" { "TIME" } else { "STRING" });
        }
    }
    text
}

fn shown(array: &ArrayRef, row: usize, data_type: &T) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    match data_type {
        T::Boolean => array.as_boolean().value(row).to_string(),
        T::Int => array.as_primitive::<at::Int32Type>().value(row).to_string(),
        T::BigInt => array.as_primitive::<at::Int64Type>().value(row).to_string(),
        T::Float => format!("{:?}", array.as_primitive::<at::Float32Type>().value(row)),
        T::Double => format!("{:?}", array.as_primitive::<at::Float64Type>().value(row)),
        T::Decimal { .. } => array
            .as_primitive::<at::Decimal128Type>()
            .value_as_string(row),
        T::String => array
            .as_string::<i32>()
            .value(row)
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t"),
        T::Bytes => {
            let bytes = array.as_binary::<i32>().value(row).iter();
            bytes.fold("x'".to_owned(), |text, b| format!("{text}{b:02x}")) + "'"
        }
        T::Date => array
            .as_primitive::<at::Date32Type>()
            .value_as_date(row)
            .unwrap()
            .to_string(),
        T::Time => clock(
            array.as_primitive::<at::Time64MicrosecondType>().value(row),
            false,
        ),
        T::Timestamp(digits) | T::TimestampLtz(digits) => {
            let (value, per_second) = match digits {
                0 => (
                    array.as_primitive::<at::TimestampSecondType>().value(row),
                    1,
                ),
                3 => (
                    array
                        .as_primitive::<at::TimestampMillisecondType>()
                        .value(row),
                    1000,
                ),
                _ => (
                    array
                        .as_primitive::<at::TimestampMicrosecondType>()
                        .value(row),
                    1_000_000,
                ),
            };
            let day = 86_400 * per_second;
            let date = at::Date32Type::to_naive_date_opt(value.div_euclid(day) as i32).unwrap();
            let instant = matches!(data_type, T::TimestampLtz(_));
            format!(
                "{date}T{}{}",
                clock(value.rem_euclid(day) * (1_000_000 / per_second), instant),
                if instant { "Z" } else { "" }
            )
        }
        T::Array(element) => {
            let values = array.as_list::<i32>().value(row);
            format!(
                "[{}]",
                (0..values.len())
                    .map(|i| shown(&values, i, element))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        T::Map(value) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).clone(), entries.column(1).clone());
            let entry = |i| {
                format!(
                    "{}={}",
                    shown(&keys, i, &T::String),
                    shown(&values, i, value)
                )
            };
            format!(
                "{{{}}}",
                (0..entries.len()).map(entry).collect::<Vec<_>>().join(", ")
            )
        }
        T::Struct(fields) => {
            let values = array.as_struct();
            let field = |i: usize| shown(values.column(i), row, &fields[i].data_type);
            format!(
                "({})",
                (0..fields.len()).map(field).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

/// A time of day as Java's `LocalTime` writes it; an instant always has seconds.
fn clock(micros: i64, seconds: bool) -> String {
    let (second, micro) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = format!("{:02}:{:02}", second / 3600, second / 60 % 60);
    if seconds || second % 60 != 0 || micro != 0 {
        write!(text, ":{:02}", second % 60).unwrap();
    }
    match micro {
        0 => {}
        m if m % 1000 == 0 => write!(text, ".{:03}", m / 1000).unwrap(),
        m => write!(text, ".{m:06}").unwrap(),
    }
    text
}

/// Equal but for the last digits of floating-point numbers and what [`normal_type`] leaves out.
fn same(flink: &str, ours: &str) -> bool {
    let (Some((flink_type, flink_values)), Some((our_type, our_values))) =
        (flink.split_once(" | "), ours.split_once(" | "))
    else {
        return flink == "refused" && ours.starts_with("refused");
    };
    let tolerance = match our_type {
        "FLOAT" => 1e-6,
        "DOUBLE" => 1e-11,
        _ => return normal_type(flink_type) == our_type && flink_values == our_values,
    };
    let number = |text: &str| text.replace("Infinity", "inf").parse::<f64>().ok();
    let close = |a: &str, b: &str| match (number(a), number(b)) {
        (Some(a), Some(b)) => {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= tolerance * a.abs().max(b.abs())
        }
        _ => a == b,
    };
    normal_type(flink_type) == our_type
        && flink_values
            .split(" | ")
            .zip(our_values.split(" | "))
            .all(|(a, b)| close(a, b))
}

#[test]
fn every_expression_answers_as_flink_does_or_as_the_file_says() {
    let base = base();
    let catalog = Catalog::new().with("t", contract());
    let write = std::env::var_os("GOLDEN_WRITE").is_some();
    let (mut count, mut differences, mut failures) = (0, String::new(), Vec::new());
    let titles = titles();
    let mut used = BTreeSet::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "golden"))
        .collect();
    files.sort();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let mut renewed = String::new();
        for block in text.split("\n\n") {
            let mut lines = block.trim_matches('\n').lines();
            let expression = lines.next().unwrap();
            if expression.starts_with('#') {
                writeln!(renewed, "{}", block.trim_matches('\n')).unwrap();
                continue;
            }
            let mut flink = None;
            let mut stated = None;
            for line in lines {
                if let Some(rest) = line.strip_prefix("  flink      ") {
                    flink = Some(rest.to_owned());
                } else if let Some(rest) = line.strip_prefix("  headworks  ") {
                    let (answer, reason) = rest.split_once("  # ").unwrap_or((rest, ""));
                    stated = Some((answer.to_owned(), reason.to_owned()));
                }
            }
            let flink = flink.unwrap_or_else(|| panic!("{expression} has no answer of Flink"));
            let got = answer(expression, &base, &catalog);
            count += 1;
            write!(renewed, "\n{expression}\n  flink      {flink}\n").unwrap();
            let agrees = same(&flink, &got);
            let reason = stated.as_ref().map(|(_, r)| r.clone()).unwrap_or_default();
            if !agrees {
                let ours = if got.starts_with("refused") {
                    "refused"
                } else {
                    &got
                };
                let name = file.file_stem().unwrap().to_string_lossy();
                writeln!(
                    differences,
                    "{reason}\t{name}\t{expression}\t{flink}\t{ours}"
                )
                .unwrap();
                used.insert(reason.clone());
                writeln!(
                    renewed,
                    "  headworks  {got}{}",
                    if reason.is_empty() {
                        String::new()
                    } else {
                        format!("  # {reason}")
                    }
                )
                .unwrap();
            }
            // A difference that isn't stated, that isn't as stated, or that there is no longer.
            let right = match &stated {
                Some((wanted, reason)) => *wanted == got && titles.contains(reason) && !agrees,
                None => agrees,
            };
            if !right {
                failures.push(format!(
                    "{expression}\n  flink      {flink}\n  headworks  {got}  # {reason}"
                ));
            }
        }
        if write {
            std::fs::write(file, renewed).unwrap();
        }
    }
    assert!(count > 1000, "only {count} expressions were found");
    assert!(
        failures.is_empty() || write,
        "{} of {count} expressions:\n{}",
        failures.len(),
        failures.join("\n")
    );
    let mut lines: Vec<&str> = differences.lines().collect();
    lines.sort_unstable();
    let list = format!("{}\n", lines.join("\n"));
    let path = folder().join("differences.tsv");
    if write {
        std::fs::write(path, list).unwrap();
    } else {
        let stored = std::fs::read_to_string(path).unwrap();
        assert!(
            stored == list,
            "differences.tsv isn't the list of the differences; GOLDEN_WRITE=1 writes it"
        );
        let idle: Vec<&String> = titles.difference(&used).collect();
        assert!(
            idle.is_empty(),
            "sql.md tells of differences that no expression shows: {idle:?}"
        );
    }
}

/// What docs/reference/sql.md calls the kinds of differences: the first cells of its table.
fn titles() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/sql.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let (_, section) = reference
        .split_once("\n## Where it differs from Flink 2.3\n")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|l| l.strip_prefix("| "));
    rows.skip(1)
        .filter_map(|row| row.split(" | ").next())
        .map(str::to_owned)
        .collect()
}

/// Operators, by what an expression that uses one has in it.
const OPERATORS: &[&str] = &[
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    "-a",
    " || ",
    " = ",
    " <> ",
    " < ",
    " <= ",
    " > ",
    " >= ",
    " IS NULL",
    " IS NOT NULL",
    " IS TRUE",
    " IS NOT TRUE",
    " IS FALSE",
    " IS NOT FALSE",
    " IS UNKNOWN",
    " IS NOT UNKNOWN",
    " IS DISTINCT FROM ",
    " IS NOT DISTINCT FROM ",
    " BETWEEN ",
    " NOT BETWEEN ",
    " BETWEEN SYMMETRIC ",
    " IN (",
    " NOT IN (",
    " LIKE ",
    " NOT LIKE ",
    " AND ",
    " OR ",
    "NOT ",
    "CASE WHEN ",
    "CASE a WHEN ",
    "CAST(",
    "TRY_CAST(",
    "EXTRACT(",
    "FLOOR(ts TO ",
    "CEIL(ts TO ",
    "TIMESTAMPADD(",
    "TIMESTAMPDIFF(",
    " + INTERVAL ",
    " - INTERVAL ",
    "JSON_VALUE(",
    "JSON_QUERY(",
    "JSON_EXISTS(",
    " IS JSON",
    " IS NOT JSON",
    "COALESCE(",
    "IFNULL(",
    "NULLIF(",
    "IF(",
    "GREATEST(",
    "LEAST(",
    "ARRAY[",
    "MAP[",
    "ROW(",
    "xs[1]",
    "mp['x']",
    "r.q.z",
];

/// True if the expression has the function or operator, as a whole word.
fn has(expression: &str, wanted: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    expression
        .match_indices(wanted)
        .any(|(at, _)| !wanted.starts_with(word) || !expression[..at].ends_with(word))
}

#[test]
fn each_of_more_than_150_functions_and_operators_has_an_answer_of_flink() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/sql.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let (_, functions) = reference.split_once("\n## Functions\n").unwrap();
    let (functions, _) = functions.split_once("\n## ").unwrap();
    let table = functions.lines().filter(|l| l.starts_with('|'));
    let mut wanted: Vec<String> = table
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(|code| code.split('(').next().unwrap().to_owned() + "(")
        .collect();
    wanted.extend(OPERATORS.iter().map(|o| (*o).to_owned()));
    wanted.sort();
    wanted.dedup();
    let mut answered = Vec::new();
    for file in std::fs::read_dir(folder()).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|e| e != "golden") {
            continue;
        }
        let text = std::fs::read_to_string(file).unwrap();
        for block in text.split("\n\n").map(|b| b.trim_matches('\n')) {
            let refused = block.contains("\n  flink      refused")
                || block.contains("\n  headworks  refused");
            let expression = block.lines().next().unwrap_or_default();
            if !refused && !expression.starts_with('#') {
                answered.push(expression.to_owned());
            }
        }
    }
    let missing: Vec<&String> = wanted
        .iter()
        .filter(|w| !answered.iter().any(|a| has(a, w)))
        .collect();
    println!("{} functions and operators", wanted.len());
    assert!(missing.is_empty(), "without an answer: {missing:?}");
    assert!(wanted.len() >= 150, "only {}", wanted.len());
}
