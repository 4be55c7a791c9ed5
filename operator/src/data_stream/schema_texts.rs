//! ConfigMaps with texts that a stream's definition needs, read one by one: they are users' own, and none of them is watched.
//!
//! What they hold is copied into the contract that is accepted. So a ConfigMap that changes, or goes, does nothing to what runs: a
//! changed text is a changed contract, looked at when the stream is looked at again ([`looked_at_again`]).

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use headworks_crds::{DataStream, DataStreamSpec, conditions::RECONCILING};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

use crate::{
    contract::references::{REFERENCES_BYTES, Texts, config_maps, inlined, keys},
    reason::ConditionReason,
    retry::Error,
    status::ReconcileOutcome,
};

/// A definition takes its texts from so many ConfigMaps: each look asks for all of them.
const CONFIG_MAPS: usize = 8;
/// The reason of a stream that waits for one.
const NOT_FOUND: ConditionReason = ConditionReason::SchemaTextNotFound;
/// So many keys besides are told to who names one that isn't there.
const OTHER_KEYS: usize = 8;
/// A stream whose definition needs ConfigMaps is looked at again after this long.
const RECHECK: Duration = Duration::from_secs(60);
/// One that waits for a ConfigMap at first: files are applied in any order.
const SOON: Duration = Duration::from_secs(10);
/// One that has waited long: the ConfigMap may never come, and each look asks the API server.
const LATE: Duration = Duration::from_secs(300);

/// What the ConfigMaps that specs of one stream name hold, by their names. Of each no more is kept than the texts that are named, and
/// the names of some other keys: a tenant's ConfigMaps are a mebibyte each, and many looks go on at once.
///
/// # Errors
/// `InvalidSchema`: more ConfigMaps or bytes than a definition may need; the API server doesn't give one.
pub async fn texts(
    client: &Client,
    namespace: &str,
    specs: &[&DataStreamSpec],
) -> Result<BTreeMap<String, Texts>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for spec in specs {
        let named = keys(spec);
        let maps = named.keys().len();
        if maps > CONFIG_MAPS {
            return Err(Error::stalled(
                ConditionReason::InvalidSchema,
                format!(
                    "the definition takes texts from {maps} ConfigMaps; {CONFIG_MAPS} is the most: put several texts into one"
                ),
            ));
        }
        for (name, keys) in named {
            wanted.entry(name).or_default().extend(keys);
        }
    }
    let mut room = REFERENCES_BYTES * specs.len();
    let mut all = BTreeMap::new();
    for (name, keys) in wanted {
        let map = api.get_opt(name).await.map_err(|error| {
            let what = format!("reading ConfigMap {namespace}/{name}");
            Error::api(&what, &error)
        })?;
        let kept = map.map(|map| kept(map.data.unwrap_or_default(), &keys));
        let bytes: usize = kept
            .iter()
            .flat_map(BTreeMap::values)
            .map(String::len)
            .sum();
        room = room.checked_sub(bytes).ok_or_else(|| {
            Error::stalled(
                ConditionReason::InvalidSchema,
                format!(
                    "the texts that the definition takes from ConfigMaps are more than {REFERENCES_BYTES} bytes: leave out what it doesn't need"
                ),
            )
        })?;
        all.insert(name.to_owned(), kept);
    }
    Ok(all)
}

/// The texts that are named; of the other keys some names, without their texts, for who looks for a misspelt one.
fn kept(mut data: BTreeMap<String, String>, named: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut others = 0;
    data.retain(|key, text| {
        if named.contains(key.as_str()) {
            return true;
        }
        text.clear();
        text.shrink_to_fit();
        others += 1;
        others <= OTHER_KEYS
    });
    data
}

/// The spec with the texts of its ConfigMaps in their place.
///
/// # Errors
/// `SchemaTextNotFound`: one isn't there.
pub(super) async fn resolve<'a>(
    client: &Client,
    namespace: &str,
    spec: &'a DataStreamSpec,
) -> Result<Cow<'a, DataStreamSpec>, Error> {
    if config_maps(spec).is_empty() {
        return Ok(Cow::Borrowed(spec));
    }
    let texts = texts(client, namespace, &[spec]).await?;
    inlined(spec, |name| texts.get(name).cloned().flatten())
        .map(Cow::Owned)
        .map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Error::missing(NOT_FOUND, faults.join("; ")).after(SOON)
        })
}

/// How long until a ConfigMap that isn't there is asked for again: as long again as the stream has waited by now, at most
/// five minutes.
fn patience(stream: &DataStream, now: Timestamp) -> Duration {
    let conditions = stream.status.iter().flat_map(|status| &status.conditions);
    let waiting = conditions
        .into_iter()
        .find(|condition| condition.type_ == RECONCILING && NOT_FOUND == condition.reason.as_str());
    let waited = waiting.map_or(Duration::ZERO, |condition| {
        let since = condition.last_transition_time.0;
        Duration::try_from(now.duration_since(since)).unwrap_or_default()
    });
    waited.clamp(SOON, LATE)
}

