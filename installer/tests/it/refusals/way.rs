//! The ways in which a service refuses the call of a step, each in the service's own shape.

use std::time::Duration;

use installer::plan::Action;
use serde_json::json;
use simulator::fault::{self, Fault, Matcher};

/// More often than any call is repeated here.
const ALWAYS: usize = 100_000;
/// How long an answer stays away: far longer than anybody here waits.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// The ways of refusing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Status(u16),
    Silence,
}

impl Way {
    pub(super) const ALL: [Self; 8] = [
        Self::Status(400),
        Self::Status(401),
        Self::Status(403),
        Self::Status(404),
        Self::Status(409),
        Self::Status(429),
        Self::Status(500),
        Self::Silence,
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Silence => "time-out".to_owned(),
        }
    }

    /// What the service answers, in its own shape and with the code that it has for this.
    pub(super) fn fault(self, matcher: Matcher, service: Service, action: &str, scope: &str) -> Fault {
        let Self::Status(status) = self else {
            return Fault::once(matcher, fault::Action::Delay(SILENCE)).times(ALWAYS);
        };
        let (code, message) = match (service, status) {
            (Service::Arm, 400) => ("InvalidRequestContent", "The request content was invalid.".to_owned()),
            (Service::Arm, 401) => ("InvalidAuthenticationToken", "The access token is invalid.".to_owned()),
            (Service::Arm, 403) => (
                "AuthorizationFailed",
                format!(
                    "The client 'installer' with object id 'OBJECT' does not have authorization to perform \
                     action '{action}' over scope '{scope}' or the scope is invalid."
                ),
            ),
            (Service::Arm, 404) => ("ResourceNotFound", format!("The Resource '{scope}' was not found.")),
            (Service::Arm, 409) => ("Conflict", "The resource is being changed.".to_owned()),
            (Service::Blob, 400) => {
                ("InvalidHeaderValue", "A header has a value of the wrong format.".to_owned())
            }
            (Service::Blob, 401) => {
                ("NoAuthenticationInformation", "No authentication information.".to_owned())
            }
            (Service::Blob, 403) => (
                "AuthorizationPermissionMismatch",
                "This request is not authorized to perform this operation using this permission.".to_owned(),
            ),
            (Service::Blob, 404) => {
                ("ContainerNotFound", "The specified container does not exist.".to_owned())
            }
            (Service::Blob, 409) => ("ContainerBeingDeleted", "The container is being deleted.".to_owned()),
            (_, 429) => ("TooManyRequests", "The number of requests exceeded the limit.".to_owned()),
            (_, 500) => ("InternalServerError", "An error has occurred.".to_owned()),
            (Service::Scm, 400) => ("", "The package could not be read.".to_owned()),
            (Service::Scm, 401) => ("", "Unauthorized".to_owned()),
            (Service::Scm, 403) => ("", "Forbidden".to_owned()),
            (Service::Scm, 404) => ("", "404 Web Site not found.".to_owned()),
            (Service::Scm, 409) => ("", "There is a deployment currently in progress.".to_owned()),
            (Service::Vault, 400) => ("BadParameter", "A parameter is of the wrong format.".to_owned()),
            (Service::Vault, 401) => ("Unauthorized", "AKV10022: the token is invalid.".to_owned()),
            (Service::Vault, 403) => ("ForbiddenByRbac", "Caller is not authorized.".to_owned()),
            (Service::Vault, 409) => ("Conflict", "The secret is being changed.".to_owned()),
            (service, status) => panic!("what does {service:?} say with {status}?"),
        };
        let body = match service {
            Service::Arm | Service::Vault => {
                json!({ "error": { "code": code, "message": message } }).to_string()
            }
            Service::Blob => {
                format!(
                    "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
                )
            }
            Service::Scm => message,
        };
        let mut headers = vec![("x-ms-request-id".to_owned(), "REQUEST".to_owned())];
        if service == Service::Blob {
            headers.push(("x-ms-error-code".to_owned(), code.to_owned()));
        }
        if status == 429 {
            headers.push(("retry-after".to_owned(), "17".to_owned()));
        }
        Fault::once(matcher, fault::Action::Answer { status, headers, body }).times(ALWAYS)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Arm,
    Blob,
    Scm,
    Vault,
}

