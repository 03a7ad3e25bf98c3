//! Portal: the same resources as a template of Azure Resource Manager, for those who prefer a form, the
//! Azure CLI or a pipeline of their own.
//!
//! * [`parameter`]: what a person may give. [`symbol`]: values that are known only then.
//! * [`choice`]: the installer's own rendering under each choice. [`node`]: all of them as one.
//! * [`content`]: the analyst's content in it.
//! * [`resource`]: one resource of it. [`variable`]: what it reckons with. [`fault`]: what parameters
//!   cannot be. [`word`]: what its outputs say. [`template`]: the whole file.
//!   [`interface`]: the portal's form for it.
//! * [`export`]: the files for an installation that is there.

mod choice;
mod content;
pub mod export;
mod fault;
mod interface;
mod node;
mod parameter;
mod print;
mod resource;
mod symbol;
mod template;
mod variable;
mod word;

use crate::plan::template::TemplateError;

/// Why the files cannot be rendered. These are our own faults, never the person's.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// The answers that the rendering begins with are not complete.
    #[error("reading the answers that the template begins with")]
    Answers,
    /// A resource's template does not give a resource.
    #[error("rendering the resources")]
    Resource(#[from] TemplateError),
}

/// A file of the folder `azuredeploy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

/// Name of the deployment template.
pub const TEMPLATE_FILE: &str = "azuredeploy.json";

/// Every file of the folder `azuredeploy` that is rendered, with no installation's values.
///
/// # Errors
/// [`PortalError`] when a template or a table of ours is wrong.
pub fn files() -> Result<Vec<File>, PortalError> {
    Ok(vec![
        File { name: TEMPLATE_FILE, text: format!("{}\n", template::template(None)?) },
        File { name: "createUiDefinition.json", text: format!("{:#}\n", interface::interface()) },
        File { name: "azuredeploy.parameters.example.json", text: format!("{}\n", parameter::example()) },
    ])
}
