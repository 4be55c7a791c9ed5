//! The patterns of the CRDs in words: what a text must be, and what was probably meant.

/// What a text that doesn't match should be.
pub fn rule_of(pattern: &str, text: &str) -> String {
    match words(pattern) {
        Some(words) => format!("{words}{}", meant(pattern, text)),
        None => format!("doesn't match {pattern}"),
    }
}

const DURATION: &str = "^([0-9]{1,10}(ms|s|m|h|d|w))+$";
const QUANTITY: &str = r"^[0-9]{1,15}(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$";
const TABLE: &str = r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$";

fn words(pattern: &str) -> Option<&'static str> {
    Some(match pattern {
        DURATION => {
            "is no duration: write whole numbers with ms, s, m, h, d or w, such as 100ms or 1d12h"
        }
        QUANTITY => {
            "is no amount: write a number, with k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (powers of 1024) where it is large, such as 2Gi"
        }
        TABLE => {
            "is no table: write a name or schema.name, of letters, digits and _, at most 63 characters each, as PostgreSQL has them"
        }
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" => {
            "may have only lower-case letters, digits and -, and begins and ends with a letter or digit"
        }
        "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" => {
            "may have only lower-case letters, digits, - and dots, and begins and ends with a letter or digit"
        }
        "^[-._a-zA-Z0-9]+$" => {
            "is no key of a Secret or ConfigMap: it may have letters, digits, -, _ and dots"
        }
        "^[a-zA-Z0-9._-]+$" => {
            "is no name of a topic in Kafka: it may have letters, digits, dots, _ and -"
        }
        r"^[^\s,:]+:[0-9]{1,5}(,[^\s,:]+:[0-9]{1,5})*$" => {
            "is no list of Kafka's addresses: write host:port, several with commas between them and without blanks"
        }
        r"^https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$" => {
            "is no address: write http://host:port or https://host:port, and a path if there is one; user and password have no place in it"
        }
        r"^[^.\s]+(\.[^.\s]+)*$" => {
            "is no path of fields: write their names with dots between them, such as data.items"
        }
        r"^/[A-Za-z0-9._~/-]*$" => {
            "is no path of an address: it begins with / and has letters, digits, dots, _, ~, - and /"
        }
        "^[0-9a-fA-F.:]+$" => "is no IP address",
        "^[A-Za-z_@][A-Za-z0-9_@-]*$" => {
            "is no name of a field: it begins with a letter, _ or @, and has letters, digits, _, @ and -"
        }
        r"^[A-Za-z_@][A-Za-z0-9_@-]*(\.[A-Za-z_@][A-Za-z0-9_@-]*)*$" => {
            "is no name of a field, nor several with dots between them, such as id or customer.id"
        }
        r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$" => {
            "is no name of a message: write it with its package, such as example.shop.Order"
        }
        _ if pattern.starts_with("^postgres") => {
            "is no address of a PostgreSQL: write postgres://host:port/database; user and password belong in the Secret"
        }
        _ if pattern.starts_with("^[0-9]{4}-") => {
            "is no instant: write date, T, time and zone, such as 2026-12-31T00:00:00Z"
        }
        _ if pattern.contains("[numkMGTPE]") => {
            "is no amount of Kubernetes: write a number, with m, k, M, G or Ki, Mi, Gi, such as 500m or 2Gi"
        }
        "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$" => {
            "is no value of a label: letters, digits, '-', '_' and '.', with a letter or digit first and last"
        }
        "^[A-Za-z0-9*._/-]+$" => {
            "is no pattern of names: letters, digits, '.', '_', '-' and '/', with * for any text, such as data-*"
        }
        "^[A-Za-z0-9*._:/@-]+$" => {
            "is no pattern of images: a registry, a name, a tag or digest, with * for any text, such as registry.example.com/team/*"
        }
        "^[A-Za-z_][A-Za-z0-9_./-]*$" => {
            "is no name of a text beside the definition: write the path as the import says it, such as common/money.proto, or the full name of an Avro type"
        }
        "^[A-Za-z_][A-Za-z0-9_]*$" => {
            "is no name of an environment variable: letters, digits and '_', with no digit first"
        }
        r"^(100(\.0{1,9})?|[0-9]{1,2}(\.[0-9]{1,9})?)$" => {
            "is no percentage: write a number from 0 to 100 with at most 9 digits behind the point, such as 99.5"
        }
        r"^(1(\.0{1,9})?|0(\.[0-9]{1,9})?)$" => {
            "is no part of a whole: write a number from 0 to 1 with at most 9 digits behind the point, such as 0.25"
        }
        r"^[0-9]{1,9}(\.[0-9]{1,9})?$" => {
            "is no number: write at most 9 digits before and behind the point, without a sign, such as 0.2"
        }
        r"^([1-9]|1[0-9])(\.[0-9]{1,3})?$" => {
            "is no sensitivity: write a number from 1 to 19.999 with at most 3 digits behind the point, such as 3.5"
        }
        "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" => {
            "is no name of a check: letters, digits, '-', '_' and '.', with a letter or digit first and last"
        }
        "^[a-z][a-z0-9.]*$" => {
            "is no setting of a topic: as Kafka writes them, such as compression.type"
        }
        _ => return None,
    })
}

