//! Who takes part: each is one thing that Headworks does, with its YAML, its load where it has one of its own, and its verification, which
//! is computed from what is in the input topics. A new feature adds one here (see CONTRIBUTING.md).

mod access;
mod canaries;
mod feeds;
mod formats;
mod generated;
mod ingest;
mod joined;
mod looked_back;
mod monitored;
mod quality;
mod replayed;
mod stateless;
mod unnested;
mod upserts;
mod versions;
mod windows;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use headworks_e2e::{Cluster, Input, Verdict, Warehouse, pipeline};
use serde_json::Value;

pub use ingest::LATE;

/// Each kind, and the file with the contestant that has one: whatever there is takes part.
pub const OF_KINDS: [(&str, &str); 8] = [
    ("Platform", "mod.rs"),
    ("DataStream", "contestants/mod.rs"),
    ("DataStore", "mod.rs"),
    ("Source", "contestants/ingest.rs"),
    ("Pipeline", "contestants/stateless.rs"),
    ("Replay", "contestants/replayed.rs"),
    ("AccessGrant", "contestants/access.rs"),
    ("QualityRule", "contestants/quality.rs"),
];

/// The Platform that most of it is on: Kafka without a password, with a schema registry.
pub const PLATFORM: &str = "e2e-drill-plain";

/// The fields of the orders that the template `shop` makes.
pub const ORDER: [&str; 6] = [
    "order_id string",
    "user_id bigint",
    "items array<struct<sku string, qty int>>",
    "amount decimal(12,2)",
    "coupon string?",
    "placed_at timestamp_ltz(3)",
];

/// A Pipeline that is scaled, rolled, edited, suspended, and whose pods are killed.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// Its name.
    pub name: &'static str,
    /// It reads stream `a`, and so meets every bad record in it.
    pub reads_a: bool,
    /// It has windows: what comes too late is a dead letter.
    pub windows: bool,
    /// Two queries that give the same rows: an edit makes one of the other.
    pub same: Option<[&'static str; 2]>,
}

impl Runs {
    /// Reads `a`, no windows.
    pub const fn over_a(name: &'static str) -> Self {
        Self {
            name,
            reads_a: true,
            windows: false,
            same: None,
        }
    }

    /// Reads another stream.
    pub const fn other(name: &'static str) -> Self {
        Self {
            name,
            reads_a: false,
            windows: false,
            same: None,
        }
    }

    /// Reads `a`, in windows.
    pub const fn windowed(name: &'static str) -> Self {
        Self {
            name,
            reads_a: true,
            windows: true,
            same: None,
        }
    }
}

/// One that takes part.
pub trait Contestant {
    /// What it is called where it fails.
    fn name(&self) -> &'static str;
    /// Its objects, on [`PLATFORM`].
    fn yaml(&self) -> String;
    /// What it applies once its load is there.
    fn later(&self) -> String {
        String::new()
    }
    /// Its Pipelines.
    fn runs(&self) -> Vec<Runs> {
        Vec::new()
    }
    /// It is to change nothing by itself: what is looked at is what somebody else changes.
    fn hold_still(&mut self) {}
    /// All is Ready: its own load begins.
    fn begin(&mut self, _: &Cluster) {}
    /// The faults are over: its own load ends.
    fn end(&mut self, _: &Cluster) {}
    /// What should be there beside what is there. Asked again and again until all is clean, or time is up.
    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict>;
}

/// Everybody, for a run of so many seconds of faults.
pub fn all(c: &Cluster, seed: u64, seconds: u64) -> Vec<Box<dyn Contestant>> {
    vec![
        Box::new(ingest::Ingest::new(seed)),
        Box::new(stateless::Doubled),
        Box::new(stateless::Latest),
        Box::new(stateless::Union),
        Box::new(windows::Tumbling),
        Box::new(windows::Hopping),
        Box::new(windows::Cumulating),
        Box::new(windows::Sessions),
        Box::new(windows::Greatest),
        Box::new(joined::Joined),
        Box::new(joined::JoinedInWindows),
        Box::new(looked_back::LookedBack),
        Box::new(unnested::Unnested),
        Box::new(versions::Versions::new(seed)),
        Box::new(upserts::Newest),
        Box::new(upserts::Totals),
        Box::new(formats::Chain),
        Box::new(generated::Made::new(seed, seconds)),
        Box::new(replayed::Replayed),
        Box::new(access::Granted::new(c)),
        Box::new(feeds::Fed::new(c)),
        Box::new(quality::Judged::new(seed, seconds)),
        Box::new(canaries::Tried::default()),
        Box::new(monitored::Monitored::new(seed, seconds)),
    ]
}

