//! Passwords that Kafka has taken.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Which version of its Secret each user's password was tried with. Forgotten with the process: then all are tried again.
#[derive(Debug, Default)]
pub struct VerifiedPasswords(Mutex<HashMap<String, String>>);

impl VerifiedPasswords {
    /// True: Kafka took the password of this version of the Secret.
    pub fn knows(&self, user: &str, version: Option<&str>) -> bool {
        version.is_some() && self.lock().get(user).map(String::as_str) == version
    }

    /// Kafka has taken it.
    pub fn note(&self, user: &str, version: Option<&str>) {
        match version {
            Some(version) => self.lock().insert(user.to_owned(), version.to_owned()),
            None => self.lock().remove(user),
        };
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_tried_again_when_its_secret_changed() {
        let tried = VerifiedPasswords::default();
        assert!(!tried.knows("u", Some("1")) && !tried.knows("u", None));
        tried.note("u", Some("1"));
        assert!(tried.knows("u", Some("1")) && !tried.knows("u", Some("2")));
        tried.note("u", None);
        assert!(!tried.knows("u", Some("1")));
    }
}
