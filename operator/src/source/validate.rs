//! A Source's spec against what it refers to. After this nothing rejects.

use headworks_crds::Source;
use headworks_plan as plan;

use super::check;
use crate::retry::Error;

/// Checks it. Gives the template of records that are made up, if they follow one.
///
/// # Errors
/// As of [`check::check`].
pub fn validate(source: &Source) -> Result<Option<plan::Template>, Error> {
    let spec = &source.spec;
    check::check(spec)?;
    match &spec.generate {
        Some(generate) => check::template(generate, &spec.into),
        None => Ok(None),
    }
}