/// What may have been meant.
fn meant(pattern: &str, text: &str) -> String {
    match pattern {
        QUANTITY => {
            // 2GB, 512MiB, 10 kB: the unit's letter, and Kubernetes' spelling of it.
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
            let unit = text[digits.len()..].trim().trim_end_matches(['B', 'b']);
            let unit = match unit.to_ascii_lowercase().as_str() {
                "k" => "k",
                "m" => "M",
                "g" => "G",
                "t" => "T",
                "ki" => "Ki",
                "mi" => "Mi",
                "gi" => "Gi",
                "ti" => "Ti",
                _ => return String::new(),
            };
            format!("; did you mean {digits}{unit}?")
        }
        DURATION if text.starts_with('-') => {
            "; there is no negative one: for ever is a long one, such as 5200w".to_owned()
        }
        DURATION if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
            format!("; did you mean {text}ms?")
        }
        TABLE if text.split('.').any(|part| part.len() > 63) => {
            let part = text.split('.').find(|part| part.len() > 63);
            let length = part.map_or(0, str::len);
            format!("; one of them has {length}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use headworks_crds::manifest;
    use serde_json::Value;

    use super::*;

    fn patterns(schema: &Value, found: &mut Vec<String>) {
        if let Some(pattern) = schema["pattern"].as_str() {
            found.push(pattern.to_owned());
        }
        let inner = [&schema["items"], &schema["additionalProperties"]];
        let properties = schema["properties"].as_object().into_iter().flatten();
        for inner in properties.map(|(_, inner)| inner).chain(inner) {
            if inner.is_object() {
                patterns(inner, found);
            }
        }
    }

    #[test]
    fn every_pattern_of_a_spec_is_said_in_words() {
        let mut found = Vec::new();
        for crd in manifest::all() {
            let crd = serde_json::to_value(&crd).unwrap();
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            patterns(&schema["properties"]["spec"], &mut found);
        }
        assert!(found.len() > 50, "{}", found.len());
        found.sort();
        found.dedup();
        found.retain(|pattern| words(pattern).is_none());
        assert_eq!(found, Vec::<String>::new(), "add words for them");
    }

    #[test]
    fn what_was_meant_is_said() {
        for (pattern, text, says) in [
            (QUANTITY, "2GB", "did you mean 2G?"),
            (QUANTITY, "512 MiB", "did you mean 512Mi?"),
            (QUANTITY, "lots", "such as 2Gi"),
            (DURATION, "-1", "such as 5200w"),
            (DURATION, "604800000", "did you mean 604800000ms?"),
            (DURATION, "soon", "such as 100ms or 1d12h"),
        ] {
            let said = rule_of(pattern, text);
            assert!(said.ends_with(says), "{text}: {said}");
        }
        let said = rule_of(TABLE, &format!("public.{}", "a".repeat(64)));
        assert!(said.ends_with("one of them has 64"), "{said}");
    }
}
