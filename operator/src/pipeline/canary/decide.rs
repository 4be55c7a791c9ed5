//! Whether a new version takes the old one's place, by what is known of both. Pure.

use headworks_crds::{BothCounts, Canary, OutputComparison, RolloutFigures};

use super::words::figures_text;

/// How many records the new version may be behind, whatever the old one is: what comes while pods commit.
const LAG_ALLOWED: i64 = 1_000;
/// Sums of floats differ in their last digits by the order in which they are added up.
const FLOAT_TOLERANCE: f64 = 1e-9;

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It takes the old one's place.
    Promote(String),
    /// The old one goes on.
    RollBack(String),
    /// Nothing came by which it could be decided.
    Wait(String),
}

/// Decides. `threshold`: per cent of the rows that must pass a rule; none: all.
pub fn decide(
    canary: &Canary,
    figures: &RolloutFigures,
    lag: BothCounts,
    threshold: impl Fn(&str) -> Option<String>,
) -> Decision {
    let told = figures_text(figures);
    if figures.records == 0 {
        return nothing_came(canary);
    }
    let mut against = Vec::new();
    if lag.new > LAG_ALLOWED && lag.new > lag.old.saturating_add(figures.records / 10) {
        against.push(format!(
            "it doesn't keep up: {} records weren't read when its time was over, and {} by the old version",
            lag.new, lag.old
        ));
    }
    let letters = figures.dead_letters;
    if letters.new > letters.old {
        against.push(format!(
            "it makes dead letters of {} records or results, and the old version of {}",
            letters.new, letters.old
        ));
    }
    for rule in &figures.rules {
        let wanted = threshold(&rule.name);
        if !passes(rule.checked, rule.failed, wanted.as_deref()) {
            let wanted = wanted.unwrap_or_else(|| "100".to_owned());
            against.push(format!(
                "{} of {} rows fail rule {}, which asks for {wanted} % to pass",
                rule.failed, rule.checked, rule.name
            ));
        }
    }
    if let Some(missing) = canary
        .rules
        .iter()
        .find(|name| !figures.rules.iter().any(|rule| rule.name == **name))
    {
        against.push(format!(
            "rule {missing} judged nothing: it went, or changed, meanwhile"
        ));
    }
    if let Some(compare) = &canary.compare {
        differences(compare, figures, &mut against);
    }
    if !against.is_empty() {
        return Decision::RollBack(format!("{} ({told})", against.join("; ")));
    }
    if judged_no_row(figures) {
        return Decision::Wait(format!(
            "no row came out of it yet that its rules judge, as of windows that are still open: it goes on until one does, for {} more each time; take rollout.canary.rules out to have it judged without ({told})",
            canary.for_
        ));
    }
    Decision::Promote(told)
}

/// Nothing by which it could be decided.
pub fn nothing_came(canary: &Canary) -> Decision {
    Decision::Wait(format!(
        "no record came since it began, by Kafka's timestamps, so there is nothing to judge it by: it goes on until one does, for {} more each time; take rollout.canary out to roll it out without",
        canary.for_
    ))
}

/// True: rules were to judge, and none has, though rows come of the same records: silence of rules is no praise.
fn judged_no_row(figures: &RolloutFigures) -> bool {
    figures.rows.new > 0
        && !figures.rules.is_empty()
        && figures.rules.iter().all(|rule| rule.checked == 0)
}

fn differences(compare: &OutputComparison, figures: &RolloutFigures, against: &mut Vec<String>) {
    let tolerance = Tolerance::of(compare.tolerance.as_deref());
    let rows = figures.rows;
    if !tolerance.allows(rows.old, rows.new.abs_diff(rows.old)) {
        against.push(format!(
            "it gives {} rows, and the old version {}",
            rows.new, rows.old
        ));
    }
    if let Some(keys) = figures.keys {
        let differ = keys.missing.saturating_add(keys.extra).unsigned_abs();
        if !tolerance.allows(keys.old, differ) {
            let of = compare.keys.join(", ");
            against.push(format!(
                "of {} keys ({of}) {} are missing, and {} are there besides",
                keys.old, keys.missing, keys.extra
            ));
        }
    }
    for sum in &figures.sums {
        if !tolerance.allows_sums(&sum.old, &sum.new) {
            against.push(format!(
                "{} adds up to {}, and in the old version to {}",
                sum.column, sum.new, sum.old
            ));
        }
    }
}

