//! What each check and each finding of a plan is about, for `docs/reference/errors.md`.
//!
//! The message itself names the thing and the command; here stands what is always true of the id.

/// The id of a check or a finding with its explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// As it is shown in brackets, and as `id` in JSON.
    pub id: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// What to do where it is a fault.
    pub remedy: &'static str,
}

const fn id(id: &'static str, meaning: &'static str, remedy: &'static str) -> Explained {
    Explained { id, meaning, remedy }
}

const NOTHING: &str = "Nothing: it is a note.";
const UNREAD: &str = "No fault by itself: the account may not look, or the service did not answer. What it would have \
                      found shows in the step itself.";

/// Every id, sorted.
pub const ALL: &[Explained] = &[
    id(
        "asim-not-registered",
        "The parsers cannot be named in ASIM's own list, since somebody keeps that function.",
        "Add the line that the message shows to the function, or leave it: the parsers work by their own names.",
    ),
    id(
        "classic-table",
        "The old connector's classic table is there.",
        "`table.on_classic: migrate` turns it into one that takes rows from a rule. That cannot be undone; its rows stay.",
    ),
    id(
        "clock",
        "This machine's clock is not Mimecast's.",
        "Set the clock. It stops an installation only where calls are signed with it (API 1.0).",
    ),
    id(
        "column-type",
        "The table has a column of ours with another type.",
        "Rename or remove that column, or use another workspace: Azure cannot change a column's type.",
    ),
    id(
        "deleted-vault",
        "A deleted vault of this installation is there, and what becomes of it.",
        "`vault.on_deleted` chooses: recover, purge or new-name.",
    ),
    id(
        "delivery",
        "The app registration that delivers cannot be signed in to.",
        "See that its client id, secret and tenant are right and that the secret has not run out.",
    ),
    id(
        "delivery-unread",
        "The app registration that delivers cannot be signed in to, since a value of it cannot be read from here.",
        "Let this account read the secret in its vault for the time of the installation, or give the value by a variable or a file.",
    ),
    id(
        "flex-memory",
        "The region has no instance of this size.",
        "Choose another `hosting.memory_mb`, or another region.",
    ),
    id(
        "flex-region",
        "The region has no Flex Consumption plan.",
        "Choose another `azure.location`, or `hosting.plan: dedicated`.",
    ),
    id(
        "flex-runtime",
        "The region's Flex Consumption plan does not run custom handlers.",
        "Choose another `azure.location`, or `hosting.plan: dedicated`.",
    ),
    id("flex-unread", "What the region offers could not be read.", UNREAD),
    id(
        "foreign-vault",
        "A secret is in a vault that is not ours, and its owner has something to do.",
        "Give the owner the command that the message shows. `doctor` says when the reference resolves.",
    ),
    id(
        "host",
        "The state of the Functions host.",
        "`logs` and the Function App's log stream show what it says; a restart helps with a passing fault.",
    ),
    id(
        "injected-setting",
        "The app has a setting that opens its storage with a key.",
        "`install` takes it away.",
    ),
    id(
        "insights-workspace",
        "The workspace of Application Insights is not there.",
        "Correct `monitoring.app_insights_workspace_id`, or leave it out.",
    ),
    id("inventory", "What Azure has could not be read.", "The message names the call that failed and why."),
    id("kept", "What a teardown leaves, as asked for.", NOTHING),
    id("keys", "Whether a key opens what only identities should.", "`install` switches keys off again."),
    id(
        "lag",
        "The last run is more than an hour behind.",
        "A backlog is worked off run by run. Where it grows, collect more often (`collect.every`).",
    ),
    id(
        "last-run",
        "The last run failed, or none was seen.",
        "The table of runs below explains its code. The first rows take up to 45 minutes.",
    ),
    id("mimecast", "Mimecast lets the credentials read, and how much there is.", NOTHING),
    id(
        "mimecast-answer",
        "Mimecast's answer could not be used.",
        "Try again; where it stays, give Mimecast's support the message.",
    ),
    id(
        "mimecast-binding",
        "The access key of API 1.0 has expired.",
        "Make new keys with an authentication profile that never expires, or move to API 2.0.",
    ),
    id(
        "mimecast-credentials",
        "Mimecast does not accept the credentials.",
        "Compare them. The secret's value is needed, not its id; new keys of API 1.0 take 30 minutes.",
    ),
    id(
        "mimecast-host",
        "Mimecast could not be reached.",
        "See that this machine reaches `mimecast.base_url`; a proxy is given by `HTTPS_PROXY`.",
    ),
    id(
        "mimecast-product",
        "The application lacks the product Audit Events.",
        "Make a new API 2.0 application with it: products cannot be added later.",
    ),
    id(
        "mimecast-region",
        "The account lives in another region.",
        "Correct `mimecast.base_url`; the message names the host where it is known.",
    ),
    id(
        "mimecast-role",
        "The application's role may not read audit events.",
        "Give the role the right `Account | Logs | Read` in Mimecast.",
    ),
    id("mimecast-secret-key", "The secret key of API 1.0 is not base64.", "Copy it again, whole."),
    id("mimecast-unread", "The credentials are not at hand here, so Mimecast was not asked.", UNREAD),
    id("name-free", "Names that must be free in the world are free.", NOTHING),
    id("name-taken", "Somebody else has a name that the installation would take.", "Choose another `name`."),
    id("name-unread", "Whether a name is free could not be asked.", UNREAD),
    id("names", "Names that must be free in the world are free.", NOTHING),
    id(
        "no-previous-package",
        "There is no package to go back to.",
        "Give the one that you want by `upgrade --package FILE`.",
    ),
    id(
        "no-sentinel",
        "The workspace has no Microsoft Sentinel, which rules and the connector page need.",
        "Turn it on, or set `content.rules: \"off\"` and `content.connector_page: false`.",
    ),
    id("no-table", "`--purge-table` names a table that this installation does not feed.", "Leave it out."),
    id(
        "no-vault",
        "A secret cannot be rotated, since the installation's vault is not there.",
        "`install` makes it again.",
    ),
    id(
        "no-workspace",
        "Which workspace the rows went to is not known any more, so what a teardown takes away there was not looked for.",
        "`teardown --answers FILE`, or `--set workspace.resource_id=…`.",
    ),
    id(
        "old-connector",
        "A Function App in the group looks like an older connector.",
        "Stop it and go on from its place: see [operations](../operations.md#take-over-from-the-old-connector).",
    ),
    id(
        "other-installation",
        "Another installation feeds the same tables.",
        "Right for another Mimecast account; for the same one, remove one of the two.",
    ),
    id(
        "package",
        "This build carries no worker package and none was given.",
        "Give one by `--package FILE`.",
    ),
    id(
        "package-published",
        "Which worker package the installation has.",
        "`install` publishes one where there is none.",
    ),
    id(
        "policy",
        "A policy refuses something that the plan would make.",
        "Change the answers to what it demands, or ask its owner for an exemption.",
    ),
    id("policy-unread", "The policies could not be asked.", UNREAD),
    id(
        "quota",
        "Whether the subscription has cores of App Service left in the region.",
        "Have the quota raised (Azure portal | Quotas | App Service), or choose another `azure.location`.",
    ),
    id("quota-unread", "The quota could not be asked.", UNREAD),
    id(
        "references",
        "Whether the Key Vault references of the app resolve.",
        "The message names the setting and what is missing, mostly a role on the vault or its firewall.",
    ),
    id("region", "Whether Azure has the region, and what we need in it.", "Choose another `azure.location`."),
    id(
        "resource-group",
        "The resource group is not there and shall not be made.",
        "Make it, or set `azure.create_resource_group: true`.",
    ),
    id("rights", "Whether the account may do everything that is planned.", UNREAD),
    id(
        "rights-group",
        "The account may not make the resource group.",
        "Somebody who may runs the command shown, or makes the group.",
    ),
    id(
        "rights-providers",
        "The account may not register what the subscription lacks.",
        "Somebody who may runs the command shown.",
    ),
    id(
        "rights-purge",
        "The account may not purge a deleted vault.",
        "Somebody who may purges it, or choose another `vault.on_deleted`.",
    ),
    id(
        "rights-resources",
        "The account may not make the resources.",
        "Give it Contributor on the group; the command is shown.",
    ),
    id(
        "rights-roles",
        "The account may not give roles.",
        "Give it Role Based Access Control Administrator on the group, or set `azure.role_assignments: external`.",
    ),
    id(
        "rights-workspace",
        "The account may not change tables or content of the workspace.",
        "Give it Log Analytics Contributor and Microsoft Sentinel Contributor there; the command is shown.",
    ),
    id("role-needed", "A role is given for the time of the command and taken back.", NOTHING),
    id(
        "role-stays",
        "The app's identity has a role on something of others, which this account may not take away.",
        "Whoever may runs the command shown. A role of an identity that is gone lets nobody in.",
    ),
    id(
        "role-to-give",
        "A role is left to an administrator (`azure.role_assignments: external`).",
        "Give the administrator the command shown; the installation waits for it.",
    ),
    id(
        "role-unseen",
        "Whether the app's identity has a role on a vault of others could not be seen.",
        "The vault's owner looks, and takes away what was given; the commands are shown.",
    ),
    id(
        "same-account",
        "Another installation already delivers this Mimecast account's events to the same table.",
        "Use that one, or remove it first: two would store every event twice.",
    ),
    id("sign-in", "Who is signed in.", "`az login`, or another way by `--auth`."),
    id(
        "silent",
        "No run of an account was seen for three times `collect.every` and a quarter of an hour, and it is not paused.",
        "The worker is not started or its rows do not arrive: look at host, timer and the workspace's daily cap, then at the app's own log, which `doctor --bundle FILE` has.",
    ),
    id(
        "stranger",
        "Something without our mark has a name of ours. It is never changed.",
        "Remove or rename it, or choose another `name`.",
    ),
    id(
        "subscription",
        "The subscription, and whether it takes changes.",
        "See `az account list`; one of another tenant needs `--tenant`.",
    ),
    id(
        "subscription-state",
        "The subscription is disabled or only to be read.",
        "Its owner must enable it again, or choose another `azure.subscription_id`.",
    ),
    id(
        "table-needed",
        "`--purge-table` names a table that something else needs; the message says what.",
        "Leave it out: the table stays.",
    ),
    id(
        "tables",
        "Which tables stay, or why one cannot be deleted.",
        "The message says what else uses it, or how to name it.",
    ),
    id(
        "tenant",
        "The sign-in is for another tenant than the answers name.",
        "`az login --tenant <tenant>`, or correct `azure.tenant_id`.",
    ),
    id(
        "timer",
        "Whether the timer's function is registered and runs.",
        "`resume` where it is paused; else the command shown registers it.",
    ),
    id(
        "tuned-content",
        "A person has changed a rule, the workbook or a parser. It stays as it is.",
        "`--reset-content` writes ours over it.",
    ),
    id(
        "unknown-kind",
        "Something with our mark is of a kind that this version does not know. It stays.",
        "Use the version that made it, or remove it by hand.",
    ),
    id(
        "unmarked",
        "Something has a name of ours and no mark. It stays.",
        "Remove it by hand if it is yours.",
    ),
    id(
        "upgrade-unproven",
        "An upgrade was stopped before its trial was over. What ran before it is noted in the app.",
        "`upgrade` tries what is there to the end, `upgrade --rollback` puts back what ran before.",
    ),
    id(
        "vault-deleted-elsewhere",
        "A deleted vault of somebody else holds the name.",
        "Choose another `name`, or `vault.on_deleted: new-name`.",
    ),
    id(
        "vault-protected",
        "The vault may not be purged before its time.",
        "Wait until then, or set `vault.on_deleted` to `recover` or `new-name`.",
    ),
    id("vault-recoverable", "The deleted vault can be recovered for a time.", NOTHING),
    id(
        "vault-right",
        "The account may not purge the vault.",
        "An owner of the subscription runs the command shown.",
    ),
    id("volume", "How much there is to collect: a day, and for the first run.", NOTHING),
    id(
        "workspace",
        "Whether the workspace is there and takes rows.",
        "Correct `workspace.resource_id`, or ask for Reader on it.",
    ),
    id(
        "workspace-cap",
        "The workspace has a daily cap, and has reached it.",
        "Raise the cap, or begin after its reset; `backfill` brings what was dropped.",
    ),
    id(
        "workspace-changed",
        "The installation feeds another workspace than the one that the answers name.",
        "`teardown --keep-data`, then `install`: the checkpoint stays, so nothing is lost or repeated.",
    ),
    id(
        "workspace-network",
        "The workspace takes no rows from public networks.",
        "Allow public ingestion, or use another workspace: the connector delivers over public endpoints.",
    ),
    id("workspace-unread", "The workspace could not be read.", UNREAD),
];

/// What is known of an id.
pub fn find(id: &str) -> Option<&'static Explained> {
    ALL.iter().find(|each| each.id == id)
}
