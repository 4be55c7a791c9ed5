//! Definitions by the ids that a registry gave them, each asked for once.
//!
//! A decoder runs in the engine's thread and must not wait for long, and while the registry is down a record whose
//! schema nobody knows yet must neither be lost nor called bad. So an unknown id is asked for by a thread of its own;
//! the decoder waits for it a moment, and where that isn't enough it says that the record has to wait
//! ([`headworks_engine::format::DecodeError::Waits`]). The engine then gives up the transaction and comes back later.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headworks_plan::RegistryConnection;
use headworks_schema::SchemaText;
use headworks_schema::registry::{Registry, RegistryError};

/// How long a decoder waits for an answer itself.
const MOMENT: Duration = Duration::from_secs(2);
/// After a failure, how long the registry isn't asked for the same id again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long "there is no such id" is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// Most ids that are remembered as missing; bad records can name any number of them.
const MOST_MISSING: usize = 4096;

/// Without a registry: how long a record of an unknown schema may be one that is early.
pub(super) const EARLY: Duration = Duration::from_secs(5 * 60);
/// Most fingerprints that are waited for in a process's life. Each holds its part of the Pipeline up for [`EARLY`] at most.
const MOST_STRANGERS: usize = 8;

/// What is known of an id.
pub(super) enum Lookup {
    /// The schema's text, and those that it needs.
    Found(Arc<SchemaText>),
    /// The registry has no such id.
    Missing,
    /// There is one that can't be had, whatever is waited for, and why.
    Never(String),
    /// It can't be said yet, and why.
    Waits(String),
}

/// The schemas of one process.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    registry: Option<Result<Registry, RegistryError>>,
    state: Mutex<HashMap<u32, State>>,
    changed: Condvar,
    strangers: Mutex<Strangers>,
}

#[derive(Debug)]
enum State {
    Asked,
    Found(Arc<SchemaText>),
    Missing(Instant),
    Never(Instant, String),
    Failed(Instant, String),
}

