//! Names of records, messages and packages, made of a stream's name.

use crate::error::SchemaError;

/// True for a name that Avro and Protobuf take: a letter or `_`, then letters, digits and `_`.
pub(crate) fn is_plain(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A field's name as `format` needs it.
pub(crate) fn field(name: &str, path: &[String], format: &str) -> Result<(), SchemaError> {
    if is_plain(name) {
        return Ok(());
    }
    Err(SchemaError::at(
        path,
        format!(
            "{format} names begin with a letter or _, and have letters (a to z), digits and _ only; rename the field, or use format: Json"
        ),
    ))
}

/// `order-items` becomes `OrderItems`.
pub(crate) fn pascal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        out.push_str(&first.to_ascii_uppercase());
        out.push_str(rest);
    }
    if !out.starts_with(|c: char| c.is_ascii_alphabetic()) {
        out.insert_str(0, "Record");
    }
    out
}

/// `my-shop.order-items` becomes the namespace `my_shop` and the name `OrderItems`.
pub(crate) fn full(name: &str) -> (Option<String>, String) {
    let (namespace, last) = match name.rsplit_once('.') {
        Some((namespace, last)) => (Some(namespace), last),
        None => (None, name),
    };
    let cleaned = namespace.map(|namespace| {
        let parts = namespace.split('.').filter(|part| !part.is_empty());
        let parts: Vec<String> = parts.map(plain).collect();
        parts.join(".")
    });
    (cleaned.filter(|n| !n.is_empty()), pascal(last))
}

fn plain(part: &str) -> String {
    let mut out: String = part
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// `name`, or with a number behind it where `taken` says so.
pub(crate) fn distinct(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut found = name.to_owned();
    let mut number = 2_u32;
    while taken(&found) {
        found = format!("{name}{number}");
        number += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streams_name_becomes_a_full_name() {
        let name = |text: &str| {
            let (namespace, name) = full(text);
            format!("{}/{name}", namespace.unwrap_or_default())
        };
        assert_eq!(name("orders"), "/Orders");
        assert_eq!(name("my-shop.order-items"), "my_shop/OrderItems");
        assert_eq!(name("a.2b.3-c_dE"), "a._2b/Record3CDE");
        assert_eq!(name("é"), "/Record");
        assert!(is_plain("_a9") && !is_plain("9a") && !is_plain("") && !is_plain("ä"));
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let taken = ["A", "A2"];
        assert_eq!(distinct("A", |n| taken.contains(&n)), "A3");
        assert_eq!(distinct("B", |n| taken.contains(&n)), "B");
    }
}
