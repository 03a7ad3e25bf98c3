//! Every option: each body that an installation sends is as Microsoft's descriptions have it, and a plan right
//! after it is empty.

use std::collections::BTreeSet;

use installer::azure::ResourceId;
use serde_json::{Value, json};
use simulator::openapi;
use simulator::state::principal::PrincipalKind;

use crate::stage::{Stage, connect};

/// Types whose bodies `../shared/openapi` does not describe, at any version: diagnostic settings have had
/// nothing but previews, which the data leaves out.
const UNDESCRIBED: &[&str] = &["Microsoft.Insights/diagnosticSettings"];

/// Types that are written at the version that `azure_mgmt_web` speaks, which the data lacks, and the
/// nearest one there.
const NEAREST: &[(&str, &str, &str)] =
    &[("Microsoft.Web/sites/config/appsettings", "2024-04-01", "2023-12-01")];

/// The type that a `PUT` writes, with the name where the body depends on it.
fn kind(path: &str) -> String {
    if !path.contains("/providers/") {
        return "Microsoft.Resources/resourceGroups".to_owned();
    }
    if path.to_ascii_lowercase().ends_with("/config/appsettings") {
        return "Microsoft.Web/sites/config/appsettings".to_owned();
    }
    ResourceId::parse(path).expect("an id").kind()
}

/// Holds every body that was sent since a mark against the descriptions of the very API version that it was
/// sent to; gives the types that were.
fn described(stage: &Stage, mark: usize) -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    for entry in stage.simulator.journal().since(mark) {
        let body: Value = match serde_json::from_slice(&entry.body) {
            Ok(body) if entry.service == "arm" && entry.method == "PUT" => body,
            _ => continue,
        };
        let kind = kind(entry.path());
        let query = entry.target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let version = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "api-version")
            .map(|(_, version)| version.into_owned())
            .expect("a version");
        let mut body = body;
        if let Some(page) = body.pointer_mut("/properties/connectorUiConfig").and_then(Value::as_object_mut) {
            // The description lacks them (see `content.rs`).
            page.retain(|name, _| !["graphQueriesTableName", "sampleQueries"].contains(&name.as_str()));
        }
        if kind.ends_with("/basicPublishingCredentialsPolicies") {
            // Described by its name, which is in the address alone.
            body["name"] = json!(entry.path().rsplit('/').next());
        }
        let Some(checked) = openapi::check(&kind, &version, &body) else {
            assert!(openapi::folder().is_none() || UNDESCRIBED.contains(&kind.as_str()), "{kind} {version}");
            continue;
        };
        for each in checked {
            let nearest = NEAREST.contains(&(kind.as_str(), version.as_str(), each.version.as_str()));
            assert!(each.exact || nearest, "{kind} {version} by {}", each.version);
            assert!(each.errors.is_empty(), "{kind} {version} by {}: {:#?}", each.source, each.errors);
        }
        kinds.insert(kind);
    }
    kinds
}

/// Installs, holds what was sent against the descriptions, and plans again.
async fn installed_whole(stage: &Stage) -> BTreeSet<String> {
    let mark = stage.simulator.journal().len();
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let kinds = described(stage, mark);
    let again = stage.command("plan", &[]).await.expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    kinds
}

