//! Whether a desired object is already part of a live one.
//!
//! The API server fills in defaults, drops some of what says nothing and rewrites quantities, so equality would never hold and a
//! plain apply would be a write each time. Desired is a subset when everything it says is said by the live object too, after
//! three normalisations: what the API server drops equals what is absent, `1Gi` equals `1024Mi` where a quantity stands, and
//! items of lists that Kubernetes keys (containers, ports, volumes …) are found by key, so that an item added by an admission
//! webhook doesn't count.
//!
//! What the API server drops follows from its Go types. A pointer keeps what was said, also `false`, `0` and `""`: that is how
//! `automountServiceAccountToken: false` differs from nothing, which means true. So `false` equals absent only for the fields
//! listed here, which are no pointers; an empty list or map is dropped everywhere.

use serde_json::{Map, Value};

/// Keys by which Kubernetes merges lists of objects, tried in this order.
const LIST_KEYS: [&str; 5] = ["name", "mountPath", "containerPort", "port", "type"];
/// Booleans and numbers that are no pointers and so are dropped where they are `false` or 0, which is what absent means.
const DROPPED: [&str; 10] = [
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "minReadySeconds",
    "paused",
    "publishNotReadyAddresses",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
];
/// Fields whose empty value is a choice: `emptyDir: {}` is a volume, `namespaceSelector: {}` selects all namespaces (absent: only
/// its own), `storageClassName: ""` is no class (absent: the default one).
const CHOICES: [&str; 4] = [
    "emptyDir",
    "namespaceSelector",
    "podSelector",
    "storageClassName",
];
/// Maps whose keys are the user's: an entry with an empty value is an entry.
const MAPS: [&str; 9] = [
    "annotations",
    "binaryData",
    "config",
    "data",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "requests",
];
/// Maps of quantities, and fields that hold one.
const QUANTITIES: [&str; 4] = ["divisor", "limits", "requests", "sizeLimit"];

/// True if everything `desired` says is already so in `live`.
pub fn is_subset(desired: &Value, live: &Value) -> bool {
    is_so("", desired, Some(live), false)
}

/// Whether the field of that name is so. `quantity_here`: a quantity stands here.
fn is_so(name: &str, desired: &Value, live: Option<&Value>, quantity_here: bool) -> bool {
    let Some(live) = live else {
        return says_nothing(name, desired);
    };
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => desired.iter().all(|(key, value)| {
            let there = live.get(key);
            if MAPS.contains(&name) && there.is_none() {
                return value.is_null();
            }
            let quantity = QUANTITIES.contains(&name) || QUANTITIES.contains(&key.as_str());
            is_so(key, value, there, quantity)
        }),
        (Value::Array(desired), Value::Array(live)) => list_is_subset(desired, live),
        (desired, live) if desired == live => true,
        (desired, live) if says_nothing(name, desired) && says_nothing(name, live) => true,
        (desired, live) if quantity_here => {
            let (one, other) = (quantity(desired), quantity(live));
            one.is_some() && one == other
        }
        // `5` and `"5"`: Strimzi takes both for a setting.
        (Value::Number(number), Value::String(text))
        | (Value::String(text), Value::Number(number)) => number.to_string() == *text,
        _ => false,
    }
}

fn list_is_subset(desired: &[Value], live: &[Value]) -> bool {
    if let Some(key) = list_key(desired).or_else(|| list_key(live)) {
        return desired.iter().all(|item| {
            live.iter()
                .any(|there| there.get(key) == item.get(key) && is_subset(item, there))
        });
    }
    desired.len() == live.len()
        && desired
            .iter()
            .zip(live)
            .all(|(item, there)| is_subset(item, there))
}

/// The key that every item of a list has, if there is one.
fn list_key(items: &[Value]) -> Option<&'static str> {
    let objects: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
    if objects.is_empty() || objects.len() != items.len() {
        return None;
    }
    LIST_KEYS
        .into_iter()
        .find(|key| objects.iter().all(|object| object.contains_key(*key)))
}

/// True if the API server drops the field where it has this value, so that it is as if it were absent.
fn says_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth && DROPPED.contains(&name),
        Value::Number(number) => number.as_i64() == Some(0) && DROPPED.contains(&name),
        Value::String(text) => text.is_empty() && !CHOICES.contains(&name),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) if MAPS.contains(&name) => fields.is_empty(),
        Value::Object(fields) => {
            !CHOICES.contains(&name) && fields.iter().all(|(key, field)| says_nothing(key, field))
        }
    }
}

