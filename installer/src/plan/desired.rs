//! What an installation consists of: each resource a template and a line.

use std::collections::BTreeMap;

use contract::resources::{
    CHECKPOINT_CONTAINER, DEAD_LETTER_CONTAINER, DEPLOYMENTS_CONTAINER, INSTALLATION_TAG,
    KEY_VAULT_SECRETS_OFFICER, KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER, PACKAGES_CONTAINER,
    Role, STORAGE_BLOB_DATA_OWNER, STORAGE_QUEUE_DATA_CONTRIBUTOR, STORAGE_TABLE_DATA_CONTRIBUTOR,
    SYNC_QUEUE, VERSION_TAG,
};
use contract::streams::{self, transform};
use serde_json::{Map, Value, json};

use super::ids::{Ids, table_id};
use super::output;
use super::setting::settings;
use super::table;
use super::template::{TemplateError, Templates, api_version};
use super::title::title;
use crate::answers::intent::{Hosting, Intent, OnDeletedVault};
use crate::inventory::Inventory;

/// The version that resources are marked with.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a resource is compared and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conduct {
    /// Ours: made, compared, changed.
    Own,
    /// The resource group: made when absent, never changed.
    Group,
    /// A table: shared, only ever added to.
    Table,
    /// A role assignment: matched by scope, principal and role.
    Role,
    /// A secret: made when absent, kept when there; its value is under this key of the answers.
    Secret(String),
    /// The Function App: its settings are merged, not replaced.
    Site,
    /// An item of the analyst's content: what a person has tuned stays.
    Content,
}

/// One resource that should be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Key of its step.
    pub key: String,
    /// For people.
    pub title: String,
    /// ARM path. A role assignment's holds a mark until its principal is known.
    pub id: String,
    /// Full type.
    pub resource_type: String,
    /// API version of the type.
    pub api_version: &'static str,
    /// Scope of an extension resource.
    pub scope: Option<String>,
    /// The body, without type, name and scope.
    pub body: Value,
    /// Keys of the steps that come before it.
    pub depends_on: Vec<String>,
    /// How it is compared and written.
    pub conduct: Conduct,
}

