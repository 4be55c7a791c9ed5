//! The store as the engine sees it: blocking calls over a connection that this thread drives.

use std::collections::HashMap;
use std::future::Future;
use std::time::Instant;

use headworks_engine::log::{Holds, Position, Reason};
use headworks_engine::store::{Move, Store, StoreError, TableRows, TableSchema};
use headworks_plan::{PostgresConnection, StoreReason, TableOutput};
use tokio::runtime::Runtime;
use tokio_postgres::Client;

use super::connect::{ANSWER, connect};
use super::fault::{Fault, Place};
use super::offsets::{Moves, Offsets, offset};
use super::table::{self, Target};
use super::writing::{RowWriter, Writing};
use crate::stores::StoreFault;

/// Opens a transaction. Constraints that wait for the commit are checked at once, so that the row that
/// breaks one is known.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL IMMEDIATE; \
    SAVEPOINT headworks";
const KEEP: &str = "RELEASE SAVEPOINT headworks; SAVEPOINT headworks";
const TAKE_BACK: &str = "ROLLBACK TO SAVEPOINT headworks";

/// One table's session with a PostgreSQL server.
pub struct PostgresStore {
    plan: TableOutput,
    connection: PostgresConnection,
    schema: TableSchema,
    rows: RowWriter,
    place: Place,
    runtime: Option<Runtime>,
    session: Option<Session>,
    /// The epochs of this session's claims.
    epochs: HashMap<(String, i32), i64>,
    in_transaction: bool,
    /// When the present call gives up, whatever it is made of.
    until: Instant,
}

/// A connection whose table is checked.
struct Session {
    client: Client,
    target: Target,
    writing: Writing,
}

impl PostgresStore {
    /// A session that isn't connected yet.
    pub fn new(
        plan: TableOutput,
        connection: PostgresConnection,
        schema: TableSchema,
    ) -> PostgresStore {
        PostgresStore {
            place: Place::new(&plan.store.name, &connection),
            plan,
            connection,
            rows: RowWriter::new(&schema),
            schema,
            runtime: None,
            session: None,
            epochs: HashMap::new(),
            in_transaction: false,
            until: Instant::now(),
        }
    }

    /// A call begins.
    fn call(&mut self) {
        self.until = Instant::now() + ANSWER;
    }

    /// Runs `work` with the session, which lives on unless the work fails for another reason than rows.
    fn with<T, F>(
        &mut self,
        doing: &str,
        work: impl FnOnce(Session, Place) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = (Session, Result<T, Fault>)>,
    {
        let (Some(session), Some(runtime)) = (self.session.take(), &self.runtime) else {
            return Err(Fault::Store(self.place.trouble(
                Reason::StoreUnavailable,
                format!("{doing}: the connection is lost"),
            )));
        };
        let place = self.place.clone();
        let answer = runtime.block_on(async {
            tokio::time::timeout_at(self.until.into(), work(session, place)).await
        });
        let Ok((session, answer)) = answer else {
            self.in_transaction = false;
            return Err(Fault::Store(self.place.slow(doing, ANSWER.as_secs())));
        };
        if matches!(answer, Err(Fault::Store(_))) {
            self.in_transaction = false;
        } else {
            self.session = Some(session);
        }
        answer
    }

    /// Connects where there is no connection, and checks the table.
    fn ready(&mut self) -> Result<(), StoreError> {
        if self
            .session
            .as_ref()
            .is_some_and(|session| !session.client.is_closed())
        {
            return Ok(());
        }
        self.session = None;
        self.in_transaction = false;
        if self.runtime.is_none() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| StoreError::Broken {
                    message: format!("no runtime for the connection to the store: {error}"),
                })?;
            self.runtime = Some(runtime);
        }
        let Some(runtime) = &self.runtime else {
            return Ok(());
        };
        let (place, plan, schema) = (&self.place, &self.plan, &self.schema);
        let session = runtime.block_on(async {
            let connecting = connect(place, &self.connection);
            let client = tokio::time::timeout_at(self.until.into(), connecting)
                .await
                .unwrap_or_else(|_| Err(place.slow("connecting", ANSWER.as_secs())))?;
            let preparing = prepare(client, place, plan, schema);
            tokio::time::timeout_at(self.until.into(), preparing)
                .await
                .unwrap_or_else(|_| Err(place.slow("looking at the table", ANSWER.as_secs())))
        });
        self.session = Some(session.map_err(held)?);
        Ok(())
    }

    fn offsets_by(
        &mut self,
        doing: &'static str,
        places: &[(String, i32)],
        statement: impl Fn(&Target) -> &str,
    ) -> Result<Offsets, Fault> {
        let topics: Vec<String> = places.iter().map(|(topic, _)| topic.clone()).collect();
        let numbers: Vec<i32> = places.iter().map(|(_, number)| *number).collect();
        let group = self.plan.group.clone();
        self.with(doing, |session, place| async move {
            let asked = session
                .client
                .query(statement(&session.target), &[&group, &topics, &numbers])
                .await;
            let found = asked.and_then(|rows| rows.iter().map(offset).collect());
            let found = found.map_err(|error| place.fault(&error, doing));
            (session, found)
        })
    }

    /// Asks, and once more over a new connection where the old one turns out to be gone.
    fn offsets_anew(
        &mut self,
        doing: &'static str,
        places: &[(String, i32)],
        statement: fn(&Target) -> &str,
    ) -> Result<Offsets, StoreError> {
        let fresh = self.session.is_none();
        self.ready()?;
        match self.offsets_by(doing, places, statement) {
            Err(Fault::Store(_)) if !fresh => {
                self.ready()?;
                self.offsets_by(doing, places, statement)
            }
            answer => answer,
        }
        .map_err(stopped)
    }
}

