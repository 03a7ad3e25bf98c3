//! The template's variables, and what the symbols of a rendering stand for.

use contract::resources::ResourceNames;

use super::choice::{self, given, refers};
use super::content;
use super::parameter::{self, Kind};
use super::print::Printed;
use super::resource::Resource;
use super::symbol::{Meaning, Names, RESOURCE_GROUP_NAME, SUBSCRIPTION_ID, Scope, Symbol, quoted};
use super::{PortalError, choice::NUMBERS, fault, word};
use crate::plan::desired;
use crate::plan::template::api_version;

/// The variables that are texts, in an order in which each follows what it uses: name, type, expression.
fn plain_variables(own: Option<&ResourceNames>) -> Vec<(String, &'static str, String)> {
    let mut list: Vec<(String, &'static str, String)> = Vec::new();
    let mut add = |name: &str, kind: &'static str, text: &str| {
        list.push((name.to_owned(), kind, text.to_owned()));
    };
    add(
        &refers("mimecastBaseURL"),
        "bool",
        "startsWith(parameters('mimecastBaseURL'), '@Microsoft.KeyVault(')",
    );
    // As the installer records it: without the slash with which an address is often copied.
    add(
        "mimecastAddress",
        "string",
        "if(endsWith(parameters('mimecastBaseURL'), '/'), take(parameters('mimecastBaseURL'), sub(length(parameters('mimecastBaseURL')), 1)), parameters('mimecastBaseURL'))",
    );
    add("apiTwo", "bool", "equals(parameters('mimecastApi'), '2.0')");
    add(fault::FAULTS, "string", &fault::faults());
    add("name", "string", &fault::without_faults("toLower(parameters('appName'))"));
    // Differs from the installer's own hash: names that are there win over derived ones.
    add("unique", "string", "uniqueString(resourceGroup().id, variables('name'))");
    add("letters", "string", "replace(variables('name'), '-', '')");
    add(
        "deploymentName",
        "string",
        "concat('mimecast-', variables('name'), '-', take(variables('unique'), 8))",
    );
    add("identityName", "string", "concat('id-', variables('name'))");
    add("storageAccountName", "string", "concat('st', take(variables('letters'), 9), variables('unique'))");
    add("keyVaultName", "string", "concat('kv-', take(variables('letters'), 7), '-', variables('unique'))");
    add("applicationInsightsName", "string", "concat('appi-', variables('name'))");
    add("dataCollectionRuleName", "string", "concat('dcr-', variables('name'))");
    add("planName", "string", "concat('plan-', variables('name'))");
    add("functionAppName", "string", "concat('func-', variables('name'), '-', variables('unique'))");
    add(
        "workspaceId",
        "string",
        "if(empty(parameters('workspaceResourceId')), parameters('AppInsightsWorkspaceResourceID'), parameters('workspaceResourceId'))",
    );
    add("workspaceSubscriptionId", "string", "split(variables('workspaceId'), '/')[2]");
    add("workspaceGroupName", "string", "split(variables('workspaceId'), '/')[4]");
    add("workspaceName", "string", "split(variables('workspaceId'), '/')[8]");
    add("flex", "bool", "equals(parameters('hostingPlan'), 'flex-consumption')");
    // The role on the rule goes to the service principal: without its object id the registration could
    // deliver nothing. What an old parameters file says of the registration alone changes nothing.
    add("usesAppRegistration", "bool", "not(empty(parameters('activeDirectoryObjectId')))");
    // All other content stands on the views.
    add(
        "views",
        "bool",
        "or(parameters('workbook'), parameters('huntingQueries'), parameters('connectorPage'), parameters('asimParsers'), not(equals(parameters('analyticsRules'), 'off')))",
    );
    add(
        "unifyingParsers",
        "bool",
        "and(parameters('asimParsers'), parameters('asimUnifyingParsers'), parameters('createUnifyingParsers'))",
    );
    // Whatever the case in which it was given.
    add(content::WORKSPACE_SEED, "string", "toLower(variables('workspaceId'))");
    add(&given("packageSha256"), "bool", "not(empty(parameters('packageSha256')))");
    add("roleAssignments", "string", "if(parameters('assignRoles'), 'installer', 'external')");
    add("workQueueWord", "string", "if(parameters('workQueue'), 'always', 'auto')");
    for name in ["objectId", "categories", "workspaceResourceId", "tags"] {
        add(&given(name), "bool", &format!("not(empty(parameters('{name}')))"));
    }
    for (answer, name) in choice::SECRETS {
        add(&given(name), "bool", &format!("not(empty(parameters('{name}')))"));
        if choice::optional(answer) {
            add(
                &choice::used(name),
                "bool",
                &format!(
                    "and(not(variables('apiTwo')), or(variables('{}'), parameters('keepMimecastLogin')))",
                    given(name)
                ),
            );
        }
    }
    for (_, name) in NUMBERS {
        add(&given(name), "bool", &format!("greater(parameters('{name}'), 0)"));
    }
    for (_, name) in choice::SECRETS {
        add(&refers(name), "bool", &format!("startsWith(parameters('{name}'), '@Microsoft.KeyVault(')"));
    }
    add("categoryList", "array", "split(parameters('categories'), ',')");
    add("schedule", "string", "variables('schedules')[parameters('collectEvery')]");
    for (name, text) in word::variables() {
        let kind = if name == word::ANY_REFERS { "bool" } else { "string" };
        add(name, kind, &text);
    }
    for (name, text) in own.into_iter().flat_map(fixed_names) {
        if let Some(known) = list.iter_mut().find(|(each, ..)| each == name) {
            known.2 = quoted(text);
        }
    }
    list
}

