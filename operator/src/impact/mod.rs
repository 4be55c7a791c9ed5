//! The blast radius: whom a change of contracts breaks or alters, column by column.
//!
//! Two snapshots are compared, one as it is and one as it would be: each holds a namespace's streams with their contracts,
//! and the Pipelines, Sources and AccessGrants around them. Every Pipeline that reads or writes a changed stream, or is
//! downstream of one, is planned in both. So several changes of one commit are judged together: a reader that is
//! mended beside its stream isn't broken.
//!
//! Types end at the next stream, whose contract is its own; labels flow on through it ([`crate::planning::lineage`]). What comes to
//! nobody's notice otherwise, a table's columns and a client's code, is listed from the result's columns and from what
//! readers of the old contract can read.
//!
//! Pure: the operator fills a snapshot from its stores, the command line from files or a cluster.

mod affected;
mod analyze;
pub mod cluster;
mod dependents;
pub mod labels;
mod plans;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{
    AccessGrantSpec, Compatibility, DataStoreSpec, DataStreamSpec, PipelineSpec, QualityRuleSpec,
};
use headworks_plan::Contract;
use serde::Serialize;

pub use analyze::impact;

use crate::evolution;
pub use crate::planning::lineage::Name;
use crate::planning::uses::{RecordUse, StreamUse};

/// A stream as its readers see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// The contract in force, or, in a snapshot that would be, the one that its spec describes.
    pub contract: Contract,
    /// Number of the contract in force; none where nothing was accepted yet.
    pub version: Option<i32>,
    /// Contracts that were accepted before it, newest first, with their numbers.
    pub earlier: Vec<(i32, Contract)>,
    /// Which changes are accepted: of a contract in force, by the mode that it was accepted under.
    pub compatibility: Compatibility,
    /// Fingerprints that have permitted a change of it.
    pub used: Vec<String>,
    /// The object's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Labels that have come by lineage, by field, where they are known already.
    pub arrived: BTreeMap<String, BTreeSet<String>>,
}

/// Objects, as far as contracts matter to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogSnapshot {
    /// DataStreams.
    pub streams: BTreeMap<Name, Stream>,
    /// DataStreams that are there and of whose contract nothing is known yet: their texts are in ConfigMaps, or can't be read.
    pub unread: BTreeSet<Name>,
    /// Pipelines.
    pub pipelines: BTreeMap<Name, PipelineSpec>,
    /// Objects of other kinds that read or write whole records, such as Sources, by kind and name.
    pub records: BTreeMap<(&'static str, Name), RecordUse>,
    /// AccessGrants.
    pub grants: BTreeMap<Name, AccessGrantSpec>,
    /// QualityRules.
    pub rules: BTreeMap<Name, QualityRuleSpec>,
    /// DataStores.
    pub stores: BTreeMap<Name, DataStoreSpec>,
}

/// How hard something is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It no longer works as it is written.
    Broken,
    /// It works, and gives something else.
    Altered,
    /// It reads what changes, and stays as it is.
    Touched,
}

/// Something that a change hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// How hard.
    pub effect: Effect,
    /// Kind, or `Table`.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name; of a table `<store>.<table>`.
    pub name: String,
    /// What happens to it, each in a line.
    pub what: Vec<String>,
}

/// A changed contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Namespace of the stream.
    pub namespace: String,
    /// Name of the stream.
    pub name: String,
    /// Number of the contract in force, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<i32>,
    /// What changes, field by field.
    pub fields: Vec<String>,
    /// Why its `compatibility` refuses the change; empty where it doesn't.
    pub faults: Vec<String>,
    /// Fields that can't be read any more of the records that are in the topic.
    pub unreadable: Vec<String>,
    /// The change's fingerprint.
    pub change: String,
    /// True: the object's annotation permits it.
    pub permitted: bool,
    /// Which changes are accepted; two modes where the change is of the mode, too.
    pub compatibility: String,
}

/// Somebody to talk to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// As `spec.owner` says.
    pub owner: String,
    /// The streams, changed or hit.
    pub streams: Vec<String>,
}

/// All that a change does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Impact {
    /// Changed contracts.
    pub changes: Vec<Change>,
    /// What they hit: the broken first.
    pub items: Vec<Item>,
    /// Who answers for it.
    pub owners: Vec<Owner>,
    /// Labels that come by lineage to fields that clients read. In words they are among the items.
    #[serde(skip)]
    pub exposed: Vec<Exposure>,
}

/// A label that comes to a field that a client is let read, and none of the grant's exceptLabels covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The AccessGrant's name, in the stream's namespace.
    pub grant: String,
    /// The client, `namespace/name`.
    pub client: String,
    /// The stream.
    pub stream: String,
    /// Its field.
    pub field: String,
    /// The labels that come.
    pub labels: Vec<String>,
}

impl Change {
    /// True: refused, and not permitted.
    pub fn is_refused(&self) -> bool {
        !self.faults.is_empty() && !self.permitted
    }
}

impl Impact {
    /// True if something breaks, or a change is refused.
    pub fn breaks(&self) -> bool {
        self.changes.iter().any(Change::is_refused)
            || self.items.iter().any(|item| item.effect == Effect::Broken)
    }

    /// The items of one effect.
    pub fn of(&self, effect: Effect) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.effect == effect)
    }
}

impl CatalogSnapshot {
    /// Notes how an object of that kind uses streams.
    pub fn note(&mut self, kind: &'static str, name: Name, used: StreamUse) {
        match used {
            StreamUse::None => {}
            StreamUse::Query(spec, _) => {
                self.pipelines.insert(name, *spec);
            }
            StreamUse::Grant(spec) => {
                self.grants.insert(name, *spec);
            }
            StreamUse::Rule(spec) => {
                self.rules.insert(name, *spec);
            }
            StreamUse::Records(used) => {
                self.records.insert((kind, name), used);
            }
        }
    }

    /// Puts a stream's spec as it would be over what the snapshot knows of it.
    pub fn change(
        &mut self,
        name: &Name,
        spec: &DataStreamSpec,
        annotations: &BTreeMap<String, String>,
        contract: Contract,
    ) {
        let stream = self.streams.entry(name.clone()).or_default();
        stream.contract = contract;
        stream.compatibility = spec.compatibility;
        stream.owner.clone_from(&spec.owner);
        stream.annotations.clone_from(annotations);
    }
}

impl Stream {
    /// The contract with the labels that have come by lineage.
    pub fn effective(&self) -> Contract {
        let mut contract = self.contract.clone();
        for field in &mut contract.fields {
            if let Some(arrived) = self.arrived.get(&field.name) {
                field.labels.extend(arrived.iter().cloned());
                field.labels.sort();
                field.labels.dedup();
            }
        }
        contract
    }

    /// The accepted contracts, newest first; none where nothing was accepted.
    pub fn accepted(&self) -> Vec<evolution::Earlier<'_>> {
        let mut all = Vec::new();
        if let Some(version) = self.version {
            all.push(evolution::Earlier {
                version,
                contract: &self.contract,
            });
            all.extend(
                self.earlier
                    .iter()
                    .map(|(version, contract)| evolution::Earlier {
                        version: *version,
                        contract,
                    }),
            );
        }
        all
    }
}

#[cfg(test)]
mod tests;
