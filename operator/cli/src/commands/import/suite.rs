//! Suites of Great Expectations: JSON of 0.18 (`expectation_type`) and of 1.x (`type`, `severity`).
//!
//! An expectation about the values of a column skips nulls, and `mostly` is the share of the others that must pass. Here a null
//! passes, so where a share counts the rule's filter leaves nulls out, and the figures are the same.

use headworks_crds::CheckSeverity;
use headworks_sql::schema::Schema;

use super::condition;
use super::draft::{Fate, Import, Part, Terms};
use super::fields::{Field, per_cent};
use super::known::{KNOWN, Known, NOT_HERE};
use crate::finding::hint;
use crate::yaml::{Content, Node};

/// Who asks.
pub const TOOL: &str = "Great Expectations";

/// Arguments that say nothing of the data, or how it is reported.
const REPORTING: [&str; 8] = [
    "batch_id",
    "table",
    "result_format",
    "include_config",
    "catch_exceptions",
    "meta",
    "auto",
    "profiler_config",
];
/// Arguments of an expectation that counts rows.
const COUNTING: [&str; 3] = ["mostly", "row_condition", "condition_parser"];

/// What an expectation says, and of what.
pub struct Ask<'a> {
    /// Its arguments.
    pub kwargs: &'a Node,
    /// The stream's fields, where they are known.
    pub schema: Option<&'a Schema>,
    /// True: the file is of version 1.
    pub is_new: bool,
}

impl<'a> Ask<'a> {
    /// An argument; null is none.
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        let node = self.kwargs.get(key)?;
        (!matches!(node.content, Content::Null)).then_some(node)
    }

    /// A field that an argument names.
    pub fn field(&self, key: &str) -> Result<Field, String> {
        let node = self.get(key).ok_or_else(|| format!("{key} is missing"))?;
        let name = node.text().ok_or_else(|| format!("{key} is no name"))?;
        Field::of(name, self.schema)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<&'a str, String> {
        let node = self.get(key).ok_or_else(|| format!("{key} is missing"))?;
        node.text().ok_or_else(|| format!("{key} is no text"))
    }

    /// True or false; absent is false.
    pub fn flag(&self, key: &str) -> Result<bool, String> {
        match self.get(key).map(|node| &node.content) {
            None => Ok(false),
            Some(Content::Bool(value, _)) => Ok(*value),
            Some(_) => Err(format!("{key} is neither true nor false")),
        }
    }

    /// A list's items.
    pub fn items(&self, key: &str) -> Result<&'a [Node], String> {
        let node = self.get(key).ok_or_else(|| format!("{key} is missing"))?;
        match &node.content {
            Content::List(items) => Ok(items),
            _ => Err(format!("{key} is no list")),
        }
    }
}

/// True for a suite.
pub fn is_suite(node: &Node) -> bool {
    node.get("expectations").is_some()
}

/// What the suite is called.
pub fn name(node: &Node) -> Option<&str> {
    let named = node
        .get("name")
        .or_else(|| node.get("expectation_suite_name"));
    named.and_then(Node::text).filter(|name| !name.is_empty())
}

/// Takes in all expectations of a suite.
pub fn read(
    file: &str,
    node: &Node,
    schema: Option<&Schema>,
    import: &mut Import,
) -> Result<(), String> {
    let Some(expectations) = node.get("expectations") else {
        return Err("has no expectations".into());
    };
    let Content::List(expectations) = &expectations.content else {
        return Err("its expectations are no list".into());
    };
    for expectation in expectations {
        let kind = expectation
            .get("type")
            .map(|kind| (kind, true))
            .or_else(|| Some((expectation.get("expectation_type")?, false)));
        let (kind, is_new) = kind
            .and_then(|(node, is_new)| Some((node.text()?, is_new)))
            .unwrap_or(("", true));
        let kwargs = expectation.get("kwargs").unwrap_or(expectation);
        let ask = Ask {
            kwargs,
            schema,
            is_new,
        };
        let part = Part {
            file: file.to_owned(),
            place: expectation.place,
            title: title(kind, kwargs),
        };
        import.add(part, one(kind, expectation, &ask));
    }
    Ok(())
}

