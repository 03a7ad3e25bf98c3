//! Deployments of templates: what is refused before anything is made, and how the rest is made.

use serde_json::{Value, json};
use simulator::state::subscription::Registration;

use crate::support::Arm;

const VERSION: &str = "2024-03-01";

fn template(parameters: Value, resources: Value, outputs: Value) -> Value {
    json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": parameters,
        "resources": resources,
        "outputs": outputs,
    })
}

fn request(template: Value, parameters: Value) -> Value {
    json!({"properties": {"mode": "Incremental", "template": template, "parameters": parameters}})
}

fn identity(name: &str) -> Value {
    json!({
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "apiVersion": "2023-01-31",
        "name": name,
        "location": "[resourceGroup().location]",
    })
}

async fn deploy(arm: &Arm, body: Value) -> crate::support::Answer {
    arm.put(&format!("{}/providers/Microsoft.Resources/deployments/one", arm.group()), VERSION, body).await
}

#[tokio::test]
async fn a_wrong_template_is_refused_before_anything_is_made() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let none = || json!({});
    let output = |value: &str| json!({"out": {"type": "string", "value": value}});
    let secret = json!({"secret": {"type": "securestring"}});
    let count = json!({"count": {"type": "int", "minValue": 1, "allowedValues": [1, 2]}});
    let mut depends = identity("a");
    depends["dependsOn"] = json!(["[resourceId('Microsoft.Web/sites', 'x')]"]);
    let mut early = identity("a");
    early["name"] = json!("[reference('/subscriptions/s', '2023-01-31').name]");
    for (what, template, parameters, word) in [
        ("an unknown function", template(none(), json!([]), output("[base64('a')]")), none(), "'base64'"),
        ("an unreadable expression", template(none(), json!([]), output("[concat('a']")), none(), "parse"),
        ("a missing parameter", template(secret.clone(), json!([]), none()), none(), "'secret'"),
        (
            "an unknown parameter",
            template(none(), json!([]), none()),
            json!({"more": {"value": 1}}),
            "'more'",
        ),
        (
            "a wrong type",
            template(count.clone(), json!([]), none()),
            json!({"count": {"value": "1"}}),
            "'int'",
        ),
        ("a value not allowed", template(count, json!([]), none()), json!({"count": {"value": 3}}), "'1,2'"),
        (
            "the same twice",
            template(none(), json!([identity("a"), identity("A")]), none()),
            none(),
            "multiple times",
        ),
        (
            "what is not there",
            template(none(), json!([depends]), none()),
            none(),
            "not defined in the template",
        ),
        (
            "a name known too late",
            template(none(), json!([early]), none()),
            none(),
            "not expected at this location",
        ),
        ("segments", template(none(), json!([identity("a/b")]), none()), none(), "segment lengths"),
    ] {
        let answer = deploy(&arm, request(template, parameters)).await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidTemplate"), "{what}: {}", answer.body);
        assert!(answer.message().contains(word), "{what}: {}", answer.message());
    }
    assert!(
        arm.simulator.state().resources_of("Microsoft.ManagedIdentity/userAssignedIdentities").is_empty()
    );
}

#[tokio::test]
async fn resources_come_in_order_under_their_conditions_and_no_secret_comes_back() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let mut absent = identity("absent");
    absent["condition"] = json!("[empty(parameters('secret'))]");
    let mut tagged = identity("tagged");
    tagged["tags"] = json!({"made": "[if(equals(1, 2), 'no', null())]", "other": "yes"});
    let resources = json!([tagged, absent, identity("[concat('id-', toLower('ONE'))]")]);
    let outputs = json!({
        "principal": {
            "type": "string",
            "value": "[reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'id-one'), '2023-01-31').principalId]",
        },
        "name": {"type": "string", "value": "[guid('a', 'b')]"},
        "secret": {"type": "securestring", "value": "[parameters('secret')]"},
    });
    let parameters = json!({"secret": {"type": "secureString"}});
    let body = request(template(parameters, resources, outputs), json!({"secret": {"value": "canary"}}));
    let subscription = arm.simulator.subscription_id().to_owned();
    arm.simulator.state().set_registration(
        &subscription,
        "Microsoft.ManagedIdentity",
        Registration::NotRegistered,
    );
    let made = deploy(&arm, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.headers.contains_key("azure-asyncoperation"));
    let read = arm
        .get(&format!("{}/providers/Microsoft.Resources/deployments/one", arm.group()), VERSION)
        .await
        .good();
    assert_eq!(read["properties"]["provisioningState"], "Succeeded", "{read:#}");
    assert!(!read.to_string().contains("canary"), "{read:#}");
    let identities = arm.simulator.state().resources_of("Microsoft.ManagedIdentity/userAssignedIdentities");
    let names: Vec<&str> = identities.iter().filter_map(|each| each["name"].as_str()).collect();
    assert_eq!(names, ["id-one", "tagged"]);
    assert_eq!(identities[1]["tags"], json!({"other": "yes"}));
    assert_eq!(
        read["properties"]["outputs"]["principal"]["value"],
        identities[0]["properties"]["principalId"]
    );
    // UUID 5 of `a-b` in Azure's namespace, computed by Python's uuid.uuid5.
    assert_eq!(read["properties"]["outputs"]["name"]["value"], "2d796349-8c7e-55ec-9624-54ece82ed031");
    let operations = arm.get(&format!("{}/deployments/one/operations", arm.group()), VERSION).await.good();
    assert_eq!(operations["value"].as_array().map(Vec::len), Some(2), "{operations:#}");
}

#[tokio::test]
async fn what_a_resource_is_refused_for_ends_the_deployment_and_the_rest_goes_on() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let mut wrong = identity("wrong");
    wrong["location"] = json!("nowhere");
    let mut after = identity("after");
    after["dependsOn"] = json!(["[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'wrong')]"]);
    let resources = json!([wrong, after, identity("apart")]);
    let made = deploy(&arm, request(template(json!({}), resources, json!({})), json!({}))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let read = arm
        .get(&format!("{}/providers/Microsoft.Resources/deployments/one", arm.group()), VERSION)
        .await
        .good();
    assert_eq!(read["properties"]["provisioningState"], "Failed");
    assert_eq!(read["properties"]["error"]["details"][0]["code"], "LocationNotAvailableForResourceType");
    let made = arm.simulator.state().resources_of("Microsoft.ManagedIdentity/userAssignedIdentities");
    let names: Vec<&str> = made.iter().filter_map(|each| each["name"].as_str()).collect();
    assert_eq!(names, ["apart"]);
}
