//! What the person can do about an error, by Azure's code, most specific first.

use super::{AzureError, Refusal};
use crate::azure::credential::{AuthMethod, SignInAttempt};

/// Advice for one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What to do, in one or two sentences; commands in backticks.
    pub text: String,
    /// Where to read on.
    pub link: &'static str,
}

/// One piece of advice.
#[derive(Debug)]
pub struct Row {
    /// For errors of this code; empty: of any.
    pub code: &'static str,
    /// Whose text has these words.
    pub words: &'static str,
    /// What to do, with `{object}`, `{action}`, `{scope}`, `{namespace}` and `{policy}` where Azure names
    /// them.
    pub text: &'static str,
    /// Where to read on.
    pub link: &'static str,
}

/// All advice by code, in the order in which it is looked through.
pub fn advice() -> impl Iterator<Item = &'static Row> {
    REFUSALS.iter().chain(SIGN_INS)
}

const fn row(code: &'static str, words: &'static str, text: &'static str, link: &'static str) -> Row {
    Row { code, words, text, link }
}

const RBAC: &str = "https://learn.microsoft.com/azure/role-based-access-control/troubleshooting";
const DEPLOYMENT: &str =
    "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors";
const POLICY: &str = "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy";
const PROVIDERS: &str = "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-register-resource-provider";
const QUOTA: &str =
    "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-resource-quota";
const LOCKS: &str = "https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources";
const SOFT_DELETE: &str = "https://learn.microsoft.com/azure/key-vault/general/key-vault-recovery";
const VAULT_RBAC: &str = "https://learn.microsoft.com/azure/key-vault/general/rbac-guide";
const VAULT_NETWORK: &str = "https://learn.microsoft.com/azure/key-vault/general/network-security";
const STORAGE_RBAC: &str = "https://learn.microsoft.com/azure/storage/blobs/assign-azure-role-data-access";
const STORAGE_NETWORK: &str = "https://learn.microsoft.com/azure/storage/common/storage-network-security";
const STORAGE_NAMES: &str =
    "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-storage-account-name";
const FLEX: &str = "https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan";
const QUERY: &str = "https://learn.microsoft.com/azure/azure-monitor/logs/manage-access";
const RULES: &str =
    "https://learn.microsoft.com/azure/azure-monitor/essentials/data-collection-rule-structure";
const SIGN_IN: &str = "https://learn.microsoft.com/cli/azure/authenticate-azure-cli";
const ENTRA: &str = "https://learn.microsoft.com/entra/identity-platform/reference-error-codes";
const NETWORK: &str = "https://learn.microsoft.com/cli/azure/use-azure-cli-successfully-troubleshooting";
const THROTTLING: &str =
    "https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling";

