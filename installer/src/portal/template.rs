//! The deployment template as a whole.

use contract::resources::ResourceNames;
use serde_json::{Map, Value, json};

use super::choice::{self, Scene, given, parameter_of, refers, workspace_id};
use super::content;
use super::node::{Condition, Node, Part};
use super::parameter::{self, Kind};
use super::print::Printed;
use super::symbol::{Meaning, Names, RESOURCE_GROUP_NAME, SUBSCRIPTION_ID, Scope, Symbol, quoted, symbol};
use super::{PortalError, choice::NUMBERS};
use crate::plan::desired::{self, Conduct, Desired, desired};
use crate::plan::publish;
use crate::plan::template::{Templates, api_version};

const SCHEMA: &str = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";
const DEPLOYMENTS: &str = "Microsoft.Resources/deployments";

/// The deployment that a resource is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The template itself.
    Outer,
    /// What is written to the workspace, in its own group and subscription.
    Workspace,
    /// The rule, whose region is the workspace's, and the roles, whose names hold the identity's
    /// principal: both are known only when the deployment runs, and only a nested template takes
    /// such a value for a name or a region.
    RuleAndRoles,
}

impl Place {
    fn of(resource_type: &str) -> Self {
        let namespace = resource_type.split('/').next().unwrap_or_default();
        match (namespace, resource_type) {
            ("Microsoft.OperationalInsights" | "Microsoft.SecurityInsights", _) => Self::Workspace,
            ("Microsoft.Authorization", _)
            | (_, "Microsoft.Insights/dataCollectionRules" | "Microsoft.Insights/diagnosticSettings") => {
                Self::RuleAndRoles
            }
            _ => Self::Outer,
        }
    }

    /// What the deployment's name ends with, and the symbols of its group.
    fn deployment(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::Workspace => ("workspace", ["workspaceSubscriptionId", "workspaceGroupName"]),
            Self::Outer | Self::RuleAndRoles => ("access", [SUBSCRIPTION_ID, RESOURCE_GROUP_NAME]),
        }
    }

    /// The deployment's id, for what comes after it.
    fn id(self) -> String {
        let (ending, [subscription, group]) = self.deployment();
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{DEPLOYMENTS}/{}-{ending}",
            symbol(subscription),
            symbol(group),
            symbol("deploymentName")
        )
    }
}

/// One resource under all choices.
struct Resource {
    key: String,
    resource_type: String,
    api_version: &'static str,
    place: Place,
    when: Option<Condition>,
    /// The id; of a role assignment, without its name.
    id: String,
    scope: Option<String>,
    depends_on: Vec<String>,
    body: Node,
}

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
    written.push(package());
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
        let Part { when, node, .. } = parts.swap_remove(at);
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

impl Resource {
    fn of(templates: &Templates, known: Desired, when: Option<Condition>, node: Node) -> Self {
        let mut body = Node::Object(Vec::new());
        let mut depends_on = Vec::new();
        if let Node::Object(parts) = node {
            for part in parts {
                match (part.name.as_str(), part.node) {
                    ("body", node) => body = node,
                    (_, Node::Object(before)) => {
                        depends_on = before.into_iter().map(|each| each.name).collect()
                    }
                    _ => {}
                }
            }
        }
        let place = Place::of(&known.resource_type);
        // Beside what the answers decide: what the deployment may not do, or may leave.
        let extra = match (known.resource_type.as_str(), &known.conduct) {
            ("Microsoft.Authorization/roleAssignments", _) => Some(Condition::is("assignRoles")),
            ("Microsoft.OperationalInsights/workspaces/tables", _) => Some(Condition::is("createTables")),
            // What is left out stays as the vault has it.
            (_, Conduct::Secret(answer)) if !choice::optional(answer) => {
                Some(Condition::is(&given(parameter_of(answer))))
            }
            (_, Conduct::Content) => content::condition(templates, &known.key),
            _ => None,
        };
        let when = match (when, extra) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        if let Conduct::Secret(answer) = &known.conduct {
            put(&mut body, "value", Node::Leaf(json!(symbol(parameter_of(answer)))));
        }
        Self {
            key: known.key,
            api_version: known.api_version,
            place,
            when,
            id: known.id,
            scope: known.scope.map(|scope| scope.replace(&workspace_id(), &symbol("workspaceId"))),
            depends_on,
            body,
            resource_type: known.resource_type,
        }
    }

