//! The app's references to secrets: whether they were resolved, and what to do where they were not
//! (<https://learn.microsoft.com/azure/app-service/app-service-key-vault-references>).

use contract::resources::KEY_VAULT_SECRETS_USER;
use serde_json::Value;

use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::role_command;
use crate::plan::template::{SITES_VERSION, api_version};

/// After so many looks at what is not resolved the app is told to fetch again: it keeps an answer for a day
/// by itself. Twenty looks are a minute.
const FETCH_AGAIN_AFTER_LOOKS: u32 = 20;
/// After so many looks the app is restarted, once: a grant that came through a group was seen to need it
/// (BR-126). Three minutes.
const RESTART_AFTER_LOOKS: u32 = 60;

/// One reference as the app has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The app setting.
    pub setting: String,
    /// `Resolved`, or why not, in Azure's words.
    pub status: String,
    /// Azure's words on it.
    pub details: String,
    /// The vault's name.
    pub vault: String,
    /// The secret's name.
    pub secret: String,
}

impl Reference {
    /// Reads one as Azure lists it.
    fn of(listed: &Value) -> Self {
        let text = |name: &str| listed["properties"][name].as_str().unwrap_or_default().to_owned();
        let status = match text("status") {
            none if none.is_empty() => "unknown".to_owned(),
            some => some,
        };
        Self {
            setting: listed["name"]
                .as_str()
                .unwrap_or_default()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            status,
            details: text("details"),
            vault: text("vaultName"),
            secret: text("secretName"),
        }
    }

    /// Whether the app has the secret's value.
    pub fn resolved(&self) -> bool {
        self.status == "Resolved"
    }
}

/// The app's references.
///
/// # Errors
/// [`AzureError`] when Azure does not list them.
pub async fn references(azure: &Azure, site_id: &ResourceId) -> Result<Vec<Reference>, AzureError> {
    let path = format!("{}/config/configreferences/appsettings", site_id.path());
    Ok(azure.list(&path, SITES_VERSION).await?.iter().map(Reference::of).collect())
}

/// Has the app fetch its secrets again, as often as makes sense for somebody who looks for the `look`th time.
///
/// # Errors
/// [`AzureError`] when Azure refuses.
pub async fn fetch_again(azure: &Azure, site_id: &ResourceId, look: u32) -> Result<(), AzureError> {
    if look == RESTART_AFTER_LOOKS {
        return azure.restart(site_id).await;
    }
    if look.is_multiple_of(FETCH_AGAIN_AFTER_LOOKS) {
        azure
            .post(site_id, "config/configreferences/appsettings/refresh", SITES_VERSION, &Value::Null)
            .await?;
    }
    Ok(())
}

/// What to do about a reference that was not resolved: by its status, with the commands where somebody has
/// to let the app's identity in.
pub async fn remedy(azure: &Azure, site_id: &ResourceId, reference: &Reference) -> String {
    match reference.status.as_str() {
        "AccessToKeyVaultDenied" | "UnauthorizedClient" => {
            let principal =
                principal(azure, site_id).await.unwrap_or_else(|| "<the app's identity>".to_owned());
            denied(&principal, &reference.vault, &reference.secret)
        }
        "VaultNotFound" => format!(
            "there is no vault `{}` that the app can reach: correct its address in the answers, or have its \
             owner open its firewall for the app",
            reference.vault
        ),
        "SecretNotFound" | "SecretVersionNotFound" => format!(
            "vault `{}` has no secret `{}` in force: its owner makes or enables it; `install` writes ours again",
            reference.vault, reference.secret
        ),
        "MSINotEnabled" => "the app has lost its identity: `install` gives it back".to_owned(),
        "InvalidSyntax" => "the reference's text is wrong: correct the answer and run `install`".to_owned(),
        _ => "the vault did not answer the app in time: look at its firewall, then run `install` again"
            .to_owned(),
    }
}

/// The commands that let an identity read a secret, for both kinds of vaults: whether the app may read shows
/// by the reference alone, and not every account that installs sees the vault.
fn denied(principal: &str, vault: &str, secret: &str) -> String {
    let scope = format!("$(az keyvault show --name {vault} --query id --output tsv)/secrets/{secret}");
    let role = role_command("SCOPE", principal, "ServicePrincipal", KEY_VAULT_SECRETS_USER.definition_id)
        // In double quotes, so that the shell asks for the vault's id.
        .replace("'SCOPE'", &format!("\"{scope}\""));
    format!(
        "the owner of vault `{vault}` lets the app in: {role} (a vault with roles), or az keyvault set-policy \
         --name {vault} --object-id '{principal}' --secret-permissions get (one with access policies); a grant \
         takes up to ten minutes"
    )
}

/// Object id of the identity by which the app reads secrets.
async fn principal(azure: &Azure, site_id: &ResourceId) -> Option<String> {
    let site = azure.get(site_id, SITES_VERSION).await.ok()??;
    let identity = site["properties"]["keyVaultReferenceIdentity"].as_str()?;
    let version = api_version("Microsoft.ManagedIdentity/userAssignedIdentities").ok()?;
    let identity = azure.get(&ResourceId::parse(identity).ok()?, version).await.ok()??;
    identity["properties"]["principalId"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Reference, denied};

    #[test]
    fn a_reference_is_read_as_azure_lists_it() {
        let listed = json!({ "name": "func/MIMECAST_CLIENT_SECRET", "properties": {
            "status": "AccessToKeyVaultDenied", "details": "denied", "vaultName": "kv-security",
            "secretName": "mimecast", "identityType": "UserAssigned" } });
        let reference = Reference::of(&listed);
        assert_eq!(
            (reference.setting.as_str(), reference.vault.as_str(), reference.secret.as_str()),
            ("MIMECAST_CLIENT_SECRET", "kv-security", "mimecast")
        );
        assert!(!reference.resolved());
        assert_eq!(Reference::of(&json!({})).status, "unknown");
    }

    #[test]
    fn the_owner_of_either_kind_of_vault_reads_a_whole_command() {
        let text = denied("11111111-1111-1111-1111-111111111111", "kv-security", "mimecast");
        for part in [
            "az role assignment create --role 4633458b-17de-408a-b874-0445c86b69e6 --assignee-object-id \
             '11111111-1111-1111-1111-111111111111'",
            "--scope \"$(az keyvault show --name kv-security --query id --output tsv)/secrets/mimecast\"",
            "az keyvault set-policy --name kv-security --object-id '11111111-1111-1111-1111-111111111111' \
             --secret-permissions get",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
