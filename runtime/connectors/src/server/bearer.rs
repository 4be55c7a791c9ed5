//! Bearer tokens (RFC 6750): each line of a mounted Secret's files is one, read again every few seconds, so that
//! a rotation needs no restart: a new token is added beside the old one, senders move over, the old one is
//! taken away. Without a token the door is shut, never open.
//!
//! That a Secret is missing is remembered as long as its tokens would be, so that neither a request nor the
//! log pays for each time it is missed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use headworks_plan::{Problem, Reason};

use super::Called;
use super::metrics::HttpMetrics;
use super::refusal::Refusal;

/// How long what was read counts before the files are read again.
const FRESH: Duration = Duration::from_secs(2);

/// Tokens as last read, or why there are none.
type Read = Result<Arc<[Vec<u8>]>, Arc<str>>;

/// The tokens that open the door. No `Debug`: they are secrets.
pub struct BearerTokens {
    dir: PathBuf,
    called: Called,
    retry_after: u64,
    metrics: HttpMetrics,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    read: Option<Read>,
    /// How often the files were read.
    times: u64,
}

impl BearerTokens {
    /// The tokens in `dir`, where a Secret is mounted. While there is none, a client is asked to come again in `retry_after`
    /// seconds. Who is let in is counted in `metrics`, by the token's number.
    pub fn new(
        dir: PathBuf,
        called: Called,
        retry_after: u64,
        metrics: HttpMetrics,
    ) -> BearerTokens {
        BearerTokens {
            dir,
            called,
            retry_after,
            metrics,
            seen: Mutex::default(),
        }
    }

    /// Lets a request with a known token through.
    ///
    /// # Errors
    /// 401: it has none, or one that isn't known. 503: there are no tokens to compare it with.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let tokens = self.current().map_err(|_| {
            let Called { this, kind, .. } = self.called;
            let error = format!(
                "{this} cannot check tokens now; its operator can read why in the {kind}'s conditions"
            );
            Refusal::unavailable(error, self.retry_after)
        })?;
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return Err(unauthorised(
                "a bearer token is needed: Authorization: Bearer <token>",
                "Bearer realm=\"headworks\"",
            ));
        };
        let token = given
            .as_bytes()
            .split_first_chunk::<7>()
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let Some((_, token)) = token else {
            return Err(unauthorised(
                "the Authorization header is not of the form: Bearer <token>",
                "Bearer realm=\"headworks\"",
            ));
        };
        // Every token is compared, whether or not an earlier one was equal.
        let numbered = tokens.iter().zip(1..);
        let known = numbered.fold(None, |known, (wanted, number)| {
            let same = same(wanted, token.trim_ascii());
            known.or(same.then_some(number))
        });
        match known {
            Some(number) => {
                self.metrics.let_in(number);
                Ok(())
            }
            None => Err(unauthorised(
                "the bearer token is not known",
                "Bearer realm=\"headworks\", error=\"invalid_token\"",
            )),
        }
    }

    /// What is wrong with the Secret, if anything.
    pub fn problem(&self) -> Option<Problem> {
        let message = self.current().err()?.to_string();
        Some(Problem::new(Reason::SecretMissing, message, true))
    }

    /// How often the files were read so far.
    #[cfg(test)]
    fn times(&self) -> u64 {
        self.seen.lock().unwrap().times
    }

    fn current(&self) -> Read {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(at), Some(read)) = (seen.at, &seen.read)
            && at.elapsed() < FRESH
        {
            return read.clone();
        }
        let read = self.read();
        match (&seen.read, &read) {
            (Some(Err(before)), Err(now)) if before == now => {}
            (_, Err(message)) => {
                tracing::warn!(reason = Reason::SecretMissing.as_str(), "{message}");
            }
            (Some(Err(_)), Ok(_)) => {
                tracing::info!(
                    reason = Reason::SecretMissing.as_str(),
                    "over: there are bearer tokens"
                );
            }
            _ => {}
        }
        *seen = Seen {
            at: Some(Instant::now()),
            read: Some(read.clone()),
            times: seen.times + 1,
        };
        read
    }

    fn read(&self) -> Read {
        let (dir, field) = (self.dir.display(), self.called.field);
        let tokens = tokens(&self.dir).map_err(|error| {
            format!("cannot read bearer tokens in {dir}: {error}; does the Secret of {field}.auth.bearer exist in this namespace?")
        })?;
        if tokens.is_empty() {
            return Err(format!(
                "no bearer token in {dir}; the Secret of {field}.auth.bearer needs a key with a token that isn't empty"
            )
            .into());
        }
        Ok(tokens.into())
    }
}

fn unauthorised(error: &str, challenge: &'static str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, error).with_header(header::WWW_AUTHENTICATE, challenge)
}