/// Advice for what Azure refuses. The first row that fits is taken.
pub(super) static REFUSALS: &[Row] = &[
    row(
        "AuthorizationFailed",
        "Microsoft.Authorization/roleAssignments/",
        "the account needs Owner, User Access Administrator or Role Based Access Control Administrator \
         (Contributor cannot assign roles): `az role assignment create --assignee-object-id {object} \
         --role \"User Access Administrator\" --scope {scope}`, or set `role_assignments: external` and \
         let an administrator run the printed commands",
        RBAC,
    ),
    row(
        "AuthorizationFailed",
        "",
        "the account may not do `{action}` there: `az role assignment create --assignee-object-id {object} \
         --role Contributor --scope {scope}`; a right given within the last minutes needs a new sign-in",
        RBAC,
    ),
    row(
        "LinkedAuthorizationFailed",
        "",
        "the account may change the resource but not use the one that it refers to: it needs `{action}` \
         there as well",
        RBAC,
    ),
    row(
        "InvalidAuthenticationTokenTenant",
        "",
        "the subscription belongs to another tenant than the sign-in: give its tenant with `--tenant`, or \
         `az login --tenant <tenant>`",
        SIGN_IN,
    ),
    row("InvalidAuthenticationToken", "", "sign in again: `az login`, or `azd auth login`", SIGN_IN),
    row("ExpiredAuthenticationToken", "", "sign in again: `az login`, or `azd auth login`", SIGN_IN),
    row(
        "AuthenticationFailed",
        "",
        "the service could not check the sign-in: compare this machine's clock with the true time, then \
         sign in again",
        SIGN_IN,
    ),
    row(
        "RequestDisallowedByPolicy",
        "",
        "policy {policy} refuses it: change the answers (tags, location) to what it demands, or ask its \
         owner for an exemption of the resource group",
        POLICY,
    ),
    row(
        "RequestDisallowedByAzure",
        "",
        "this subscription may only use certain regions: choose another `azure.location`",
        DEPLOYMENT,
    ),
    row(
        "MissingSubscriptionRegistration",
        "",
        "`az provider register --namespace {namespace}`, by somebody with Contributor on the subscription",
        PROVIDERS,
    ),
    row(
        "SubscriptionNotFound",
        "",
        "the account does not see this subscription: `az account list --output table` shows those it sees; \
         one of another tenant needs `--tenant`",
        SIGN_IN,
    ),
    row(
        "ReadOnlyDisabledSubscription",
        "",
        "the subscription is disabled and can only be read: its owner must enable it, or choose another",
        DEPLOYMENT,
    ),
    row(
        "ResourceGroupNotFound",
        "",
        "make the group first, or set `azure.create_resource_group: true`",
        DEPLOYMENT,
    ),
    row(
        "ResourceGroupBeingDeleted",
        "",
        "the group is being deleted: wait until it is gone, or choose another name",
        DEPLOYMENT,
    ),
    row(
        "ScopeLocked",
        "",
        "a lock forbids it: `az lock list --resource-group <group>`, then remove it",
        LOCKS,
    ),
    row(
        "StorageAccountAlreadyTaken",
        "",
        "somebody else has this storage account name: choose another `name` for the installation",
        STORAGE_NAMES,
    ),
    row(
        "AccountNameInvalid",
        "",
        "names of storage accounts and vaults have 3 to 24 characters: choose another `name`",
        STORAGE_NAMES,
    ),
    row(
        "VaultAlreadyExists",
        "",
        "the vault's name is taken: by a vault of another tenant, or by a deleted one, which \
         `az keyvault list-deleted` shows; see `vault.on_deleted`",
        SOFT_DELETE,
    ),
    row(
        "ConflictError",
        "deleted",
        "a deleted vault or secret still holds the name: set `vault.on_deleted` to `recover`, `purge` or \
         `new-name`",
        SOFT_DELETE,
    ),
    row(
        "SoftDeletedVaultDoesNotExist",
        "",
        "no deleted vault of this name is there to recover: run the plan again, which then makes a new one",
        SOFT_DELETE,
    ),
    row(
        "ObjectIsDeletedButRecoverable",
        "",
        "a deleted secret holds the name: `az keyvault secret recover --vault-name <vault> --name <secret>`",
        SOFT_DELETE,
    ),
    row(
        "PrincipalNotFound",
        "",
        "a new identity takes some minutes to be known everywhere: run the same command again",
        RBAC,
    ),
    row(
        "RoleAssignmentUpdateNotPermitted",
        "",
        "an assignment of this id belongs to an identity that is gone: delete it at {scope}, then run again",
        RBAC,
    ),
    row(
        "RoleAssignmentLimitExceeded",
        "",
        "the subscription has as many role assignments as it may: remove some that are not needed",
        RBAC,
    ),
    row(
        "Unauthorized",
        "quota",
        "the subscription has no quota for this plan in this region: choose another `azure.location`, or \
         ask for quota in the portal",
        QUOTA,
    ),
    row("QuotaExceeded", "", "ask for more quota in the portal, or choose another region", QUOTA),
    row(
        "SubscriptionIsOverQuotaForSku",
        "",
        "the subscription has no quota for this plan in this region: choose another `azure.location`, or \
         ask for quota in the portal",
        QUOTA,
    ),
    row("SkuNotAvailable", "", "this region lacks the plan: choose another `azure.location`", QUOTA),
    row(
        "LocationNotAvailableForResourceType",
        "",
        "this region lacks the service: choose another `azure.location`",
        DEPLOYMENT,
    ),
    row(
        "InvalidResourceLocation",
        "",
        "a resource of this name exists in another region: use that region, or choose another `name`",
        DEPLOYMENT,
    ),
    row(
        "51021",
        "",
        "a property of the site is not allowed on a Flex Consumption plan: set `hosting.plan: dedicated`, \
         or report it",
        FLEX,
    ),
    row(
        "Conflict",
        "already exists",
        "somebody else has this name: choose another `name` for the installation",
        DEPLOYMENT,
    ),
    row(
        "AuthorizationPermissionMismatch",
        "",
        "the account needs Storage Blob Data Contributor on the storage account (Owner and Contributor give \
         no data rights); a role given within the last ten minutes may not work yet",
        STORAGE_RBAC,
    ),
    row(
        "AuthorizationFailure",
        "",
        "the storage account's firewall refuses this machine: allow its address, or run from a network \
         that the account trusts",
        STORAGE_NETWORK,
    ),
    row(
        "KeyBasedAuthenticationNotPermitted",
        "",
        "shared keys are off on this storage account: remove the setting `AzureWebJobsStorage`, which uses \
         one",
        STORAGE_RBAC,
    ),
    row(
        "ForbiddenByRbac",
        "",
        "the account needs Key Vault Secrets Officer on the vault, or the right \
         `Microsoft.KeyVault/vaults/secrets/write` in its resource group",
        VAULT_RBAC,
    ),
    row(
        "ForbiddenByPolicy",
        "",
        "the vault uses access policies: ask its owner for `set` on secrets, \
         `az keyvault set-policy --name <vault> --object-id <account> --secret-permissions get set`",
        VAULT_RBAC,
    ),
    row(
        "ForbiddenByFirewall",
        "",
        "the vault's firewall refuses this machine: allow its address, or run from a network that the \
         vault trusts",
        VAULT_NETWORK,
    ),
    row("InsufficientAccessError", "", "the account needs Log Analytics Reader on the workspace", QUERY),
    row(
        "WorkspaceNotFoundError",
        "",
        "no workspace has this id: take `Workspace ID` from its overview",
        QUERY,
    ),
    row("BadArgumentError", "", "the table is not there yet or has other columns: run `doctor`", QUERY),
    row(
        "InvalidOutputTable",
        "",
        "the table of the rule is not ready: run the same command again in some minutes",
        RULES,
    ),
    row(
        "",
        "BlobUploadFailed",
        "the app's identity cannot write to the deployment container yet: its role takes up to half an \
         hour; run the same command again",
        STORAGE_RBAC,
    ),
    row("TooManyRequests", "", "Azure throttles the subscription: run again in some minutes", THROTTLING),
];

