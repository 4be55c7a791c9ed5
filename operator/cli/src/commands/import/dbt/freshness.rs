//! Freshness of a source: how far the newest value of `loaded_at_field` may be behind the clock. Here it is asked of the stream's event
//! time, and all the time instead of when `dbt source freshness` runs.

use headworks_crds::{CheckSeverity, Duration, FreshnessCheck, QualityCheck};

use super::super::draft::{Drafted, Fate, Import, Part, Terms};
use super::Relation;
use crate::yaml::{Content, Node};

/// The most that a check may ask for.
const MOST_MS: u64 = 30 * 86_400_000;

/// Takes in what a table says of it.
pub fn read(file: &str, relation: &Relation, import: &mut Import) {
    let there = |node: Option<&'_ Node>| node.is_some_and(|n| !matches!(n.content, Content::Null));
    let Some(freshness) = relation.node.get("freshness") else {
        return;
    };
    let limits = [
        ("warn_after", CheckSeverity::Warn),
        ("error_after", CheckSeverity::Error),
    ];
    for (limit, severity) in limits {
        let Some(node) = freshness.get(limit) else {
            continue;
        };
        if !there(Some(node)) {
            continue;
        }
        let part = Part {
            file: file.to_owned(),
            place: node.place,
            title: format!("freshness ({limit}) of {}", relation.name),
        };
        let fate = if there(freshness.get("filter")) {
            Err("has a filter, which is SQL of the warehouse: write the rule's filter".to_owned())
        } else {
            age(node).map(|max_age| check(relation, limit, max_age, severity))
        };
        import.add(part, fate);
    }
}

fn check(
    relation: &Relation,
    limit: &str,
    max_age: Duration,
    severity: CheckSeverity,
) -> (Fate, Terms) {
    let check = QualityCheck {
        freshness: Some(FreshnessCheck { max_age }),
        ..QualityCheck::default()
    };
    let loaded = relation.node.get("loaded_at_field").and_then(Node::text);
    let note = format!(
        "is asked of the stream's event time; dbt looks at {}",
        loaded.unwrap_or("the table's metadata, or what the source names")
    );
    let drafted = Drafted::new(format!("fresh-{limit}"), check).noting(Some(note));
    let terms = Terms {
        severity,
        ..Terms::default()
    };
    (Fate::Check(Box::new(drafted)), terms)
}

/// `{count: 12, period: hour}`
fn age(node: &Node) -> Result<Duration, String> {
    let count = node.get("count").map(|count| &count.content);
    let count = match count {
        Some(Content::Number(text)) => text.parse::<u64>().ok(),
        _ => None,
    };
    let count = count.ok_or("count is no whole number")?;
    let unit_ms = match node.get("period").and_then(Node::text) {
        Some("minute") => 60_000,
        Some("hour") => 3_600_000,
        Some("day") => 86_400_000,
        _ => return Err("period is none of minute, hour, day".to_owned()),
    };
    let age_ms = count.saturating_mul(unit_ms);
    if age_ms == 0 || age_ms > MOST_MS {
        return Err("a freshness check is of at most 30d, and of more than nothing".to_owned());
    }
    Ok(Duration::from_millis(age_ms))
}