/// Everything that an installation of these answers consists of, in an order in which it can be
/// made. `inventory` gives names, regions and the columns that tables have already.
///
/// # Errors
/// [`TemplateError`] when a template does not give a resource; that is our fault.
pub fn desired(
    templates: &Templates,
    intent: &Intent,
    inventory: &Inventory,
) -> Result<Vec<Desired>, TemplateError> {
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let context = context(intent, inventory, &ids);
    let mut lines = Lines { templates, intent, context, resources: Vec::new() };

    lines.add("resource_group", "resource_group", &[], json!({}), Conduct::Group)?;
    let group = ["resource_group"];
    lines.add("identity", "identity", &group, json!({}), Conduct::Own)?;
    lines.add("storage_account", "storage_account", &group, json!({}), Conduct::Own)?;
    for container in [CHECKPOINT_CONTAINER, PACKAGES_CONTAINER, DEPLOYMENTS_CONTAINER, DEAD_LETTER_CONTAINER]
    {
        let extra = json!({ "container": container });
        lines.add(
            &format!("container/{container}"),
            "container",
            &["storage_account"],
            extra,
            Conduct::Own,
        )?;
    }
    if intent.work_queue() {
        let extra = json!({ "queue": SYNC_QUEUE });
        lines.add(QUEUE_STEP, "queue", &["storage_account"], extra, Conduct::Own)?;
    }
    lines.add("key_vault", "key_vault", &group, json!({}), Conduct::Own)?;
    for (name, answer) in intent.vault_secrets() {
        let extra = json!({ "secret_name": name });
        lines.add(&format!("secret/{name}"), "secret", &["key_vault"], extra, Conduct::Secret(answer))?;
    }
    lines.add("application_insights", "application_insights", &group, json!({}), Conduct::Own)?;
    for (name, columns) in
        [(streams::AUDIT_TABLE, streams::AUDIT_COLUMNS), (streams::HEALTH_TABLE, streams::HEALTH_COLUMNS)]
    {
        let present = inventory.resource(&table_id(&inventory.workspace, name));
        let extra = json!({ "table": table::context(intent, name, columns, present) });
        lines.add(&format!("table/{name}"), "table", &[], extra, Conduct::Table)?;
    }
    let tables = [format!("table/{}", streams::AUDIT_TABLE), format!("table/{}", streams::HEALTH_TABLE)];
    let before_rule = ["resource_group", tables[0].as_str(), tables[1].as_str()];
    lines.add("data_collection_rule", "data_collection_rule", &before_rule, json!({}), Conduct::Own)?;
    lines.add(
        "diagnostic_setting",
        "diagnostic_setting",
        &["data_collection_rule"],
        json!({}),
        Conduct::Own,
    )?;

    let mut roles = Vec::new();
    for (key, role, scope, owner) in [
        ("role/blobs", STORAGE_BLOB_DATA_OWNER, &ids.storage_account, "storage_account"),
        ("role/queues", STORAGE_QUEUE_DATA_CONTRIBUTOR, &ids.storage_account, "storage_account"),
        ("role/tables", STORAGE_TABLE_DATA_CONTRIBUTOR, &ids.storage_account, "storage_account"),
        ("role/secrets", KEY_VAULT_SECRETS_USER, &ids.key_vault, "key_vault"),
        ("role/rows", MONITORING_METRICS_PUBLISHER, &ids.data_collection_rule, "data_collection_rule"),
    ] {
        // Rows are sent by the app registration where one was given, everything else is the
        // identity's.
        let principal = match &inventory.delivery_principal {
            Some(principal) if key == "role/rows" => principal.clone(),
            _ => output::mark("identity", "/properties/principalId"),
        };
        let extra = assignment(intent, role, scope, &principal, "ServicePrincipal", "");
        lines.add(key, "role_assignment", &["identity", owner], extra, Conduct::Role)?;
        roles.push(key);
    }
    if let Some(operator) = &intent.operator_object_id {
        // A person, a group or an application: Azure finds out which, where no kind is told.
        let extra = assignment(intent, KEY_VAULT_SECRETS_OFFICER, &ids.key_vault, operator, "", "");
        lines.add("role/operator", "role_assignment", &["key_vault"], extra, Conduct::Role)?;
    }

    lines.add("plan", "plan", &group, json!({}), Conduct::Own)?;
    let secret_keys: Vec<String> = lines
        .resources
        .iter()
        .filter(|resource| matches!(resource.conduct, Conduct::Secret(_)))
        .map(|resource| resource.key.clone())
        .collect();
    let deployments = format!("container/{DEPLOYMENTS_CONTAINER}");
    let before_site: Vec<&str> = ["plan", "identity", "application_insights", CHECKPOINT_STEP, &deployments]
        .into_iter()
        .chain(intent.work_queue().then_some(QUEUE_STEP))
        .chain(roles)
        .chain(secret_keys.iter().map(String::as_str))
        .collect();
    lines.add("function_app", "function_app", &before_site, json!({}), Conduct::Site)?;
    for policy in ["ftp", "scm"] {
        let extra = json!({ "policy": policy });
        lines.add(
            &format!("publishing/{policy}"),
            "publishing_policy",
            &["function_app"],
            extra,
            Conduct::Own,
        )?;
    }
    let content = super::content::content(templates, intent, inventory, &lines.context, &ids.group)?;
    lines.resources.extend(content);
    Ok(lines.resources)
}

/// Key of the step that writes the empty checkpoint. The Function App comes after it, so an
/// existing app means that the step was done.
pub const CHECKPOINT_STEP: &str = "checkpoint";

/// Key of the step that makes the work queue.
const QUEUE_STEP: &str = "queue/sync-work";

/// The context of a role assignment's template. An empty kind of the principal is left to Azure to find.
pub fn assignment(
    intent: &Intent,
    role: Role,
    scope: &str,
    principal: &str,
    principal_type: &str,
    description: &str,
) -> Value {
    let description = if description.is_empty() {
        format!("{}, for the installation {} (mimecast-sentinel)", role.name, intent.name)
    } else {
        description.to_owned()
    };
    json!({ "assignment": {
        "scope": scope,
        "principal": principal,
        "principal_type": principal_type,
        "role": role.definition_id,
        "subscription_id": intent.subscription_id,
        "description": description,
    }})
}

struct Lines<'a> {
    templates: &'a Templates,
    intent: &'a Intent,
    context: Map<String, Value>,
    resources: Vec<Desired>,
}

impl Lines<'_> {
    fn add(
        &mut self,
        key: &str,
        template: &str,
        depends_on: &[&str],
        extra: Value,
        conduct: Conduct,
    ) -> Result<(), TemplateError> {
        let mut context = self.context.clone();
        if let Value::Object(extra) = extra {
            context.extend(extra);
        }
        let rendered = self.templates.render(template, &Value::Object(context))?;
        let depends_on = depends_on.iter().map(|&each| each.to_owned()).collect();
        let group = format!(
            "/subscriptions/{}/resourceGroups/{}",
            self.intent.subscription_id, self.intent.resource_group
        );
        self.resources.push(resource(key, template, rendered, &group, depends_on, conduct)?);
        Ok(())
    }
}

