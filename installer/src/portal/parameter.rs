//! The template's parameters: the names that people know from the old connector, and what is new.

use serde_json::{Value, json};

use super::choice::SECRETS;
use super::print::Printed;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A text that Azure never shows again.
    Secret,
    /// A whole number between the two.
    Whole(u32, u32),
    /// True or false.
    Flag,
    /// An object of texts.
    Texts,
}

/// What holds where a parameter is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Default {
    /// It must be given.
    None,
    /// A text, or an expression in brackets.
    Text(&'static str),
    /// Zero.
    Zero,
    /// True or false.
    Flag(bool),
    /// An object without members.
    Nothing,
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Default,
    pub(super) allowed: &'static [&'static str],
    /// Fewest and most characters.
    pub(super) length: Option<(u32, u32)>,
    pub(super) meaning: &'static str,
}

impl Parameter {
    /// Its type in the template language.
    pub(super) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Text => "string",
            Kind::Secret => "securestring",
            Kind::Whole(..) => "int",
            Kind::Flag => "bool",
            Kind::Texts => "object",
        }
    }

    /// Its declaration.
    pub(super) fn declaration(&self) -> Printed {
        let mut members = vec![("type".to_owned(), Printed::text(self.type_name()))];
        let mut add = |name: &str, value: Value| members.push((name.to_owned(), Printed::Value(value)));
        match self.default {
            Default::None => {}
            Default::Text(text) => add("defaultValue", json!(text)),
            Default::Zero => add("defaultValue", json!(0)),
            Default::Flag(value) => add("defaultValue", json!(value)),
            Default::Nothing => add("defaultValue", json!({})),
        }
        if let Some((shortest, longest)) = self.length {
            add("minLength", json!(shortest));
            add("maxLength", json!(longest));
        }
        if let Kind::Whole(least, most) = self.kind {
            add("minValue", json!(least));
            add("maxValue", json!(most));
        }
        if !self.allowed.is_empty() {
            let allowed = self.allowed.iter().map(|&each| Printed::text(each)).collect();
            members.push(("allowedValues".to_owned(), Printed::List(allowed)));
        }
        members
            .push(("metadata".to_owned(), Printed::object([("description", Printed::text(self.meaning))])));
        Printed::Object(members)
    }
}

const fn text(name: &'static str, default: Default, meaning: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Text, default, allowed: &[], length: None, meaning }
}

const fn secret(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Secret, default: Default::Text(""), allowed: &[], length: None, meaning }
}

const fn flag(name: &'static str, value: bool, meaning: &'static str) -> Parameter {
    let default = Default::Flag(value);
    Parameter { name, kind: Kind::Flag, default, allowed: &[], length: None, meaning }
}

const fn choice(
    name: &'static str,
    default: &'static str,
    allowed: &'static [&'static str],
    meaning: &'static str,
) -> Parameter {
    Parameter { name, kind: Kind::Text, default: Default::Text(default), allowed, length: None, meaning }
}

const fn days(name: &'static str, most: u32, meaning: &'static str) -> Parameter {
    let default = Default::Zero;
    Parameter { name, kind: Kind::Whole(0, most), default, allowed: &[], length: None, meaning }
}

/// Periods that the worker can run at: minutes that divide an hour, hours that divide a day.
pub(super) const PERIODS: &[&str] = &[
    "1m", "2m", "3m", "4m", "5m", "6m", "10m", "12m", "15m", "20m", "30m", "1h", "2h", "3h", "4h", "6h",
    "8h", "12h", "1d",
];

/// Parameters that may be a reference to a vault of the person's own, beside the secrets.
const REFERRING_TEXTS: [&str; 1] = ["mimecastBaseURL"];

/// Parameters that may be a reference to a vault of the person's own.
pub(super) fn referring() -> impl Iterator<Item = &'static str> {
    SECRETS.iter().map(|(_, name)| *name).chain(REFERRING_TEXTS)
}

/// The generations of the rules' ids.
const GENERATIONS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7"];

