//! Whole answers, and what is said of those that are not.

use std::collections::BTreeMap;

use super::{Delivery, Hosting, Intent, MimecastApi};
use crate::answers::given::{Given, Origin};
use crate::answers::yaml;
use crate::world::World;

const COMPLETE: &str = "\
azure:
  subscription_id: 00000000-0000-0000-0000-000000000001
  resource_group: rg-mimecast-audit
workspace:
  resource_id: /subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg-sentinel/providers/Microsoft.OperationalInsights/workspaces/log-sentinel
mimecast:
  client_id: {env: ID}
  client_secret: {env: SECRET}
";

fn of(text: &str) -> Result<Intent, Vec<String>> {
    let world = World::with_environment(BTreeMap::new());
    let given = yaml::read(text, |line| Origin::File { file: "a.yaml".to_owned(), line }).expect("reads");
    Intent::of(&given, &world).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn one_problem(addition: &str) -> String {
    let mut found = of(&format!("{COMPLETE}{addition}")).expect_err("a problem");
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

#[test]
fn few_answers_are_enough() {
    let intent = of(COMPLETE).expect("complete");
    assert_eq!(intent.name, "mimecast-audit");
    assert_eq!(intent.cloud.name, "public");
    assert_eq!(intent.collect.schedule, "0 */5 * * * *");
    assert_eq!(intent.delivery, Delivery::Managed);
    assert_eq!(intent.hosting, Hosting::FlexConsumption { memory_mb: 512 });
    assert_eq!(intent.accounts[0].api, MimecastApi::Two);
    assert_eq!(intent.accounts[0].base_url, "https://api.services.mimecast.com");
}

#[test]
fn a_variable_of_the_other_generation_is_neither_wrong_nor_recorded() {
    let world = World::with_environment(BTreeMap::from([
        ("MIMECAST_APP_KEY".to_owned(), "value".to_owned()),
        ("MIMECAST_CLIENT_SECRET".to_owned(), "value".to_owned()),
    ]));
    let mut given = Given::secrets_from_environment(&world);
    let file = COMPLETE.replace("  client_secret: {env: SECRET}\n", "");
    given.overlay(yaml::read(&file, |line| Origin::File { file: "a".to_owned(), line }).expect("reads"));
    let intent = Intent::of(&given, &world).expect("complete");
    assert!(
        intent.recorded.contains(r#""client_secret":{"env":"MIMECAST_CLIENT_SECRET"}"#),
        "{}",
        intent.recorded
    );
    assert!(!intent.recorded.contains("app_key"), "{}", intent.recorded);
    let again = yaml::read(&intent.recorded, |_| Origin::Recorded).expect("reads");
    assert_eq!(Intent::of(&again, &world).expect("complete"), intent);
}

#[test]
fn everything_that_is_missing_is_listed_at_once() {
    // BR-154, BR-155, BR-075
    let found = of("version: 1\n").expect_err("problems").join("\n");
    for key in [
        "azure.subscription_id",
        "azure.resource_group",
        "workspace.resource_id",
        "mimecast.client_id",
        "mimecast.client_secret",
    ] {
        assert!(found.contains(&format!("missing: {key}: is needed")), "{key} in {found}");
    }
}

#[test]
fn keys_of_the_other_generation_are_refused_with_the_right_ones() {
    // BR-010
    let found = one_problem("  app_key: {env: KEY}\n");
    assert!(
        found.contains("mimecast.app_key") && found.contains("takes client_id, client_secret"),
        "{found}"
    );
    let found =
        of(&COMPLETE.replace("mimecast:\n", "mimecast:\n  api: '1.0'\n")).expect_err("problems").join("\n");
    for word in ["app_id", "app_key", "access_key", "secret_key", "base_url"] {
        assert!(found.contains(&format!("mimecast.{word}: is needed")), "{word} in {found}");
    }
    assert!(found.contains("mimecast.client_id: belongs to API 2.0"), "{found}");
}

#[test]
fn only_mimecast_hosts_are_accepted() {
    for bad in
        ["http://api.services.mimecast.com", "https://mimecast.com.example.com", "https://example.com/"]
    {
        assert!(one_problem(&format!("  base_url: {bad}\n")).contains("mimecast.base_url"), "{bad}");
    }
    assert!(one_problem("  base_url: https://eu-api.mimecast.com\n").contains("serves API 1.0 only"));
    assert!(
        one_problem("  base_url: https://uk-api.services.mimecast.com/api\n").contains("more than a host")
    );
}

#[test]
fn names_that_azure_would_refuse_are_refused_here() {
    // BR-130
    for bad in [
        "Company-Name",
        "a",
        "9lives",
        "ends-",
        "two--hyphens",
        "a-name-that-is-a-good-deal-too-long-for-this",
    ] {
        assert!(one_problem(&format!("name: {bad}\n")).contains("a.yaml:9: name:"), "{bad}");
    }
}

#[test]
fn tags_that_azure_would_refuse_are_refused_here() {
    let text =
        COMPLETE.replace("azure:\n", "azure:\n  tags: {'a/b': x, mimecast-sentinel-installation: y}\n");
    assert_eq!(of(&text).expect_err("two").len(), 2);
}

#[test]
fn an_app_registration_needs_all_its_parts() {
    let found = of(&format!("{COMPLETE}delivery: {{app_registration: {{client_id: {{env: A}}}}}}\n"))
        .expect_err("problems");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_workspace_is_named_in_one_way() {
    let text = COMPLETE
        .replace("workspace:\n", "workspace:\n  workspace_id: 00000000-0000-0000-0000-000000000003\n");
    assert!(of(&text).expect_err("one")[0].contains("give one of the two"));
    let text = COMPLETE.replace("workspaces/log-sentinel", "clusters/log-sentinel");
    assert!(of(&text).expect_err("one")[0].contains("not the id of a workspace"));
}

#[test]
fn marks_of_later_values_cannot_come_in_through_an_answer() {
    let text = COMPLETE.replace("azure:\n", "azure:\n  tags: {a: '\u{27e6}vault#/id\u{27e7}'}\n");
    assert!(of(&text).expect_err("one")[0].contains("azure.tags"));
}

#[test]
fn a_foreign_vault_must_be_one_of_the_cloud() {
    let text = COMPLETE.replace("{env: SECRET}", "{key_vault: 'https://kv.vault.example.com/secrets/a'}");
    assert!(of(&text).expect_err("one")[0].contains("not a Key Vault of the cloud `public`"));
}

#[test]
fn a_first_run_reaches_no_further_back_than_mimecast_keeps() {
    assert!(one_problem("collect: {first_run: 61d}\n").contains("60d"));
}