impl Schemas {
    pub(super) fn new(connection: Option<&RegistryConnection>) -> Schemas {
        Schemas {
            registry: connection.map(|c| Registry::new(&c.url, c.ca_pem.as_deref())),
            ..Schemas::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, HashMap<u32, State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `id`, after a moment at most.
    pub(super) fn get(self: &Arc<Self>, id: u32) -> Lookup {
        let registry = match &self.registry {
            // The stream's records carry ids, so there was a registry, and switching it off loses nothing.
            None => {
                return Lookup::Waits(
                    "the Platform names no schema registry any more: name it again".to_owned(),
                );
            }
            Some(Err(error)) => return Lookup::Waits(error.to_string()),
            Some(Ok(registry)) => registry,
        };
        let mut state = self.state();
        match state.get(&id) {
            Some(State::Found(text)) => return Lookup::Found(Arc::clone(text)),
            Some(State::Missing(at)) if at.elapsed() < BELIEVED => return Lookup::Missing,
            Some(State::Never(at, why)) if at.elapsed() < BELIEVED => {
                return Lookup::Never(why.clone());
            }
            Some(State::Failed(at, why)) if at.elapsed() < PAUSE => {
                return Lookup::Waits(why.clone());
            }
            Some(State::Asked) => {}
            _ => {
                if state.len() >= MOST_MISSING {
                    let gone =
                        |known: &State| matches!(known, State::Missing(_) | State::Never(..));
                    state.retain(|_, known| !gone(known));
                }
                let asked = match self.ask(registry.clone(), id) {
                    Ok(()) => State::Asked,
                    // Nobody would ever answer: the next look is to ask again.
                    Err(error) => State::Failed(
                        Instant::now(),
                        format!("no thread for asking the schema registry: {error}"),
                    ),
                };
                state.insert(id, asked);
            }
        }
        let waiting =
            |state: &mut HashMap<u32, State>| matches!(state.get(&id), Some(State::Asked));
        let (state, _) = self
            .changed
            .wait_timeout_while(state, MOMENT, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match state.get(&id) {
            Some(State::Found(text)) => Lookup::Found(Arc::clone(text)),
            Some(State::Missing(_)) => Lookup::Missing,
            Some(State::Never(_, why)) => Lookup::Never(why.clone()),
            Some(State::Failed(_, why)) => Lookup::Waits(why.clone()),
            _ => Lookup::Waits("the schema registry hasn't answered yet".to_owned()),
        }
    }

    /// Has a thread of its own ask for `id`, and say what it hears. The caller holds the lock.
    fn ask(self: &Arc<Self>, registry: Registry, id: u32) -> std::io::Result<()> {
        let answer = Answer {
            schemas: Arc::clone(self),
            id,
            known: None,
        };
        let work = move || {
            let mut answer = answer;
            let asked = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map(|runtime| runtime.block_on(registry.schema_by_id(id)));
            let now = Instant::now();
            answer.known = Some(match asked {
                Ok(Ok(written)) => State::Found(Arc::new(written)),
                Ok(Err(RegistryError::NotFound { .. })) => State::Missing(now),
                Ok(Err(
                    error @ (RegistryError::TooLarge { .. } | RegistryError::References { .. }),
                )) => State::Never(now, error.to_string()),
                Ok(Err(error)) => State::Failed(now, error.to_string()),
                Err(error) => State::Failed(now, error.to_string()),
            });
        };
        std::thread::Builder::new()
            .name("schema-registry".to_owned())
            .spawn(work)
            .map(drop)
    }

    /// Whether a record that names its schema by a fingerprint that isn't in the plan has to wait for a plan that has it.
    pub(super) fn stranger(&self, fingerprint: u64) -> bool {
        let strangers = self.strangers.lock();
        let mut strangers = strangers.unwrap_or_else(PoisonError::into_inner);
        strangers.waits(fingerprint, Instant::now())
    }

    /// As if so much time had gone by.
    #[cfg(test)]
    pub(super) fn later(&self, by: Duration) {
        let mut strangers = self.strangers.lock().unwrap();
        for since in strangers.since.values_mut() {
            *since = since.checked_sub(by).unwrap();
        }
    }

    fn know(&self, id: u32, known: State) {
        if let State::Failed(_, why) = &known {
            tracing::warn!(id, why, "a schema can't be had");
        }
        self.state().insert(id, known);
        self.changed.notify_all();
    }
}

/// An answer on its way. However its thread ends, something is known of the id afterwards.
struct Answer {
    schemas: Arc<Schemas>,
    id: u32,
    known: Option<State>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // One that was never sent off has the caller's lock above it, and the caller knows.
        if let Some(known) = self.known.take() {
            self.schemas.know(self.id, known);
        } else if std::thread::panicking() {
            let why = "asking the schema registry ended in a fault of Headworks".to_owned();
            self.schemas
                .know(self.id, State::Failed(Instant::now(), why));
        }
    }
}

/// Fingerprints that aren't in the plan, since when each is met. A contract's writers may have the new plan before its
/// readers, so a record of an unknown schema is more likely early than bad. But nobody can be asked, and whoever may
/// write to the topic can make fingerprints up: so each waits once and for a bounded time, and only so many do.
#[derive(Debug, Default)]
struct Strangers {
    since: HashMap<u64, Instant>,
}

impl Strangers {
    fn waits(&mut self, fingerprint: u64, now: Instant) -> bool {
        if !self.since.contains_key(&fingerprint) {
            if self.since.len() >= MOST_STRANGERS {
                return false;
            }
            self.since.insert(fingerprint, now);
        }
        let since = self.since.get(&fingerprint);
        since.is_some_and(|since| now.saturating_duration_since(*since) < EARLY)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Instant;

    use headworks_engine::format::{DecodeError, Formats as _};
    use headworks_plan::{Contract, Field, Format, Registered, RegistryConnection};

    use super::{Answer, EARLY, MOST_STRANGERS, Schemas, State, Strangers};
    use crate::formats::FormatRegistry;

    const SCHEMA: &str =
        r#"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"n\",\"type\":\"int\"}]}"#;

    fn serve(listener: TcpListener) {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let (status, body) = if request.contains("/schemas/ids/7 ") {
                    ("200 OK", format!(r#"{{"schema":"{SCHEMA}"}}"#))
                } else if request.contains("/schemas/ids/9 ") {
                    let much = "x".repeat(3 * 1024 * 1024);
                    ("200 OK", format!(r#"{{"schema":"{much}"}}"#))
                } else {
                    (
                        "404 Not Found",
                        r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned(),
                    )
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                // Who has read enough goes.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
    }

    /// While the registry is down, a record whose schema nobody knows is neither good nor bad. Once the registry is
    /// back, it is read; one whose schema the registry doesn't have is bad.
    #[test]
    fn a_record_waits_for_the_registry_and_for_nothing_else() {
        let place = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = place.local_addr().unwrap();
        drop(place);
        let contract = Contract {
            fields: vec![Field {
                name: "n".into(),
                type_: "bigint".into(),
                nullable: false,
                labels: vec![],
            }],
            format: Format::Avro,
            registered: Some(Registered {
                subject: "s".into(),
                id: 1,
                known: vec![],
            }),
            ..Contract::default()
        };
        let known = FormatRegistry::with(Some(&RegistryConnection {
            url: format!("http://{address}"),
            ca_pem: None,
        }));
        let mut decoder = known.decoder(&contract, &["n".to_owned()]).unwrap();
        // What the plan holds needs no registry.
        decoder.decode(&[0, 0, 0, 0, 1, 4]).unwrap();
        let waits = decoder.decode(&[0, 0, 0, 0, 7, 6]).unwrap_err();
        let DecodeError::Waits { message } = &waits else {
            panic!("{waits}")
        };
        assert!(message.contains("can't be reached"), "{waits}");
        decoder.decode(&[0, 0, 0, 0, 1, 4]).unwrap();
        serve(TcpListener::bind(address).unwrap());
        std::thread::sleep(super::PAUSE);
        decoder.decode(&[0, 0, 0, 0, 7, 6]).unwrap();
        let bad = decoder.decode(&[0, 0, 0, 0, 8, 6]).unwrap_err();
        let bad = bad.refused().unwrap();
        assert_eq!(bad.reason, "Decode");
        assert!(
            bad.message
                .contains("schema 8, which the schema registry doesn't have"),
            "{bad}"
        );
        // Asking again would bring the same.
        let large = decoder.decode(&[0, 0, 0, 0, 9, 6]).unwrap_err();
        let large = large.refused().unwrap();
        assert_eq!(large.reason, "Decode");
        assert!(
            large.message.contains("schema 9")
                && large.message.contains("answer has more than 2097152 bytes"),
            "{large}"
        );
        assert_eq!(decoder.rows(), 3);
        // Switched off: what the plan holds is read, and nothing is called bad because nobody can be asked.
        let mut decoder = FormatRegistry::default()
            .decoder(&contract, &["n".to_owned()])
            .unwrap();
        decoder.decode(&[0, 0, 0, 0, 1, 4]).unwrap();
        let waits = decoder.decode(&[0, 0, 0, 0, 7, 6]).unwrap_err();
        let DecodeError::Waits { message } = &waits else {
            panic!("{waits}")
        };
        assert!(
            message.contains("the Platform names no schema registry"),
            "{waits}"
        );
    }

    #[test]
    fn a_fingerprint_that_nobody_knows_waits_once_for_a_while_and_not_any_number_of_them() {
        let start = Instant::now();
        let mut strangers = Strangers::default();
        assert!(strangers.waits(1, start));
        assert!(strangers.waits(1, start + EARLY / 2));
        assert!(!strangers.waits(1, start + EARLY));
        // One that comes later has its own time.
        assert!(strangers.waits(2, start + EARLY));
        assert!(!strangers.waits(1, start + EARLY));
        let waiting = (3..1_000).filter(|fingerprint| strangers.waits(*fingerprint, start));
        assert_eq!(waiting.count(), MOST_STRANGERS - 2);
    }

    /// Where nobody could ask, or who asked is gone, the next look asks again.
    #[test]
    fn an_answer_that_never_comes_is_no_answer_that_is_on_its_way() {
        let schemas = Arc::new(Schemas::default());
        let asking = Answer {
            schemas: Arc::clone(&schemas),
            id: 5,
            known: None,
        };
        schemas.state().insert(5, State::Asked);
        let thread = std::thread::spawn(move || {
            let _asking = asking;
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
        assert!(matches!(schemas.state().get(&5), Some(State::Failed(..))));
    }
}
