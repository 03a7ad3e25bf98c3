//! What the commands have in common at their beginning: answers, sign-in, package.

use std::collections::BTreeMap;
use std::path::Path;

use crate::answers::given::{Given, Origin, Problem, check_scalar, read_text};
use crate::answers::intent::{Account, Intent};
use crate::answers::keys::{self, Shape};
use crate::answers::secret::{SecretSource, Secrets, VaultSecret, usable};
use crate::answers::{Value, yaml};
use crate::azure::{AuthMethod, Azure, AzureError, Clock, ConnectOptions, EnvironmentValues, Timings};
use crate::check;
use crate::deploy::package::{Functions, Package};
use crate::plan::{PackageFacts, PackageSource};
use crate::ui::{Code, Event, Failure, Ui};
use crate::world::World;
use contract::cloud::CloudProfile;
use contract::secret::Secret;
use contract::settings::{self as names, MIMECAST_SENTINEL_ANSWERS, account_member};
use serde_json::json;

use super::arguments::{AnswerOptions, Global};

/// Variable that multiplies every delay; heeded under a custom cloud alone, where demonstrations and
/// tests run against a simulator that is not as slow as Azure.
const TIMINGS_SCALE: &str = "MIMECAST_SENTINEL_TIMINGS_SCALE";

/// Everything that was given: file, then environment, then flags, each stronger than the one before.
pub(crate) fn given(world: &World, global: &Global, options: &AnswerOptions) -> Result<Given, Failure> {
    given_over(world, global, options, Given::default())
}

/// The same over the answers that an installation carries.
pub(crate) fn given_over(
    world: &World,
    global: &Global,
    options: &AnswerOptions,
    recorded: Given,
) -> Result<Given, Failure> {
    let mut given = Given::secrets_from_environment(world);
    given.overlay(recorded);
    let mut problems = Vec::new();
    if let Some(path) = &options.answers {
        let text = world.read_text(path).map_err(|error| {
            let mut failure = Failure::of(&error);
            failure.chain.insert(0, format!("could not read the answers file `{}`", path.display()));
            failure
        })?;
        let file = path.display().to_string();
        match yaml::read(&text, |line| Origin::File { file: file.clone(), line }) {
            Ok(of_file) => given.overlay(of_file),
            Err(found) => problems.extend(found),
        }
    }
    match Given::from_environment(world) {
        Ok(of_environment) => given.overlay(of_environment),
        Err(found) => problems.extend(found),
    }
    match flags(global, options) {
        Ok(of_flags) => given.overlay(of_flags),
        Err(found) => problems.extend(found),
    }
    if problems.is_empty() { Ok(given) } else { Err(wrong(problems)) }
}

fn wrong(problems: Vec<Problem>) -> Failure {
    let count = problems.len();
    let what = if count == 1 {
        "the answers have a problem".to_owned()
    } else {
        format!("the answers have {count} problems")
    };
    Failure::problems(Code::Answers, what, problems)
}

fn flags(global: &Global, options: &AnswerOptions) -> Result<Given, Vec<Problem>> {
    let mut given = Given::default();
    let mut problems = Vec::new();
    let named = [
        ("--cloud", "azure.cloud", &global.cloud),
        ("--subscription", "azure.subscription_id", &global.subscription),
        ("--tenant", "azure.tenant_id", &global.tenant),
        ("--resource-group", "azure.resource_group", &global.resource_group),
        ("--name", "name", &global.name),
    ];
    for (flag, path, value) in named {
        let Some(value) = value else { continue };
        let shape = keys::find(path).map_or(Shape::Text, |key| key.shape);
        match check_scalar(shape, value) {
            Ok(text) => given.put(path, Value::Text(text), Origin::Flag(flag)),
            Err(message) => {
                problems.push(Problem { origin: Origin::Flag(flag), key: Some(path.to_owned()), message })
            }
        }
    }
    for pair in &options.set {
        let origin = Origin::Flag("--set");
        let Some((path, text)) = pair.split_once('=') else {
            // The text is not repeated: someone may have put a secret there.
            problems.push(Problem { origin, key: None, message: "takes KEY=VALUE".to_owned() });
            continue;
        };
        let read = match keys::resolve(path) {
            None => {
                let meant =
                    keys::nearest(path).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Err(format!("unknown key{meant}"))
            }
            Some(key) => read_text(key.shape, text),
        };
        match read {
            Ok(value) => given.put(path, value, origin),
            Err(message) => problems.push(Problem { origin, key: Some(path.to_owned()), message }),
        }
    }
    if problems.is_empty() { Ok(given) } else { Err(problems) }
}

