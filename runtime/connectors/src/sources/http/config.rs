//! What the source was told, and the bounds that the plan doesn't speak of.

use std::path::PathBuf;
use std::time::Duration;

use headworks_plan::{
    BEARER_DIR, HTTP_PORT, HTTP_TLS_DIR, HttpSource, Plan, Role, SourceConnection, SourcePlan,
};
use snafu::Snafu;

use crate::server::{BodyBounds, Bounds, Called};
use crate::sources::record_validation;

/// Whose listener it is.
pub(super) const CALLED: Called = Called {
    this: "this source",
    kind: "Source",
    field: "spec.http",
};

/// Bytes that the places of the most records of a request take while there are both the old ones and the new.
const PLACES: usize = 4 * 1024 * 1024;

/// An HTTP source's settings. Bodies, records and requests are all bounded, so that no sender can take
/// the pod's memory.
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespace and name of the Source, `ns/name`: goes into dead letters.
    pub source: String,
    /// What the pod runs.
    pub plan: SourcePlan,
    /// The HTTP side of it.
    pub http: HttpSource,
    /// Port to listen on; 0: any.
    pub port: u16,
    /// The folder with bearer tokens; absent: no token is asked for.
    pub bearer_dir: Option<PathBuf>,
    /// The folder with `tls.crt` and `tls.key`; absent: no TLS.
    pub tls_dir: Option<PathBuf>,
    /// What the listener lets its clients have.
    pub bounds: Bounds,
    /// Bodies that come in at once; one more is answered 503.
    pub readers: usize,
    /// Requests at work at once, from their last byte to their answer; one more is answered 503.
    pub concurrency: usize,
    /// Bytes held at once, of bodies and of what is made of them; above it, 503.
    pub in_flight_bytes: usize,
    /// Most records in one request; above it, 413.
    pub max_records: usize,
    /// Longest time for a body to come in, from the first byte to the last.
    pub body_timeout: Duration,
    /// After this, a body comes at `body_rate` or is given up.
    pub body_grace: Duration,
    /// Bytes a second of a body that isn't given up.
    pub body_rate: u32,
    /// Seconds that a 503 asks the client to wait.
    pub retry_after: u64,
}

/// Why the plan makes no HTTP source.
#[derive(Debug, Snafu)]
pub enum ConfigError {
    /// The plan has another role, or a source of another kind.
    #[snafu(display("the plan of {namespace}/{name} has no http source"))]
    NoHttp {
        /// Namespace of the object.
        namespace: String,
        /// Name of the object.
        name: String,
    },
}

/// Bytes held at once, unless one request may need more: room for some twenty bodies of 4 MiB that come in, or for
/// four at work.
const IN_FLIGHT_BYTES: usize = 96 * 1024 * 1024;

impl Config {
    /// The settings that the plan asks for.
    ///
    /// # Errors
    /// The plan has no HTTP source.
    pub fn from_plan(plan: &Plan) -> Result<Config, ConfigError> {
        let (
            Role::Source(
                source @ SourcePlan {
                    connection: SourceConnection::Http(http),
                    ..
                },
            ),
            name,
        ) = (&plan.role, &plan.name)
        else {
            return NoHttpSnafu {
                namespace: &plan.namespace,
                name: &plan.name,
            }
            .fail();
        };
        Ok(Config {
            source: format!("{}/{name}", plan.namespace),
            plan: source.clone(),
            http: http.clone(),
            port: HTTP_PORT,
            bearer_dir: http.bearer.then(|| BEARER_DIR.into()),
            tls_dir: http.tls.then(|| HTTP_TLS_DIR.into()),
            bounds: Bounds::default(),
            readers: 1_024,
            concurrency: 256,
            in_flight_bytes: IN_FLIGHT_BYTES.max(most_memory(source, http)),
            max_records: 100_000,
            body_timeout: Duration::from_secs(30),
            body_grace: Duration::from_secs(5),
            body_rate: 1_024,
            retry_after: 5,
        })
    }

    /// How large a body may be, and how slow.
    pub(super) fn body(&self) -> BodyBounds {
        BodyBounds {
            called: CALLED,
            most: self.http.max_body_bytes,
            timeout: self.body_timeout,
            grace: self.body_grace,
            rate: self.body_rate,
        }
    }
}

/// Most bytes that one request can need.
fn most_memory(source: &SourcePlan, http: &HttpSource) -> usize {
    let body = usize::try_from(http.max_body_bytes).unwrap_or(usize::MAX);
    // As long as the body is parsed, three times its length; then it, its records' places, and a piece of them.
    let checked = body.saturating_add(record_validation::most_memory(
        source.into.max_message_bytes,
        body,
    ));
    body.saturating_mul(3).max(checked.saturating_add(PLACES))
}
