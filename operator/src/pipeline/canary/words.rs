//! What a comparison found, for a status and in words. Pure.

use std::fmt::Write;

use headworks_crds::{BothCounts, ColumnSums, KeyDifference, RolloutFigures, RuleVerdict};
use headworks_plan::{Both, ComparisonFigures};

/// As a status shows it.
pub fn figures_of(found: &ComparisonFigures) -> RolloutFigures {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let both = |both: Both| BothCounts {
        old: count(both.old),
        new: count(both.new),
    };
    RolloutFigures {
        records: count(found.records),
        partial: found.partial,
        rows: both(found.rows),
        dead_letters: both(found.dead_letters),
        keys: found.keys.map(|keys| KeyDifference {
            old: count(keys.old),
            missing: count(keys.missing),
            extra: count(keys.extra),
            one_in: count(keys.one_in),
        }),
        sums: found
            .sums
            .iter()
            .map(|sum| ColumnSums {
                column: sum.column.clone(),
                old: sum.old.clone(),
                new: sum.new.clone(),
            })
            .collect(),
        rules: found
            .rules
            .iter()
            .map(|rule| RuleVerdict {
                name: rule.name.clone(),
                checked: count(rule.checked),
                failed: count(rule.failed),
            })
            .collect(),
    }
}

/// In one line: the old version's figure, then the new one's.
pub fn figures_text(figures: &RolloutFigures) -> String {
    let mut text = format!(
        "of {}{} records: rows {} → {}, dead letters {} → {}",
        if figures.partial { "the first " } else { "" },
        figures.records,
        figures.rows.old,
        figures.rows.new,
        figures.dead_letters.old,
        figures.dead_letters.new
    );
    if let Some(keys) = figures.keys {
        let _ = write!(
            text,
            ", keys {}: {} missing, {} besides",
            keys.old, keys.missing, keys.extra
        );
        if keys.one_in > 1 {
            let _ = write!(text, " (one key in {} was looked at)", keys.one_in);
        }
    }
    for sum in &figures.sums {
        let _ = write!(text, ", sum of {} {} → {}", sum.column, sum.old, sum.new);
    }
    for rule in &figures.rules {
        let _ = write!(
            text,
            ", rule {} {} judged and {} failed",
            rule.name, rule.checked, rule.failed
        );
    }
    text
}
