//! OVER under everything that goes wrong, and rules of it that are broken.

use headworks_state::Mutant;

use super::{Broken, Of, World};
use crate::keyed::Rule;
use crate::testing::simulation::seeds;

fn run(seed: u64, broken: Option<Broken>) -> Result<(), String> {
    let mut world = World::new(seed, broken, Of::Over);
    world.storm();
    world.calm()
}

fn is_caught(rule: Rule) -> bool {
    (0..400).any(|seed| run(seed, Some(Broken::Engine(rule))).is_err())
}

#[test]
fn whatever_goes_wrong_over_gives_each_row_with_those_before_it() {
    for seed in seeds(2_000) {
        if let Err(wrong) = run(seed, None) {
            panic!("SEED={seed}: {wrong}");
        }
    }
}

#[test]
fn over_that_gives_rows_before_the_watermark_is_caught() {
    assert!(is_caught(Rule::Join(Mutant::GivenEarly)));
}

#[test]
fn over_that_parts_rows_of_one_time_is_caught() {
    assert!(is_caught(Rule::Join(Mutant::PeersSplit)));
}

#[test]
fn over_whose_frame_begins_too_soon_is_caught() {
    assert!(is_caught(Rule::Join(Mutant::FrameLonger)));
}

#[test]
fn over_that_loses_what_it_keeps_at_a_rebalance_is_caught() {
    assert!(is_caught(Rule::Join(Mutant::HistoryLost)));
}

#[test]
fn over_whose_state_outlives_its_transaction_or_is_not_restored_is_caught() {
    for rule in [
        Rule::OverlayKept,
        Rule::StateForgotten,
        Rule::WatermarkForgotten,
    ] {
        assert!(is_caught(rule), "{rule:?}");
    }
}
