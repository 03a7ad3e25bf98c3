//! Sign-in and managed identities.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use simulator::entra::{Audience, Denied, caller};
use simulator::state::principal::FederatedCredential;
use simulator::{Options, Simulator};

use crate::support::client;

async fn token(simulator: &Simulator, changes: &[(&str, &str)]) -> (u16, Value) {
    let person = simulator.person();
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_id", &person.client_id),
        ("client_secret", person.client_secret.expose()),
        ("scope", "https://management.azure.com/.default"),
    ];
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    let url = format!("{}{}/oauth2/v2.0/token", simulator.state().endpoints().entra, person.tenant_id);
    let response = client(simulator).post(url).form(&form).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn bearer(token: &Value) -> HeaderMap {
    let text = format!("Bearer {}", token["access_token"].as_str().unwrap());
    [(AUTHORIZATION, text.parse().unwrap())].into_iter().collect()
}

#[tokio::test]
async fn a_secret_gives_a_token_for_one_service_that_ends_by_the_simulators_clock() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let state = simulator.state();
    let (status, answer) = token(&simulator, &[]).await;
    assert_eq!(status, 200, "{answer}");
    let headers = bearer(&answer);

    let who = caller(&headers, Audience::ResourceManager, state).unwrap();
    assert_eq!(who.object_id, simulator.person().object_id);
    assert_eq!(who.client_id, simulator.person().client_id);
    let wrong = caller(&headers, Audience::KeyVault, state);
    assert!(matches!(wrong, Err(Denied::WrongAudience(_))), "{wrong:?}");

    simulator.clock().advance(Duration::from_secs(3_598));
    assert!(caller(&headers, Audience::ResourceManager, state).is_ok());
    simulator.clock().advance(Duration::from_secs(2));
    let late = caller(&headers, Audience::ResourceManager, state);
    assert!(matches!(late, Err(Denied::Expired { .. })), "{late:?}");
}

#[tokio::test]
async fn a_token_that_was_changed_is_invalid() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let (_, answer) = token(&simulator, &[]).await;
    let parts: Vec<&str> = answer["access_token"].as_str().unwrap().split('.').collect();
    let mut claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    assert_eq!(claims["tid"], simulator.person().tenant_id);
    claims["aud"] = json!("https://vault.azure.net");
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    let forged = json!({"access_token": format!("{}.{claims}.{}", parts[0], parts[2])});
    assert_eq!(caller(&bearer(&forged), Audience::KeyVault, simulator.state()), Err(Denied::Invalid));
    assert_eq!(caller(&HeaderMap::new(), Audience::KeyVault, simulator.state()), Err(Denied::Missing));
}

#[tokio::test]
async fn sign_in_is_refused_with_entras_codes() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    for (change, expected_status, expected_code) in [
        (("client_secret", "wrong"), 401, 7_000_215),
        (("client_id", "00000000-0000-0000-0000-000000000009"), 400, 700_016),
        (("scope", "https://unknown.example.com/.default"), 400, 500_011),
        (("scope", "https://management.azure.com"), 400, 1_002_012),
        (("grant_type", "device_code"), 400, 70_003),
    ] {
        let (status, answer) = token(&simulator, &[change]).await;
        assert_eq!((status, &answer["error_codes"][0]), (expected_status, &json!(expected_code)), "{answer}");
    }
    simulator.clock().advance(Duration::from_secs(181 * 24 * 3_600));
    let (status, answer) = token(&simulator, &[]).await;
    assert_eq!((status, &answer["error_codes"][0]), (401, &json!(7_000_222)));
}

#[tokio::test]
async fn a_federated_assertion_signs_in_when_issuer_subject_and_audience_are_known() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let mut principal = simulator.state().principal(&simulator.person().object_id).unwrap();
    principal.federated.push(FederatedCredential {
        issuer: "https://issuer.example.com".to_owned(),
        subject: "repo:example/project".to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
    });
    simulator.state().add_principal(principal);
    let expires = simulator.state().now().unix_timestamp() + 600;
    let assertion = |subject: &str| {
        let claims = json!({"iss": "https://issuer.example.com", "sub": subject,
                            "aud": "api://AzureADTokenExchange", "exp": expires});
        format!("e30.{}.e30", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let good = assertion("repo:example/project");
    let (status, answer) =
        token(&simulator, &[("client_secret", ""), kind, ("client_assertion", &good)]).await;
    assert_eq!(status, 200, "{answer}");
    let other = assertion("repo:example/other");
    let (status, answer) =
        token(&simulator, &[("client_secret", ""), kind, ("client_assertion", &other)]).await;
    assert_eq!((status, &answer["error_codes"][0]), (400, &json!(700_213)), "{answer}");
}
