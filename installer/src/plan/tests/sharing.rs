//! What is not ours alone: the workspace, its tables, and things of others under our names.

use super::*;

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
