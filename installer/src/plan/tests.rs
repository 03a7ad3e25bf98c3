//! The plan as data: answers and what Azure has in, steps and findings out.

mod bodies;
mod content;
mod drift;
mod removal;
mod sequence;
mod sharing;
mod trial;

use std::collections::BTreeMap;

use contract::resources::{
    INSTALLATION_TAG, KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER, PACKAGE_TAG, ResourceNames,
};
use contract::settings::MIMECAST_SENTINEL_PACKAGE;
use serde_json::{Value, json};

use super::change::Change;
use super::content::unifier;
use super::desired::{Conduct, desired};
use super::ids::Ids;
use super::template::Templates;
use super::{Action, PackageFacts, PackageSource, Plan, Severity, output, plan};
use crate::answers::given::Origin;
use crate::answers::{Intent, yaml};
use crate::inventory::leftovers::Leftovers;
use crate::inventory::{Assignment, Caller, DeletedVault, Inventory, Provider, Workspace, installation_of};
use crate::plan::removal::{Extent, Subject, removal};
use crate::world::World;

/// Type of workbooks, which alone of the content live in the installation's own group.
const WORKBOOKS: &str = "Microsoft.Insights/workbooks";

const ANSWERS: &str = "\
azure:
  subscription_id: 00000000-0000-0000-0000-000000000001
  resource_group: rg-mimecast-audit
  tags: {owner: secops}
workspace:
  resource_id: /subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg-sentinel/providers/Microsoft.OperationalInsights/workspaces/log-sentinel
mimecast:
  client_id: {env: ID}
  client_secret: {env: SECRET}
";

fn intent(addition: &str) -> Intent {
    let given =
        yaml::read(&format!("{ANSWERS}{addition}"), |line| Origin::File { file: "a".to_owned(), line })
            .expect("reads");
    Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete")
}

fn nothing() -> Inventory {
    Inventory {
        sentinel: Some(true),
        content: Vec::new(),
        caller: Caller {
            object_id: "00000000-0000-0000-0000-00000000000a".to_owned(),
            principal_type: "User".to_owned(),
            tenant_id: "00000000-0000-0000-0000-00000000000b".to_owned(),
        },
        workspace: Workspace {
            id: "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg-sentinel/providers/Microsoft.OperationalInsights/workspaces/log-sentinel".to_owned(),
            customer_id: "00000000-0000-0000-0000-00000000000c".to_owned(),
            location: "northeurope".to_owned(),
        },
        names: ResourceNames::derive("mimecast-audit", "00000000-0000-0000-0000-000000000001", "rg-mimecast-audit"),
        resources: BTreeMap::new(),
        owned: Vec::new(),
        settings: None,
        assignments: Vec::new(),
        providers: Vec::new(),
        delivery_principal: None,
        foreign_secrets: Vec::new(),
        deleted_vault: None,
    }
}

fn package() -> PackageFacts {
    PackageFacts { sha256: "ab".repeat(32), size_bytes: 1, source: PackageSource::Given }
}

/// What Azure has after the plan for these answers was carried out: bodies as they were sent, values
/// that Azure makes, and members that it adds by itself.
fn carried_out(intent: &Intent) -> Inventory {
    let mut inventory = nothing();
    let templates = Templates::read().expect("templates");
    for mut resource in desired(templates, intent, &inventory).expect("rendered") {
        let known = |step: &str, pointer: &str| Some(made(step, pointer));
        output::fill(&mut resource.body, &known);
        let mut body = resource.body.clone();
        body["id"] = json!(resource.id);
        body["type"] = json!(resource.resource_type);
        body["name"] = json!(resource.id.rsplit('/').next());
        body["properties"]["provisioningState"] = json!("Succeeded");
        match resource.conduct {
            Conduct::Role => {
                inventory.assignments.push(Assignment {
                    id: resource.id.clone(),
                    scope: resource.scope.clone().expect("a scope"),
                    principal_id: body["properties"]["principalId"].as_str().expect("a principal").to_owned(),
                    role: body["properties"]["roleDefinitionId"]
                        .as_str()
                        .expect("a role")
                        .rsplit('/')
                        .next()
                        .expect("an id")
                        .to_owned(),
                    description: String::new(),
                });
                continue;
            }
            Conduct::Site => {
                let settings = body["properties"]["siteConfig"]["appSettings"].take();
                inventory.settings = Some(
                    settings
                        .as_array()
                        .expect("settings")
                        .iter()
                        .map(|each| {
                            (
                                each["name"].as_str().expect("a name").to_owned(),
                                each["value"].as_str().expect("a value").to_owned(),
                            )
                        })
                        .chain([
                            ("MY_EXTRA".to_owned(), "1".to_owned()),
                            (MIMECAST_SENTINEL_PACKAGE.to_owned(), package().sha256),
                        ])
                        .collect(),
                );
                body["tags"][PACKAGE_TAG] = json!(package().sha256);
            }
            Conduct::Content if resource.resource_type != WORKBOOKS => {
                inventory.content.push(body);
                continue;
            }
            _ => {}
        }
        for (pointer, value) in MADE {
            if pointer.0 == resource.key {
                put(&mut body, pointer.1, value);
            }
        }
        if installation_of(&body).is_some() {
            inventory.owned.push(body.clone());
        }
        inventory.resources.insert(resource.id.to_ascii_lowercase(), body);
    }
    let (custom_parsers, refused) = unifier::register(intent, &inventory, templates.library());
    assert!(refused.is_empty(), "{refused:?}");
    for change in custom_parsers {
        let mut body = change.body.expect("a body");
        body["id"] = json!(change.id);
        body["type"] = json!("Microsoft.OperationalInsights/workspaces/savedSearches");
        body["name"] = json!(change.alias);
        inventory.content.push(body);
    }
    inventory
}

const MADE: &[((&str, &str), &str)] = &[
    (("identity", "/properties/principalId"), "00000000-0000-0000-0000-0000000000d1"),
    (("identity", "/properties/clientId"), "00000000-0000-0000-0000-0000000000d2"),
    (("storage_account", "/properties/primaryEndpoints/blob"), "https://st.blob.core.windows.net/"),
    (("storage_account", "/properties/primaryEndpoints/queue"), "https://st.queue.core.windows.net/"),
    (("storage_account", "/properties/primaryEndpoints/table"), "https://st.table.core.windows.net/"),
    (("key_vault", "/properties/vaultUri"), "https://kv.vault.azure.net/"),
    (("application_insights", "/properties/ConnectionString"), "InstrumentationKey=0"),
    (("data_collection_rule", "/properties/immutableId"), "dcr-00000000000000000000000000000000"),
    (("data_collection_rule", "/properties/endpoints/logsIngestion"), "https://d.ingest.monitor.azure.com"),
];

fn made(step: &str, pointer: &str) -> String {
    let value = MADE.iter().find(|((each, at), _)| *each == step && *at == pointer);
    value.unwrap_or_else(|| panic!("{step} {pointer}")).1.to_owned()
}

fn put(body: &mut Value, pointer: &str, value: &str) {
    let mut here = body;
    for word in pointer.split('/').skip(1) {
        here = &mut here[word];
    }
    *here = json!(value);
}

fn keys(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.key.as_str()).collect()
}

fn body<'a>(plan: &'a Plan, key: &str) -> &'a Value {
    match &plan.steps.iter().find(|step| step.key == key).expect("a step").action {
        Action::PutResource { body, .. } | Action::AssignRole { body, .. } => body,
        other => panic!("{other:?}"),
    }
}
