//! What a pod says is what anybody may say: a query or a library in a pod can be taken over, and then its report is hostile.
//!
//! So a report is cleaned where it comes in, once, and everything behind deals with numbers that can be times and sizes, and
//! with texts that fit a status and a log. A pod can still lie about its own object. That is all it can do.

use headworks_plan::{
    Both, CheckFigures, ComparisonFigures, CountsBegun, Figures, KeysCompared, LastDeadLetter,
    Problem, ReasonCount, ReplayFigures, Report, ReportedReason, RuleFigures, StageCounts,
    StateFigures, SumsCompared, TableCounts, VERDICT_CHECKS, VERDICT_WINDOWS, VerdictFigures,
};

use crate::names::condition_reason;
use crate::reason::ConditionReason;

/// Most problems of one pod that are looked at.
const PROBLEMS: usize = 16;
/// Longest message of a problem, in characters.
const MESSAGE: usize = 1_024;
/// Longest version of a server or runtime, in characters.
const VERSION: usize = 64;
/// Longest key that is shown, in characters.
const HOT_KEY: usize = 128;
/// Most columns whose sums are compared, and the longest sum, in characters.
const COLUMNS: usize = 16;
const SUM: usize = 64;
/// Longest id of a Replay or a comparison, in characters.
const REPLAY_ID: usize = 64;
/// Most quality rules of one pod that are looked at, and most checks of each.
const RULES: usize = 256;
const CHECKS: usize = 64;
/// Longest name of a stream, rule or check, in characters: as long as Kubernetes lets one be.
const NAME: usize = 253;
/// Longest place of a failure: a topic's name of at most 249 characters, a partition and an offset.
const PLACE: usize = 300;
/// Longest text of what a monitor observed, in characters.
const OBSERVED: usize = 64;
/// Most stages of one pod that are looked at: one for each target, and those between.
const STAGES: usize = 32;
/// Most topics that a stage reads, and the longest name of one, in characters.
const TOPICS: usize = 64;
const TOPIC: usize = 249;
/// Most reasons of dead letters of one pod that are looked at.
const REASONS: usize = 16;
/// Longest place of a dead letter, in characters: a topic has 249 at most.
const ORIGIN: usize = 300;
/// The first and the last millisecond that a status can show: of the years 1 and 9999.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
/// A hundred years in milliseconds: longer took nothing.
const LONGEST_MS: u64 = 3_155_760_000_000;
/// The most of anything that is counted: what a status can hold.
const MOST: u64 = i64::MAX as u64;

/// A report without what can't be true.
pub fn clean(report: Report) -> Report {
    let mut problems = report.problems;
    problems.truncate(PROBLEMS);
    Report {
        version: report.version,
        runtime: text(&report.runtime, VERSION),
        phase: report.phase,
        server_version: report.server_version.map(|v| text(&v, VERSION)),
        problems: problems.into_iter().map(problem).collect(),
        figures: figures(report.figures),
    }
}

fn problem(problem: Problem) -> Problem {
    Problem {
        reason: ReportedReason::read(reason(problem.reason.as_str())),
        message: text(&problem.message, MESSAGE),
        fatal: problem.fatal,
    }
}

fn figures(figures: Figures) -> Figures {
    Figures {
        records_in: figures.records_in.min(MOST),
        records_out: figures.records_out.min(MOST),
        dead_letters: figures.dead_letters.min(MOST),
        dead_letters_by_reason: by_reason(figures.dead_letters_by_reason),
        last_dead_letter: figures.last_dead_letter.and_then(last_dead_letter),
        dropped: figures.dropped.min(MOST),
        rate: rate(figures.rate),
        lag: figures.lag.map(|lag| lag.min(MOST)),
        max_event_time_ms: time(figures.max_event_time_ms),
        last_commit_ms: time(figures.last_commit_ms),
        since_ms: time(figures.since_ms),
        state: figures.state.map(state),
        replay: figures.replay.map(replay),
        comparison: figures.comparison.map(|found| Box::new(comparison(*found))),
        rules: rules(figures.rules),
        verdicts: figures.verdicts.map(verdicts),
        counts: counts(figures.counts),
        // Nobody reads them here, and there may be many.
        partitions: Vec::new(),
    }
}

