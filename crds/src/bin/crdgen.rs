//! Writes the CRDs into `charts/headworks-crds/templates`, or into the folder given as first argument, and the
//! reference of all fields into `docs/reference/kinds.md`.

use std::{error::Error, fs, path::PathBuf};

use headworks_crds::{manifest, reference::markdown};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/headworks-crds/templates"),
        PathBuf::from,
    );
    fs::create_dir_all(&folder)?;
    for crd in manifest::all() {
        let file = folder.join(manifest::file_name(&crd));
        fs::write(&file, manifest::yaml(&crd)?)?;
        println!("{}", file.display());
    }
    let reference = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    fs::create_dir_all(&reference)?;
    fs::write(reference.join("kinds.md"), markdown())?;
    Ok(())
}
