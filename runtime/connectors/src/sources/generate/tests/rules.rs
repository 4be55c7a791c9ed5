//! A sequence whose stream has a quality rule.

use headworks_plan::{Check, Rule, RuleAction, ShopRecords, Template};

use super::super::run::Work;
use super::{Config, NOW, Outgoing, batch, config, shop};

/// The shop's orders with a rule that some break: those whose id ends with a seven.
fn judged(action: RuleAction) -> Config {
    let mut config = config(shop("orders"), Some(Template::Shop(ShopRecords::Orders)));
    config.plan.into.rules = vec![Rule {
        name: "no-sevens".into(),
        generation: 1,
        filter: None,
        checks: vec![Check {
            name: "end".into(),
            expression: "order_id NOT LIKE '%7'".into(),
            field: None,
            action,
        }],
    }];
    config
}

#[test]
fn what_breaks_a_rule_is_no_record_of_the_sequence_and_its_number_is_taken() {
    let all = batch(&judged(RuleAction::Alert), 500);
    let broken = |record: &&Outgoing| {
        let order: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        order["order_id"].as_str().unwrap().ends_with('7')
    };
    let count = all.0.iter().filter(broken).count() as u64;
    assert!(count > 10, "{count}");
    assert_eq!(all.1.rules[0].failed, count);
    let (kept, progress) = batch(&judged(RuleAction::Drop), 500);
    assert_eq!(
        (progress.dropped, progress.records_out),
        (count, 500 - count)
    );
    assert!(!kept.iter().any(|record| broken(&record)));
    let (_, progress) = batch(&judged(RuleAction::DeadLetter), 500);
    assert_eq!(
        (progress.dead_letters, progress.records_out),
        (count, 500 - count)
    );
}

#[test]
fn a_rule_that_stops_lets_the_sequence_end_before_the_record() {
    let all = batch(&judged(RuleAction::Alert), 500).0;
    let first = all.iter().position(|record| {
        let order: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        order["order_id"].as_str().unwrap().ends_with('7')
    });
    let work = Work::new(&judged(RuleAction::Stop)).map_err(|p| p.message);
    let batch = work.unwrap().batch(0, 500, NOW).unwrap();
    assert_eq!(batch.count as usize, first.unwrap());
    assert_eq!(batch.records.len(), first.unwrap());
    let said = batch.halt.unwrap();
    assert!(said.starts_with("rule no-sevens, check end: "), "{said}");
    assert_eq!(batch.progress.rules[0].failed, 0);
}