    /// The name as a template has it: the names of the parents first.
    fn name(&self, scope: &mut Scope<'_>) -> String {
        if let Some(parts) = content::id_parts(&self.key, &self.resource_type) {
            let parts: Vec<String> = parts.iter().map(|part| scope.text(part)).collect();
            return format!("[guid({})]", parts.join(", "));
        }
        if self.resource_type == "Microsoft.Authorization/roleAssignments" {
            let text = |name: &str, scope: &mut Scope<'_>| match self.property(name) {
                Some(node) => node.expression(scope),
                None => "''".to_owned(),
            };
            let role = match self.property("roleDefinitionId") {
                Some(Node::Leaf(Value::String(id))) => id.rsplit('/').next().unwrap_or_default().to_owned(),
                _ => String::new(),
            };
            let on = scope.text(self.scope.as_deref().unwrap_or_default());
            return format!("[guid({on}, {}, '{role}')]", text("principalId", scope));
        }
        let path = self.id.rsplit("/providers/").next().unwrap_or_default();
        let names: Vec<&str> = path.split('/').skip(2).step_by(2).collect();
        scope.json_text(&names.join("/"))
    }

    fn property(&self, name: &str) -> Option<&Node> {
        let Node::Object(parts) = &self.body else { return None };
        let Node::Object(properties) = &parts.iter().find(|part| part.name == "properties")?.node else {
            return None;
        };
        properties.iter().find(|part| part.name == name).map(|part| &part.node)
    }

    fn write(&self, all: &[Self], scope: &mut Scope<'_>) -> Printed {
        let mut members = vec![
            ("type".to_owned(), Printed::text(&self.resource_type)),
            ("apiVersion".to_owned(), Printed::text(self.api_version)),
            ("name".to_owned(), Printed::text(self.name(scope))),
        ];
        if let Some(on) = &self.scope {
            members.push(("scope".to_owned(), Printed::text(scope.json_text(on))));
        }
        if let Some(when) = &self.when {
            members.push(("condition".to_owned(), Printed::text(format!("[{}]", when.expression(scope)))));
        }
        let before = dependencies(&[self], self.place, all);
        if !before.is_empty() {
            let before = before.iter().map(|id| Printed::text(scope.json_text(id))).collect();
            members.push(("dependsOn".to_owned(), Printed::List(before)));
        }
        if let Printed::Object(body) = self.body.plain(scope) {
            let (properties, rest): (Vec<_>, Vec<_>) =
                body.into_iter().partition(|(name, _)| name == "properties");
            members.extend(rest);
            members.extend(properties);
        }
        Printed::Object(members)
    }
}

fn put(body: &mut Node, name: &str, node: Node) {
    let Node::Object(parts) = body else { return };
    for part in parts.iter_mut().filter(|part| part.name == "properties") {
        if let Node::Object(properties) = &mut part.node {
            properties.push(Part { name: name.to_owned(), when: None, node: node.clone() });
        }
    }
}

