//! A client of a schema registry: the API that Confluent's, Apicurio (`/apis/ccompat/v7`) and Karapace share.
//!
//! Every call ends within [`PATIENCE`], and an answer is read up to a limit. A registry's own compatibility rules are
//! switched off for our subjects ([`Registry::allow_any_change`]): the accepted contract is what counts, and two
//! judges who differ in a detail would leave a stream that neither can move.

mod care;
mod http;
mod references;

use std::time::Duration;

use headworks_plan::Format;
use serde::Deserialize;
use serde_json::json;
use snafu::Snafu;

use http::Http;
pub use references::Reference;

/// Longest time of one call.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why a call failed, by what may be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
pub enum RegistryError {
    /// The address or the CA is no good: somebody must act.
    #[snafu(display("the schema registry's {what}"))]
    Misconfigured {
        /// Which, and what is wrong.
        what: String,
    },
    /// No answer, or one that says "later" (5xx, 429): try again.
    #[snafu(display("the schema registry at {address} can't be reached: {message}"))]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What happened.
        message: String,
    },
    /// The registry said no: trying again won't help.
    #[snafu(display("the schema registry refused ({status}): {message}"))]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The answer is larger than any schema may be: trying again won't help.
    #[snafu(display("the schema registry's answer has more than {most} bytes"))]
    TooLarge {
        /// So many bytes are read at most.
        most: u64,
    },
    /// A schema refers to others that can't be had, or to too many: trying again won't help.
    #[snafu(display(
        "the schema registry has it with references that can't be followed: {message}"
    ))]
    References {
        /// Which, and why.
        message: String,
    },
    /// There is no such id, subject or schema.
    #[snafu(display("the schema registry doesn't have it: {message}"))]
    NotFound {
        /// What it said.
        message: String,
    },
}

/// What a registry says of a schema under a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The schema's id, which records carry.
    pub id: u32,
    /// Its number under the subject, from 1; absent where the registry doesn't say.
    pub version: Option<u32>,
}

/// A registry.
#[derive(Clone, Debug)]
pub struct Registry {
    http: Http,
}

#[derive(Deserialize)]
struct Answer {
    id: u32,
    #[serde(default)]
    version: Option<u32>,
}

#[derive(Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    error_code: u32,
    #[serde(default)]
    message: String,
}

impl Registry {
    /// A registry at `url`, such as `http://registry.kafka.svc:8080/apis/ccompat/v7`. `ca_pem` signed its certificate;
    /// absent: the public roots are trusted.
    ///
    /// # Errors
    /// The address or the CA is no good.
    pub fn new(url: &str, ca_pem: Option<&str>) -> Result<Registry, RegistryError> {
        Ok(Registry {
            http: Http::new(url, ca_pem)?,
        })
    }

    /// Registers `schema` under `subject`, and says what it is there. One that is there already is found. The texts that
    /// it needs are registered already: they are the `references`.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn register(
        &self,
        subject: &str,
        format: Format,
        schema: &str,
        references: &[Reference],
    ) -> Result<Entry, RegistryError> {
        let path = format!("/subjects/{}/versions", escaped(subject));
        let body = body(format, schema, references);
        let answer: Answer = self.ask("POST", &path, Some(body)).await?;
        if answer.version.is_some() {
            return Ok(Entry {
                id: answer.id,
                version: answer.version,
            });
        }
        // The older answer has no version; it is for the status alone.
        match self.lookup(subject, format, schema, references).await {
            Ok(entry) => Ok(Entry {
                id: answer.id,
                version: entry.version,
            }),
            Err(RegistryError::NotFound { .. } | RegistryError::Refused { .. }) => Ok(Entry {
                id: answer.id,
                version: None,
            }),
            Err(error) => Err(error),
        }
    }

    /// What `schema` is under `subject`.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`]: it isn't registered there.
    pub async fn lookup(
        &self,
        subject: &str,
        format: Format,
        schema: &str,
        references: &[Reference],
    ) -> Result<Entry, RegistryError> {
        let path = format!("/subjects/{}", escaped(subject));
        let body = body(format, schema, references);
        let answer: Answer = self.ask("POST", &path, Some(body)).await?;
        Ok(Entry {
            id: answer.id,
            version: answer.version,
        })
    }

    /// Has the registry take any change of `subject`; which ones are allowed is decided by the contract.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn allow_any_change(&self, subject: &str) -> Result<(), RegistryError> {
        let path = format!("/config/{}", escaped(subject));
        let body = json!({"compatibility": "NONE"}).to_string();
        self.ask::<serde_json::Value>("PUT", &path, Some(body))
            .await?;
        Ok(())
    }

    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Result<T, RegistryError> {
        let (status, answer) = self.http.ask(method, path, body.as_deref()).await?;
        if (200..300).contains(&status) {
            return serde_json::from_slice(&answer).map_err(|_| {
                self.http.unreachable(
                    "its answer isn't a schema registry's; the address needs the path of the API, such as /apis/ccompat/v7",
                )
            });
        }
        let complaint: Complaint = serde_json::from_slice(&answer).unwrap_or_default();
        let message: String = complaint.message.chars().take(500).collect();
        Err(match status {
            // A 404 that isn't the registry's own is that of something else at this address.
            404 if complaint.error_code > 0 => RegistryError::NotFound { message },
            404 => RegistryError::Misconfigured {
                what: format!(
                    "address has no API at {path} (404); it needs the API's path, such as /apis/ccompat/v7"
                ),
            },
            408 | 429 | 500.. => self
                .http
                .unreachable(&format!("it answered {status} {message}")),
            _ => RegistryError::Refused { status, message },
        })
    }
}

fn body(format: Format, schema: &str, references: &[Reference]) -> String {
    let schema_type = match format {
        Format::Json => "JSON",
        Format::Avro => "AVRO",
        Format::Protobuf => "PROTOBUF",
    };
    let mut body = json!({"schema": schema, "schemaType": schema_type});
    if !references.is_empty() {
        body["references"] = json!(references);
    }
    body.to_string()
}

/// A subject as a step of a path (RFC 3986).
fn escaped(subject: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
