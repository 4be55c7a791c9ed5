//! A member that was put out of its group and doesn't know it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{Session, World};
use crate::log::{Position, Reason, TableRows};
use crate::memory::{Faults, MemoryBroker, MemoryDatabase, MemoryStore, StoreFaults};
use crate::store::{Move, Store, StoreError};

type Committing = Box<dyn FnMut(&mut MemoryStore, &[Move<'_>]) -> Result<(), StoreError>>;

/// A store whose commits of rows go as a test says.
struct Scripted {
    store: MemoryStore,
    commit: Committing,
}

impl Store for Scripted {
    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Vec<Option<Position>>, StoreError> {
        self.store.claim(partitions)
    }

    fn offsets(
        &mut self,
        partitions: &[(String, i32)],
    ) -> Result<Vec<Option<Position>>, StoreError> {
        self.store.offsets(partitions)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.store.begin()
    }

    fn write(&mut self, rows: &TableRows) -> Result<(), StoreError> {
        self.store.write(rows)
    }

    fn commit(&mut self, moves: &[Move<'_>]) -> Result<(), StoreError> {
        if moves.iter().all(|one| one.expected.is_none()) {
            return self.store.commit(moves);
        }
        (self.commit)(&mut self.store, moves)
    }

    fn rollback(&mut self) {
        self.store.rollback();
    }
}

#[test]
fn a_member_that_was_put_out_while_it_committed_does_not_go_on_by_looking() {
    let faults = Faults {
        unnoticed: 1_000,
        ..Faults::default()
    };
    let broker = MemoryBroker::new(1, faults);
    broker.create("in", 1);
    broker.create("in.dlq", 1);
    let world = Rc::new(World {
        database: MemoryDatabase::new(&broker, StoreFaults::default()),
        broker,
        ..World::new()
    });
    world.write(&["a 2"]);

    // The successor makes a dead letter of the next record, and gets no further.
    let successor: Rc<RefCell<Option<Session>>> = Rc::default();
    let meanwhile = {
        let (world, successor) = (Rc::clone(&world), Rc::clone(&successor));
        move || {
            world.broker.tick(13_000);
            world.write(&["b 6"]);
            world.database.set_faults(StoreFaults {
                fickle: 1_000,
                ..StoreFaults::default()
            });
            let reached = Rc::new(Cell::new(0));
            let script = {
                let reached = Rc::clone(&reached);
                move |store: &mut MemoryStore, moves: &[Move<'_>]| {
                    reached.set(reached.get() + 1);
                    if reached.get() > 1 {
                        return store.commit(moves);
                    }
                    store.rollback();
                    Err(StoreError::Held {
                        reason: Reason::StoreUnavailable,
                        message: "gone".into(),
                    })
                }
            };
            let store = Scripted {
                store: world.database.open(),
                commit: Box::new(script),
            };
            let mut session = world.start_as("member-1", Box::new(store));
            for _ in 0..1_000 {
                if reached.get() == 0 {
                    session.step().unwrap();
                }
            }
            assert_eq!(reached.get(), 1);
            world.database.set_faults(StoreFaults::default());
            *successor.borrow_mut() = Some(session);
        }
    };
    let mut meanwhile = Some(meanwhile);
    let script = move |store: &mut MemoryStore, moves: &[Move<'_>]| {
        store.commit(moves)?;
        let Some(meanwhile) = meanwhile.take() else {
            return Ok(());
        };
        meanwhile();
        Err(StoreError::Unknown {
            message: "no answer".into(),
        })
    };
    let store = Scripted {
        store: world.database.open(),
        commit: Box::new(script),
    };
    let mut session = world.start_as("member-0", Box::new(store));
    for _ in 0..200 {
        if session.step().is_err() {
            break;
        }
    }
    drop(session);
    let mut session = successor.borrow_mut().take().unwrap();
    for _ in 0..300 {
        session.step().unwrap();
    }
    assert_eq!(world.database.rows(), ["a=2"]);
    assert_eq!(world.dead_letters(), ["StoreRefused"]);
    assert_eq!(world.stored_to(), 2);
}
