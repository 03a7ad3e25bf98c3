//! The portal's form: `azuredeploy/`, rendered from the templates that the installer uses.

use anyhow::Context as _;

use crate::workspace;

/// The folder of the rendered files, from the workspace's root.
const FOLDER: &str = "azuredeploy";

/// Writes the files where they belong.
pub(crate) fn write() -> anyhow::Result<()> {
    let folder = workspace::root().join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {FOLDER}"))?;
    for file in installer::portal::files().context("could not render the template")? {
        std::fs::write(folder.join(file.name), file.text)
            .with_context(|| format!("could not write {FOLDER}/{}", file.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FOLDER, workspace};

    #[test]
    fn the_files_are_as_the_templates_make_them() {
        for file in installer::portal::files().expect("renders") {
            let path = workspace::root().join(FOLDER).join(file.name);
            let written = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(written == file.text, "{FOLDER}/{} is out of date: run `cargo xtask render`", file.name);
        }
    }
}
