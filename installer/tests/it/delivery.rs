//! Rows delivered by an app registration: the role goes to its service principal, wherever its secret is.

use contract::resources::{KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER};
use installer::azure::Timings;
use serde_json::Value;

use crate::foreign::vault;
use crate::stage::Stage;
use crate::within::Within;

/// Who may deliver, by their roles on the rule.
fn delivering(stage: &Stage) -> Vec<String> {
    let assignments = stage.simulator.state().resources_of("Microsoft.Authorization/roleAssignments");
    let text = |each: &Value, name: &str| each["properties"][name].as_str().unwrap_or_default().to_owned();
    assignments
        .iter()
        .filter(|each| text(each, "roleDefinitionId").ends_with(MONITORING_METRICS_PUBLISHER.definition_id))
        .map(|each| text(each, "principalId"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_principal_is_found_where_its_secret_is_in_a_vault_that_may_be_read() {
    let mut stage = Stage::start().await;
    let (application, secret) = stage.simulator.state().add_application("delivers");
    let within = Within::new(&stage, Timings::default().scaled(0.01)).await;
    let subscription = stage.simulator.subscription_id().to_owned();
    let (id, uri) = vault(&stage, &within, &subscription, "kv-security", true).await;
    stage.simulator.state().put_secret(&id, "delivers", secret.expose()).unwrap();
    stage.environment.insert("DELIVERS".to_owned(), application.client_id.clone());
    stage.answers(&format!(
        "delivery: {{app_registration: {{client_id: {{env: DELIVERS}}, client_secret: {{key_vault: {uri}secrets/delivers}}, tenant_id: {}}}}}\n",
        stage.simulator.person().tenant_id
    ));

    // An owner of the subscription may not read what is in a vault.
    let mark = stage.simulator.journal().len();
    let refused = stage.command("install", &["--yes", "--no-wait"]).await.expect(1).stderr;
    for part in [
        "(delivery-unread): `delivery.app_registration.client_secret` cannot be read by this account from vault",
        "ForbiddenByRbac",
        "lets this account read secret `delivers`",
        "or give the value by {env: NAME} or {file: PATH}",
    ] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert_eq!(stage.writes(mark), [""; 0]);

    // Who is let in for the time of the installation installs.
    let person = stage.simulator.person().object_id.clone();
    let role = stage.simulator.state().give_role(&person, &id, KEY_VAULT_SECRETS_USER);
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    assert!(!run.stdout.contains(secret.expose().as_str()) && !run.stderr.contains(secret.expose().as_str()));
    assert_eq!(delivering(&stage), [application.object_id.as_str()]);

    // Afterwards the role on the rule says who it is, to those who may not read the secret.
    stage.simulator.state().take_role(&role);
    stage.command("plan", &[]).await.expect(0);
    stage.command("status", &[]).await.expect(0);
    // Whoever takes that role away gets it back for the same one, where it can be found out.
    let assignments = stage.simulator.state().resources_of("Microsoft.Authorization/roleAssignments");
    let rule =
        assignments.iter().find(|each| each["properties"]["principalId"] == application.object_id.as_str());
    stage.simulator.state().take_role(rule.expect("the role")["id"].as_str().expect("an id"));
    let upgrade = stage.command("upgrade", &["--yes"]).await.expect(1).stderr;
    assert!(upgrade.contains("who delivers the rows could not be found out"), "{upgrade}");
    stage.simulator.state().give_role(&person, &id, KEY_VAULT_SECRETS_USER);
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    assert_eq!(delivering(&stage), [application.object_id]);
}
