//! Temporal joins under everything that goes wrong, and rules of them that are broken.

use headworks_state::Mutant;

use super::{Broken, Of, World};
use crate::keyed::Rule;
use crate::testing::simulation::seeds;

fn run(seed: u64, broken: Option<Broken>) -> Result<(), String> {
    let mut world = World::new(seed, broken, Of::Temporal);
    world.storm();
    world.calm()
}

fn is_caught(rule: Rule) -> bool {
    (0..400).any(|seed| run(seed, Some(Broken::Engine(rule))).is_err())
}

#[test]
fn whatever_goes_wrong_a_row_gets_what_was_valid_at_its_time() {
    for seed in seeds(2_000) {
        if let Err(wrong) = run(seed, None) {
            panic!("SEED={seed}: {wrong}");
        }
    }
}

#[test]
fn a_temporal_join_that_breaks_a_rule_is_caught() {
    for mutant in [
        Mutant::GivenEarly,
        Mutant::NewestVersion,
        Mutant::DeletionIgnored,
        Mutant::VersionGone,
        Mutant::HistoryLost,
    ] {
        assert!(is_caught(Rule::Join(mutant)), "{mutant:?}");
    }
}

#[test]
fn a_temporal_join_that_goes_by_the_faster_side_is_caught() {
    assert!(is_caught(Rule::FastestSide));
}

#[test]
fn a_temporal_join_whose_state_outlives_its_transaction_or_is_not_restored_is_caught() {
    for rule in [
        Rule::OverlayKept,
        Rule::StateForgotten,
        Rule::WatermarkForgotten,
    ] {
        assert!(is_caught(rule), "{rule:?}");
    }
}