/// The call that a step makes, the first where it makes several: its service, its fault's matcher, and its
/// right.
pub(super) fn call(action: &Action) -> (Service, Matcher, String, String) {
    let arm = |method: &str, target: String, right: String, scope: &str| {
        (Service::Arm, Matcher::new("arm", method, &target), right, scope.to_owned())
    };
    let assignments = |scope: &str| format!("{scope}/providers/Microsoft.Authorization/roleAssignments/");
    let blob = |method: &str, container_url: &str, blob: &str| {
        let path = url::Url::parse(container_url).unwrap().path().to_owned();
        let matcher = Matcher::new("blob", method, &format!("{path}/{blob}"));
        (Service::Blob, matcher, String::new(), String::new())
    };
    let right = |id: &str, verb: &str| {
        let kinds = kind(id);
        format!("{kinds}/{verb}")
    };
    match action {
        Action::PutResource { id, .. } => arm("PUT", format!("{id}?"), right(id, "write"), id),
        Action::AssignRole { scope, .. } => {
            arm("PUT", assignments(scope), "Microsoft.Authorization/roleAssignments/write".to_owned(), scope)
        }
        Action::UnassignRole { scope, .. } => arm(
            "DELETE",
            assignments(scope),
            "Microsoft.Authorization/roleAssignments/delete".to_owned(),
            scope,
        ),
        Action::PutSecret { vault_id, name, .. } => arm(
            "PUT",
            format!("{vault_id}/secrets/{name}?"),
            "Microsoft.KeyVault/vaults/secrets/write".to_owned(),
            vault_id,
        ),
        Action::RegisterProvider { subscription_id, namespace } => arm(
            "POST",
            format!("/providers/{namespace}/register"),
            format!("{namespace}/register/action"),
            &format!("/subscriptions/{subscription_id}"),
        ),
        Action::UploadIfAbsent { container_url, blob: name, .. } => blob("PUT", container_url, name),
        Action::UploadPackage { container_url, sha256, .. } => blob("PUT", container_url, sha256),
        Action::CheckPackage { container_url, sha256, .. } => blob("HEAD", container_url, sha256),
        Action::Publish { stored_in: Some(container_url), sha256, .. } => blob("GET", container_url, sha256),
        Action::Publish { .. } => {
            (Service::Scm, Matcher::new("scm", "POST", "/api/publish"), String::new(), String::new())
        }
        Action::MergeSettings { site_id, .. } => arm(
            "PUT",
            format!("{site_id}/config/appsettings"),
            "Microsoft.Web/sites/config/write".to_owned(),
            site_id,
        ),
        Action::BeginTrial(trial) => arm(
            "PUT",
            format!("{}/config/appsettings", trial.watched.site_id),
            "Microsoft.Web/sites/config/write".to_owned(),
            &trial.watched.site_id,
        ),
        Action::MigrateTable { id, .. } => {
            arm("POST", format!("{id}/migrate"), right(id, "migrate/action"), id)
        }
        Action::Delete { id, .. } => arm("DELETE", format!("{id}?"), right(id, "delete"), id),
        Action::DeleteEmptyGroup { id, .. } => arm(
            "GET",
            format!("{id}/resources?"),
            "Microsoft.Resources/subscriptions/resourceGroups/resources/read".to_owned(),
            id,
        ),
        Action::PurgeVault { id, .. } => {
            let right = "Microsoft.KeyVault/locations/deletedVaults/purge/action".to_owned();
            arm("POST", format!("{id}/purge"), right, id)
        }
        Action::AwaitRole { scope, .. } => arm(
            "GET",
            assignments(scope).trim_end_matches('/').to_owned(),
            "Microsoft.Authorization/roleAssignments/read".to_owned(),
            scope,
        ),
        Action::TryPackage(trial) => arm(
            "GET",
            format!("{}/config/configreferences/appsettings", trial.watched.site_id),
            "Microsoft.Web/sites/config/read".to_owned(),
            &trial.watched.site_id,
        ),
        Action::RotateSecrets(rotation) => {
            let secret = rotation.secrets.keys().next().expect("a secret");
            let matcher = Matcher::new("", "GET", &format!("/secrets/{secret}/versions"));
            (Service::Vault, matcher, String::new(), String::new())
        }
        other => panic!("which call does it make? {other:?}"),
    }
}

/// The type in an id.
pub(super) fn kind(id: &str) -> String {
    let Some((_, last)) = id.rsplit_once("/providers/") else {
        return "Microsoft.Resources/subscriptions/resourceGroups".to_owned();
    };
    let mut words = last.split('/');
    let namespace = words.next().unwrap_or_default();
    let kinds: Vec<&str> = words.step_by(2).collect();
    format!("{namespace}/{}", kinds.join("/"))
}