/// The lines of the files, in the order of the files' names, without surrounding blanks. An empty line opens
/// nothing, and one that begins with `#` is a remark: no token has that (RFC 6750 §2.1). Names that begin with a
/// dot are the kubelet's own (`..data`).
fn tokens(dir: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    let mut tokens = Vec::new();
    for file in files {
        let text = std::fs::read(file)?;
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        tokens.extend(lines.map(<[u8]>::to_vec));
    }
    Ok(tokens)
}

/// Equality in a time that depends on the given token's length only.
fn same(wanted: &[u8], given: &[u8]) -> bool {
    let mut difference = u8::from(wanted.len() != given.len());
    for (i, byte) in given.iter().enumerate() {
        difference |= byte ^ wanted[i % wanted.len()];
        difference = std::hint::black_box(difference);
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn tokens_of(dir: PathBuf, registry: &mut Registry) -> BearerTokens {
        BearerTokens::new(dir, Called::TEST, 5, HttpMetrics::register(registry))
    }

    fn given(token: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, token.parse().unwrap());
        headers
    }

    #[test]
    fn two_tokens_are_known_while_one_takes_the_other_s_place() {
        let dir = std::env::temp_dir().join(format!("headworks-tokens-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut registry = Registry::default();
        let tokens = tokens_of(dir.clone(), &mut registry);
        let known = |text: &str, tried: [&'static str; 3]| {
            std::fs::write(dir.join("token"), text).unwrap();
            tokens.seen.lock().unwrap().at = None;
            tried.map(|token| tokens.check(&given(token)).is_ok())
        };
        let tried = ["Bearer old", "Bearer new", "Bearer # of the app"];
        assert_eq!(known("old", tried), [true, false, false]);
        let both = "# of the app\nold\r\n\n  new  \n";
        assert_eq!(known(both, tried), [true, true, false]);
        assert_eq!(known("# of the app\nnew\n", tried), [false, true, false]);
        assert_eq!(known("# of the app\n", tried), [false; 3]);
        let mut shown = String::new();
        prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
        for line in [
            "headworks_http_let_in_total{token=\"1\"} 3\n",
            "headworks_http_let_in_total{token=\"2\"} 1\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_missing_secret_is_read_once_however_often_it_is_missed() {
        let dir = PathBuf::from("/nonexistent/headworks-tokens");
        let tokens = tokens_of(dir, &mut Registry::default());
        let begun = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(tokens.check(&given("Bearer a")).unwrap_err().status(), 503);
        }
        if begun.elapsed() < FRESH {
            assert_eq!(tokens.times(), 1);
        }
        tokens.seen.lock().unwrap().at = None;
        assert!(tokens.problem().is_some());
        assert!(tokens.times() >= 2);
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        assert!(same(b"secret", b"secret"));
        for other in [
            b"secre".as_slice(),
            b"secrets",
            b"secretsecret",
            b"Secret",
            b"",
        ] {
            assert!(!same(b"secret", other));
        }
    }

    #[test]
    fn a_rotated_secret_is_read_again_and_an_emptied_one_shuts_the_door() {
        let dir = std::env::temp_dir().join(format!("headworks-auth-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let tokens = tokens_of(dir.clone(), &mut Registry::default());
        let try_with = |token: &'static str| {
            tokens.seen.lock().unwrap().at = None;
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, token.parse().unwrap());
            tokens
                .check(&headers)
                .map_err(|refusal| refusal.status().as_u16())
        };
        assert_eq!(try_with("Bearer a"), Err(503));
        std::fs::write(dir.join("token"), "\n").unwrap();
        assert_eq!(try_with("Bearer "), Err(503));
        std::fs::write(dir.join("token"), "first\n").unwrap();
        std::fs::write(dir.join("..data"), "hidden").unwrap();
        assert_eq!(
            (
                try_with("Bearer first"),
                try_with("bearer first"),
                try_with("Bearer hidden")
            ),
            (Ok(()), Ok(()), Err(401))
        );
        assert_eq!(
            (
                try_with("Bearer "),
                try_with("Basic first"),
                try_with("first")
            ),
            (Err(401), Err(401), Err(401))
        );
        std::fs::write(dir.join("token"), "second").unwrap();
        std::fs::write(dir.join("next"), "third").unwrap();
        assert_eq!(
            (
                try_with("Bearer first"),
                try_with("Bearer second"),
                try_with("Bearer third")
            ),
            (Err(401), Ok(()), Ok(()))
        );
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(try_with("Bearer second"), Err(503));
        assert!(
            tokens
                .problem()
                .unwrap()
                .message
                .contains("does the Secret of spec.test.auth.bearer exist")
        );
    }
}
