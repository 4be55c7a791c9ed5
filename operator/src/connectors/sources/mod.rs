//! The kinds of sources. A kind is one file here: the struct of its spec says what it is by [`SourceConnector`], and a line of
//! [`KINDS`] where in a Source's spec it stands.

mod generate;
mod http;
mod websocket;

use headworks_crds::{HttpService, SourceSpec};
use headworks_plan::SourceConnection;

use crate::{
    mounts::{Mounted, NeededSecret},
    names::Key,
    reason::{ConditionReason, ConnectorReason},
    retry::Error,
    security::Open,
};

/// Every kind of source.
pub const KINDS: &[SourceKind] = &[http::KIND, generate::KIND, websocket::KIND];

/// A kind of source.
pub struct SourceKind {
    /// The field of a Source's spec, such as `http`.
    pub field: &'static str,
    /// The words that the operator says of this kind alone.
    pub reasons: &'static [ConnectorReason],
    /// The source, where the spec has one of this kind.
    of: fn(&SourceSpec) -> Option<&dyn SourceConnector>,
}

/// Whose source it is.
pub struct Owner<'a> {
    /// The Source.
    pub key: &'a Key,
    /// The Platform's installation: what names in Kafka begin with.
    pub installation: &'a str,
    /// Name of the DataStream that records go into.
    pub into: &'a str,
}

/// How many pods a source may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// As many as the spec says; a roll-out never has fewer that are ready than before.
    Several,
    /// One at most, also while they are rolled.
    One,
}

/// A source, by its spec.
pub trait SourceConnector {
    /// What is wrong with the spec beyond what its schema says. `into` is the stream's name.
    ///
    /// # Errors
    /// What is wrong, with the field and the remedy.
    fn check(&self, _into: &str) -> Result<(), String> {
        Ok(())
    }

    /// What the plan says of it.
    ///
    /// # Errors
    /// As [`SourceConnector::check`].
    fn connect(&self, owner: &Owner<'_>) -> Result<SourceConnection, String>;

    /// How many pods it may have.
    fn pods(&self) -> Pods;

    /// What the status says while it is suspended.
    fn suspended(&self) -> &'static str;

    /// Secrets that its pods read.
    fn secrets(&self) -> Vec<NeededSecret> {
        Vec::new()
    }

    /// Where the files of those are.
    fn volumes(&self) -> Vec<Mounted> {
        Vec::new()
    }

    /// The largest request that a pod takes, in bytes.
    fn body(&self) -> u64 {
        0
    }

    /// Present: the pods listen at the HTTP port, and this Service stands in front of them.
    fn service(&self) -> Option<HttpService> {
        None
    }

    /// Where to send records, if they are sent.
    fn address(&self, _key: &Key) -> Option<String> {
        None
    }

    /// What it leaves open to others.
    fn open(&self) -> Option<Open> {
        None
    }
}

/// The spec's source.
///
/// # Errors
/// `InvalidSpec`: it has none, or several.
pub fn connector(spec: &SourceSpec) -> Result<&dyn SourceConnector, Error> {
    let mut found = KINDS.iter().filter_map(|kind| (kind.of)(spec));
    if let (Some(one), None) = (found.next(), found.next()) {
        return Ok(one);
    }
    let fields: Vec<&str> = KINDS.iter().map(|kind| kind.field).collect();
    Err(invalid(format!(
        "spec: a Source needs exactly one way in: {}",
        fields.join(" or ")
    )))
}

/// Checks that there is one way in, and that what it says goes together.
///
/// # Errors
/// `InvalidSpec`, with the place in the spec and the remedy.
pub fn check(spec: &SourceSpec) -> Result<(), Error> {
    connector(spec)?.check(&spec.into).map_err(invalid)
}

/// What the plan says of the spec's source.
///
/// # Errors
/// As [`check`].
pub fn connect(
    spec: &SourceSpec,
    key: &Key,
    installation: &str,
) -> Result<SourceConnection, Error> {
    let owner = Owner {
        key,
        installation,
        into: &spec.into,
    };
    connector(spec)?.connect(&owner).map_err(invalid)
}

/// The Secrets that the spec names.
pub fn secrets(spec: &SourceSpec) -> Vec<NeededSecret> {
    connector(spec).map_or_else(|_| Vec::new(), SourceConnector::secrets)
}

/// What a source leaves open to others.
pub fn open(spec: &SourceSpec) -> Option<Open> {
    connector(spec).ok()?.open()
}

fn invalid(message: String) -> Error {
    Error::stalled(ConditionReason::InvalidSpec, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spec_without_a_way_in_or_with_two_is_told_which_there_are() {
        let made_up = json!({"recordsPerSecond": "1"});
        for spec in [
            json!({"into": "a"}),
            json!({"into": "a", "http": {}, "generate": made_up}),
        ] {
            let error = check(&serde_json::from_value(spec).unwrap()).unwrap_err();
            assert_eq!(error.reason(), "InvalidSpec");
            let fields = KINDS
                .iter()
                .all(|kind| error.message().contains(kind.field));
            assert!(fields, "{error}");
        }
    }
}
