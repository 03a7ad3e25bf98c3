//! Renders `templates/resources/*.json.hbs`, the one source of every resource body.

use std::sync::OnceLock;

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason};
use serde_json::Value;

use super::output;
use crate::content::Library;
use crate::content::workbook::Workbook;

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/resources/", $name, ".json.hbs")))),+]
    };
}

/// Every resource template, by name.
const TEMPLATES: &[(&str, &str)] = templates![
    "resource_group",
    "identity",
    "storage_account",
    "container",
    "queue",
    "key_vault",
    "secret",
    "application_insights",
    "table",
    "data_collection_rule",
    "diagnostic_setting",
    "role_assignment",
    "plan",
    "function_app",
    "publishing_policy",
];

macro_rules! content_templates {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/content/", $name, ".json.hbs")))),+]
    };
}

/// The templates of the analyst's content, by name.
const CONTENT_TEMPLATES: &[(&str, &str)] =
    content_templates!["rule", "saved_search", "connector", "workbook"];

/// Why a template does not give a body. These are our own faults, never the person's.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template is not valid Handlebars.
    #[error("reading template `{name}`")]
    Parse {
        /// The template.
        name: String,
        /// What Handlebars says.
        #[source]
        source: Box<handlebars::TemplateError>,
    },
    /// A value is missing, or a helper refused its arguments.
    #[error("rendering template `{name}`")]
    Render {
        /// The template.
        name: String,
        /// What Handlebars says.
        #[source]
        source: Box<handlebars::RenderError>,
    },
    /// The result is not JSON.
    #[error("template `{name}` does not give JSON")]
    Json {
        /// The template.
        name: String,
        /// Where it is not.
        #[source]
        source: serde_json::Error,
    },
    /// An item of the analyst's content is not right.
    #[error(transparent)]
    Content(#[from] crate::content::ContentError),
    /// The body lacks what every resource has.
    #[error("template `{name}` gives no `{member}`")]
    Member {
        /// The template.
        name: String,
        /// What is missing.
        member: &'static str,
    },
    /// No API version is pinned for the type.
    #[error("no API version is pinned for `{resource_type}`")]
    Version {
        /// The type.
        resource_type: String,
    },
}

/// The templates, ready to render, and the analyst's content that some of them are filled with.
pub struct Templates {
    registry: Handlebars<'static>,
    library: Library,
    workbook: Workbook,
}

impl Templates {
    /// The embedded templates and content. They never change, so they are read once.
    ///
    /// # Errors
    /// [`TemplateError`] for a template or an item that is not valid.
    pub fn read() -> Result<&'static Self, TemplateError> {
        static READ: OnceLock<Templates> = OnceLock::new();
        match READ.get() {
            Some(templates) => Ok(templates),
            None => {
                let templates = Self::new()?;
                Ok(READ.get_or_init(|| templates))
            }
        }
    }

    fn new() -> Result<Self, TemplateError> {
        let mut registry = json_registry();
        registry.register_helper("output", Box::new(output_helper));
        registry.register_helper("assignment_name", Box::new(assignment_name_helper));
        for (name, text) in TEMPLATES.iter().chain(CONTENT_TEMPLATES) {
            registry.register_template_string(name, text).map_err(|source| TemplateError::Parse {
                name: (*name).to_owned(),
                source: Box::new(source),
            })?;
        }
        Ok(Self { registry, library: Library::load()?, workbook: Workbook::load()? })
    }

    /// Functions, rules and hunts.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The workbook.
    pub fn workbook(&self) -> &Workbook {
        &self.workbook
    }

    /// Renders one template to JSON.
    ///
    /// # Errors
    /// [`TemplateError`] when a value is missing or the result is not JSON.
    pub fn render(&self, name: &str, context: &Value) -> Result<Value, TemplateError> {
        let text = self
            .registry
            .render(name, context)
            .map_err(|source| TemplateError::Render { name: name.to_owned(), source: Box::new(source) })?;
        serde_json::from_str(&text).map_err(|source| TemplateError::Json { name: name.to_owned(), source })
    }
}

/// A strict registry whose plain values are escaped for JSON strings, with the helper `json` for
/// whole values.
pub(crate) fn json_registry() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(|text| {
        let quoted = Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    });
    registry.register_helper("json", Box::new(json_helper));
    registry
}

fn json_helper(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = helper.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("json", 0))?;
    out.write(&value.value().to_string())?;
    Ok(())
}

fn output_helper(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let [step, pointer] = text_parameters("output", helper)?;
    out.write(&output::mark(step, pointer))?;
    Ok(())
}

/// A role assignment's name: the same for the same scope, principal and role, and known only when
/// the principal is. `provision` makes it once the body is filled; the text says so until then.
fn assignment_name_helper(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let [scope, principal, role] = text_parameters("assignment_name", helper)?;
    out.write(&assignment_name(scope, principal, role))?;
    Ok(())
}

/// The name of a role assignment (a GUID), or the text that stands for it while the principal is
/// not known. Including the principal keeps a reinstall, whose identity is a new one, from meeting
/// the old name (facts 5.7). The deployment template makes the same one.
pub fn assignment_name(scope: &str, principal: &str, role: &str) -> String {
    if output::pending(principal) {
        return format!("{principal}-{role}");
    }
    template_guid(&[scope, principal, role])
}