fn rules(mut rules: Vec<RuleFigures>) -> Vec<RuleFigures> {
    rules.truncate(RULES);
    rules.into_iter().map(rule).collect()
}

fn rule(mut rule: RuleFigures) -> RuleFigures {
    rule.checks.truncate(CHECKS);
    RuleFigures {
        stream: text(&rule.stream, NAME),
        name: text(&rule.name, NAME),
        generation: rule.generation.max(0),
        checked: rule.checked.min(MOST),
        failed: rule.failed.min(MOST),
        stopped: rule.stopped.map(|stopped| stopped.min(MOST)),
        checks: rule.checks.into_iter().map(check).collect(),
    }
}

fn check(check: CheckFigures) -> CheckFigures {
    CheckFigures {
        name: text(&check.name, NAME),
        failed: check.failed.min(MOST),
        last_failure_ms: time(check.last_failure_ms),
        last_failure_place: check.last_failure_place.map(|place| text(&place, PLACE)),
    }
}

/// Times that can't be shown are those of no window.
fn verdicts(verdicts: VerdictFigures) -> VerdictFigures {
    let mut windows = verdicts.windows;
    windows.truncate(VERDICT_WINDOWS);
    windows.retain(|window| TIMES.contains(&window.end_ms));
    for window in &mut windows {
        window.records = window.records.min(MOST);
        window.checks.truncate(VERDICT_CHECKS);
        for check in &mut window.checks {
            check.name = text(&check.name, NAME);
            check.observed = check.observed.take().map(|seen| text(&seen, OBSERVED));
            check.failed = check.failed.min(MOST);
        }
    }
    VerdictFigures {
        of: text(&verdicts.of, NAME),
        windows,
    }
}

fn counts(mut stages: Vec<StageCounts>) -> Vec<StageCounts> {
    stages.truncate(STAGES);
    stages.into_iter().map(stage).collect()
}

fn stage(counts: StageCounts) -> StageCounts {
    let begun = counts.begun.and_then(|begun| {
        Some(CountsBegun {
            at_ms: time(Some(begun.at_ms))?,
            place: text(&begun.place, PLACE),
            ..begun
        })
    });
    StageCounts {
        stage: text(&counts.stage, NAME),
        group: text(&counts.group, NAME),
        topics: topics(counts.topics),
        owned: counts.owned,
        position: counts.position.min(MOST),
        counted: counts.counted.min(MOST),
        read: counts.read.min(MOST),
        dropped: counts.dropped.min(MOST),
        dead_letters: counts.dead_letters.min(MOST),
        written: counts.written.min(MOST),
        missing: counts.missing.min(MOST),
        extra: counts.extra.min(MOST),
        place: counts.place.map(|place| text(&place, PLACE)),
        began_ms: time(counts.began_ms),
        begun,
        table: counts.table.map(|table| TableCounts {
            rows: table.rows.min(MOST),
            expected: table.expected.min(MOST),
        }),
        // Nobody reads them here, and there may be many.
        partitions: Vec::new(),
    }
}

fn topics(mut topics: Vec<String>) -> Vec<String> {
    topics.truncate(TOPICS);
    topics.iter().map(|topic| text(topic, TOPIC)).collect()
}

fn by_reason(mut counts: Vec<ReasonCount>) -> Vec<ReasonCount> {
    counts.truncate(REASONS);
    let counts = counts.into_iter().map(|one| ReasonCount {
        reason: reason(&one.reason),
        count: one.count.min(MOST),
    });
    counts.collect()
}

fn last_dead_letter(last: LastDeadLetter) -> Option<LastDeadLetter> {
    Some(LastDeadLetter {
        reason: reason(&last.reason),
        at_ms: time(Some(last.at_ms))?,
        place: last.place.map(|place| text(&place, ORIGIN)),
    })
}