/// Takes a rendered template apart into address and body.
///
/// # Errors
/// [`TemplateError`] when it has no type or name, or no API version is pinned for its type.
pub fn resource(
    key: &str,
    template: &str,
    mut rendered: Value,
    group: &str,
    mut depends_on: Vec<String>,
    conduct: Conduct,
) -> Result<Desired, TemplateError> {
    let mut take = |member: &'static str| {
        rendered
            .as_object_mut()
            .and_then(|members| members.remove(member))
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    let missing = |member| TemplateError::Member { name: template.to_owned(), member };
    let resource_type = take("type").ok_or_else(|| missing("type"))?;
    let name = take("name").ok_or_else(|| missing("name"))?;
    let scope = take("scope");
    let group = take("group").unwrap_or_else(|| group.to_owned());
    let (provider, kinds) = resource_type.split_once('/').ok_or_else(|| missing("type"))?;
    let id = if resource_type == "Microsoft.Resources/resourceGroups" {
        group.clone()
    } else {
        // A child's type and name run in step: `a/b/c` with `x/y/z` is `a/x/b/y/c/z`.
        let path: Vec<&str> =
            kinds.split('/').zip(name.split('/')).flat_map(|(kind, name)| [kind, name]).collect();
        format!("{}/providers/{provider}/{}", scope.as_ref().unwrap_or(&group), path.join("/"))
    };
    for step in output::waits_for(&rendered) {
        if !depends_on.contains(&step) {
            depends_on.push(step);
        }
    }
    Ok(Desired {
        key: key.to_owned(),
        title: title(&resource_type, &name, scope.as_deref(), &rendered),
        api_version: api_version(&resource_type)?,
        resource_type,
        id,
        scope,
        body: rendered,
        depends_on,
        conduct,
    })
}

/// The installation's tags on everything that takes tags.
pub fn tags(intent: &Intent) -> BTreeMap<String, String> {
    let mut tags = intent.tags.clone();
    tags.insert(INSTALLATION_TAG.to_owned(), intent.name.clone());
    tags.insert(VERSION_TAG.to_owned(), VERSION.to_owned());
    tags
}

fn context(intent: &Intent, inventory: &Inventory, ids: &Ids) -> Map<String, Value> {
    let location = intent.location.clone().unwrap_or_else(|| inventory.workspace.location.clone());
    let names = &inventory.names;
    let column = |(name, kind): (&str, streams::ColumnType)| json!({ "name": name, "type": kind.in_rule() });
    let stream = |name: &str, columns: &'static [streams::Column], transform: String| {
        json!({
            "name": name,
            "columns": transform::sent_columns(columns).map(column).collect::<Vec<_>>(),
            "transform": transform,
            "output_stream": name,
        })
    };
    let context = json!({
        "name": intent.name,
        "location": location,
        "tenant_id": inventory.caller.tenant_id,
        "subscription_id": intent.subscription_id,
        "resource_group": intent.resource_group,
        "tags": tags(intent),
        "names": {
            "identity": names.identity,
            "storage_account": names.storage_account,
            "key_vault": names.key_vault,
            "application_insights": names.application_insights,
            "data_collection_rule": names.data_collection_rule,
            "plan": names.plan,
            "function_app": names.function_app,
        },
        "ids": {
            "identity": ids.identity,
            "plan": ids.plan,
            "data_collection_rule": ids.data_collection_rule,
        },
        "workspace": {
            "id": inventory.workspace.id,
            "group_id": inventory.workspace.group_id(),
            "name": inventory.workspace.name(),
            "location": inventory.workspace.location,
        },
        "streams": [
            stream(streams::AUDIT_STREAM, streams::AUDIT_COLUMNS, transform::audit_transform_kql()),
            stream(streams::HEALTH_STREAM, streams::HEALTH_COLUMNS, transform::health_transform_kql()),
        ],
        "containers": {
            "checkpoint": CHECKPOINT_CONTAINER,
            "deployments": DEPLOYMENTS_CONTAINER,
            "dead_letters": DEAD_LETTER_CONTAINER,
        },
        "hosting": match intent.hosting {
            Hosting::FlexConsumption { memory_mb } => json!({ "flex": true, "memory_mb": memory_mb }),
            Hosting::Dedicated => json!({ "flex": false, "memory_mb": null }),
        },
        "app_insights_location": intent.app_insights_location.as_ref().unwrap_or(&location),
        "app_insights_workspace_id":
            intent.app_insights_workspace_id.as_ref().unwrap_or(&inventory.workspace.id),
        "purge_protection": intent.purge_protection,
        "recover_vault": intent.on_deleted_vault == OnDeletedVault::Recover
            && inventory.deleted_vault.as_ref().is_some_and(|vault| vault.ours),
        "settings": settings(intent),
    });
    match context {
        Value::Object(context) => context,
        _ => Map::new(),
    }
}
