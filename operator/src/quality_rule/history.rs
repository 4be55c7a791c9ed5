//! The history of a rule's windows over the lives of the operator: a ConfigMap that the rule owns, `<rule>-history`, read once and
//! written whenever an hour is complete. What isn't written is at most the hour at hand.

use headworks_crds::QualityRule;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Resource, ResourceExt, runtime::reflector::ObjectRef};

use crate::{
    apply::child_meta,
    context::Context,
    names::{HISTORY_PART, Key, PART_LABEL},
    owned,
    retry::Error,
    rule_history::{History, compared},
};

/// Name of the file in the ConfigMap.
const FILE: &str = "history.json";

/// The ConfigMap's name.
pub fn name(rule: &Key) -> String {
    format!("{}-history", rule.name)
}

/// True: the rule has a check that compares a window with earlier ones.
pub fn is_needed(rule: &QualityRule) -> bool {
    let mut checks = rule.spec.checks.iter();
    checks.any(|check| compared(check, &rule.spec).is_some())
}

/// What was written down; nothing where that is of another rule, which had the name before.
///
/// # Errors
/// What the API server says: windows wait, since a history that is lost takes weeks to learn again.
pub async fn read(rule: &QualityRule, key: &Key, context: &Context) -> Result<History, Error> {
    let name = name(key);
    let place = ObjectRef::new(&name).within(&key.namespace);
    let held = context.stores.config_maps.get(&place);
    // The store holds no more of a namespace than its share.
    let map = if let Some(held) = held {
        Some((*held).clone())
    } else {
        let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &key.namespace);
        let found = api.get_opt(&name).await;
        found.map_err(|error| Error::api(&format!("reading ConfigMap {name}"), &error))?
    };
    Ok(map.map_or_else(History::default, |map| {
        of(&map, key, &rule.uid().unwrap_or_default())
    }))
}

/// What a ConfigMap holds of a rule with this UID.
fn of(map: &ConfigMap, rule: &Key, uid: &str) -> History {
    let ours = owned::is_child(&map.metadata, rule, uid);
    let text = map.data.as_ref().and_then(|data| data.get(FILE));
    match text {
        Some(text) if ours => History::read(text),
        _ => History::default(),
    }
}

/// Writes it down.
///
/// # Errors
/// `OwnedByAnother`; what the API server says.
pub async fn write(
    rule: &QualityRule,
    key: &Key,
    text: String,
    context: &Context,
) -> Result<(), Error> {
    let Some(map) = config_map(rule, key, text) else {
        return Ok(());
    };
    let uid = rule.uid().unwrap_or_default();
    context
        .apply(&context.stores.config_maps, &map, &uid)
        .await?;
    Ok(())
}

/// Takes away what was written down for checks that the rule hasn't any more.
///
/// # Errors
/// What the API server says.
pub async fn remove(rule: &QualityRule, key: &Key, context: &Context) -> Result<(), Error> {
    let place = ObjectRef::new(&name(key)).within(&key.namespace);
    let uid = rule.uid().unwrap_or_default();
    match context.stores.config_maps.get(&place) {
        Some(map) if owned::is_child(&map.metadata, key, &uid) => context.remove(&*map).await,
        _ => Ok(()),
    }
}

fn config_map(rule: &QualityRule, key: &Key, text: String) -> Option<ConfigMap> {
    let mut metadata = child_meta(name(key), key, rule.controller_owner_ref(&())?);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(PART_LABEL.into(), HISTORY_PART.into());
    Some(ConfigMap {
        metadata,
        data: Some([(FILE.to_owned(), text)].into()),
        ..ConfigMap::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(uid: &str) -> QualityRule {
        serde_json::from_value(json!({
            "metadata": {"name": "sane", "namespace": "shop", "uid": uid},
            "spec": {"stream": "orders", "window": "1h", "checks": [
                {"name": "volume", "anomaly": {}}, {"rowCount": {"min": 1}}]}}))
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read_by_the_same_rule_alone() {
        let (one, key) = (rule("u-1"), Key::new("QualityRule", "shop", "sane"));
        assert!(is_needed(&one));
        let mut history = History::default();
        let check = compared(&one.spec.checks[0], &one.spec).unwrap();
        history
            .judge(("volume", &check), (3_600_000, 3_600_000), "7.5")
            .unwrap();
        assert!(history.is_changed());
        let map = config_map(&one, &key, history.write()).unwrap();
        assert_eq!(map.name_any(), "sane-history");
        let read = of(&map, &key, "u-1");
        assert!(!read.is_empty());
        assert_eq!(read.write(), history.write());
        assert!(of(&map, &key, "u-2").is_empty());
        let other = Key::new("QualityRule", "shop", "insane");
        assert!(of(&map, &other, "u-1").is_empty());
    }
}
