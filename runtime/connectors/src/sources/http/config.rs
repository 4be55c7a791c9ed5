//! What the source was told, and the bounds that the plan doesn't speak of.

use std::path::PathBuf;
use std::time::Duration;

use headworks_plan::{BEARER_DIR, HTTP_PORT, HTTP_TLS_DIR, HttpSource, Plan, Role, SourcePlan};
use snafu::Snafu;

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
    /// Requests at work at once; one more is answered 503.
    pub concurrency: usize,
    /// Bytes of bodies held at once; above it, 503.
    pub in_flight_bytes: usize,
    /// Most records in one request; above it, 413.
    pub max_records: usize,
    /// Longest time for a body to come in, from the first byte to the last.
    pub body_timeout: Duration,
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

/// Bodies held at once, unless one may be larger: a small pod's share of memory, as a body is held up
/// to three times (as it came, as columns, as what is written).
const IN_FLIGHT_BYTES: usize = 32 * 1024 * 1024;

impl Config {
    /// The settings that the plan asks for.
    ///
    /// # Errors
    /// The plan has no HTTP source.
    pub fn from_plan(plan: &Plan) -> Result<Config, ConfigError> {
        let (
            Role::Source(
                source @ SourcePlan {
                    http: Some(http), ..
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
            concurrency: 256,
            in_flight_bytes: IN_FLIGHT_BYTES
                .max(usize::try_from(http.max_body_bytes).unwrap_or(usize::MAX)),
            max_records: 100_000,
            body_timeout: Duration::from_secs(30),
            retry_after: 5,
        })
    }
}
