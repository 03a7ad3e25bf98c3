//! The analyst's content: made, shared, tuned, turned off, taken away.

use super::*;
use crate::answers::intent::TunedContent;
use crate::content::asim;
use crate::plan::Step;
use crate::plan::change::PropertyChange;
use crate::plan::content::mark::{Mark, put_marks};

/// Another installation with the same workspace.
fn neighbour(addition: &str) -> Intent {
    let text = format!("name: second\n{}{addition}", ANSWERS.replace("rg-mimecast-audit", "rg-second"));
    let given = yaml::read(&text, |line| Origin::File { file: "b".to_owned(), line }).expect("reads");
    Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete")
}

/// What the neighbour sees: an empty group of its own, and the workspace as the first one left it.
fn seen_by_neighbour(first: &Inventory) -> Inventory {
    let names = ResourceNames::derive("second", "00000000-0000-0000-0000-000000000001", "rg-second");
    Inventory { names, content: first.content.clone(), ..nothing() }
}

/// The content's steps carried out on an inventory, as Azure would.
fn carry_out(plan: &Plan, inventory: &mut Inventory) {
    for step in &plan.steps {
        match &step.action {
            Action::PutResource { id, body, .. } if !id.contains("/workbooks/") => {
                let at = |each: &Value| each["id"] == json!(id);
                let kind = ["savedSearches", "alertRules", "dataConnectorDefinitions"]
                    .into_iter()
                    .find(|kind| id.contains(&format!("/{kind}/")));
                let Some(kind) = kind else { continue };
                let provider = if kind == "savedSearches" {
                    "Microsoft.OperationalInsights/workspaces"
                } else {
                    "Microsoft.SecurityInsights"
                };
                let mut body = body.clone();
                body["id"] = json!(id);
                body["name"] = json!(id.rsplit('/').next());
                body["type"] = json!(format!("{provider}/{kind}"));
                body["etag"] = json!(format!("\"{}\"", inventory.content.len()));
                inventory.content.retain(|each| !at(each));
                inventory.content.push(body);
            }
            Action::Delete { id, .. } => inventory.content.retain(|each| each["id"] != json!(id)),
            _ => {}
        }
    }
}

fn subject(intent: &Intent) -> Subject {
    Subject {
        installation: intent.name.clone(),
        subscription_id: intent.subscription_id.clone(),
        resource_group: intent.resource_group.clone(),
    }
}

/// Everything of the content but what every write changes.
fn without_etags(inventory: &Inventory) -> BTreeMap<String, Value> {
    let each = inventory.content.iter().map(|resource| {
        let mut resource = resource.clone();
        resource.as_object_mut().expect("an object").remove("etag");
        (resource["id"].as_str().expect("an id").to_owned(), resource)
    });
    each.collect()
}

fn item<'a>(inventory: &'a mut Inventory, item: &str) -> &'a mut Value {
    let of = |each: &Value| Mark::all(each).iter().any(|mark| mark.item == item);
    let Inventory { content, resources, .. } = inventory;
    content.iter_mut().chain(resources.values_mut()).find(|each| of(each)).expect(item)
}

#[test]
fn what_calls_a_function_comes_after_it() {
    let plan = plan(&intent(""), &nothing(), Some(&package())).expect("a plan");
    let step = |key: &str| plan.steps.iter().find(|step| step.key == key).expect(key);
    for caller in ["content/rule/password-spray", "content/hunt/archive-exports", "content/connector"] {
        let before = &step(caller).depends_on;
        for needed in ["content/function/MimecastAuditView", "table/MimecastAudit_CL"] {
            assert!(before.iter().any(|key| key == needed), "{caller} waits for {needed}");
        }
    }
    let unifier = &step("content/unifier/Im_AuthenticationCustom").depends_on;
    assert!(unifier.iter().any(|key| key == "content/function/vimAuthenticationMimecastAudit"));
    assert!(unifier.iter().any(|key| key == "content/unifier/ASimEmptyView"));
}

