//! What is written of the answers.

use super::*;
use crate::inventory::foreign::{ForeignSecret, ForeignVault};

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
    // BR-085, BR-086
    let text = ANSWERS.replace("azure:\n", "azure:\n  location: West Europe\n");
    let given = yaml::read(&text, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
    let intent = Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete");
    let plan = plan(&intent, &nothing(), Some(&package())).expect("a plan");
    assert_eq!(body(&plan, "data_collection_rule")["location"], "northeurope");
    assert_eq!(body(&plan, "storage_account")["location"], "westeurope");
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
    intent_of_two_accounts_with("")
}

/// The first has this beside its credentials.
fn intent_of_two_accounts_with(addition: &str) -> Intent {
    let accounts = "accounts: [{key: a, ADDITION client_id: {env: A}, client_secret: {env: B}}, {key: b, client_id: {env: C}, client_secret: {key_vault: 'https://kv-sec.vault.azure.net/secrets/mc'}}]\n";
    let accounts = accounts.replace("ADDITION", addition);
    let text = format!("{}{accounts}", ANSWERS.split("mimecast:").next().expect("a beginning"));
    let given = yaml::read(&text, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
    Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete")
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
fn who_is_to_be_let_in_is_named_as_what_they_are_where_that_is_known() {
    let text = ANSWERS.replace(
        "azure:\n",
        "azure:\n  role_assignments: external\n  operator_object_id: 00000000-0000-0000-0000-0000000000bb\n",
    );
    let given = yaml::read(&text, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
    let intent = Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete");
    let plan = plan(&intent, &nothing(), Some(&package())).expect("a plan");
    let commands: Vec<&str> = plan
        .findings
        .iter()
        .filter(|finding| finding.id == "role-to-give")
        .filter_map(|finding| finding.remedy.as_deref())
        .collect();
    let (operator, worker): (Vec<&str>, Vec<&str>) =
        commands.into_iter().partition(|command| command.contains("0000000000bb"));
    // A person, a group or an application: nobody has said which.
    assert!(operator.len() == 1 && !operator[0].contains("--assignee-principal-type"), "{operator:?}");
    assert_eq!(worker.len(), 5);
    assert!(worker.iter().all(|command| command.contains("--assignee-principal-type ServicePrincipal")));
}

#[test]
fn a_secret_that_no_setting_refers_to_is_told_of_once() {
    let intent = intent_of_two_accounts();
    let secret = |readers: Vec<String>| ForeignSecret {
        setting: None,
        vault_name: "kv-sec".to_owned(),
        name: "mc".to_owned(),
        vault: Some(ForeignVault {
            id: "/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-sec".to_owned(),
            by_roles: false,
            may_give_roles: false,
            readers,
        }),
        resolved: false,
    };
    let told = |inventory: &Inventory| {
        let plan = plan(&intent, inventory, Some(&package())).expect("a plan");
        let findings = plan.findings.iter().filter(|finding| finding.id == "foreign-vault").count();
        (plan.steps.iter().any(|step| step.key == "foreign/kv-sec/mc"), findings)
    };
    let mut inventory = Inventory { foreign_secrets: vec![secret(Vec::new())], ..nothing() };
    assert_eq!(told(&inventory), (true, 1));
    // Whether the owner has done it shows nowhere: it is said again, and the plan is empty all the same.
    inventory = Inventory { foreign_secrets: vec![secret(Vec::new())], ..carried_out(&intent) };
    assert_eq!(told(&inventory), (false, 1));
    assert!(plan(&intent, &inventory, Some(&package())).expect("a plan").empty());
    // The vault shows that its owner has let the worker in.
    let worker = super::made("identity", "/properties/principalId");
    inventory.foreign_secrets = vec![secret(vec![worker])];
    assert_eq!(told(&inventory), (false, 0));
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
fn a_changed_address_of_an_account_writes_its_secret_again_and_no_others() {
    let inventory = carried_out(&intent_of_two_accounts());
    let moved = intent_of_two_accounts_with("base_url: 'https://uk-api.services.mimecast.com',");
    let made = plan(&moved, &inventory, None).expect("a plan");
    // The settings record it only after the secret holds it, so that a stop between them forgets nothing.
    assert_eq!(keys(&made), ["secret/mimecast-account-a", "settings"]);
    assert!(made.steps[1].depends_on.contains(&"secret/mimecast-account-a".to_owned()));
    let Change::Update(changes) = &made.steps[0].change else { panic!("{:?}", made.steps[0]) };
    let shown: Vec<_> = changes.iter().map(|change| (change.path.as_str(), &change.after)).collect();
    assert_eq!(shown, [("base_url", &json!("https://uk-api.services.mimecast.com"))]);
    assert!(matches!(&made.steps[0].action, Action::PutSecret { answer, .. } if answer == "accounts.0"));
    let inventory = carried_out(&moved);
    assert_eq!(keys(&plan(&moved, &inventory, None).expect("a plan")), [""; 0]);
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