/// By how much a number may differ.
struct Tolerance {
    /// Billionths of a per cent, so that nothing is rounded.
    billionths: u128,
    /// The same of one, for sums.
    share: f64,
}

/// A hundred per cent.
const WHOLE: u128 = 100_000_000_000;

impl Tolerance {
    fn of(text: Option<&str>) -> Tolerance {
        Tolerance {
            billionths: text.map_or(0, billionths),
            share: text.and_then(|text| text.parse().ok()).unwrap_or(0.0) / 100.0,
        }
    }

    fn allows(&self, old: i64, differ: u64) -> bool {
        u128::from(differ) * WHOLE <= u128::from(old.unsigned_abs()) * self.billionths
    }

    fn allows_sums(&self, old: &str, new: &str) -> bool {
        if old == new {
            return true;
        }
        let (Ok(one), Ok(other)) = (old.parse::<f64>(), new.parse::<f64>()) else {
            return false;
        };
        let is_float = old.contains('e') || new.contains('e');
        let share = self.share + if is_float { FLOAT_TOLERANCE } else { 0.0 };
        share > 0.0 && (one - other).abs() <= one.abs() * share
    }
}

/// A percentage as text, in billionths of a per cent.
fn billionths(text: &str) -> u128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<9.9}").parse().unwrap_or(0)
}

