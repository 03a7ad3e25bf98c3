//! The management crates behind one adapter.
//!
//! `azure_mgmt_storage` and `azure_mgmt_web` make the requests and carry the bodies; their
//! generation of `azure_core` (0.21) gets our credential and our client, so that their calls have
//! the same host check, retry loop, request ids and error tree as all others. Their pollers are not
//! used: an operation's first answer is taken by `.send()` and watched by [`super::operation`].
//!
//! Every model that is relied on has a test below, and so has the fault that keeps sites and plans
//! out of here: `azure_mgmt_web` reads and writes 163 enum fields as XML text.

mod storage;
mod web;

use std::sync::Arc;

use azure_core_legacy as legacy;
use azure_core_legacy::auth::{AccessToken, Secret as LegacySecret, TokenCredential};
use azure_core_legacy::error::ErrorKind;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use storage::NameCheck;
pub use web::Function;

use super::Azure;
use super::error::AzureError;
use super::http::{ANSWER_LIMIT_BYTES, Answer, Call, require_resource_manager};

/// The header in which our id of a request travels through the library's answer.
const REQUEST_ID: &str = "x-ms-request-id";

/// What a management client of either crate is built from, for one call.
struct Parts {
    endpoint: url::Url,
    credential: Arc<dyn TokenCredential>,
    scopes: Vec<String>,
    options: legacy::ClientOptions,
}

impl Azure {
    /// The parts of a client whose calls are described as `what`.
    fn management(&self, what: &str) -> Parts {
        let door = Door { azure: self.clone(), what: what.to_owned() };
        Parts {
            endpoint: self.inner.cloud.resource_manager.clone(),
            credential: Arc::new(door.clone()),
            scopes: vec![self.inner.cloud.resource_manager_scope.clone()],
            options: legacy::ClientOptions::new(legacy::TransportOptions::new(Arc::new(door)))
                // Ours is the one retry loop.
                .retry(legacy::RetryOptions::none()),
        }
    }
}

/// Our client, as the older `azure_core` wants it.
#[derive(Debug, Clone)]
struct Door {
    azure: Azure,
    what: String,
}

#[async_trait::async_trait]
impl TokenCredential for Door {
    async fn get_token(&self, scopes: &[&str]) -> legacy::Result<AccessToken> {
        let scope = scopes.first().copied().unwrap_or_default();
        let token = self.azure.inner.tokens.get(scope).await.map_err(wrap)?;
        Ok(AccessToken::new(LegacySecret::new(token.token.secret().to_owned()), token.expires_on))
    }

    async fn clear_cache(&self) -> legacy::Result<()> {
        // Tokens that a service refuses are forgotten where the refusal arrives.
        Ok(())
    }
}

#[async_trait::async_trait]
impl legacy::HttpClient for Door {
    async fn execute_request(&self, request: &legacy::Request) -> legacy::Result<legacy::Response> {
        let cloud = &self.azure.inner.cloud;
        // The library follows `nextLink` by itself, through here.
        require_resource_manager(cloud, request.url(), &self.what).map_err(wrap)?;
        let method = Method::from_bytes(request.method().to_string().as_bytes())
            .map_err(|error| legacy::Error::new(ErrorKind::DataConversion, error))?;
        let mut call =
            Call::new(self.what.clone(), method, request.url().clone(), &cloud.resource_manager_scope);
        for (name, value) in request.headers().iter() {
            let name = HeaderName::from_bytes(name.as_str().as_bytes())
                .map_err(|error| legacy::Error::new(ErrorKind::DataConversion, error))?;
            // The call is authorised where it is sent, which can renew a token that was refused.
            if ![AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT].contains(&name) {
                call.headers.push((name, value.as_str().to_owned()));
            }
        }
        match request.body() {
            legacy::Body::Bytes(bytes) if bytes.is_empty() => {}
            legacy::Body::Bytes(bytes) => {
                let mut body: Value = serde_json::from_slice(bytes)
                    .map_err(|error| legacy::Error::new(ErrorKind::DataConversion, error))?;
                without_nulls(&mut body);
                call = call.json(&body);
            }
            legacy::Body::SeekableStream(_) => {
                return Err(legacy::Error::message(ErrorKind::Other, "no call of ours streams its body"));
            }
        }
        let answer = self.azure.send(&call).await.map_err(wrap)?;

        let status = legacy::StatusCode::try_from(answer.status)
            .map_err(|error| legacy::Error::message(ErrorKind::DataConversion, error.to_string()))?;
        let mut headers = legacy::headers::Headers::new();
        for (name, value) in &answer.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        headers.insert(REQUEST_ID, answer.request_id);
        let body = answer.body;
        let stream = futures::stream::once(futures::future::ready(Ok(body)));
        Ok(legacy::Response::new(status, headers, Box::pin(stream)))
    }
}

