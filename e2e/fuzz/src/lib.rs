//! Fuzz targets: one function for each kind of text or bytes that comes from a tenant, a pod or a network, and a runner that works
//! on stable Rust. A target takes any bytes, and panics where a rule of ours is broken; the runner makes bytes from good examples by
//! chance, from a seed, and says which input broke what.
//!
//! `make fuzz SECONDS=60 TARGET=sql` runs it for longer; `make test` gives each target a few thousand inputs.

mod http;
mod mutate;
mod targets;
mod websocket;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

pub use mutate::Mutator;
pub use targets::{Target, all};

/// No input within the size that the runner makes may take longer: what takes so long is a way to hold a pod up.
pub const LONGEST: Duration = Duration::from_secs(5);

/// An input that broke a rule.
#[derive(Debug)]
pub struct Broken {
    /// The target's name.
    pub target: &'static str,
    /// What was fed to it.
    pub input: Vec<u8>,
    /// What it said, or how long it took.
    pub why: String,
}

/// Feeds `target` until `enough` says so of the number of inputs; gives how many there were.
///
/// # Errors
/// The first input that made the target panic or took longer than [`LONGEST`].
pub fn run(
    target: &Target,
    seed: u64,
    mut enough: impl FnMut(u64) -> bool,
) -> Result<u64, Box<Broken>> {
    let mut mutator = Mutator::new(seed, target.examples, target.words);
    let mut inputs = 0;
    while !enough(inputs) {
        let input = mutator.input();
        feed(target, &input)?;
        inputs += 1;
    }
    Ok(inputs)
}

/// Feeds one input.
///
/// # Errors
/// It made the target panic, or took longer than [`LONGEST`].
pub fn feed(target: &Target, input: &[u8]) -> Result<(), Box<Broken>> {
    let began = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let took = began.elapsed();
    let why = match ended {
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "it panicked".to_owned()),
        Ok(()) if took > LONGEST => format!("it took {took:?}"),
        Ok(()) => return Ok(()),
    };
    Err(Box::new(Broken {
        target: target.name,
        input: input.to_vec(),
        why,
    }))
}
