//! Ways of signing in, which one worked, and what its tokens are used for.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use azure_identity::Executor;
use contract::secret::Secret;
use installer::azure::{AuthMethod, Azure, AzureError, EnvironmentValues, PrincipalKind, SignedIn};
use serde_json::json;

use super::stand::{CLIENT_SECRET, OBJECT, Stand, Surroundings, TENANT, id, token, turn};

/// Stands for `az` and `azd`: what each start of them prints, in order.
#[derive(Debug, Default)]
struct Tools {
    outputs: Mutex<VecDeque<Result<String, String>>>,
    commands: Mutex<Vec<String>>,
}

impl Tools {
    fn printing(outputs: impl IntoIterator<Item = Result<String, String>>) -> Arc<Self> {
        Arc::new(Self { outputs: Mutex::new(outputs.into_iter().collect()), commands: Mutex::default() })
    }

    fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Executor for Tools {
    async fn run(&self, _program: &OsStr, arguments: &[&OsStr]) -> std::io::Result<Output> {
        let command: Vec<_> = arguments.iter().map(|each| each.to_string_lossy()).collect();
        self.commands.lock().unwrap().push(command.join(" "));
        let output = self.outputs.lock().unwrap().pop_front().expect("one more start than expected");
        let (code, stdout, stderr) = match output {
            Ok(stdout) => (0, stdout, String::new()),
            Err(stderr) => (1 << 8, String::new(), stderr),
        };
        Ok(Output { status: ExitStatus::from_raw(code), stdout: stdout.into(), stderr: stderr.into() })
    }
}

fn az_token(number: usize, expires_on: i64) -> Result<String, String> {
    let token = json!({"accessToken": token(number), "expires_on": expires_on, "tokenType": "Bearer"});
    Ok(token.to_string())
}

/// A time as the tools print it: seconds since 1970, far ahead.
const FAR_AHEAD: i64 = 4_102_444_800;

fn no_environment() -> EnvironmentValues {
    EnvironmentValues::read(|_| None)
}

// BR-137: the token is asked of the tenant that was given, not of the environment's own.
#[tokio::test]
async fn a_secret_of_the_environment_signs_in_to_the_tenant_that_was_asked_for() {
    let mut surroundings = Surroundings::new().await;
    surroundings.options.environment.tenant_id = Some("44444444-4444-4444-4444-444444444444".to_owned());
    surroundings.options.tenant = Some(TENANT.to_owned());
    let stand = surroundings.connect().await;
    let expected = SignedIn {
        method: AuthMethod::Environment,
        tenant_id: Some(TENANT.to_owned()),
        object_id: Some(OBJECT.to_owned()),
        name: Some("app-1".to_owned()),
        kind: PrincipalKind::ServicePrincipal,
    };
    assert_eq!(stand.azure.signed_in(), &expected);
    let entries = stand.ground.journal.entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].target, format!("/{TENANT}/oauth2/v2.0/token"));
    let form = String::from_utf8(entries[0].body.to_vec()).unwrap();
    for part in [
        "client_id=app-1",
        "grant_type=client_credentials",
        "scope=https%3A%2F%2Fmanagement.example.com%2F.default",
        &format!("client_secret={CLIENT_SECRET}"),
    ] {
        assert!(form.contains(part), "{part} in {form}");
    }
}

#[tokio::test]
async fn a_federated_token_of_a_file_signs_in() {
    for method in [AuthMethod::Workload, AuthMethod::Environment] {
        let mut surroundings = Surroundings::new().await;
        let file = surroundings.folder().join("federated");
        std::fs::write(&file, "federated-assertion").unwrap();
        surroundings.options.auth = method;
        surroundings.options.environment.client_secret = None;
        surroundings.options.environment.federated_token_file = Some(file);
        let stand = surroundings.connect().await;
        assert_eq!(stand.azure.signed_in().method, method);
        let form = String::from_utf8(stand.ground.journal.entries()[0].body.to_vec()).unwrap();
        assert!(form.contains("client_assertion=federated-assertion"), "{form}");
    }
}