/// Takes out what some models write for properties that only Azure may set: `"deletedTime": null`.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Our error, on its way through the library.
fn wrap(error: AzureError) -> legacy::Error {
    legacy::Error::new(ErrorKind::Other, error)
}

/// Our error again, or the library's own.
fn unwrap(what: &str, error: legacy::Error) -> AzureError {
    match error.into_downcast::<AzureError>() {
        Ok(ours) => ours,
        Err(theirs) => AzureError::Library { what: what.to_owned(), source: Box::new(theirs) },
    }
}

/// The raw answer of a call, as our own calls have it.
async fn answer(what: &str, response: legacy::Response) -> Result<Answer, AzureError> {
    let (status, their_headers, body) = response.deconstruct();
    let body: Bytes = body.collect().await.map_err(|error| unwrap(what, error))?;
    if body.len() > ANSWER_LIMIT_BYTES {
        return Err(AzureError::TooLong { what: what.to_owned(), limit_bytes: ANSWER_LIMIT_BYTES });
    }
    let mut headers = HeaderMap::new();
    for (name, value) in their_headers.iter() {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_str().as_bytes()), HeaderValue::from_str(value.as_str()))
        {
            headers.insert(name, value);
        }
    }
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    Ok(Answer { status: status.into(), headers, body, request_id })
}

/// A body as the library's model of it, which must carry every property: a model that is older than
/// a template would drop some silently.
fn model<Model: DeserializeOwned + Serialize>(what: &str, body: &Value) -> Result<Model, AzureError> {
    let unfit = |source| AzureError::Model { what: what.to_owned(), source };
    let model: Model = serde_json::from_value(body.clone()).map_err(|error| unfit(error.into()))?;
    let carried = serde_json::to_value(&model).map_err(|error| unfit(error.into()))?;
    match dropped(body, &carried, "") {
        None => Ok(model),
        Some(path) => Err(unfit(format!("it would drop or change `{path}`").into())),
    }
}

