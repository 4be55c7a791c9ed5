//! The runbook has a row for every reason the operator can give.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Words after which a reason stands as the next string literal.
const GIVES: [&str; 4] = ["stalled(", "waiting(", "transient(", ".warning("];

fn reasons(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            reasons(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // Tests invent reasons of their own.
            let code = text.split("#[cfg(test)]").next().unwrap();
            for gives in GIVES {
                for after in code.split(gives).skip(1) {
                    let Some(word) = after.split('"').nth(1) else {
                        continue;
                    };
                    let camel = word.len() > 4 && word.chars().all(|c| c.is_ascii_alphabetic());
                    if camel && word.starts_with(|c: char| c.is_ascii_uppercase()) {
                        into.insert(word.to_owned());
                    }
                }
            }
        }
    }
}

#[test]
fn every_reason_has_a_row_in_the_runbook() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = BTreeSet::new();
    reasons(&root.join("src"), &mut all);
    assert!(all.len() > 15, "reasons are found: {all:?}");
    let runbook = fs::read_to_string(root.join("../docs/runbooks/conditions.md")).unwrap();
    let missing: Vec<_> = all
        .iter()
        .filter(|r| !runbook.contains(&format!("`{r}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/runbooks/conditions.md has no row for {missing:?}"
    );
}