// BR-138, BR-146
#[tokio::test]
async fn az_is_started_once_for_many_calls_and_again_when_the_token_ends() {
    let mut surroundings = Surroundings::new().await;
    let now = surroundings.clock.seconds();
    let tools = Tools::printing([az_token(0, now + 3_600), az_token(1, FAR_AHEAD)]);
    surroundings.options.auth = AuthMethod::Cli;
    surroundings.options.tenant = Some(TENANT.to_owned());
    // Announced, and not wanted: `cli` asks nobody but `az`.
    surroundings.options.environment.managed_identity = true;
    surroundings.options.executor = Some(tools.clone());
    let stand = surroundings.connect().await;
    let group = id("");
    let read = || turn("GET", group.path(), 200).json(json!({}));
    stand.expect([read(), read(), read(), read()]);
    stand.azure.get(&group, "2024-03-01").await.unwrap();
    // Five minutes before its end a token is renewed: not at 54 minutes, but at 61.
    stand.clock.advance(Duration::from_secs(54 * 60));
    stand.azure.get(&group, "2024-03-01").await.unwrap();
    assert_eq!(tools.commands().len(), 1);
    stand.clock.advance(Duration::from_secs(7 * 60));
    stand.azure.get(&group, "2024-03-01").await.unwrap();
    stand.azure.get(&group, "2024-03-01").await.unwrap();
    stand.done();
    let commands = tools.commands();
    assert_eq!(commands.len(), 2);
    assert!(commands[0].contains("az account get-access-token"), "{commands:?}");
    assert!(commands[0].contains(&format!("--tenant {TENANT}")), "{commands:?}");
    let last = stand.calls().pop().unwrap();
    assert_eq!(last.header("authorization"), Some(format!("Bearer {}", token(1)).as_str()));
    assert!(stand.ground.journal.entries().iter().all(|entry| entry.service != "entra"));
}

#[tokio::test]
async fn many_calls_at_once_ask_for_one_token() {
    let mut surroundings = Surroundings::new().await;
    let tools = Tools::printing([az_token(0, FAR_AHEAD), az_token(1, FAR_AHEAD)]);
    surroundings.options.auth = AuthMethod::Cli;
    surroundings.options.executor = Some(tools.clone());
    let stand = surroundings.connect().await;
    // The first is for Azure Resource Manager; one more is for the query.
    let answer = json!({"tables": [{"name": "PrimaryResult", "columns": [], "rows": []}]});
    stand.expect((0..8).map(|_| turn("POST", "/v1/workspaces/w/query", 200).json(answer.clone())));
    let queries = (0..8).map(|_| stand.azure.query("w", "print 1", "PT1H"));
    for result in futures::future::join_all(queries).await {
        result.unwrap();
    }
    stand.done();
    assert_eq!(tools.commands().len(), 2);
}

#[tokio::test]
async fn automatic_sign_in_takes_the_first_way_that_works_and_says_which() {
    // No service in the environment: `az` is not signed in, `azd` is.
    let mut surroundings = Surroundings::new().await;
    let azd = json!({"token": token(0), "expiresOn": "2099-12-31T00:00:00Z"});
    let tools =
        Tools::printing([Err("Please run 'az login' to setup account.".to_owned()), Ok(azd.to_string())]);
    surroundings.options.auth = AuthMethod::Auto;
    surroundings.options.environment = no_environment();
    surroundings.options.executor = Some(tools.clone());
    let stand = surroundings.connect().await;
    assert_eq!(stand.azure.signed_in().method, AuthMethod::Azd);
    assert!(tools.commands()[1].contains("azd auth token"), "{:?}", tools.commands());

    // A complete service in the environment comes first, and `az` is not started.
    let mut surroundings = Surroundings::new().await;
    let tools = Tools::printing([]);
    surroundings.options.auth = AuthMethod::Auto;
    surroundings.options.executor = Some(tools.clone());
    let stand = surroundings.connect().await;
    assert_eq!(stand.azure.signed_in().method, AuthMethod::Environment);
    assert!(tools.commands().is_empty());
}

#[tokio::test]
async fn who_cannot_sign_in_reads_each_way_that_was_tried_and_what_to_do() {
    let mut surroundings = Surroundings::new().await;
    surroundings.options.auth = AuthMethod::Auto;
    surroundings.options.environment = no_environment();
    surroundings.options.executor = Some(Tools::printing([
        Err("ERROR: Please run 'az login' to setup account.".to_owned()),
        Err("ERROR: not logged in, run `azd auth login` to login".to_owned()),
    ]));
    let error = Azure::connect(surroundings.options).await.unwrap_err();
    let text = error.to_string();
    for part in ["cli (ERROR: Please run 'az login'", "azd ("] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("managed"), "never asked unless announced: {text}");
    assert!(!text.contains("aka.ms"), "the library's link is dropped for our own: {text}");
    assert!(error.hint().unwrap().text.contains("az login"));
}

