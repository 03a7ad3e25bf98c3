//! The template against Microsoft's own JSON Schemas of the template language and of each resource.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};

use jsonschema::{Draft, Retrieve, Uri, Validator};
use serde_json::{Value, json};

use super::template;

/// The address that the schemas name each other by.
const ADDRESS: &str = "https://schema.management.azure.com/schemas/";

/// Where a schema has another idea of a resource than Azure has: type, place in it, and why.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        "",
        "the nearest version that is described, 2024-11-30, asks for `properties`, which ours does not have",
    ),
    (
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        "/name",
        "the limit is that of the container's own name, a template's name has the account's before it",
    ),
    (
        "Microsoft.Resources/deployments",
        "/properties",
        "`Inner` is written `inner` in the documentation, and values of parameters are described as objects",
    ),
    (
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
        "",
        "told apart by names that are no expressions",
    ),
    ("Microsoft.Web/sites/extensions", "", "told apart by names that are no expressions"),
    (
        "Microsoft.Insights/dataCollectionRules",
        "/kind",
        "`Direct` is documented and not in the list of the nearest version that is described, 2024-03-11",
    ),
    (
        "Microsoft.Insights/dataCollectionRules",
        "/properties",
        "streams of one's own, `Custom-…`, are not in that list",
    ),
];

/// Microsoft's schemas, where the machine has them
/// (<https://github.com/Azure/azure-resource-manager-schemas>).
#[expect(clippy::print_stderr, reason = "a skipped check says so in the test's output")]
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/openapi/arm-json-schemas/schemas");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: ../shared/openapi/arm-json-schemas is not there");
    None
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}

/// Finds what a schema refers to among the files.
struct Files(PathBuf);

impl Retrieve for Files {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let name = uri.as_str().trim_end_matches('#').strip_prefix(ADDRESS).ok_or("an address elsewhere")?;
        Ok(serde_json::from_slice(&std::fs::read(self.0.join(name))?)?)
    }
}

fn validator(folder: &Path, schema: &Value) -> Validator {
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .with_retriever(Files(folder.to_owned()))
        .build(schema)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn faults(validator: &Validator, instance: &Value) -> Vec<String> {
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The template and every nested one in it.
fn templates(whole: &Value) -> Vec<Value> {
    let mut all = vec![whole.clone()];
    for resource in whole["resources"].as_array().expect("resources") {
        if let Some(nested) = resource.pointer("/properties/template") {
            all.extend(templates(nested));
        }
    }
    all
}

/// The file and the place of a type's schema, and its API version: the template's own where Microsoft's
/// files have it, else the one that they have.
fn definition(folder: &Path, resource_type: &str, version: &str) -> Option<(PathBuf, String, Value)> {
    let (namespace, kinds) = resource_type.split_once('/').expect("a type");
    let kinds = kinds.replace('/', "_");
    let mut found = BTreeMap::new();
    for of_version in std::fs::read_dir(folder).expect("a folder") {
        let of_version = of_version.expect("an entry").path();
        for file in std::fs::read_dir(&of_version).expect("a folder") {
            let file = file.expect("an entry").path();
            if !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(namespace)) {
                continue;
            }
            let schema = read(&file);
            let groups =
                ["resourceDefinitions", "extension_resourceDefinitions", "unknown_resourceDefinitions"];
            let place = groups.iter().find(|group| !schema[**group][&kinds].is_null());
            if let Some(group) = place {
                let versions = schema[group][&kinds]["properties"]["apiVersion"]["enum"].clone();
                let exact = versions[0] == version;
                found.insert((!exact, file), (format!("/{group}/{kinds}"), versions[0].clone()));
            }
        }
    }
    found.into_iter().next().map(|((_, file), (place, version))| (file, place, version))
}

/// The frame of the language: what a template has beside the resources' own bodies.
fn frame(folder: &Path) -> Validator {
    let mut schema = read(&folder.join("2019-04-01/deploymentTemplate.json"));
    // It lists every resource of Azure by an address of its own; ours are looked up one by one below.
    schema["definitions"]["resource"] = json!({ "$ref": "#/definitions/resourceBase" });
    // An object there, and an object or an expression in the schema of every resource that has tags.
    schema["definitions"]["resourceBase"]["allOf"][1]["properties"]["tags"] =
        json!({ "type": ["object", "string"] });
    // Its own definitions are meant, not those of the file.
    schema.as_object_mut().expect("an object").remove("id");
    validator(folder, &schema)
}

#[test]
fn template_and_resources_are_as_microsofts_schemas_have_them() {
    let Some(folder) = folder() else { return };
    let frame = frame(&folder);
    let mut checked = BTreeMap::new();
    let mut met = BTreeSet::new();
    for template in templates(&template()) {
        assert_eq!(faults(&frame, &template), [""; 0]);
        for resource in template["resources"].as_array().expect("resources") {
            let resource_type = resource["type"].as_str().expect("a type");
            let version = resource["apiVersion"].as_str().expect("a version");
            let Some((file, place, known)) = definition(&folder, resource_type, version) else {
                eprintln!("skipped: no file describes {resource_type}");
                continue;
            };
            let validator = checked.entry(resource_type.to_owned()).or_insert_with(|| {
                let name = file.strip_prefix(&folder).expect("in the folder").display().to_string();
                validator(&folder, &json!({ "$ref": format!("{ADDRESS}{name}#{place}") }))
            });
            let mut resource = resource.clone();
            resource["apiVersion"] = known;
            for error in validator.iter_errors(&resource) {
                let place = error.instance_path().to_string();
                let known = KNOWN.iter().position(|(kind, at, _)| *kind == resource_type && *at == place);
                let known = known
                    .unwrap_or_else(|| panic!("{resource_type} by {}: {place}: {error}", file.display()));
                met.insert(known);
            }
        }
    }
    assert!(checked.len() >= 17, "{:?}", checked.keys());
    // One that is met no more is no exception any more.
    assert_eq!(met.len(), KNOWN.len(), "{met:?}");
}

#[test]
fn what_the_language_does_not_have_is_found() {
    let Some(folder) = folder() else { return };
    let mut wrong = template();
    wrong["parameters"]["appName"]["type"] = json!("text");
    assert!(!frame(&folder).is_valid(&wrong));
}