/// The variables of names, and what an installation that is there has in them.
fn fixed_names(own: &ResourceNames) -> [(&'static str, &str); 7] {
    [
        ("identityName", &own.identity),
        ("storageAccountName", &own.storage_account),
        ("keyVaultName", &own.key_vault),
        ("applicationInsightsName", &own.application_insights),
        ("dataCollectionRuleName", &own.data_collection_rule),
        ("planName", &own.plan),
        ("functionAppName", &own.function_app),
    ]
}

pub(super) fn variables(
    scope: &mut Scope<'_>,
    names: Option<&ResourceNames>,
) -> Result<Printed, PortalError> {
    let mut members: Vec<(String, Printed)> = plain_variables(names)
        .into_iter()
        .map(|(name, _, expression)| (name, Printed::text(format!("[{expression}]"))))
        .collect();
    let schedules = choice::schedules()?
        .into_iter()
        .map(|(period, schedule)| (period.to_owned(), Printed::text(schedule)));
    members.push(("schedules".to_owned(), Printed::Object(schedules.collect())));
    let units =
        fault::UNIT_SECS.map(|(unit, secs)| (unit.to_owned(), Printed::Value(serde_json::json!(secs))));
    members.push((fault::UNITS.to_owned(), Printed::Object(units.into())));
    let own = format!(
        "createObject('{}', variables('name'), '{}', '{}')",
        contract::resources::INSTALLATION_TAG,
        contract::resources::VERSION_TAG,
        desired::VERSION
    );
    members.push(("allTags".to_owned(), Printed::text(format!("[union(parameters('tags'), {own})]"))));
    members.push((
        "siteTags".to_owned(),
        Printed::text(format!(
            "[union(variables('allTags'), createObject('{}', parameters('packageSha256'), '{}', parameters('workerSha256')))]",
            contract::resources::PACKAGE_TAG,
            contract::resources::WORKER_TAG
        )),
    ));
    members.push(("givenAnswers".to_owned(), choice::answers().plain(scope)));
    members.push(("answers".to_owned(), Printed::text("[string(variables('givenAnswers'))]")));
    Ok(Printed::Object(members))
}

/// What each symbol stands for.
pub(super) fn names(resources: &[Resource]) -> Names {
    let of = |kind, meaning| Symbol { kind, meaning };
    let parameters = parameter::ALL.iter().map(|each| {
        // What is passed on is passed on as what it is; no secret is passed on.
        let kind = if each.kind == Kind::Secret { "securestring" } else { each.type_name() };
        (each.name.to_owned(), of(kind, Meaning::Parameter))
    });
    let variables =
        plain_variables(None).into_iter().map(|(name, kind, _)| (name, of(kind, Meaning::Variable)));
    let objects = [("allTags", "object"), ("siteTags", "object"), ("answers", "string")]
        .map(|(name, kind)| (name.to_owned(), of(kind, Meaning::Variable)));
    let workspaces = api_version("Microsoft.OperationalInsights/workspaces").unwrap_or_default();
    let expressions = [
        (SUBSCRIPTION_ID, "subscription().subscriptionId".to_owned()),
        (RESOURCE_GROUP_NAME, "resourceGroup().name".to_owned()),
        ("tenantId", "subscription().tenantId".to_owned()),
        (
            "workspaceLocation",
            format!("reference(variables('workspaceId'), '{workspaces}', 'Full').location"),
        ),
    ]
    .map(|(name, text)| (name.to_owned(), of("string", Meaning::Expression(text))));
    Names {
        symbols: parameters.chain(variables).chain(objects).chain(expressions).collect(),
        steps: resources.iter().map(|each| (each.key.clone(), (each.id.clone(), each.api_version))).collect(),
    }
}
