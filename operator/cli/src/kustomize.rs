//! Folders with a kustomization: what Kustomize makes of them is what is applied, so that is what is read.
//!
//! A kustomization that only lists files and folders (`resources`) is read here. Anything else it may say (patches, prefixes,
//! generators) is Kustomize's to do: `kustomize build` or `kubectl kustomize` is asked, whichever is there. What is found in
//! its output is told of the file that the object comes from, as far as that can be seen.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::finding::Finding;
use crate::yaml::{self, Node, Place, steps};

/// The names that a kustomization may have.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Where a kustomization names others, or files.
const LISTS: [&str; 3] = ["resources", "bases", "components"];
/// What a kustomization may say and still be only a list.
const PLAIN: [&str; 4] = ["apiVersion", "kind", "metadata", "resources"];
/// Deepest chain of kustomizations, so that one that names itself ends.
const DEEPEST: usize = 32;

/// True for the name of a kustomization.
pub fn is_named(file: &str) -> bool {
    NAMES.contains(&file)
}

/// The kustomization of a folder.
pub fn of(folder: &Path) -> Option<PathBuf> {
    let mut named = NAMES.iter().map(|name| folder.join(name));
    named.find(|path| path.is_file())
}

fn read(file: &Path) -> Option<Node> {
    let text = std::fs::read_to_string(file).ok()?;
    let (documents, flaws) = yaml::read(&text);
    if flaws.iter().any(|flaw| flaw.fatal) {
        return None;
    }
    documents.into_iter().next()
}

/// What a kustomization names in its lists.
fn named(folder: &Path, node: &Node) -> Vec<PathBuf> {
    let lists = LISTS.iter().filter_map(|list| node.get(list));
    let names = lists.flat_map(Node::items).filter_map(Node::text);
    names.map(|name| folder.join(name)).collect()
}

/// Of folders with kustomizations those that no other one of them names, and that stand for themselves.
pub fn roots(folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut below = BTreeSet::new();
    let mut parts = BTreeSet::new();
    for folder in &folders {
        let Some(node) = of(folder).as_deref().and_then(read) else {
            continue;
        };
        below.extend(named(folder, &node).iter().map(|path| whole(path)));
        if node.get("kind").and_then(Node::text) == Some("Component") {
            parts.insert(whole(folder));
        }
    }
    let alone = |folder: &PathBuf| {
        let folder = whole(folder);
        !below.contains(&folder) && !parts.contains(&folder)
    };
    folders.into_iter().filter(alone).collect()
}

/// The files of a kustomization that is only a list, and of those that it lists; none of one that says more.
pub fn listed(folder: &Path) -> Option<Vec<PathBuf>> {
    let mut files = Vec::new();
    list(folder, 0, &mut files)?;
    Some(files)
}

fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Option<()> {
    let node = read(&of(folder)?)?;
    let plain = |key: &str| PLAIN.contains(&key);
    let is_list = node.entries().iter().all(|(key, _)| plain(&key.name));
    if depth > DEEPEST
        || !is_list
        || node
            .get("resources")?
            .items()
            .iter()
            .any(|r| r.text().is_none())
    {
        return None;
    }
    for path in named(folder, &node) {
        if path.is_file() {
            // Kustomize takes no file from outside of the folder, and says so in its own words.
            let inside = path
                .canonicalize()
                .ok()?
                .starts_with(folder.canonicalize().ok()?);
            if !inside {
                return None;
            }
            files.push(path);
        } else if path.is_dir() {
            list(&path, depth + 1, files)?;
        } else {
            // An address, or a mistake that Kustomize knows better words for.
            return None;
        }
    }
    Some(())
}

/// What Kustomize makes of a folder; or what is wrong, and what to do.
pub fn build(folder: &Path) -> Result<String, String> {
    let tools: [(&str, &[&str]); 2] = [("kustomize", &["build"]), ("kubectl", &["kustomize"])];
    for (tool, arguments) in tools {
        let asked = Command::new(tool).args(arguments).arg(folder).output();
        match asked {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{tool} can't be run: {error}")),
            Ok(output) if output.status.success() => {
                return String::from_utf8(output.stdout)
                    .map_err(|_| format!("{tool} wrote something that isn't UTF-8"));
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let command = format!("{tool} {}", arguments.join(" "));
                return Err(format!("{command} says: {}", said.trim()));
            }
        }
    }
    let shown = folder.display();
    Err(format!(
        "it does more than list files, which is Kustomize's to do, and neither kustomize nor kubectl is on the PATH: install one of them, or run \"kustomize build {shown} | headworks validate -\" where one is"
    ))
}

/// An object, or a part of one, in a file that a kustomization may use.
struct Source {
    file: String,
    node: Node,
}

/// The files around a kustomization in which its objects and patches stand.
pub struct Sources(Vec<Source>);

impl Sources {
    /// Reads the manifests of a kustomization's folder and of those that it names, the last named folder first: what a
    /// kustomization says itself comes after what it builds on.
    pub fn of(folder: &Path) -> Sources {
        let mut folders = Vec::new();
        below(folder, 0, &mut folders);
        let mut sources = Vec::new();
        let mut seen = BTreeSet::new();
        for folder in folders {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                let kind = path.extension().and_then(|kind| kind.to_str());
                if !matches!(kind, Some("yaml" | "yml" | "json")) || !seen.insert(path.clone()) {
                    continue;
                }
                let Ok(text) = std::fs::read_to_string(&path) else {
                    continue;
                };
                let name = path.strip_prefix("./").unwrap_or(&path);
                for node in yaml::read(&text).0 {
                    sources.push(Source {
                        file: name.display().to_string(),
                        node,
                    });
                }
            }
        }
        Sources(sources)
    }

    /// Tells a finding of the output as one of the file that it comes from.
    pub fn place(&self, finding: &mut Finding) {
        let Some((kind, name)) = finding.object.split_once(' ') else {
            finding.line = 0;
            finding.column = 0;
            return;
        };
        let name = name.rsplit('/').next().unwrap_or(name);
        let path = steps(&finding.field);
        let mut best: Option<(&Source, Place)> = None;
        let mut whole = None;
        for source in &self.0 {
            let text = |path: &str| source.node.at(&steps(path)).and_then(Node::text);
            let own = text("metadata.name").unwrap_or_default();
            // A prefix or suffix comes with the kustomization.
            if text("kind") != Some(kind) || own.is_empty() || !name.contains(own) {
                continue;
            }
            whole = whole.or(Some(source));
            if let Some(value) = source.node.at(&path) {
                best = Some((source, value.place));
            }
        }
        let found = best.or_else(|| whole.map(|source| (source, source.node.place_of(&path))));
        let place = if let Some((source, place)) = found {
            source.file.clone_into(&mut finding.file);
            place
        } else {
            Place::default()
        };
        finding.line = place.line;
        finding.column = place.column;
    }
}

/// A kustomization's folder and those that it names, those first.
fn below(folder: &Path, depth: usize, folders: &mut Vec<PathBuf>) {
    if depth > DEEPEST {
        return;
    }
    if let Some(node) = of(folder).as_deref().and_then(read) {
        for path in named(folder, &node) {
            if path.is_dir() {
                below(&path, depth + 1, folders);
            }
        }
        // Patches stand in folders of their own, too.
        let patches = node.get("patches").map_or(&[][..], Node::items).iter();
        for path in patches.filter_map(|patch| patch.get("path").and_then(Node::text)) {
            if let Some(parent) = folder.join(path).parent() {
                folders.push(parent.to_owned());
            }
        }
    }
    folders.push(folder.to_owned());
}