/// Suffixes of quantities, with what they mean in thousand-millionths, by which Kubernetes counts.
const SUFFIXES: [(&str, i128); 15] = [
    ("Ki", NANO << 10),
    ("Mi", NANO << 20),
    ("Gi", NANO << 30),
    ("Ti", NANO << 40),
    ("Pi", NANO << 50),
    ("Ei", NANO << 60),
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("k", NANO * 1_000),
    ("M", NANO * 1_000_000),
    ("G", NANO * 1_000_000_000),
    ("T", NANO * 1_000_000_000_000),
    ("P", NANO * 1_000_000_000_000_000),
    ("E", NANO * 1_000_000_000_000_000_000),
];
const NANO: i128 = 1_000_000_000;

/// A Kubernetes quantity in thousand-millionths, from a string such as `250m`, `1Gi`, `1e3`, `0.1` or a number. What is finer
/// than that Kubernetes rounds up.
pub fn quantity(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let suffixed = SUFFIXES
        .into_iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)));
    let (number, factor) = suffixed.unwrap_or((&text, NANO));
    // An exponent stands in place of a suffix.
    let (digits, exponent) = match number.split_once(['e', 'E']) {
        Some((digits, exponent)) if suffixed.is_none() => (digits, exponent.parse().ok()?),
        Some(_) => return None,
        None => (number, 0),
    };
    scaled(digits, exponent, factor)
}

