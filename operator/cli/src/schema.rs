//! A document against its CRD's schema, as an API server checks it with `--validate=strict`, but with
//! lines, columns and suggestions: unknown fields, types, required fields, bounds, patterns, enums.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::kinds;
use k8s_openapi::jiff::Timestamp;
use regex::Regex;
use serde_json::Value;

use crate::finding::{Finding, hint};
use crate::object::Object;
use crate::patterns;
use crate::yaml::{Content, Key, Node, Step, path};

/// Most things said of one object; the rest is mostly the same again.
const MOST: usize = 50;
/// What people may write under `metadata`.
const METADATA: [&str; 16] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "finalizers",
    "ownerReferences",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
    "clusterName",
];

/// Checks objects against schemas.
#[derive(Default)]
pub struct Checker {
    patterns: RefCell<BTreeMap<String, Option<Regex>>>,
}

impl Checker {
    /// What is wrong with an object by its kind's schema.
    pub fn check(&self, object: &Object, schema: &Value) -> Vec<Finding> {
        let mut walk = Walk {
            checker: self,
            object,
            path: Vec::new(),
            findings: Vec::new(),
        };
        walk.envelope(schema);
        walk.findings
    }

    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut patterns = self.patterns.borrow_mut();
        let known = patterns
            .entry(pattern.to_owned())
            .or_insert_with(|| Regex::new(pattern).ok());
        known.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

struct Walk<'a> {
    checker: &'a Checker,
    object: &'a Object,
    path: Vec<Step>,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn say(&mut self, place: crate::yaml::Place, message: String) {
        if self.findings.len() < MOST {
            let field = path(&self.path);
            self.findings
                .push(self.object.finding(place, &field, message));
        }
    }

    fn within(&mut self, step: Step, work: impl FnOnce(&mut Self)) {
        self.path.push(step);
        work(self);
        self.path.pop();
    }

    /// What every object has around its spec.
    fn envelope(&mut self, schema: &Value) {
        let root = &self.object.node;
        let parts = ["apiVersion", "kind", "metadata", "spec", "status"];
        for (key, value) in root.entries() {
            match key.name.as_str() {
                "metadata" => {
                    self.within(Step::Key("metadata".into()), |walk| walk.metadata(value));
                }
                // Whatever it is, the API server drops it.
                "apiVersion" | "kind" | "status" => {}
                "spec" => self.within(Step::Key("spec".into()), |walk| {
                    walk.value(value, &schema["properties"]["spec"]);
                }),
                _ => self.unknown(key, parts),
            }
        }
        for part in ["metadata", "spec"] {
            if root.get(part).is_none() {
                self.within(Step::Key(part.into()), |walk| {
                    walk.say(root.place, "is missing: add it".into());
                });
            }
        }
    }

    fn metadata(&mut self, node: &Node) {
        if !matches!(node.content, Content::Map(_)) {
            return self.say(
                node.place,
                "must be a map, as in metadata: {name: …}".into(),
            );
        }
        for (key, value) in node.entries() {
            if !METADATA.contains(&key.name.as_str()) {
                self.unknown(key, METADATA);
            }
            if matches!(key.name.as_str(), "labels" | "annotations") {
                for (key, value) in value.entries() {
                    if value.text().is_none() {
                        let message =
                            format!("the value of {} must be text: write it in quotes", key.name);
                        self.say(value.place, message);
                    }
                }
            }
        }
        let namespaced = kinds::named(self.object.kind).is_none_or(|kind| kind.namespaced);
        for part in ["name", "namespace"] {
            let Some(value) = node.get(part) else {
                if part == "name" && node.get("generateName").is_none() {
                    self.within(Step::Key(part.into()), |walk| {
                        walk.say(node.place, "is missing: give the object a name".into());
                    });
                }
                continue;
            };
            self.within(Step::Key(part.into()), |walk| match value.text() {
                None => walk.say(value.place, "must be text: write it in quotes".into()),
                Some(_) if part == "namespace" && !namespaced => walk.say(
                    value.place,
                    "a Platform belongs to the whole cluster: leave the namespace out".into(),
                ),
                Some(text) if !is_name(text, part == "namespace") => {
                    let dots = if part == "namespace" { "" } else { ", dots" };
                    walk.say(value.place, format!("\"{text}\" is no name: a name has lower-case letters, digits{dots} and -, begins and ends with a letter or digit, and is not too long"));
                }
                Some(_) => {}
            });
        }
    }

