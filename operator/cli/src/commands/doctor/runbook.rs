//! The runbook's row for a condition's reason. The runbook is part of the binary, so what is said here and what
//! the page says is the same.

const RUNBOOK: &str = include_str!("../../../../../docs/runbooks/conditions.md");

/// A row: what a reason means and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// The row of a reason.
pub fn row(reason: &str) -> Option<Row> {
    let word = format!("`{reason}`");
    RUNBOOK.lines().find_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let reasons = cells.next()?;
        // Of one reason, of several, or of a condition with its reasons in brackets.
        if !reasons.contains(&word) {
            return None;
        }
        let _class = cells.next()?;
        Some(Row {
            meaning: cells.next()?,
            remedy: cells.next()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use headworks_operator::connectors;
    use headworks_operator::reason::{ConditionReason, ConnectorReason, OF_OTHERS};
    use headworks_plan::Reason;

    use super::*;

    #[test]
    fn a_reason_has_its_row() {
        let of = |reason| row(reason).map(|row| row.remedy);
        assert_eq!(of("StreamLoop"), Some("Break the ring."));
        // One row may have several reasons.
        assert_eq!(of("StreamNotFound"), of("PlatformNotFound"));
        assert_eq!(of("Loop"), None);
        // A condition of a kind's own stands with its reasons.
        assert!(of("SeveralWriters").is_some() && of("QueueFull").is_some());
        assert!(row("InvalidSql").is_some_and(|row| row.meaning.contains("planned")));
    }

    #[test]
    fn every_reason_has_a_remedy() {
        let own = ConditionReason::all().map(ConditionReason::as_str);
        let kinds = connectors::reasons().map(ConnectorReason::as_str);
        let pods = Reason::all().map(Reason::as_str);
        for reason in own.chain(kinds).chain(pods).chain(OF_OTHERS) {
            let row = row(reason).unwrap_or_else(|| panic!("{reason} has no row"));
            assert!(
                !row.meaning.is_empty() && !row.remedy.is_empty(),
                "{reason}"
            );
        }
    }
}
