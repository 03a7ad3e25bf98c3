//! What somebody changed by hand.

use super::*;

/// The content has tests of its own, and rendering it hundreds of times takes minutes.
const NO_CONTENT: &str =
    "content: {connector_page: false, workbook: false, rules: off, hunting: false, asim: false}\n";

#[test]
fn drift_in_any_one_property_is_shown_as_exactly_that_property() {
    let usual = intent(NO_CONTENT);
    let seen = drift_in_each_property(&usual, |_| true);
    assert!(seen > 100, "{seen} properties");
    // Those that other options make or make otherwise.
    let other = intent(&format!(
        "{NO_CONTENT}hosting: {{plan: dedicated}}\ncollect: {{work_queue: always}}\nvault: {{purge_protection: true}}\n"
    ));
    let bodies = |intent: &Intent| -> BTreeMap<String, Value> {
        let made = desired(Templates::read().expect("templates"), intent, &carried_out(intent));
        made.expect("rendered").into_iter().map(|resource| (resource.key, resource.body)).collect()
    };
    let (before, after) = (bodies(&usual), bodies(&other));
    let seen = drift_in_each_property(&other, |key| before.get(key) != after.get(key));
    assert!(seen > 30, "{seen} properties");
}

/// Changes each property of each resource that passes, one at a time; gives how many there were.
fn drift_in_each_property(intent: &Intent, passes: impl Fn(&str) -> bool) -> usize {
    let whole = carried_out(intent);
    let templates = Templates::read().expect("templates");
    let mut seen = 0;
    for resource in desired(templates, intent, &whole).expect("rendered") {
        if !matches!(resource.conduct, Conduct::Own | Conduct::Site) || !passes(&resource.key) {
            continue;
        }
        let mut body = resource.body.clone();
        output::fill(&mut body, &|step, pointer| Some(made(step, pointer)));
        let mut leaves = Vec::new();
        collect(&body, "", &mut leaves);
        for leaf in leaves {
            let at = format!("{} {leaf}", resource.key);
            if leaf.contains("appSettings") || leaf.ends_with(INSTALLATION_TAG) {
                continue;
            }
            let mut drifted = whole.clone();
            let actual = drifted.resources.get_mut(&resource.id.to_ascii_lowercase()).expect("there");
            let value = actual.pointer_mut(&leaf).unwrap_or_else(|| panic!("{at}"));
            *value = match &value {
                Value::Bool(flag) => json!(!*flag),
                Value::Number(_) => json!(-1),
                _ => json!("/drifted"),
            };
            let plan = plan(intent, &drifted, Some(&package())).expect("a plan");
            if leaf.ends_with("/workspaceResourceId") {
                // BR-090: cannot be put back in place, so it is refused.
                assert!(plan.findings.iter().any(|finding| finding.id == "workspace-changed"), "{at}");
                seen += 1;
                continue;
            }
            let changes: Vec<_> = plan
                .steps
                .iter()
                .flat_map(|step| match &step.change {
                    Change::Update(changes) => {
                        changes.iter().map(|change| (step.key.as_str(), change)).collect()
                    }
                    _ => Vec::new(),
                })
                .collect();
            // The name of a thing in a list is what it is told apart by: losing it is losing the thing.
            let named = leaf.ends_with("/name") || leaf.ends_with("/category");
            assert!(named || changes.len() == 1, "{at}: {changes:#?}");
            assert!(changes.iter().all(|(key, _)| *key == resource.key), "{at}: {changes:#?}");
            seen += 1;
        }
    }
    seen
}

fn collect(value: &Value, path: &str, leaves: &mut Vec<String>) {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(entries) => {
            entries
                .iter()
                .for_each(|(name, value)| collect(value, &format!("{path}/{}", escape(name)), leaves));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| collect(value, &format!("{path}/{index}"), leaves));
        }
        _ => leaves.push(path.to_owned()),
    }
}