#[tokio::test]
async fn an_environment_that_lacks_a_value_names_it() {
    for (missing, method) in [
        ("AZURE_TENANT_ID", AuthMethod::Environment),
        ("AZURE_CLIENT_ID", AuthMethod::Environment),
        ("AZURE_CLIENT_SECRET", AuthMethod::Environment),
        ("AZURE_FEDERATED_TOKEN_FILE", AuthMethod::Workload),
    ] {
        let mut surroundings = Surroundings::new().await;
        surroundings.options.auth = method;
        surroundings.options.environment = EnvironmentValues::read(|name| match name {
            "IDENTITY_ENDPOINT" | "AZURE_FEDERATED_TOKEN_FILE" => None,
            // Set and empty is not set.
            name if name == missing => Some(String::new()),
            _ => Some(TENANT.to_owned()),
        });
        let error = Azure::connect(surroundings.options).await.unwrap_err();
        assert!(error.to_string().contains(missing), "{error}");
        assert!(surroundings.ground.journal.entries().is_empty(), "nothing was sent");
    }
}

// BR-033, BR-145
#[tokio::test]
async fn what_entra_refuses_is_said_with_its_number_and_without_the_secret() {
    let refusing = Router::new().fallback(|| async {
        let body = json!({
            "error": "invalid_client",
            "error_description": "AADSTS7000215: Invalid client secret provided.",
            "error_codes": [7_000_215],
        });
        let response = Response::builder().status(401).header("content-type", "application/json");
        response.body(Body::from(body.to_string())).unwrap()
    });
    let surroundings = Surroundings::with_sign_in(refusing).await;
    let error = Azure::connect(surroundings.options).await.unwrap_err();
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");
    assert!(error.hint().unwrap().text.contains("*value*"), "{:?}", error.hint());
    assert!(!format!("{error} {error:?}").contains(CLIENT_SECRET));
}

#[tokio::test]
async fn a_token_of_another_tenant_stops_the_sign_in() {
    let mut surroundings = Surroundings::new().await;
    surroundings.options.tenant = Some("44444444-4444-4444-4444-444444444444".to_owned());
    let error = Azure::connect(surroundings.options).await.unwrap_err();
    assert!(matches!(&error, AzureError::WrongTenant { actual, .. } if actual == TENANT), "{error:?}");
    assert!(error.hint().unwrap().text.contains("az login --tenant 44444444"));
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named_before_anything_is_sent() {
    for (content, words) in [(None, "No such file"), (Some("no certificate"), "")] {
        let mut surroundings = Surroundings::new().await;
        let file = surroundings.folder().join("company.pem");
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        surroundings.options.certificates = Some(file);
        let error = Azure::connect(surroundings.options).await.unwrap_err();
        assert!(error.to_string().contains("company.pem"), "{error}");
        let AzureError::Certificates { source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains(words), "{source}");
        assert!(surroundings.ground.journal.entries().is_empty());
    }
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_trusted() {
    let mut surroundings = Surroundings::new().await;
    surroundings.options.certificates = None;
    let error = Azure::connect(surroundings.options).await.unwrap_err();
    assert!(matches!(error, AzureError::SignIn { .. }), "{error:?}");
    // What is wrong, and what can be done about it.
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(error.hint().expect("a hint").text.contains("SSL_CERT_FILE"), "{error}");
    assert!(surroundings.ground.journal.entries().is_empty());
}

#[tokio::test]
async fn nothing_that_can_be_printed_has_a_token_or_a_secret_in_it() {
    let mut surroundings = Surroundings::new().await;
    surroundings.options.environment.client_secret = Some(Secret::new(CLIENT_SECRET.to_owned()));
    let printed_before = format!("{:?}", surroundings.options);
    let stand: Stand = surroundings.connect().await;
    let printed = format!("{printed_before} {:?} {:?}", stand.azure, stand.azure.signed_in());
    assert!(!printed.contains("canary"), "{printed}");
}
