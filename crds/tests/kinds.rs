//! What a kind in the table must have elsewhere in the repository: in the charts, in the documentation, in the drill. Each fault names the
//! kind, the file, and what is missing there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use headworks_crds::{
    GROUP,
    kinds::{KINDS, Kind},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder whose names end so, with their text.
fn files(folder: &str, end: &str) -> Vec<String> {
    let (mut folders, mut all) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                all.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    all
}

/// `DataStream` as `data_stream`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// Without a fault nothing happens.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Rules about our group in a chart's template: what is granted, or asked, for each resource, by the template's sections. A section is
/// a `define`, or an object or webhook by its name.
#[derive(Default)]
struct Rules(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Rules {
    fn of(path: &str) -> Self {
        let (mut rules, mut section, mut ours) = (Self::default(), String::new(), false);
        let (mut resources, mut words) = (Vec::new(), Vec::new());
        for line in text(path).lines() {
            // `metadata.name`, or a webhook's: what is deeper is the name of something else.
            let name = line
                .strip_prefix("  name: ")
                .or_else(|| line.strip_prefix("  - name: "));
            let line = line.trim().trim_start_matches("- ");
            if let Some(name) = line.strip_prefix("{{- define \"") {
                name.split('"').next().unwrap().clone_into(&mut section);
            } else if let Some(name) = name {
                name.clone_into(&mut section);
            } else if let Some(groups) = line.strip_prefix("apiGroups: ") {
                ours = list(groups) == [GROUP];
                (resources, words) = (Vec::new(), Vec::new());
            } else if let Some(all) = line.strip_prefix("resources: ") {
                resources = list(all);
            } else if let Some(all) = line
                .strip_prefix("verbs: ")
                .or_else(|| line.strip_prefix("operations: "))
            {
                words = list(all);
            } else {
                continue;
            }
            if ours && !resources.is_empty() && !words.is_empty() {
                let of_section = rules.0.entry(section.clone()).or_default();
                for resource in resources.drain(..) {
                    let all = of_section.entry(resource).or_default();
                    all.extend(words.iter().cloned());
                }
                words.clear();
            }
        }
        rules
    }

    /// What these sections say of a resource together.
    fn words(&self, sections: &[&str], resource: &str) -> BTreeSet<String> {
        let sections = sections.iter().filter_map(|name| self.0.get(*name));
        let words = sections.filter_map(|resources| resources.get(resource));
        words.flatten().cloned().collect()
    }
}

/// `[a, b]`.
fn list(text: &str) -> Vec<String> {
    let inner = text.trim_start_matches('[').trim_end_matches(']');
    inner.split(',').map(|one| one.trim().to_owned()).collect()
}

/// Which verbs a chart must give for a resource, and which no more.
struct Wanted<'a> {
    path: &'a str,
    sections: &'a [&'a str],
    resource: String,
    words: &'a [&'a str],
}

impl Wanted<'_> {
    fn fault(&self, rules: &Rules) -> Option<String> {
        let wanted: BTreeSet<String> = self.words.iter().map(|&word| word.to_owned()).collect();
        let there = rules.words(self.sections, &self.resource);
        let missing: Vec<_> = wanted.difference(&there).cloned().collect();
        (!missing.is_empty()).then(|| {
            format!(
                "{}: {}: resource {} has no {}: add it to the line of the rule that gives the other kinds theirs",
                self.path,
                self.sections.join(" or "),
                self.resource,
                missing.join(", ")
            )
        })
    }
}

const OPERATOR: &str = "charts/headworks/templates/_rules.tpl";
const CLUSTER: &str = "charts/headworks/templates/cluster.yaml";
const USERS: &str = "charts/headworks/templates/users.yaml";
const WEBHOOK: &str = "charts/headworks/templates/webhook.yaml";

/// True: its CRD has the subresource `scale`.
fn scales(kind: &Kind) -> bool {
    let crd = (kind.crd)();
    let subresources = crd.spec.versions[0].subresources.as_ref();
    subresources.is_some_and(|all| all.scale.is_some())
}

