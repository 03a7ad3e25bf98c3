//! Which steps there are, and in which order.

use super::*;

#[test]
fn a_first_plan_makes_everything_in_an_order_that_can_be_carried_out() {
    // BR-083
    let plan = plan(&intent(""), &nothing(), Some(&package())).expect("a plan");
    let (content, others): (Vec<&str>, Vec<&str>) =
        keys(&plan).into_iter().partition(|key| key.starts_with("content/"));
    assert_eq!(content.len(), 6 + 16 + 1 + 1 + 24 + 5, "{content:?}");
    assert_eq!(
        others,
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
            "settings",
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
        description: crate::plan::publish::FOR_THE_TIME.to_owned(),
    });
    let taken_back = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(keys(&taken_back), ["take-back/packages"]);
    // A role that the person has anyway is neither given nor taken.
    inventory.assignments.last_mut().expect("one").description = "for my own use".to_owned();
    assert!(plan(&intent, &inventory, Some(&package())).expect("a plan").empty());

    // What another person was given and was stopped with: that very assignment goes, by its own name.
    let left = inventory.assignments.last_mut().expect("one");
    left.principal_id = "00000000-0000-0000-0000-0000000000aa".to_owned();
    left.description = crate::plan::publish::FOR_THE_TIME.to_owned();
    let taken_back = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(keys(&taken_back), ["take-back/packages/00000000-0000-0000-0000-0000000000aa"]);
    let Action::Delete { id, .. } = &taken_back.steps[0].action else { panic!("{:?}", taken_back.steps[0]) };
    assert_eq!(id, "x");
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
