//! The deployment template as a whole.

use contract::resources::ResourceNames;
use serde_json::{Map, Value, json};

use super::choice::{self, NUMBERS, Scene, workspace_id};
use super::node::Node;
use super::print::Printed;
use super::resource::{DEPLOYMENTS, Place, Resource, dependencies};
use super::symbol::{Names, RESOURCE_GROUP_NAME, SUBSCRIPTION_ID, Scope, symbol};
use super::variable::{names, variables};
use super::{PortalError, content, parameter, word};
use crate::plan::desired::{self, Conduct, Desired, desired};
use crate::plan::template::{Templates, api_version};
use crate::plan::{publish, setting};

const SCHEMA: &str = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";

/// The whole template; with the names of an installation that is there, in place of derived ones.
pub(super) fn template(own: Option<&ResourceNames>) -> Result<Printed, PortalError> {
    let resources = resources()?;
    let names = names(&resources);
    let mut outer = Scope::outer(&names);
    let mut written = Vec::new();
    for resource in resources.iter().filter(|resource| resource.place == Place::Outer) {
        written.push(resource.write(&resources, &mut outer));
    }
    // Before the app, which needs both, and after what they need themselves.
    let app = resources.iter().filter(|each| each.place == Place::Outer).position(|each| each.key == "plan");
    let app = app.unwrap_or(written.len());
    for (index, place) in [Place::Workspace, Place::RuleAndRoles].into_iter().enumerate() {
        written.insert(app + index, nested(place, &resources, &names));
    }
    written.extend(packages());
    Ok(Printed::object([
        ("$schema", Printed::text(SCHEMA)),
        ("contentVersion", Printed::text(format!("{}.0", desired::VERSION))),
        (
            "metadata",
            Printed::object([
                (
                    "description",
                    Printed::text(
                        "Mimecast audit and authentication events into Microsoft Sentinel: the resources of mimecast-sentinel.",
                    ),
                ),
                ("comments", Printed::text("Rendered by `cargo xtask render` from templates/; do not edit.")),
            ]),
        ),
        (
            "parameters",
            Printed::Object(
                parameter::ALL.iter().map(|each| (each.name.to_owned(), each.declaration())).collect(),
            ),
        ),
        ("variables", variables(&mut outer, own)?),
        ("resources", Printed::List(written)),
        ("outputs", outputs(&mut outer)),
    ]))
}

/// The resources of every choice as one list, in an order in which they can be made.
fn resources() -> Result<Vec<Resource>, PortalError> {
    let templates = Templates::read()?;
    let choices = choice::choices()?;
    let mut order: Vec<Desired> = Vec::new();
    let mut documents: Vec<Value> = Vec::new();
    for choice in &choices {
        let mut rendered = desired(templates, &choice.scene.intent, &choice.scene.inventory)?;
        rendered.extend(content::unifiers(&choice.scene, templates)?);
        documents.push(document(&choice.scene, &rendered));
        let mut at = 0;
        for resource in rendered {
            match order.iter().position(|each| each.key == resource.key) {
                Some(known) => at = known + 1,
                None => {
                    order.insert(at, resource);
                    at += 1;
                }
            }
        }
    }
    let Some(first) = documents.first() else { return Ok(Vec::new()) };
    let mut node = Node::from(first);
    for (choice, document) in choices.iter().zip(&documents).skip(1) {
        node.choose(&documents[choice.base], document, &choice.when);
    }
    let Node::Object(mut parts) = node else { return Ok(Vec::new()) };
    let mut resources = Vec::new();
    // The group is the one that is deployed to.
    for known in order.into_iter().filter(|each| each.conduct != Conduct::Group) {
        let Some(at) = parts.iter().position(|part| part.name == known.key) else { continue };
        let super::node::Part { when, node, .. } = parts.swap_remove(at);
        resources.push(Resource::of(templates, known, when, node));
    }
    Ok(resources)
}