impl Store for PostgresStore {
    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Vec<Option<Position>>, StoreError> {
        self.rollback();
        self.call();
        let found = self.offsets_anew("claiming offsets", partitions, |target| {
            &target.statements.claim
        })?;
        let claim = |place: &(String, i32)| {
            let (position, epoch) = found.get(place)?;
            self.epochs.insert(place.clone(), *epoch);
            Some(*position)
        };
        Ok(partitions.iter().map(claim).collect())
    }

    fn offsets(
        &mut self,
        partitions: &[(String, i32)],
    ) -> Result<Vec<Option<Position>>, StoreError> {
        self.call();
        let found = self.offsets_anew("reading offsets", partitions, |target| {
            &target.statements.read
        })?;
        let position = |place| found.get(place).map(|(position, _)| *position);
        Ok(partitions.iter().map(position).collect())
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.call();
        let doing = "opening a transaction";
        let mut begin = || {
            self.ready().map_err(|error| match error {
                StoreError::Held { reason, message } => {
                    Fault::Store(StoreFault { reason, message })
                }
                other => Fault::Store(
                    self.place
                        .trouble(Reason::StoreUnavailable, format!("{other:?}")),
                ),
            })?;
            self.with(doing, |session, place| async move {
                let begun = session.client.batch_execute(BEGIN).await;
                let begun = begun.map_err(|error| place.fault(&error, doing));
                (session, begun)
            })
        };
        // The server may have closed a connection that was idle; nothing depends on it yet.
        begin().or_else(|_| begin()).map_err(stopped)?;
        self.in_transaction = true;
        Ok(())
    }

    fn write(&mut self, rows: &TableRows) -> Result<(), StoreError> {
        self.call();
        let batch = self.rows.write(rows)?;
        let doing = format!("writing to {}", self.plan.table);
        let said = doing.clone();
        let written = self.with(&doing, |session, place| async move {
            let written = match session.writing.write(&session.client, batch).await {
                Ok(()) => session.client.batch_execute(KEEP).await,
                Err(error) => match place.fault(&error, &said) {
                    Fault::Rows { message, null_in } => {
                        let back = session.client.batch_execute(TAKE_BACK).await;
                        let fault = back.map_or_else(
                            |error| place.fault(&error, &said),
                            |()| Fault::Rows { message, null_in },
                        );
                        return (session, Err(fault));
                    }
                    Fault::Store(_) => Err(error),
                },
            };
            let written = written.map_err(|error| place.fault(&error, &said));
            (session, written)
        });
        match written {
            Ok(()) => Ok(()),
            // A column that the table has got since the session began.
            Err(Fault::Rows {
                message,
                null_in: Some(column),
            }) if self.schema.columns.column(&column).is_none() => {
                self.rollback();
                self.session = None;
                let trouble = self.place.trouble(
                    StoreReason::TableMismatch,
                    format!("{doing}: {message}; the query doesn't give this column: add it to the SELECT, or give it a default"),
                );
                Err(held(trouble))
            }
            Err(Fault::Rows { message, .. }) => Err(StoreError::Refused { message }),
            Err(Fault::Store(trouble)) => Err(held(trouble)),
        }
    }