#[test]
fn drift_in_any_one_setting_is_shown_as_exactly_that_setting() {
    let intent = intent(NO_CONTENT);
    let whole = carried_out(&intent);
    let settings = whole.settings.clone().expect("settings");
    assert!(settings.len() > 15, "{settings:?}");
    for (name, value) in &settings {
        // A person's own, and the package's, which follows the package.
        let others = ["MY_EXTRA", MIMECAST_SENTINEL_PACKAGE].contains(&name.as_str());
        for drifted in [Some("drifted"), None] {
            let mut inventory = whole.clone();
            let there = inventory.settings.as_mut().expect("settings");
            match drifted {
                Some(text) => there.insert(name.clone(), text.to_owned()),
                None => there.remove(name),
            };
            let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
            if others {
                assert!(
                    !keys(&plan).contains(&"settings") || name != "MY_EXTRA",
                    "{name}: {:?}",
                    keys(&plan)
                );
                continue;
            }
            assert_eq!(keys(&plan), ["settings"], "{name}");
            let Action::MergeSettings { set, remove, .. } = &plan.steps[0].action else {
                panic!("{:?}", plan.steps[0])
            };
            assert_eq!(set, &BTreeMap::from([(name.clone(), value.clone())]));
            assert_eq!(remove, &[""; 0]);
            let Change::Update(changes) = &plan.steps[0].change else { panic!("{:?}", plan.steps[0].change) };
            let shown: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
            assert!(matches!(shown.as_slice(), [path] if path.ends_with(name.as_str())), "{name}: {shown:?}");
        }
    }
}

#[test]
fn a_role_that_was_taken_away_is_given_again_and_no_other() {
    let intent = intent(NO_CONTENT);
    let whole = carried_out(&intent);
    assert!(whole.assignments.len() >= 5);
    for place in 0..whole.assignments.len() {
        let mut inventory = whole.clone();
        let taken = inventory.assignments.remove(place);
        let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
        let given: Vec<&Value> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.action {
                Action::AssignRole { body, .. } => Some(body),
                _ => None,
            })
            .collect();
        assert_eq!(given.len(), 1, "{taken:?}: {:?}", keys(&plan));
        let role = given[0]["properties"]["roleDefinitionId"].as_str().expect("a role");
        assert!(role.ends_with(&taken.role), "{taken:?}: {role}");
        assert!(
            plan.steps.iter().all(|step| !matches!(step.action, Action::PutResource { .. })),
            "{:?}",
            keys(&plan)
        );
    }
}

#[test]
fn a_column_that_is_missing_or_of_another_type_is_named() {
    let intent = intent(NO_CONTENT);
    let whole = carried_out(&intent);
    let tables: Vec<String> = whole.resources.keys().filter(|id| id.contains("/tables/")).cloned().collect();
    assert_eq!(tables.len(), 2);
    for table in tables {
        let columns =
            whole.resources[&table]["properties"]["schema"]["columns"].as_array().expect("columns").len();
        for place in 0..columns {
            let mut missing = whole.clone();
            let schema = &mut missing.resources.get_mut(&table).expect("there")["properties"]["schema"];
            let column = schema["columns"].as_array_mut().expect("columns").remove(place);
            let name = column["name"].as_str().expect("a name").to_owned();
            let found = plan(&intent, &missing, Some(&package())).expect("a plan");
            let Some(Change::Update(changes)) = found.steps.first().map(|step| &step.change) else {
                panic!("{name}: {:?}", keys(&found))
            };
            assert_eq!(found.steps.len(), 1, "{name}: {changes:#?}");
            let of_it = format!("properties.schema.columns[{name}].");
            let paths: Vec<_> = changes.iter().map(|change| change.path.strip_prefix(&of_it)).collect();
            assert_eq!(paths, [Some("name"), Some("type")], "{changes:#?}");

            let mut other = whole.clone();
            let schema = &mut other.resources.get_mut(&table).expect("there")["properties"]["schema"];
            let wrong = if column["type"] == "int" { "string" } else { "int" };
            schema["columns"][place]["type"] = json!(wrong);
            let refused = plan(&intent, &other, Some(&package())).expect("a plan");
            assert!(refused.refused(), "{name}");
            let findings = refused.findings.iter().filter(|finding| finding.id == "column-type");
            let named: Vec<&str> = findings.map(|finding| finding.message.as_str()).collect();
            assert!(matches!(named.as_slice(), [one] if one.contains(&format!("`{name}`"))), "{named:?}");
        }
    }
}

