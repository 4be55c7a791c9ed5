//! What the docs show is what a reader can type: YAML has fields that exist, commands have flags that exist, shell parses, and
//! links lead somewhere. What a command does isn't looked at here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A fenced block of a Markdown file.
struct Block {
    /// `docs/access.md:16`, the line of the fence.
    place: String,
    language: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn pages() -> Vec<PathBuf> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            let built = ["target", "node_modules"].iter().any(|n| path.ends_with(n));
            if path.is_dir() && !hidden && !built {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "md") {
                into.push(path);
            }
        }
    }
    let mut pages = Vec::new();
    walk(&root(), &mut pages);
    pages.sort();
    pages
}

fn place(page: &Path, line: usize) -> String {
    let page = page.strip_prefix(root()).unwrap();
    format!("{}:{line}", page.display())
}

fn blocks() -> Vec<Block> {
    let mut all: Vec<Block> = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut inside = false;
        for (index, line) in text.lines().enumerate() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                inside = !inside;
                if inside {
                    all.push(Block {
                        place: place(&page, index + 1),
                        language: language.trim().to_owned(),
                        text: String::new(),
                    });
                }
            } else if inside {
                let block = all.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
        assert!(!inside, "{}: a block has no end", page.display());
    }
    all
}

/// The lines of a block that are typed: in a console those after `$`, in a script all; lines that end in a backslash go on.
fn commands(block: &Block) -> Vec<String> {
    let text = block.text.replace("\\\n", " ");
    let typed = |line: &str| match block.language.as_str() {
        "console" => line.trim_start().strip_prefix("$ ").map(str::to_owned),
        "sh" => Some(line.trim().to_owned()),
        _ => None,
    };
    text.lines().filter_map(typed).collect()
}

/// The words of the part of a command line that begins with `program`, up to a pipe, a list or a comment.
fn words_of(line: &str, program: &str) -> Option<Vec<String>> {
    let mut words = line.split_whitespace().skip_while(|word| *word != program);
    words.next()?;
    let ends = |word: &str| word.starts_with(['#', '|', '>', '<', '&', ';', ')', '(']);
    Some(
        words
            .take_while(|word| !ends(word))
            .map(|word| word.trim_end_matches([';', ')']).to_owned())
            .collect(),
    )
}

fn headworks(arguments: &[String], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_headworks"))
        .args(arguments)
        .current_dir(root())
        .env_remove("GITHUB_ACTIONS")
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that is done with its arguments doesn't read.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn schemas() -> Vec<(String, String, Value)> {
    let crds = headworks_crds::manifest::all();
    crds.iter()
        .map(|crd| {
            let schema = crd.spec.versions[0].schema.as_ref().unwrap();
            let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap();
            let names = &crd.spec.names;
            (names.kind.clone(), names.plural.clone(), schema)
        })
        .collect()
}

/// Fields of a fragment that the schema hasn't got.
fn unknown(value: &Value, schema: &Value, path: &str, into: &mut Vec<String>) {
    let free = schema["x-kubernetes-preserve-unknown-fields"] == true;
    match value {
        Value::Object(fields) if !free => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                if let Some(schema) = schema["properties"].get(name) {
                    unknown(value, schema, &path, into);
                } else if schema["additionalProperties"].is_object() {
                    unknown(value, &schema["additionalProperties"], &path, into);
                } else if !matches!(path.as_str(), ".apiVersion" | ".kind" | ".metadata")
                    && !path.starts_with(".metadata.")
                {
                    into.push(path);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                unknown(item, &schema["items"], &format!("{path}[{index}]"), into);
            }
        }
        _ => {}
    }
}

