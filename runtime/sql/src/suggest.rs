//! Finds the name that a misspelt one was probably meant to be.

/// The candidate nearest to `word`, if one is near enough to be worth suggesting.
///
/// A candidate that differs only in case wins; else the least Damerau-Levenshtein distance, of at
/// most a third of the word's length.
pub fn nearest<S: AsRef<str>>(word: &str, candidates: impl Iterator<Item = S>) -> Option<String> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .filter_map(|c| {
            let name = c.as_ref();
            let distance = if name.eq_ignore_ascii_case(word) {
                0
            } else {
                // Long names are not worth the quadratic cost.
                if name.len() > 128 || word.len() > 128 {
                    return None;
                }
                strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase())
            };
            (distance <= allowed).then(|| (distance, name.to_owned()))
        })
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let names = ["amount", "user_id", "AuditID"];
        assert_eq!(nearest("amout", names.iter()).as_deref(), Some("amount"));
        assert_eq!(nearest("auditid", names.iter()).as_deref(), Some("AuditID"));
        assert_eq!(nearest("weather", names.iter()), None);
        assert_eq!(nearest("x", names.iter()), None);
    }
}
