//! What keeps a source from its work, as its pod's report shows it.

use std::collections::BTreeMap;

use headworks_engine::status::StatusHandle;
use headworks_plan::{Phase, Problem, ReportedReason};

/// What the report shows.
#[derive(Default)]
pub(super) struct Shown {
    /// One a reason.
    problems: BTreeMap<ReportedReason, Problem>,
    /// True: whoever sends records is told of an outage by an answer.
    answers: bool,
    /// Whether records could be taken at any time so far.
    worked: bool,
}

impl Shown {
    /// Of a source that is asked, and answers. Once at work, an outage of Kafka leaves its pod in the Service: an answer with
    /// Retry-After tells a client more than a connection that is refused.
    pub(super) fn of_answering() -> Shown {
        Shown {
            answers: true,
            ..Shown::default()
        }
    }

    /// Shows those that there are now, and takes back those that are over.
    pub(super) fn update(&mut self, problems: Vec<Problem>, status: &StatusHandle) {
        let mut now: BTreeMap<ReportedReason, Problem> = BTreeMap::new();
        for problem in problems {
            match now.get_mut(&problem.reason) {
                Some(same) => {
                    same.message = format!("{}; {}", same.message, problem.message);
                    same.fatal |= problem.fatal;
                }
                None => {
                    now.insert(problem.reason.clone(), problem);
                }
            }
        }
        for reason in self
            .problems
            .keys()
            .filter(|reason| !now.contains_key(*reason))
        {
            status.heal(reason.clone());
        }
        for problem in now.values() {
            status.raise(problem.clone());
        }
        self.worked = now.is_empty() || (self.answers && self.worked);
        status.set_phase(
            match (now.values().any(|problem| problem.fatal), self.worked) {
                (true, _) => Phase::Stalled,
                (false, true) => Phase::Running,
                (false, false) => Phase::Starting,
            },
        );
        self.problems = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(reason: &str, message: &str, fatal: bool) -> Problem {
        Problem {
            reason: ReportedReason::read(reason.into()),
            message: message.into(),
            fatal,
        }
    }

    #[test]
    fn a_source_is_ready_once_nothing_is_wrong_and_stays_so_while_kafka_is_away() {
        let status = StatusHandle::new();
        let mut shown = Shown::of_answering();
        let away = || vec![problem("KafkaUnavailable", "no broker", false)];
        shown.update(away(), &status);
        assert!(!status.is_ready());
        shown.update(vec![], &status);
        assert!(status.is_ready() && status.report().problems.is_empty());
        shown.update(away(), &status);
        assert!(status.is_ready());
        assert_eq!(status.report().problems, away());
    }

    #[test]
    fn a_source_that_nobody_asks_is_ready_only_while_nothing_is_wrong() {
        let status = StatusHandle::new();
        let mut shown = Shown::default();
        shown.update(vec![], &status);
        assert!(status.is_ready());
        shown.update(
            vec![problem("KafkaUnavailable", "no broker", false)],
            &status,
        );
        assert!(!status.is_ready());
    }

    #[test]
    fn a_missing_secret_makes_it_unready_until_the_secret_is_there() {
        let status = StatusHandle::new();
        let mut shown = Shown::of_answering();
        shown.update(vec![], &status);
        shown.update(
            vec![
                problem("SecretMissing", "no token", true),
                problem("SecretMissing", "no password", true),
            ],
            &status,
        );
        assert!(!status.is_ready());
        assert_eq!(
            status.report().problems,
            [problem("SecretMissing", "no token; no password", true)]
        );
        shown.update(vec![problem("SecretMissing", "no password", true)], &status);
        assert_eq!(
            status.report().problems,
            [problem("SecretMissing", "no password", true)]
        );
        shown.update(vec![], &status);
        assert!(status.is_ready());
    }
}
