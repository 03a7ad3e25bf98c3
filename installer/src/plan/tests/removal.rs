//! What a teardown takes, and in which order.

use super::*;

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
    let mut titles: Vec<&str> =
        plan.steps.iter().map(|step| step.title.split('`').next().unwrap_or_default().trim()).collect();
    titles.dedup();
    assert_eq!(
        titles,
        [
            // Functions made for our parsers alone, then what calls our functions, then those.
            "function",
            "analytics rule",
            "hunting query",
            "connector page",
            "function",
            "role",
            "workbook",
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
