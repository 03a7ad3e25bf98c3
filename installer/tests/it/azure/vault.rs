//! Secrets of a key vault, by both doors.

use contract::secret::Secret;
use installer::azure::{Access, AzureError, NewVersion, SecretVersion, Standing, Vault};
use serde_json::{Value, json};

use super::stand::{Stand, id, turn};

const VALUE: &str = "canary \"va$lue`%#:\u{1f511}\\";

fn vault(stand: &Stand) -> Vault {
    Vault { id: id("/providers/Microsoft.KeyVault/vaults/kv-x"), uri: stand.root().clone() }
}

fn managed_path() -> String {
    id("/providers/Microsoft.KeyVault/vaults/kv-x/secrets/mimecast-client-secret").path().to_owned()
}

fn managed(version: &str) -> Value {
    json!({"name": "mimecast-client-secret", "properties": {
        "attributes": {"enabled": true, "created": 1_764_000_000, "updated": 1_764_000_000},
        "secretUri": "https://kv-x.vault.azure.net/secrets/mimecast-client-secret",
        "secretUriWithVersion": format!("https://kv-x.vault.azure.net/secrets/mimecast-client-secret/{version}")
    }})
}

fn expected(version: &str) -> SecretVersion {
    SecretVersion {
        version: version.to_owned(),
        created_secs: 1_764_000_000,
        enabled: true,
        standing: Standing::Settled,
    }
}

async fn set(stand: &Stand, access: Access) -> Result<SecretVersion, AzureError> {
    let value = Secret::new(VALUE.to_owned());
    stand.azure.set_secret(&vault(stand), "mimecast-client-secret", NewVersion::settled(&value), access).await
}

fn refusal(code: &str, inner: &str) -> Value {
    json!({"error": {"code": code, "message": "words", "innererror": {"code": inner}}})
}

// BR-162: byte for byte.
#[tokio::test]
async fn a_secret_is_written_through_resource_manager() {
    let stand = Stand::expecting([
        turn("PUT", managed_path(), 201).json(managed("v1")),
        turn("GET", managed_path(), 200).json(managed("v1")),
    ])
    .await;
    assert_eq!(set(&stand, Access::Standing).await.unwrap(), expected("v1"));
    stand.done();
    let call = &stand.calls()[0];
    assert!(call.target.ends_with("?api-version=2026-02-01"), "{}", call.target);
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(body["properties"]["value"], VALUE);
}

#[tokio::test]
async fn where_resource_manager_may_not_the_vault_itself_is_asked() {
    let data = json!({
        "id": "https://kv-x.vault.azure.net/secrets/mimecast-client-secret/v2", "value": VALUE,
        "attributes": {"enabled": true, "created": 1_764_000_000, "updated": 1_764_000_000}
    });
    let stand = Stand::expecting([
        turn("PUT", managed_path(), 403)
            .json(json!({"error": {"code": "AuthorizationFailed", "message": "no"}})),
        // A role that was given a moment ago.
        turn("PUT", "/secrets/mimecast-client-secret", 403).json(refusal("Forbidden", "ForbiddenByRbac")),
        turn("PUT", "/secrets/mimecast-client-secret", 200).json(data),
    ])
    .await;
    assert_eq!(set(&stand, Access::JustGranted).await.unwrap(), expected("v2"));
    stand.done();
    let body: Value = serde_json::from_slice(&stand.calls()[2].body).unwrap();
    assert_eq!(body["value"], VALUE);
    assert_eq!(stand.calls()[2].target, "/secrets/mimecast-client-secret?api-version=7.5");
}

#[tokio::test]
async fn a_refusal_that_no_waiting_helps_is_final() {
    for (access, inner) in
        [(Access::Standing, "ForbiddenByRbac"), (Access::JustGranted, "ForbiddenByFirewall")]
    {
        let stand = Stand::expecting([
            turn("PUT", managed_path(), 403)
                .json(json!({"error": {"code": "AuthorizationFailed", "message": "no"}})),
            turn("PUT", "/secrets/mimecast-client-secret", 403).json(refusal("Forbidden", inner)),
        ])
        .await;
        let error = set(&stand, access).await.unwrap_err();
        assert_eq!(error.code(), Some(inner));
        assert!(error.hint().is_some());
        stand.done();
    }
}

#[tokio::test]
async fn a_deleted_secret_of_the_name_is_recovered_first() {
    let stand = Stand::expecting([
        turn("PUT", managed_path(), 409).json(refusal("Conflict", "ObjectIsDeletedButRecoverable")),
        turn("POST", "/deletedsecrets/mimecast-client-secret/recover", 200).json(json!({})),
        turn("GET", "/secrets/mimecast-client-secret", 404).json(refusal("SecretNotFound", "")),
        turn("GET", "/secrets/mimecast-client-secret", 200).json(json!({"value": "old"})),
        turn("PUT", managed_path(), 200).json(managed("v3")),
        turn("GET", managed_path(), 200).json(managed("v3")),
    ])
    .await;
    assert_eq!(set(&stand, Access::Standing).await.unwrap(), expected("v3"));
    stand.done();
}

#[tokio::test]
async fn a_service_that_repeats_the_value_is_not_repeated_by_us() {
    let echo = json!({"error": {"code": "BadParameter", "message": format!("cannot take {VALUE}")}});
    let stand = Stand::expecting([turn("PUT", managed_path(), 400).json(echo)]).await;
    let error = set(&stand, Access::Standing).await.unwrap_err();
    stand.done();
    let shown = format!("{error} {error:?} {}", error.refusal().unwrap());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("BadParameter"), "{shown}");
}

#[tokio::test]
async fn a_secrets_version_and_value_are_read_or_absent() {
    let none = || json!({"error": {"code": "SecretNotFound", "message": "no"}});
    let stand = Stand::expecting([
        turn("GET", managed_path(), 200).json(managed("v4")),
        turn("GET", managed_path(), 404).json(none()),
        turn("GET", "/secrets/mimecast-client-secret", 200).json(json!({"value": VALUE})),
        turn("GET", "/secrets/mimecast-client-secret", 404).json(none()),
        turn("GET", "/secrets/mimecast-client-secret", 403).json(refusal("Forbidden", "ForbiddenByRbac")),
    ])
    .await;
    let (azure, vault, name) = (&stand.azure, vault(&stand), "mimecast-client-secret");
    assert_eq!(azure.secret_version(&vault, name).await.unwrap(), Some(expected("v4")));
    assert_eq!(azure.secret_version(&vault, name).await.unwrap(), None);
    assert_eq!(
        azure.secret_value(&vault, name, None, Access::Standing).await.unwrap(),
        Some(Secret::new(VALUE.to_owned()))
    );
    assert_eq!(azure.secret_value(&vault, name, None, Access::Standing).await.unwrap(), None);
    assert_eq!(
        azure.secret_value(&vault, name, None, Access::Standing).await.unwrap_err().code(),
        Some("ForbiddenByRbac")
    );
    stand.done();
}
