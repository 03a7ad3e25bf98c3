//! What ARM does with resources of any type.

use serde_json::json;
use simulator::arm::policy::{Condition, DenyPolicy};
use simulator::state::Pace;
use simulator::state::role::{CONTRIBUTOR, READER};
use simulator::state::subscription::Registration;

use crate::support::Arm;

const IDENTITIES: &str = "providers/Microsoft.ManagedIdentity/userAssignedIdentities";
const STORAGE: &str = "providers/Microsoft.Storage/storageAccounts";

fn account() -> serde_json::Value {
    json!({"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "properties": {}})
}

#[tokio::test]
async fn an_api_version_must_be_there_and_known() {
    let arm = Arm::start().await;
    let identity = format!("{}/{IDENTITIES}/id-one", arm.group());
    arm.call("GET", &identity, None).await.refused(400, "MissingApiVersionParameter");
    arm.get(&identity, "2001-01-01").await.refused(400, "NoRegisteredProviderFound");
    let unknown = format!("{}/providers/Microsoft.Web/unknownThings/a", arm.group());
    arm.make_group().await;
    arm.get(&unknown, "2024-11-01").await.refused(404, "InvalidResourceType");
}

#[tokio::test]
async fn a_call_without_a_token_or_right_is_refused() {
    let mut arm = Arm::start().await;
    arm.make_group().await;
    let identity = format!("{}/{IDENTITIES}/id-one", arm.group());
    let url =
        format!("{}{}", arm.simulator.state().endpoints().resource_manager, identity.trim_start_matches('/'));
    arm.data("GET", &url, "", None).await.refused(401, "AuthenticationFailed");
    let vault_token = arm.token_for("https://vault.azure.net/.default").await;
    arm.data("GET", &url, &vault_token, None).await.refused(401, "InvalidAuthenticationTokenAudience");

    let stranger = arm.become_stranger().await;
    // BR-139: the refusal names who, what and where.
    let refusal = arm.get(&identity, "2023-01-31").await;
    refusal.refused(403, "AuthorizationFailed");
    for part in
        [stranger.object_id.as_str(), "Microsoft.ManagedIdentity/userAssignedIdentities/read", &identity]
    {
        assert!(refusal.message().contains(part), "{part} in {}", refusal.message());
    }
    arm.simulator.state().give_role(&stranger.object_id, &arm.group(), READER);
    arm.get(&identity, "2023-01-31").await.refused(404, "ResourceNotFound");
    let body = json!({"location": "westeurope"});
    arm.put(&identity, "2023-01-31", body.clone()).await.refused(403, "AuthorizationFailed");
    arm.simulator.state().give_role(&stranger.object_id, &arm.group(), CONTRIBUTOR);
    assert_eq!(arm.put(&identity, "2023-01-31", body).await.status, 201);
    let assignment = format!("{identity}/providers/Microsoft.Authorization/roleAssignments/{}", uuid());
    arm.put(&assignment, "2022-04-01", json!({})).await.refused(403, "AuthorizationFailed");
}

fn uuid() -> &'static str {
    "5f4a1c1e-0000-4000-8000-00000000000a"
}

#[tokio::test]
async fn group_provider_parent_location_and_tags_are_checked_in_turn() {
    let arm = Arm::start().await;
    let group = arm.group();
    let state = arm.simulator.state();
    let identity = format!("{group}/{IDENTITIES}/id-one");
    let body = json!({"location": "West Europe", "tags": {"owner": "secops"}});
    arm.put(&identity, "2023-01-31", body.clone()).await.refused(409, "MissingSubscriptionRegistration");
    state.set_registration(
        arm.simulator.subscription_id(),
        "Microsoft.ManagedIdentity",
        Registration::Registered,
    );
    arm.put(&identity, "2023-01-31", body.clone()).await.refused(404, "ResourceGroupNotFound");
    arm.put(&group, "2021-04-01", json!({"location": "nowhere"}))
        .await
        .refused(400, "LocationNotAvailableForResourceGroup");
    assert_eq!(arm.put(&group, "2021-04-01", json!({"location": "westeurope"})).await.status, 201);
    assert_eq!(arm.put(&group, "2021-04-01", json!({"location": "westeurope"})).await.status, 200);

    arm.put(&identity, "2023-01-31", json!({})).await.refused(400, "LocationRequired");
    let nowhere = json!({"location": "nowhere"});
    arm.put(&identity, "2023-01-31", nowhere).await.refused(400, "LocationNotAvailableForResourceType");
    for character in ["<", ">", "%", "&", "\\", "?", "/"] {
        let tags = json!({"location": "westeurope", "tags": {format!("a{character}b"): "c"}});
        arm.put(&identity, "2023-01-31", tags).await.refused(400, "InvalidTagNameCharacters");
    }
    let made = arm.put(&identity, "2023-01-31", body).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.body["location"], "westeurope");
    let moved = json!({"location": "northeurope"});
    arm.put(&identity, "2023-01-31", moved).await.refused(409, "InvalidResourceLocation");
    let container = format!("{group}/{STORAGE}/stnothing/blobServices/default/containers/packages");
    arm.put(&container, "2023-05-01", json!({})).await.refused(404, "ParentResourceNotFound");
}

