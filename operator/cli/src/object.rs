//! An object of ours as it stands in a file: its identity, its places and, once it is right, its type.

use std::rc::Rc;

use headworks_crds::{GROUP, SpecFault, VERSION, kinds};
use headworks_operator::controller::{PodRequest, Reconciler};
use headworks_operator::planning::uses::{StreamUse, UsesStreams};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::finding::{Finding, Severity, hint, nearest};
use crate::yaml::{Key, Node, Place, steps};

/// The kinds of ours, in the order in which they are told.
pub use headworks_crds::kinds::NAMES as KINDS;

/// An object of ours.
#[derive(Debug)]
pub struct Object {
    /// The file it stands in.
    pub file: Rc<str>,
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// Namespace; empty for a kind of the cluster's.
    pub namespace: String,
    /// Name; empty where it has none.
    pub name: String,
    /// With places.
    pub node: Node,
    /// As JSON.
    pub value: Value,
    /// Read into its type; absent while something is wrong with it.
    pub typed: Option<Typed>,
}

macro_rules! typed {
    ($(($kind:ident, $($facts:tt)*))*) => {
        /// An object in its type.
        #[derive(Debug)]
        pub enum Typed {
            $(
                #[doc = concat!("Of the kind ", stringify!($kind), ".")]
                $kind(Box<headworks_crds::$kind>),
            )*
        }

        impl Typed {
            /// Reads a value of one of [`KINDS`]; none: it is of no kind of ours.
            ///
            /// # Errors
            /// What doesn't fit the type, and where.
            pub fn read(kind: &str, value: &Value) -> Option<Result<Self, Unreadable>> {
                match kind {
                    $(stringify!($kind) => Some(read(value).map(Self::$kind)),)*
                    _ => None,
                }
            }

            /// What it asks for its pods; none for a kind without.
            pub fn pods(&self) -> Option<PodRequest<'_>> {
                match self {
                    $(Self::$kind(object) => object.pods(),)*
                }
            }

            /// How it uses the streams of its namespace.
            pub fn streams(&self) -> StreamUse {
                match self {
                    $(Self::$kind(object) => object.streams(),)*
                }
            }

            /// What is wrong with the spec by itself, beyond its schema.
            pub fn spec_faults(&self) -> Vec<SpecFault> {
                match self {
                    $(Self::$kind(object) => object.spec_faults(),)*
                }
            }
        }
    };
}
headworks_crds::for_each_kind!(typed);

/// Why a value doesn't fit its type.
pub type Unreadable = serde_path_to_error::Error<serde_json::Error>;

fn read<T: DeserializeOwned>(value: &Value) -> Result<Box<T>, Unreadable> {
    serde_path_to_error::deserialize(value).map(Box::new)
}

impl Object {
    /// `Kind namespace/name`.
    pub fn title(&self) -> String {
        let name = if self.name.is_empty() {
            "(without a name)"
        } else {
            &self.name
        };
        if self.namespace.is_empty() {
            format!("{} {name}", self.kind)
        } else {
            format!("{} {}/{name}", self.kind, self.namespace)
        }
    }

    /// `file:line` of where it begins.
    pub fn whereabouts(&self) -> String {
        format!("{}:{}", self.file, self.node.place.line)
    }

    /// Something wrong at a place.
    pub fn finding(&self, place: Place, field: &str, message: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Error,
            file: self.file.to_string(),
            line: place.line,
            column: place.column,
            object: self.title(),
            field: field.to_owned(),
            message: message.into(),
        }
    }

    /// Something wrong with the value at a path.
    pub fn wrong(&self, field: &str, message: impl Into<String>) -> Finding {
        self.finding(self.node.place_of(&steps(field)), field, message)
    }
}

/// Takes the objects of ours out of a document, and counts the others. `namespace` is for objects that name none.
pub fn sort(
    file: &Rc<str>,
    node: Node,
    namespace: &str,
    findings: &mut Vec<Finding>,
    depth: usize,
) -> (Vec<Object>, usize) {
    let word = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
    let (version, kind) = (word("apiVersion").to_owned(), word("kind").to_owned());
    let items = node.get("items").is_some();
    let (group, _) = version.split_once('/').unwrap_or(("", &version));
    let ours_list = group == GROUP && kind.ends_with("List");
    if items && depth < 4 && (ours_list || (kind == "List" && version == "v1")) {
        return open_list(file, node, namespace, findings, depth);
    }
    let mut complain = |key: &str, message: String| {
        let place = node.get(key).map_or(node.place, |n| n.place);
        let mut finding = Finding::of_file(Severity::Error, file, place, message);
        key.clone_into(&mut finding.field);
        findings.push(finding);
    };
    let known = KINDS.into_iter().find(|known| *known == kind);
    if group != GROUP {
        // Other projects have kinds of the same name, so only a near miss of our group is ours.
        let near = !group.is_empty() && nearest(group, [GROUP]).is_some();
        if near {
            complain(
                "apiVersion",
                format!("\"{version}\" is unknown; did you mean \"{GROUP}/{VERSION}\"?"),
            );
        } else if version.is_empty() && known.is_some() {
            complain(
                "apiVersion",
                format!("is missing: add apiVersion: {GROUP}/{VERSION}"),
            );
        }
        return (Vec::new(), 1);
    }
    if version != format!("{GROUP}/{VERSION}") {
        complain(
            "apiVersion",
            format!(
                "\"{version}\" is unknown to this version of headworks; write {GROUP}/{VERSION}"
            ),
        );
        return (Vec::new(), 1);
    }
    let Some(kind) = known else {
        let all = KINDS.join(", ");
        let meant = hint(&kind, KINDS);
        let message = match (kind.as_str(), meant.as_str()) {
            ("", _) => format!("is missing: the kinds are {all}"),
            (_, "") => format!("\"{kind}\" is unknown: the kinds are {all}"),
            _ => format!("\"{kind}\" is unknown{meant}"),
        };
        complain("kind", message);
        return (Vec::new(), 1);
    };
    let meta = |key: &str| {
        node.get("metadata")
            .and_then(|m| m.get(key))
            .and_then(Node::text)
    };
    let namespace = if kinds::named(kind).is_some_and(|kind| kind.namespaced) {
        meta("namespace").unwrap_or(namespace).to_owned()
    } else {
        String::new()
    };
    let object = Object {
        file: file.clone(),
        kind,
        namespace,
        name: meta("name").unwrap_or_default().to_owned(),
        value: node.to_json(),
        node,
        typed: None,
    };
    (vec![object], 0)
}

fn open_list(
    file: &Rc<str>,
    node: Node,
    namespace: &str,
    findings: &mut Vec<Finding>,
    depth: usize,
) -> (Vec<Object>, usize) {
    let crate::yaml::Content::Map(entries) = node.content else {
        return (Vec::new(), 1);
    };
    let list = entries
        .into_iter()
        .find(|(Key { name, .. }, _)| name == "items");
    let Some((
        _,
        Node {
            content: crate::yaml::Content::List(items),
            ..
        },
    )) = list
    else {
        return (Vec::new(), 1);
    };
    let (mut objects, mut others) = (Vec::new(), 0);
    for item in items {
        let (ours, count) = sort(file, item, namespace, findings, depth + 1);
        objects.extend(ours);
        others += count;
    }
    (objects, others)
}
