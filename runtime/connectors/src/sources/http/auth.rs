//! Bearer tokens (RFC 6750): each file of a mounted Secret is one, read again every few seconds, so that a
//! rotation needs no restart. Without a token the door is shut, never open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};

use super::answer::Refusal;

/// How long tokens are used before the files are read again.
const FRESH: Duration = Duration::from_secs(2);

/// Tokens as last read.
type Read = Arc<[Vec<u8>]>;

/// The tokens that open the door.
pub(super) struct Tokens {
    dir: PathBuf,
    retry_after: u64,
    read: Mutex<Option<(Instant, Read)>>,
}

impl Tokens {
    pub(super) fn new(dir: PathBuf, retry_after: u64) -> Tokens {
        Tokens {
            dir,
            retry_after,
            read: Mutex::new(None),
        }
    }

    /// Lets a request with a known token through.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let tokens = self.current().map_err(|message| {
            tracing::warn!(reason = "SecretMissing", "{message}");
            Refusal::unavailable("this source cannot check tokens now; its operator can read why in the Source's conditions", self.retry_after)
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
        let known = tokens.iter().fold(false, |known, wanted| {
            known | same(wanted, token.trim_ascii())
        });
        if known {
            Ok(())
        } else {
            Err(unauthorised(
                "the bearer token is not known",
                "Bearer realm=\"headworks\", error=\"invalid_token\"",
            ))
        }
    }

    /// What is wrong with the Secret, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        self.current().err()
    }

    fn current(&self) -> Result<Read, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, tokens)) = read.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(tokens.clone());
        }
        *read = None;
        let dir = self.dir.display();
        let tokens = tokens(&self.dir).map_err(|error| {
            format!("cannot read bearer tokens in {dir}: {error}; does the Secret of spec.http.auth.bearer exist in this namespace?")
        })?;
        if tokens.is_empty() {
            return Err(format!(
                "no bearer token in {dir}; the Secret of spec.http.auth.bearer needs a key with a token that isn't empty"
            ));
        }
        let tokens: Read = tokens.into();
        *read = Some((Instant::now(), tokens.clone()));
        Ok(tokens)
    }
}

fn unauthorised(error: &str, challenge: &'static str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, error).with_header(header::WWW_AUTHENTICATE, challenge)
}

/// The files' contents without surrounding blanks. An empty file opens nothing. Names that begin with a
/// dot are the kubelet's own (`..data`).
fn tokens(dir: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut tokens = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") || !entry.path().is_file() {
            continue;
        }
        let token = std::fs::read(entry.path())?.trim_ascii().to_vec();
        if !token.is_empty() {
            tokens.push(token);
        }
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
    use super::*;

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
        let tokens = Tokens::new(dir.clone(), 5);
        let try_with = |token: &'static str| {
            *tokens.read.lock().unwrap() = None;
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, token.parse().unwrap());
            tokens
                .check(&headers)
                .map_err(|refusal| refusal.status.as_u16())
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
                .contains("does the Secret of spec.http.auth.bearer exist")
        );
    }
}
