//! A few thousand inputs for each target, always the same ones; `make fuzz` goes on from other seeds. And what was found once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use headworks_fuzz::{all, run};

/// Inputs for each target, or as many as fit into the time on a slow machine.
const INPUTS: u64 = 3_000;
const MOST: Duration = Duration::from_secs(20);

#[test]
fn nothing_from_outside_panics_hangs_or_reads_back_otherwise() {
    for target in all() {
        let began = Instant::now();
        // A socket takes longer than a function.
        let most = if target.name == "http" { 200 } else { INPUTS };
        let ended = run(&target, 1, |inputs| {
            inputs >= most || began.elapsed() > MOST
        });
        match ended {
            Ok(inputs) => println!("{}: {inputs} inputs in {:?}", target.name, began.elapsed()),
            Err(broken) => panic!(
                "{}: {}\n{}",
                broken.target,
                broken.why,
                String::from_utf8_lossy(&broken.input)
            ),
        }
    }
}

#[test]
fn a_target_that_panics_is_found_with_its_input() {
    let mut target = all().remove(0);
    target.check = |bytes| assert!(!bytes.contains(&b'('), "a bracket");
    let broken = run(&target, 7, |inputs| inputs > 10_000).unwrap_err();
    assert!(broken.why.contains("a bracket") && broken.input.contains(&b'('));
}
