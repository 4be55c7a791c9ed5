//! What quality rules cost: `cargo run --release -p headworks-connectors --example judge_bench`.
//!
//! Nexmark-like bids go through a pipeline in memory (decoded, evaluated, encoded; no Kafka, which costs the same with rules and
//! without), with no rule and with twelve row checks that every bid passes, by turns. Figures depend on the machine, so this prints
//! them and judges nothing. Time is the thread's own on a processor (Linux), so that others on the machine count little.

use std::error::Error;
use std::io;
use std::time::Duration;

use headworks_connectors::formats::FormatRegistry;
use headworks_engine::local::{BadRecord, Local, Row, Sink};
use headworks_plan::{
    Check, Contract, Delivery, Field, OnBadRecord, OnOverflow, PipelinePlan, Rule, RuleAction,
    StartFrom, Stream,
};

/// Records of a round.
const RECORDS: usize = 200_000;
/// Rounds of each; the quickest counts.
const ROUNDS: usize = 5;
/// One of each kind of row check: those of `e2e/bench/run`.
const CHECKS: [&str; 12] = [
    "auction IS NOT NULL",
    "auction BETWEEN 1000 AND 200000",
    "bidder >= 1000",
    "price >= 0",
    "price < 100000000",
    "date_time > 0",
    "channel IN ('Google', 'Facebook', 'Baidu', 'Apple')",
    "channel NOT IN ('None', 'Unknown')",
    "REGEXP(channel, '^[A-Z][a-z]+$')",
    "url LIKE 'https://%'",
    "CHAR_LENGTH(url) BETWEEN 8 AND 200",
    "CHAR_LENGTH(extra) > 0 OR price = 0",
];

fn bids() -> Vec<Vec<u8>> {
    let channels = ["Google", "Facebook", "Baidu", "Apple"];
    let bid = |i: usize| {
        format!(
            r#"{{"auction":{},"bidder":{},"price":{},"channel":"{}","url":"https://auctions.example/{:012x}/item.htm","date_time":{},"extra":"{:016x}"}}"#,
            1_000 + i * 31 % 100_000,
            1_000 + i * 7 % 50_000,
            i * 2_654_435_761 % 10_000,
            channels[i % channels.len()],
            i * 2_654_435_761,
            1_767_225_600_000_u64 + i as u64,
            i * 11_400_714_819,
        )
        .into_bytes()
    };
    (0..RECORDS).map(bid).collect()
}

fn plan(sql: &str, output: &[(&str, &str)], checks: &[&str]) -> PipelinePlan {
    let all = [
        ("auction", "bigint"),
        ("bidder", "bigint"),
        ("price", "bigint"),
        ("channel", "string"),
        ("url", "string"),
        ("date_time", "bigint"),
        ("extra", "string"),
    ];
    let stream = |name: &str, fields: &[(&str, &str)], rules| Stream {
        name: name.into(),
        topic: name.into(),
        dead_letter_topic: format!("{name}.dlq"),
        contract: Contract {
            fields: fields
                .iter()
                .map(|(name, type_)| Field::new(*name, *type_, false))
                .collect(),
            ..Contract::default()
        },
        max_message_bytes: 1_000_000,
        rules,
    };
    let check = |(at, expression): (usize, &&str)| Check {
        name: format!("c{at}"),
        expression: (*expression).to_owned(),
        field: None,
        action: RuleAction::DeadLetter,
    };
    let rule = || Rule {
        name: "sane".into(),
        generation: 1,
        filter: None,
        checks: checks.iter().enumerate().map(check).collect(),
    };
    let rules = if checks.is_empty() {
        Vec::new()
    } else {
        vec![rule()]
    };
    let output = if output.is_empty() { &all[..] } else { output };
    PipelinePlan {
        sql: sql.into(),
        inputs: vec![stream("bids", &all, rules)],
        outputs: vec![stream("result", output, Vec::new())],
        delivery: Delivery::ExactlyOnce,
        commit_interval_ms: 100,
        start_from: StartFrom::Earliest,
        on_bad_record: OnBadRecord::DeadLetter,
        on_overflow: OnOverflow::SetNull,
        stages: Vec::new(),
        accept_data_loss: None,
        verdicts: None,
    }
}

#[derive(Default)]
struct Count {
    rows: usize,
    bad: usize,
}

impl Sink for Count {
    fn row(&mut self, _: Row<'_>) -> io::Result<()> {
        self.rows += 1;
        Ok(())
    }

    fn bad(&mut self, _: BadRecord<'_>) -> io::Result<()> {
        self.bad += 1;
        Ok(())
    }
}

/// How long this thread has run on a processor.
fn on_processor() -> io::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Ok(Duration::from_nanos(nanos.unwrap_or_default()))
}

/// Nanoseconds a record.
fn round(plan: &PipelinePlan, bids: &[Vec<u8>]) -> Result<f64, Box<dyn Error>> {
    let mut run = Local::new(plan, &FormatRegistry::default())?;
    let mut count = Count::default();
    let begun = on_processor()?;
    for bid in bids {
        run.push(0, bid, &mut count)?;
    }
    run.finish(&mut count)?;
    let took = on_processor()?.saturating_sub(begun);
    if count.bad > 0 || count.rows == 0 {
        return Err(format!("{} rows, {} bad", count.rows, count.bad).into());
    }
    Ok(took.as_secs_f64() * 1e9 / bids.len() as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let bids = bids();
    let narrow = [
        ("auction", "bigint"),
        ("bidder", "bigint"),
        ("price", "bigint"),
        ("date_time", "bigint"),
    ];
    let filter = "SELECT auction, bidder, price, date_time FROM bids WHERE price >= 5000";
    for (name, sql, output) in [
        ("pass", "SELECT * FROM bids", &[][..]),
        ("filter", filter, &narrow),
    ] {
        let plans = [plan(sql, output, &[]), plan(sql, output, &CHECKS)];
        let mut best = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (best, plan) in best.iter_mut().zip(&plans) {
                *best = best.min(round(plan, &bids)?);
            }
        }
        println!(
            "{name:7} without rules {:6.0} ns a record, with {} checks {:6.0} ns: {:+.0} ns, {:+.1} %",
            best[0],
            CHECKS.len(),
            best[1],
            best[1] - best[0],
            100.0 * (best[1] / best[0] - 1.0),
        );
    }
    Ok(())
}
