//! Microsoft's own descriptions of request bodies, for tests that check what is sent.
//!
//! The data lies beside the repository, in `../shared/openapi`: OpenAPI of some API versions, and the
//! type data of Bicep for newer ones. Both are turned into JSON Schema here: unknown properties and
//! read-only ones are errors, and enums that Microsoft leaves open are open.
//!
//! * [`swagger`]: OpenAPI 2.0; [`bicep`]: `types.json`.

use std::path::{Path, PathBuf};

use jsonschema::Draft;
use serde_json::{Value, json};

mod bicep;
mod swagger;

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The file that described the body.
    pub source: String,
    /// The API version that it describes.
    pub version: String,
    /// Whether that is the version that was asked for; else it is the nearest that is there.
    pub exact: bool,
    /// What is wrong, each with its place; empty where nothing is.
    pub errors: Vec<String>,
}

/// A body's schema.
struct Found {
    schema: Value,
    /// What stands in for the name in the path, where the schema depends on it.
    name: Option<String>,
}

/// A file that may describe a type.
struct Candidate {
    path: PathBuf,
    version: String,
    find: fn(&Path, &str) -> Option<Found>,
}

/// Where the data lies, if it is there.
pub fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/openapi");
    folder.is_dir().then_some(folder)
}

/// Checks the body of a `PUT` of a resource against every description of the wanted API version, or
/// else of the nearest.
///
/// `resource_type` is the namespace and the types, as `Microsoft.Web/sites`; where the body depends
/// on the name, with the name too, as `Microsoft.Web/sites/config/appsettings`. Gives nothing, and
/// prints why, where there is no data or none for the type.
#[expect(clippy::print_stderr, reason = "a skipped check says so in the test's output")]
pub fn check(resource_type: &str, api_version: &str, body: &Value) -> Option<Vec<Checked>> {
    let Some(folder) = folder() else {
        eprintln!("skipped: ../shared/openapi is not there, so {resource_type} was not checked");
        return None;
    };
    let mut checked: Vec<(u64, Checked)> = Vec::new();
    for (distance, candidate) in candidates(&folder, resource_type, api_version) {
        if checked.first().is_some_and(|(nearest, _)| *nearest < distance) {
            break;
        }
        if let Some(found) = (candidate.find)(&candidate.path, resource_type) {
            checked.push((distance, validate(&candidate, found, api_version, body)));
        }
    }
    if checked.is_empty() {
        eprintln!("skipped: ../shared/openapi describes no {resource_type}");
        return None;
    }
    Some(checked.into_iter().map(|(_, checked)| checked).collect())
}

/// The files that may describe a type, the nearest version first.
fn candidates(folder: &Path, resource_type: &str, api_version: &str) -> Vec<(u64, Candidate)> {
    let namespace = resource_type.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let swagger = files(&folder.join("specification"), ".json").into_iter().filter(|path| {
        let path = path.to_string_lossy();
        path.contains("/stable/") && !path.contains("/examples/") && path.contains("/resource-manager/")
    });
    let bicep = files(&folder.join("bicep-types"), "/types.json");
    let swagger = swagger.map(|path| (path, swagger::find as fn(&Path, &str) -> Option<Found>));
    let bicep = bicep.into_iter().map(|path| (path, bicep::find as fn(&Path, &str) -> Option<Found>));
    let mut all: Vec<(u64, Candidate)> = swagger
        .chain(bicep)
        .filter(|(path, _)| path.to_string_lossy().to_ascii_lowercase().contains(&format!("/{namespace}/")))
        .map(|(path, find)| {
            let version = path.parent().and_then(Path::file_name).unwrap_or_default();
            let version = version.to_string_lossy().into_owned();
            (distance(&version, api_version), Candidate { path, version, find })
        })
        .collect();
    all.sort_by_key(|(distance, _)| *distance);
    all
}

/// How far apart two API versions are, in days; they are dates.
fn distance(one: &str, other: &str) -> u64 {
    let days = |version: &str| {
        let mut parts = version.splitn(4, '-').map(|part| part.parse::<i64>().unwrap_or_default());
        let mut next = || parts.next().unwrap_or_default();
        next() * 365 + next() * 30 + next()
    };
    days(one).abs_diff(days(other))
}

fn validate(candidate: &Candidate, found: Found, api_version: &str, body: &Value) -> Checked {
    let mut body = body.clone();
    drop_nulls(&mut body);
    if let (Some(name), Some(object)) = (&found.name, body.as_object_mut()) {
        object.insert("name".to_owned(), json!(name));
    }
    let errors = match jsonschema::options().with_draft(Draft::Draft7).build(&found.schema) {
        Ok(validator) => {
            let describe =
                |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
            validator.iter_errors(&body).map(describe).collect()
        }
        Err(error) => vec![format!("the schema made from {} is wrong: {error}", candidate.path.display())],
    };
    Checked {
        source: candidate.path.display().to_string(),
        exact: candidate.version == api_version,
        version: candidate.version.clone(),
        errors,
    }
}

/// Leaves out properties that are null: to Azure they are not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Every file under a folder with this name ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                all.push(path);
            }
        }
    }
    all.sort();
    all
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
