//! The portal's form: `azuredeploy/`, rendered from the templates that the installer uses, and the button
//! that opens it.

use anyhow::{Context as _, ensure};
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::workspace;

/// The folder of the rendered files, from the workspace's root.
const FOLDER: &str = "azuredeploy";

/// The pages that show the button, on a line of its own.
const PAGES: [&str; 2] = ["README.md", "azuredeploy/README.md"];

/// How the line of the button begins.
const BUTTON: &str = "[![Deploy to Azure]";

/// The branch whose files the button opens.
const BRANCH: &str = "main";

/// Writes the files where they belong.
pub(crate) fn write() -> anyhow::Result<()> {
    let folder = workspace::root().join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {FOLDER}"))?;
    for file in installer::portal::files().context("could not render the template")? {
        std::fs::write(folder.join(file.name), file.text)
            .with_context(|| format!("could not write {FOLDER}/{}", file.name))?;
    }
    for page in PAGES {
        let path = workspace::root().join(page);
        let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {page}"))?;
        ensure!(text.lines().any(|line| line.starts_with(BUTTON)), "{page} has no line for the button");
        std::fs::write(&path, with_button(&text, &button()?))
            .with_context(|| format!("could not write {page}"))?;
    }
    Ok(())
}

/// The button, in Markdown: the portal's page for a template, with the addresses of ours and of its form as
/// the repository will serve them
/// (<https://learn.microsoft.com/azure/azure-resource-manager/templates/deploy-to-azure-button>).
fn button() -> anyhow::Result<String> {
    let repository = Url::parse(env!("CARGO_PKG_REPOSITORY")).context("the workspace's repository")?;
    let address = |file: &str| -> String {
        let raw = format!(
            "https://raw.githubusercontent.com{}/{BRANCH}/{FOLDER}/{file}",
            repository.path().trim_end_matches('/')
        );
        byte_serialize(raw.as_bytes()).collect()
    };
    Ok(format!(
        "{BUTTON}(https://aka.ms/deploytoazurebutton)](https://portal.azure.com/#create/Microsoft.Template/uri/{}/createUIDefinitionUri/{})",
        address(installer::portal::TEMPLATE_FILE),
        address("createUiDefinition.json"),
    ))
}

/// A page with this button in the place of the one that it has.
fn with_button(page: &str, button: &str) -> String {
    let lines = page.lines().map(|line| if line.starts_with(BUTTON) { button } else { line });
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{BUTTON, FOLDER, PAGES, button, workspace};

    #[test]
    fn the_files_are_as_the_templates_make_them() {
        for file in installer::portal::files().expect("renders") {
            let path = workspace::root().join(FOLDER).join(file.name);
            let written = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(written == file.text, "{FOLDER}/{} is out of date: run `cargo xtask render`", file.name);
        }
    }

    #[test]
    fn the_button_opens_the_files_of_the_repository() {
        let button = button().expect("a button");
        for page in PAGES {
            let text = std::fs::read_to_string(workspace::root().join(page)).expect("a page");
            let shown: Vec<&str> = text.lines().filter(|line| line.starts_with(BUTTON)).collect();
            assert_eq!(shown, [button.as_str()], "{page} is out of date: run `cargo xtask render`");
        }
        // What the portal reads after undoing the escapes.
        let uri = button.split("/uri/").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        let raw = url::form_urlencoded::parse(format!("uri={uri}").as_bytes())
            .next()
            .expect("a pair")
            .1
            .into_owned();
        let path = env!("CARGO_PKG_REPOSITORY").trim_start_matches("https://github.com");
        assert_eq!(raw, format!("https://raw.githubusercontent.com{path}/main/azuredeploy/azuredeploy.json"));
    }
}