/// Ids of what has to come before these resources of one deployment.
fn dependencies(of: &[&Resource], place: Place, all: &[Resource]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for key in of.iter().flat_map(|resource| &resource.depends_on) {
        // The group is there, and the checkpoint is made by the worker.
        let Some(before) = all.iter().find(|each| each.key == *key) else { continue };
        let id = if before.place == Place::Outer || (before.place == place && of.len() == 1) {
            before.id.clone()
        } else if before.place == place {
            continue;
        } else {
            before.place.id()
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
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

/// Takes the package from an address that was given
/// (<https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#remote-package>).
fn package() -> Printed {
    let site = "variables('functionAppName')";
    let after = ["ftp", "scm"].map(|policy| {
        Printed::text(format!(
            "[resourceId('Microsoft.Web/sites/basicPublishingCredentialsPolicies', {site}, '{policy}')]"
        ))
    });
    let own = Printed::text(format!("[resourceId('Microsoft.Web/sites', {site})]"));
    Printed::object([
        ("type", Printed::text("Microsoft.Web/sites/extensions")),
        ("apiVersion", Printed::text(api_version("Microsoft.Web/sites").unwrap_or_default())),
        ("name", Printed::text(format!("[concat({site}, '/onedeploy')]"))),
        ("condition", Printed::text("[not(empty(parameters('packageUri')))]")),
        ("dependsOn", Printed::List([own].into_iter().chain(after).collect())),
        (
            "properties",
            Printed::object([
                ("packageUri", Printed::text("[parameters('packageUri')]")),
                ("remoteBuild", Printed::Value(json!(false))),
            ]),
        ),
    ])
}

/// The variables that are texts, in an order in which each follows what it uses: name, type, expression.
fn plain_variables(own: Option<&ResourceNames>) -> Vec<(String, &'static str, String)> {
    let mut list: Vec<(String, &'static str, String)> = Vec::new();
    let mut add = |name: &str, kind: &'static str, text: &str| {
        list.push((name.to_owned(), kind, text.to_owned()));
    };
    add("name", "string", "toLower(parameters('appName'))");
    // Differs from the installer's own hash: names that are there win over derived ones.
    add("unique", "string", "uniqueString(resourceGroup().id, variables('name'))");
    add("letters", "string", "replace(variables('name'), '-', '')");
    add(
        "deploymentName",
        "string",
        "concat('mimecast-', variables('name'), '-', take(variables('unique'), 8))",
    );
    add("identityName", "string", "concat('id-', variables('name'))");
    add("storageAccountName", "string", "concat('st', take(variables('letters'), 9), variables('unique'))");
    add("keyVaultName", "string", "concat('kv-', take(variables('letters'), 7), '-', variables('unique'))");
    add("applicationInsightsName", "string", "concat('appi-', variables('name'))");
    add("dataCollectionRuleName", "string", "concat('dcr-', variables('name'))");
    add("planName", "string", "concat('plan-', variables('name'))");
    add("functionAppName", "string", "concat('func-', variables('name'), '-', variables('unique'))");
    add(
        "workspaceId",
        "string",
        "if(empty(parameters('workspaceResourceId')), parameters('AppInsightsWorkspaceResourceID'), parameters('workspaceResourceId'))",
    );
    add("workspaceSubscriptionId", "string", "split(variables('workspaceId'), '/')[2]");
    add("workspaceGroupName", "string", "split(variables('workspaceId'), '/')[4]");
    add("workspaceName", "string", "split(variables('workspaceId'), '/')[8]");
    add("flex", "bool", "equals(parameters('hostingPlan'), 'flex-consumption')");
    add("apiTwo", "bool", "equals(parameters('mimecastApi'), '2.0')");
    add(
        "usesAppRegistration",
        "bool",
        "or(not(empty(parameters('activeDirectoryAppId'))), not(empty(parameters('activeDirectoryObjectId'))))",
    );
    // All other content stands on the views.
    add(
        "views",
        "bool",
        "or(parameters('workbook'), parameters('huntingQueries'), parameters('connectorPage'), parameters('asimParsers'), not(equals(parameters('analyticsRules'), 'off')))",
    );
    add("unifyingParsers", "bool", "and(parameters('asimParsers'), parameters('asimUnifyingParsers'))");
    // Whatever the case in which it was given.
    add(content::WORKSPACE_SEED, "string", "toLower(variables('workspaceId'))");
    add(&given("packageSha256"), "bool", "not(empty(parameters('packageSha256')))");
    add("roleAssignments", "string", "if(parameters('assignRoles'), 'installer', 'external')");
    add("workQueueWord", "string", "if(parameters('workQueue'), 'always', 'auto')");
    for name in ["objectId", "categories", "workspaceResourceId", "tags"] {
        add(&given(name), "bool", &format!("not(empty(parameters('{name}')))"));
    }
    for name in ["mimecastEmail", "mimecastPassword"] {
        add(
            &given(name),
            "bool",
            &format!("and(not(variables('apiTwo')), not(empty(parameters('{name}'))))"),
        );
    }
    for (answer, name) in choice::SECRETS {
        if !choice::optional(answer) {
            add(&given(name), "bool", &format!("not(empty(parameters('{name}')))"));
        }
    }
    for (_, name) in NUMBERS {
        add(&given(name), "bool", &format!("greater(parameters('{name}'), 0)"));
    }
    for (_, name) in choice::SECRETS {
        add(&refers(name), "bool", &format!("startsWith(parameters('{name}'), '@Microsoft.KeyVault(')"));
    }
    add("categoryList", "array", "split(parameters('categories'), ',')");
    add("schedule", "string", "variables('schedules')[parameters('collectEvery')]");
    for (name, text) in own.into_iter().flat_map(fixed_names) {
        if let Some(known) = list.iter_mut().find(|(each, ..)| each == name) {
            known.2 = quoted(text);
        }
    }
    list
}

/// The variables of names, and what an installation that is there has in them.
fn fixed_names(own: &ResourceNames) -> [(&'static str, &str); 7] {
    [
        ("identityName", &own.identity),
        ("storageAccountName", &own.storage_account),
        ("keyVaultName", &own.key_vault),
        ("applicationInsightsName", &own.application_insights),
        ("dataCollectionRuleName", &own.data_collection_rule),
        ("planName", &own.plan),
        ("functionAppName", &own.function_app),
    ]
}

fn variables(scope: &mut Scope<'_>, names: Option<&ResourceNames>) -> Result<Printed, PortalError> {
    let mut members: Vec<(String, Printed)> = plain_variables(names)
        .into_iter()
        .map(|(name, _, expression)| (name, Printed::text(format!("[{expression}]"))))
        .collect();
    let schedules = choice::schedules()?
        .into_iter()
        .map(|(period, schedule)| (period.to_owned(), Printed::text(schedule)));
    members.push(("schedules".to_owned(), Printed::Object(schedules.collect())));
    let own = format!(
        "createObject('{}', variables('name'), '{}', '{}')",
        contract::resources::INSTALLATION_TAG,
        contract::resources::VERSION_TAG,
        desired::VERSION
    );
    members.push(("allTags".to_owned(), Printed::text(format!("[union(parameters('tags'), {own})]"))));
    members.push((
        "siteTags".to_owned(),
        Printed::text(format!(
            "[union(variables('allTags'), createObject('{}', parameters('packageSha256')))]",
            contract::resources::PACKAGE_TAG
        )),
    ));
    members.push(("givenAnswers".to_owned(), choice::answers().plain(scope)));
    members.push(("answers".to_owned(), Printed::text("[string(variables('givenAnswers'))]")));
    Ok(Printed::Object(members))
}

/// What each symbol stands for.
fn names(resources: &[Resource]) -> Names {
    let of = |kind, meaning| Symbol { kind, meaning };
    let parameters = parameter::ALL.iter().map(|each| {
        // What is passed on is passed on as what it is; no secret is passed on.
        let kind = if each.kind == Kind::Secret { "securestring" } else { each.type_name() };
        (each.name.to_owned(), of(kind, Meaning::Parameter))
    });
    let variables =
        plain_variables(None).into_iter().map(|(name, kind, _)| (name, of(kind, Meaning::Variable)));
    let objects = [("allTags", "object"), ("siteTags", "object"), ("answers", "string")]
        .map(|(name, kind)| (name.to_owned(), of(kind, Meaning::Variable)));
    let workspaces = api_version("Microsoft.OperationalInsights/workspaces").unwrap_or_default();
    let expressions = [
        (SUBSCRIPTION_ID, "subscription().subscriptionId".to_owned()),
        (RESOURCE_GROUP_NAME, "resourceGroup().name".to_owned()),
        ("tenantId", "subscription().tenantId".to_owned()),
        (
            "workspaceLocation",
            format!("reference(variables('workspaceId'), '{workspaces}', 'Full').location"),
        ),
    ]
    .map(|(name, text)| (name.to_owned(), of("string", Meaning::Expression(text))));
    Names {
        symbols: parameters.chain(variables).chain(objects).chain(expressions).collect(),
        steps: resources.iter().map(|each| (each.key.clone(), (each.id.clone(), each.api_version))).collect(),
    }
}

/// What a person needs next. No secret is among it.
fn outputs(scope: &mut Scope<'_>) -> Printed {
    let command = format!(
        "mimecast-sentinel upgrade --subscription {} --resource-group {} --name {}",
        symbol(SUBSCRIPTION_ID),
        symbol(RESOURCE_GROUP_NAME),
        symbol("name")
    );
    let made = crate::plan::output::mark;
    Printed::Object(
        [
            ("installation", symbol("name")),
            ("functionAppName", symbol("functionAppName")),
            ("keyVaultName", symbol("keyVaultName")),
            ("storageAccountName", symbol("storageAccountName")),
            ("dataCollectionRuleName", symbol("dataCollectionRuleName")),
            ("identityPrincipalId", made("identity", "/properties/principalId")),
            ("dataCollectionRuleImmutableId", made("data_collection_rule", "/properties/immutableId")),
            ("logsIngestionEndpoint", made("data_collection_rule", "/properties/endpoints/logsIngestion")),
            ("publishCommand", command),
        ]
        .into_iter()
        .map(|(name, value)| {
            let value = Printed::text(scope.json_text(&value));
            (name.to_owned(), Printed::object([("type", Printed::text("string")), ("value", value)]))
        })
        .collect(),
    )
}