/// Advice for what the sign-in service says, by the number in its text.
pub(super) static SIGN_INS: &[Row] = &[
    row("AADSTS7000215", "", "the client secret is wrong: give the secret's *value*, not its id", ENTRA),
    row("AADSTS7000222", "", "the client secret has expired: make a new one for the app registration", ENTRA),
    row("AADSTS700016", "", "this tenant has no such application: check client id and tenant", ENTRA),
    row("AADSTS90002", "", "there is no such tenant: check the tenant id", ENTRA),
    row(
        "AADSTS50076",
        "",
        "a second factor is asked for: `az login --tenant <tenant>` in this terminal, then run again",
        SIGN_IN,
    ),
    row(
        "AADSTS50079",
        "",
        "a second factor must be set up: `az login --tenant <tenant>` in this terminal, then run again",
        SIGN_IN,
    ),
    row(
        "AADSTS53003",
        "",
        "a conditional access rule refuses this machine or place: ask your administrator",
        ENTRA,
    ),
    row("AADSTS700082", "", "the sign-in has expired: `az login`", SIGN_IN),
    row("AADSTS70043", "", "the sign-in has expired: `az login`", SIGN_IN),
    row("AADSTS50173", "", "the password has changed since the sign-in: `az login`", SIGN_IN),
    row("AADSTS500011", "", "this tenant does not know the service: check `--cloud` and the tenant", ENTRA),
];

/// Advice for what no row knows, by the answer's status: the first that is not above it.
static STATUSES: &[(u16, &str, &str)] = &[
    (
        500,
        "the fault is Azure's own and usually passes: run the same command again in some minutes; where it \
         stays, https://status.azure.com or Microsoft's support, with the request id",
        DEPLOYMENT,
    ),
    (429, "Azure throttles these calls: run the same command again in some minutes", THROTTLING),
    (
        412,
        "somebody else changed the same thing meanwhile: run the same command again, which looks at it anew",
        DEPLOYMENT,
    ),
    (
        409,
        "something else is being done to it, or it is not in a state for this: look at it in the portal, \
         then run the same command again",
        DEPLOYMENT,
    ),
    (
        404,
        "it, or what it belongs to, is not there: somebody may have deleted it meanwhile. Run the same \
         command again, which looks at everything anew",
        DEPLOYMENT,
    ),
    (
        403,
        "the account may not do this: ask an administrator for the right, or for a policy to be changed",
        RBAC,
    ),
    (401, "sign in again: `az login`, or `azd auth login`", SIGN_IN),
    (
        400,
        "Azure does not take what was sent: compare the answers with what it says; where they are right, \
         this is a fault of the installer, to be reported with the request id",
        DEPLOYMENT,
    ),
];

fn by_status(status: u16) -> Option<Hint> {
    let &(_, text, link) = STATUSES.iter().find(|(least, ..)| *least <= status)?;
    Some(Hint { text: text.to_owned(), link })
}