fn assert_kinds(kinds: &BTreeSet<String>, wanted: &[&str]) {
    for kind in wanted.iter().filter(|_| openapi::folder().is_some()) {
        assert!(kinds.contains(*kind), "{kind} in {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flex_with_a_queue_an_operator_all_rules_and_a_new_vault() {
    let stage = Stage::start().await;
    let operator = stage.simulator.state().add_person("operator", PrincipalKind::User).object_id;
    stage.answers(
        "content: {rules: all}\ncollect: {work_queue: always, every: 15m}\ntable: {retention_days: 60}\n\
         vault: {purge_protection: true}\nhosting: {memory_mb: 2048}\n",
    );
    stage.reword_answers("tags: {owner: secops}", &format!("operator_object_id: {operator}"));
    let kinds = installed_whole(&stage).await;
    assert_kinds(
        &kinds,
        &[
            "Microsoft.Resources/resourceGroups",
            "Microsoft.ManagedIdentity/userAssignedIdentities",
            "Microsoft.Storage/storageAccounts",
            "Microsoft.Storage/storageAccounts/blobServices/containers",
            "Microsoft.Storage/storageAccounts/queueServices/queues",
            "Microsoft.KeyVault/vaults",
            "Microsoft.KeyVault/vaults/secrets",
            "Microsoft.Insights/components",
            "Microsoft.Insights/dataCollectionRules",
            "Microsoft.Insights/workbooks",
            "Microsoft.OperationalInsights/workspaces/tables",
            "Microsoft.OperationalInsights/workspaces/savedSearches",
            "Microsoft.Authorization/roleAssignments",
            "Microsoft.SecurityInsights/alertRules",
            "Microsoft.SecurityInsights/dataConnectorDefinitions",
            "Microsoft.Web/serverfarms",
            "Microsoft.Web/sites",
            "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dedicated_plan_the_older_api_a_shared_table_and_an_app_registration() {
    let mut stage = Stage::start().await;
    let azure = connect(&stage.simulator).await;
    // A table that somebody else made, with a column of theirs.
    let table = format!("{}/tables/MimecastAudit_CL", stage.simulator.workspace_id());
    let columns =
        json!([{"name": "TimeGenerated", "type": "dateTime"}, {"name": "theirs_s", "type": "string"}]);
    let body = json!({ "properties": { "schema": { "name": "MimecastAudit_CL", "columns": columns } } });
    azure.put(&ResourceId::parse(&table).unwrap(), "2025-07-01", &body).await.unwrap();
    let (principal, secret) = stage.simulator.state().add_application("delivers");
    let tenant = stage.simulator.person().tenant_id.clone();
    stage.environment.insert("APP_ID".to_owned(), principal.client_id);
    stage.environment.insert("APP_SECRET".to_owned(), secret.expose().clone());
    stage.answers(&format!(
        "hosting: {{plan: dedicated}}\ncontent: {{connector_page: false, workbook: false, rules: off, hunting: false, \
         asim: false}}\ndelivery: {{app_registration: {{client_id: {{env: APP_ID}}, client_secret: {{env: \
         APP_SECRET}}, tenant_id: {tenant}}}}}\n"
    ));
    stage.speak_one();
    let kinds = installed_whole(&stage).await;
    assert_kinds(&kinds, &["Microsoft.Web/serverfarms", "Microsoft.OperationalInsights/workspaces/tables"]);
    let body = stage.simulator.state().resource(&table).expect("there");
    assert!(body.to_string().contains("theirs_s"), "{body}");
    // The settings of an app that is there are written by a call of their own.
    let mark = stage.simulator.journal().len();
    stage.reword_answers("hosting:", "collect: {overlap: 20m}\nhosting:");
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    assert_kinds(&described(&stage, mark), &["Microsoft.Web/sites/config/appsettings"]);
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_accounts_and_another_workspace_and_region_for_application_insights() {
    let mut stage = Stage::start().await;
    let settings = stage.simulator.mimecast().settings();
    let host = stage.simulator.state().endpoints().mimecast.to_string();
    let host = host.trim_end_matches('/');
    let more = stage.simulator.state().add_workspace(
        &format!("/subscriptions/{}/resourceGroups/rg-security", stage.simulator.subscription_id()),
        "law-operations",
        "northeurope",
    );
    for (name, value) in [
        ("APP_ID", settings.app_id),
        ("APP_KEY", settings.app_key),
        ("ACCESS_KEY", settings.access_key),
        ("SECRET_KEY", settings.secret_key),
    ] {
        stage.environment.insert(name.to_owned(), value);
    }
    stage.answers(&format!(
        "accounts: [{{key: a, base_url: {host}, client_id: {{env: MIMECAST_CLIENT_ID}}, client_secret: {{env: \
         MIMECAST_CLIENT_SECRET}}}}, {{key: b, api: \"1.0\", base_url: {host}, app_id: {{env: APP_ID}}, app_key: \
         {{env: APP_KEY}}, access_key: {{env: ACCESS_KEY}}, secret_key: {{env: SECRET_KEY}}}}]\n\
         monitoring: {{app_insights_location: northeurope, app_insights_workspace_id: {more}}}\n\
         content: {{rules: off, connector_page: false}}\n"
    ));
    stage.without_the_account();
    installed_whole(&stage).await;
}