/// Every parameter, in the order of the template.
pub(super) const ALL: &[Parameter] = &[
    Parameter {
        length: Some((2, 32)),
        ..text(
            "appName",
            Default::Text("mimecast-audit"),
            "Name of the installation: 2 to 32 letters, digits and single hyphens, a letter first and no hyphen last. The names of what is made derive from it.",
        )
    },
    Parameter {
        length: Some((1, 400)),
        ..text(
            "AppInsightsWorkspaceResourceID",
            Default::None,
            "Resource id of the Log Analytics workspace: /subscriptions/…/workspaces/…. Application Insights writes to it, and the audit rows go to it unless workspaceResourceId names another.",
        )
    },
    text(
        "workspaceResourceId",
        Default::Text(""),
        "Resource id of the workspace of Microsoft Sentinel, where it is not the one above. The workspace itself is never written to, only its tables and content.",
    ),
    text("location", Default::Text("[resourceGroup().location]"), "Region of the resources."),
    text("appInsightsLocation", Default::Text("[parameters('location')]"), "Region of Application Insights."),
    text(
        "objectId",
        Default::Text(""),
        "Object id of the person who may later write the secrets (Key Vault Secrets Officer on the vault). Empty: nobody is added.",
    ),
    choice(
        "mimecastApi",
        "[if(empty(parameters('mimecastAppKey')), '2.0', '1.0')]",
        &["2.0", "1.0"],
        "Generation of the Mimecast API. 2.0 takes mimecastClientId and mimecastClientSecret; 1.0 takes mimecastAppId, mimecastAppKey, mimecastAccessKey and mimecastSecretKey.",
    ),
    text(
        "mimecastBaseURL",
        Default::Text("https://api.services.mimecast.com"),
        "Address of the Mimecast API. API 1.0 has one host for each region, such as https://eu-api.mimecast.com, which API 2.0 does not answer at.",
    ),
    secret(
        "mimecastClientId",
        "Client id of the API 2.0 application. This and every other Mimecast or app registration value may instead be a reference to a Key Vault of yours: @Microsoft.KeyVault(SecretUri=https://…/secrets/…).",
    ),
    secret("mimecastClientSecret", "Client secret of the API 2.0 application."),
    secret("mimecastAppId", "Application id (API 1.0)."),
    secret("mimecastAppKey", "Application key (API 1.0)."),
    secret("mimecastAccessKey", "Access key (API 1.0)."),
    secret("mimecastSecretKey", "Secret key, base64 (API 1.0)."),
    secret(
        "mimecastEmail",
        "Address of the service user (API 1.0). Only needed to renew a binding that expires.",
    ),
    secret(
        "mimecastPassword",
        "Password of the service user (API 1.0). Only needed to renew a binding that expires, and then together with mimecastEmail.",
    ),
    flag(
        "keepMimecastLogin",
        false,
        "Whether the worker reads address and password of the service user (API 1.0) from the installation's vault, which has them from before. Only where they are not given here.",
    ),
    secret(
        "activeDirectoryAppId",
        "Client id of an app registration that delivers the rows. Not needed: without it the managed identity delivers, which has no secret that could expire. Used only where activeDirectoryObjectId is given too.",
    ),
    secret("activeDirectoryAppSecret", "Client secret of that app registration."),
    text(
        "activeDirectoryObjectId",
        Default::Text(""),
        "Object id of that app registration's service principal (the enterprise application, not the registration): it is given the role on the rule. Empty: the managed identity delivers, whatever activeDirectoryAppId says.",
    ),
    text(
        "activeDirectoryTenantId",
        Default::Text("[subscription().tenantId]"),
        "Tenant of that app registration.",
    ),
    text(
        "workspaceId",
        Default::Text(""),
        "Not needed, kept so that an old parameters file still fits: the workspace is named by its resource id.",
    ),
    secret(
        "workspaceKey",
        "Not needed, kept so that an old parameters file still fits: the HTTP Data Collector API that took the key ended on 14 September 2026, and rows go through a data collection rule.",
    ),
    choice("collectEvery", "5m", PERIODS, "How often to collect."),
    text(
        "firstRun",
        Default::Text("7d"),
        "How far back the first run reaches, at most 60d, which is what Mimecast keeps.",
    ),
    text(
        "settle",
        Default::Text("60s"),
        "How long events may take to appear at Mimecast: a run reads up to this long before now.",
    ),
    text(
        "overlap",
        Default::Text("15m"),
        "How far each run reaches back behind the last one, for late events. What was read before is left out.",
    ),
    text(
        "categories",
        Default::Text(""),
        "Category codes to collect, separated by commas without blanks. Empty: all.",
    ),
    flag(
        "workQueue",
        false,
        "Whether to make the queue through which a past range can be asked for (`backfill`). packageUri must then be the address of mimecast-sentinel-worker-queue.zip, which has the function that takes from it; the installer publishes the right one by itself.",
    ),
    choice(
        "hostingPlan",
        "flex-consumption",
        &["flex-consumption", "dedicated"],
        "Plan of the Function App: Flex Consumption, or dedicated (B1, always on) where a region lacks it.",
    ),
    choice("instanceMemoryMB", "512", &["512", "2048", "4096"], "Memory of an instance on Flex Consumption."),
    flag(
        "createTables",
        true,
        "Whether to make the two tables. False where they are there and hold columns that others added: a template would take those away, the installer keeps them.",
    ),
    days("retentionDays", 730, "Days that rows stay open to queries, 4 to 730. 0: as the workspace has it."),
    days(
        "totalRetentionDays",
        4383,
        "Days that rows are kept at all, 4 to 4383. 0: as the workspace has it.",
    ),
    flag(
        "assignRoles",
        true,
        "Whether the roles of the managed identity are given by this deployment. False where an administrator gives them; the worker waits for them.",
    ),
    flag("recoverVault", false, "Whether to recover a soft-deleted Key Vault of the same name."),
    flag(
        "purgeProtection",
        false,
        "Whether the Key Vault may never be purged before its time. Once on, it cannot be taken off.",
    ),
    flag("connectorPage", true, "Whether to add the connector's page to Microsoft Sentinel."),
    flag(
        "createConnectorPage",
        true,
        "Whether this deployment writes that page. False where it is there: Sentinel changes a page only for one who names the etag that it has, which a template cannot read.",
    ),
    flag("workbook", true, "Whether to add the workbook."),
    choice("analyticsRules", "recommended", &["recommended", "all", "off"], "Which analytics rules to add."),
    choice(
        "ruleGeneration",
        "0",
        GENERATIONS,
        "Which ids the analytics rules have. Azure keeps the id of a deleted rule back for about a day: where a deployment is refused because a rule was \"recently deleted\", the next number makes it. Later deployments must then give the same.",
    ),
    flag("huntingQueries", true, "Whether to add the hunting queries."),
    flag("asimParsers", true, "Whether to add the parsers for ASIM."),
    flag(
        "asimUnifyingParsers",
        false,
        "Whether to make the workspace's custom unifying parsers (Im_AuthenticationCustom, ASim_AuthenticationCustom, Im_AuditEventCustom, ASim_AuditEventCustom, ASimEmptyView) that call ours. Only where the workspace has none of them: a template cannot add a line to one that is there, the installer can.",
    ),
    flag(
        "createUnifyingParsers",
        true,
        "Whether this deployment makes those parsers. False where they are there: Azure changes a function only for one who names the etag that it has, which a template cannot read.",
    ),
    flag(
        "createContent",
        true,
        "Whether this deployment writes functions, hunting queries, workbook and analytics rules. False where they are there: a deployment writes over what people have tuned and over the marks of other installations, the installer keeps both.",
    ),
    flag(
        "paused",
        false,
        "Whether the functions are kept from running, as `mimecast-sentinel pause` does. A deployment without it starts a paused installation again.",
    ),
    Parameter {
        kind: Kind::Texts,
        default: Default::Nothing,
        ..text("tags", Default::Nothing, "Tags for everything that is made, beside the installation's own.")
    },
    text(
        "cloud",
        Default::Text(
            "[if(equals(environment().name, 'AzureUSGovernment'), 'us-government', if(equals(environment().name, 'AzureChinaCloud'), 'china', 'public'))]",
        ),
        "Azure cloud, as the worker names it: public, us-government, china, or the endpoints of a custom cloud as JSON.",
    ),
    text(
        "packageUri",
        Default::None,
        "Address of the worker's package (mimecast-sentinel-worker.zip) that Azure can read without signing in. Empty: everything but the package is made, and the output publishCommand says how to publish it.",
    ),
    Parameter {
        length: Some((0, 64)),
        ..text(
            "packageSha256",
            Default::Text(""),
            "SHA-256 of that package in lower-case hexadecimal digits, so that worker and installer know which one runs. Without it the installer publishes its own at the next upgrade.",
        )
    },
    Parameter {
        length: Some((0, 64)),
        ..text(
            "workerSha256",
            Default::Text(""),
            "SHA-256 of the file mimecast-sentinel-worker in that package (SHA256SUMS has it). The worker reports that of its own file, and `mimecast-sentinel status` compares the two.",
        )
    },
];

