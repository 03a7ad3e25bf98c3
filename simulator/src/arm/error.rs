//! Refusals in ARM's shapes.
//!
//! Most services answer `{"error": {…}}`
//! (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>);
//! App Service answers the same with capitals and without the wrapper.

use axum::http::StatusCode;
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

/// A refusal. Boxed: nearly every function here may give one, and few do.
#[derive(Debug, Clone)]
pub(crate) struct ArmError(Box<Parts>);

/// What a refusal says.
#[derive(Debug, Clone, Default)]
struct Parts {
    status: StatusCode,
    code: String,
    message: String,
    target: Option<String>,
    details: Vec<ArmError>,
    additional: Vec<Value>,
    shape: Shape,
}

impl ArmError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let (code, message) = (code.to_owned(), message.into());
        Self(Box::new(Parts { status, code, message, ..Parts::default() }))
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
        self.0.target = Some(target.to_owned());
        self
    }

    pub(crate) fn details(mut self, details: Vec<Self>) -> Self {
        self.0.details = details;
        self
    }

    pub(crate) fn additional(mut self, additional: Vec<Value>) -> Self {
        self.0.additional = additional;
        self
    }

    pub(crate) fn web(mut self) -> Self {
        self.0.shape = Shape::Web;
        self
    }

    /// The inside of the error object, as long operations and nested details hold it.
    pub(crate) fn object(&self) -> Value {
        let mut object = json!({"code": self.0.code, "message": self.0.message});
        if let Some(target) = &self.0.target {
            object["target"] = json!(target);
        }
        if !self.0.details.is_empty() {
            object["details"] = self.0.details.iter().map(Self::object).collect();
        }
        if !self.0.additional.is_empty() {
            object["additionalInfo"] = json!(self.0.additional);
        }
        object
    }

    fn body(&self) -> Value {
        match self.0.shape {
            Shape::Arm => json!({"error": self.object()}),
            Shape::Web => json!({
                "Code": self.0.code,
                "Message": self.0.message,
                "Target": self.0.target,
                "Details": [
                    {"Message": self.0.message},
                    {"Code": self.0.code},
                    {"ErrorEntity": {"Code": self.0.code, "Message": self.0.message}},
                ],
                "Innererror": null,
            }),
        }
    }
}

impl IntoResponse for ArmError {
    fn into_response(self) -> Response {
        (self.0.status, Json(self.body())).into_response()
    }
}
