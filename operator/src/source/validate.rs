//! A Source's spec against what it refers to. After this nothing rejects.

use headworks_crds::Source;
use headworks_plan::SourceConnection;

use super::dereference::References;
use crate::{connectors::sources, names::Key, retry::Error};

/// Checks it. Gives what the plan says of where its records come from.
///
/// # Errors
/// As of [`sources::check`].
pub fn validate(source: &Source, found: &References) -> Result<SourceConnection, Error> {
    let installation = &found.platform.installation;
    sources::connect(&source.spec, &Key::of(source), installation)
}