#[test]
fn the_chart_gives_the_operator_its_rights_to_every_kind() {
    let (namespaced, cluster) = (Rules::of(OPERATOR), Rules::of(CLUSTER));
    let of_objects = ["headworks.rules.objects", "headworks.rules.grants"];
    let mut faults = Vec::new();
    for kind in KINDS {
        let (path, sections, rules) = if kind.namespaced {
            (OPERATOR, &of_objects[..], &namespaced)
        } else {
            (CLUSTER, &["headworks-operator"][..], &cluster)
        };
        let wanted = |sub: &str, words: &[&str]| {
            let wanted = Wanted {
                path,
                sections,
                resource: format!("{}{sub}", kind.plural),
                words,
            };
            wanted.fault(rules)
        };
        faults.extend(wanted("", &["get", "list", "watch", "patch"]));
        faults.extend(wanted("/status", &["patch"]));
        // Only what lives in namespaces owns anything.
        if kind.namespaced {
            faults.extend(wanted("/finalizers", &["update"]));
        }
    }
    none(&faults);
}

#[test]
fn the_chart_gives_users_their_rights_to_every_kind() {
    let rules = Rules::of(USERS);
    let mut faults = Vec::new();
    for kind in KINDS {
        let mut want = |section: &str, sub: &str, words: &[&str]| {
            let wanted = Wanted {
                path: USERS,
                sections: &[section],
                resource: format!("{}{sub}", kind.plural),
                words,
            };
            faults.extend(wanted.fault(&rules));
        };
        let see = ["get", "list", "watch"];
        if !kind.namespaced {
            want("headworks-platforms-view", "", &see);
            continue;
        }
        want("headworks-view", "", &see);
        want("headworks-view", "/status", &see);
        let write = ["create", "update", "patch", "delete", "deletecollection"];
        want("headworks-edit", "", &write);
        if scales(&kind) {
            want("headworks-edit", "/scale", &["get", "update", "patch"]);
        }
    }
    none(&faults);
}

#[test]
fn admission_is_asked_for_every_kind() {
    let rules = Rules::of(WEBHOOK);
    let mut faults = Vec::new();
    for kind in KINDS {
        let wanted = |section, words: &[&str]| {
            let wanted = Wanted {
                path: WEBHOOK,
                sections: &[section],
                resource: kind.plural.to_owned(),
                words,
            };
            wanted.fault(&rules)
        };
        faults.extend(wanted("validate.headworks.dev", &["CREATE", "UPDATE"]));
        if kind.referred_to {
            faults.extend(wanted("deletions.headworks.dev", &["DELETE"]));
        }
    }
    let asked = rules.0.get("deletions.headworks.dev").unwrap();
    for plural in asked.keys() {
        if !KINDS.iter().any(|k| k.plural == plural && k.referred_to) {
            faults.push(format!(
                "{WEBHOOK}: deletions.headworks.dev: nobody refers to {plural} (crds/src/lib.rs: referred_to)"
            ));
        }
    }
    none(&faults);
}

#[test]
fn the_charts_know_no_resource_of_ours_that_is_none() {
    let mut faults = Vec::new();
    for path in [OPERATOR, CLUSTER, USERS, WEBHOOK] {
        let rules = Rules::of(path);
        assert!(!rules.0.is_empty(), "{path}: rules are found");
        for resource in rules.0.values().flat_map(BTreeMap::keys) {
            let (plural, sub) = resource.split_once('/').unwrap_or((resource, ""));
            let known = KINDS.iter().find(|kind| kind.plural == plural);
            let fits = known.is_some_and(|kind| match sub {
                "scale" => scales(kind),
                sub => ["", "status", "finalizers"].contains(&sub),
            });
            if !fits {
                faults.push(format!("{path}: {resource} is no resource of ours"));
            }
        }
    }
    none(&faults);
}

