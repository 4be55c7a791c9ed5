//! Are the CRDs of the operator's version? They come by a chart of their own, which is upgraded by hand: with older ones the API
//! server drops fields that users write, with newer ones the operator doesn't know what it reads.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use headworks_crds::{VERSION_LABEL, manifest};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};

use crate::reason::ConditionReason;

/// This operator's version.
const OURS: &str = env!("CARGO_PKG_VERSION");
/// An answer holds for so long.
const MEMORY: Duration = Duration::from_secs(300);

/// A reason in one word, and what is to be done.
pub type Mismatch = (ConditionReason, String);

/// The last answer.
#[derive(Default)]
pub struct CrdVersions(Mutex<Option<(Instant, Option<Mismatch>)>>);

impl CrdVersions {
    /// What doesn't fit, if the API server says so. Where it doesn't let us look nothing is said but in the log.
    pub async fn look(&self, client: &Client) -> Option<Mismatch> {
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((_, found)) = known.clone().filter(|(at, _)| at.elapsed() < MEMORY) {
            return found;
        }
        let found = match live(client).await {
            Ok(versions) => compare(&versions, OURS),
            Err(error) => {
                tracing::warn!(%error, "the CRDs' version can't be read");
                known.and_then(|(_, found)| found)
            }
        };
        if let Some((reason, message)) = &found {
            tracing::error!(reason = reason.as_str(), "{message}");
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Instant::now(), found.clone()));
        found
    }
}

/// Version of each CRD in the cluster; none where it doesn't say.
async fn live(client: &Client) -> kube::Result<BTreeMap<String, Option<String>>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut versions = BTreeMap::new();
    for crd in manifest::all() {
        let name = crd.name_any();
        if let Some(meta) = api.get_metadata_opt(&name).await? {
            versions.insert(name, meta.labels().get(VERSION_LABEL).cloned());
        }
    }
    Ok(versions)
}

/// What doesn't fit, with the remedy.
fn compare(found: &BTreeMap<String, Option<String>>, ours: &str) -> Option<Mismatch> {
    let compared = |version: &Option<String>| {
        let version = version.as_deref()?;
        Some(numbers(version).cmp(&numbers(ours)))
    };
    let of = |wanted: Option<Ordering>| -> Vec<String> {
        found
            .iter()
            .filter(|(_, version)| compared(version) == wanted)
            .map(|(name, version)| {
                format!("{name} ({})", version.as_deref().unwrap_or("no version"))
            })
            .collect()
    };
    let newer = of(Some(Ordering::Greater));
    if !newer.is_empty() {
        return Some((
            ConditionReason::CrdsNewer,
            format!(
                "the operator is of version {ours} and these CRDs are newer: {}; what they say beyond it is passed over or refused: upgrade the operator (helm upgrade of the chart headworks)",
                newer.join(", ")
            ),
        ));
    }
    let mut older = of(Some(Ordering::Less));
    older.extend(of(None));
    (!older.is_empty()).then(|| {
        (
            ConditionReason::CrdsOlder,
            format!(
                "the operator is of version {ours} and these CRDs are older: {}; the API server drops or refuses the fields that they don't have: upgrade them (helm upgrade of the chart headworks-crds)",
                older.join(", ")
            ),
        )
    })
}

/// `1.10.2-rc1` as numbers; a pre-release counts as its release.
fn numbers(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let parts = release.trim_start_matches('v').split('.');
    parts.map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_named_with_the_chart_to_upgrade() {
        let of = |version: Option<&str>| {
            let one = (
                "pipelines.headworks.dev".to_owned(),
                version.map(str::to_owned),
            );
            compare(&[one].into(), "1.10.0")
        };
        assert_eq!(of(Some("1.10.0")), None);
        assert_eq!(compare(&BTreeMap::new(), "1.10.0"), None);
        for (version, reason, word) in [
            (
                Some("1.9.3"),
                ConditionReason::CrdsOlder,
                "pipelines.headworks.dev (1.9.3)",
            ),
            (None, ConditionReason::CrdsOlder, "no version"),
            (
                Some("1.10.1"),
                ConditionReason::CrdsNewer,
                "pipelines.headworks.dev (1.10.1)",
            ),
            (
                Some("2.0.0"),
                ConditionReason::CrdsNewer,
                "chart headworks)",
            ),
        ] {
            let (said, message) = of(version).unwrap();
            assert_eq!(said, reason);
            assert!(
                message.contains(word) && message.contains("1.10.0"),
                "{message}"
            );
        }
    }

    #[test]
    fn the_chart_s_crds_say_their_version() {
        for crd in manifest::all() {
            assert_eq!(
                crd.labels().get(VERSION_LABEL).map(String::as_str),
                Some(OURS)
            );
        }
    }
}
