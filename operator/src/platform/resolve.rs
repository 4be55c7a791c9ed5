//! What other kinds ask of a Platform: may this namespace use it, and what does it say.

use std::collections::BTreeMap;

use headworks_crds::{
    Platform,
    conditions::{READY, find},
};
use kube::{
    ResourceExt,
    core::{Selector, SelectorExt},
};

use crate::{context::Context, names::Key, reason::ConditionReason, retry::Error};

/// A Platform that a namespace may use.
#[derive(Clone, Debug)]
pub struct ResolvedPlatform {
    /// The Platform.
    pub platform: Platform,
    /// The installation's name in force.
    pub installation: String,
}

impl ResolvedPlatform {
    /// True: Kafka answered when it was last asked.
    pub fn ready(&self) -> bool {
        condition(&self.platform).is_some_and(|c| c.status == "True")
    }

    /// What others wait for while it isn't ready.
    pub fn not_ready(&self) -> Error {
        let why = condition(&self.platform).map_or_else(
            || "it wasn't looked at yet".to_owned(),
            |c| format!("{}: {}", c.reason, c.message),
        );
        Error::waiting(
            ConditionReason::PlatformNotReady,
            format!("Platform {} isn't ready: {why}", self.platform.name_any()),
        )
    }
}

fn condition(platform: &Platform) -> Option<&headworks_crds::Condition> {
    find(&platform.status.as_ref()?.conditions, READY)
}

/// True if a namespace with these labels may use the Platform. A selector that can't be read admits nobody.
pub fn admits(platform: &Platform, labels: &BTreeMap<String, String>) -> bool {
    match platform
        .spec
        .allowed_namespaces
        .clone()
        .map(Selector::try_from)
    {
        None => true,
        Some(selector) => selector.is_ok_and(|selector| selector.matches(labels)),
    }
}

/// The Platform of that name, if it exists and admits the namespace.
pub fn resolve_platform(
    context: &Context,
    name: &str,
    namespace: &str,
) -> Result<ResolvedPlatform, Error> {
    let Some(platform) = context.stores.platform(name) else {
        return Err(Error::missing(
            ConditionReason::PlatformNotFound,
            format!(
                "spec.platform: Platform {name} doesn't exist; make it or name another{}",
                context.stores.near_platform(name)
            ),
        ));
    };
    if platform.metadata.deletion_timestamp.is_some() {
        return Err(Error::waiting(
            ConditionReason::PlatformNotReady,
            format!("Platform {name} is being deleted"),
        ));
    }
    if let Some(selector) = platform.spec.allowed_namespaces.clone() {
        let selector = Selector::try_from(selector).map_err(|e| {
            Error::waiting(
                ConditionReason::PlatformNotReady,
                format!("Platform {name}: spec.allowedNamespaces isn't a label selector: {e}"),
            )
        })?;
        if !selector.matches(&context.stores.namespace_labels(namespace)) {
            return Err(Error::stalled(
                ConditionReason::NamespaceNotAllowed,
                format!(
                    "Platform {name} doesn't admit namespace {namespace}: give the namespace the labels {selector} that spec.allowedNamespaces asks for, or use another Platform"
                ),
            ));
        }
    }
    let installation = platform
        .status
        .as_ref()
        .and_then(|s| s.installation.clone());
    let resolved = ResolvedPlatform {
        platform,
        installation: installation.clone().unwrap_or_default(),
    };
    if installation.is_none() {
        Err(resolved.not_ready())
    } else {
        Ok(resolved)
    }
}

/// What a user of a Platform refers to.
pub fn platform_references(name: &str, namespace: &str) -> [Key; 2] {
    [
        Key::new("Platform", "", name),
        Key::new("Namespace", "", namespace),
    ]
}