#[test]
fn every_yaml_block_parses_and_has_fields_that_exist() {
    let schemas = schemas();
    let mut ours = 0;
    for block in blocks().iter().filter(|block| block.language == "yaml") {
        for document in block.text.split("\n---\n") {
            let value: Value = serde_saphyr::from_str(document)
                .unwrap_or_else(|error| panic!("{}: {error}", block.place));
            let Some((_, _, schema)) = schemas
                .iter()
                .find(|(kind, _, _)| value["kind"] == kind.as_str())
            else {
                continue;
            };
            ours += 1;
            let mut wrong = Vec::new();
            unknown(&value, schema, "", &mut wrong);
            assert!(wrong.is_empty(), "{}: no field {wrong:?}", block.place);
            // A whole object is checked as a user would check it.
            if value["apiVersion"] == "headworks.dev/v1alpha1" {
                let told = headworks(
                    &["validate", "--allow-missing", "-"].map(str::to_owned),
                    document,
                );
                let said = String::from_utf8_lossy(&told.stdout);
                assert!(told.status.success(), "{}: {said}", block.place);
            }
        }
    }
    assert!(ours >= 8, "the docs show objects of ours, found {ours}");
}

#[test]
fn every_headworks_command_has_flags_that_exist() {
    let mut seen = 0;
    for block in blocks() {
        for line in commands(&block) {
            let Some(mut words) = words_of(&line, "headworks") else {
                continue;
            };
            // `make … headworks` and Helm's release of that name are no commands of ours.
            let before = line.split("headworks").next().unwrap();
            if before.contains("helm") || before.contains("make") || before.contains('/') {
                continue;
            }
            seen += 1;
            // Help ends the parse of what stands before it, and nothing is done.
            words.push("--help".to_owned());
            let told = headworks(&words, "");
            let said = String::from_utf8_lossy(&told.stderr);
            assert!(told.status.success(), "{}: {line}\n{said}", block.place);
        }
    }
    assert!(seen > 15, "the docs show commands of ours, found {seen}");
}

#[test]
fn every_shell_block_parses() {
    for block in blocks().iter().filter(|block| block.language == "sh") {
        let told = Command::new("bash")
            .args(["-n", "-c", &block.text])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "{}: {said}", block.place);
    }
}

#[test]
fn make_targets_and_resources_in_commands_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', ' ']))
        .filter_map(|line| line.split_once(':').map(|(target, _)| target))
        .collect();
    let plurals: BTreeSet<String> = schemas().into_iter().map(|(_, plural, _)| plural).collect();
    for block in blocks() {
        for line in commands(&block) {
            for word in words_of(&line, "make").into_iter().flatten() {
                let flag = word.contains('=') || word.starts_with('-');
                assert!(
                    flag || targets.contains(word.as_str()),
                    "{}: no target {word} in the Makefile: {line}",
                    block.place
                );
            }
            for (at, _) in line.match_indices(".headworks.dev") {
                let before = &line[..at];
                let letter = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
                let name = before.rsplit(letter).next().unwrap();
                // `headworks.dev/…` as a label's or an annotation's prefix has nothing before it.
                assert!(
                    plurals.contains(name),
                    "{}: no resource {name}.headworks.dev: {line}",
                    block.place
                );
            }
        }
    }
}

/// How GitHub names a heading: lower case, words joined by dashes, other signs left out.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_to_a_file_or_heading_leads_there() {
    let anchors = |page: &Path| {
        let text = fs::read_to_string(page).unwrap_or_default();
        let mut inside = false;
        text.lines()
            .filter(|line| {
                inside ^= line.trim_start().starts_with("```");
                !inside && line.starts_with('#')
            })
            .map(|line| anchor(line.trim_start_matches('#')))
            .collect::<BTreeSet<_>>()
    };
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut inside = false;
        for (index, line) in text.lines().enumerate() {
            inside ^= line.trim_start().starts_with("```");
            if inside {
                continue;
            }
            for (at, _) in line.match_indices("](") {
                let link = line[at + 2..].split(')').next().unwrap();
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                seen += 1;
                let (file, heading) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() {
                    page.clone()
                } else {
                    page.parent().unwrap().join(file)
                };
                let place = place(&page, index + 1);
                assert!(target.exists(), "{place}: {link} isn't there");
                assert!(
                    heading.is_empty() || anchors(&target).contains(heading),
                    "{place}: {link}: no such heading"
                );
            }
        }
    }
    assert!(seen > 50, "the docs have links, found {seen}");
}
