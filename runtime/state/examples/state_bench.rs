//! What state costs: processor nanoseconds a row by kind, memory and time with many keys on a small budget, and restoring.
//!
//! `cargo run --release -p headworks-state --example state_bench -- [WHAT…]`, WHAT being `rows`, `spill` or `restore`;
//! without one, all. `spill` takes the number of keys in millions after it (`spill=10`).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use headworks_sql::keyed::{Aggregate, Function, Operator, Window};
use headworks_sql::schema::{Column, Schema};
use headworks_sql::types::DataType;
use headworks_state::{Change, Pool, Spec, StatePartition};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const BATCH: usize = 8192;
const HOUR: i64 = 3_600_000;

fn spec(window: Option<Window>) -> Arc<Spec> {
    let column = |name: &str, data_type| Column {
        name: name.into(),
        data_type,
        nullable: false,
        labels: Vec::new(),
    };
    let rows = vec![
        column("k", DataType::BigInt),
        column("t", DataType::TimestampLtz(3)),
    ];
    let mut results = vec![column("k", DataType::BigInt)];
    if window.is_some() {
        results.push(column("window_start", DataType::Timestamp(3)));
        results.push(column("window_end", DataType::Timestamp(3)));
        results.push(column("window_time", DataType::TimestampLtz(3)));
    }
    results.push(column("n", DataType::BigInt));
    Arc::new(Spec {
        rows: Schema { columns: rows }.to_arrow(),
        keys: 1,
        time: Some(1),
        window,
        operator: Operator::Aggregate(vec![Aggregate {
            function: Function::Count,
            argument: None,
            filter: None,
            distinct: false,
            data_type: DataType::BigInt,
        }]),
        results: Schema { columns: results }.to_arrow(),
        allowed_lateness_ms: 0,
        ttl_ms: None,
    })
}

/// Rows whose times go on by 1 ms each, out of order by up to a second.
struct Rows {
    random: SmallRng,
    keys: i64,
    time: i64,
    /// Keys come one after the other instead of at random.
    next: Option<i64>,
}

impl Rows {
    fn new(keys: i64) -> Rows {
        Rows {
            random: SmallRng::seed_from_u64(1),
            keys,
            time: 1_700_000_000_000,
            next: None,
        }
    }

    fn batch(&mut self, spec: &Spec) -> RecordBatch {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values((0..BATCH).map(|_| {
            if let Some(next) = &mut self.next {
                *next += 1;
                *next % self.keys
            } else {
                self.random.random_range(0..self.keys)
            }
        })));
        let times = (0..BATCH).map(|i| self.time + i as i64 - self.random.random_range(0..1000));
        let times = TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC");
        self.time += BATCH as i64;
        RecordBatch::try_new(spec.rows.clone(), vec![keys, Arc::new(times)]).unwrap()
    }
}

/// Processor time of this thread, so that a busy machine doesn't count; wall time where the system doesn't say.
fn clock(start: Instant) -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|n| n.parse().ok());
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Resident memory in MiB; 0 where the system doesn't say.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<usize>().ok())
        .unwrap_or(0)
        / 1024
}

fn rows(name: &str, window: Option<Window>, keys: i64, count: usize, epoch: usize) {
    let spec = spec(window);
    let mut shard = StatePartition::new(spec.clone(), Pool::open(u64::MAX, None).unwrap());
    let mut source = Rows::new(keys);
    let begin = Instant::now();
    let (mut adding, mut sealing) = (Duration::ZERO, Duration::ZERO);
    let (mut results, mut bytes) = (0, 0);
    let mut warm = true;
    let mut done = 0;
    while done < count {
        for _ in 0..epoch {
            let batch = source.batch(&spec);
            let start = clock(begin);
            shard.add(&batch, 0).unwrap();
            adding += clock(begin).saturating_sub(start);
        }
        let start = clock(begin);
        let output = shard.prepare_commit(Some(source.time - 1000), 0).unwrap();
        shard.commit().unwrap();
        sealing += clock(begin).saturating_sub(start);
        if std::mem::take(&mut warm) {
            (adding, sealing) = (Duration::ZERO, Duration::ZERO);
            continue;
        }
        done += epoch * BATCH;
        results += output
            .results
            .iter()
            .map(RecordBatch::num_rows)
            .sum::<usize>();
        let sizes = output
            .changelog
            .iter()
            .map(|c| c.value.as_ref().map_or(0, Vec::len));
        bytes += sizes.sum::<usize>();
    }
    println!(
        "{name}: {:.0} ns a row (add {:.0}, seal and commit {:.0}); {results} results, {} B of changelog a row",
        (adding + sealing).as_nanos() as f64 / done as f64,
        adding.as_nanos() as f64 / done as f64,
        sealing.as_nanos() as f64 / done as f64,
        bytes / done,
    );
}

