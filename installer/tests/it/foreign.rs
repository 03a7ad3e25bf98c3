//! Secrets in vaults that are not ours: a role on the one secret, or the command for the owner.

use contract::resources::KEY_VAULT_SECRETS_USER;
use installer::azure::{ResourceId, Timings};
use serde_json::{Value, json};
use simulator::fault::{Fault, Matcher};
use simulator::state::role::{OWNER, READER};
use simulator::state::subscription::Registration;

use crate::stage::{Stage, kinds};
use crate::within::Within;

const VERSION: &str = "2026-02-01";

/// Makes a vault with the Mimecast secret in it; gives its id and address.
pub(crate) async fn vault(
    stage: &Stage,
    within: &Within,
    subscription: &str,
    name: &str,
    by_roles: bool,
) -> (String, String) {
    let namespace = "Microsoft.KeyVault";
    stage.simulator.state().set_registration(subscription, namespace, Registration::Registered);
    let group =
        ResourceId::parse(&format!("/subscriptions/{subscription}/resourceGroups/rg-vaults")).unwrap();
    within.azure.put(&group, "2024-03-01", &json!({"location": "westeurope"})).await.unwrap();
    let id = group.resource("Microsoft.KeyVault/vaults", name).unwrap();
    let body = json!({"location": "westeurope", "properties": {
        "tenantId": stage.simulator.person().tenant_id,
        "sku": {"family": "A", "name": "standard"},
        "enableRbacAuthorization": by_roles,
        "accessPolicies": []
    }});
    let made = within.azure.put(&id, VERSION, &body).await.unwrap();
    let secret = &stage.simulator.mimecast().settings().client_secret;
    stage.simulator.state().put_secret(id.path(), "mimecast", secret).unwrap();
    (id.path().to_owned(), made["properties"]["vaultUri"].as_str().unwrap().to_owned())
}

/// The roles at a secret.
fn roles(stage: &Stage, vault_id: &str) -> Vec<Value> {
    let assignments = stage.simulator.state().resources_of("Microsoft.Authorization/roleAssignments");
    let at = format!("{vault_id}/secrets/mimecast").to_ascii_lowercase();
    let here = |each: &Value| each["properties"]["scope"].as_str().unwrap().to_ascii_lowercase() == at;
    assignments.into_iter().filter(here).collect()
}

fn principal(stage: &Stage) -> String {
    let identities = stage.simulator.state().resources_of("Microsoft.ManagedIdentity/userAssignedIdentities");
    identities[0]["properties"]["principalId"].as_str().unwrap().to_owned()
}