/// `expect_… of amount`.
fn title(kind: &str, kwargs: &Node) -> String {
    let shown = if kind.is_empty() {
        "an expectation"
    } else {
        kind
    };
    let single = ["column", "column_A", "column_B"];
    let mut columns: Vec<&str> = single
        .iter()
        .filter_map(|key| kwargs.get(key)?.text())
        .collect();
    let listed = kwargs.get("column_list").map_or(&[][..], Node::items);
    columns.extend(listed.iter().filter_map(Node::text));
    if columns.is_empty() {
        shown.to_owned()
    } else {
        format!("{shown} of {}", columns.join(", "))
    }
}

fn one(kind: &str, expectation: &Node, ask: &Ask) -> Result<(Fate, Terms), String> {
    if kind.is_empty() {
        return Err("says no type: it needs a type, or expectation_type".into());
    }
    let Some(known) = KNOWN.iter().find(|known| known.name == kind) else {
        if let Some((_, why)) = NOT_HERE.iter().find(|(name, _)| *name == kind) {
            return Err((*why).to_owned());
        }
        let names = KNOWN.iter().map(|known| known.name);
        let names = names.chain(NOT_HERE.iter().map(|(name, _)| *name));
        return Err(format!("its type isn't known{}", hint(kind, names)));
    };
    arguments(known, ask)?;
    let mut fate = (known.translate)(ask)?;
    let mut terms = Terms {
        severity: severity(expectation)?,
        filter: condition::of(ask.kwargs, ask.schema)?,
        threshold: None,
    };
    let mostly = ask.get("mostly").filter(|_| known.counts);
    if let Some(mostly) = mostly {
        let Content::Number(share) = &mostly.content else {
            return Err("mostly is no number".into());
        };
        match per_cent(share)?.as_str() {
            "100" => {}
            "0" => fate = Fate::Holds("mostly is 0: it is true of any data".into()),
            share => terms.threshold = Some(share.to_owned()),
        }
    }
    Ok((fate, terms))
}

/// `Err`: an argument that isn't known, or whose value comes only when it runs.
fn arguments(known: &Known, ask: &Ask) -> Result<(), String> {
    for (key, value) in ask.kwargs.entries() {
        let name = key.name.as_str();
        let fits = known.kwargs.contains(&name)
            || REPORTING.contains(&name)
            || (known.counts && COUNTING.contains(&name));
        if !fits && !matches!(value.content, Content::Null) {
            let all = known.kwargs.iter().copied();
            return Err(format!(
                "its argument {name} isn't known{}",
                hint(name, all.chain(COUNTING))
            ));
        }
        if has_parameter(value, 0) {
            return Err(format!(
                "{name} is a parameter that gets its value when the suite runs: write the value into the suite"
            ));
        }
    }
    for key in ["parse_strings_as_datetimes", "allow_cross_type_comparisons"] {
        if ask.flag(key)? {
            return Err(format!(
                "{key}: texts are read as times by a library that guesses; make the field a timestamp in the stream's contract"
            ));
        }
    }
    Ok(())
}

fn has_parameter(node: &Node, depth: usize) -> bool {
    depth < 8
        && (node.get("$PARAMETER").is_some()
            || node
                .items()
                .iter()
                .any(|item| has_parameter(item, depth + 1)))
}

/// Version 1 has three, and acts on none of them by itself.
fn severity(expectation: &Node) -> Result<CheckSeverity, String> {
    let there = expectation.get("severity");
    match there.map(|node| (node, &node.content)) {
        None | Some((_, Content::Null)) => Ok(CheckSeverity::Error),
        Some((node, _)) => match node.text() {
            Some("critical") => Ok(CheckSeverity::Error),
            Some("warning" | "info") => Ok(CheckSeverity::Warn),
            _ => Err(format!(
                "its severity {} isn't known: critical, warning or info",
                node.to_json_text()
            )),
        },
    }
}
