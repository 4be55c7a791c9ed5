//! The table of kinds as values. Whoever needs all of them goes through it, so that one that comes is one line in
//! [`crate::for_each_kind`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// A kind.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As it stands in `kind:`.
    pub name: &'static str,
    /// As it stands in a URL and in RBAC.
    pub plural: &'static str,
    /// True: its objects live in namespaces, and may own what lives there.
    pub namespaced: bool,
    /// True: other objects name one of it, and wait while it isn't there or isn't ready. Its deletion is told with who uses it.
    pub referred_to: bool,
    /// Its CRD, as its type says.
    pub crd: fn() -> CustomResourceDefinition,
}

macro_rules! kinds {
    ($(($kind:ident, plural: $plural:literal, namespaced: $namespaced:literal, referred_to: $referred_to:literal))*) => {
        /// All kinds, in the order in which they are told: one that others refer to comes before them.
        pub const KINDS: [Kind; [$($plural),*].len()] = [$(Kind {
            name: stringify!($kind),
            plural: $plural,
            namespaced: $namespaced,
            referred_to: $referred_to,
            crd: crate::$kind::crd,
        }),*];
    };
}
crate::for_each_kind!(kinds);

impl Kind {
    /// `platforms.headworks.dev`: the name of its CRD, and of the kind for kubectl.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.plural, crate::GROUP)
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
