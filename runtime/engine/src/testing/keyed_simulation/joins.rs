//! Joins under everything that goes wrong, and rules of them that are broken.

use headworks_state::Mutant;

use super::{Broken, Of, World};
use crate::keyed::Rule;
use crate::testing::simulation::seeds;

fn run_join(seed: u64, broken: Option<Broken>) -> Result<(), String> {
    let mut world = World::new(seed, broken, Of::Joins);
    world.storm();
    world.calm()
}

fn is_caught_in_joins(broken: Broken) -> bool {
    (0..400).any(|seed| run_join(seed, Some(broken)).is_err())
}

#[test]
fn whatever_goes_wrong_a_join_gives_the_pairs_of_the_rows() {
    for seed in seeds(2_000) {
        if let Err(wrong) = run_join(seed, None) {
            panic!("SEED={seed}: {wrong}");
        }
    }
}

#[test]
fn a_join_that_gives_rows_alone_too_early_is_caught() {
    assert!(is_caught_in_joins(Broken::Engine(Rule::Join(
        Mutant::PaddedEarly
    ))));
}

#[test]
fn a_join_whose_rows_go_too_soon_is_caught() {
    assert!(is_caught_in_joins(Broken::Engine(Rule::Join(
        Mutant::CutTooSoon
    ))));
}

#[test]
fn a_join_that_loses_its_timers_at_a_rebalance_is_caught() {
    assert!(is_caught_in_joins(Broken::Engine(Rule::Join(
        Mutant::TimerLost
    ))));
}

#[test]
fn a_join_that_goes_by_the_faster_side_is_caught() {
    assert!(is_caught_in_joins(Broken::Engine(Rule::FastestSide)));
}

#[test]
fn a_join_whose_state_outlives_its_transaction_or_is_not_restored_is_caught() {
    for rule in [
        Rule::OverlayKept,
        Rule::StateForgotten,
        Rule::WatermarkForgotten,
    ] {
        assert!(is_caught_in_joins(Broken::Engine(rule)), "{rule:?}");
    }
}
