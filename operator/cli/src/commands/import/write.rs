//! QualityRules as YAML, a check a line, each with the place that it comes from.

use headworks_crds::{GROUP, VERSION};
use serde_json::{Map, Value};

use super::draft::{Import, Rule};

/// Writes the rules; `about` is what the first line says of them.
pub fn yaml(import: &Import, rules: &[Rule], namespace: Option<&str>, about: &str) -> String {
    let mut text = format!("# {}\n", plain(about));
    for (index, rule) in rules.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        let namespace = namespace.map_or_else(String::new, |n| format!(", namespace: {}", word(n)));
        text.push_str(&format!(
            "apiVersion: {GROUP}/{VERSION}\nkind: QualityRule\nmetadata: {{name: {}{namespace}}}\nspec:\n",
            word(&rule.name)
        ));
        let spec = serde_json::to_value(&rule.spec).unwrap_or_default();
        for key in ["stream", "filter", "onError", "threshold"] {
            if let Some(value) = spec.get(key) {
                text.push_str(&format!("  {key}: {}\n", flow(value)));
            }
        }
        text.push_str("  checks:\n");
        let checks = spec.get("checks").and_then(Value::as_array);
        for (check, parts) in checks.into_iter().flatten().zip(&rule.parts) {
            let origins = plain(&import.origins(parts));
            text.push_str(&format!("    - {} # {origins}\n", entries(check)));
        }
    }
    text
}

/// Without what would end a comment.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A check: its name, its severity if it isn't Error, then what it checks.
fn entries(check: &Value) -> String {
    let Some(map) = check.as_object() else {
        return flow(check);
    };
    let shown: Map<String, Value> = map
        .iter()
        .filter(|(key, value)| !(*key == "severity" && *value == "Error"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    flow(&Value::Object(shown))
}

/// Keys in the order in which people say them; the others come after these.
const ORDER: [&str; 9] = [
    "name",
    "severity",
    "field",
    "left",
    "operator",
    "right",
    "min",
    "minExclusive",
    "max",
];

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let place = |key: &str| ORDER.iter().position(|k| *k == key).unwrap_or(ORDER.len());
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| place(key));
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{key}: {}", flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text, in quotes unless it reads as itself without them, in YAML 1.1, too.
fn word(text: &str) -> String {
    const READ_OTHERWISE: [&str; 12] = [
        "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "none",
    ];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !READ_OTHERWISE.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    // JSON's escapes are YAML's. What a terminal or an editor takes for a line end is written by its number.
    let mut quoted = String::new();
    for c in Value::from(text).to_string().chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}') {
            quoted.push_str(&format!("\\u{:04X}", u32::from(c)));
        } else {
            quoted.push(c);
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_a_text() {
        for (text, wanted) in [
            ("EUR", "EUR"),
            ("order_id", "order_id"),
            ("no", "\"no\""),
            ("1", "\"1\""),
            ("a: b", "\"a: b\""),
            ("", "\"\""),
            ("\u{85}\u{2028}x\n", "\"\\u0085\\u2028x\\n\""),
            ("€", "\"€\""),
        ] {
            assert_eq!(word(text), wanted);
            let (documents, flaws) = crate::yaml::read(&format!("a: {}\n", word(text)));
            assert!(flaws.is_empty(), "{text:?}: {flaws:?}");
            assert_eq!(documents[0].get("a").and_then(|n| n.text()), Some(text));
        }
    }
}