/// `digits` × 10^`exponent` × `factor`, rounded away from 0 as Kubernetes does.
fn scaled(digits: &str, exponent: i32, factor: i128) -> Option<i128> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let all = format!("{whole}{fraction}");
    if all.len() > 30 || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = all.parse::<i128>().ok()?.checked_mul(factor)?;
    let power = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let ten = 10_i128.checked_pow(power.unsigned_abs());
    let value = match (ten, power < 0) {
        (Some(ten), false) => value.checked_mul(ten)?,
        (Some(ten), true) => value / ten + i128::from(value % ten != 0),
        (None, true) => i128::from(value != 0),
        (None, false) => return None,
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_filled_in_by_the_api_server_do_not_count() {
        let desired = json!({"spec": {"containers": [{"name": "a", "image": "i", "env": []}], "hostNetwork": false}});
        let live = json!({"spec": {"containers": [{"name": "a", "image": "i", "terminationMessagePath": "/dev/log"}], "dnsPolicy": "ClusterFirst"}});
        assert!(is_subset(&desired, &live));
    }

    /// Each row: desired, live, and whether nothing needs to be written.
    #[test]
    fn what_is_absent_equals_only_what_the_api_server_drops() {
        for (desired, live, same) in [
            // Pointers: absent means true, so somebody took our false away.
            (
                json!({"automountServiceAccountToken": false}),
                json!({}),
                false,
            ),
            (json!({"allowPrivilegeEscalation": false}), json!({}), false),
            (json!({"enableServiceLinks": false}), json!({}), false),
            (
                json!({"automountServiceAccountToken": false}),
                json!({"automountServiceAccountToken": null}),
                false,
            ),
            (
                json!({"automountServiceAccountToken": false}),
                json!({"automountServiceAccountToken": false}),
                true,
            ),
            (
                json!({"automountServiceAccountToken": false}),
                json!({"automountServiceAccountToken": true}),
                false,
            ),
            // Pointers to numbers: 0 is kept, and absent means 1.
            (json!({"replicas": 0}), json!({}), false),
            (json!({"replicas": 0}), json!({"replicas": 0}), true),
            (json!({"replicas": 0}), json!({"replicas": 1}), false),
            // No pointers: dropped, and absent means the same.
            (json!({"hostNetwork": false}), json!({}), true),
            (json!({"readOnly": false}), json!({}), true),
            (json!({"readOnly": true}), json!({}), false),
            (json!({"minReadySeconds": 0}), json!({}), true),
            (json!({"minReadySeconds": 1}), json!({}), false),
            // A custom resource keeps all that is said.
            (json!({"suspend": false}), json!({"suspend": false}), true),
            (json!({"suspend": false}), json!({"suspend": true}), false),
            (json!({"suspend": false}), json!({}), false),
            // Empty lists, maps and texts are dropped.
            (
                json!({"args": [], "nodeSelector": {}, "value": ""}),
                json!({}),
                true,
            ),
            (
                json!({"resources": {"limits": {}}}),
                json!({"resources": {}}),
                true,
            ),
            (json!({"securityContext": {}}), json!({}), true),
            (json!({"args": []}), json!({"args": ["x"]}), false),
            // But not where empty is a choice.
            (json!({"emptyDir": {}}), json!({}), false),
            (json!({"emptyDir": {}}), json!({"emptyDir": {}}), true),
            (
                json!({"namespaceSelector": {}}),
                json!({"podSelector": {}}),
                false,
            ),
            (json!({"storageClassName": ""}), json!({}), false),
            // An entry of a map is there or it isn't, whatever its value.
            (
                json!({"nodeSelector": {"node-role.kubernetes.io/worker": ""}}),
                json!({}),
                false,
            ),
            (
                json!({"nodeSelector": {"node-role.kubernetes.io/worker": ""}}),
                json!({"nodeSelector": {"disk": "ssd"}}),
                false,
            ),
            (
                json!({"labels": {"tier": ""}}),
                json!({"labels": {"tier": ""}}),
                true,
            ),
            (
                json!({"data": {"k": ""}}),
                json!({"data": {"k": "v"}}),
                false,
            ),
        ] {
            assert_eq!(is_subset(&desired, &live), same, "{desired} in {live}");
        }
    }

    #[test]
    fn a_side_car_added_by_a_webhook_does_not_count() {
        let desired = json!([{"name": "a", "image": "i"}]);
        let live = json!([{"name": "mesh", "image": "m"}, {"name": "a", "image": "i"}]);
        assert!(is_subset(&desired, &live));
        assert!(!is_subset(&json!([{"name": "a", "image": "j"}]), &live));
    }

    #[test]
    fn quantities_are_compared_by_value_and_only_where_one_stands() {
        let limits = |memory: &str, cpu: &str| json!({"limits": {"memory": memory, "cpu": cpu}});
        assert!(is_subset(&limits("1024Mi", "1000m"), &limits("1Gi", "1")));
        assert!(is_subset(&limits("1e3", "0.0001"), &limits("1k", "100u")));
        assert!(is_subset(&limits("1", "0.5"), &limits("1", "500m")));
        assert!(!is_subset(&limits("1Gi", "1"), &limits("1G", "1")));
        assert!(is_subset(
            &json!({"sizeLimit": "1024Mi"}),
            &json!({"sizeLimit": "1Gi"})
        ));
        // Text that looks like one isn't one.
        for name in ["labels", "annotations", "data"] {
            assert!(!is_subset(
                &json!({name: {"version": "1.0"}}),
                &json!({name: {"version": "1"}})
            ));
        }
        assert!(!is_subset(
            &json!({"value": "1000m"}),
            &json!({"value": "1"})
        ));
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, nanos) in [
            ("1", Some(NANO)),
            ("100m", Some(NANO / 10)),
            ("1.5Ki", Some(NANO * 1536)),
            (".5", Some(NANO / 2)),
            ("1e3", Some(NANO * 1000)),
            ("1E3", Some(NANO * 1000)),
            ("1E", Some(NANO * 1_000_000_000_000_000_000)),
            ("25e-2", Some(NANO / 4)),
            ("-1", Some(-NANO)),
            ("1n", Some(1)),
            ("0.5n", Some(1)),
            ("Mi", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(quantity(&json!(text)), nanos, "{text}");
        }
        assert_eq!(quantity(&json!(2)), Some(2 * NANO));
    }

    #[test]
    fn a_list_without_keys_must_be_the_same_list() {
        assert!(is_subset(
            &json!(["run-plan", "/p"]),
            &json!(["run-plan", "/p"])
        ));
        assert!(!is_subset(&json!(["run-plan"]), &json!(["run-plan", "/p"])));
        assert!(!is_subset(&json!(["b", "a"]), &json!(["a", "b"])));
    }

    #[test]
    fn a_changed_word_is_seen_at_any_depth() {
        assert!(!is_subset(
            &json!({"a": {"b": [{"name": "x", "v": 1}]}}),
            &json!({"a": {"b": [{"name": "x", "v": 2}]}})
        ));
        assert!(!is_subset(&json!({"a": "x"}), &json!({})));
    }

    #[test]
    fn a_setting_may_be_a_number_or_its_text() {
        assert!(is_subset(
            &json!({"config": {"retention.ms": "5"}}),
            &json!({"config": {"retention.ms": 5}})
        ));
        assert!(!is_subset(
            &json!({"config": {"retention.ms": "5"}}),
            &json!({"config": {"retention.ms": 6}})
        ));
    }
}
