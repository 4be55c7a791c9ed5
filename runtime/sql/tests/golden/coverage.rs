//! Every function and operator has an answer of Flink.

use crate::folder;

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