    fn commit(&mut self, moves: &[Move<'_>]) -> Result<(), StoreError> {
        if !self.in_transaction {
            return Err(StoreError::Broken {
                message: "no transaction is open".to_owned(),
            });
        }
        self.call();
        let doing = "committing";
        let group = self.plan.group.clone();
        let steps = Moves::new(moves, &self.epochs);
        let inserted = steps.inserted();
        let applied = self.with(doing, |session, place| async move {
            let applied = steps
                .apply(&session.client, &session.target.statements, &group)
                .await
                .map_err(|error| place.fault(&error, doing));
            (session, applied)
        });
        if !applied.map_err(stopped)? {
            self.rollback();
            return Err(StoreError::Conflict {
                message: format!(
                    "{}: another process has moved the offsets of {}; its rows stand, and the rest is read again",
                    self.plan.store.name, self.plan.group
                ),
            });
        }
        let committed = self.with(doing, |session, place| async move {
            let committed = session.client.batch_execute("COMMIT").await;
            let committed = committed.map_err(|error| place.fault(&error, doing));
            (session, committed)
        });
        self.in_transaction = false;
        match committed {
            Ok(()) => {
                self.epochs
                    .extend(inserted.into_iter().map(|place| (place, 0)));
                Ok(())
            }
            Err(Fault::Rows { message, .. } | Fault::Store(StoreFault { message, .. })) => {
                // Even where it looks like a refusal: the offsets tell.
                self.session = None;
                Err(StoreError::Unknown { message })
            }
        }
    }

    fn holds(&mut self) -> Option<Holds> {
        if self.in_transaction || self.session.as_ref()?.target.holds.is_none() {
            return None;
        }
        self.call();
        let (doing, group) = ("counting the table's rows", self.plan.group.clone());
        let looked = self.with(doing, |session, place| async move {
            let looked = match &session.target.holds {
                Some(holds) => holds.look(&session.client, &group).await,
                None => Ok(None),
            };
            if let Err(error) = &looked {
                // It may take too long, or not be allowed. The session is as good as before, or found to be closed.
                tracing::debug!(%error, place = ?place, "{doing}");
            }
            (session, Ok(looked.ok().flatten()))
        });
        looked.ok().flatten()
    }

    fn rollback(&mut self) {
        if std::mem::take(&mut self.in_transaction) {
            self.call();
            let doing = "rolling back";
            // If it fails, the connection is given up, which has the same effect.
            let _ = self.with(doing, |session, place| async move {
                let back = session.client.batch_execute("ROLLBACK").await;
                (session, back.map_err(|error| place.fault(&error, doing)))
            });
        }
    }
}

fn held(trouble: StoreFault) -> StoreError {
    StoreError::Held {
        reason: trouble.reason,
        message: trouble.message,
    }
}

/// A fault where no row can be to blame.
fn stopped(fault: Fault) -> StoreError {
    match fault {
        Fault::Store(trouble) => held(trouble),
        Fault::Rows { message, .. } => StoreError::Held {
            reason: Reason::StoreUnavailable,
            message,
        },
    }
}

async fn prepare(
    client: Client,
    place: &Place,
    plan: &TableOutput,
    schema: &TableSchema,
) -> Result<Session, StoreFault> {
    let (columns, deletes) = (&schema.columns, schema.deleted.is_some());
    let target = table::prepare(&client, place, plan, columns).await?;
    let doing = format!("preparing to write {}", target.name);
    let writing = Writing::prepare(&client, &target.name, columns, &plan.key, deletes)
        .await
        .map_err(|error| match place.fault(&error, &doing) {
            Fault::Store(trouble) => trouble,
            Fault::Rows { message, .. } => place.trouble(StoreReason::TableMismatch, message),
        })?;
    Ok(Session {
        client,
        target,
        writing,
    })
}