fn passes(checked: i64, failed: i64, threshold: Option<&str>) -> bool {
    let (checked, failed) = (
        u128::from(checked.max(0).unsigned_abs()),
        u128::from(failed.max(0).unsigned_abs()),
    );
    let wanted = threshold.map_or(WHOLE, billionths);
    checked.saturating_sub(failed) * WHOLE >= checked * wanted
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A row of the table: what is asked for, what was found, the lags, and what is decided, with a word of why.
    fn decided(canary: &Value, figures: &Value, lag: (i64, i64)) -> (&'static str, String) {
        let canary: Canary = serde_json::from_value(canary.clone()).unwrap();
        let mut all = json!({"records": 100, "rows": {"old": 1000, "new": 1000}, "deadLetters": {"old": 2, "new": 2}});
        for (name, value) in figures.as_object().unwrap() {
            all[name] = value.clone();
        }
        let figures: RolloutFigures = serde_json::from_value(all).unwrap();
        let lag = BothCounts {
            old: lag.0,
            new: lag.1,
        };
        let threshold = |name: &str| (name == "most").then(|| "99.5".to_owned());
        match decide(&canary, &figures, lag, threshold) {
            Decision::Promote(why) => ("promote", why),
            Decision::RollBack(why) => ("roll back", why),
            Decision::Wait(why) => ("wait", why),
        }
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table of cases")]
    fn each_situation_has_its_decision() {
        let rows = |old, new| json!({"rows": {"old": old, "new": new}});
        let keys = |missing, extra| json!({"keys": {"old": 1000, "missing": missing, "extra": extra, "oneIn": 1}});
        let sums =
            |old: &str, new: &str| json!({"sums": [{"column": "amount", "old": old, "new": new}]});
        let rule = |name: &str, checked, failed| json!({"rules": [{"name": name, "checked": checked, "failed": failed}]});
        let (plain, strict) = (
            json!({}),
            json!({"compare": {"keys": ["id"], "sums": ["amount"]}}),
        );
        let half = json!({"compare": {"keys": ["id"], "sums": ["amount"], "tolerance": "0.5"}});
        let (sane, most) = (json!({"rules": ["sane"]}), json!({"rules": ["most"]}));
        let none = json!({});
        for (canary, figures, lag, decision, word) in [
            (&plain, none.clone(), (0, 0), "promote", "100 records"),
            (
                &plain,
                json!({"records": 0}),
                (0, 0),
                "wait",
                "no record came",
            ),
            // Without compare results may differ.
            (&plain, rows(1000, 1), (0, 0), "promote", "rows 1000 → 1"),
            (
                &plain,
                json!({"deadLetters": {"old": 2, "new": 3}}),
                (0, 0),
                "roll back",
                "dead letters of 3",
            ),
            (
                &plain,
                json!({"deadLetters": {"old": 2, "new": 0}}),
                (0, 0),
                "promote",
                "",
            ),
            (
                &plain,
                none.clone(),
                (0, 5_000),
                "roll back",
                "doesn't keep up",
            ),
            (&plain, none.clone(), (5_000, 5_000), "promote", ""),
            (&plain, none.clone(), (0, 900), "promote", ""),
            (&strict, none.clone(), (0, 0), "promote", ""),
            (
                &strict,
                rows(1000, 999),
                (0, 0),
                "roll back",
                "it gives 999 rows",
            ),
            (&half, rows(1000, 995), (0, 0), "promote", ""),
            (&half, rows(1000, 994), (0, 0), "roll back", "994 rows"),
            (&half, rows(0, 1), (0, 0), "roll back", "1 rows"),
            (&strict, keys(0, 0), (0, 0), "promote", ""),
            (&strict, keys(1, 0), (0, 0), "roll back", "1 are missing"),
            (&half, keys(3, 2), (0, 0), "promote", ""),
            (
                &half,
                keys(3, 3),
                (0, 0),
                "roll back",
                "3 are there besides",
            ),
            (&strict, sums("13.00", "13.00"), (0, 0), "promote", ""),
            (
                &strict,
                sums("90000000000000000.01", "90000000000000000.02"),
                (0, 0),
                "roll back",
                "adds up to",
            ),
            (&half, sums("100.00", "100.50"), (0, 0), "promote", ""),
            (
                &half,
                sums("100.00", "100.51"),
                (0, 0),
                "roll back",
                "100.51",
            ),
            (
                &strict,
                sums("1.2505000000000001e3", "1.2505e3"),
                (0, 0),
                "promote",
                "",
            ),
            (
                &strict,
                sums("1.2505e3", "1.2506e3"),
                (0, 0),
                "roll back",
                "",
            ),
            (&half, sums("too large", "1"), (0, 0), "roll back", ""),
            (
                &sane,
                rule("sane", 50, 0),
                (0, 0),
                "promote",
                "rule sane 50",
            ),
            (
                &sane,
                rule("sane", 50, 1),
                (0, 0),
                "roll back",
                "1 of 50 rows fail rule sane",
            ),
            (
                &sane,
                none.clone(),
                (0, 0),
                "roll back",
                "rule sane judged nothing",
            ),
            (
                &sane,
                rule("sane", 0, 0),
                (0, 0),
                "wait",
                "no row came out of it yet",
            ),
            // Nothing is to come of these records, and nothing did.
            (
                &sane,
                json!({"rows": {"old": 0, "new": 0}, "rules": [{"name": "sane", "checked": 0, "failed": 0}]}),
                (0, 0),
                "promote",
                "",
            ),
            (&most, rule("most", 1000, 5), (0, 0), "promote", ""),
            (&most, rule("most", 1000, 6), (0, 0), "roll back", "99.5 %"),
        ] {
            let (is, why) = decided(canary, &figures, lag);
            assert_eq!(is, decision, "{canary} {figures} {lag:?}: {why}");
            assert!(why.contains(word), "{canary} {figures}: {why}");
        }
    }

    #[test]
    fn everything_that_is_against_it_is_told() {
        let canary = json!({"compare": {"sums": ["amount"]}});
        let figures = json!({"rows": {"old": 10, "new": 9}, "deadLetters": {"old": 0, "new": 1},
            "sums": [{"column": "amount", "old": "1.00", "new": "2.00"}]});
        let (_, why) = decided(&canary, &figures, (0, 0));
        assert_eq!(
            why,
            "it makes dead letters of 1 records or results, and the old version of 0; it gives 9 rows, and the old version 10; amount adds up to 2.00, and in the old version to 1.00 (of 100 records: rows 10 → 9, dead letters 0 → 1, sum of amount 1.00 → 2.00)"
        );
    }
}
