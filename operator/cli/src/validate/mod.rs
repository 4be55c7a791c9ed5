//! `headworks validate`: everything that can be known of a folder of manifests without a cluster.
//!
//! First each object by itself ([`single`]): its schema, its CEL rules, our own checks. Then the objects
//! together ([`streams`], [`pipelines`], [`cases`], [`grants`], [`replays`], [`rules`], [`loops`], [`policy`], [`owned`]), with the operator's own rules, so that what is
//! accepted here is accepted there.

pub mod cases;
mod grants;
mod labels;
mod loops;
mod namesakes;
mod owned;
mod pipelines;
mod policy;
mod replays;
mod rules;
mod single;
mod streams;

use std::collections::BTreeMap;
use std::rc::Rc;

use headworks_crds::{ACCEPT_GRANTS, DataStream, Pipeline, Platform, QualityRule};
use headworks_plan::Contract;

use crate::files::File;
use crate::finding::{Finding, Severity};
use crate::kustomize::Sources;
use crate::object::{self, KINDS, Object, Typed};
use crate::yaml::{self, Place};

pub use pipelines::{Planned, plan, plan_fault};

/// How strict to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespace of objects that name none.
    pub namespace: String,
    /// True: a reference to something that isn't there is only a warning.
    pub allow_missing: bool,
}

