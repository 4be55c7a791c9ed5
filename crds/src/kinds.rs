//! The table of kinds. Whoever needs all of them goes through it, so that one that comes is one line here.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{AccessGrant, DataStore, DataStream, Pipeline, Platform, Source};

/// A kind.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As it stands in `kind:`.
    pub name: &'static str,
    /// As it stands in a URL and in RBAC.
    pub plural: &'static str,
    /// True: its objects live in namespaces, and may own what lives there.
    pub namespaced: bool,
    /// Its CRD, as its type says.
    pub crd: fn() -> CustomResourceDefinition,
}

/// All kinds, in the order in which they are told: one that others refer to comes before them.
pub const KINDS: [Kind; 6] = [
    kind("Platform", "platforms", false, Platform::crd),
    kind("DataStream", "datastreams", true, DataStream::crd),
    kind("DataStore", "datastores", true, DataStore::crd),
    kind("Source", "sources", true, Source::crd),
    kind("Pipeline", "pipelines", true, Pipeline::crd),
    kind("AccessGrant", "accessgrants", true, AccessGrant::crd),
];

const fn kind(
    name: &'static str,
    plural: &'static str,
    namespaced: bool,
    crd: fn() -> CustomResourceDefinition,
) -> Kind {
    Kind {
        name,
        plural,
        namespaced,
        crd,
    }
}

/// The kind of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Their names, in the same order.
pub const NAMES: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = KINDS[at].name;
        at += 1;
    }
    names
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_the_types_say() {
        for (kind, name) in KINDS.iter().zip(NAMES) {
            let spec = (kind.crd)().spec;
            assert_eq!(
                (kind.name, kind.plural),
                (&*spec.names.kind, &*spec.names.plural)
            );
            assert_eq!(kind.namespaced, spec.scope == "Namespaced", "{name}");
            assert_eq!(named(name).map(|kind| kind.plural), Some(kind.plural));
        }
    }
}
