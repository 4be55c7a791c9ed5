//! What rules and checks can be called, of what files call things.

use std::collections::BTreeSet;

/// Longest name of a rule, and of a check.
const LONGEST: usize = 63;

/// A name that none of `taken` has, which it joins.
pub fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut found = name.to_owned();
    let mut number = 1;
    while !taken.insert(found.clone()) {
        number += 1;
        let end = format!("-{number}");
        let begin: String = name.chars().take(LONGEST - end.len()).collect();
        found = format!("{}{end}", begin.trim_end_matches(['-', '_', '.']));
    }
    found
}

fn cut(name: &str, end: &[char]) -> String {
    let name: String = name.trim_matches(end).chars().take(LONGEST).collect();
    name.trim_end_matches(end).to_owned()
}

/// What an object can be called: lower-case letters, digits and `-`.
pub fn object_name(wanted: &str) -> String {
    let mut name = String::new();
    for c in wanted.chars().map(|c| c.to_ascii_lowercase()) {
        let c = if c.is_ascii_alphanumeric() { c } else { '-' };
        if c != '-' || !name.ends_with('-') {
            name.push(c);
        }
    }
    match cut(&name, &['-']) {
        name if name.is_empty() => "imported".into(),
        name => name,
    }
}

/// What a check can be called: letters, digits, `-`, `_` and `.`.
pub fn check_name(wanted: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = wanted
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    match cut(&name, &['-', '_', '.']) {
        name if name.is_empty() => "check".into(),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names() {
        assert_eq!(object_name("Größe, now!"), "gr-e-now");
        assert_eq!(object_name("..."), "imported");
        assert_eq!(check_name("a.b@c-between"), "a.b-c-between");
        let long = "a".repeat(80);
        let mut taken = BTreeSet::new();
        assert_eq!(unique(&object_name(&long), &mut taken).len(), 63);
        assert_eq!(unique(&object_name(&long), &mut taken).len(), 63);
        assert_eq!(taken.len(), 2);
    }
}
