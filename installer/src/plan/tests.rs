//! The plan as data: answers and what Azure has in, steps and findings out.

use std::collections::BTreeMap;

use contract::resources::{
    INSTALLATION_TAG, KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER, PACKAGE_TAG, ResourceNames,
};
use contract::settings::MIMECAST_SENTINEL_PACKAGE;
use serde_json::{Value, json};

use super::change::Change;
use super::desired::{Conduct, Ids, desired};
use super::template::Templates;
use super::{Action, PackageFacts, PackageSource, Plan, Severity, output, plan};
use crate::answers::given::Origin;
use crate::answers::{Intent, yaml};
use crate::inventory::leftovers::Leftovers;
use crate::inventory::{Assignment, Caller, DeletedVault, Inventory, Provider, Workspace, installation_of};
use crate::plan::removal::{Extent, Subject, removal};
use crate::world::World;

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
    let templates = Templates::new().expect("templates");
    for mut resource in desired(&templates, intent, &inventory).expect("rendered") {
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

#[test]
fn a_first_plan_makes_everything_in_an_order_that_can_be_carried_out() {
    let plan = plan(&intent(""), &nothing(), Some(&package())).expect("a plan");
    assert_eq!(
        keys(&plan),
        [
            "resource_group",
            "identity",
            "storage_account",
            "container/audit-checkpoints",
            "container/packages",
            "container/deployments",
            "container/dead-letters",
            "key_vault",
            "secret/mimecast-client-id",
            "secret/mimecast-client-secret",
            "application_insights",
            "table/MimecastAudit_CL",
            "table/MimecastAuditHealth_CL",
            "data_collection_rule",
            "diagnostic_setting",
            "role/blobs",
            "role/queues",
            "role/tables",
            "role/secrets",
            "role/rows",
            "plan",
            "grant/audit-checkpoints",
            "checkpoint",
            "function_app",
            "publishing/ftp",
            "publishing/scm",
            "grant/packages",
            "package",
            "publish",
            "take-back/audit-checkpoints",
            "take-back/packages",
        ]
    );
    // Each step stands after those it waits for.
    for (index, step) in plan.steps.iter().enumerate() {
        for key in &step.depends_on {
            let at = plan.steps.iter().position(|each| each.key == *key);
            assert!(at.is_none_or(|at| at < index), "{} waits for {key}", step.key);
        }
    }
    assert!(!plan.refused() && plan.kept.is_empty());
}

#[test]
fn a_plan_after_it_was_carried_out_is_empty() {
    for addition in [
        "",
        "hosting: {plan: dedicated}\n",
        "hosting: {memory_mb: 2048}\nvault: {purge_protection: true}\n",
        "table: {retention_days: 90, total_retention_days: 365}\n",
        "collect: {every: 1h, categories: [authentication_logs]}\n",
        "delivery: {app_registration: {client_id: {env: A}, client_secret: {env: B}, tenant_id: 00000000-0000-0000-0000-00000000000e}}\n",
        "monitoring: {app_insights_location: westeurope}\n",
    ] {
        let intent = intent(addition);
        let plan = plan(&intent, &carried_out(&intent), Some(&package())).expect("a plan");
        assert!(plan.empty() && plan.findings.is_empty(), "{addition}: {:#?}", (&plan.steps, &plan.findings));
    }
}

#[test]
fn drift_in_any_one_property_is_shown_as_exactly_that_property() {
    let intent = intent("");
    let whole = carried_out(&intent);
    let templates = Templates::new().expect("templates");
    let mut seen = 0;
    for resource in desired(&templates, &intent, &whole).expect("rendered") {
        if !matches!(resource.conduct, Conduct::Own | Conduct::Site) {
            continue;
        }
        let mut body = resource.body.clone();
        output::fill(&mut body, &|step, pointer| Some(made(step, pointer)));
        let mut leaves = Vec::new();
        collect(&body, "", &mut leaves);
        for leaf in leaves {
            let at = format!("{} {leaf}", resource.key);
            if leaf.contains("appSettings") || leaf.ends_with(INSTALLATION_TAG) {
                continue;
            }
            let mut drifted = whole.clone();
            let actual = drifted.resources.get_mut(&resource.id.to_ascii_lowercase()).expect("there");
            let value = actual.pointer_mut(&leaf).unwrap_or_else(|| panic!("{at}"));
            *value = match &value {
                Value::Bool(flag) => json!(!*flag),
                Value::Number(_) => json!(-1),
                _ => json!("/drifted"),
            };
            let plan = plan(&intent, &drifted, Some(&package())).expect("a plan");
            let changes: Vec<_> = plan
                .steps
                .iter()
                .flat_map(|step| match &step.change {
                    Change::Update(changes) => {
                        changes.iter().map(|change| (step.key.as_str(), change)).collect()
                    }
                    _ => Vec::new(),
                })
                .collect();
            // The name of a thing in a list is what it is told apart by: losing it is losing the thing.
            let named = leaf.ends_with("/name") || leaf.ends_with("/category");
            assert!(named || changes.len() == 1, "{at}: {changes:#?}");
            assert!(changes.iter().all(|(key, _)| *key == resource.key), "{at}: {changes:#?}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} properties");
}

fn collect(value: &Value, path: &str, leaves: &mut Vec<String>) {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(entries) => {
            entries
                .iter()
                .for_each(|(name, value)| collect(value, &format!("{path}/{}", escape(name)), leaves));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| collect(value, &format!("{path}/{index}"), leaves));
        }
        _ => leaves.push(path.to_owned()),
    }
}

#[test]
fn a_changed_setting_is_merged_and_a_persons_own_stays() {
    // BR-115, BR-105
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let settings = inventory.settings.as_mut().expect("settings");
    settings.insert("MIMECAST_OVERLAP".to_owned(), "1m".to_owned());
    settings.insert("AzureWebJobsStorage".to_owned(), "DefaultEndpointsProtocol=https".to_owned());
    let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(keys(&plan), ["settings"]);
    let Action::MergeSettings { set, remove, .. } = &plan.steps[0].action else {
        panic!("{:?}", plan.steps[0])
    };
    assert_eq!(set, &BTreeMap::from([("MIMECAST_OVERLAP".to_owned(), "15m".to_owned())]));
    assert_eq!(remove, &["AzureWebJobsStorage"]);
    assert!(!serde_json::to_string(&plan).expect("JSON").contains("DefaultEndpointsProtocol"));
}

#[test]
fn a_new_package_is_uploaded_under_its_hash_and_published() {
    let intent = intent("");
    let other = PackageFacts { sha256: "cd".repeat(32), size_bytes: 1, source: PackageSource::Given };
    let plan = plan(&intent, &carried_out(&intent), Some(&other)).expect("a plan");
    assert_eq!(keys(&plan), ["settings", "grant/packages", "package", "publish", "take-back/packages"]);
    let Action::Publish { sha256, previous, .. } = &plan.steps[3].action else {
        panic!("{:?}", plan.steps[3])
    };
    assert_eq!((sha256, previous.as_ref()), (&other.sha256, Some(&package().sha256)));
}

#[test]
fn what_is_given_while_installing_is_taken_back_even_after_a_run_that_was_stopped() {
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    inventory.assignments.push(Assignment {
        id: "x".to_owned(),
        scope: ids.container("packages"),
        principal_id: inventory.caller.object_id.clone(),
        role: contract::resources::STORAGE_BLOB_DATA_CONTRIBUTOR.definition_id.to_owned(),
        description: super::publish::FOR_THE_TIME.to_owned(),
    });
    let taken_back = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(keys(&taken_back), ["take-back/packages"]);
    // A role that the person has anyway is neither given nor taken.
    inventory.assignments.last_mut().expect("one").description = "for my own use".to_owned();
    assert!(plan(&intent, &inventory, Some(&package())).expect("a plan").empty());
}

#[test]
fn the_settings_of_a_new_app_hold_references_and_no_secret() {
    let plan = plan(&intent(""), &nothing(), Some(&package())).expect("a plan");
    let site = body(&plan, "function_app");
    let settings = site["properties"]["siteConfig"]["appSettings"].as_array().expect("settings");
    let value = |name: &str| {
        settings
            .iter()
            .find(|each| each["name"] == name)
            .and_then(|each| each["value"].as_str())
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(
        output::readable(value("MIMECAST_CLIENT_SECRET")),
        "@Microsoft.KeyVault(SecretUri=(known after key_vault: vaultUri)secrets/mimecast-client-secret)"
    );
    assert_eq!(value("MIMECAST_SCHEDULE"), "0 */5 * * * *");
    assert!(value("MIMECAST_SENTINEL_ANSWERS").contains(r#""client_secret":{"env":"SECRET"}"#));
    assert!(value("CHECKPOINT_CONTAINER_URL").ends_with("audit-checkpoints"));
    // BR-101: none of what Flex refuses (facts 2.2).
    for refused in ["FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"] {
        assert!(settings.iter().all(|each| each["name"] != refused), "{refused}");
    }
    // BR-047
    assert!(settings.iter().all(|each| !each["value"].as_str().expect("text").contains("github.com")));
}

#[test]
fn everything_is_closed_that_policies_want_closed() {
    // BR-013, BR-049, BR-134
    let plan = plan(&intent(""), &nothing(), Some(&package())).expect("a plan");
    let storage = &body(&plan, "storage_account")["properties"];
    assert_eq!(
        json!([
            storage["allowBlobPublicAccess"],
            storage["allowSharedKeyAccess"],
            storage["allowCrossTenantReplication"],
            storage["minimumTlsVersion"],
            storage["supportsHttpsTrafficOnly"]
        ]),
        json!([false, false, false, "TLS1_2", true])
    );
    assert!(storage["networkAcls"].is_object() && storage["publicNetworkAccess"].is_string());
    let site = &body(&plan, "function_app")["properties"];
    assert_eq!(
        json!([site["httpsOnly"], site["siteConfig"]["minTlsVersion"], site["siteConfig"]["ftpsState"]]),
        json!([true, "1.2", "Disabled"])
    );
    assert_eq!(site["functionAppConfig"]["runtime"], json!({ "name": "custom", "version": "1.0" }));
    assert_eq!(body(&plan, "key_vault")["properties"]["enableRbacAuthorization"], true);
    assert_eq!(body(&plan, "publishing/scm")["properties"]["allow"], false);
    assert_eq!(body(&plan, "role/blobs")["properties"]["principalType"], "ServicePrincipal");
}

#[test]
fn the_rule_lives_where_the_workspace_is_and_the_rest_where_it_was_asked_for() {
    let text = ANSWERS.replace("azure:\n", "azure:\n  location: West Europe\n");
    let given = yaml::read(&text, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
    let intent = Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete");
    let plan = plan(&intent, &nothing(), Some(&package())).expect("a plan");
    assert_eq!(body(&plan, "data_collection_rule")["location"], "northeurope");
    assert_eq!(body(&plan, "storage_account")["location"], "westeurope");
}

#[test]
fn the_workspace_itself_is_never_written() {
    // BR-002, BR-003, BR-005
    let inventory = nothing();
    let plan = plan(&intent(""), &inventory, Some(&package())).expect("a plan");
    for step in &plan.steps {
        if let Action::PutResource { id, .. } | Action::Delete { id, .. } = &step.action {
            assert!(!id.eq_ignore_ascii_case(&inventory.workspace.id), "{}", step.key);
        }
    }
    for key in ["table/MimecastAudit_CL", "table/MimecastAuditHealth_CL"] {
        let body = body(&plan, key);
        assert!(body["properties"].get("retentionInDays").is_none(), "{body}");
    }
}

#[test]
fn a_table_that_is_there_keeps_its_columns_and_gets_ours() {
    let mut inventory = nothing();
    let id = format!("{}/tables/MimecastAudit_CL", inventory.workspace.id);
    inventory.resources.insert(
        id.to_ascii_lowercase(),
        json!({ "properties": { "plan": "Analytics", "retentionInDays": 180, "schema": { "name": "MimecastAudit_CL",
            "tableSubType": "DataCollectionRuleBased",
            "columns": [
                { "name": "TimeGenerated", "type": "dateTime", "isHidden": false },
                { "name": "theirs_s", "type": "string", "isDefaultDisplay": true }
            ],
            "standardColumns": [{ "name": "Category", "type": "string" }] } } }),
    );
    let plan = plan(&intent(""), &inventory, Some(&package())).expect("a plan");
    let body = body(&plan, "table/MimecastAudit_CL");
    let columns = body["properties"]["schema"]["columns"].as_array().expect("columns");
    assert_eq!(columns[1], json!({ "name": "theirs_s", "type": "string" }));
    assert!(columns.iter().any(|column| column["name"] == "eventKey_s"));
    assert!(columns.iter().all(|column| column["name"] != "Category"));
    assert!(body["properties"].get("retentionInDays").is_none() && body["properties"].get("plan").is_none());
}

#[test]
fn a_column_of_another_type_and_a_classic_table_stop_the_plan() {
    let table = |schema: Value| {
        let mut inventory = nothing();
        let id = format!("{}/tables/MimecastAudit_CL", inventory.workspace.id);
        inventory.resources.insert(id.to_ascii_lowercase(), json!({ "properties": { "schema": schema } }));
        inventory
    };
    let clash = table(json!({ "columns": [{ "name": "user_s", "type": "int" }] }));
    let found = plan(&intent(""), &clash, Some(&package())).expect("a plan");
    assert!(found.refused() && found.findings.iter().any(|finding| finding.message.contains("`user_s`")));

    let classic = table(json!({ "tableSubType": "Classic", "columns": [] }));
    assert!(plan(&intent(""), &classic, Some(&package())).expect("a plan").refused());
    let migrated =
        plan(&intent("table: {on_classic: migrate}\n"), &classic, Some(&package())).expect("a plan");
    assert!(!migrated.refused());
    let keys = keys(&migrated);
    let at = |key: &str| keys.iter().position(|each| *each == key).expect("a step");
    assert!(at("table/MimecastAudit_CL/migrate") < at("table/MimecastAudit_CL"));
}

#[test]
fn a_stranger_under_our_name_stops_the_plan() {
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let vault = inventory.resources.get_mut(&ids.key_vault.to_ascii_lowercase()).expect("there");
    vault["tags"] = json!({ "owner": "someone" });
    vault["properties"]["enableRbacAuthorization"] = json!(false);
    let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert!(plan.refused() && plan.empty(), "{:#?}", plan.steps);
    assert_eq!((plan.findings[0].id.as_str(), plan.findings[0].severity), ("stranger", Severity::Refuses));
}

#[test]
fn a_deleted_vault_is_recovered_when_it_was_ours_and_refused_when_not() {
    // BR-117, BR-118
    let intent = intent("");
    let plan_with = |deleted_vault| {
        plan(&intent, &Inventory { deleted_vault, ..nothing() }, Some(&package())).expect("a plan")
    };
    assert!(body(&plan_with(None), "key_vault")["properties"].get("createMode").is_none());
    let deleted = |ours| Some(DeletedVault { id: "d".to_owned(), vault_id: "v".to_owned(), ours });
    assert_eq!(body(&plan_with(deleted(true)), "key_vault")["properties"]["createMode"], "recover");
    assert!(plan_with(deleted(false)).refused());

    let intent = intent_with_purge();
    let purged = plan(&intent, &Inventory { deleted_vault: deleted(true), ..nothing() }, Some(&package()))
        .expect("a plan");
    assert!(body(&purged, "key_vault")["properties"].get("createMode").is_none());
    let vault = purged.steps.iter().find(|step| step.key == "key_vault").expect("a step");
    assert!(vault.depends_on.iter().any(|key| key == "key_vault/purge"));
}

fn intent_with_purge() -> Intent {
    intent("vault: {on_deleted: purge}\n")
}

#[test]
fn providers_that_are_not_registered_are_registered_before_what_needs_them() {
    let mut inventory = nothing();
    inventory.providers.push(Provider {
        subscription_id: "s".to_owned(),
        namespace: "Microsoft.Web".to_owned(),
        registered: Some(false),
    });
    let plan = plan(&intent(""), &inventory, Some(&package())).expect("a plan");
    let site = plan.steps.iter().find(|step| step.key == "plan").expect("a step");
    assert!(site.depends_on.iter().any(|key| key == "provider/s/Microsoft.Web"));
}

#[test]
fn without_a_package_a_first_plan_is_refused_and_a_later_one_is_not() {
    let intent = intent("");
    assert!(plan(&intent, &nothing(), None).expect("a plan").refused());
    assert!(plan(&intent, &carried_out(&intent), None).expect("a plan").empty());
}

#[test]
fn roles_that_an_administrator_gives_are_waited_for_and_their_commands_shown() {
    let text = ANSWERS.replace("azure:\n", "azure:\n  role_assignments: external\n");
    let given = yaml::read(&text, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
    let intent = Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete");
    let plan = plan(&intent, &nothing(), Some(&package())).expect("a plan");
    assert!(
        plan.steps
            .iter()
            .all(|step| !matches!(step.action, Action::AssignRole { .. } | Action::UnassignRole { .. }))
    );
    assert_eq!(plan.steps.iter().filter(|step| matches!(step.action, Action::AwaitRole { .. })).count(), 5);
    let commands: Vec<_> = plan.findings.iter().filter(|finding| finding.id == "role-to-give").collect();
    assert!(
        commands.len() == 5
            && commands[0].remedy.as_ref().is_some_and(|text| text.starts_with("az role assignment create"))
    );
    assert!(!plan.refused());
}

#[test]
fn an_app_registration_that_delivers_gets_the_role_on_the_rule() {
    // BR-078
    let intent = intent(
        "delivery: {app_registration: {client_id: {env: A}, client_secret: {env: B}, tenant_id: 00000000-0000-0000-0000-00000000000e}}\n",
    );
    let delivery_principal = Some("00000000-0000-0000-0000-00000000000f".to_owned());
    let inventory = Inventory { delivery_principal, ..nothing() };
    let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(body(&plan, "role/rows")["properties"]["principalId"], "00000000-0000-0000-0000-00000000000f");
    assert!(output::pending(body(&plan, "role/blobs")["properties"]["principalId"].as_str().expect("text")));
}

fn intent_of_two_accounts() -> Intent {
    let accounts = "accounts: [{key: a, client_id: {env: A}, client_secret: {env: B}}, {key: b, client_id: {env: C}, client_secret: {key_vault: 'https://kv-sec.vault.azure.net/secrets/mc'}}]\n";
    let text = format!("{}{accounts}", ANSWERS.split("mimecast:").next().expect("a beginning"));
    let given = yaml::read(&text, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
    Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete")
}

#[test]
fn several_accounts_have_a_secret_each_and_share_the_queue() {
    let intent = intent_of_two_accounts();
    let made = plan(&intent, &nothing(), Some(&package())).expect("a plan");
    assert!(!made.refused());
    let secrets: Vec<_> = keys(&made).into_iter().filter(|key| key.starts_with("secret/")).collect();
    assert_eq!(secrets, ["secret/mimecast-account-a", "secret/mimecast-account-b"]);
    assert_eq!(body(&made, "queue/sync-work")["properties"], json!({}));
    let site = body(&made, "function_app").clone();
    let listed = site["properties"]["siteConfig"]["appSettings"].as_array().expect("settings").clone();
    let setting = |name: &str| {
        let found = listed.iter().find(|each| each["name"] == name);
        found.and_then(|each| each["value"].as_str()).unwrap_or_default().to_owned()
    };
    assert_eq!(setting("MIMECAST_ACCOUNTS"), "a,b");
    assert!(setting("SYNC_QUEUE_URL").ends_with("sync-work"), "{}", setting("SYNC_QUEUE_URL"));
    assert!(output::pending(&setting("ACCOUNT_VAULT_URL")));
    // What is an account's own is in no setting, be it as a reference.
    assert!(!site.to_string().contains("MIMECAST_CLIENT_"), "{site}");
    let inventory = carried_out(&intent);
    assert_eq!(keys(&plan(&intent, &inventory, None).expect("a plan")), [""; 0]);
}

#[test]
fn one_account_has_the_queue_where_it_is_asked_for() {
    let has_queue = |addition: &str| {
        let made = plan(&intent(addition), &nothing(), Some(&package())).expect("a plan");
        keys(&made).contains(&"queue/sync-work")
    };
    assert!(!has_queue(""));
    assert!(has_queue("collect: {work_queue: always}\n"));
}

#[test]
fn a_foreign_vaults_secret_is_referred_to_and_not_written() {
    let text = ANSWERS.replace("{env: SECRET}", "{key_vault: 'https://kv-sec.vault.azure.net/secrets/mc'}");
    let given = yaml::read(&text, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
    let intent = Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete");
    let plan = plan(&intent, &nothing(), Some(&package())).expect("a plan");
    assert!(!keys(&plan).contains(&"secret/mimecast-client-secret"));
    let site = body(&plan, "function_app").to_string();
    assert!(site.contains("@Microsoft.KeyVault(SecretUri=https://kv-sec.vault.azure.net/secrets/mc)"));
}

#[test]
fn a_removal_takes_roles_first_and_the_identity_last_and_leaves_tables_and_strangers() {
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let mut neighbour = inventory.owned[0].clone();
    neighbour["id"] =
        json!("/subscriptions/x/resourceGroups/y/providers/Microsoft.KeyVault/vaults/kv-neighbour");
    neighbour["type"] = json!("Microsoft.KeyVault/vaults");
    neighbour["tags"] = json!({ INSTALLATION_TAG: "mimecast-audit-2" });
    inventory.owned.push(neighbour);
    let subject = Subject {
        installation: intent.name.clone(),
        subscription_id: intent.subscription_id.clone(),
        resource_group: intent.resource_group.clone(),
    };
    let plan = removal(&subject, &inventory, &Leftovers::default(), &Extent::Everything).expect("a plan");
    let titles: Vec<&str> =
        plan.steps.iter().map(|step| step.title.split('`').next().unwrap_or_default().trim()).collect();
    assert_eq!(
        titles,
        [
            "role",
            "role",
            "role",
            "role",
            "role",
            "Function App",
            "App Service plan",
            "Application Insights",
            "storage account",
            "Key Vault",
            "diagnostic setting of",
            "data collection rule",
            "managed identity",
            "resource group"
        ]
    );
    let text = serde_json::to_string(&plan).expect("JSON");
    assert!(!text.contains("/tables/") && !text.contains("kv-neighbour"));
    let kept = removal(&subject, &inventory, &Leftovers::default(), &Extent::KeepData).expect("a plan");
    assert!(
        kept.steps
            .iter()
            .all(|step| !step.title.contains("storage account") && !step.title.contains("Key Vault `"))
    );
    assert!(kept.steps.iter().all(|step| !step.title.contains("resource group")));
    for role in [KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER] {
        assert!(plan.steps.iter().any(|step| step.title.contains(role.name)));
    }
}
