//! The dialect against a real Flink: every expression of `golden/*.golden`, over the rows of
//! `golden/table.txt`, must give the type and values that Flink 2.3.0 gave, or the ones that the file
//! says we give instead, with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod coverage;
mod shown;
mod table;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use headworks_sql::{Catalog, plan};

use shown::{flink_type, same, shown};
use table::{base, contract};

const ROWS: usize = 4;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
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
    let branch = flow.branches().next().unwrap();
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

/// An expression as a file has it.
struct Stated<'a> {
    expression: &'a str,
    flink: String,
    /// Where it differs: our answer and the reason.
    ours: Option<(String, String)>,
}

impl Stated<'_> {
    fn read(block: &str) -> Stated<'_> {
        let mut lines = block.lines();
        let expression = lines.next().unwrap();
        let mut flink = None;
        let mut ours = None;
        for line in lines {
            if let Some(rest) = line.strip_prefix("  flink      ") {
                flink = Some(rest.to_owned());
            } else if let Some(rest) = line.strip_prefix("  headworks  ") {
                let (answer, reason) = rest.split_once("  # ").unwrap_or((rest, ""));
                ours = Some((answer.to_owned(), reason.to_owned()));
            }
        }
        Stated {
            expression,
            flink: flink.unwrap_or_else(|| panic!("{expression} has no answer of Flink")),
            ours,
        }
    }
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
            let block = block.trim_matches('\n');
            if block.starts_with('#') {
                writeln!(renewed, "{block}").unwrap();
                continue;
            }
            let Stated {
                expression,
                flink,
                ours: stated,
            } = Stated::read(block);
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
