//! `headworks-bench`: what `e2e/bench/run` needs beside the contestants.
//!
//! `create` and `delete` topics; `fill` one with seeded bids, or with bids in event time (`fill-timed`, whose counts
//! by window `count-windows` checks; `close` ends the last windows once more); `watch` a topic's end and a process's CPU
//! time; `count` what a topic holds; `latency` at a given rate; and `raw`, the floor of the comparison:
//! a tuned librdkafka loop that does the same as the pipelines and nothing else.
//!
//! Every subcommand takes the bootstrap servers first and prints one JSON object (`watch`: one line a sample).

mod bid;
mod latency;
mod measure;
mod raw;
mod topics;
mod windows;

use std::error::Error;
use std::process::ExitCode;

use rdkafka::ClientConfig;

/// What goes wrong ends the run; its text is all that is wanted.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: headworks-bench create BOOTSTRAP TOPIC[:PARTITIONS]…
       headworks-bench delete BOOTSTRAP TOPIC…
       headworks-bench fill BOOTSTRAP TOPIC RECORDS SEED [EXTRA-BYTES]
       headworks-bench fill-timed|close BOOTSTRAP TOPIC RECORDS SEED AUCTIONS STEP-MS WINDOW-MS SLIDE-MS
       headworks-bench watch BOOTSTRAP TOPIC PID
       headworks-bench count|count-windows BOOTSTRAP TOPIC
       headworks-bench latency BOOTSTRAP INPUT OUTPUT RECORDS-PER-SECOND SECONDS SEED [AUCTIONS]
       headworks-bench raw BOOTSTRAP INPUT OUTPUT GROUP pass|serde|scan COMMIT-INTERVAL-MS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headworks-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["create", bootstrap, names @ ..] => topics::create(bootstrap, names),
        ["delete", bootstrap, names @ ..] => topics::delete(bootstrap, names),
        ["fill", bootstrap, topic, records, seed] => topics::fill(
            bootstrap,
            topic,
            records.parse()?,
            seed.parse()?,
            bid::SHORT,
        ),
        ["fill", bootstrap, topic, records, seed, extra] => topics::fill(
            bootstrap,
            topic,
            records.parse()?,
            seed.parse()?,
            extra.parse()?,
        ),
        [
            what @ ("fill-timed" | "close"),
            bootstrap,
            topic,
            records,
            seed,
            keys,
            step,
            size,
            slide,
        ] => {
            let shape = windows::Shape {
                keys: keys.parse()?,
                step: step.parse()?,
                size: size.parse()?,
                slide: slide.parse()?,
            };
            let write = if *what == "close" {
                windows::close
            } else {
                windows::fill
            };
            write(bootstrap, topic, records.parse()?, seed.parse()?, &shape)
        }
        ["watch", bootstrap, topic, pid] => measure::watch(bootstrap, topic, pid.parse()?),
        ["count", bootstrap, topic] => measure::count(bootstrap, topic),
        ["count-windows", bootstrap, topic] => windows::count(bootstrap, topic),
        [
            "latency",
            bootstrap,
            input,
            output,
            rate,
            seconds,
            seed,
            keys @ ..,
        ] => {
            let load = latency::Load {
                rate: rate.parse()?,
                seconds: seconds.parse()?,
                seed: seed.parse()?,
                auctions: keys.first().map(|keys| keys.parse()).transpose()?,
            };
            latency::run(bootstrap, input, output, &load)
        }
        ["raw", bootstrap, input, output, group, work, interval] => raw::run(&raw::Job {
            bootstrap,
            input,
            output,
            group,
            work: work.parse()?,
            interval_ms: interval.parse()?,
        }),
        _ => Err(USAGE.into()),
    }
}

/// Settings that every client here has.
fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "headworks-bench");
    config
}

/// A consumer that isn't in a group's rebalances and reads committed records only.
fn reader(bootstrap: &str) -> ClientConfig {
    let mut config = client(bootstrap);
    config
        .set("group.id", "headworks-bench-reader")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest");
    config
}
