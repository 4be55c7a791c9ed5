use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde_json::json;

use super::*;

fn map(namespace: &str, name: &str, ours: bool) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": namespace, "labels": {"ours": ours.to_string()}, "managedFields": [{"manager": "x"}]},
        "data": {"a": "12345", "large": "x".repeat(100)},
    }))
    .unwrap()
}

type Seen = Arc<Mutex<Vec<String>>>;

fn keeper(bound: Bound) -> (Keeper<ConfigMap>, Store<ConfigMap>, Seen) {
    let seen = Seen::default();
    let told = seen.clone();
    let writer = Writer::<ConfigMap>::new(());
    let store = writer.as_reader();
    let rules = Rules {
        ours: |map: &ConfigMap| map.labels()["ours"] == "true",
        trim: |map: &mut ConfigMap| {
            map.data.get_or_insert_default().remove("large");
        },
        size: |map: &ConfigMap| map.data.iter().flatten().map(|(_, text)| text.len()).sum(),
        bound,
    };
    let on = Box::new(move |change: WatchEvent<ConfigMap>| {
        let (sign, map) = match change {
            WatchEvent::Applied(map) => ('+', map),
            WatchEvent::Removed(map) => ('-', map),
        };
        assert_ne!(map.name_any(), "poison", "a mistake of ours");
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(format!("{sign}{}", map.name_any()));
    });
    (Keeper::new(writer, rules, Arc::default(), on), store, seen)
}

fn drain(seen: &Seen) -> Vec<String> {
    let mut all = std::mem::take(&mut *seen.lock().unwrap());
    all.sort();
    all
}

#[test]
fn what_is_not_ours_is_not_held_and_wakes_nobody() {
    let (mut keeper, store, seen) = keeper(Bound::CHILDREN);
    keeper.take(Event::Init);
    keeper.take(Event::InitApply(map("shop", "a", true)));
    keeper.take(Event::InitApply(map("shop", "forged", false)));
    keeper.take(Event::InitDone);
    keeper.take(Event::Apply(map("shop", "forged", false)));
    keeper.take(Event::Delete(map("shop", "forged", false)));
    assert_eq!(drain(&seen), ["+a"]);
    assert_eq!(store.state().len(), 1);
    let held = store.state()[0].clone();
    assert!(
        held.data.as_ref().unwrap().get("large").is_none(),
        "trimmed"
    );
    assert!(held.metadata.managed_fields.is_none());
    // It is ours no longer: somebody took the reference away.
    keeper.take(Event::Apply(map("shop", "a", false)));
    assert_eq!(drain(&seen), ["-a"]);
    assert!(store.state().is_empty());
    let text = keeper.metrics.text();
    assert!(
        text.contains(r#"held_objects{kind="ConfigMap"} 0"#),
        "{text}"
    );
    assert!(
        text.contains(r#"dropped_objects_total{kind="ConfigMap",reason="foreign"} 3"#),
        "{text}"
    );
}

#[test]
fn a_namespace_of_many_objects_takes_no_room_from_others() {
    let bound = Bound {
        objects: 2,
        bytes: 1_000,
    };
    let (mut keeper, store, seen) = keeper(bound);
    keeper.take(Event::Init);
    for number in 0..50 {
        keeper.take(Event::InitApply(map("greedy", &format!("g{number}"), true)));
    }
    keeper.take(Event::InitApply(map("shop", "a", true)));
    keeper.take(Event::InitDone);
    assert_eq!(store.state().len(), 3);
    assert!(drain(&seen).contains(&"+a".to_owned()));
    keeper.take(Event::Apply(map("greedy", "more", true)));
    assert!(drain(&seen).is_empty());
    keeper.take(Event::Delete(map("greedy", "g0", true)));
    keeper.take(Event::Apply(map("greedy", "more", true)));
    assert_eq!(drain(&seen), ["+more", "-g0"]);
    assert!(
        keeper
            .metrics
            .text()
            .contains(r#"dropped_objects_total{kind="ConfigMap",reason="bound"} 49"#)
    );
}

#[test]
fn what_is_missing_from_a_new_list_is_gone_and_one_bad_object_stops_nobody() {
    let (mut keeper, store, seen) = keeper(Bound::CHILDREN);
    for name in ["a", "b", "poison"] {
        keeper.take(Event::Apply(map("shop", name, true)));
    }
    assert_eq!(drain(&seen), ["+a", "+b"]);
    keeper.take(Event::Init);
    keeper.take(Event::InitApply(map("shop", "poison", true)));
    keeper.take(Event::InitApply(map("shop", "b", true)));
    // A list that was begun and never completed counts for nothing.
    keeper.take(Event::Init);
    keeper.take(Event::InitApply(map("shop", "poison", true)));
    keeper.take(Event::InitApply(map("shop", "c", true)));
    keeper.take(Event::InitDone);
    assert_eq!(drain(&seen), ["+c", "-a", "-b"]);
    assert_eq!(store.state().len(), 2);
}
