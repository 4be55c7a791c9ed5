//! Which records of the part are replayed, by their headers.

use headworks_plan::DeadLetterSelection;

use crate::dead_letter::{PIPELINE, REASON, REPLAY, RULE, SOURCE, TRUNCATED};
use crate::log::RecordHeaders;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    Yes,
    No,
    /// It would be, but its end was cut off: its bytes aren't the record's.
    Truncated,
}

/// Judges a record of a topic of dead letters.
pub(crate) fn select(selection: &DeadLetterSelection, headers: &RecordHeaders) -> Selected {
    let says = |name: &str, words: &[String]| {
        words.is_empty()
            || value(headers, name)
                .is_some_and(|value| words.iter().any(|word| word.as_bytes() == value))
    };
    let by = [PIPELINE, SOURCE, REPLAY]
        .into_iter()
        .any(|writer| says(writer, &selection.by));
    if !by || !says(REASON, &selection.reasons) || !says(RULE, &selection.rules) {
        Selected::No
    } else if value(headers, TRUNCATED).is_some() {
        Selected::Truncated
    } else {
        Selected::Yes
    }
}

/// The last header of a name counts, as in Kafka's own `lastHeader`.
pub(crate) fn value<'a>(headers: &'a RecordHeaders, name: &str) -> Option<&'a [u8]> {
    let mut named = headers.iter().rev().filter(|(known, _)| known == name);
    named.next().map(|(_, value)| value.as_slice())
}

#[cfg(test)]
mod tests {
    use super::Selected::{No, Truncated, Yes};
    use super::*;

    fn headers(all: &[(&str, &str)]) -> RecordHeaders {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        all.iter().map(pair).collect()
    }

    #[test]
    fn reasons_and_rules_select_and_what_was_cut_off_is_told_apart() {
        let quality = headers(&[
            ("headworks.reason", "Quality"),
            ("headworks.rule", "orders-sane"),
        ]);
        let late = headers(&[("headworks.reason", "Late")]);
        let cut = headers(&[
            ("headworks.reason", "Quality"),
            ("headworks.truncated", "9"),
        ]);
        let of = |reasons: &[&str], rules: &[&str]| {
            let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
            let selection = DeadLetterSelection {
                reasons: words(reasons),
                rules: words(rules),
                by: Vec::new(),
            };
            [&quality, &late, &cut, &RecordHeaders::new()].map(|one| select(&selection, one))
        };
        assert_eq!(of(&[], &[]), [Yes, Yes, Truncated, Yes]);
        assert_eq!(of(&["Quality"], &[]), [Yes, No, Truncated, No]);
        assert_eq!(of(&["Quality", "Late"], &[]), [Yes, Yes, Truncated, No]);
        assert_eq!(of(&["Quality"], &["orders-sane"]), [Yes, No, No, No]);
        assert_eq!(of(&[], &["another"]), [No, No, No, No]);
    }

    #[test]
    fn who_wrote_it_selects_whatever_it_was() {
        let selection = DeadLetterSelection {
            by: vec!["shop/a".to_owned(), "shop/b".to_owned()],
            ..DeadLetterSelection::default()
        };
        for (header, writer, selected) in [
            (PIPELINE, "shop/a", Selected::Yes),
            (SOURCE, "shop/b", Selected::Yes),
            (REPLAY, "shop/b", Selected::Yes),
            (PIPELINE, "shop/c", Selected::No),
            (REASON, "shop/a", Selected::No),
        ] {
            let one = headers(&[(header, writer)]);
            assert_eq!(select(&selection, &one), selected, "{header} {writer}");
        }
    }

    #[test]
    fn the_last_of_two_headers_of_one_name_counts() {
        let twice = headers(&[("headworks.reason", "Late"), ("headworks.reason", "Decode")]);
        let selection = DeadLetterSelection {
            reasons: vec!["Late".to_owned()],
            ..DeadLetterSelection::default()
        };
        assert_eq!(select(&selection, &twice), Selected::No);
    }
}
