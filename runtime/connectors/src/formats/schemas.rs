//! Definitions by the ids that a registry gave them, each asked for once.
//!
//! A decoder runs in the engine's thread and must not wait for long, and while the registry is down a record whose
//! schema nobody knows yet must neither be lost nor called bad. So an unknown id is asked for by a thread of its own;
//! the decoder waits for it a moment, and where that isn't enough it says that the record has to wait
//! ([`headworks_engine::format::WAITS`]). The engine then gives up the transaction and comes back later.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headworks_plan::RegistryConnection;
use headworks_schema::registry::{Registry, RegistryError};

/// How long a decoder waits for an answer itself.
const MOMENT: Duration = Duration::from_secs(2);
/// After a failure, how long the registry isn't asked for the same id again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long "there is no such id" is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// Most ids that are remembered as missing; bad records can name any number of them.
const MOST_MISSING: usize = 4096;

/// What is known of an id.
pub(super) enum Lookup {
    /// The schema's text.
    Found(Arc<str>),
    /// The registry has no such id.
    Missing,
    /// It can't be said yet, and why.
    Waits(String),
}

/// The schemas of one process.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    registry: Option<Result<Registry, RegistryError>>,
    state: Mutex<HashMap<u32, State>>,
    changed: Condvar,
}

#[derive(Debug)]
enum State {
    Asked,
    Found(Arc<str>),
    Missing(Instant),
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
            // Without a registry nobody will ever know.
            None => return Lookup::Missing,
            Some(Err(error)) => return Lookup::Waits(error.to_string()),
            Some(Ok(registry)) => registry,
        };
        let mut state = self.state();
        match state.get(&id) {
            Some(State::Found(text)) => return Lookup::Found(Arc::clone(text)),
            Some(State::Missing(at)) if at.elapsed() < BELIEVED => return Lookup::Missing,
            Some(State::Failed(at, why)) if at.elapsed() < PAUSE => {
                return Lookup::Waits(why.clone());
            }
            Some(State::Asked) => {}
            _ => {
                if state.len() >= MOST_MISSING {
                    state.retain(|_, known| !matches!(known, State::Missing(_)));
                }
                state.insert(id, State::Asked);
                self.ask(registry.clone(), id);
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
            Some(State::Failed(_, why)) => Lookup::Waits(why.clone()),
            _ => Lookup::Waits("the schema registry hasn't answered yet".to_owned()),
        }
    }

    fn ask(self: &Arc<Self>, registry: Registry, id: u32) {
        let schemas = Arc::clone(self);
        let work = move || {
            let asked = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map(|runtime| runtime.block_on(registry.schema_by_id(id)));
            schemas.know(
                id,
                match asked {
                    Ok(Ok(text)) => State::Found(text.into()),
                    Ok(Err(RegistryError::NotFound { .. })) => State::Missing(Instant::now()),
                    Ok(Err(error)) => State::Failed(Instant::now(), error.to_string()),
                    Err(error) => State::Failed(Instant::now(), error.to_string()),
                },
            );
        };
        let started = std::thread::Builder::new()
            .name("schema-registry".to_owned())
            .spawn(work);
        if let Err(error) = started {
            // The lock is held by the caller, who finds this at its next look.
            tracing::warn!(%error, "no thread for asking the schema registry");
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use headworks_engine::format::{Formats as _, WAITS};
    use headworks_plan::{Contract, Field, Format, Registered, RegistryConnection};

    use crate::formats::Known;

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
                stream.write_all(answer.as_bytes()).unwrap();
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
        let known = Known::with(Some(&RegistryConnection {
            url: format!("http://{address}"),
            ca_pem: None,
        }));
        let mut decoder = known.decoder(&contract, &["n".to_owned()]).unwrap();
        // What the plan holds needs no registry.
        decoder.decode(&[0, 0, 0, 0, 1, 4]).unwrap();
        let waits = decoder.decode(&[0, 0, 0, 0, 7, 6]).unwrap_err();
        assert_eq!(waits.reason, WAITS);
        assert!(waits.message.contains("can't be reached"), "{waits}");
        decoder.decode(&[0, 0, 0, 0, 1, 4]).unwrap();
        serve(TcpListener::bind(address).unwrap());
        std::thread::sleep(super::PAUSE);
        decoder.decode(&[0, 0, 0, 0, 7, 6]).unwrap();
        let bad = decoder.decode(&[0, 0, 0, 0, 8, 6]).unwrap_err();
        assert_eq!(bad.reason, "Decode");
        assert!(
            bad.message
                .contains("schema 8, which the schema registry doesn't have"),
            "{bad}"
        );
        assert_eq!(decoder.rows(), 3);
    }
}