#[tokio::test]
async fn registering_a_provider_takes_reads_until_it_is_registered() {
    let arm = Arm::start().await;
    let path = format!("/subscriptions/{}/providers/Microsoft.Web", arm.simulator.subscription_id());
    let state = |answer: serde_json::Value| answer["registrationState"].as_str().unwrap().to_owned();
    assert_eq!(state(arm.get(&path, "2021-04-01").await.good()), "NotRegistered");
    let register = format!("{path}/register");
    assert_eq!(state(arm.post(&register, "2021-04-01", json!({})).await.good()), "Registering");
    assert_eq!(state(arm.get(&path, "2021-04-01").await.good()), "Registering");
    assert_eq!(state(arm.get(&path, "2021-04-01").await.good()), "Registered");
    arm.get(&path.replace("Web", "Nothing"), "2021-04-01").await.refused(404, "InvalidResourceNamespace");
}

#[tokio::test]
async fn outputs_stay_over_a_second_write_and_ids_know_no_case() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let identity = format!("{}/{IDENTITIES}/id-one", arm.group());
    let body = json!({"location": "westeurope", "tags": {}});
    let first = arm.put(&identity, "2023-01-31", body.clone()).await.good();
    let shouted = identity.to_ascii_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions");
    let again = arm.put(&shouted, "2023-01-31", body).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.body["properties"], first["properties"]);
    assert_eq!(again.body["id"], first["id"]);
    let principal = first["properties"]["principalId"].as_str().unwrap();
    let found = arm.simulator.state().principal(principal).unwrap();
    assert_eq!(first["properties"]["clientId"], found.client_id);
}

