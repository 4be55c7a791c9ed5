//! The commands, one file each: arguments, what is done, what is said.

pub mod doctor;
pub mod explain;
pub mod impact;
pub mod leftovers;
pub mod run;
pub mod schema;
pub mod test;
pub mod uninstall;
pub mod validate;
pub mod version;

use std::path::PathBuf;

use crate::files;
use crate::validate::{Checked, Options, check};
use crate::{End, output};

/// The kinds of this version.
pub fn kinds() -> &'static [&'static str] {
    &crate::object::KINDS
}

/// Reads and checks; says what can't be read.
pub fn load(paths: &[PathBuf], namespace: &str, allow_missing: bool) -> Result<Checked, End> {
    let files = files::read(paths).map_err(|error| {
        output::note(&format!("headworks: {error}"));
        End::Unreadable
    })?;
    let options = Options {
        namespace: namespace.to_owned(),
        allow_missing,
    };
    Ok(check(&files, &options))
}
