//! What a deployment tells the person: texts of its outputs. No secret is in them.

use contract::resources::KEY_VAULT_SECRETS_USER;

use super::choice::{self, refers};
use super::parameter;
use super::symbol::quoted;
use crate::answers::intent::secret_name;

/// Name of the variable with the word on secrets that were not given.
pub(super) const SECRETS_MISSING: &str = "secretsMissing";
/// Name of the variable with the names of them.
pub(super) const NOT_GIVEN: &str = "notGiven";
/// Name of the variable that says whether any value is a Key Vault reference.
pub(super) const ANY_REFERS: &str = "anyRefers";
/// Name of the variable with the word on who delivers.
pub(super) const DELIVERS: &str = "delivers";
/// Name of the variable with the flag `--cloud`.
pub(super) const CLOUD_FLAG: &str = "cloudFlag";

/// The variables behind the texts: name, expression.
pub(super) fn variables() -> Vec<(&'static str, String)> {
    let missing =
        choice::SECRETS.iter().filter(|(answer, _)| !choice::optional(answer)).map(|(answer, name)| {
            let needed = match *answer {
                "mimecast.client_id" | "mimecast.client_secret" => "variables('apiTwo')",
                answer if answer.starts_with("delivery.") => "variables('usesAppRegistration')",
                _ => "not(variables('apiTwo'))",
            };
            let what = quoted(&format!("{} ({name}), ", secret_name(answer)));
            format!("if(and({needed}, empty(parameters('{name}'))), {what}, '')")
        });
    let missing: Vec<String> = missing.collect();
    let referring: Vec<String> =
        parameter::referring().map(|name| format!("variables('{}')", refers(name))).collect();
    let list = format!("variables('{NOT_GIVEN}')");
    vec![
        (NOT_GIVEN, format!("concat({})", missing.join(", "))),
        (
            SECRETS_MISSING,
            format!(
                "if(empty({list}), '', concat('This deployment was not given ', take({list}, sub(length({list}), 2)), '. Unless the Key Vault has them from before, the worker cannot run; somebody with Key Vault Secrets Officer writes each: az keyvault secret set --vault-name ', variables('keyVaultName'), ' --name <name> --file <file>'))"
            ),
        ),
        (ANY_REFERS, format!("or({})", referring.join(", "))),
        (
            DELIVERS,
            "if(variables('usesAppRegistration'), 'the app registration', if(empty(parameters('activeDirectoryAppId')), 'the managed identity', 'the managed identity: the app registration is not used without activeDirectoryObjectId, to which the role on the rule would be given'))"
                .to_owned(),
        ),
        (
            CLOUD_FLAG,
            "if(equals(parameters('cloud'), 'public'), '', if(startsWith(parameters('cloud'), '{'), ' --cloud <file with the endpoints>', concat(' --cloud ', parameters('cloud'))))"
                .to_owned(),
        ),
    ]
}

/// The expression for the commands by which the owner of a vault lets the worker read from it; empty where
/// no value is a reference. `principal` is the expression for the identity's.
pub(super) fn grant(principal: &str) -> String {
    let role = quoted(&format!(
        "az role assignment create --role {} --assignee-principal-type ServicePrincipal --scope '<id of the vault>' --assignee-object-id ",
        KEY_VAULT_SECRETS_USER.definition_id
    ));
    format!(
        "if(variables('{ANY_REFERS}'), concat({role}, {principal}, ' (a vault with roles); az keyvault set-policy --name <vault> --secret-permissions get --object-id ', {principal}, ' (one with access policies)'), '')"
    )
}
