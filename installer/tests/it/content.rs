//! The analyst's content: installed, tuned by a person, taken away; what others have stays.

use installer::azure::{ResourceId, Timings};
use installer::inventory::observe::observe;
use installer::plan::{Action, plan};
use serde_json::json;
use simulator::openapi;

use crate::stage::{Stage, connect};
use crate::within::Within;

const SEARCHES: &str = "2025-07-01";

/// Microsoft's descriptions of every body of the content, of a first plan and of one that shares.
#[tokio::test(flavor = "multi_thread")]
async fn every_body_of_the_content_is_as_microsofts_descriptions_have_it() {
    let stage = Stage::start().await;
    let within = Within::new(&stage, Timings::default().scaled(0.01)).await;
    let mut checked = 0;
    for name in ["mimecast-audit", "second"] {
        let intent = installer::answers::Intent { name: name.to_owned(), ..within.intent.clone() };
        let inventory = observe(&within.azure, &intent).await.expect("observes");
        let plan = plan(&intent, &inventory, None).expect("a plan");
        for step in plan.steps.iter().filter(|step| step.key.starts_with("content/")) {
            let Action::PutResource { id, api_version, body } = &step.action else {
                panic!("{:?}", step.action)
            };
            let kind = ResourceId::parse(id).expect("an id").kind();
            let mut body = body.clone();
            if let Some(page) = body["properties"]["connectorUiConfig"].as_object_mut() {
                // The description lacks them; the reference of the page's definition has both
                // (https://learn.microsoft.com/azure/sentinel/data-connector-ui-definitions-reference).
                for known in ["graphQueriesTableName", "sampleQueries"] {
                    page.remove(known);
                }
            }
            for found in openapi::check(&kind, api_version, &body).unwrap_or_default() {
                assert!(found.errors.is_empty(), "{} by {}: {:#?}", step.key, found.version, found.errors);
                checked += 1;
            }
        }
        if name == "mimecast-audit" {
            stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
        }
    }
    assert!(openapi::folder().is_none() || checked > 100, "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tuned_rule_stays_and_is_named_and_parsers_of_others_are_as_they_were() {
    let stage = Stage::start().await;
    let azure = connect(&stage.simulator).await;
    let workspace = stage.simulator.workspace_id().to_owned();
    let theirs = ResourceId::parse(&format!("{workspace}/savedSearches/soc-parsers")).expect("an id");
    let parameters = "starttime:datetime=datetime(null), endtime:datetime=datetime(null), \
                      username_has_any:dynamic=dynamic([]), targetappname_has_any:dynamic=dynamic([]), \
                      srcipaddr_has_any_prefix:dynamic=dynamic([]), srchostname_has_any:dynamic=dynamic([]), \
                      eventtype_in:dynamic=dynamic([]), eventresultdetails_in:dynamic=dynamic([]), \
                      eventresult:string='*', pack:bool=false";
    let body = json!({ "properties": {
        "category": "ASIM", "displayName": "Parsers of the SOC", "version": 2,
        "query": "union isfuzzy=true\n  ASimEmptyView,\n  vimAuthenticationOther(starttime=starttime)\n",
        "functionAlias": "Im_AuthenticationCustom", "functionParameters": parameters,
    }});
    azure.put(&theirs, SEARCHES, &body).await.expect("made");
    let view = ResourceId::parse(&format!("{workspace}/savedSearches/empty")).expect("an id");
    let body = json!({ "properties": {
        "category": "ASIM", "displayName": "ASimEmptyView", "version": 2,
        "query": "datatable(TimeGenerated: datetime)[]", "functionAlias": "ASimEmptyView",
    }});
    azure.put(&view, SEARCHES, &body).await.expect("made");
    let before = stage.everything();

    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let state = stage.simulator.state();
    let with_ours = state.resource(theirs.path()).expect("there")["properties"]["query"].to_string();
    assert!(
        with_ours
            .contains("vimAuthenticationOther(starttime=starttime),\\n    vimAuthenticationMimecastAudit(")
    );
    let run = stage.command("plan", &[]).await.expect(0);
    assert!(!run.stdout.contains("changed by a person"), "{}", run.stdout);

    let rules = state.resources_of("Microsoft.SecurityInsights/alertRules");
    let rule = rules
        .iter()
        .find(|rule| rule["properties"]["displayName"] == "Mimecast - password spray")
        .expect("a rule")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(state.edit(&rule, |body, _| body["properties"]["queryFrequency"] = json!("PT5M")));
    let run = stage.command("plan", &[]).await.expect(0);
    let named = "analytics rule `Mimecast - password spray` was changed by a person (queryFrequency) and stays as it is";
    assert!(run.stdout.contains(named), "{}", run.stdout);

    // Until it is asked for: then it is as a new installation would have it, and nothing else moves.
    let frequency = || state.resource(&rule).expect("there")["properties"]["queryFrequency"].clone();
    let run = stage.command("plan", &["--reset-content"]).await.expect(10);
    assert!(run.stdout.contains("~ analytics rule `Mimecast - password spray`"), "{}", run.stdout);
    let mark = stage.simulator.journal().len();
    stage.command("install", &["--yes", "--no-wait", "--reset-content"]).await.expect(0);
    let puts: Vec<String> = stage.writes(mark).into_iter().filter(|call| call.starts_with("PUT ")).collect();
    assert_eq!(puts.len(), 1, "{puts:?}");
    assert_ne!(frequency(), json!("PT5M"));
    let run = stage.command("plan", &[]).await.expect(0);
    assert!(!run.stdout.contains("changed by a person"), "{}", run.stdout);

    // What is turned off goes, the rest stays.
    stage.answers("content: {hunting: false}\n");
    let run = stage.command("plan", &[]).await.expect(10);
    assert!(run.stdout.contains("- hunting query `Mimecast - policy changes`"), "{}", run.stdout);
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);

    stage.command("teardown", &["--yes"]).await.expect(0);
    stage.unmoved(&before);
    let left: Vec<String> = stage.everything().into_keys().filter(|id| !before.contains_key(id)).collect();
    assert!(left.iter().all(|id| id.contains("/tables/")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_behind_is_waited_for_and_a_rules_next_id_is_taken() {
    // BR-065
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let ids = || {
        let rules = stage.simulator.state().resources_of("Microsoft.SecurityInsights/alertRules");
        rules.iter().map(|rule| rule["name"].to_string()).collect::<std::collections::BTreeSet<_>>()
    };
    let first = ids();
    stage.command("teardown", &["--yes"]).await.expect(0);
    let unknown = r#"{"error":{"code":"BadRequest","message":"Failed to run the analytics rule query. Unknown function: 'MimecastAuditView'."}}"#;
    let matcher = simulator::fault::Matcher::new("arm", "PUT", "/alertrules/");
    stage.simulator.faults().add(simulator::fault::Fault::answer(matcher, 400, unknown).times(30));
    // The old ids rest for a day; the next ones are taken.
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let second = ids();
    assert_eq!((first.len(), second.len()), (23, 23));
    assert!(first.is_disjoint(&second));
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_without_sentinel_is_refused_with_the_command_that_turns_it_on() {
    let stage = Stage::start().await;
    let group = stage.simulator.workspace_id().split("/providers/").next().expect("a group").to_owned();
    let plain = stage.simulator.state().add_workspace(&group, "law-plain", "westeurope");
    let other = format!("workspace.resource_id={plain}");
    let mark = stage.simulator.journal().len();
    let run = stage.command("install", &["--yes", "--set", &other]).await.expect(1);
    assert!(run.stderr.contains("Microsoft Sentinel is not turned on"), "{}", run.stderr);
    assert!(run.stderr.contains("onboardingStates/default"), "{}", run.stderr);
    assert_eq!(stage.writes(mark), [""; 0]);
    let off = ["--set", &other, "--set", "content.rules=off", "--set", "content.connector_page=false"];
    stage.command("install", &[&["--yes", "--no-wait"][..], &off[..]].concat()).await.expect(0);
}