#[test]
fn a_changed_setting_is_merged_and_a_persons_own_stays() {
    // BR-115, BR-105
    let intent = intent("");
    let mut inventory = carried_out(&intent);
    let settings = inventory.settings.as_mut().expect("settings");
    settings.insert("MIMECAST_OVERLAP".to_owned(), "1m".to_owned());
    settings.insert("AzureWebJobsStorage".to_owned(), "DefaultEndpointsProtocol=https".to_owned());
    let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(keys(&plan), ["settings"]);
    let Action::MergeSettings { set, remove, .. } = &plan.steps[0].action else {
        panic!("{:?}", plan.steps[0])
    };
    assert_eq!(set, &BTreeMap::from([("MIMECAST_OVERLAP".to_owned(), "15m".to_owned())]));
    assert_eq!(remove, &["AzureWebJobsStorage"]);
    assert!(!serde_json::to_string(&plan).expect("JSON").contains("DefaultEndpointsProtocol"));
}

/// Answers of every kind that decides which settings there are.
fn kinds_of_answers() -> Vec<(&'static str, Intent)> {
    let read = |text: String| {
        let given = yaml::read(&text, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
        Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete")
    };
    let account = "mimecast:\n  client_id: {env: ID}\n  client_secret: {env: SECRET}\n";
    let with = |account_or_accounts: &str, more: &str| {
        read(format!("{}{NO_CONTENT}{more}", ANSWERS.replace(account, account_or_accounts)))
    };
    let one = "mimecast:\n  api: \"1.0\"\n  base_url: https://eu-api.mimecast.com\n  app_id: {env: A}\n  app_key: {env: B}\n  access_key: {env: C}\n  \
               secret_key: {env: D}\n  email: {env: E}\n  password: {env: F}\n";
    let several = "accounts:\n  - {key: a, client_id: {env: A}, client_secret: {env: B}}\n  \
                   - {key: b, client_id: {env: C}, client_secret: {env: D}}\n";
    let registration = "delivery:\n  app_registration:\n    client_id: {env: G}\n    client_secret: {env: H}\n    \
                        tenant_id: 00000000-0000-0000-0000-00000000000b\n";
    vec![
        ("plain", with(account, "")),
        ("categories", with(account, "collect: {categories: [account_logs]}\n")),
        ("work queue", with(account, "collect: {work_queue: always}\n")),
        ("app registration", with(account, registration)),
        ("API 1.0", with(one, "")),
        ("several accounts", with(several, "")),
    ]
}

#[test]
fn each_setting_of_the_worker_is_given_by_some_answers_or_left_to_a_person() {
    let mut given: Vec<String> = kinds_of_answers()
        .iter()
        .flat_map(|(_, intent)| carried_out(intent).settings.expect("settings").into_keys())
        .filter(|name| contract::settings::ALL.iter().any(|setting| setting.name == name))
        .filter(|name| name != MIMECAST_SENTINEL_PACKAGE)
        .collect();
    given.sort_unstable();
    given.dedup();
    let mut of_answers: Vec<&str> = crate::plan::setting::of_answers().collect();
    of_answers.sort_unstable();
    assert_eq!(given, of_answers);
}

#[test]
fn settings_that_other_answers_had_set_go_and_those_that_no_answers_give_stay() {
    let kinds = kinds_of_answers();
    for (from, before) in &kinds {
        for (to, after) in &kinds {
            let at = format!("{from} to {to}");
            let mut inventory = carried_out(before);
            let there = inventory.settings.as_mut().expect("settings");
            there.insert("MIMECAST_PAGE_SIZE".to_owned(), "100".to_owned());
            let mut wanted = carried_out(after).settings.expect("settings");
            wanted.insert("MIMECAST_PAGE_SIZE".to_owned(), "100".to_owned());
            let plan = plan(after, &inventory, Some(&package())).expect("a plan");
            let mut merged = inventory.settings.expect("settings");
            let step = plan.steps.iter().find(|step| step.key == "settings");
            assert_eq!(step.is_none(), from == to, "{at}");
            let Some(step) = step else { continue };
            let (Action::MergeSettings { set, remove, .. }, Change::Update(changes)) =
                (&step.action, &step.change)
            else {
                panic!("{at}: {step:?}")
            };
            for name in remove {
                let path = format!("settings.{name}");
                let shown = changes.iter().find(|change| change.path == path).expect(&path);
                assert!(shown.after.is_null() && shown.before.is_some(), "{at}: {shown:?}");
                merged.remove(name).expect(&at);
            }
            merged.extend(set.clone());
            let names = |settings: &BTreeMap<String, String>| settings.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&merged), names(&wanted), "{at}");
        }
    }
}