#[test]
fn rules_are_on_as_the_answers_say() {
    let enabled = |addition: &str| {
        let plan = plan(&intent(addition), &nothing(), Some(&package())).expect("a plan");
        let rules = plan.steps.iter().filter(|step| step.key.starts_with("content/rule/"));
        rules
            .filter(|step| body(&plan, &step.key)["properties"]["enabled"] == true)
            .map(|step| step.key.rsplit('/').next().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    let recommended = enabled("");
    assert!(recommended.contains(&"connector-failing".to_owned()));
    // The samples show no such event: nobody knows yet whether the rule fires as it should.
    let library = Templates::read().expect("templates").library();
    let unconfirmed = library.rules.iter().filter(|rule| rule.stands_on.sample.is_none());
    for rule in unconfirmed {
        assert!(!recommended.contains(&rule.name.to_owned()), "{}", rule.name);
    }
    assert_eq!(enabled("content: {rules: all}\n").len(), library.rules.len());
    assert_eq!(enabled("content: {rules: off}\n").len(), 0);
}

#[test]
fn each_answer_leaves_its_part_out_and_takes_it_away_later() {
    let whole = carried_out(&intent(""));
    for (answer, gone) in [
        ("connector_page: false", vec!["connector page"]),
        ("workbook: false", vec!["workbook"]),
        ("rules: off", vec!["analytics rule"]),
        ("hunting: false", vec!["hunting query"]),
        ("asim: false", vec!["function"]),
        (
            "connector_page: false, workbook: false, rules: off, hunting: false, asim: false",
            vec!["analytics rule", "connector page", "function", "hunting query", "workbook"],
        ),
    ] {
        let intent = intent(&format!("content: {{{answer}}}\n"));
        let plan = plan(&intent, &whole, Some(&package())).expect("a plan");
        let deletes: Vec<&Step> = plan.steps.iter().filter(|step| step.change == Change::Delete).collect();
        let mut kinds: Vec<&str> = deletes.iter().filter_map(|step| step.title.split(" `").next()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, gone, "{answer}");
        let settings = plan.steps.iter().filter(|step| step.change != Change::Delete);
        assert_eq!(settings.map(|step| step.key.as_str()).collect::<Vec<_>>(), ["settings"], "{answer}");
        let mut after = whole.clone();
        carry_out(&plan, &mut after);
        after.owned.retain(|each| each["type"] != WORKBOOKS || !gone.contains(&"workbook"));
        let again = super::plan(&intent, &after, Some(&package())).expect("a plan");
        assert_eq!(keys(&again), ["settings"], "{answer}");
    }
}

#[test]
fn what_a_person_tuned_stays_until_it_is_reset() {
    let keep = intent("");
    let reset = Intent { tuned_content: TunedContent::Reset, ..keep.clone() };
    let whole = carried_out(&keep);
    for (tuned, pointer, value) in [
        ("rule/password-spray", "/properties/query", json!("MimecastAuditView() | where false")),
        ("rule/support-login", "/properties/enabled", json!(false)),
        ("hunt/archive-exports", "/properties/displayName", json!("Ours, better")),
        ("function/MimecastAuditView", "/properties/query", json!("MimecastAudit_CL")),
        ("connector", "/properties/connectorUiConfig/title", json!("Mimecast, ours")),
        ("workbook", "/properties/displayName", json!("The SOC's")),
    ] {
        let mut inventory = whole.clone();
        let place = item(&mut inventory, tuned).pointer_mut(pointer).expect(pointer);
        let ours = std::mem::replace(place, value.clone());
        let path = pointer.trim_start_matches("/properties/").replace('/', ".");
        let kept = plan(&keep, &inventory, Some(&package())).expect("a plan");
        assert!(kept.empty(), "{tuned}: {:?}", keys(&kept));
        let [finding] = kept.findings.as_slice() else { panic!("{tuned}: {:?}", kept.findings) };
        assert_eq!((finding.id.as_str(), finding.severity), ("tuned-content", Severity::Note));
        assert!(finding.message.contains(&format!("({path})")), "{}", finding.message);
        let [shown] = kept.tuned.as_slice() else { panic!("{tuned}: {:?}", kept.tuned) };
        let change = PropertyChange { path: format!("properties.{path}"), before: Some(value), after: ours };
        assert_eq!(shown.changes, [change], "{tuned}");

        let rewritten = plan(&reset, &inventory, Some(&package())).expect("a plan");
        assert_eq!(keys(&rewritten), [format!("content/{tuned}")]);
        let Change::Update(changes) = &rewritten.steps[0].change else { panic!("{tuned}") };
        assert_eq!(
            changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(),
            [format!("properties.{path}")]
        );
    }
    // Whoever rewrote the whole description took our mark away, and the item is still known by its name.
    let mut inventory = whole.clone();
    put_marks(item(&mut inventory, "rule/password-spray"), &[]);
    let kept = plan(&keep, &inventory, Some(&package())).expect("a plan");
    assert!(kept.empty() && kept.findings[0].id == "tuned-content", "{:?}", kept.findings);
    let removed =
        removal(&subject(&keep), &inventory, &Leftovers::default(), &Extent::Everything).expect("a plan");
    assert!(removed.steps.iter().any(|step| step.key == "delete/content/rule/password-spray"));
}

#[test]
fn what_an_older_version_wrote_is_brought_up_to_date_with_the_etag_that_was_read() {
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let hunt = item(&mut inventory, "hunt/archive-exports");
    hunt["properties"]["query"] = json!("MimecastAudit_CL | take 1");
    hunt["etag"] = json!("\"read\"");
    let mut marks = Mark::all(hunt);
    let mut before = json!({ "properties": hunt["properties"] });
    // Azure's own, not written by anybody.
    before["properties"].as_object_mut().expect("an object").remove("provisioningState");
    marks[0].fingerprint = crate::plan::content::mark::fingerprint(&before);
    put_marks(hunt, &marks);
    let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(keys(&plan), ["content/hunt/archive-exports"]);
    let body = body(&plan, "content/hunt/archive-exports");
    assert_eq!(body["etag"], "\"read\"");
    assert_ne!(body["properties"]["query"], "MimecastAudit_CL | take 1");
}

#[test]
fn what_an_older_version_wrote_with_a_member_more_is_no_persons() {
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let rule = item(&mut inventory, "rule/password-spray");
    let mut older = json!({ "kind": rule["kind"], "properties": rule["properties"] });
    let properties = older["properties"].as_object_mut().expect("an object");
    properties.remove("provisioningState");
    properties["customDetails"]["GoneSince"] = json!("user_s");
    let mut marks = Mark::all(rule);
    marks[0].fingerprint = crate::plan::content::mark::fingerprint(&older);
    rule["properties"]["customDetails"]["GoneSince"] = json!("user_s");
    put_marks(rule, &marks);
    let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(keys(&plan), ["content/rule/password-spray"]);
    assert!(plan.tuned.is_empty() && plan.findings.is_empty(), "{:?}", plan.findings);
    let details = &body(&plan, "content/rule/password-spray")["properties"]["customDetails"];
    assert!(details.get("GoneSince").is_none(), "{details}");
}

#[test]
fn an_item_without_a_mark_stays_while_another_installation_is_there() {
    let (first, second) = (intent(""), neighbour(""));
    let mut inventory = seen_by_neighbour(&carried_out(&first));
    put_marks(item(&mut inventory, "rule/password-spray"), &[]);
    let gone = removal(&subject(&second), &inventory, &Leftovers::default(), &Extent::Everything);
    assert_eq!(keys(&gone.expect("a plan")), [""; 0]);
    let gone = removal(&subject(&first), &inventory, &Leftovers::default(), &Extent::Everything);
    assert!(keys(&gone.expect("a plan")).contains(&"delete/content/rule/password-spray"));
}

#[test]
fn two_installations_share_the_workspaces_content_and_the_last_one_takes_it_away() {
    let (first, second) = (intent(""), neighbour(""));
    let mut inventory = seen_by_neighbour(&carried_out(&first));
    let before = without_etags(&inventory);
    let joined = plan(&second, &inventory, Some(&package())).expect("a plan");
    let creates: Vec<&str> = joined
        .steps
        .iter()
        .filter(|step| step.change == Change::Create && step.key.starts_with("content/"))
        .map(|step| step.key.as_str())
        .collect();
    assert_eq!(creates, ["content/workbook"], "no rule alerts twice");
    carry_out(&joined, &mut inventory);
    let again = plan(&second, &inventory, Some(&package())).expect("a plan");
    let content = |plan: &Plan| -> Vec<String> {
        keys(plan).into_iter().filter(|key| key.contains("content/")).map(str::to_owned).collect()
    };
    assert_eq!(content(&again), ["content/workbook"]);
    assert!(again.findings.is_empty(), "{:?}", again.findings);
    // The first sees nothing to do: the marks of others are no difference.
    let mut of_first = carried_out(&first);
    of_first.content.clone_from(&inventory.content);
    let same = plan(&first, &of_first, Some(&package())).expect("a plan");
    assert!(same.empty() && same.findings.is_empty(), "{:?}", same.findings);

    // The second goes: what is left is as it was before it came.
    let gone =
        removal(&subject(&second), &inventory, &Leftovers::default(), &Extent::Everything).expect("a plan");
    let mut left = inventory.clone();
    carry_out(&gone, &mut left);
    assert_eq!(without_etags(&left), before);

    // The first goes: the second inherits all of it and has nothing to change, and leaves nothing.
    let gone =
        removal(&subject(&first), &inventory, &Leftovers::default(), &Extent::Everything).expect("a plan");
    assert!(gone.steps.iter().all(|step| !step.key.starts_with("delete/unifier/")));
    carry_out(&gone, &mut inventory);
    let inherited = plan(&second, &inventory, Some(&package())).expect("a plan");
    assert_eq!(content(&inherited), ["content/workbook"]);
    let last =
        removal(&subject(&second), &inventory, &Leftovers::default(), &Extent::Everything).expect("a plan");
    carry_out(&last, &mut inventory);
    assert_eq!(inventory.content, [] as [Value; 0]);
}

#[test]
fn a_custom_parser_of_others_gets_one_line_and_is_as_it_was_afterwards() {
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let is = |each: &Value, alias: &str| each["properties"]["functionAlias"] == alias;
    let parameters = inventory
        .content
        .iter()
        .find(|each| is(each, "Im_AuthenticationCustom"))
        .expect("there")["properties"]["functionParameters"]
        .clone();
    inventory.content.retain(|each| {
        let alias = each["properties"]["functionAlias"].as_str().unwrap_or_default();
        !asim::custom_parser(alias)
    });
    let theirs = json!({
        "id": format!("{}/savedSearches/0a1b", inventory.workspace.id),
        "name": "0a1b",
        "type": "Microsoft.OperationalInsights/workspaces/savedSearches",
        "etag": "\"theirs\"",
        "properties": {
            "category": "ASIM", "displayName": "Custom authentication parsers",
            "query": "// Ours\nunion isfuzzy=true\n  ASimEmptyView,\n  vimAuthenticationOther(starttime=starttime)\n\n",
            "functionAlias": "Im_AuthenticationCustom", "functionParameters": parameters, "version": 2,
        },
    });
    inventory.content.push(theirs.clone());
    let registered = plan(&intent, &inventory, Some(&package())).expect("a plan");
    let body = body(&registered, "content/unifier/Im_AuthenticationCustom");
    assert_eq!(body["etag"], "\"theirs\"");
    let query = body["properties"]["query"].as_str().expect("a query");
    assert_eq!(query.matches("vimAuthenticationMimecastAudit(").count(), 1);
    let mut with = inventory.clone();
    carry_out(&registered, &mut with);
    assert!(plan(&intent, &with, Some(&package())).expect("a plan").empty());

    let removed =
        removal(&subject(&intent), &with, &Leftovers::default(), &Extent::Everything).expect("a plan");
    carry_out(&removed, &mut with);
    let mut theirs_only = inventory.clone();
    theirs_only.content = vec![theirs];
    let mut left = without_etags(&with);
    // Their parser begins with the empty view, which is theirs now and bears no mark of ours.
    let view =
        left.remove(&format!("{}/savedSearches/ASimEmptyView", inventory.workspace.id)).expect("it stays");
    assert!(Mark::all(&view).is_empty());
    assert_eq!(left, without_etags(&theirs_only));
}

#[test]
fn a_custom_parser_with_other_parameters_is_left_alone_and_said() {
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let at = inventory
        .content
        .iter()
        .position(|each| each["properties"]["functionAlias"] == "Im_AuditEventCustom")
        .expect("there");
    inventory.content[at]["properties"]["functionParameters"] = json!("starttime:datetime=datetime(null)");
    inventory.content[at]["properties"]["query"] = json!("union ASimEmptyView");
    let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert!(plan.empty() && !plan.refused());
    let [finding] = plan.findings.as_slice() else { panic!("{:?}", plan.findings) };
    assert_eq!((finding.id.as_str(), finding.severity), ("asim-not-registered", Severity::Warning));
    assert!(finding.message.contains("endtime"), "{}", finding.message);
}

#[test]
fn a_strangers_function_under_a_name_that_our_queries_call_stops_the_plan() {
    let mut inventory = nothing();
    inventory.content.push(json!({
        "id": format!("{}/savedSearches/theirs", inventory.workspace.id), "name": "theirs",
        "type": "Microsoft.OperationalInsights/workspaces/savedSearches",
        "properties": { "functionAlias": "mimecastauditview", "query": "T", "displayName": "x" },
    }));
    let plan = plan(&intent(""), &inventory, Some(&package())).expect("a plan");
    assert!(plan.refused() && plan.findings.iter().any(|finding| finding.id == "stranger"));
}

#[test]
fn without_sentinel_the_plan_is_refused_unless_nothing_needs_it() {
    let without = Inventory { sentinel: Some(false), ..nothing() };
    let refused = plan(&intent(""), &without, Some(&package())).expect("a plan");
    assert!(refused.refused());
    let finding = refused.findings.iter().find(|finding| finding.id == "no-sentinel").expect("a finding");
    assert!(finding.remedy.as_ref().is_some_and(|remedy| remedy.contains("onboardingStates/default")));
    let modest = intent("content: {rules: off, connector_page: false}\n");
    assert!(!plan(&modest, &without, Some(&package())).expect("a plan").refused());
}
