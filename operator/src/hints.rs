//! Names that an object refers to and nobody has made yet, with the near one that may be meant.

use headworks_sql::suggest::nearest;

/// `; did you mean …?`, where a known name is near.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known.into_iter())
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default()
}

/// Something isn't there: what, who waits for it, and what may be meant.
pub fn missing<'a>(
    kind: &str,
    name: &str,
    who: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    format!(
        "{kind} {name} isn't there yet: the {who} waits for it{}",
        hint(name, known)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_told() {
        let known = ["orders", "clicks"];
        assert_eq!(
            missing("DataStream", "order", "Pipeline", known),
            "DataStream order isn't there yet: the Pipeline waits for it; did you mean orders?"
        );
        assert_eq!(
            missing("DataStream", "x", "Pipeline", known),
            "DataStream x isn't there yet: the Pipeline waits for it"
        );
    }
}