/// What a verification may look at.
pub struct Seen<'a> {
    /// The cluster.
    pub c: &'a Cluster,
    /// PostgreSQL.
    pub warehouse: &'a Warehouse,
    /// Stream `a` and its dead letters, as they are now.
    pub input: &'a Input,
}

impl Seen<'_> {
    /// A Pipeline's name as dead letters say it.
    pub fn full(&self, pipeline: &str) -> String {
        format!("{}/{pipeline}", self.c.namespace)
    }

    /// A stream's records as JSON, less the ends.
    pub fn json(&self, stream: &str) -> Vec<Value> {
        let records = self.c.kafka.read(&self.c.topic(stream));
        records
            .iter()
            .filter(|record| !record.value.is_empty())
            .map(headworks_e2e::Record::json)
            .filter(|json| json["k"] != "end" && json["id"] != "end")
            .collect()
    }

    /// What a compacted stream says at last, by key; keys whose last record has no value are gone.
    pub fn last(&self, stream: &str) -> BTreeMap<Vec<u8>, Value> {
        let mut last = BTreeMap::new();
        for record in self.c.kafka.read(&self.c.topic(stream)) {
            let key = record.key.clone().unwrap_or_default();
            if record.value.is_empty() {
                last.remove(&key);
            } else {
                last.insert(key, record.json());
            }
        }
        last.retain(|_, json| json["k"] != "end");
        last
    }

    /// A table's rows; nothing where the database can't say.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.warehouse.ask(sql).unwrap_or_default()
    }
}

/// A field that is a number.
pub fn number(json: &Value, name: &str) -> i64 {
    json[name]
        .as_i64()
        .unwrap_or_else(|| panic!("{name} in {json}"))
}

/// A field that is text.
pub fn text(json: &Value, name: &str) -> String {
    let text = json[name].as_str();
    text.unwrap_or_else(|| panic!("{name} in {json}"))
        .to_owned()
}

/// A field that is a time, in milliseconds.
pub fn time(json: &Value, name: &str) -> i64 {
    headworks_e2e::millis(&text(json, name))
}

/// A stream; `fields` are `name type` (`name type?`: nullable), `more` is YAML lines under `spec`, indented by two.
pub fn stream(name: &str, fields: &[&str], key: &str, more: &str) -> String {
    let mut yaml = format!(
        "---\napiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: {PLATFORM}\n  partitions: 2\n{more}  key: [{key}]\n  schema:\n"
    );
    for field in fields {
        let (name, of) = field.split_once(' ').expect("a name and a type");
        let (of, nullable) = match of.strip_suffix('?') {
            Some(of) => (of, true),
            None => (of, false),
        };
        let _ = writeln!(
            yaml,
            "    - {{name: \"{name}\", type: \"{of}\", nullable: {nullable}}}"
        );
    }
    yaml
}

/// A Pipeline; `to` are targets in flow style, such as `{stream: b}`; `more` is YAML lines under `spec`, indented by two.
pub fn query(name: &str, sql: &str, to: &[&str], more: &str) -> String {
    let (head, _) = pipeline(name, sql, "x")
        .split_once("  to:\n")
        .map(|(head, rest)| (head.to_owned(), rest.to_owned()))
        .expect("a target");
    let head = head.replace(
        "  platform: e2e\n",
        // So many Pipelines' commits every 100 ms would take two cores for themselves.
        &format!("  platform: {PLATFORM}\n  commitInterval: 250ms\n{more}"),
    );
    format!("---\n{head}  to:\n    - {}\n", to.join("\n    - "))
}
