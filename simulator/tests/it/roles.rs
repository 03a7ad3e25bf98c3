//! Role assignments: who may be given one, when it works, what stays behind.

use std::time::Duration;

use contract::resources::{MONITORING_METRICS_PUBLISHER, STORAGE_BLOB_DATA_OWNER};
use serde_json::{Value, json};
use simulator::state::Pace;
use simulator::state::principal::PrincipalKind;
use simulator::state::role::{Need, READER};

use crate::support::Arm;

const VERSION: &str = "2022-04-01";
const FIRST: &str = "5f4a1c1e-0000-4000-8000-000000000001";
const SECOND: &str = "5f4a1c1e-0000-4000-8000-000000000002";

fn assignment(scope: &str, name: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}")
}

fn body(arm: &Arm, role: &str, principal: &str) -> Value {
    let subscription = arm.simulator.subscription_id();
    json!({"properties": {
        "roleDefinitionId":
            format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"),
        "principalId": principal,
        "principalType": "ServicePrincipal",
    }})
}

async fn with_identity() -> (Arm, String, String) {
    let arm = Arm::start().await;
    arm.make_group().await;
    let identity =
        format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-one", arm.group());
    let made = arm.put(&identity, "2023-01-31", json!({"location": "westeurope"})).await.good();
    let principal = made["properties"]["principalId"].as_str().unwrap().to_owned();
    (arm, identity, principal)
}

#[tokio::test]
async fn a_role_works_once_it_has_spread_and_no_sooner() {
    // BR-077, BR-125
    let (arm, _, principal) = with_identity().await;
    let state = arm.simulator.state();
    state.set_pace(Pace { role_spread: Duration::from_secs(1200), ..Pace::default() });
    let role = STORAGE_BLOB_DATA_OWNER.definition_id;
    let made = arm.put(&assignment(&arm.group(), FIRST), VERSION, body(&arm, role, &principal)).await;
    assert_eq!((made.status, &made.body["properties"]["scope"]), (201, &json!(arm.group())));
    let need = Need::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write");
    assert!(!state.allowed(&principal, &arm.group(), need));
    arm.simulator.clock().advance(Duration::from_secs(1199));
    assert!(!state.allowed(&principal, &arm.group(), need));
    arm.simulator.clock().advance(Duration::from_secs(1));
    assert!(state.allowed(&principal, &format!("{}/providers/a/b/c", arm.group()), need));
    assert!(!state.allowed(&principal, &format!("{}-two", arm.group()), need));
    assert!(!state.allowed(&principal, &arm.group(), Need::Action("Microsoft.Web/sites/read")));
}

#[tokio::test]
async fn the_same_assignment_under_another_name_exists_already() {
    let (arm, _, principal) = with_identity().await;
    let role = MONITORING_METRICS_PUBLISHER.definition_id;
    let wanted = body(&arm, role, &principal);
    assert_eq!(arm.put(&assignment(&arm.group(), FIRST), VERSION, wanted.clone()).await.status, 201);
    assert_eq!(arm.put(&assignment(&arm.group(), FIRST), VERSION, wanted.clone()).await.status, 200);
    let twin = arm.put(&assignment(&arm.group(), SECOND), VERSION, wanted).await;
    twin.refused(409, "RoleAssignmentExists");
    assert!(twin.message().contains(&FIRST.replace('-', "")), "{}", twin.message());
}

#[tokio::test]
async fn an_assignment_outlives_its_identity_and_keeps_its_name() {
    // BR-135
    let (arm, identity, principal) = with_identity().await;
    let role = READER.definition_id;
    let path = assignment(&arm.group(), FIRST);
    arm.put(&path, VERSION, body(&arm, role, &principal)).await.good();
    arm.delete(&identity, "2023-01-31").await.good();
    arm.get(&path, VERSION).await.good();
    let again = arm.put(&identity, "2023-01-31", json!({"location": "westeurope"})).await.good();
    let other = again["properties"]["principalId"].as_str().unwrap();
    assert_ne!(other, principal);
    arm.put(&path, VERSION, body(&arm, role, other)).await.refused(400, "RoleAssignmentUpdateNotPermitted");
    arm.delete(&path, VERSION).await.good();
    arm.put(&path, VERSION, body(&arm, role, other)).await.good();
}

#[tokio::test]
async fn a_new_principal_is_unknown_for_a_while_unless_its_type_is_said() {
    // BR-123
    let (arm, _, principal) = with_identity().await;
    let pace = Pace { directory_spread: Duration::from_secs(120), ..Pace::default() };
    arm.simulator.state().set_pace(pace);
    let role = READER.definition_id;
    let mut untyped = body(&arm, role, &principal);
    untyped["properties"].as_object_mut().unwrap().remove("principalType");
    let path = assignment(&arm.group(), FIRST);
    arm.put(&path, VERSION, untyped.clone()).await.refused(400, "PrincipalNotFound");
    arm.put(&path, VERSION, body(&arm, role, &principal)).await.good();
    arm.delete(&path, VERSION).await.good();
    arm.simulator.clock().advance(Duration::from_secs(120));
    arm.put(&path, VERSION, untyped).await.good();

    let stranger = "00000000-0000-0000-0000-000000000009";
    let path = assignment(&arm.group(), SECOND);
    arm.put(&path, VERSION, body(&arm, role, stranger)).await.refused(400, "PrincipalNotFound");
    let person = arm.simulator.state().add_person("analyst@example.com", PrincipalKind::User);
    arm.put(&path, VERSION, body(&arm, role, &person.object_id)).await.refused(400, "UnmatchedPrincipalType");
    let unknown_role = body(&arm, "00000000-0000-0000-0000-000000000009", &principal);
    arm.put(&path, VERSION, unknown_role).await.refused(400, "RoleDefinitionDoesNotExist");
}

#[tokio::test]
async fn assignments_are_listed_with_those_that_are_inherited() {
    let (arm, identity, principal) = with_identity().await;
    let role = READER.definition_id;
    arm.put(&assignment(&arm.group(), FIRST), VERSION, body(&arm, role, &principal)).await.good();
    let list = format!("{identity}/providers/Microsoft.Authorization/roleAssignments");
    let filter = format!("{list}?$filter=principalId%20eq%20'{principal}'");
    let found = arm.get(&filter, VERSION).await.good();
    let names: Vec<&str> =
        found["value"].as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert_eq!(names, [FIRST]);
}

#[tokio::test]
async fn a_right_through_a_group_counts() {
    let (arm, _, principal) = with_identity().await;
    let state = arm.simulator.state();
    let group = state.add_person("grp-secops", PrincipalKind::Group);
    let mut member = state.principal(&principal).unwrap();
    member.groups.push(group.object_id.clone());
    state.add_principal(member);
    let read = Need::Action("Microsoft.Web/sites/read");
    assert!(!state.allowed(&principal, &arm.group(), read));
    state.give_role(&group.object_id, &arm.group(), READER);
    assert!(state.allowed(&principal, &arm.group(), read));
}
