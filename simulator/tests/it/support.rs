//! A client of the simulator that signs in and calls ARM.

use reqwest::{Certificate, Client, Method, Response};
use serde_json::{Value, json};
use simulator::state::principal::Principal;
use simulator::{Options, Simulator};

/// An https client that trusts the simulator alone.
pub(crate) fn client(simulator: &Simulator) -> Client {
    let pem = std::fs::read(simulator.ca_file()).unwrap();
    Client::builder().tls_certs_only([Certificate::from_pem(&pem).unwrap()]).build().unwrap()
}

/// The simulator and somebody signed in to its ARM.
pub(crate) struct Arm {
    pub(crate) simulator: Simulator,
    client: Client,
    token: String,
}

/// An answer of ARM.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: reqwest::header::HeaderMap,
}

impl Answer {
    /// The code of a refusal, in either shape.
    pub(crate) fn code(&self) -> &str {
        self.body
            .pointer("/error/code")
            .or_else(|| self.body.get("Code"))
            .and_then(Value::as_str)
            .unwrap_or("")
    }

    /// The message of a refusal, in either shape.
    pub(crate) fn message(&self) -> &str {
        let message = self.body.pointer("/error/message").or_else(|| self.body.get("Message"));
        message.and_then(Value::as_str).unwrap_or("")
    }

    /// Asserts that this is a refusal with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
    }

    /// Asserts that the call went well and gives the body.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        self.body
    }
}

impl Arm {
    /// Starts a simulator and signs in as the owner of its subscription.
    pub(crate) async fn start() -> Self {
        let simulator = Simulator::start(Options::default()).await.unwrap();
        let client = client(&simulator);
        let person = simulator.person();
        let (id, secret) = (person.client_id.clone(), person.client_secret.expose().clone());
        let token = sign_in(&simulator, &client, &id, &secret, "https://management.azure.com/.default").await;
        Self { simulator, client, token }
    }

    /// A second person without any right, and the same ARM as that person.
    pub(crate) async fn become_stranger(&mut self) -> Principal {
        let (principal, secret) = self.simulator.state().add_application("stranger");
        let scope = "https://management.azure.com/.default";
        self.token =
            sign_in(&self.simulator, &self.client, &principal.client_id, secret.expose(), scope).await;
        principal
    }

    /// A token of the person for another service.
    pub(crate) async fn token_for(&self, scope: &str) -> String {
        let person = self.simulator.person();
        sign_in(&self.simulator, &self.client, &person.client_id, person.client_secret.expose(), scope).await
    }

    pub(crate) fn group(&self) -> String {
        format!("/subscriptions/{}/resourceGroups/rg-mimecast-audit", self.simulator.subscription_id())
    }

    /// Makes the group of the tests and registers what it needs.
    pub(crate) async fn make_group(&self) {
        for namespace in ["Microsoft.ManagedIdentity", "Microsoft.KeyVault", "Microsoft.Web"] {
            self.simulator.state().set_registration(
                self.simulator.subscription_id(),
                namespace,
                simulator::state::subscription::Registration::Registered,
            );
        }
        self.put(&self.group(), "2021-04-01", json!({"location": "westeurope"})).await.good();
    }

    /// Calls ARM; `path` may be a whole URL.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let root = self.simulator.state().endpoints().resource_manager.clone();
        let url = root.join(path).unwrap();
        let mut request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, version: &str) -> Answer {
        self.call("GET", &with_version(path, version), None).await
    }

    pub(crate) async fn put(&self, path: &str, version: &str, body: Value) -> Answer {
        self.call("PUT", &with_version(path, version), Some(body)).await
    }

    pub(crate) async fn post(&self, path: &str, version: &str, body: Value) -> Answer {
        self.call("POST", &with_version(path, version), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, version: &str) -> Answer {
        self.call("DELETE", &with_version(path, version), None).await
    }

    /// A call to another service with a token of its own.
    pub(crate) async fn data(&self, method: &str, url: &str, token: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await.unwrap()).await
    }
}

async fn answer(response: Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}

fn with_version(path: &str, version: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}api-version={version}")
}

/// A token for a scope, by a client secret.
pub(crate) async fn sign_in(
    simulator: &Simulator,
    client: &Client,
    id: &str,
    secret: &str,
    scope: &str,
) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", secret),
        ("scope", scope),
    ];
    let url =
        format!("{}{}/oauth2/v2.0/token", simulator.state().endpoints().entra, simulator.person().tenant_id);
    let answer: Value = client.post(url).form(&form).send().await.unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}
