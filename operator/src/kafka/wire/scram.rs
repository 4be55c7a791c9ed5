//! SCRAM-SHA-512's client side (RFC 5802 with SHA-512, as RFC 7677 has it for SHA-256), without channel binding, as Kafka does it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rand::{Rng, distr::Alphanumeric};
use sha2::{Digest, Sha512};

/// A server's word for more work than this isn't heeded (Kafka's default is 4096).
const MAX_ITERATIONS: u32 = 200_000;

/// The first message.
pub(super) struct First {
    nonce: String,
    bare: String,
    message: String,
}

/// The second message, and what the server must answer.
pub(super) struct Last {
    message: String,
    signature: String,
}

impl First {
    pub(super) fn new(user: &str) -> Self {
        let nonce = rand::rng()
            .sample_iter(Alphanumeric)
            .take(32)
            .map(char::from)
            .collect();
        Self::with_nonce(user, nonce)
    }

    fn with_nonce(user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={nonce}");
        Self {
            nonce,
            message: format!("n,,{bare}"),
            bare,
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The proof of the password for the server's challenge.
    pub(super) fn answer(&self, password: &str, challenge: &str) -> Result<Last, String> {
        let part = |name: &str| {
            challenge
                .split(',')
                .find_map(|part| part.strip_prefix(name))
                .ok_or("the server's SCRAM challenge isn't complete")
        };
        let nonce = part("r=")?;
        if !nonce.starts_with(&self.nonce) {
            return Err("the server's SCRAM challenge is for somebody else".to_owned());
        }
        let salt = STANDARD
            .decode(part("s=")?)
            .map_err(|_| "the server's SCRAM salt isn't base64")?;
        let iterations = part("i=")?.parse::<u32>().unwrap_or(0);
        if !(1..=MAX_ITERATIONS).contains(&iterations) {
            return Err(format!("the server asks for {iterations} SCRAM iterations"));
        }
        let salted: [u8; 64] =
            pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password.as_bytes(), &salt, iterations);
        let client_key = hmac(&salted, b"Client Key");
        let stored: [u8; 64] = Sha512::digest(client_key).into();
        let unproved = format!("c=biws,r={nonce}");
        let said = format!("{},{challenge},{unproved}", self.bare);
        let signature = hmac(&stored, said.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let expected = hmac(&hmac(&salted, b"Server Key"), said.as_bytes());
        Ok(Last {
            message: format!("{unproved},p={}", STANDARD.encode(proof)),
            signature: format!("v={}", STANDARD.encode(expected)),
        })
    }
}

impl Last {
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The server must know the password, too.
    pub(super) fn verify(&self, verdict: &str) -> Result<(), String> {
        if verdict.split(',').any(|part| part == self.signature) {
            Ok(())
        } else {
            Err("the server doesn't know the password itself".to_owned())
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 64] {
    // A key of any length is right for HMAC.
    let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(key) else {
        return [0; 64];
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 §3, computed with SHA-512 by Python's hashlib.
    #[test]
    fn a_known_exchange_comes_out_the_same() {
        let first = First::with_nonce("user", "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(first.message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let last = first.answer("pencil", challenge).unwrap();
        assert_eq!(last.message(), PROOF);
        assert!(last.verify(VERDICT).is_ok());
        assert!(last.verify("v=AAAA").is_err());
    }

    #[test]
    fn a_challenge_that_is_wrong_is_not_answered() {
        let first = First::with_nonce("a=b,c", "abc".to_owned());
        assert_eq!(first.message(), "n,,n=a=3Db=2Cc,r=abc");
        for challenge in [
            "r=abcd,s=AAAA",
            "r=xyz,s=AAAA,i=1",
            "r=abcd,s=!,i=1",
            "r=abcd,s=AAAA,i=999999999",
        ] {
            assert!(first.answer("p", challenge).is_err(), "{challenge}");
        }
    }

    const PROOF: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    const VERDICT: &str = "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";
}