/// The path of the first property of `body` that `carried` lacks or has otherwise.
fn dropped(body: &Value, carried: &Value, path: &str) -> Option<String> {
    match (body, carried) {
        (Value::Object(body), Value::Object(carried)) => body.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match carried.get(key) {
                Some(carried) => dropped(value, carried, &path),
                None if value.is_null() => None,
                None => Some(path),
            }
        }),
        (Value::Array(body), Value::Array(carried)) if body.len() == carried.len() => body
            .iter()
            .zip(carried)
            .enumerate()
            .find_map(|(at, (body, carried))| dropped(body, carried, &format!("{path}[{at}]"))),
        (body, carried) => (body != carried).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use azure_mgmt_storage::models as storage;
    use azure_mgmt_web::models as web;
    use serde_json::{Value, json};

    use super::{AzureError, model};

    #[test]
    fn the_storage_models_carry_what_the_templates_send() {
        let account = json!({
            "sku": {"name": "Standard_LRS"},
            "kind": "StorageV2",
            "location": "westeurope",
            "tags": {"mimecast-sentinel-installation": "mimecast-audit", "owner": "secops"},
            "properties": {
                "accessTier": "Hot",
                "allowBlobPublicAccess": false,
                "allowCrossTenantReplication": false,
                "allowSharedKeyAccess": false,
                "defaultToOAuthAuthentication": true,
                "minimumTlsVersion": "TLS1_2",
                "supportsHttpsTrafficOnly": true,
                "publicNetworkAccess": "Enabled",
                "networkAcls": {"bypass": "AzureServices", "defaultAction": "Allow"}
            }
        });
        model::<storage::StorageAccountCreateParameters>("writing", &account).unwrap();
        model::<storage::BlobContainer>("writing", &json!({"properties": {"publicAccess": "None"}})).unwrap();
        model::<storage::StorageQueue>("writing", &json!({"properties": {"metadata": {"a": "b"}}})).unwrap();
    }

    #[test]
    fn a_property_that_a_model_would_drop_is_named() {
        let body = json!({
            "sku": {"name": "Standard_LRS"}, "kind": "StorageV2", "location": "westeurope",
            "properties": {"inventedByTomorrow": true}
        });
        let error = model::<storage::StorageAccountCreateParameters>("writing", &body).unwrap_err();
        let AzureError::Model { source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains("properties.inventedByTomorrow"), "{source}");
    }

    #[test]
    fn the_name_check_asks_for_storage_accounts() {
        let asked = storage::StorageAccountCheckNameAvailabilityParameters::new(
            "stx".to_owned(),
            storage::storage_account_check_name_availability_parameters::Type::MicrosoftStorageStorageAccounts,
        );
        let expected = json!({"name": "stx", "type": "Microsoft.Storage/storageAccounts"});
        assert_eq!(serde_json::to_value(asked).unwrap(), expected);
        let answer = json!({"nameAvailable": false, "reason": "AlreadyExists", "message": "taken"});
        let read: storage::CheckNameAvailabilityResult = serde_json::from_value(answer).unwrap();
        assert_eq!(read.name_available, Some(false));
        assert_eq!(read.message.as_deref(), Some("taken"));
    }

    #[test]
    fn the_web_models_that_we_rely_on_carry_their_documents() {
        let settings = json!({"properties": {"MIMECAST_API": "2.0", "EMPTY": ""}});
        let read = model::<web::StringDictionary>("writing", &settings).unwrap();
        assert_eq!(read.properties, Some(settings["properties"].clone()));

        let keys = json!({"masterKey": "m", "functionKeys": {"default": "d"}, "systemKeys": {}});
        assert_eq!(model::<web::HostKeys>("reading", &keys).unwrap().master_key.as_deref(), Some("m"));

        let functions = json!({"value": [{
            "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/f/functions/Sync",
            "name": "f/Sync",
            "type": "Microsoft.Web/sites/functions",
            "properties": {"config": {"bindings": [{"type": "timerTrigger"}]}, "isDisabled": false, "language": "Custom"}
        }], "nextLink": null});
        let read: web::FunctionEnvelopeCollection = serde_json::from_value(functions).unwrap();
        let function = &read.value[0];
        assert_eq!(function.proxy_only_resource.name.as_deref(), Some("f/Sync"));
        assert_eq!(function.properties.as_ref().unwrap().is_disabled, Some(false));
    }

    /// A known fault of `azure_mgmt_web` 0.19 to 0.21: its enums are read and written as XML text.
    /// It is the reason why sites and plans go through our own client. When this test fails, the
    /// library is mended and they can move.
    #[test]
    fn the_web_enums_are_still_xml() {
        let runtime = web::FunctionsRuntime {
            name: Some(web::functions_runtime::Name::Custom),
            version: Some("1.0".to_owned()),
        };
        let written: Value = serde_json::to_value(&runtime).unwrap();
        assert_eq!(written, json!({"name": {"$text": "custom"}, "version": "1.0"}));
        let right = json!({"name": "custom", "version": "1.0"});
        assert!(serde_json::from_value::<web::FunctionsRuntime>(right).is_err());
    }
}