fn state(state: StateFigures) -> StateFigures {
    StateFigures {
        memory_bytes: state.memory_bytes.min(MOST),
        disk_bytes: state.disk_bytes.min(MOST),
        keys: state.keys.min(MOST),
        late: state.late.min(MOST),
        restore_ms: state.restore_ms.map(|ms| ms.min(LONGEST_MS)),
        watermark_ms: time(state.watermark_ms),
        hot_key: state.hot_key.map(|key| text(&key, HOT_KEY)),
        waits_for: state.waits_for.map(|place| text(&place, ORIGIN)),
    }
}

fn replay(replay: ReplayFigures) -> ReplayFigures {
    ReplayFigures {
        id: text(&replay.id, REPLAY_ID),
        of: replay.of.min(MOST),
        done: replay.done.min(MOST),
        selected: replay.selected.min(MOST),
        replayed: replay.replayed.min(MOST),
        refused: replay.refused.min(MOST),
        truncated: replay.truncated.min(MOST),
        complete: replay.complete,
    }
}

fn comparison(mut found: ComparisonFigures) -> ComparisonFigures {
    found.sums.truncate(COLUMNS);
    let both = |both: Both| Both {
        old: both.old.min(MOST),
        new: both.new.min(MOST),
    };
    let sums = found.sums.into_iter().map(|sum| SumsCompared {
        column: text(&sum.column, NAME),
        old: text(&sum.old, SUM),
        new: text(&sum.new, SUM),
    });
    ComparisonFigures {
        id: text(&found.id, REPLAY_ID),
        complete: found.complete,
        records: found.records.min(MOST),
        partial: found.partial,
        rows: both(found.rows),
        dead_letters: both(found.dead_letters),
        keys: found.keys.map(|keys| KeysCompared {
            old: keys.old.min(MOST),
            missing: keys.missing.min(MOST),
            extra: keys.extra.min(MOST),
            one_in: keys.one_in.min(MOST),
        }),
        sums: sums.collect(),
        rules: rules(found.rules),
    }
}

/// A time that can be one; that of a pod which has none yet may be anything.
fn time(ms: Option<i64>) -> Option<i64> {
    ms.filter(|ms| TIMES.contains(ms))
}

fn rate(rate: f64) -> f64 {
    if rate.is_finite() {
        rate.clamp(0.0, 1e15)
    } else {
        0.0
    }
}

/// A pod's word as a condition's reason.
fn reason(said: &str) -> String {
    condition_reason(said, ConditionReason::PodProblem.as_str())
}

/// One line that a terminal shows as what it is: no control characters (which move the cursor or colour it), nothing that turns
/// the direction of writing or can't be seen; and not longer than so many characters.
pub fn text(said: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, c) in said.chars().enumerate() {
        if count == longest {
            shown.pop();
            shown.push('…');
            break;
        }
        shown.push(if is_hidden(c) { ' ' } else { c });
    }
    shown
}