/// The complete answers.
pub(crate) fn intent(world: &World, given: &Given) -> Result<Intent, Failure> {
    Intent::of(given, world).map_err(wrong)
}

/// The complete answers of an installation that was found in this cloud.
///
/// Whoever may write the app's settings could have recorded a cloud of their own there, in which every host
/// may see credentials: such answers are not used.
pub(crate) fn intent_in(world: &World, given: &Given, cloud: &CloudProfile) -> Result<Intent, Failure> {
    let intent = intent(world, given)?;
    if intent.cloud.custom() && !cloud.custom() {
        let message =
            format!("the recorded answers name a custom cloud, and this is the cloud `{}`", cloud.name);
        return Err(Failure::user(Code::ForeignHost, message));
    }
    Ok(Intent { cloud: cloud.clone(), ..intent })
}

/// The answers that an installation carries in its app's settings.
pub(crate) fn recorded(settings: Option<&BTreeMap<String, String>>) -> Result<Given, Failure> {
    let recorded = settings.and_then(|settings| settings.get(MIMECAST_SENTINEL_ANSWERS));
    let recorded = recorded.ok_or_else(|| {
        Failure::user(
            Code::NotRecorded,
            format!("the app has no setting `{MIMECAST_SENTINEL_ANSWERS}`; `install` writes it"),
        )
    })?;
    yaml::read(recorded, |_| Origin::Recorded).map_err(|problems| {
        Failure::problems(Code::NotRecorded, "the recorded answers cannot be read", problems)
    })
}

/// The cloud alone, for commands that need no answers.
pub(crate) fn cloud(world: &World, given: &Given) -> Result<CloudProfile, Failure> {
    crate::answers::intent::cloud(given, world).map_err(|message| Failure::user(Code::Answers, message))
}

/// The secrets that are not in a vault; those that are to be asked for are asked for.
pub(crate) async fn secrets(world: &World, ui: &Ui, intent: &Intent) -> Result<Secrets, Failure> {
    let sources = intent.secret_sources();
    let sources = sources.iter().map(|(key, source)| (key.as_str(), *source));
    Ok(composed(intent, read_secrets(world, ui, sources).await?))
}

/// Those of the secrets that can be had without asking anybody.
pub(crate) fn secrets_at_hand(world: &World, intent: &Intent) -> Secrets {
    let mut secrets = Secrets::default();
    for (key, source) in intent.secret_sources() {
        if let Ok(read) = Secrets::read(world, [(key.as_str(), source)]) {
            secrets.extend(read);
        }
    }
    composed(intent, secrets)
}

/// The same with the secret of each of several accounts.
fn composed(intent: &Intent, mut secrets: Secrets) -> Secrets {
    for (path, document) in documents(intent, &secrets) {
        secrets.insert(&path, document);
    }
    secrets
}

