//! `fuzz [TARGET|all] [SECONDS] [SEED]`: feeds each target for so long; prints the seed, and an input that broke something.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use headworks_fuzz::{all, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_else(|| "all".to_owned());
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(10));
    let seed = arguments.next().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    let targets: Vec<_> = all()
        .into_iter()
        .filter(|target| wanted == "all" || wanted == target.name)
        .collect();
    if targets.is_empty() {
        let names: Vec<_> = all().iter().map(|target| target.name).collect();
        eprintln!("no target {wanted}; there are: all {}", names.join(" "));
        return ExitCode::from(2);
    }
    let mut status = ExitCode::SUCCESS;
    println!("seed {seed}");
    for target in &targets {
        let began = Instant::now();
        match run(target, seed, |_| began.elapsed() > time) {
            Ok(inputs) => println!("{}: {inputs} inputs, nothing broke", target.name),
            Err(broken) => {
                println!("{}: {}", broken.target, broken.why);
                let _ = std::io::stdout().write_all(&broken.input);
                println!();
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}