/// What came of a look at a stream: with the next one soon enough that a changed ConfigMap is noticed, where it needs any.
pub(super) fn looked_at_again(
    stream: &DataStream,
    outcome: Result<ReconcileOutcome, Error>,
) -> Result<ReconcileOutcome, Error> {
    if config_maps(&stream.spec).is_empty() {
        return outcome;
    }
    match outcome {
        Ok(outcome) => {
            let next = outcome.recheck.map_or(RECHECK, |next| next.min(RECHECK));
            Ok(outcome.recheck(next))
        }
        Err(error @ Error::Waiting { missing: true, .. }) if error.is(NOT_FOUND) => {
            Err(error.after(patience(stream, Timestamp::now())))
        }
        // The text in the ConfigMap may be what is wrong.
        Err(error @ Error::Stalled { recheck: None, .. }) => Err(error.after(RECHECK)),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::context::testing;

    fn stream(imports: &serde_json::Value) -> DataStream {
        serde_json::from_value(
            json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
            "metadata": {"name": "orders", "namespace": "shop"}, "spec": {"format": "Protobuf",
            "protobuf": {"schema": "message A {}", "imports": imports}}}),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn a_config_map_that_is_not_there_is_waited_for() {
        let (context, calls) = testing::context(testing::stores());
        let named = stream(
            &json!([{"name": "a.proto", "configMap": {"name": "protos", "key": "a"}},
            {"name": "b.proto", "configMap": {"name": "protos", "key": "b"}}]),
        );
        let error = resolve(&context.client, "shop", &named.spec)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "SchemaTextNotFound");
        assert!(
            matches!(&error, Error::Waiting { missing: true, after, .. } if *after == SOON),
            "{error:?}"
        );
        let asked = testing::calls(&calls, "GET");
        assert_eq!(asked, ["/api/v1/namespaces/shop/configmaps/protos"]);
        // A spec that names none asks for nothing.
        let plain = stream(&json!([{"name": "a.proto", "text": "x"}]));
        let resolved = resolve(&context.client, "shop", &plain.spec).await.unwrap();
        assert!(matches!(resolved, Cow::Borrowed(_)));
        assert_eq!(testing::calls(&calls, "GET").len(), 1);
    }

    #[test]
    fn a_config_map_that_never_comes_is_asked_for_less_and_less() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut waiting =
            stream(&json!([{"name": "a.proto", "configMap": {"name": "protos", "key": "a"}}]));
        let again = |stream: &DataStream, after: i64| {
            patience(stream, start + jiff::SignedDuration::from_secs(after)).as_secs()
        };
        assert_eq!(again(&waiting, 0), 10);
        waiting.status = serde_json::from_value(json!({"conditions": [{"type": "Reconciling", "status": "True",
            "reason": "SchemaTextNotFound", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}))
        .unwrap();
        let waits = [0, 10, 60, 200, 3_600].map(|after| again(&waiting, after));
        assert_eq!(waits, [10, 10, 60, 200, 300]);
        assert_eq!(again(&waiting, -60), 10, "clocks differ");
        let missing = Err(Error::missing(NOT_FOUND, ""));
        let error = looked_at_again(&waiting, missing).unwrap_err();
        assert!(
            matches!(error, Error::Waiting { after, .. } if after == LATE),
            "{error:?}"
        );
    }

    #[test]
    fn of_a_config_map_no_more_is_kept_than_what_is_named() {
        let large = "x".repeat(1 << 20);
        let data: BTreeMap<String, String> = (0..20)
            .map(|at| (format!("k{at:02}"), large.clone()))
            .collect();
        let kept = kept(data, &BTreeSet::from(["k00", "k19"]));
        assert_eq!(kept.len(), 2 + OTHER_KEYS);
        assert_eq!((kept["k00"].len(), kept["k19"].len()), (1 << 20, 1 << 20));
        assert_eq!(kept["k01"].capacity(), 0);
    }

    #[tokio::test]
    async fn a_look_asks_for_a_few_config_maps_only() {
        let (context, calls) = testing::context(testing::stores());
        let imports: Vec<serde_json::Value> = (0..=CONFIG_MAPS)
            .map(|at| json!({"name": format!("{at}.proto"), "configMap": {"name": format!("m{at}"), "key": "a"}}))
            .collect();
        let named = stream(&json!(imports));
        let error = resolve(&context.client, "shop", &named.spec)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "InvalidSchema");
        assert!(error.message().contains("9 ConfigMaps"), "{error:?}");
        assert!(testing::calls(&calls, "GET").is_empty());
    }

    #[test]
    fn a_changed_config_map_is_noticed_although_nothing_watches_it() {
        let named =
            stream(&json!([{"name": "a.proto", "configMap": {"name": "protos", "key": "a"}}]));
        let plain = stream(&json!([]));
        let ready =
            || Ok(ReconcileOutcome::ready(ConditionReason::TopicReady, "").recheck(RECHECK * 5));
        assert_eq!(
            looked_at_again(&named, ready()).unwrap().recheck,
            Some(RECHECK)
        );
        assert_eq!(
            looked_at_again(&plain, ready()).unwrap().recheck,
            Some(RECHECK * 5)
        );
        let refused = || Err(Error::stalled(ConditionReason::IncompatibleContract, ""));
        let error = looked_at_again(&named, refused()).unwrap_err();
        assert!(matches!(
            error,
            Error::Stalled {
                recheck: Some(_),
                ..
            }
        ));
        let error = looked_at_again(&plain, refused()).unwrap_err();
        assert!(matches!(error, Error::Stalled { recheck: None, .. }));
    }
}