/// The secret of each of several accounts, by the path of its answers: one JSON object with what is
/// the account's own, which the worker reads by its identity.
fn documents(intent: &Intent, secrets: &Secrets) -> Vec<(String, Secret<String>)> {
    let scope = &intent.cloud.key_vault_scope;
    let kept = |secret: &VaultSecret| json!({ "key_vault": secret.uri(scope) });
    let accounts = intent.accounts.iter().filter(|account| !account.key.is_empty());
    let document = |account: &Account| {
        let mut document = serde_json::Map::new();
        let base_url = match VaultSecret::parse_reference(&account.base_url) {
            Some(secret) => kept(&secret),
            None => json!(account.base_url),
        };
        document.insert(account_member(names::MIMECAST_API), json!(account.api.text()));
        document.insert(account_member(names::MIMECAST_BASE_URL), base_url);
        for (word, source) in &account.secrets {
            let path = format!("{}.{word}", account.path);
            let value = match source {
                SecretSource::KeyVault(secret) => Some(kept(secret)),
                _ => secrets.value(&path).map(|value| json!(value.expose())),
            };
            if let (Some(value), Some(setting)) = (value, keys::resolve(&path).and_then(keys::Key::setting)) {
                document.insert(account_member(setting), value);
            }
        }
        (account.path.clone(), Secret::new(serde_json::Value::Object(document).to_string()))
    };
    accounts.map(document).collect()
}

/// Some secrets that are not in a vault. Nobody is asked before all the others could be read.
pub(crate) async fn read_secrets<'a>(
    world: &World,
    ui: &Ui,
    sources: impl IntoIterator<Item = (&'a str, &'a SecretSource)>,
) -> Result<Secrets, Failure> {
    let asked = |(_, source): &(&str, &SecretSource)| **source == SecretSource::Prompt && ui.asks(world);
    let (prompted, others): (Vec<_>, Vec<_>) = sources.into_iter().partition(asked);
    let mut secrets = Secrets::read(world, others).map_err(|errors| {
        Failure::problems(Code::Secret, "a secret could not be read", errors.iter().map(full))
    })?;
    for (key, _) in prompted {
        // Nobody to ask is told by reading it, above.
        while let Some(typed) = ui.ask_secret(world, key).await? {
            match usable(key, typed.expose()) {
                Ok(value) => {
                    secrets.insert(key, value);
                    break;
                }
                Err(error) => ui.explain("", &error.to_string()),
            }
        }
    }
    Ok(secrets)
}

/// An error about a secret with its cause.
pub(crate) fn full(error: &crate::answers::secret::SecretError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Signs in and says as whom.
pub(crate) async fn connect(
    world: &World,
    ui: &Ui,
    global: &Global,
    cloud: &CloudProfile,
    tenant: Option<&str>,
) -> Result<Azure, Failure> {
    let clock_world = world.clone();
    let azure = Azure::connect(ConnectOptions {
        auth: global.auth,
        cloud: cloud.clone(),
        tenant: tenant.map(str::to_owned),
        environment: EnvironmentValues::read(|name| world.variable(name).map(str::to_owned)),
        certificates: certificates(world).map(Path::to_path_buf),
        timings: timings(world, cloud),
        clock: Clock::new(move || clock_world.now()),
        executor: None,
    })
    .await
    .map_err(|error| {
        ui.say(Event::Checked { check: check::sign_in::refused(&error) });
        Failure::of(&error)
    })?;
    let listener = ui.clone();
    azure.tell_of_repeats(move |text| listener.say(Event::Note { text: text.to_owned() }));
    let signed_in = azure.signed_in();
    let unknown = || "unknown".to_owned();
    ui.say(Event::SignedIn {
        method: signed_in.method.name().to_owned(),
        account: signed_in.name.clone().or_else(|| signed_in.object_id.clone()).unwrap_or_else(unknown),
        tenant: signed_in.tenant_id.clone().unwrap_or_else(unknown),
        cloud: cloud.name.clone(),
    });
    Ok(azure)
}

/// Signs in as an app registration, with its secret.
pub(crate) async fn sign_in_as(
    world: &World,
    cloud: &CloudProfile,
    tenant_id: &str,
    client_id: Secret<String>,
    client_secret: Secret<String>,
) -> Result<Azure, AzureError> {
    let clock_world = world.clone();
    Azure::connect(ConnectOptions {
        auth: AuthMethod::Environment,
        cloud: cloud.clone(),
        tenant: Some(tenant_id.to_owned()),
        environment: EnvironmentValues {
            tenant_id: Some(tenant_id.to_owned()),
            client_id: Some(client_id.expose().clone()),
            client_secret: Some(client_secret),
            ..EnvironmentValues::default()
        },
        certificates: certificates(world).map(Path::to_path_buf),
        timings: timings(world, cloud),
        clock: Clock::new(move || clock_world.now()),
        executor: None,
    })
    .await
}

/// Every delay.
fn timings(world: &World, cloud: &CloudProfile) -> Timings {
    world
        .variable(TIMINGS_SCALE)
        .filter(|_| cloud.custom())
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|factor| factor.is_finite() && *factor >= 0.0)
        .map_or_else(Timings::default, |factor| Timings::default().scaled(factor))
}

