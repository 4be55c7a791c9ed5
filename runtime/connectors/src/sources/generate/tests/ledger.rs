//! The loop in front of a ledger that fails in every way that Kafka does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use headworks_engine::log::{LogError, Reason};
use headworks_engine::status::StatusHandle;
use headworks_engine::{Outcome, StopFlag};
use headworks_plan::{Phase, ShopRecords, Template};

use super::super::run::{Work, keep_going};
use super::super::seeded_rng::{Purpose, SeededRng};
use super::{config, shop, text};
use crate::sources::kafka::Ledger;
use crate::sources::kafka::Outgoing;

/// A failed assertion ends the threads that it would wait for.
struct Stops<'a>(&'a StopFlag);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What is committed, and how many calls there were.
#[derive(Default)]
struct Book {
    next: u64,
    records: Vec<Outgoing>,
    calls: u64,
    /// True: every other call or so fails.
    bad: bool,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Book>>);

impl Shared {
    fn open(&self) -> Result<(Shared, u64), LogError> {
        let mut book = self.0.lock().unwrap();
        let message = "at the start".to_owned();
        match book.throw() {
            0 => Err(LogError::Unavailable { message }),
            1 => Err(LogError::Fenced { message }),
            2 => Err(LogError::NeedsPerson {
                reason: Reason::TopicMissing,
                message,
            }),
            _ => Ok((self.clone(), book.next)),
        }
    }
}

impl Book {
    fn throw(&mut self) -> u64 {
        self.calls += 1;
        let mut rng = SeededRng::new(11, self.calls, Purpose::Fault);
        if self.bad { rng.below(8) } else { 9 }
    }
}

impl Ledger for Shared {
    fn commit(&mut self, records: &[Outgoing], next: u64) -> Result<(), LogError> {
        let mut book = self.0.lock().unwrap();
        let message = "in between".to_owned();
        let throw = book.throw();
        if throw != 0 && throw != 2 {
            book.records.extend_from_slice(records);
            book.next = next;
        }
        match throw {
            0 => Err(LogError::Abortable { message }),
            // The answer is lost, with the transaction or without it.
            1 | 2 => Err(LogError::Retriable { message }),
            3 => Err(LogError::Fenced { message }),
            _ => Ok(()),
        }
    }
}

fn work(limit: Option<u64>) -> Work {
    let template = Template::Shop(ShopRecords::Orders);
    let mut config = config(shop("orders"), Some(template));
    config.generate.records_per_second = 20_000;
    config.generate.faulty_percent = 3;
    config.generate.limit = limit;
    Work::new(&config).map_err(|p| p.message).unwrap()
}

fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within 60 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_record_is_written_once_whatever_fails() {
    let limit = 30_000;
    let (status, stop, book) = (StatusHandle::new(), StopFlag::new(), Shared::default());
    book.0.lock().unwrap().bad = true;
    let work = work(Some(limit));
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let running = scope.spawn(|| {
            let pause = |_: &LogError, _| Duration::from_millis(1);
            keep_going(&work, || book.open(), pause, &status, &stop)
        });
        until(|| status.report().figures.records_in == limit && status.is_ready());
        let report = status.report();
        assert_eq!((report.phase, report.problems.len()), (Phase::Running, 0));
        stop.stop();
        assert_eq!(running.join().unwrap(), Outcome::Drained);
    });
    let book = book.0.lock().unwrap();
    // On a busy machine batches are larger, and fewer.
    assert!(book.calls > 3, "{}", book.calls);
    assert_eq!((book.next, book.records.len() as u64), (limit, limit));
    let sound = book.records.iter().filter(|r| r.headers.is_empty());
    let ids: BTreeSet<String> = sound
        .map(|record| {
            let order: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
            order["order_id"].as_str().unwrap().to_owned()
        })
        .collect();
    let figures = status.report().figures;
    assert_eq!(ids.len() as u64, figures.records_out);
    assert_eq!(figures.records_out + figures.dead_letters, limit);
}

#[test]
fn what_hinders_is_reported_until_it_is_over() {
    let (status, stop) = (StatusHandle::new(), StopFlag::new());
    let fails = Mutex::new(Some(LogError::Unavailable {
        message: "no route to k:9092".into(),
    }));
    let book = Shared::default();
    let work = work(Some(10));
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        scope.spawn(|| {
            let open = || match &*fails.lock().unwrap() {
                Some(error) => Err(error.clone()),
                None => book.open(),
            };
            keep_going(&work, open, |_, _| Duration::from_millis(1), &status, &stop)
        });
        let reason = || status.report().problems.first().map(|p| p.reason.clone());
        until(|| reason() == Some(Reason::KafkaUnavailable.into()));
        assert!(status.report().problems[0].message.contains("k:9092"));
        assert!(!status.is_ready() && !status.report().problems[0].fatal);
        *fails.lock().unwrap() = Some(LogError::NeedsPerson {
            reason: Reason::NotAuthorized,
            message: "grant it".into(),
        });
        until(|| status.phase() == Phase::Stalled);
        assert_eq!(reason(), Some(Reason::NotAuthorized.into()));
        *fails.lock().unwrap() = None;
        until(|| status.report().figures.records_in == 10);
        assert!(status.is_ready());
        stop.stop();
    });
    let book = book.0.lock().unwrap();
    assert!(text(&book.records[0].value).contains("o-0000000000"));
}