#[tokio::test]
async fn a_long_operation_is_polled_until_it_is_done() {
    // BR-142
    let arm = Arm::start().await;
    arm.make_group().await;
    let pace = Pace { polls: 2, retry_after_secs: 7, ..Pace::default() };
    arm.simulator.state().set_pace(pace);
    let account_id = format!("{}/{STORAGE}/stone", arm.group());
    let accepted = arm.put(&account_id, "2023-05-01", account()).await;
    assert_eq!((accepted.status, accepted.headers["retry-after"].to_str().unwrap()), (202, "7"));
    let location = accepted.headers["location"].to_str().unwrap().to_owned();
    let being_made = arm.get(&account_id, "2023-05-01").await.good();
    assert_eq!(being_made["properties"]["provisioningState"], "Creating");
    assert_eq!(arm.call("GET", &location, None).await.status, 202);
    assert_eq!(arm.call("GET", &location, None).await.status, 202);
    let done = arm.call("GET", &location, None).await;
    assert_eq!((done.status, &done.body["properties"]["provisioningState"]), (200, &json!("Succeeded")));
    let read = arm.get(&account_id, "2023-05-01").await.good();
    assert_eq!(read["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn a_new_resource_may_be_unseen_for_a_while() {
    let arm = Arm::start().await;
    arm.make_group().await;
    arm.simulator.state().set_pace(Pace { unseen_reads: 2, ..Pace::default() });
    let identity = format!("{}/{IDENTITIES}/id-one", arm.group());
    arm.put(&identity, "2023-01-31", json!({"location": "westeurope"})).await.good();
    for _ in 0..2 {
        arm.get(&identity, "2023-01-31").await.refused(404, "ResourceNotFound");
    }
    arm.get(&identity, "2023-01-31").await.good();
}

#[tokio::test]
async fn resources_are_found_by_tag_over_pages() {
    let arm = Arm::start().await;
    arm.make_group().await;
    for (name, owner) in [("id-one", "us"), ("id-two", "us"), ("id-three", "others")] {
        let identity = format!("{}/{IDENTITIES}/{name}", arm.group());
        let body = json!({"location": "westeurope", "tags": {"owner": owner}});
        arm.put(&identity, "2023-01-31", body).await.good();
    }
    let list = format!("/subscriptions/{}/resources", arm.simulator.subscription_id());
    let filter = "?$filter=tagName%20eq%20'owner'%20and%20tagValue%20eq%20'us'&$top=1";
    let first = arm.get(&format!("{list}{filter}"), "2021-04-01").await.good();
    assert_eq!(first["value"].as_array().unwrap().len(), 1);
    let second = arm.call("GET", first["nextLink"].as_str().unwrap(), None).await.good();
    assert_eq!((second["value"].as_array().unwrap().len(), second.get("nextLink")), (1, None));
    let names = [&first["value"][0]["name"], &second["value"][0]["name"]];
    assert_eq!(names, ["id-one", "id-two"]);
    assert!(first["value"][0].get("properties").is_none(), "lists over all types show no properties");
    let wrong = format!("{list}?$filter=tagName%20eq%20'a'%20and%20resourceType%20eq%20'b'");
    arm.get(&wrong, "2021-04-01").await.refused(400, "InvalidFilterInQueryString");
}

#[tokio::test]
async fn tags_are_merged_without_touching_the_resource() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let identity = format!("{}/{IDENTITIES}/id-one", arm.group());
    let made =
        arm.put(&identity, "2023-01-31", json!({"location": "westeurope", "tags": {"a": "1"}})).await.good();
    let tags = format!("{identity}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01");
    let merge = json!({"operation": "Merge", "properties": {"tags": {"b": "2"}}});
    arm.call("PATCH", &tags, Some(merge)).await.good();
    let read = arm.get(&identity, "2023-01-31").await.good();
    assert_eq!(read["tags"], json!({"a": "1", "b": "2"}));
    assert_eq!(read["properties"], made["properties"]);
}

#[tokio::test]
async fn deleting_a_group_takes_everything_in_it_and_nothing_beside() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let other = format!("{}-two", arm.group());
    arm.put(&other, "2021-04-01", json!({"location": "westeurope"})).await.good();
    for group in [&arm.group(), &other] {
        let identity = format!("{group}/{IDENTITIES}/id-one");
        arm.put(&identity, "2023-01-31", json!({"location": "westeurope"})).await.good();
    }
    assert_eq!(arm.delete(&arm.group(), "2021-04-01").await.status, 202);
    arm.get(&arm.group(), "2021-04-01").await.refused(404, "ResourceGroupNotFound");
    let gone = format!("{}/{IDENTITIES}/id-one", arm.group());
    arm.get(&gone, "2023-01-31").await.refused(404, "ResourceGroupNotFound");
    arm.get(&format!("{other}/{IDENTITIES}/id-one"), "2023-01-31").await.good();
    assert_eq!(arm.delete(&format!("{other}/{IDENTITIES}/id-none"), "2023-01-31").await.status, 204);
}