/// The file of certificates to trust beside the system's.
pub(crate) fn certificates(world: &World) -> Option<&Path> {
    world.variable("SSL_CERT_FILE").or_else(|| world.variable("REQUESTS_CA_BUNDLE")).map(Path::new)
}

/// The worker package: the one that was given, else the one that is built in, if this build has one.
pub(crate) fn package(world: &World, file: Option<&Path>) -> Result<Option<Package>, Failure> {
    let Some(path) = file else {
        return match crate::deploy::package::BUILT_IN {
            Some(bytes) => Package::of(bytes.to_vec()).map(Some).map_err(|error| Failure::internal(&error)),
            None => Ok(None),
        };
    };
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let mut failure = Failure::of(error);
        failure.chain.insert(0, format!("could not use the worker package `{}`", path.display()));
        failure
    };
    let bytes = world.read_bytes(path).map_err(|error| failed(&error))?;
    Package::of(bytes).map(Some).map_err(|error| failed(&error))
}

/// The package as these answers need it: with the queue's function or without it.
pub(crate) fn fitted(package: Option<Package>, intent: &Intent) -> Result<Option<Package>, Failure> {
    let functions = if intent.work_queue() { Functions::TimerAndQueue } else { Functions::Timer };
    let fitted = package.map(|package| package.fitted(functions)).transpose();
    fitted.map_err(|error| Failure::of(&error))
}

/// What a plan needs to know of the package.
pub(crate) fn facts(package: Option<&Package>) -> Option<PackageFacts> {
    package.map(|package| PackageFacts {
        sha256: package.sha256.clone(),
        size_bytes: package.bytes.len() as u64,
        source: PackageSource::Given,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use contract::cloud::CloudProfile;

    use super::intent_in;
    use crate::answers::given::Origin;
    use crate::answers::yaml;
    use crate::ui::Code;
    use crate::world::World;

    #[test]
    fn recorded_answers_bring_no_cloud_of_their_own() {
        let recorded = |cloud: &str, base_url: &str| {
            let answers = serde_json::json!({
                "azure": {
                    "cloud": cloud,
                    "subscription_id": "00000000-0000-0000-0000-000000000001",
                    "resource_group": "rg-mimecast-audit",
                    "location": "westeurope",
                },
                "workspace": { "workspace_id": "00000000-0000-0000-0000-000000000002" },
                "mimecast": {
                    "base_url": base_url,
                    "client_id": { "env": "MIMECAST_CLIENT_ID" },
                    "client_secret": { "env": "MIMECAST_CLIENT_SECRET" },
                },
            });
            yaml::read(&answers.to_string(), |_| Origin::Recorded).expect("answers")
        };
        let world = World::with_environment(BTreeMap::new());
        let own = "https://api.services.mimecast.com";
        let public = CloudProfile::public();
        let intent = intent_in(&world, &recorded("public", own), &public).expect("our own");
        assert_eq!(intent.cloud, public);
        // Under the public cloud such a host is refused by itself; under a custom one it would be taken.
        let elsewhere = "https://mimecast.example.com";
        let refused = intent_in(&world, &recorded("public", elsewhere), &public).expect_err("refused");
        assert_eq!(refused.code, Code::Answers);
        let custom = serde_json::to_string(&public).expect("JSON");
        let refused = intent_in(&world, &recorded(&custom, elsewhere), &public).expect_err("refused");
        assert_eq!(refused.code, Code::ForeignHost);
    }
}
