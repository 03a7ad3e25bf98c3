//! The advice itself: a row for each thing that Azure and the sign-in service say.

use super::Row;

const fn row(code: &'static str, words: &'static str, text: &'static str, link: &'static str) -> Row {
    Row { code, words, text, link }
}

const RBAC: &str = "https://learn.microsoft.com/azure/role-based-access-control/troubleshooting";
pub(super) const DEPLOYMENT: &str =
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
pub(super) const STORAGE_NETWORK: &str =
    "https://learn.microsoft.com/azure/storage/common/storage-network-security";
const STORAGE_NAMES: &str =
    "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-storage-account-name";
const FLEX: &str = "https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan";
const QUERY: &str = "https://learn.microsoft.com/azure/azure-monitor/logs/manage-access";
const RULES: &str =
    "https://learn.microsoft.com/azure/azure-monitor/essentials/data-collection-rule-structure";
pub(super) const SIGN_IN: &str = "https://learn.microsoft.com/cli/azure/authenticate-azure-cli";
const ENTRA: &str = "https://learn.microsoft.com/entra/identity-platform/reference-error-codes";
pub(super) const NETWORK: &str =
    "https://learn.microsoft.com/cli/azure/use-azure-cli-successfully-troubleshooting";
const THROTTLING: &str =
    "https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling";

/// Advice for what Azure refuses. The first row that fits is taken.
pub(in crate::azure::error) static REFUSALS: &[Row] = &[
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
pub(in crate::azure::error) static SIGN_INS: &[Row] = &[
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
pub(super) static STATUSES: &[(u16, &str, &str)] = &[
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