/// Moves a terminal's cursor, colours what follows, turns the direction of writing, or can't be seen.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_where_they_can_be_true() {
        let said = Figures {
            records_in: 7,
            rate: 12.5,
            lag: Some(u64::MAX),
            max_event_time_ms: Some(i64::MIN),
            last_commit_ms: Some(1_767_225_600_000),
            state: Some(StateFigures {
                memory_bytes: u64::MAX,
                restore_ms: Some(u64::MAX),
                watermark_ms: Some(i64::MAX),
                ..StateFigures::default()
            }),
            ..Figures::default()
        };
        let figures = figures(said);
        assert_eq!((figures.records_in, figures.lag), (7, Some(MOST)));
        assert!((figures.rate - 12.5).abs() < f64::EPSILON);
        assert_eq!(
            (figures.max_event_time_ms, figures.last_commit_ms),
            (None, Some(1_767_225_600_000))
        );
        let state = figures.state.unwrap();
        assert_eq!(
            (state.memory_bytes, state.restore_ms, state.watermark_ms),
            (MOST, Some(LONGEST_MS), None)
        );
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(rate(bad).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn what_is_said_of_rules_is_bounded() {
        let check = CheckFigures {
            name: "a\nb".repeat(500),
            failed: u64::MAX,
            last_failure_ms: Some(i64::MAX),
            last_failure_place: Some("t[0]@1\u{1b}[2J".to_owned()),
        };
        let said = RuleFigures {
            stream: "orders\u{202e}".to_owned(),
            name: "sane".to_owned(),
            generation: -7,
            checked: u64::MAX,
            failed: 3,
            stopped: Some(u64::MAX),
            checks: vec![check; 500],
        };
        let figures = figures(Figures {
            rules: vec![said; 5_000],
            ..Figures::default()
        });
        assert_eq!(figures.rules.len(), RULES);
        let rule = &figures.rules[0];
        assert_eq!(
            (rule.stream.as_str(), rule.name.as_str(), rule.generation),
            ("orders ", "sane", 0)
        );
        assert_eq!((rule.checked, rule.failed), (MOST, 3));
        assert_eq!(rule.stopped, Some(MOST));
        assert_eq!(rule.checks.len(), CHECKS);
        let check = &rule.checks[0];
        assert_eq!((check.failed, check.last_failure_ms), (MOST, None));
        assert_eq!(check.name.chars().count(), NAME);
        assert_eq!(check.last_failure_place.as_deref(), Some("t[0]@1 [2J"));
    }

    #[test]
    fn what_a_comparison_says_is_bounded() {
        let sum = SumsCompared {
            column: "c".repeat(1_000),
            old: "9".repeat(1_000),
            new: "1\n2".into(),
        };
        let found = comparison(ComparisonFigures {
            id: "v".repeat(1_000),
            records: u64::MAX,
            rows: Both {
                old: u64::MAX,
                new: 1,
            },
            sums: vec![sum; 100],
            ..ComparisonFigures::default()
        });
        assert_eq!((found.records, found.rows.old), (MOST, MOST));
        assert!(found.id.chars().count() <= REPLAY_ID + 1);
        assert_eq!(found.sums.len(), COLUMNS);
        let sum = &found.sums[0];
        assert!(sum.old.chars().count() <= SUM + 1 && !sum.new.contains('\n'));
    }

    #[test]
    fn reasons_and_places_of_dead_letters_are_words_and_few() {
        let one = ReasonCount {
            reason: "De\u{1b}code".into(),
            count: u64::MAX,
        };
        let last = |at_ms| LastDeadLetter {
            reason: "Late\n".into(),
            at_ms,
            place: Some(format!("t\u{1b}[0]@{}", "1".repeat(900))),
        };
        let of = |at_ms| {
            figures(Figures {
                dead_letters_by_reason: vec![one.clone(); 900],
                last_dead_letter: Some(last(at_ms)),
                ..Figures::default()
            })
        };
        let said = of(0);
        assert_eq!(said.dead_letters_by_reason.len(), REASONS);
        assert_eq!(said.dead_letters_by_reason[0].reason, "Decode");
        assert_eq!(said.dead_letters_by_reason[0].count, MOST);
        let last = said.last_dead_letter.unwrap();
        let place = last.place.unwrap();
        assert_eq!(
            (last.reason.as_str(), place.chars().count()),
            ("Late", ORIGIN)
        );
        assert!(!place.contains('\u{1b}'));
        assert_eq!(of(i64::MAX).last_dead_letter, None);
    }

    #[test]
    fn texts_are_one_line_of_what_can_be_seen() {
        assert_eq!(
            text("a\u{1b}[31mred\nnext\u{202e}evil\0", 100),
            "a [31mred next evil "
        );
        assert_eq!(text("Größe 数 …", 100), "Größe 数 …");
        let long = text(&"é".repeat(5_000), 128);
        assert_eq!((long.chars().count(), long.ends_with('…')), (128, true));
        assert_eq!(text(&"x".repeat(128), 128).len(), 128);
        assert_eq!(reason("Data\nLost!"), "DataLost");
        assert_eq!(reason("7"), "PodProblem");
        assert_eq!(reason(&"A".repeat(900)).len(), 64);
    }
}
