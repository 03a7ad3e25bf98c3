//! The trial of an upgrade: from a standing start, and after an upgrade that was interrupted.

use contract::resources::PREVIOUS_PACKAGE_TAG;
use contract::settings::{MIMECAST_OVERLAP, MIMECAST_SENTINEL_TRIAL};

use super::*;
use crate::plan::{PackageBefore, Trial, Unproven, rollback, upgrade};

fn other() -> PackageFacts {
    PackageFacts { sha256: "cd".repeat(32), size_bytes: 1, source: PackageSource::Given }
}

fn trial_of(plan: &Plan) -> &Trial {
    let step = plan.steps.iter().find(|step| step.key == "try").expect("a trial");
    let Action::TryPackage(trial) = &step.action else { panic!("{step:?}") };
    trial
}

/// What was carried out, with an upgrade from the first package to the other stopped during its trial.
fn interrupted(intent: &Intent) -> Inventory {
    let mut inventory = carried_out(intent);
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let site = inventory.resources.get_mut(&ids.function_app.to_ascii_lowercase()).expect("a site");
    site["tags"][PACKAGE_TAG] = json!(other().sha256);
    let before = Unproven {
        package: Some(PackageBefore {
            sha256: package().sha256,
            previous: None,
            container_url: "https://st.blob.core.windows.net/packages".to_owned(),
        }),
        settings: [
            (MIMECAST_OVERLAP.to_owned(), Some("7m".to_owned())),
            (MIMECAST_SENTINEL_PACKAGE.to_owned(), Some(package().sha256)),
        ]
        .into(),
        ..Unproven::default()
    };
    let settings = inventory.settings.as_mut().expect("settings");
    settings.insert(MIMECAST_SENTINEL_PACKAGE.to_owned(), other().sha256);
    settings.insert(MIMECAST_SENTINEL_TRIAL.to_owned(), before.text());
    inventory
}

/// What a row leaves out, only the rule of its worker's version makes (docs/decisions/sent-rows.md).
#[test]
fn a_worker_is_published_after_the_rule_was_changed_and_goes_back_without_it() {
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let rule = inventory.resources.get_mut(&ids.data_collection_rule.to_ascii_lowercase()).expect("a rule");
    rule["properties"]["dataFlows"][0]["transformKql"] = json!("source");
    let forward = upgrade(&intent, &inventory, Some(&other()), 1).expect("a plan");
    assert!(keys(&forward).contains(&"data_collection_rule"));
    let publish = forward.steps.iter().find(|step| step.key == "publish").expect("a package");
    assert!(publish.depends_on.iter().any(|key| key == "data_collection_rule"));

    let site = inventory.resources.get_mut(&ids.function_app.to_ascii_lowercase()).expect("a site");
    site["tags"][PREVIOUS_PACKAGE_TAG] = json!(other().sha256);
    let back = rollback(&intent, &inventory, 1).expect("a plan");
    assert!(keys(&back).contains(&"publish") && !keys(&back).contains(&"data_collection_rule"));
}

#[test]
fn what_runs_is_noted_before_anything_changes_and_the_note_goes_last() {
    let intent = intent("");
    let plan = upgrade(&intent, &carried_out(&intent), Some(&other()), 1).expect("a plan");
    let at = |key: &str| plan.steps.iter().find(|step| step.key == key).expect(key);
    for key in ["settings", "publish"] {
        assert!(at(key).depends_on.iter().any(|each| each == "try/begin"), "{key}");
    }
    assert_eq!(plan.steps.last().expect("steps").key, "try/end");
    assert_eq!(at("try/end").depends_on.len(), plan.steps.len() - 1);
    let before = &trial_of(&plan).before;
    assert_eq!(before.package.as_ref().expect("a package").sha256, package().sha256);
    assert_eq!(before.settings[MIMECAST_SENTINEL_PACKAGE], Some(package().sha256));
    let Action::Publish { put_back: Some(put_back), .. } = &at("publish").action else { panic!() };
    assert_eq!(&put_back.before, before);
}

#[test]
fn an_open_trial_is_always_planned_from_what_was_noted() {
    let intent = intent("");
    let inventory = interrupted(&intent);
    let same = upgrade(&intent, &inventory, Some(&other()), 1).expect("a plan");
    assert_eq!(keys(&same), ["grant/packages", "try", "take-back/packages", "try/end"]);
    assert_eq!(
        Some(&trial_of(&same).before),
        Unproven::of(inventory.settings.as_ref().expect("some")).as_ref()
    );
    assert!(same.findings.iter().any(|finding| finding.id == "upgrade-unproven"));

    // A third package: what was never seen to work is not the one before it.
    let third = PackageFacts { sha256: "ef".repeat(32), ..other() };
    let another = upgrade(&intent, &inventory, Some(&third), 1).expect("a plan");
    let publish = another.steps.iter().find(|step| step.key == "publish").expect("a step");
    let Action::Publish { previous, .. } = &publish.action else { panic!("{publish:?}") };
    assert_eq!(previous.as_ref(), Some(&package().sha256));
    assert_eq!(trial_of(&another).before.settings[MIMECAST_SENTINEL_PACKAGE], Some(package().sha256));
}

#[test]
fn going_back_from_an_open_trial_takes_the_settings_along_and_is_remembered() {
    let intent = intent("");
    let mut inventory = interrupted(&intent);
    let back = rollback(&intent, &inventory, 1).expect("a plan");
    let settings = back.steps.iter().find(|step| step.key == "settings").expect("a step");
    let Action::MergeSettings { set, .. } = &settings.action else { panic!("{settings:?}") };
    assert_eq!(set[MIMECAST_OVERLAP], "7m");
    assert_eq!(set[MIMECAST_SENTINEL_PACKAGE], package().sha256);
    let before = trial_of(&back).before.clone();
    assert_eq!(before.rollback_to, Some(package().sha256));

    // A rollback that was itself interrupted goes on to the same package, not back again.
    let noted = Unproven {
        package: Some(PackageBefore { sha256: other().sha256, ..before.package.clone().expect("a package") }),
        ..before
    };
    let settings = inventory.settings.as_mut().expect("settings");
    settings.insert(MIMECAST_SENTINEL_TRIAL.to_owned(), noted.text());
    let again = rollback(&intent, &inventory, 1).expect("a plan");
    assert_eq!(trial_of(&again).watched.sha256, package().sha256);
}
