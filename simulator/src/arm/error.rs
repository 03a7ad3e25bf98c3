//! Refusals in ARM's shapes.
//!
//! Most services answer `{"error": {…}}`
//! (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>);
//! App Service answers the same with capitals and without the wrapper.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

/// How a refusal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Shape {
    /// `{"error": {"code", "message", "target", "details"}}`.
    #[default]
    Arm,
    /// `{"Code", "Message", "Target", "Details": […], "Innererror"}`.
    Web,
}

/// A refusal.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArmError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) target: Option<String>,
    pub(crate) details: Vec<ArmError>,
    pub(crate) additional: Vec<Value>,
    pub(crate) shape: Shape,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl ArmError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), ..Self::default() }
    }

    pub(crate) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(crate) fn forbidden(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(crate) fn target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    pub(crate) fn web(mut self) -> Self {
        self.shape = Shape::Web;
        self
    }

    /// The inside of the error object, as long operations and nested details hold it.
    pub(crate) fn object(&self) -> Value {
        let mut object = json!({"code": self.code, "message": self.message});
        if let Some(target) = &self.target {
            object["target"] = json!(target);
        }
        if !self.details.is_empty() {
            object["details"] = self.details.iter().map(Self::object).collect();
        }
        if !self.additional.is_empty() {
            object["additionalInfo"] = json!(self.additional);
        }
        object
    }

    fn body(&self) -> Value {
        match self.shape {
            Shape::Arm => json!({"error": self.object()}),
            Shape::Web => json!({
                "Code": self.code,
                "Message": self.message,
                "Target": self.target,
                "Details": [
                    {"Message": self.message},
                    {"Code": self.code},
                    {"ErrorEntity": {"Code": self.code, "Message": self.message}},
                ],
                "Innererror": null,
            }),
        }
    }
}

impl IntoResponse for ArmError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