const SECRET_ANSWER: &str = "client_secret: {env: MIMECAST_CLIENT_SECRET}";

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_with_roles_gives_the_worker_one_secret() {
    let mut stage = Stage::start().await;
    let within = Within::new(&stage, Timings::default().scaled(0.01)).await;
    let subscription = stage.simulator.subscription_id().to_owned();
    let (id, uri) = vault(&stage, &within, &subscription, "kv-security", true).await;
    let before = stage.simulator.state().resource(&id).unwrap();
    stage.reword_answers(SECRET_ANSWER, &format!("client_secret: {{key_vault: {uri}secrets/mimecast}}"));
    // Nobody but the vault has it.
    stage.environment.remove("MIMECAST_CLIENT_SECRET");

    let plan = stage.command("plan", &[]).await.expect(10);
    let title = "+ role `Key Vault Secrets User` on secret `mimecast` of vault `kv-security`";
    assert!(plan.stdout.contains(title), "{}", plan.stdout);
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    let given = roles(&stage, &id);
    assert_eq!(given.len(), 1, "on the secret alone");
    assert_eq!(given[0]["properties"]["principalId"], principal(&stage).as_str());
    let role = given[0]["properties"]["roleDefinitionId"].as_str().unwrap();
    assert!(role.ends_with(KEY_VAULT_SECRETS_USER.definition_id), "{role}");
    stage.command("plan", &[]).await.expect(0);
    assert_eq!(stage.simulator.state().resource(&id).unwrap(), before, "the vault itself is never written");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_let_the_worker_in_gets_the_command_for_the_owner() {
    // BR-127
    let stage = Stage::start().await;
    let within = Within::new(&stage, Timings::default().scaled(0.01)).await;
    let state = stage.simulator.state();
    let person = stage.simulator.person().object_id.clone();
    let elsewhere = "00000000-0000-0000-0000-0000000000aa";
    state.add_subscription(elsewhere, "Somebody else's");
    let owner = state.give_role(&person, &format!("/subscriptions/{elsewhere}"), OWNER);
    let (by_roles, roles_uri) = vault(&stage, &within, elsewhere, "kv-roles", true).await;
    let (by_policies, policies_uri) = vault(&stage, &within, elsewhere, "kv-policies", false).await;
    let client_id = stage.simulator.mimecast().settings().client_id;
    state.put_secret(&by_roles, "mimecast", &client_id).unwrap();
    state.take_role(&owner);
    state.give_role(&person, &format!("/subscriptions/{elsewhere}"), READER);
    stage.reword_answers(
        "client_id: {env: MIMECAST_CLIENT_ID}",
        &format!("client_id: {{key_vault: {roles_uri}secrets/mimecast}}"),
    );
    stage.reword_answers(
        SECRET_ANSWER,
        &format!("client_secret: '@Microsoft.KeyVault(SecretUri={policies_uri}secrets/mimecast)'"),
    );

    // Everything is made; the proof fails, and says what its owner has to do.
    let run = stage.command("install", &["--yes", "--wait", "1s"]).await.expect(3);
    let principal = principal(&stage);
    let role = format!(
        "az role assignment create --role {} --assignee-object-id '{principal}' --assignee-principal-type \
         ServicePrincipal --scope '{by_roles}/secrets/mimecast'",
        KEY_VAULT_SECRETS_USER.definition_id
    );
    let policy = format!(
        "az keyvault set-policy --name kv-policies --object-id '{principal}' --secret-permissions get"
    );
    for part in [role.as_str(), &policy, "failed Key Vault references: `MIMECAST_CLIENT_"] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    let status = stage.command("status", &[]).await.expect(1);
    assert!(status.stdout.contains("AccessToKeyVaultDenied"), "{}", status.stdout);
    // Asked again for as long as it is so.
    assert!(
        stage.command("plan", &[]).await.expect(10).stdout.contains("word to the owner of vault `kv-roles`")
    );

    // Their owner does as told.
    state.give_role(&principal, &format!("{by_roles}/secrets/mimecast"), KEY_VAULT_SECRETS_USER);
    state.edit(&by_policies, |vault, _| {
        vault["properties"]["accessPolicies"] =
            json!([{ "objectId": principal, "permissions": { "secrets": ["get"] } }]);
    });
    stage.command("plan", &[]).await.expect(0);
    let site = state.resources_of("Microsoft.Web/sites").remove(0)["id"].as_str().unwrap().to_owned();
    assert_eq!(state.site_environment(&site)["MIMECAST_CLIENT_ID"], client_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_on_a_vault_in_any_subscription_goes_with_the_installation_or_is_named() {
    let stage = Stage::start().await;
    let within = Within::new(&stage, Timings::default().scaled(0.01)).await;
    let state = stage.simulator.state();
    let person = stage.simulator.person().object_id.clone();
    // Neither the installation's subscription nor the workspace's.
    let elsewhere = "00000000-0000-0000-0000-0000000000aa";
    state.add_subscription(elsewhere, "Somebody else's");
    let scope = format!("/subscriptions/{elsewhere}");
    let owner = state.give_role(&person, &scope, OWNER);
    let (id, uri) = vault(&stage, &within, elsewhere, "kv-security", true).await;
    stage.reword_answers(SECRET_ANSWER, &format!("client_secret: {{key_vault: {uri}secrets/mimecast}}"));
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let given = roles(&stage, &id).remove(0)["id"].as_str().unwrap().to_owned();
    // Said to be taken away, and not taken away: nothing that goes with the installation takes it along.
    let role = Matcher::new("arm", "DELETE", given.rsplit('/').next().unwrap());
    stage.simulator.faults().add(Fault::answer(role, 200, ""));
    let run = stage.command("teardown", &["--yes"]).await.expect(3);
    assert!(run.stdout.contains(&format!("Still there:\n  {given}\n")), "{}", run.stdout);
    state.take_role(&given);
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    assert_eq!(roles(&stage, &id).len(), 1);
    stage.command("teardown", &["--yes"]).await.expect(0);
    assert_eq!(roles(&stage, &id), [] as [Value; 0]);

    // Who may not take it away any more is told whose turn it is, and everything else goes.
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let given = roles(&stage, &id).remove(0)["id"].as_str().unwrap().to_owned();
    state.take_role(&owner);
    let reader = state.give_role(&person, &scope, READER);
    let run = stage.command("teardown", &["--yes"]).await.expect(0);
    for part in
        ["which this account may not take away", &format!("az role assignment delete --ids '{given}'")]
    {
        assert!(run.stdout.contains(part), "{part} in {}", run.stdout);
    }
    assert_eq!((roles(&stage, &id).len(), kinds(&stage.installed()).len()), (1, 0));

    // Who does not even see that subscription is told that there may be one.
    state.take_role(&given);
    state.take_role(&reader);
    let owner = state.give_role(&person, &scope, OWNER);
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    state.take_role(&owner);
    let run = stage.command("teardown", &["--yes"]).await.expect(0);
    let said = "and no role of its identity is seen there";
    assert!(
        run.stdout.contains(said) && run.stdout.contains("az role assignment list --all"),
        "{}",
        run.stdout
    );
}
