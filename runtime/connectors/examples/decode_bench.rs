//! How fast bids are decoded: `cargo run --release -p headworks-connectors --example decode_bench`.
//!
//! Nexmark-like bids of about 180 bytes; three of six columns are read, then all six. Figures depend on
//! the machine, so this prints them and judges nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use headworks_connectors::formats::Known;
use headworks_engine::format::{Decoder, FormatError, Formats};
use headworks_plan::{Contract, Field};

/// Records in a batch, as the engine would ask for.
const BATCH: usize = 4096;
/// How long each case runs.
const RUN: Duration = Duration::from_secs(3);

fn bids() -> Contract {
    let field = |name: &str, type_: &str| Field {
        name: name.into(),
        type_: type_.into(),
        nullable: false,
        labels: vec![],
    };
    let fields = vec![
        field("auction", "bigint"),
        field("bidder", "bigint"),
        field("price", "decimal(12,2)"),
        field("channel", "string"),
        field("url", "string"),
        field("date_time", "timestamp_ltz(3)"),
    ];
    Contract {
        fields,
        ..Contract::default()
    }
}

fn payloads() -> Vec<String> {
    let bid = |i: usize| {
        format!(
            r#"{{"auction":{},"bidder":{},"price":"{}.{:02}","channel":"channel-{}","url":"https://nexmark.com/{:08x}/item.htm?q=1&channel_id={}","date_time":"2026-01-{:02}T{:02}:{:02}:{:02}.{:03}Z"}}"#,
            1000 + i % 5000,
            2000 + i * 7 % 9000,
            i % 10_000,
            i % 100,
            i % 400,
            i * 2_654_435_761 % 0xffff_ffff,
            i % 1000,
            1 + i % 28,
            i % 24,
            i % 60,
            i % 59,
            i % 1000
        )
    };
    (0..BATCH).map(bid).collect()
}

fn measure(name: &str, decoder: &mut dyn Decoder, payloads: &[String]) -> Result<(), FormatError> {
    let bytes: usize = payloads.iter().map(String::len).sum();
    let begun = Instant::now();
    let mut batches: u32 = 0;
    while begun.elapsed() < RUN {
        for payload in payloads {
            if let Err(error) = decoder.decode(payload.as_bytes()) {
                eprintln!("refused: {error}");
            }
        }
        black_box(decoder.finish()?);
        batches += 1;
    }
    let seconds = begun.elapsed().as_secs_f64() / f64::from(batches);
    println!(
        "{name}: {:.0} ns a record, {:.0} MB/s, {} bytes a record",
        seconds * 1e9 / payloads.len() as f64,
        bytes as f64 / seconds / 1e6,
        bytes / payloads.len()
    );
    Ok(())
}

fn main() -> Result<(), FormatError> {
    let (contract, payloads) = (bids(), payloads());
    let three = ["auction", "price", "date_time"].map(str::to_owned);
    measure(
        "3 of 6 columns",
        Known.decoder(&contract, &three)?.as_mut(),
        &payloads,
    )?;
    let six: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
    measure(
        "6 of 6 columns",
        Known.decoder(&contract, &six)?.as_mut(),
        &payloads,
    )
}
