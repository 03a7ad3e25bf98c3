//! What somebody changed by hand.

use super::*;

#[test]
fn drift_in_any_one_property_is_shown_as_exactly_that_property() {
    // The content has a test of its own, and rendering it hundreds of times takes minutes.
    let intent = intent(
        "content: {connector_page: false, workbook: false, rules: off, hunting: false, asim: false}\n",
    );
    let whole = carried_out(&intent);
    let templates = Templates::read().expect("templates");
    let mut seen = 0;
    for resource in desired(templates, &intent, &whole).expect("rendered") {
        if !matches!(resource.conduct, Conduct::Own | Conduct::Site) {
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
            let plan = plan(&intent, &drifted, Some(&package())).expect("a plan");
            if leaf.ends_with("/workspaceResourceId") {
                // BR-090: cannot be put back in place, so it is refused.
                assert!(plan.findings.iter().any(|finding| finding.id == "workspace-changed"), "{at}");
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
    assert!(seen > 100, "{seen} properties");
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
