use headworks_plan::{DeadLetterFilter, PeekPosition, PeekSelection};

use super::*;
use crate::peek::select::Found;
use crate::peek::select::memory::Memory;

/// What was exported; so many have room in one pod's log.
#[derive(Default)]
struct Sink {
    places: Vec<(i32, i64)>,
    room: usize,
}

impl Out for Sink {
    fn record(&mut self, found: &Found) -> Sent {
        if self.room == 0 {
            return Sent::Full;
        }
        self.room -= 1;
        self.places.push((found.partition, found.offset));
        Sent::Shown
    }

    fn note(&mut self, message: String) {
        panic!("nothing is to be noted: {message}");
    }
}

fn topic() -> Memory {
    let mut topic = Memory::default().with(0, &[(1, "a"), (2, "b")]);
    topic.marker(0);
    topic.push(0, 3, "c");
    topic.with(1, &[(4, "d"), (5, "e")]).with(2, &[])
}

fn selection(positions: Vec<PeekPosition>) -> PeekSelection {
    PeekSelection {
        limit: u64::MAX,
        seconds: 60,
        positions,
        ..PeekSelection::default()
    }
}

fn pod(topic: &mut Memory, select: &PeekSelection, room: usize) -> (Sink, Vec<PeekPosition>, bool) {
    let mut sink = Sink {
        room,
        ..Sink::default()
    };
    let filter = DeadLetterFilter::default();
    let last = export(topic, Wanted::with(select, &filter), &mut sink).unwrap();
    let Some(PeekLine::End {
        records,
        more,
        positions,
        ..
    }) = last
    else {
        panic!("it ends");
    };
    assert_eq!(records as usize, sink.places.len());
    (sink, positions, more)
}

#[test]
fn pods_that_go_on_where_the_last_one_was_full_export_each_dead_letter_once() {
    let mut topic = topic();
    let (mut all, mut positions, mut pods) = (Vec::new(), Vec::new(), 0);
    loop {
        pods += 1;
        let (sink, next, more) = pod(&mut topic, &selection(positions), 2);
        all.extend(sink.places);
        positions = next;
        if !more {
            break;
        }
        // What comes later isn't for this export.
        topic.push(1, 9, "later");
    }
    all.sort_unstable();
    assert_eq!(all, [(0, 0), (0, 1), (0, 3), (1, 0), (1, 1)]);
    assert_eq!(pods, 3);
    let ends: Vec<_> = positions.iter().map(|p| (p.partition, p.offset)).collect();
    assert_eq!(ends, [(0, 4), (1, 2), (2, 0)]);
    // The next export goes on there.
    let next = positions
        .into_iter()
        .map(|p| PeekPosition { end: None, ..p });
    let (sink, ..) = pod(&mut topic, &selection(next.collect()), 9);
    assert_eq!(sink.places, [(1, 2), (1, 3)]);
}

#[test]
fn a_limit_ends_an_export_and_says_that_there_are_more() {
    let few = PeekSelection {
        limit: 4,
        ..selection(Vec::new())
    };
    let (sink, _, more) = pod(&mut topic(), &few, 9);
    assert_eq!((sink.places.len(), more), (4, true));
    let enough = PeekSelection {
        limit: 5,
        ..selection(Vec::new())
    };
    let (sink, _, more) = pod(&mut topic(), &enough, 9);
    assert_eq!((sink.places.len(), more), (5, false));
}