#[test]
fn a_setting_added_by_hand_that_answers_decide_is_named_and_a_secret_is_not_shown() {
    let intent = intent(NO_CONTENT);
    for (name, value, shown) in [
        ("MIMECAST_CATEGORIES", "account_logs", "account_logs"),
        ("MIMECAST_ACCOUNTS", "a,b", "a,b"),
        ("MIMECAST_SECRET_KEY", "canary-of-a-person", "a value that is not shown"),
    ] {
        let mut inventory = carried_out(&intent);
        inventory.settings.as_mut().expect("settings").insert(name.to_owned(), value.to_owned());
        let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
        assert_eq!(keys(&plan), ["settings"], "{name}");
        let Action::MergeSettings { set, remove, .. } = &plan.steps[0].action else {
            panic!("{:?}", plan.steps[0])
        };
        assert_eq!((set.len(), remove.as_slice()), (0, &[name.to_owned()][..]));
        let Change::Update(changes) = &plan.steps[0].change else { panic!("{:?}", plan.steps[0].change) };
        assert_eq!(changes[0].before, Some(json!(shown)));
        assert!(!serde_json::to_string(&plan).expect("JSON").contains("canary"));
    }
    // A literal in the place of a reference is put right, and not shown either.
    let mut inventory = carried_out(&intent);
    let settings = inventory.settings.as_mut().expect("settings");
    settings.insert("MIMECAST_CLIENT_SECRET".to_owned(), "canary-of-a-person".to_owned());
    let plan = plan(&intent, &inventory, Some(&package())).expect("a plan");
    assert_eq!(keys(&plan), ["settings"]);
    assert!(!serde_json::to_string(&plan).expect("JSON").contains("canary"));
}

#[test]
fn a_trial_puts_back_the_settings_that_its_plan_takes_away_but_the_injected_one() {
    let kinds = kinds_of_answers();
    let (before, after) = (&kinds[1].1, &kinds[0].1);
    let mut inventory = carried_out(before);
    let settings = inventory.settings.as_mut().expect("settings");
    settings.insert("AzureWebJobsStorage".to_owned(), "DefaultEndpointsProtocol=https".to_owned());
    let plan = crate::plan::upgrade(after, &inventory, Some(&package()), 60).expect("a plan");
    let trial = plan.steps.iter().find_map(|step| match &step.action {
        Action::TryPackage(trial) => Some(trial),
        _ => None,
    });
    let before = &trial.expect("a trial").before.settings;
    assert_eq!(before.get("MIMECAST_CATEGORIES"), Some(&Some("account_logs".to_owned())));
    assert!(!before.contains_key("AzureWebJobsStorage"));
}