pub(super) fn find(error: &AzureError) -> Option<Hint> {
    match error {
        AzureError::GaveUp { cause, .. } => find(cause),
        AzureError::Refused(refusal) | AzureError::OperationFailed { refusal, .. } => {
            of_refusal(refusal).or_else(|| by_number(&texts(refusal))).or_else(|| by_status(refusal.status))
        }
        AzureError::StillRunning { .. } => Some(Hint {
            text: "Azure may still be at it: run the same command again, which goes on where this one \
                   stopped looking"
                .to_owned(),
            link: DEPLOYMENT,
        }),
        AzureError::Storage { .. } => Some(Hint {
            text: "the storage account could not be reached, or did not answer: run the same command again; \
                   a proxy is given by `HTTPS_PROXY`"
                .to_owned(),
            link: STORAGE_NETWORK,
        }),
        AzureError::SignIn { tried } => Some(of_sign_in(tried)),
        AzureError::Token { source, .. } => by_number(&source.to_string()),
        AzureError::WrongTenant { expected, .. } => Some(Hint {
            text: format!("`az login --tenant {expected}`, or correct `azure.tenant_id`"),
            link: SIGN_IN,
        }),
        AzureError::Send { source, .. } => Some(Hint {
            text: if source.is_connect() {
                "the host could not be reached: a proxy is given by `HTTPS_PROXY`, the certificates of one \
                 that opens https by `SSL_CERT_FILE`"
            } else if source.is_timeout() {
                "there was no answer in time, and the work may be done all the same: run the same command \
                 again, which looks"
            } else {
                "the connection broke: run the same command again"
            }
            .to_owned(),
            link: NETWORK,
        }),
        AzureError::Certificates { .. } => Some(Hint {
            text: "`SSL_CERT_FILE` must name a file of certificates in PEM form".to_owned(),
            link: NETWORK,
        }),
        _ => None,
    }
}

/// The first row that fits a refusal.
pub(super) fn matching(refusal: &Refusal) -> Option<&'static Row> {
    let texts = texts(refusal);
    REFUSALS.iter().find(|row| {
        (row.code.is_empty() || refusal.tree.has_code(row.code))
            && (row.words.is_empty() || texts.to_ascii_lowercase().contains(&row.words.to_ascii_lowercase()))
    })
}

fn texts(refusal: &Refusal) -> String {
    let leaves = refusal.tree.leaves.iter().map(|leaf| leaf.message.as_str());
    leaves.chain(refusal.tree.raw.as_deref()).collect::<Vec<_>>().join("\n")
}

fn of_refusal(refusal: &Refusal) -> Option<Hint> {
    let row = matching(refusal)?;
    let policies = &refusal.tree.policies;
    let text = texts(refusal);
    let quoted = |before: &str| quoted_after(&text, before);
    let object = quoted("with object id").unwrap_or("<account>");
    let action = quoted("permission to perform action(s)").or_else(|| quoted("to perform action"));
    let scope = quoted("over scope").or_else(|| quoted("linked scope(s)")).unwrap_or("<scope>");
    // The scope of an assignment is what it is for, not its own id.
    let scope = scope.split("/providers/Microsoft.Authorization/").next().unwrap_or(scope);
    let policies =
        if policies.is_empty() { "(not named)".to_owned() } else { format!("`{}`", policies.join("`, `")) };
    let filled = row
        .text
        .replace("{object}", object)
        .replace("{action}", action.unwrap_or("this"))
        .replace("{scope}", scope)
        .replace("{namespace}", quoted("to use namespace").unwrap_or("<namespace>"))
        .replace("{policy}", &policies);
    Some(Hint { text: filled, link: row.link })
}

/// The text in quotes that follows these words.
fn quoted_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let rest = text.split_once(words)?.1.trim_start();
    let rest = rest.strip_prefix('\'')?;
    Some(rest.split_once('\'')?.0).filter(|quoted| !quoted.is_empty())
}

fn of_sign_in(tried: &[SignInAttempt]) -> Hint {
    if let Some(hint) = tried.iter().find_map(|attempt| by_number(&attempt.reason)) {
        return hint;
    }
    let text = match tried {
        [SignInAttempt { method: AuthMethod::Environment | AuthMethod::Workload, .. }] => {
            "set `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET` or \
             `AZURE_FEDERATED_TOKEN_FILE`"
        }
        [SignInAttempt { method: AuthMethod::Managed, .. }] => {
            "this machine has no managed identity that answers: give it one, or sign in with `az login`"
        }
        [SignInAttempt { method: AuthMethod::Azd, .. }] => "sign in first: `azd auth login`",
        _ => "sign in first: `az login` or `azd auth login` (in Azure Cloud Shell you are signed in already)",
    };
    Hint { text: text.to_owned(), link: SIGN_IN }
}

fn by_number(text: &str) -> Option<Hint> {
    // Numbers are told apart whole: 70008 is not 700082.
    let has = |code: &str| {
        text.match_indices(code)
            .any(|(at, _)| !text[at + code.len()..].starts_with(|next: char| next.is_ascii_digit()))
    };
    let row = SIGN_INS.iter().find(|row| has(row.code))?;
    Some(Hint { text: row.text.to_owned(), link: row.link })
}
