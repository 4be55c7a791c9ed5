//! Whether a desired object is already part of a live one.
//!
//! The API server fills in defaults and rewrites quantities, so equality would never hold and a plain
//! apply would be a write each time. Desired is a subset when everything it says is said by the live
//! object too, after three normalisations: an absent value equals an empty one, `1Gi` equals `1024Mi`,
//! and items of lists that Kubernetes keys (containers, ports, volumes …) are found by key, so that an
//! item added by an admission webhook doesn't count.

use serde_json::{Map, Value};

/// Keys by which Kubernetes merges lists of objects, tried in this order.
const LIST_KEYS: [&str; 5] = ["name", "mountPath", "containerPort", "port", "type"];

/// True if everything `desired` says is already so in `live`.
pub fn is_subset(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            desired.iter().all(|(key, value)| match live.get(key) {
                Some(there) => is_subset(value, there),
                None => is_empty(value),
            })
        }
        (Value::Array(desired), Value::Array(live)) => list_is_subset(desired, live),
        (desired, live) if desired == live => true,
        (desired, live) if is_empty(desired) && is_empty(live) => true,
        (desired, live) => match (quantity(desired), quantity(live)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        },
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

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Number(_) => false,
    }
}

/// Suffixes of quantities; thousandths (`m`) are told by a factor of 0.
const SUFFIXES: [(&str, i128); 14] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("m", 0),
    ("", 1),
];

/// A Kubernetes quantity in thousandths, from a string such as `250m`, `1Gi`, `1e3` or a number.
pub fn quantity(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let (digits, factor) = SUFFIXES
        .into_iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))?;
    let thousandths = decimal_thousandths(digits)?;
    if factor == 0 {
        (thousandths % 1000 == 0).then_some(thousandths / 1000)
    } else {
        thousandths.checked_mul(factor)
    }
}

/// `1.25` → 1250. At most three digits after the point, as finer quantities are rounded by Kubernetes.
fn decimal_thousandths(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let padded: i128 = format!("{fraction:0<3}").parse().ok()?;
    whole
        .checked_mul(1000)?
        .checked_add(if text.starts_with('-') {
            -padded
        } else {
            padded
        })
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

    #[test]
    fn a_side_car_added_by_a_webhook_does_not_count() {
        let desired = json!([{"name": "a", "image": "i"}]);
        let live = json!([{"name": "mesh", "image": "m"}, {"name": "a", "image": "i"}]);
        assert!(is_subset(&desired, &live));
        assert!(!is_subset(&json!([{"name": "a", "image": "j"}]), &live));
    }

    #[test]
    fn quantities_are_compared_by_value() {
        assert!(is_subset(
            &json!({"memory": "1024Mi", "cpu": "1000m"}),
            &json!({"memory": "1Gi", "cpu": "1"})
        ));
        assert!(is_subset(&json!("0.5"), &json!("500m")));
        assert!(!is_subset(
            &json!({"memory": "1Gi"}),
            &json!({"memory": "1G"})
        ));
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
    fn text_that_is_no_quantity_is_compared_as_text() {
        assert!(!is_subset(&json!("Mi"), &json!("Gi")));
        assert!(!is_subset(&json!("abc"), &json!("abd")));
    }
}
