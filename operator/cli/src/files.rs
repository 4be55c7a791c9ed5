//! Which files are read: those that were named, and the manifests in folders that were named; of a folder with a kustomization
//! what Kustomize makes of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use snafu::{ResultExt, Snafu};

use crate::kustomize;

/// Largest file. A manifest of an object that a cluster takes has at most 1.5 MB.
const LARGEST: u64 = 32 << 20;
/// Deepest folder, so that a folder linked into itself ends.
const DEEPEST: usize = 64;

/// Why files can't be read.
#[derive(Debug, Snafu)]
pub enum FilesError {
    /// A file or folder can't be read.
    #[snafu(display("{path}: {source}; correct the path or its permissions"))]
    Unreadable {
        /// As it was named.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not a manifest.
    #[snafu(display("{path}: {what}"))]
    NotText {
        /// As it was named.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A kustomization that can't be built.
    #[snafu(display("{path}: {message}"))]
    Unbuilt {
        /// Its file.
        path: String,
        /// What is wrong, and what to do.
        message: String,
    },
}

/// A file's text.
#[derive(Clone, Debug)]
pub struct File {
    /// As it was named; `-` is standard input.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The folder of the kustomization that it was made of.
    pub built: Option<PathBuf>,
}

/// Reads all of it: files in the order given, folders by name.
pub fn read(paths: &[PathBuf]) -> Result<Vec<File>, FilesError> {
    let mut files = Vec::new();
    // A file that is named twice, as in `a.yaml .`, is read once.
    let mut seen = BTreeSet::new();
    let mut is_new = |path: &Path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.into()));
    for path in paths {
        if path.as_os_str() == "-" {
            files.push(text("-", std::io::stdin().lock())?);
            continue;
        }
        let name = path.display().to_string();
        let about = fs::metadata(path).context(UnreadableSnafu { path: &name })?;
        if about.is_dir() {
            let mut found = Found::default();
            walk(path, 0, false, &mut found)?;
            for path in found.manifests {
                if is_new(&path) {
                    files.push(open(&path)?);
                }
            }
            for folder in kustomize::roots(found.kustomizations) {
                let Some(listed) = kustomize::listed(&folder) else {
                    files.push(built(folder)?);
                    continue;
                };
                for path in listed {
                    if is_new(&path) {
                        files.push(open(&path)?);
                    }
                }
            }
        } else if is_new(path) {
            files.push(open(path)?);
        }
    }
    Ok(files)
}

/// As git, and so an annotation of a pull request, names it.
fn shown(path: &Path) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.display().to_string()
}

/// What Kustomize makes of a folder.
fn built(folder: PathBuf) -> Result<File, FilesError> {
    let kustomization = kustomize::of(&folder).unwrap_or_else(|| folder.clone());
    let name = shown(&kustomization);
    let text = kustomize::build(&folder).map_err(|message| FilesError::Unbuilt {
        path: name.clone(),
        message,
    })?;
    Ok(File {
        name,
        text,
        built: Some(folder),
    })
}

fn open(path: &Path) -> Result<File, FilesError> {
    let name = shown(path);
    let file = fs::File::open(path).context(UnreadableSnafu { path: &name })?;
    text(&name, file)
}

fn text(name: &str, from: impl Read) -> Result<File, FilesError> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .context(UnreadableSnafu { path: name })?;
    let wrong = |what| FilesError::NotText {
        path: name.to_owned(),
        what,
    };
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("larger than 32 MiB; split it"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8; write the file in UTF-8"))?;
    Ok(File {
        name: name.to_owned(),
        text,
        built: None,
    })
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Found {
    manifests: Vec<PathBuf>,
    /// Folders with a kustomization.
    kustomizations: Vec<PathBuf>,
}

/// The manifests and kustomizations below a folder. Hidden folders and a chart's templates hold no objects; below a kustomization
/// only what it names does.
fn walk(folder: &Path, depth: usize, within: bool, found: &mut Found) -> Result<(), FilesError> {
    let name = folder.display().to_string();
    let listed = fs::read_dir(folder).context(UnreadableSnafu { path: &name })?;
    let mut entries = Vec::new();
    for entry in listed {
        entries.push(entry.context(UnreadableSnafu { path: &name })?.path());
    }
    entries.sort();
    let chart = entries.iter().any(|path| path.ends_with("Chart.yaml"));
    let kustomized = kustomize::of(folder).is_some();
    if kustomized {
        found.kustomizations.push(folder.to_owned());
    }
    let within = within || kustomized;
    for path in entries {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let manifest = matches!(
            path.extension().and_then(|e| e.to_str()),
            Some("yaml" | "yml" | "json")
        );
        if file.starts_with('.') || kustomize::is_named(&file) {
            continue;
        }
        if path.is_dir() {
            // As kubectl does: a link may lead back to where we are.
            if path.is_symlink() {
                continue;
            }
            if !(chart && file == "templates") && depth < DEEPEST {
                walk(&path, depth + 1, within, found)?;
            }
        } else if manifest && !within {
            found.manifests.push(path);
        }
    }
    Ok(())
}