/// The namespace in which `guid()` of a deployment template makes its ids: with it the template makes the
/// same ones (seen in what `guid('a', 'b')` gives; Azure documents the function alone,
/// <https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-string#guid>).
const TEMPLATE_NAMESPACE: uuid::Uuid = uuid::uuid!("11fb06fb-712d-4ddd-98c7-e71bbd588830");

/// What `guid()` of a deployment template gives for these parts in lower case.
pub fn template_guid(parts: &[&str]) -> String {
    let seed = parts.join("-").to_ascii_lowercase();
    uuid::Uuid::new_v5(&TEMPLATE_NAMESPACE, seed.as_bytes()).to_string()
}

fn text_parameters<'a, const COUNT: usize>(
    name: &'static str,
    helper: &'a Helper<'_>,
) -> Result<[&'a str; COUNT], RenderErrorReason> {
    let mut texts = [""; COUNT];
    for (index, text) in texts.iter_mut().enumerate() {
        *text = helper
            .param(index)
            .and_then(|parameter| parameter.value().as_str())
            .ok_or(RenderErrorReason::ParamNotFoundForIndex(name, index))?;
    }
    Ok(texts)
}

/// The API version for lists of resources, tags and providers.
pub const RESOURCES_VERSION: &str = "2021-04-01";
/// The API version for sites and plans.
pub const SITES_VERSION: &str = "2024-11-01";

/// The API version for the catalogue of stacks for Functions, the one that Core Tools asks with.
pub const STACKS_VERSION: &str = "2020-10-01";

/// The API version of each type, pinned here and nowhere else (design section 3).
///
/// `Microsoft.Insights/diagnosticSettings` has only one version that takes the categories of a data
/// collection rule, and Azure calls it a preview since 2021.
const API_VERSIONS: &[(&str, &str)] = &[
    ("Microsoft.Resources/deployments", "2024-03-01"),
    ("Microsoft.Resources/resourceGroups", "2024-03-01"),
    ("Microsoft.Resources", RESOURCES_VERSION),
    ("Microsoft.ManagedIdentity", "2023-01-31"),
    ("Microsoft.Storage", "2023-05-01"),
    ("Microsoft.KeyVault", "2026-02-01"),
    ("Microsoft.Insights/components", "2020-02-02"),
    ("Microsoft.Insights/workbooks", "2023-06-01"),
    ("Microsoft.Insights/dataCollectionRules", "2023-03-11"),
    ("Microsoft.Insights/diagnosticSettings", "2021-05-01-preview"),
    ("Microsoft.Insights/actionGroups", "2023-01-01"),
    ("Microsoft.AlertsManagement", "2021-04-01"),
    ("Microsoft.OperationalInsights", "2025-07-01"),
    ("Microsoft.Authorization", "2022-04-01"),
    ("Microsoft.SecurityInsights", "2025-09-01"),
    ("Microsoft.PolicyInsights", "2023-03-01"),
    ("Microsoft.Web", SITES_VERSION),
];

/// The pinned API version of a resource type: its own, or its provider's.
///
/// # Errors
/// [`TemplateError::Version`] when neither is pinned.
pub fn api_version(resource_type: &str) -> Result<&'static str, TemplateError> {
    let mut longest: Option<(&str, &str)> = None;
    for (prefix, version) in API_VERSIONS {
        let covers =
            resource_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
                && matches!(resource_type.as_bytes().get(prefix.len()), None | Some(b'/'));
        if covers && longest.is_none_or(|(known, _)| known.len() < prefix.len()) {
            longest = Some((prefix, version));
        }
    }
    longest
        .map(|(_, version)| version)
        .ok_or_else(|| TemplateError::Version { resource_type: resource_type.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{API_VERSIONS, TemplateError, Templates, api_version, assignment_name, json_registry};
    use crate::plan::output;

    #[test]
    fn values_are_escaped_for_json_and_missing_ones_are_faults() {
        let registry = json_registry();
        let text = registry
            .render_template(r#"{"a":"{{a}}","b":{{json b}}}"#, &json!({ "a": "q\"\\\n<&", "b": ["x"] }))
            .expect("renders");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value, json!({ "a": "q\"\\\n<&", "b": ["x"] }));
        assert!(registry.render_template("{{missing}}", &json!({})).is_err());
    }

    #[test]
    fn every_template_parses() {
        Templates::read().expect("valid templates");
    }

    #[test]
    fn a_type_has_its_own_version_or_its_providers() {
        assert_eq!(api_version("Microsoft.Web/sites/config").expect("pinned"), "2024-11-01");
        assert_eq!(api_version("microsoft.insights/components").expect("pinned"), "2020-02-02");
        assert_eq!(api_version("Microsoft.Resources/resourceGroups").expect("pinned"), "2024-03-01");
        assert!(matches!(api_version("Microsoft.Websites/x"), Err(TemplateError::Version { .. })));
        let previews: Vec<_> =
            API_VERSIONS.iter().filter(|(_, version)| version.contains("preview")).collect();
        assert_eq!(previews, [&("Microsoft.Insights/diagnosticSettings", "2021-05-01-preview")]);
    }

    #[test]
    fn an_assignments_name_follows_its_principal() {
        // BR-135
        let one = assignment_name("/subscriptions/s", "p1", "r");
        assert_eq!(one, assignment_name("/SUBSCRIPTIONS/S", "P1", "R"));
        assert_ne!(one, assignment_name("/subscriptions/s", "p2", "r"));
        assert!(output::pending(&assignment_name("/s", &output::mark("identity", "/id"), "r")));
    }
}