#[test]
fn the_operator_may_read_the_version_of_every_crd() {
    let names: BTreeSet<String> = text(CLUSTER)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("resourceNames: ["))
        .flat_map(|names| list(names.trim_end_matches(']')))
        .filter(|name| name.ends_with(GROUP))
        .collect();
    let ours: BTreeSet<String> = KINDS.iter().map(Kind::full_name).collect();
    assert_eq!(
        names, ours,
        "{CLUSTER}: resourceNames of customresourcedefinitions"
    );
}

/// The document of each kind, by its place.
#[test]
fn every_kind_is_documented_shown_and_has_its_rooms() {
    let reference = text("docs/reference/kinds.md");
    let architecture = text("docs/ARCHITECTURE.md");
    let runbook = text("docs/runbooks/conditions.md");
    let (readme, concepts) = (text("README.md"), text("docs/concepts.md"));
    let rights = text("docs/rights.md");
    let examples = files("examples", ".yaml");
    let mut faults = Vec::new();
    for kind in KINDS {
        let (name, room) = (kind.name, snake(kind.name));
        let mut must = |there: bool, what: &str| {
            if !there {
                faults.push(format!("{name}: {what}"));
            }
        };
        must(
            reference.contains(&format!("\n## {name}\n")),
            "docs/reference/kinds.md has no page of it: `make crds`",
        );
        must(
            architecture.contains(&format!("\n- `{room}`: the kind {name}\n")),
            &format!(
                "docs/ARCHITECTURE.md has no line \"- `{room}`: the kind {name}\" below `crds`"
            ),
        );
        must(
            architecture.contains(&format!("\n- `{room}`: reconcile of {name}")),
            &format!(
                "docs/ARCHITECTURE.md has no line \"- `{room}`: reconcile of {name}…\" below `operator`"
            ),
        );
        must(
            root().join(format!("operator/src/{room}/mod.rs")).is_file(),
            &format!("it has no room operator/src/{room}"),
        );
        must(
            runbook
                .lines()
                .any(|line| line.starts_with("## ") && line.contains(name))
                || runbook
                    .lines()
                    .any(|line| line.starts_with('|') && line.contains(name)),
            "docs/runbooks/conditions.md has neither a section for it nor a row that tells of it",
        );
        must(
            examples.iter().any(|yaml| shows(yaml, name)),
            "no example shows one (examples/**.yaml)",
        );
        must(
            readme.contains(&format!("\n| `{name}` |")),
            "README.md's table of kinds has no row for it",
        );
        must(concepts.contains(name), "docs/concepts.md doesn't name it");
        must(rights.contains(name), "docs/rights.md doesn't name it");
    }
    none(&faults);
}

/// True: a YAML file has an object of that kind of ours.
fn shows(yaml: &str, name: &str) -> bool {
    yaml.split("\n---").any(|document| {
        let has = |line: &str| document.lines().any(|one| one == line);
        has(&format!("apiVersion: {GROUP}/{}", headworks_crds::VERSION))
            && has(&format!("kind: {name}"))
    })
}

const CONTESTANTS: &str = "e2e/tests/alone/drill/contestants/mod.rs";

#[test]
fn every_kind_takes_part_in_the_drill() {
    let list = text(CONTESTANTS);
    let (_, list) = list
        .split_once("pub const OF_KINDS")
        .expect("the list of kinds with their contestants");
    let list = list.split("];").next().unwrap();
    let mut faults = Vec::new();
    for kind in KINDS {
        let at = list.find(&format!("(\"{}\", \"", kind.name));
        let file = at.and_then(|at| list[at..].split('"').nth(3));
        match file {
            None => faults.push(format!(
                "{}: {CONTESTANTS}: OF_KINDS doesn't say which contestant has one",
                kind.name
            )),
            Some(file) => {
                let path = format!("e2e/tests/alone/drill/{file}");
                if !root().join(&path).is_file() {
                    faults.push(format!("{}: its contestant {path} isn't there", kind.name));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn a_room_is_called_as_its_kind() {
    assert_eq!(snake("AccessGrant"), "access_grant");
    assert_eq!(snake("Source"), "source");
}