#[tokio::test]
async fn a_policy_denies_and_says_so_beforehand() {
    // BR-133
    let arm = Arm::start().await;
    arm.make_group().await;
    arm.simulator.state().add_policy(DenyPolicy {
        name: "no-public-storage".to_owned(),
        scope: format!("/subscriptions/{}", arm.simulator.subscription_id()),
        resource_type: "Microsoft.Storage/storageAccounts".to_owned(),
        condition: Condition::IsNot("/properties/publicNetworkAccess".to_owned(), json!("Disabled")),
    });
    let account_id = format!("{}/{STORAGE}/stone", arm.group());
    let refusal = arm.put(&account_id, "2023-05-01", account()).await;
    refusal.refused(403, "RequestDisallowedByPolicy");
    let info = &refusal.body["error"]["additionalInfo"][0];
    assert_eq!(
        (&info["type"], &info["info"]["policyAssignmentName"]),
        (&json!("PolicyViolation"), &json!("no-public-storage"))
    );

    let ask = format!("{}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions", arm.group());
    let mut content = account();
    content["type"] = json!("Microsoft.Storage/storageAccounts");
    content["name"] = json!("stone");
    let question = json!({"resourceDetails": {"resourceContent": content}});
    let answer = arm.post(&ask, "2023-03-01", question).await.good();
    let evaluation = &answer["contentEvaluationResult"]["policyEvaluations"][0];
    assert_eq!(evaluation["effectDetails"]["policyEffect"], "Deny");
    content["properties"]["publicNetworkAccess"] = json!("Disabled");
    let question = json!({"resourceDetails": {"resourceContent": content}});
    let answer = arm.post(&ask, "2023-03-01", question).await.good();
    assert_eq!(answer["contentEvaluationResult"]["policyEvaluations"], json!([]));
}

#[tokio::test]
async fn permissions_show_what_the_callers_roles_allow() {
    let mut arm = Arm::start().await;
    arm.make_group().await;
    let stranger = arm.become_stranger().await;
    let state = arm.simulator.state();
    state.give_role(&stranger.object_id, &arm.group(), CONTRIBUTOR);
    let path = format!("{}/providers/Microsoft.Authorization/permissions", arm.group());
    let answer = arm.get(&path, "2022-04-01").await.good();
    assert_eq!(answer["value"][0]["actions"], json!(["*"]));
    let not_actions = answer["value"][0]["notActions"].as_array().unwrap();
    assert!(not_actions.contains(&json!("Microsoft.Authorization/*/Write")));
}

#[tokio::test]
async fn lists_show_what_the_caller_may_read() {
    let mut arm = Arm::start().await;
    arm.make_group().await;
    let identity = format!("{}/{IDENTITIES}/id-one", arm.group());
    arm.put(&identity, "2023-01-31", json!({"location": "westeurope"})).await.good();
    let stranger = arm.become_stranger().await;
    let subscription = format!("/subscriptions/{}", arm.simulator.subscription_id());
    let count = async |arm: &Arm, list: &str, version: &str| {
        let listed = arm.get(&format!("{subscription}/{list}"), version).await.good();
        listed["value"].as_array().unwrap().len()
    };
    assert_eq!(count(&arm, "resourcegroups", "2021-04-01").await, 0);
    arm.simulator.state().give_role(&stranger.object_id, &arm.group(), READER);
    // Not the group of the workspace, nor the workspace.
    assert_eq!(count(&arm, "resourcegroups", "2021-04-01").await, 1);
    assert_eq!(count(&arm, "resources", "2021-04-01").await, 1);
    assert_eq!(count(&arm, IDENTITIES, "2023-01-31").await, 1);
    assert_eq!(count(&arm, "providers/Microsoft.OperationalInsights/workspaces", "2025-07-01").await, 0);
}
