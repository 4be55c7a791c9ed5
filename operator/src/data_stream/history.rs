//! The accepted contracts that are kept of a stream, and what they tell. Pure.

use headworks_crds::AcceptedContract;
use headworks_plan::Contract;

use crate::contract::{
    fingerprint,
    revision::{Revision, is_named},
};

/// Accepted contracts of one stream's name, newest first. Some may be about another topic, or another Kafka, of an earlier object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History(pub Vec<Revision>);

impl History {
    /// The one that the status names; where it names none, the newest that an earlier object of this name left.
    pub fn named(&self, named: Option<&AcceptedContract>) -> Option<&Revision> {
        let mut all = self.0.iter();
        all.find(|accepted| named.is_none_or(|named| is_named(accepted, named)))
    }

    /// A contract with this content that was written down after a number, by an operator that died before it could say so in
    /// the status.
    pub fn begun(
        &self,
        after: i32,
        contract: &Contract,
        topic: &str,
        platform: &str,
    ) -> Option<&Revision> {
        let wanted = fingerprint(contract);
        self.about(topic, platform)
            .find(|accepted| accepted.version > after && fingerprint(&accepted.contract) == wanted)
    }

    /// The highest number that a contract of this stream has, or had.
    pub fn last(&self, named: Option<&AcceptedContract>) -> i32 {
        let newest = self.0.first().map_or(0, |accepted| accepted.version);
        newest.max(named.map_or(0, |named| named.version))
    }

    /// Fingerprints that have permitted a change of this stream, as the newest contract has them.
    pub fn used(&self) -> Vec<String> {
        let newest = self.0.first();
        newest
            .map(|accepted| accepted.used.clone())
            .unwrap_or_default()
    }

    /// The contracts before a number, newest first, as far as they are kept and about the same topic.
    pub fn before(
        &self,
        number: i32,
        topic: &str,
        platform: &str,
    ) -> impl Iterator<Item = &Revision> {
        self.about(topic, platform)
            .filter(move |accepted| accepted.version < number)
    }

    fn about(&self, topic: &str, platform: &str) -> impl Iterator<Item = &Revision> {
        self.0
            .iter()
            .filter(move |accepted| accepted.topic == topic && accepted.platform == platform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(version: i32, key: &str, topic: &str) -> Revision {
        Revision {
            version,
            contract: Contract {
                key: vec![key.into()],
                ..Contract::default()
            },
            topic: topic.into(),
            platform: "default".into(),
            kept: vec![],
            schema_ids: vec![],
            compatibility: None,
            used: vec![format!("used-{version}")],
        }
    }

    #[test]
    fn what_is_about_another_topic_tells_numbers_and_nothing_of_this_one() {
        let history = History(vec![
            revision(4, "d", "other"),
            revision(3, "c", "t"),
            revision(1, "a", "t"),
        ]);
        let version = |found: Option<&Revision>| found.map(|r| r.version);
        assert_eq!(version(history.named(None)), Some(4));
        let third = history.0[1].reference("s");
        assert_eq!(version(history.named(Some(&third))), Some(3));
        // The number alone, or the content alone, names none.
        let other = AcceptedContract {
            version: 1,
            ..third.clone()
        };
        assert_eq!(version(history.named(Some(&other))), None);
        assert_eq!(history.last(None), 4);
        assert_eq!(
            history.last(Some(&AcceptedContract {
                version: 9,
                ..third
            })),
            9
        );
        assert_eq!(history.used(), ["used-4"]);
        let before: Vec<i32> = history
            .before(4, "t", "default")
            .map(|r| r.version)
            .collect();
        assert_eq!(before, [3, 1]);
        assert_eq!(history.before(4, "t", "elsewhere").count(), 0);
    }

    #[test]
    fn an_interrupted_attempt_is_found_by_its_content() {
        let history = History(vec![revision(2, "b", "t"), revision(1, "a", "t")]);
        let find = |after, key: &str, topic: &str| {
            let wanted = revision(0, key, topic).contract;
            history
                .begun(after, &wanted, topic, "default")
                .map(|r| r.version)
        };
        assert_eq!(find(1, "b", "t"), Some(2));
        assert_eq!(find(2, "b", "t"), None, "it was in force before");
        assert_eq!(find(1, "a", "t"), None);
        assert_eq!(find(1, "b", "other"), None);
    }
}
