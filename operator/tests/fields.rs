//! Every field that a message names exists.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::Path};

use headworks_crds::manifest;
use serde_json::Value;

/// Folders whose messages users read.
const FOLDERS: [&str; 4] = ["src", "cli/src", "../crds/src", "../runtime"];
/// Fields of other people's kinds.
const OF_OTHERS: [&str; 1] = ["spec.entityOperator.template.topicOperatorContainer.env"];

/// The text literals of a Rust file, up to its tests.
fn literals(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let code: Vec<&str> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n").replace("'\"'", "");
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some(begin) = rest.find('"') {
        let body = &rest[begin + 1..];
        let mut escaped = false;
        let end = body.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { break };
        found.push(body[..end].to_owned());
        rest = &body[end + 1..];
    }
    found
}

/// The paths that a text names: `spec.to[0].table.key`, without indexes.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text
        .match_indices("spec.")
        .chain(text.match_indices("status."))
    {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '.') {
            continue;
        }
        let (mut path, mut depth) = (String::new(), 0);
        for c in text[at..].chars() {
            match c {
                '[' => depth += 1,
                ']' if depth > 0 => depth -= 1,
                _ if depth > 0 => {}
                c if c.is_ascii_alphanumeric() || c == '.' => path.push(c),
                _ => break,
            }
        }
        // `spec.{field}`, or the end of a sentence.
        let path = path.trim_end_matches('.').to_owned();
        if path.contains('.') {
            found.push(path);
        }
    }
    found
}

fn exists(schema: &Value, path: &str) -> bool {
    let mut at = schema;
    for name in path.split('.') {
        while at["items"].is_object() {
            at = &at["items"];
        }
        let next = &at["properties"][name];
        // The key of a map may be any.
        at = if next.is_object() {
            next
        } else {
            &at["additionalProperties"]
        };
        if !at.is_object() {
            return false;
        }
    }
    true
}

fn files(folder: &Path, visit: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() {
            if name != "tests" && name != "target" {
                files(&path, visit);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && !name.contains("test") {
            visit(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

fn schemas() -> Vec<Value> {
    let all = manifest::all();
    let versions = all
        .iter()
        .map(|crd| serde_json::to_value(&crd.spec.versions[0]).unwrap());
    versions
        .map(|mut v| v["schema"]["openAPIV3Schema"].take())
        .collect()
}

#[test]
fn a_message_names_no_field_that_is_not_there() {
    let schemas = schemas();
    let mut unknown: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = 0;
    for folder in FOLDERS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        files(&folder, &mut |file, text| {
            for path in literals(text).iter().flat_map(|text| paths(text)) {
                seen += 1;
                let known = OF_OTHERS.contains(&path.as_str())
                    || schemas.iter().any(|schema| exists(schema, &path));
                if !known {
                    unknown.insert(path, file.display().to_string());
                }
            }
        });
    }
    assert!(seen > 100, "paths are found: {seen}");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn the_search_finds_what_is_wrong() {
    let schemas = schemas();
    let known = |path: &str| schemas.iter().any(|schema| exists(schema, path));
    let text = r#"format!("spec.to[{index}].table.key: no; name it in spec.postgres.database, or \"spec.sql\".")"#;
    let all: Vec<String> = literals(text).iter().flat_map(|text| paths(text)).collect();
    assert_eq!(
        all,
        ["spec.to.table.key", "spec.postgres.database", "spec.sql"]
    );
    assert!(known("spec.to.table.key") && known("spec.postgres.url") && known("spec.config.any"));
    assert!(!known("spec.postgres.database"));
}

#[test]
fn one_version_of_go_is_promised_and_asked_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let module = read("e2e/pocket/node/go.mod");
    let wanted = module
        .lines()
        .find_map(|line| line.strip_prefix("go "))
        .unwrap();
    let preflight = read("e2e/pocket/lib/preflight.sh");
    assert!(
        preflight.contains(&format!("printf '{wanted}\\n%s\\n'")),
        "{wanted}"
    );
    for file in [
        "README.md",
        "docs/how-to-run.md",
        "e2e/pocket/lib/preflight.sh",
    ] {
        for said in read(file).split("Go 1.").skip(1) {
            let minor: String = said.chars().take_while(char::is_ascii_digit).collect();
            assert_eq!(format!("1.{minor}"), wanted, "{file}");
        }
    }
}
