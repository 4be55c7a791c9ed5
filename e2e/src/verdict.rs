//! What was expected beside what is there.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display, Formatter};

/// The outcome of one comparison.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What was compared.
    pub what: String,
    /// How many there should be.
    pub expected: usize,
    /// How many there are.
    pub there: usize,
    /// Expected, not there.
    pub missing: usize,
    /// There more than once.
    pub doubled: usize,
    /// There with another value, or never expected.
    pub wrong: usize,
    /// A few of them, in words.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Compares by key; `found` tells how often each is there.
    pub fn of<K: Ord + Debug, V: PartialEq + Debug>(
        what: &str,
        expected: &BTreeMap<K, V>,
        found: &[(K, V)],
    ) -> Verdict {
        let mut seen: BTreeMap<&K, Vec<&V>> = BTreeMap::new();
        for (key, value) in found {
            seen.entry(key).or_default().push(value);
        }
        let mut verdict = Verdict {
            what: what.to_owned(),
            expected: expected.len(),
            there: found.len(),
            ..Verdict::default()
        };
        for key in expected.keys().filter(|key| !seen.contains_key(key)) {
            verdict.missing += 1;
            verdict.example("missing", &format!("{key:?}"));
        }
        for (key, values) in &seen {
            if values.len() > 1 {
                verdict.doubled += 1;
                verdict.example("doubled", &format!("{key:?} {values:?}"));
            }
            let right = expected.get(key);
            if values.iter().any(|value| Some(*value) != right) {
                verdict.wrong += 1;
                verdict.example("wrong", &format!("{key:?} {values:?}, not {right:?}"));
            }
        }
        verdict
    }

    /// Something that must simply be so.
    pub fn must(what: &str, so: bool, said: &str) -> Verdict {
        let mut verdict = Verdict {
            what: what.to_owned(),
            expected: 1,
            there: usize::from(so),
            wrong: usize::from(!so),
            ..Verdict::default()
        };
        if !so {
            verdict.example("wrong", said);
        }
        verdict
    }

    /// All that was expected is there, once and right, and nothing else.
    pub fn clean(&self) -> bool {
        self.missing == 0 && self.doubled == 0 && self.wrong == 0
    }

    /// Nothing expected is no proof.
    #[must_use]
    pub fn at_least(mut self, least: usize) -> Verdict {
        if self.expected < least {
            self.wrong += 1;
            let said = format!("only {} to compare, not {least}", self.expected);
            self.example("wrong", &said);
        }
        self
    }

    fn example(&mut self, how: &str, what: &str) {
        let same = self.examples.iter().filter(|e| e.starts_with(how)).count();
        if same < 4 {
            let what: String = what.chars().take(300).collect();
            self.examples.push(format!("{how}: {what}"));
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} expected, {} there: missing {}, doubled {}, wrong {}",
            self.what, self.expected, self.there, self.missing, self.doubled, self.wrong
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_doubled_wrong_or_a_stranger_is_counted() {
        let expected = BTreeMap::from([(1, 'a'), (2, 'b'), (3, 'c')]);
        let clean = [(1, 'a'), (2, 'b'), (3, 'c')];
        assert!(Verdict::of("x", &expected, &clean).clean());
        let found = [(1, 'a'), (1, 'a'), (2, 'z'), (9, 'q')];
        let verdict = Verdict::of("x", &expected, &found);
        assert_eq!((verdict.missing, verdict.doubled, verdict.wrong), (1, 1, 2));
        assert!(!Verdict::of("x", &expected, &clean).at_least(4).clean());
    }
}
