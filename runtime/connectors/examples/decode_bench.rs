//! How fast bids are decoded: `cargo run --release -p headworks-connectors --example decode_bench`.
//!
//! The same Nexmark-like bids in JSON, Avro and Protobuf; three of six columns are read, then all six. Beside Avro
//! and Protobuf a peer reads the same bytes into its own values: apache-avro's `Value`, prost-reflect's
//! `DynamicMessage`. Figures depend on the machine, so this prints them and judges nothing.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use headworks_connectors::formats::FormatRegistry;
use headworks_connectors::formats::json::JsonDecoder;
use headworks_engine::format::{Decoder, Formats};
use headworks_plan::{Contract, Definition, Field, Format, UnknownFields};
use headworks_schema::{avro, protobuf};
use prost_reflect::DynamicMessage;

/// Records in a batch, as the engine would ask for.
const BATCH: usize = 4096;
/// How long each case runs.
const RUN: Duration = Duration::from_secs(3);
/// Bytes before an Avro record in single-object encoding.
const HEAD: usize = 10;

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

fn payloads() -> Vec<Vec<u8>> {
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
    (0..BATCH).map(|i| bid(i).into_bytes()).collect()
}

/// The same bids, as the contract's format has them.
fn converted(contract: &Contract, payloads: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut decoder = JsonDecoder::whole(contract, UnknownFields::Ignore)?;
    for payload in payloads {
        decoder.decode(payload)?;
    }
    let batch = decoder.finish()?;
    let mut encoder = FormatRegistry::default().encoder(contract)?;
    let mut converted = Vec::with_capacity(payloads.len());
    for row in 0..batch.num_rows() {
        let mut out = Vec::new();
        encoder.encode(&batch, row, &mut out)?;
        converted.push(out);
    }
    Ok(converted)
}

/// Runs `batch`, which reads all the payloads, for a while.
fn measure(
    name: &str,
    payloads: &[Vec<u8>],
    mut batch: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    let begun = Instant::now();
    let mut batches: u32 = 0;
    while begun.elapsed() < RUN {
        batch()?;
        batches += 1;
    }
    let seconds = begun.elapsed().as_secs_f64() / f64::from(batches);
    println!(
        "{name:<34} {:>6.0} ns a record, {:>5.0} MB/s, {} bytes a record",
        seconds * 1e9 / payloads.len() as f64,
        bytes as f64 / seconds / 1e6,
        bytes / payloads.len()
    );
    Ok(())
}

fn ours(name: &str, contract: &Contract, payloads: &[Vec<u8>]) -> Result<(), Box<dyn Error>> {
    let three = ["auction", "price", "date_time"].map(str::to_owned);
    let six: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
    for columns in [three.as_slice(), &six] {
        let mut decoder = FormatRegistry::default().decoder(contract, columns)?;
        let name = format!("{name}, {} of 6 columns", columns.len());
        measure(&name, payloads, || {
            for payload in payloads {
                decoder.decode(payload)?;
            }
            black_box(decoder.finish()?);
            Ok(())
        })?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (json, payloads) = (bids(), payloads());
    ours("JSON", &json, &payloads)?;

    let definition = avro::from_contract(&json, "nexmark.bid")?;
    let schema = Schema::parse_str(&definition.schema)?;
    let contract = in_format(Format::Avro, definition);
    let records = converted(&contract, &payloads)?;
    ours("Avro", &contract, &records)?;
    measure("Avro, apache-avro's Value", &records, || {
        for record in &records {
            let mut body = &record[HEAD..];
            black_box(apache_avro::from_avro_datum(&schema, &mut body, None)?);
        }
        Ok(())
    })?;

    let definition = protobuf::from_contract(&json, "nexmark.bid", None)?;
    let file = protobuf::parse(&definition.schema)?;
    let message = protobuf::message(&file, definition.message.as_deref())?;
    let contract = in_format(Format::Protobuf, definition);
    let records = converted(&contract, &payloads)?;
    ours("Protobuf", &contract, &records)?;
    measure("Protobuf, DynamicMessage", &records, || {
        for record in &records {
            black_box(DynamicMessage::decode(message.clone(), record.as_slice())?);
        }
        Ok(())
    })
}

fn in_format(format: Format, definition: Definition) -> Contract {
    Contract {
        format,
        definition: Some(definition),
        ..bids()
    }
}
