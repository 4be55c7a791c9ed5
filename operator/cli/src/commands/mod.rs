//! The commands, one file each: arguments, what is done, what is said.

pub mod dlq;
pub mod doctor;
pub mod explain;
pub mod impact;
pub mod import;
pub mod leftovers;
pub mod peek;
pub mod profile;
pub mod quality;
pub mod replay;
pub mod run;
pub mod schema;
pub mod test;
pub mod uninstall;
pub mod validate;
pub mod version;

use std::path::PathBuf;

use crate::files::{self, File};
use crate::validate::{Checked, Options, check};
use crate::{End, output};

/// The kinds of this version.
pub fn kinds() -> &'static [&'static str] {
    &crate::object::KINDS
}

/// Reads and checks; says what can't be read.
pub fn load(paths: &[PathBuf], namespace: &str, allow_missing: bool) -> Result<Checked, End> {
    let files = read(paths)?;
    let folders = files.iter().filter_map(|file| file.built.as_ref());
    let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    if folders.len() > 1 {
        output::note(&format!(
            "headworks: several kustomizations stand there, and each is a world of its own: name one of {}",
            folders.join(", ")
        ));
        return Err(End::Usage);
    }
    Ok(check(&files, &options(namespace, allow_missing)))
}

/// The same, where each kustomization is checked by itself with the files that belong to none: overlays of one base hold the
/// same objects.
pub fn load_each(paths: &[PathBuf], namespace: &str, allow_missing: bool) -> Result<Checked, End> {
    let options = options(namespace, allow_missing);
    let (built, plain): (Vec<File>, Vec<File>) = read(paths)?
        .into_iter()
        .partition(|file| file.built.is_some());
    if built.len() < 2 {
        return Ok(check(&[plain, built].concat(), &options));
    }
    let alone = check(&plain, &options);
    let mut all = Checked {
        files: plain.len() + built.len(),
        others: alone.others,
        ..Checked::default()
    };
    all.world.objects.extend(alone.world.objects);
    for file in built {
        let name = file.name.clone();
        let files: Vec<File> = plain.iter().cloned().chain([file]).collect();
        let one = check(&files, &options);
        let own = one.world.objects.into_iter().filter(|o| *o.file == *name);
        all.world.objects.extend(own);
        all.others += one.others.saturating_sub(alone.others);
        for finding in one.findings {
            if !all.findings.contains(&finding) {
                all.findings.push(finding);
            }
        }
    }
    Ok(all)
}

fn read(paths: &[PathBuf]) -> Result<Vec<File>, End> {
    files::read(paths).map_err(|error| {
        output::note(&format!("headworks: {error}"));
        End::Unreadable
    })
}

fn options(namespace: &str, allow_missing: bool) -> Options {
    Options {
        namespace: namespace.to_owned(),
        allow_missing,
    }
}
