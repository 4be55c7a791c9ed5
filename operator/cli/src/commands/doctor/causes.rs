//! Which of the objects that aren't well only wait for others: the root causes are told, and who waits for each.
//!
//! One missing stream stops every Pipeline that reads it, and what those write, and so on: one thing to mend, and many objects that
//! aren't Ready. What an object waits for is in its own words; where these name something that isn't well either, that is the cause.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::kinds::KINDS;
use headworks_operator::reason::ConditionReason;

/// A kind, and namespace and name.
pub type Title = String;

/// Reasons of objects that wait for others.
const WAITS: [ConditionReason; 7] = [
    ConditionReason::PlatformNotFound,
    ConditionReason::StreamNotFound,
    ConditionReason::StoreNotFound,
    ConditionReason::ReferenceNotFound,
    ConditionReason::PlatformNotReady,
    ConditionReason::StreamNotReady,
    ConditionReason::StoreNotReady,
];
/// Most that are named of those that wait.
const NAMED: usize = 8;

/// An object that isn't well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwell {
    /// Such as `Pipeline shop/revenue`.
    pub title: Title,
    /// Its namespace; empty for a cluster-scoped one.
    pub namespace: String,
    /// Its condition's reason.
    pub reason: String,
    /// Its condition's message.
    pub message: String,
}

/// What is to be mended, and who waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What isn't well; none of one that isn't there.
    pub object: Option<Unwell>,
    /// What it is called.
    pub title: Title,
    /// Who waits for it, directly or through others.
    pub waiting: BTreeSet<Title>,
}

/// What an object says that it waits for.
fn waits_for(object: &Unwell) -> Option<Title> {
    if !WAITS.iter().any(|waits| *waits == object.reason.as_str()) {
        return None;
    }
    // The first that it names of the kinds that others refer to.
    let (at, kind) = KINDS
        .iter()
        .filter(|kind| kind.referred_to)
        .filter_map(|kind| Some((object.message.find(&format!("{} ", kind.name))?, kind)))
        .min_by_key(|(at, _)| *at)?;
    let rest = &object.message[at + kind.name.len() + 1..];
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-./".contains(c)));
    let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
    if name.is_empty() {
        return None;
    }
    let kind_name = kind.name;
    Some(if !kind.namespaced || name.contains('/') {
        format!("{kind_name} {name}")
    } else {
        format!("{kind_name} {}/{name}", object.namespace)
    })
}

/// The root causes, those first for which most wait.
pub fn causes(unwell: Vec<Unwell>) -> Vec<Cause> {
    let by_title: BTreeMap<Title, Unwell> = unwell
        .into_iter()
        .map(|object| (object.title.clone(), object))
        .collect();
    let mut causes: BTreeMap<Title, BTreeSet<Title>> = BTreeMap::new();
    for title in by_title.keys() {
        let (mut at, mut way) = (title.clone(), BTreeSet::from([title.clone()]));
        while let Some(next) = by_title.get(&at).and_then(waits_for) {
            // Two that wait for each other are each a cause of their own.
            if !way.insert(next.clone()) {
                at.clone_from(title);
                break;
            }
            at = next;
        }
        let waiting = causes.entry(at.clone()).or_default();
        if at != *title {
            waiting.insert(title.clone());
        }
    }
    let mut causes: Vec<Cause> = causes
        .into_iter()
        .map(|(title, waiting)| Cause {
            object: by_title.get(&title).cloned(),
            title,
            waiting,
        })
        .collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.waiting.len()));
    causes
}

impl Cause {
    /// Why something that isn't well by its own word is no cause: it is well, or isn't there, as those say that wait for it.
    pub fn is_there(&self, unwell: &[Unwell]) -> bool {
        !unwell.iter().any(|object| {
            self.waiting.contains(&object.title)
                && waits_for(object).as_ref() == Some(&self.title)
                && (object.reason.ends_with("NotFound"))
        })
    }

    /// `; 3 wait for it: Pipeline shop/a, …`.
    pub fn who_waits(&self) -> String {
        let count = self.waiting.len();
        if count == 0 {
            return String::new();
        }
        let named: Vec<&str> = self
            .waiting
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect();
        let more = if count > NAMED { ", …" } else { "" };
        let verb = if count == 1 { "waits" } else { "wait" };
        format!("{count} {verb} for it: {}{more}", named.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwell(title: &str, reason: &str, message: &str) -> Unwell {
        let namespace = title.split(' ').nth(1).and_then(|n| n.split_once('/'));
        Unwell {
            title: title.into(),
            namespace: namespace.map_or("", |(n, _)| n).into(),
            reason: reason.into(),
            message: message.into(),
        }
    }

    #[test]
    fn one_platform_and_one_name_are_two_causes_of_many() {
        let mut all = vec![
            unwell("Platform default", "KafkaUnavailable", "no broker answers"),
            unwell(
                "DataStream shop/orders",
                "PlatformNotReady",
                "Platform default isn't ready: KafkaUnavailable: no broker answers",
            ),
            unwell(
                "Pipeline shop/copy",
                "StreamNotReady",
                "spec.sql: DataStream orders has no topic yet: PlatformNotReady: Platform default isn't ready",
            ),
            unwell(
                "Source shop/in",
                "ReferenceNotFound",
                "spec.into: DataStream shop/oders doesn't exist; make it, or correct the name; did you mean orders?",
            ),
            unwell(
                "Pipeline shop/sum",
                "InvalidSql",
                "spec.sql line 1: DataStream orders has no column n",
            ),
        ];
        let found = causes(all.clone());
        let titles: Vec<&str> = found.iter().map(|c| c.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "Platform default",
                "DataStream shop/oders",
                "Pipeline shop/sum"
            ]
        );
        assert_eq!(
            found[0].who_waits(),
            "2 wait for it: DataStream shop/orders, Pipeline shop/copy"
        );
        assert!(found[1].object.is_none() && !found[1].is_there(&all));
        assert_eq!(found[1].who_waits(), "1 waits for it: Source shop/in");
        assert_eq!(found[2].who_waits(), "");
        // It was well when we looked, and the message isn't of now.
        all.remove(0);
        let found = causes(all.clone());
        assert_eq!(found[0].title, "Platform default");
        assert!(found[0].object.is_none() && found[0].is_there(&all));
    }

    #[test]
    fn two_that_wait_for_each_other_end_the_search() {
        let found = causes(vec![
            unwell(
                "DataStream shop/a",
                "StreamNotReady",
                "DataStream b has no topic yet",
            ),
            unwell(
                "DataStream shop/b",
                "StreamNotReady",
                "DataStream a has no topic yet",
            ),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