/// A rendering as one JSON object, by key of the resource.
fn document(scene: &Scene, rendered: &[Desired]) -> Value {
    let tags = json!(desired::tags(&scene.intent));
    rendered
        .iter()
        .map(|resource| {
            let before: Map<String, Value> =
                resource.depends_on.iter().map(|key| (key.clone(), json!(true))).collect();
            let mut body = resource.body.clone();
            if resource.conduct == Conduct::Site && scene.names_package {
                publish::name_package(&mut body, &symbol("packageSha256"));
                body["tags"] = json!(symbol("siteTags"));
            }
            if resource.conduct == Conduct::Site && scene.paused {
                for name in setting::disabling() {
                    publish::add_setting(&mut body, &name, "true");
                }
            }
            if content::writes_over(resource) {
                body["etag"] = json!("*");
            }
            symbolic(&mut body, &tags);
            (resource.key.clone(), json!({ "body": body, "before": before }))
        })
        .collect::<Map<_, _>>()
        .into()
}

/// Puts symbols where a rendering can't have them: for numbers, for the tags as a whole, for the
/// workspace's id, and for a reference that is a parameter's whole text.
fn symbolic(value: &mut Value, tags: &Value) {
    if value == tags {
        *value = json!(symbol("allTags"));
        return;
    }
    match value {
        Value::String(text) => {
            *text = text.replace(&workspace_id(), &symbol("workspaceId"));
            let reference =
                text.strip_prefix("@Microsoft.KeyVault(SecretUri=").and_then(|rest| rest.strip_suffix(')'));
            if let Some((_, name)) = choice::SECRETS.iter().find(|(_, name)| reference == Some(&symbol(name)))
            {
                *text = symbol(name);
            }
        }
        Value::Number(number) => {
            if let Some((_, name)) = NUMBERS.iter().find(|(each, _)| number.as_u64() == Some((*each).into()))
            {
                *value = json!(symbol(name));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| symbolic(item, tags)),
        Value::Object(entries) => entries.values_mut().for_each(|item| symbolic(item, tags)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The nested deployment of a place.
fn nested(place: Place, all: &[Resource], names: &Names) -> Printed {
    let (ending, own_group) = place.deployment();
    let inside: Vec<&Resource> = all.iter().filter(|resource| resource.place == place).collect();
    let mut scope = Scope::nested(names, own_group);
    let resources: Vec<Printed> = inside
        .iter()
        .map(|resource| {
            let alone = Resource {
                // What is outside comes before the deployment as a whole.
                depends_on: resource
                    .depends_on
                    .iter()
                    .filter(|key| inside.iter().any(|each| each.key == **key))
                    .cloned()
                    .collect(),
                key: resource.key.clone(),
                resource_type: resource.resource_type.clone(),
                when: resource.when.clone(),
                id: resource.id.clone(),
                scope: resource.scope.clone(),
                body: resource.body.clone(),
                ..**resource
            };
            alone.write(all, &mut scope)
        })
        .collect();
    let passed = scope.passed();
    let mut outer = Scope::outer(names);
    let mut members = vec![
        ("type".to_owned(), Printed::text(DEPLOYMENTS)),
        ("apiVersion".to_owned(), Printed::text(api_version(DEPLOYMENTS).unwrap_or_default())),
        (
            "name".to_owned(),
            Printed::text(outer.json_text(&format!("{}-{ending}", symbol("deploymentName")))),
        ),
    ];
    if place == Place::Workspace {
        for (name, of) in ["subscriptionId", "resourceGroup"].into_iter().zip(own_group) {
            members.push((name.to_owned(), Printed::text(outer.json_text(&symbol(of)))));
        }
    }
    let before = dependencies(&inside, place, all);
    if !before.is_empty() {
        let before = before.iter().map(|id| Printed::text(outer.json_text(id))).collect();
        members.push(("dependsOn".to_owned(), Printed::List(before)));
    }
    let values = passed
        .iter()
        .map(|(name, (_, value))| {
            (name.clone(), Printed::object([("value", Printed::text(format!("[{value}]")))]))
        })
        .collect();
    let declared = passed
        .iter()
        .map(|(name, (kind, _))| (name.clone(), Printed::object([("type", Printed::text(*kind))])))
        .collect();
    members.push((
        "properties".to_owned(),
        Printed::object([
            ("mode", Printed::text("Incremental")),
            ("expressionEvaluationOptions", Printed::object([("scope", Printed::text("inner"))])),
            ("parameters", Printed::Object(values)),
            (
                "template",
                Printed::object([
                    ("$schema", Printed::text(SCHEMA)),
                    ("contentVersion", Printed::text(format!("{}.0", desired::VERSION))),
                    ("parameters", Printed::Object(declared)),
                    ("resources", Printed::List(resources)),
                ]),
            ),
        ]),
    ));
    Printed::Object(members)
}

/// Takes the package from an address that was given: One Deploy on Flex Consumption
/// (<https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#remote-package>), zip
/// deployment elsewhere, where One Deploy asks for a kind of artifact
/// (<https://github.com/projectkudu/kudu/wiki/ARMTemplate:-RunFromPackage-sample>).
fn packages() -> [Printed; 2] {
    let site = "variables('functionAppName')";
    [("onedeploy", "variables('flex')"), ("ZipDeploy", "not(variables('flex'))")].map(|(name, plan)| {
        let after = ["ftp", "scm"].map(|policy| {
            Printed::text(format!(
                "[resourceId('Microsoft.Web/sites/basicPublishingCredentialsPolicies', {site}, '{policy}')]"
            ))
        });
        let own = Printed::text(format!("[resourceId('Microsoft.Web/sites', {site})]"));
        let mut properties = vec![("packageUri".to_owned(), Printed::text("[parameters('packageUri')]"))];
        if name == "onedeploy" {
            properties.push(("remoteBuild".to_owned(), Printed::Value(json!(false))));
        }
        Printed::object([
            ("type", Printed::text("Microsoft.Web/sites/extensions")),
            ("apiVersion", Printed::text(api_version("Microsoft.Web/sites").unwrap_or_default())),
            ("name", Printed::text(format!("[concat({site}, '/{name}')]"))),
            ("condition", Printed::text(format!("[and({plan}, not(empty(parameters('packageUri'))))]"))),
            ("dependsOn", Printed::List([own].into_iter().chain(after).collect())),
            ("properties", Printed::Object(properties)),
        ])
    })
}

/// What a person needs next. No secret is among it.
fn outputs(scope: &mut Scope<'_>) -> Printed {
    // A group's name may hold brackets, which a shell takes for its own.
    let command = format!(
        "mimecast-sentinel upgrade --subscription {} --resource-group '{}' --name {}{}",
        symbol(SUBSCRIPTION_ID),
        symbol(RESOURCE_GROUP_NAME),
        symbol("name"),
        symbol(word::CLOUD_FLAG),
    );
    let made = crate::plan::output::mark;
    let principal = made("identity", "/properties/principalId");
    let grant = format!("[{}]", word::grant(&scope.text(&principal)));
    Printed::Object(
        [
            ("installation", symbol("name")),
            ("functionAppName", symbol("functionAppName")),
            ("keyVaultName", symbol("keyVaultName")),
            ("storageAccountName", symbol("storageAccountName")),
            ("dataCollectionRuleName", symbol("dataCollectionRuleName")),
            ("identityPrincipalId", principal),
            ("dataCollectionRuleImmutableId", made("data_collection_rule", "/properties/immutableId")),
            ("logsIngestionEndpoint", made("data_collection_rule", "/properties/endpoints/logsIngestion")),
            ("delivers", symbol(word::DELIVERS)),
            ("secretsMissing", symbol(word::SECRETS_MISSING)),
            ("publishCommand", command),
        ]
        .into_iter()
        .map(|(name, value)| (name, scope.json_text(&value)))
        .chain([("keyVaultGrantCommand", grant)])
        .map(|(name, value)| {
            let members = [("type", Printed::text("string")), ("value", Printed::text(value))];
            (name.to_owned(), Printed::object(members))
        })
        .collect(),
    )
}