/// All objects of a folder, and how they find each other.
#[derive(Debug, Default)]
pub struct World {
    /// In the order of the files.
    pub objects: Vec<Object>,
    index: BTreeMap<(&'static str, String, String), usize>,
    /// What objects in the files make, by kind, namespace and name.
    owned: BTreeMap<(&'static str, String, String), Object>,
    /// Contracts that are right, by namespace and name of their streams.
    contracts: BTreeMap<(String, String), Contract>,
    /// Labels of Namespaces that stand in the files.
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Data of the ConfigMaps that stand in the files, by namespace and name.
    config_maps: BTreeMap<(String, String), BTreeMap<String, String>>,
    /// Whose grants they take, where they say so by annotation.
    accepting: BTreeMap<String, String>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The objects.
    pub world: World,
    /// What is to be said, in the order of files and lines.
    pub findings: Vec<Finding>,
    /// Files read.
    pub files: usize,
    /// Documents of other kinds.
    pub others: usize,
}

impl World {
    /// An object of the files, or one that they make.
    fn find(&self, kind: &'static str, namespace: &str, name: &str) -> Option<&Object> {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let owned = || self.owned.get(&key);
        self.in_files(kind, namespace, name).or_else(owned)
    }

    /// An object of the files.
    fn in_files(&self, kind: &'static str, namespace: &str, name: &str) -> Option<&Object> {
        let at = self
            .index
            .get(&(kind, namespace.to_owned(), name.to_owned()))?;
        self.objects.get(*at)
    }

    /// Names of a kind in a namespace.
    fn names(&self, kind: &'static str, namespace: &str) -> Vec<&str> {
        let from = (kind, namespace.to_owned(), String::new());
        let of = |(k, n, _): &(&str, String, String)| *k == kind && n == namespace;
        let files = self.index.range(from.clone()..).map(|(key, _)| key);
        let owned = self.owned.range(from..).map(|(key, _)| key);
        let files = files.take_while(|key| of(key));
        files
            .chain(owned.take_while(|key| of(key)))
            .map(|(_, _, name)| name.as_str())
            .collect()
    }

    /// The contract of a stream that is there and right.
    pub fn contract(&self, namespace: &str, name: &str) -> Option<&Contract> {
        self.contracts.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Puts a contract in force in the place of the one that the spec describes.
    pub fn prevail(&mut self, stream: (String, String), contract: Contract) {
        self.contracts.insert(stream, contract);
    }

    /// DataStreams with contracts that are right.
    pub fn contracts(&self) -> impl Iterator<Item = (&Object, &Contract)> {
        self.contracts
            .iter()
            .filter_map(|((namespace, name), contract)| {
                Some((self.find("DataStream", namespace, name)?, contract))
            })
    }

    /// A stream.
    pub fn stream(&self, namespace: &str, name: &str) -> Option<&DataStream> {
        match &self.find("DataStream", namespace, name)?.typed {
            Some(Typed::DataStream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// A Platform.
    pub fn platform(&self, name: &str) -> Option<&Platform> {
        match &self.find("Platform", "", name)?.typed {
            Some(Typed::Platform(platform)) => Some(platform),
            _ => None,
        }
    }

    /// Pipelines that could be read into their type.
    pub fn pipelines(&self) -> impl Iterator<Item = (&Object, &Pipeline)> {
        self.objects
            .iter()
            .filter_map(|object| match &object.typed {
                Some(Typed::Pipeline(pipeline)) => Some((object, pipeline.as_ref())),
                _ => None,
            })
    }
}

impl World {
    /// QualityRules that could be read into their type.
    pub fn quality_rules(&self) -> impl Iterator<Item = (&Object, &QualityRule)> {
        self.objects
            .iter()
            .filter_map(|object| match &object.typed {
                Some(Typed::QualityRule(rule)) => Some((object, rule.as_ref())),
                _ => None,
            })
    }
}

/// Checks the files.
pub fn check(files: &[File], options: &Options) -> Checked {
    let mut checked = Checked {
        files: files.len(),
        ..Checked::default()
    };
    for file in files {
        read(file, options, &mut checked);
    }
    let Checked {
        world, findings, ..
    } = &mut checked;
    let rules = single::Rules::new();
    for object in &mut world.objects {
        findings.extend(rules.check(object));
    }
    index(world, findings);
    owned::add(world);
    streams::check(world, options, findings);
    let planned = pipelines::check(world, options, findings);
    cases::check(world, &planned, findings);
    grants::check(world, options, findings);
    replays::check(world, options, findings);
    rules::check(world, options, findings);
    loops::check(world, findings);
    policy::check(world, findings);
    namesakes::check(world, findings);
    owned::check(world, findings);
    for file in files {
        let Some(folder) = &file.built else { continue };
        let mut of_it = findings
            .iter_mut()
            .filter(|f| f.file == file.name)
            .peekable();
        if of_it.peek().is_some() {
            let sources = Sources::of(folder);
            of_it.for_each(|finding| sources.place(finding));
        }
    }
    // Files in the order in which they were named, and each from the top down.
    let order: BTreeMap<&str, usize> = files
        .iter()
        .enumerate()
        .map(|(at, file)| (file.name.as_str(), at))
        .collect();
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (order.get(f.file.as_str()).copied(), f.line, f.column);
        key(a).cmp(&key(b))
    });
    findings.dedup();
    checked
}

fn read(file: &File, options: &Options, checked: &mut Checked) {
    let (documents, flaws) = yaml::read(&file.text);
    let name: Rc<str> = Rc::from(file.name.as_str());
    if documents.is_empty() && flaws.is_empty() {
        checked.findings.push(Finding::of_file(
            Severity::Warning,
            &file.name,
            Place::default(),
            "the file is empty: fill or remove it".into(),
        ));
    }
    let mut ours = false;
    for node in documents {
        if matches!(node.content, yaml::Content::Null) {
            continue;
        }
        note_namespace(&node, &mut checked.world);
        note_config_map(&node, &options.namespace, &mut checked.world);
        let (objects, others) =
            object::sort(&name, node, &options.namespace, &mut checked.findings, 0);
        ours |= !objects.is_empty();
        checked.world.objects.extend(objects);
        checked.others += others;
    }
    for flaw in flaws {
        // A doubtful word in somebody else's file is not our business.
        if !flaw.fatal && !ours {
            continue;
        }
        let severity = if flaw.fatal {
            Severity::Error
        } else {
            Severity::Warning
        };
        checked.findings.push(Finding::of_file(
            severity,
            &file.name,
            flaw.place,
            flaw.message,
        ));
    }
}

/// A topic's policy selects namespaces by their labels.
fn note_namespace(node: &yaml::Node, world: &mut World) {
    let is = |key: &str, value: &str| node.get(key).and_then(yaml::Node::text) == Some(value);
    if !is("apiVersion", "v1") || !is("kind", "Namespace") {
        return;
    }
    let metadata = node.get("metadata");
    let Some(name) = metadata.and_then(|m| m.get("name")?.text()) else {
        return;
    };
    let labels = metadata.and_then(|m| m.get("labels")).map(|labels| {
        let entries = labels.entries().iter();
        entries
            .filter_map(|(key, value)| Some((key.name.clone(), value.text()?.to_owned())))
            .collect()
    });
    let mut labels: BTreeMap<String, String> = labels.unwrap_or_default();
    // Kubernetes gives it to every namespace.
    labels.insert("kubernetes.io/metadata.name".into(), name.to_owned());
    world.namespaces.insert(name.to_owned(), labels);
    let annotations = metadata.and_then(|m| m.get("annotations"));
    if let Some(named) = annotations.and_then(|a| a.get(ACCEPT_GRANTS)?.text()) {
        world.accepting.insert(name.to_owned(), named.to_owned());
    }
}

/// A stream's definition may need texts of ConfigMaps.
fn note_config_map(node: &yaml::Node, namespace: &str, world: &mut World) {
    let is = |key: &str, value: &str| node.get(key).and_then(yaml::Node::text) == Some(value);
    if !is("apiVersion", "v1") || !is("kind", "ConfigMap") {
        return;
    }
    let meta = |key: &str| node.get("metadata").and_then(|m| m.get(key)?.text());
    let Some(name) = meta("name") else {
        return;
    };
    let namespace = meta("namespace").unwrap_or(namespace);
    let data = node.get("data").map_or(&[][..], yaml::Node::entries).iter();
    let data = data.filter_map(|(key, value)| Some((key.name.clone(), value.text()?.to_owned())));
    let key = (namespace.to_owned(), name.to_owned());
    world.config_maps.insert(key, data.collect());
}

/// Makes the objects findable; two of one name are wrong.
fn index(world: &mut World, findings: &mut Vec<Finding>) {
    for (at, object) in world.objects.iter().enumerate() {
        if object.name.is_empty() {
            continue;
        }
        let key = (object.kind, object.namespace.clone(), object.name.clone());
        if let Some(first) = world.index.get(&key) {
            let first = &world.objects[*first];
            let same = first.value == object.value;
            let mut finding = object.wrong(
                "metadata.name",
                format!(
                    "this object stands already in {}{}: remove or rename one of the two",
                    first.whereabouts(),
                    if same { ", word for word" } else { "" }
                ),
            );
            // Whichever is applied last, the cluster has the same.
            if same && first.file != object.file {
                finding.severity = Severity::Warning;
            }
            findings.push(finding);
            continue;
        }
        world.index.insert(key, at);
    }
}

impl Checked {
    /// Errors among the findings.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.is_error()).count()
    }

    /// `checked 12 objects (3 DataStreams, …) in 5 files: no errors`.
    pub fn summary(&self) -> String {
        let count = |n: usize, one: &str| {
            let plural = if n == 1 { "" } else { "s" };
            format!("{n} {one}{plural}")
        };
        let kinds: Vec<String> = KINDS
            .iter()
            .filter_map(|kind| {
                let n = self
                    .world
                    .objects
                    .iter()
                    .filter(|o| o.kind == *kind)
                    .count();
                (n > 0).then(|| count(n, kind))
            })
            .collect();
        let kinds = if kinds.is_empty() {
            String::new()
        } else {
            format!(" ({})", kinds.join(", "))
        };
        let others = match self.others {
            0 => String::new(),
            n => format!(", {n} of other kinds not looked at"),
        };
        let errors = self.errors();
        let warnings = self.findings.len() - errors;
        format!(
            "checked {}{kinds} in {}{others}: {}, {}",
            count(self.world.objects.len(), "object"),
            count(self.files, "file"),
            count(errors, "error"),
            count(warnings, "warning")
        )
    }
}
