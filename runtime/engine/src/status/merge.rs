//! One report of a pod whose work has several parts.
//!
//! The parts read the same records, so what was read is counted once, by the first part; what was
//! written is summed. The pod lags as much as its slowest part, and runs once every part does.

use headworks_plan::{Figures, PartitionFigure, Phase, Problem, Report, RuleFigures};

use super::dead_letters;

pub(super) fn merge(own: Report, parts: Vec<Report>) -> Report {
    let phase = phase(own.phase, &parts);
    let mut problems = own.problems;
    for problem in parts.iter().flat_map(|part| &part.problems) {
        add(&mut problems, problem);
    }
    let mut parts = parts.into_iter().map(|part| part.figures);
    let first = parts.next().unwrap_or_default();
    Report {
        phase,
        problems,
        figures: parts.fold(first, figures),
        ..own
    }
}

fn phase(own: Phase, parts: &[Report]) -> Phase {
    let any = |phase| parts.iter().any(|part| part.phase == phase);
    [Phase::Stalled, Phase::Starting]
        .into_iter()
        .find(|phase| any(*phase))
        .filter(|_| own != Phase::Draining)
        .unwrap_or(if own == Phase::Draining || any(Phase::Draining) {
            Phase::Draining
        } else {
            Phase::Running
        })
}

/// Problems are told apart by their reason, in conditions and in metrics alike; so two parts with the
/// same one share an entry.
fn add(problems: &mut Vec<Problem>, problem: &Problem) {
    match problems.iter_mut().find(|p| p.reason == problem.reason) {
        None => problems.push(problem.clone()),
        Some(known) => {
            known.fatal |= problem.fatal;
            if !known.message.contains(&problem.message) {
                known.message = format!("{}; {}", known.message, problem.message);
            }
        }
    }
}

fn figures(so_far: Figures, part: Figures) -> Figures {
    let mut partitions = so_far.partitions;
    for figure in part.partitions {
        match partitions
            .iter_mut()
            .find(|p| p.topic == figure.topic && p.partition == figure.partition)
        {
            None => partitions.push(figure),
            Some(known) => *known = slower(known, &figure),
        }
    }
    let mut counts = so_far.counts;
    counts.extend(part.counts);
    let mut rules = so_far.rules;
    RuleFigures::add_all(&mut rules, &part.rules);
    let (dead_letters_by_reason, last_dead_letter) = dead_letters::both(
        so_far.dead_letters_by_reason,
        part.dead_letters_by_reason,
        [so_far.last_dead_letter, part.last_dead_letter],
    );
    Figures {
        dead_letters_by_reason,
        last_dead_letter,
        records_out: so_far.records_out + part.records_out,
        dead_letters: so_far.dead_letters + part.dead_letters,
        dropped: so_far.dropped + part.dropped,
        lag: so_far.lag.zip(part.lag).map(|(a, b)| a.max(b)),
        max_event_time_ms: so_far.max_event_time_ms.max(part.max_event_time_ms),
        // The part that has been silent longest; one that never wrote anything says nothing.
        last_commit_ms: match (so_far.last_commit_ms, part.last_commit_ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
        partitions,
        state: so_far.state.or(part.state),
        replay: so_far.replay.or(part.replay),
        verdicts: so_far.verdicts.or(part.verdicts),
        rules,
        counts,
        ..so_far
    }
}

fn slower(a: &PartitionFigure, b: &PartitionFigure) -> PartitionFigure {
    PartitionFigure {
        position: a.position.min(b.position),
        lag: a.lag.zip(b.lag).map(|(a, b)| a.max(b)),
        ..a.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Progress, StatusHandle};
    use super::*;
    use headworks_plan::Reason;

    #[test]
    fn a_part_that_is_held_up_shows_and_is_not_healed_by_another() {
        let pod = StatusHandle::new();
        let (streams, table) = (pod.part(), pod.part());
        assert_eq!(pod.phase(), Phase::Starting);
        streams.set_phase(Phase::Running);
        assert!(!pod.is_ready());
        table.set_phase(Phase::Running);
        assert!(pod.is_ready());

        table.raise(Problem::new(Reason::StoreUnavailable, "db:5432", false));
        table.set_phase(Phase::Starting);
        streams.heal_all();
        assert_eq!(
            pod.report().problems,
            [Problem::new(Reason::StoreUnavailable, "db:5432", false)]
        );
        assert!(!pod.is_ready());
        table.heal_all();
        table.set_phase(Phase::Running);
        assert!(pod.is_ready());

        pod.set_phase(Phase::Draining);
        table.set_phase(Phase::Stalled);
        assert_eq!(pod.phase(), Phase::Draining);
    }

    #[test]
    fn parts_with_the_same_reason_share_an_entry() {
        let pod = StatusHandle::new();
        let (a, b, c) = (pod.part(), pod.part(), pod.part());
        a.raise(Problem::new(Reason::KafkaUnavailable, "no broker", false));
        b.raise(Problem::new(Reason::KafkaUnavailable, "no broker", false));
        c.raise(Problem::new(Reason::KafkaUnavailable, "another", true));
        assert_eq!(
            pod.report().problems,
            [Problem::new(
                Reason::KafkaUnavailable,
                "no broker; another",
                true
            )]
        );
    }

    #[test]
    fn what_is_read_counts_once_and_the_slowest_part_is_the_pods_lag() {
        let pod = StatusHandle::new();
        let (a, b) = (pod.part(), pod.part());
        let progress = |records_in, records_out, dead_letters| Progress {
            records_in,
            records_out,
            dead_letters,
            ..Progress::default()
        };
        a.committed(&progress(10, 8, 2), 500);
        b.committed(&progress(4, 3, 1), 300);
        let at = |position, lag| PartitionFigure {
            topic: "t".into(),
            partition: 0,
            position,
            lag: Some(lag),
        };
        a.set_partitions(vec![at(10, 0)]);
        b.set_partitions(vec![at(4, 6)]);
        let figures = pod.report().figures;
        assert_eq!(
            (
                figures.records_in,
                figures.records_out,
                figures.dead_letters
            ),
            (10, 11, 3)
        );
        assert_eq!((figures.lag, figures.last_commit_ms), (Some(6), Some(300)));
        assert_eq!(figures.partitions, [at(4, 6)]);
    }
}
