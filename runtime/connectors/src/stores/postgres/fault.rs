//! What an error of the server, or of the way to it, means.

use std::error::Error as _;

use headworks_engine::log::Reason;
use headworks_plan::{PostgresConnection, StoreReason};
use tokio_postgres::Error;

use crate::stores::StoreFault;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server refuses rows for what they hold. The connection is as good as before.
    Rows {
        message: String,
        /// The column that must not be null, if that is what it said.
        null_in: Option<String>,
    },
    /// Anything else. The connection is given up.
    Store(StoreFault),
}

/// Which store it is about: begins every message.
#[derive(Clone, Debug)]
pub(super) struct Place {
    what: String,
}

impl Place {
    pub(super) fn new(store: &str, connection: &PostgresConnection) -> Place {
        Place {
            what: format!(
                "DataStore {store} ({}:{}/{})",
                connection.host, connection.port, connection.database
            ),
        }
    }

    pub(super) fn trouble(
        &self,
        reason: impl Into<Reason>,
        said: impl std::fmt::Display,
    ) -> StoreFault {
        StoreFault {
            reason: reason.into(),
            message: format!("{}: {said}", self.what),
        }
    }

    pub(super) fn slow(&self, doing: &str, seconds: u64) -> StoreFault {
        let said = format!("{doing}: no answer for {seconds} s; tried again until it answers");
        self.trouble(Reason::StoreUnavailable, said)
    }

    /// Sorts an error of a connection attempt or a statement.
    pub(super) fn fault(&self, error: &Error, doing: &str) -> Fault {
        let Some(server) = error.as_db_error() else {
            return Fault::Store(self.way(error, doing));
        };
        let code = server.code().code();
        let said = server.message();
        if is_about_rows(code) {
            let column = server.column().map(ToOwned::to_owned);
            let at = column
                .clone()
                .or_else(|| server.where_().and_then(column_of))
                .map(|column| format!(", column \"{column}\""));
            return Fault::Rows {
                message: format!(
                    "{}{} (SQLSTATE {code})",
                    without_value(code, said),
                    at.unwrap_or_default()
                ),
                null_in: column.filter(|_| code == "23502"),
            };
        }
        let (reason, remedy) = match code {
            "28P01" | "28000" => (
                StoreReason::StoreCredentialsRefused.into(),
                "check the user name and password in the Secret, and that the server lets this user in (pg_hba.conf)",
            ),
            "53100" => (
                Reason::StoreFull,
                "make room on the server; nothing is lost, the work goes on then",
            ),
            "42501" => (
                StoreReason::StorePermissionDenied.into(),
                "grant the user what is missing",
            ),
            "42P01" => (StoreReason::TableNotFound.into(), "was the table dropped?"),
            "42703" | "42804" | "42P10" | "428C9" => {
                (StoreReason::TableMismatch.into(), "was the table altered?")
            }
            "3D000" => (
                Reason::StoreUnavailable,
                "make the database, or name another at the end of spec.postgres.url of the DataStore",
            ),
            "25006" => (
                Reason::StoreFull,
                "this server is read-only (a standby, or protected because its disk is full); nothing is lost, the work goes on when it takes writes",
            ),
            _ => (
                Reason::StoreUnavailable,
                "nothing is lost, the work goes on by itself",
            ),
        };
        Fault::Store(self.trouble(
            reason,
            format!("{doing}: {said} (SQLSTATE {code}); {remedy}"),
        ))
    }

    fn way(&self, error: &Error, doing: &str) -> StoreFault {
        let mut said = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            said = format!("{said}: {inner}");
            cause = inner.source();
        }
        if said.contains("TLS handshake") {
            return self.trouble(
                Reason::StoreUnavailable,
                format!(
                    "{doing}: {said}; check that the server speaks TLS, that the DataStore names the CA that signed its certificate, and the host name in it"
                ),
            );
        }
        self.trouble(
            Reason::StoreUnavailable,
            format!("{doing}: {said}; nothing is lost, the work goes on when it answers"),
        )
    }
}

/// Classes 22 (data) and 23 (constraints), what a trigger raises, and what is too large for an index.
fn is_about_rows(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23") || code == "P0001" || code == "54000"
}

/// What the server said, without the value it said it of: the message may come into a Pipeline's status,
/// which more people may read than may read the data.
fn without_value(code: &str, said: &str) -> String {
    let quotes = ["22P02", "22003", "22007", "22008"].contains(&code);
    match (said.find('"'), said.rfind('"')) {
        (Some(from), Some(to)) if quotes && from < to => {
            format!("{}…{}", &said[..from], &said[to + 1..])
        }
        _ => said.to_owned(),
    }
}

/// The column of a line such as `COPY orders, line 3, column id: "x"`.
fn column_of(context: &str) -> Option<String> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let (before, column) = line.split_once(", column ")?;
    // Without a column the whole row may follow.
    before.rsplit_once(", line ")?.1.parse::<u64>().ok()?;
    let (column, _) = column.split_once(": ")?;
    Some(column.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_refused_is_not_repeated() {
        for (code, said, kept) in [
            (
                "22P02",
                "invalid input syntax for type uuid: \"a \"b\" c\"",
                "invalid input syntax for type uuid: …",
            ),
            (
                "22003",
                "value \"4111111111\" is out of range for type integer",
                "value … is out of range for type integer",
            ),
            ("22003", "numeric field overflow", "numeric field overflow"),
            (
                "23514",
                "new row for relation \"r\" violates check constraint \"c\"",
                "new row for relation \"r\" violates check constraint \"c\"",
            ),
        ] {
            assert_eq!(without_value(code, said), kept);
        }
    }

    #[test]
    fn the_column_of_a_refused_value_is_named() {
        for (context, column) in [
            (
                "COPY strict, line 1, column n: \"1, column x: 2\"",
                Some("n"),
            ),
            ("COPY a, line 2: \"1, column x: 2\"", None),
            (
                "PL/pgSQL function f() line 1 at RAISE\nCOPY a, line 2",
                None,
            ),
            (
                "JSON data, line 1: x\nCOPY a, line 2, column j: \"x\"",
                Some("j"),
            ),
        ] {
            assert_eq!(column_of(context).as_deref(), column, "{context}");
        }
    }

    #[test]
    fn what_the_server_says_of_rows_is_told_from_what_holds_it_up() {
        for code in [
            "22003", "22P02", "22021", "23502", "23505", "23514", "P0001", "54000",
        ] {
            assert!(is_about_rows(code), "{code}");
        }
        for code in [
            "53100", "53300", "57P01", "57014", "40001", "40P01", "42501", "28P01", "08006",
        ] {
            assert!(!is_about_rows(code), "{code}");
        }
    }
}