fn spill(window: Option<Window>, name: &str, keys: i64) {
    let folder = std::env::temp_dir().join(format!("headworks-state-bench-{}", std::process::id()));
    let budget = 256 << 20;
    let pool = Pool::open(budget, Some(folder.clone())).unwrap();
    let spec = spec(window);
    let mut shard = StatePartition::new(spec.clone(), pool.clone());
    let mut source = Rows::new(keys);
    let (start, cpu) = (Instant::now(), clock(Instant::now()));
    let (mut most, mut memory) = (0, 0);
    let rows = 2 * keys as usize;
    for pass in 0..2 {
        source.next = (pass == 0).then_some(0);
        for _ in 0..rows / 2 / BATCH / 32 {
            for _ in 0..32 {
                shard.add(&source.batch(&spec), 0).unwrap();
            }
            shard.prepare_commit(None, 0).unwrap();
            shard.commit().unwrap();
            most = most.max(resident());
            memory = memory.max(shard.figures().memory_bytes);
        }
        println!(
            "{name}, pass {pass}: {:.1} s so far ({:.1} s of the processor), {} MiB resident at most, state's own figure at most {} MiB, {:?}",
            start.elapsed().as_secs_f64(),
            clock(start).saturating_sub(cpu).as_secs_f64(),
            most,
            memory >> 20,
            shard.figures()
        );
    }
    if window.is_some() {
        let firing = Instant::now();
        let (mut results, mut epochs) = (0, 0);
        loop {
            let output = shard.prepare_commit(Some(i64::MAX), 0).unwrap();
            results += output
                .results
                .iter()
                .map(RecordBatch::num_rows)
                .sum::<usize>();
            epochs += 1;
            most = most.max(resident());
            shard.commit().unwrap();
            if !output.more {
                break;
            }
        }
        println!(
            "{name}: {results} results in {epochs} epochs, {:.1} s, {most} MiB resident at most",
            firing.elapsed().as_secs_f64()
        );
    }
    drop(shard);
    drop(pool);
    std::fs::remove_dir_all(folder).unwrap();
}

fn restore(window: Option<Window>, name: &str, keys: i64) {
    let spec = spec(window);
    let pool = Pool::open(u64::MAX, None).unwrap();
    let mut shard = StatePartition::new(spec.clone(), pool.clone());
    let mut source = Rows::new(keys);
    source.next = Some(0);
    let mut log: Vec<Change> = Vec::new();
    for _ in 0..=keys as usize / BATCH / 32 {
        for _ in 0..32 {
            shard.add(&source.batch(&spec), 0).unwrap();
        }
        log.extend(shard.prepare_commit(None, 0).unwrap().changelog);
        shard.commit().unwrap();
    }
    let figures = shard.figures();
    drop(shard);
    let bytes: usize = log
        .iter()
        .map(|c| c.key.len() + c.value.as_ref().map_or(0, Vec::len))
        .sum();
    let start = Instant::now();
    let cpu = clock(start);
    let mut shard = StatePartition::new(spec, pool);
    for change in &log {
        shard.restore(&change.key, change.value.as_deref()).unwrap();
    }
    shard.restored(None).unwrap();
    let took = clock(start).saturating_sub(cpu).as_secs_f64();
    println!(
        "{name}: {} keys, {} records of {} MiB, state {} MiB: restored in {took:.2} s of the processor, {:.0} MiB of changelog a second",
        figures.keys,
        log.len(),
        bytes >> 20,
        figures.memory_bytes >> 20,
        bytes as f64 / took / f64::from(1 << 20),
    );
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |what: &str| asked.is_empty() || asked.iter().any(|a| a.starts_with(what));
    let wants_only = |what: &str| asked.iter().any(|a| a == what);
    let minute = Window::Tumble {
        size: 60_000,
        offset: 0,
    };
    let day = Window::Tumble {
        size: 24 * HOUR * 365,
        offset: 0,
    };
    let hop = Window::Hop {
        size: 7 * 24 * HOUR,
        slide: HOUR,
        offset: 0,
    };
    let session = Window::Session { gap: 10_000 };
    if wants("rows") {
        let many = 20_000_000;
        rows("TUMBLE 1 min, 1,000 keys", Some(minute), 1000, many, 32);
        rows("TUMBLE 1 min, 1 M keys", Some(minute), 1_000_000, many, 32);
        rows("HOP 1 h / 7 d, 1,000 keys", Some(hop), 1000, many, 32);
        rows("HOP 1 h / 7 d, 1 M keys", Some(hop), 1_000_000, many, 32);
        rows("SESSION 10 s, 1,000 keys", Some(session), 1000, many, 32);
        rows("SESSION 10 s, 1 M keys", Some(session), 1_000_000, many, 32);
        rows("no window, 1,000 keys", None, 1000, many, 32);
        rows("no window, 1 M keys", None, 1_000_000, many, 32);
    }
    let number = |what: &str, default: i64| {
        let mut numbers = asked.iter().filter_map(|a| a.strip_prefix(what));
        numbers
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
            * 1_000_000
    };
    if wants("spill") {
        let keys = number("spill=", 10);
        if !wants_only("spill-keys") {
            spill(Some(day), "budget 256 MiB, one window", keys);
        }
        spill(None, "budget 256 MiB, no window", keys);
    }
    if wants("restore") {
        let keys = number("restore=", 10);
        restore(Some(day), "restore, one window", keys);
        restore(None, "restore, no window", keys);
    }
}
