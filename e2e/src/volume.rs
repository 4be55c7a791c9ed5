//! A folder of this machine, which is the node, as a PersistentVolumeClaim: what pods write there a test reads.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Cluster;

/// Where the folders are. What an earlier run left there goes when the same test makes one again.
const BELOW: &str = "/var/tmp/headworks-e2e";

/// A claim, and the folder behind it.
pub struct Volume {
    /// The claim's name.
    pub claim: String,
    folder: PathBuf,
}

impl Cluster {
    /// A claim of that name in the test's namespace, bound to an empty folder that anybody may write to.
    pub fn volume(&self, claim: &str) -> Volume {
        let (ns, label) = (&self.namespace, format!("headworks-e2e={}", self.namespace));
        // Volumes belong to no namespace, and stay when their claims go.
        let old = ["delete", "persistentvolumes", "-l", &label, "--wait=false"];
        self.kubectl.run(&old);
        let below = Path::new(BELOW).join(ns);
        let _ = fs::remove_dir_all(&below);
        let name = format!("{ns}-{claim}-{:08x}", rand::random::<u32>());
        let folder = below.join(&name);
        fs::create_dir_all(&folder).expect("a folder");
        let all = fs::Permissions::from_mode(0o777);
        fs::set_permissions(&folder, all).expect("a folder for all");
        let path = folder.display();
        self.apply(&format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}, labels: {{headworks-e2e: {ns}}}}}\nspec:\n  capacity: {{storage: 1Gi}}\n  accessModes: [ReadWriteMany]\n  persistentVolumeReclaimPolicy: Retain\n  storageClassName: \"\"\n  claimRef: {{namespace: {ns}, name: {claim}}}\n  hostPath: {{path: {path}, type: Directory}}\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {claim}}}\nspec:\n  accessModes: [ReadWriteMany]\n  storageClassName: \"\"\n  volumeName: {name}\n  resources: {{requests: {{storage: 1Gi}}}}\n"
        ));
        Volume {
            claim: claim.to_owned(),
            folder,
        }
    }
}

impl Volume {
    /// The whole lines of every `<table>-….ndjson` in a folder of the volume, as JSON; none of a table that isn't there.
    pub fn rows(&self, folder: &str, table: &str) -> Vec<Value> {
        rows(&self.folder.join(folder), table)
    }
}

fn rows(folder: &Path, table: &str) -> Vec<Value> {
    let Ok(files) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for file in files.filter_map(Result::ok) {
        let name = file.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&format!("{table}-")) || !name.ends_with(".ndjson") {
            continue;
        }
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        // A line without an end is being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        rows.extend(whole.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"))
        }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_whole_lines_of_a_table_s_files() {
        let folder =
            std::env::temp_dir().join(format!("headworks-e2e-rows-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("t-p-0.ndjson"), "{\"n\":1}\n{\"n\":2}\n{\"n\"").unwrap();
        fs::write(folder.join("t-p-1.ndjson"), "{\"n\":3}\n").unwrap();
        fs::write(folder.join("u-p-0.ndjson"), "{\"n\":4}\n").unwrap();
        fs::write(folder.join("t-p-2.ndjson"), "{\"n\":5").unwrap();
        let mut found: Vec<i64> = rows(&folder, "t")
            .iter()
            .filter_map(|row| row["n"].as_i64())
            .collect();
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
        assert!(rows(&folder.join("nowhere"), "t").is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }
}