/// A parameters file to copy: what most people give, with secrets read from a vault while deploying.
pub(super) fn example() -> Printed {
    const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-security/providers/Microsoft.KeyVault/vaults/kv-security";
    let given = |value: &str| Printed::object([("value", Printed::text(value))]);
    let referred = |secret: &str| {
        let vault = Printed::object([("id", Printed::text(VAULT))]);
        let reference = Printed::object([("keyVault", vault), ("secretName", Printed::text(secret))]);
        Printed::object([("reference", reference)])
    };
    Printed::object([
        (
            "$schema",
            Printed::text(
                "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
            ),
        ),
        ("contentVersion", Printed::text("1.0.0.0")),
        (
            "parameters",
            Printed::object([
                ("appName", given("mimecast-audit")),
                (
                    "AppInsightsWorkspaceResourceID",
                    given(
                        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-sentinel/providers/Microsoft.OperationalInsights/workspaces/log-sentinel",
                    ),
                ),
                ("mimecastBaseURL", given("https://api.services.mimecast.com")),
                ("mimecastClientId", referred("mimecast-client-id")),
                ("mimecastClientSecret", referred("mimecast-client-secret")),
                ("packageUri", given("")),
            ]),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::{ALL, Default, Kind, PERIODS, example};

    #[test]
    fn every_secret_is_secure_and_in_no_output() {
        let template = crate::portal::template::template(None).expect("renders").to_string();
        let template: Value = serde_json::from_str(&template).expect("JSON");
        let outputs = template["outputs"].to_string();
        for parameter in ALL {
            // The names that carry credentials, whatever the table says of them.
            let named = ["Secret", "Password", "Key", "Email", "mimecastAppId", "mimecastClientId"];
            let secret = named.iter().any(|word| parameter.name.contains(word));
            assert_eq!(
                secret || parameter.name == "activeDirectoryAppId",
                parameter.kind == Kind::Secret,
                "{}",
                parameter.name
            );
            let declared = &template["parameters"][parameter.name];
            assert_eq!(
                declared["type"] == "securestring",
                parameter.kind == Kind::Secret,
                "{}",
                parameter.name
            );
            if parameter.kind == Kind::Secret {
                assert_eq!(declared["defaultValue"], "", "{}", parameter.name);
                assert!(
                    !outputs.contains(&format!("parameters('{}')", parameter.name)),
                    "{}",
                    parameter.name
                );
            }
        }
    }

    #[test]
    fn the_periods_are_those_that_the_answers_take() {
        let texts = (1..=60).map(|minutes| format!("{minutes}m"));
        let texts = texts
            .chain((1..=24).map(|hours| format!("{hours}h")))
            .chain((1..=7).map(|days| format!("{days}d")));
        let mut schedules = std::collections::BTreeMap::new();
        for text in texts {
            if let Some(schedule) = crate::portal::choice::schedule(&text) {
                schedules.entry(schedule).or_insert_with(Vec::new).push(text);
            }
        }
        let known = crate::portal::choice::schedules().expect("read");
        assert_eq!(known.len(), PERIODS.len());
        assert_eq!(known.len(), schedules.len(), "{schedules:?}");
        for (period, schedule) in known {
            assert!(schedules[&schedule].iter().any(|text| text == period), "{period}");
        }
    }

    #[test]
    fn the_example_gives_what_must_be_given_and_nothing_unknown() {
        let example: Value = serde_json::from_str(&example().to_string()).expect("JSON");
        let given: HashSet<&str> =
            example["parameters"].as_object().expect("parameters").keys().map(String::as_str).collect();
        let known: HashSet<&str> = ALL.iter().map(|parameter| parameter.name).collect();
        assert!(given.is_subset(&known), "{given:?}");
        for parameter in ALL.iter().filter(|parameter| parameter.default == Default::None) {
            assert!(given.contains(parameter.name), "{}", parameter.name);
        }
    }
}
