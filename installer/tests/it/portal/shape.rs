//! What the rendered template says, before anybody deploys it.

use serde_json::Value;

use super::template;

/// The longest expression that Azure takes, in characters
/// (<https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits>).
const EXPRESSION_LIMIT: usize = 24_576;
/// The most resources of one template (the same page).
const RESOURCE_LIMIT: usize = 800;
/// The largest template, in bytes (the same page).
const SIZE_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Every resource, those of nested templates too.
fn resources(template: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for resource in template["resources"].as_array().expect("resources") {
        all.push(resource.clone());
        if let Some(nested) = resource.pointer("/properties/template") {
            all.extend(resources(nested));
        }
    }
    all
}

fn of_type<'a>(all: &'a [Value], resource_type: &str) -> Vec<&'a Value> {
    all.iter().filter(|resource| resource["type"] == resource_type).collect()
}

#[test]
fn the_workspace_is_referred_to_and_never_declared() {
    // BR-002
    let all = resources(&template());
    assert!(of_type(&all, "Microsoft.OperationalInsights/workspaces").is_empty());
    assert_eq!(of_type(&all, "Microsoft.OperationalInsights/workspaces/tables").len(), 2);
}

#[test]
fn what_the_site_needs_comes_before_it_and_its_package_after() {
    // BR-107: containers are made by the control plane, before the site. BR-099: the package comes last.
    let all = resources(&template());
    let before = |resource: &Value| resource["dependsOn"].to_string();
    let site = of_type(&all, "Microsoft.Web/sites")[0];
    for needed in ["'default', 'deployments'", "-access", "'mimecast-client-secret'", "serverfarms"] {
        assert!(before(site).contains(needed), "{needed}: {}", before(site));
    }
    let package = of_type(&all, "Microsoft.Web/sites/extensions")[0];
    assert!(before(package).contains("'Microsoft.Web/sites'"), "{}", before(package));
    assert_eq!(before(package).matches("basicPublishingCredentialsPolicies").count(), 2);
}

#[test]
fn the_name_of_a_role_holds_scope_principal_and_role() {
    // BR-135: an assignment that outlived its identity has another name.
    let all = resources(&template());
    let roles = of_type(&all, "Microsoft.Authorization/roleAssignments");
    assert!(roles.len() >= 6);
    for role in roles {
        let name = role["name"].as_str().expect("a name");
        assert!(name.starts_with("[guid("), "{name}");
        assert!(name.contains("rincipal") || name.contains("bjectId"), "{name}");
    }
}

#[test]
fn every_parameter_and_variable_is_used_and_secrets_go_to_the_vault_alone() {
    let template = template();
    let text = template.to_string();
    // Kept for old parameters files; both say that they are not needed.
    const UNUSED: [&str; 2] = ["workspaceId", "workspaceKey"];
    for (name, declared) in template["parameters"].as_object().expect("parameters") {
        let uses = text.matches(&format!("parameters('{name}')")).count();
        if UNUSED.contains(&name.as_str()) {
            let said = declared["metadata"]["description"].as_str().expect("a description");
            assert!(said.starts_with("Not needed"), "{said}");
            continue;
        }
        assert!(uses > 0, "`{name}` is not used");
        if declared["type"] == "securestring" {
            assert!(!template["outputs"].to_string().contains(name.as_str()), "{name}");
            for nested in template["resources"].as_array().expect("resources") {
                let passed = nested.pointer("/properties/parameters").unwrap_or(&Value::Null).to_string();
                assert!(!passed.contains(&format!("parameters('{name}')")), "{name} is passed on");
            }
        }
    }
    for name in template["variables"].as_object().expect("variables").keys() {
        assert!(text.contains(&format!("variables('{name}')")), "`{name}` is not used");
    }
}

#[test]
fn the_template_keeps_azures_limits() {
    fn longest(value: &Value) -> usize {
        match value {
            Value::String(text) if text.starts_with('[') && !text.starts_with("[[") => text.chars().count(),
            Value::Array(items) => items.iter().map(longest).max().unwrap_or(0),
            Value::Object(members) => members.values().map(longest).max().unwrap_or(0),
            _ => 0,
        }
    }
    let template = template();
    assert!(longest(&template) <= EXPRESSION_LIMIT, "{}", longest(&template));
    assert!(resources(&template).len() <= RESOURCE_LIMIT);
    assert!(format!("{template:#}").len() <= SIZE_LIMIT_BYTES);
}
