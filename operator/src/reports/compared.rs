//! What a canary's pod found.

use headworks_plan::ComparisonFigures;

use super::Reports;
use crate::names::Key;

impl Reports {
    /// What a pod of that object has found in the comparison of this id, once it is done. A pod of an earlier comparison may still answer.
    pub fn comparison(&self, owner: &Key, id: &str) -> Option<ComparisonFigures> {
        let inner = self.lock();
        let of_owner = inner.by_pod.values().filter(|(key, _)| key == owner);
        let mut found = of_owner.filter_map(|(_, report)| report.figures.comparison.as_deref());
        found
            .find(|found| found.complete && found.id == id)
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Instant};

    use headworks_plan::{Figures, Report};

    use super::*;

    #[test]
    fn what_is_done_and_asked_for_is_told_and_nothing_else() {
        let key = Key::new("Pipeline", "shop", "p-canary");
        let reports = Reports::default();
        let says = |pod: &str, id: &str, complete: bool, records: u64| {
            let found = ComparisonFigures {
                id: id.into(),
                complete,
                records,
                ..ComparisonFigures::default()
            };
            let figures = Figures {
                comparison: Some(Box::new(found)),
                ..Figures::default()
            };
            let report = Report {
                figures,
                ..Report::default()
            };
            (pod.to_owned(), key.clone(), Some(report))
        };
        let here: HashMap<String, Key> = ["a", "b"].map(|pod| (pod.into(), key.clone())).into();
        let told = |id: &str| reports.comparison(&key, id).map(|found| found.records);
        let now = Instant::now();
        reports.take_in(vec![says("a", "v.1", true, 7)], &here, now);
        reports.take_in(vec![says("b", "v.2", false, 3)], &here, now);
        assert_eq!((told("v.1"), told("v.2")), (Some(7), None));
        reports.take_in(vec![says("b", "v.2", true, 5)], &here, now);
        assert_eq!(told("v.2"), Some(5));
        let other = Key::new("Pipeline", "shop", "p");
        assert!(reports.comparison(&other, "v.2").is_none());
    }
}