    fn unknown<'k>(&mut self, key: &Key, known: impl IntoIterator<Item = &'k str> + Clone) {
        let mut message = format!("unknown field{}", hint(&key.name, known.clone()));
        if !message.contains("did you mean") {
            let known: Vec<&str> = known.into_iter().collect();
            if known.len() <= 12 && !known.is_empty() {
                message = format!("{message}; the fields here are {}", known.join(", "));
            } else {
                message.push_str("; remove it");
            }
        }
        let place = key.place;
        self.within(Step::Key(key.name.clone()), |walk| walk.say(place, message));
    }

    fn value(&mut self, node: &Node, schema: &Value) {
        if self.findings.len() >= MOST {
            return;
        }
        let found = match &node.content {
            Content::Null => "null",
            Content::Bool(..) => "boolean",
            // `3.0` and `6.048e+08` are whole numbers by the time that the API server gets them.
            Content::Number(text) if text.contains(['.', 'e', 'E']) && node.to_json().is_f64() => {
                "number"
            }
            Content::Number(_) => "integer",
            Content::Text(..) => "string",
            Content::List(_) => "array",
            Content::Map(_) => "object",
        };
        if schema["x-kubernetes-int-or-string"] == true {
            if !matches!(found, "integer" | "string") {
                let quoted = if matches!(found, "boolean" | "number") {
                    "; write it in quotes"
                } else {
                    ""
                };
                let message = format!(
                    "must be text or a whole number, not {}{quoted}",
                    words(found)
                );
                return self.say(node.place, message);
            }
        } else if let Some(wanted) = schema["type"].as_str()
            && wanted != found
            && !(wanted == "number" && found == "integer")
        {
            return self.wrong_type(node, wanted, found);
        }
        match &node.content {
            Content::Text(text, _) => self.text(node, text, schema),
            Content::Number(text) => self.number(node, text, schema),
            Content::List(items) => self.list(node, items, schema),
            Content::Map(entries) => self.map(node, entries, schema),
            Content::Null | Content::Bool(..) => {}
        }
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str, found: &str) {
        if let ("string", Content::Bool(value, word)) = (wanted, &node.content) {
            let message =
                format!("must be text, and YAML reads {word} as {value}; write it in quotes");
            return self.say(node.place, message);
        }
        let remedy = match (wanted, found) {
            (_, "null") => "; give it a value or leave it out",
            ("string", "integer" | "number") => "; write it in quotes",
            ("integer" | "boolean", "string") => "; write it without quotes",
            ("array", _) => "; begin each item with a -, or write [ ] around them",
            _ => "",
        };
        self.say(
            node.place,
            format!("must be {}, not {}{remedy}", words(wanted), words(found)),
        );
    }

    fn text(&mut self, node: &Node, text: &str, schema: &Value) {
        if let Some(all) = schema["enum"].as_array() {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            if !all.contains(&text) {
                let meant = hint(text, all.iter().copied());
                let message = format!("\"{text}\" is not one of {}{meant}", all.join(", "));
                self.say(node.place, message);
            }
            return;
        }
        if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
            let shown: String = text.chars().take(80).collect();
            let message = format!(
                "\"{shown}\" is no instant: write it as 2026-01-31T12:34:56Z, with its zone"
            );
            return self.say(node.place, message);
        }
        let length = text.chars().count() as u64;
        if let Some(min) = schema["minLength"].as_u64()
            && length < min
        {
            return self.say(node.place, too_few(length, min, "characters"));
        }
        if let Some(max) = schema["maxLength"].as_u64()
            && length > max
        {
            return self.say(
                node.place,
                format!("has {length} characters, {max} are allowed"),
            );
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !self.checker.matches(pattern, text)
        {
            let rule = patterns::rule_of(pattern, text);
            // A URL may have a password in it, which belongs neither there nor in a log.
            let shown = if text.contains("://") {
                "the address".to_owned()
            } else {
                format!("\"{}\"", text.chars().take(80).collect::<String>())
            };
            self.say(node.place, format!("{shown} {rule}"));
        }
    }

    fn number(&mut self, node: &Node, text: &str, schema: &Value) {
        let Ok(value) = text.parse::<f64>() else {
            return;
        };
        if let Some(min) = schema["minimum"].as_f64()
            && value < min
        {
            self.say(node.place, format!("{text} is too small: at least {min}"));
        }
        if let Some(max) = schema["maximum"].as_f64()
            && value > max
        {
            self.say(node.place, format!("{text} is too large: at most {max}"));
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &Value) {
        let count = items.len() as u64;
        if let Some(min) = schema["minItems"].as_u64()
            && count < min
        {
            self.say(node.place, too_few(count, min, "items"));
        }
        if let Some(max) = schema["maxItems"].as_u64()
            && count > max
        {
            self.say(node.place, format!("has {count} items, {max} are allowed"));
        }
        for (index, item) in items.iter().enumerate() {
            self.within(Step::Index(index), |walk| {
                walk.value(item, &schema["items"]);
            });
        }
        let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let set = schema["x-kubernetes-list-type"] == "set";
        if keys.is_empty() && !set {
            return;
        }
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let identity = if set {
                item.to_json_text()
            } else {
                let parts = keys.iter().map(|key| item.get(key).map(Node::to_json_text));
                let Some(parts) = parts.collect::<Option<Vec<_>>>() else {
                    continue;
                };
                parts.join(", ")
            };
            if !seen.insert(identity.clone()) {
                self.within(Step::Index(index), |walk| {
                    let what = keys.join(", ");
                    walk.say(
                        item.place,
                        format!(
                            "{what} {identity} stands here a second time: remove or rename one"
                        )
                        .trim_start()
                        .to_owned(),
                    );
                });
            }
        }
    }

    fn map(&mut self, node: &Node, entries: &[(Key, Node)], schema: &Value) {
        if let Some(max) = schema["maxProperties"].as_u64()
            && entries.len() as u64 > max
        {
            let count = entries.len();
            self.say(
                node.place,
                format!("has {count} entries, {max} are allowed"),
            );
        }
        let properties = schema["properties"].as_object();
        let any = &schema["additionalProperties"];
        let free = schema["x-kubernetes-preserve-unknown-fields"] == true;
        for (key, value) in entries {
            let step = Step::Key(key.name.clone());
            match properties.and_then(|all| all.get(&key.name)) {
                Some(schema) => self.within(step, |walk| walk.value(value, schema)),
                None if any.is_object() => self.within(step, |walk| walk.value(value, any)),
                None if free || *any == true => {}
                None => {
                    let known: Vec<&str> = properties
                        .into_iter()
                        .flat_map(|all| all.keys().map(String::as_str))
                        .collect();
                    self.unknown(key, known);
                }
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !entries.iter().any(|(key, _)| key.name == name) {
                let place = node.place;
                self.within(Step::Key(name.to_owned()), |walk| {
                    walk.say(place, "is missing: it is required".into());
                });
            }
        }
    }
}

fn too_few(count: u64, min: u64, what: &str) -> String {
    match (count, min) {
        (0, 1) => "must not be empty".to_owned(),
        (1, _) => format!(
            "has 1 {}, at least {min} are needed",
            what.trim_end_matches('s')
        ),
        _ => format!("has {count} {what}, at least {min} are needed"),
    }
}

fn words(kind: &str) -> &str {
    match kind {
        "null" => "nothing (null)",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number with a fraction",
        "string" => "text",
        "array" => "a list",
        _ => "a map",
    }
}

/// A DNS name as Kubernetes takes it: a label, or labels with dots between them.
fn is_name(text: &str, label: bool) -> bool {
    let good = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if label {
        text.len() <= 63 && good(text)
    } else {
        text.len() <= 253 && text.split('.').all(good)
    }
}
