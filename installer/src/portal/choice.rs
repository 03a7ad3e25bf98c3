//! The installer's own rendering, once for each choice that a parameter offers.
//!
//! The first is made with the commonest answers; each other one differs from its base by one choice.
//! Where their resources differ, the template decides by the choice's condition. So no resource body is
//! written for the template: all come from `desired`, as they do for the installer.

use std::collections::BTreeMap;

use contract::cloud::CloudProfile;
use contract::resources::ResourceNames;

use super::node::{Condition, Node, Part};
use super::symbol::{RESOURCE_GROUP_NAME, SUBSCRIPTION_ID, symbol};
use super::{PortalError, parameter};
use crate::answers::given::Origin;
use crate::answers::intent::{
    Delivery, Hosting, Intent, MimecastApi, OnDeletedVault, Rules, WorkQueue, WorkspaceAnswer,
};
use crate::answers::keys;
use crate::answers::secret::{SecretSource, VaultSecret};
use crate::answers::yaml;
use crate::inventory::{Caller, DeletedVault, Inventory, Workspace};
use crate::world::World;

/// Numbers that stand for the two retentions: no answer can be as large.
pub(super) const NUMBERS: [(u32, &str); 2] =
    [(u32::MAX, "retentionDays"), (u32::MAX - 1, "totalRetentionDays")];

/// The secrets: key of the answers, parameter.
pub(super) const SECRETS: [(&str, &str); 10] = [
    ("mimecast.client_id", "mimecastClientId"),
    ("mimecast.client_secret", "mimecastClientSecret"),
    ("mimecast.app_id", "mimecastAppId"),
    ("mimecast.app_key", "mimecastAppKey"),
    ("mimecast.access_key", "mimecastAccessKey"),
    ("mimecast.secret_key", "mimecastSecretKey"),
    ("mimecast.email", "mimecastEmail"),
    ("mimecast.password", "mimecastPassword"),
    ("delivery.app_registration.client_id", "activeDirectoryAppId"),
    ("delivery.app_registration.client_secret", "activeDirectoryAppSecret"),
];

/// Secrets of API 1.0 that may be left out.
const OPTIONAL: [&str; 2] = ["mimecast.email", "mimecast.password"];

/// Whether a secret may be left out of an installation.
pub(super) fn optional(answer: &str) -> bool {
    OPTIONAL.contains(&answer)
}

/// Name of the variable that says whether an installation has a secret that may be left out.
pub(super) fn used(parameter: &str) -> String {
    format!("{parameter}Used")
}

/// Name of the variable that says whether a parameter holds a Key Vault reference.
pub(super) fn refers(parameter: &str) -> String {
    format!("{parameter}Refers")
}

/// Name of the variable that says whether a parameter is given.
pub(super) fn given(parameter: &str) -> String {
    format!("{parameter}Given")
}

/// What `desired` needs for one rendering.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) intent: Intent,
    pub(super) inventory: Inventory,
    /// Whether the Function App names the package that is published with it.
    pub(super) names_package: bool,
    /// Whether the functions are kept from being triggered.
    pub(super) paused: bool,
}

/// One choice.
pub(super) struct Choice {
    /// Place in the list of the rendering that it changes.
    pub(super) base: usize,
    /// When it is taken.
    pub(super) when: Condition,
    /// What is rendered.
    pub(super) scene: Scene,
}

/// Answers that are complete, so that the reader fills in everything that no parameter says.
const FEWEST: &str = "\
azure: {subscription_id: 00000000-0000-0000-0000-000000000000, resource_group: group}
workspace: {workspace_id: 00000000-0000-0000-0000-000000000000}
mimecast: {client_id: {env: MIMECAST_CLIENT_ID}, client_secret: {env: MIMECAST_CLIENT_SECRET}}
";

fn read(more: &str) -> Result<Intent, PortalError> {
    let given =
        yaml::read(&format!("{FEWEST}{more}"), |_| Origin::Recorded).map_err(|_| PortalError::Answers)?;
    Intent::of(&given, &World::with_environment(BTreeMap::new())).map_err(|_| PortalError::Answers)
}

/// The schedule of a period, as the answers' reader makes it; `None` for one that it does not take.
pub(super) fn schedule(period: &str) -> Option<String> {
    read(&format!("collect: {{every: {period}}}\n")).ok().map(|intent| intent.collect.schedule)
}

/// The schedule of each period.
pub(super) fn schedules() -> Result<Vec<(&'static str, String)>, PortalError> {
    parameter::PERIODS
        .iter()
        .map(|&period| Ok((period, schedule(period).ok_or(PortalError::Answers)?)))
        .collect()
}

/// The id of the workspace in the symbols of its parts.
pub(super) fn workspace_id() -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.OperationalInsights/workspaces/{}",
        symbol("workspaceSubscriptionId"),
        symbol("workspaceGroupName"),
        symbol("workspaceName"),
    )
}

fn first() -> Result<Scene, PortalError> {
    let mut intent = read("")?;
    intent.name = symbol("name");
    intent.cloud = CloudProfile { name: symbol("cloud"), ..CloudProfile::public() };
    intent.subscription_id = symbol(SUBSCRIPTION_ID);
    intent.resource_group = symbol(RESOURCE_GROUP_NAME);
    intent.location = Some(symbol("location"));
    intent.tags = BTreeMap::new();
    intent.workspace = WorkspaceAnswer::ResourceId(workspace_id());
    intent.app_insights_location = Some(symbol("appInsightsLocation"));
    intent.app_insights_workspace_id = Some(symbol("AppInsightsWorkspaceResourceID"));
    intent.collect.schedule = symbol("schedule");
    intent.collect.first_run = symbol("firstRun");
    intent.collect.settle = symbol("settle");
    intent.collect.overlap = symbol("overlap");
    intent.recorded = symbol("answers");
    for account in &mut intent.accounts {
        account.base_url = symbol("mimecastAddress");
    }
    let inventory = Inventory {
        caller: Caller {
            object_id: String::new(),
            principal_type: String::new(),
            tenant_id: symbol("tenantId"),
        },
        workspace: Workspace {
            id: workspace_id(),
            customer_id: String::new(),
            location: symbol("workspaceLocation"),
        },
        names: ResourceNames {
            identity: symbol("identityName"),
            storage_account: symbol("storageAccountName"),
            key_vault: symbol("keyVaultName"),
            application_insights: symbol("applicationInsightsName"),
            data_collection_rule: symbol("dataCollectionRuleName"),
            plan: symbol("planName"),
            function_app: symbol("functionAppName"),
        },
        resources: BTreeMap::new(),
        owned: Vec::new(),
        settings: None,
        assignments: Vec::new(),
        providers: Vec::new(),
        foreign_secrets: Vec::new(),
        delivery_principal: None,
        deleted_vault: None,
        sentinel: None,
        content: Vec::new(),
    };
    Ok(Scene { intent, inventory, names_package: false, paused: false })
}

/// The rendering with the commonest answers, then every choice. A choice comes after its base.
pub(super) fn choices() -> Result<Vec<Choice>, PortalError> {
    let mut list = List { choices: Vec::new() };
    // The first is no choice: nothing asks for its condition.
    list.choices.push(Choice { base: 0, when: Condition::is("appName"), scene: first()? });

    list.add(0, Condition::is("flex").not(), |scene| scene.intent.hosting = Hosting::Dedicated);
    for memory_mb in [2048, 4096] {
        let when = Condition::equals("instanceMemoryMB", &memory_mb.to_string());
        list.add(0, when, |scene| scene.intent.hosting = Hosting::FlexConsumption { memory_mb });
    }
    list.add(0, Condition::is("purgeProtection"), |scene| scene.intent.purge_protection = true);
    list.add(0, Condition::is("recoverVault"), |scene| {
        scene.intent.on_deleted_vault = OnDeletedVault::Recover;
        scene.inventory.deleted_vault =
            Some(DeletedVault { id: String::new(), vault_id: String::new(), ours: true });
    });
    list.add(0, Condition::is(&given("retentionDays")), |scene| {
        scene.intent.retention_days = Some(NUMBERS[0].0);
    });
    list.add(0, Condition::is(&given("totalRetentionDays")), |scene| {
        scene.intent.total_retention_days = Some(NUMBERS[1].0);
    });
    list.add(0, Condition::is(&given("objectId")), |scene| {
        scene.intent.operator_object_id = Some(symbol("objectId"));
    });
    list.add(0, Condition::is(&given("categories")), |scene| {
        scene.intent.collect.categories = vec![symbol("categories")];
    });
    list.add(0, Condition::is("workQueue"), |scene| scene.intent.collect.work_queue = WorkQueue::Always);
    list.add(0, Condition::is(&given("packageSha256")), |scene| scene.names_package = true);
    list.add(0, Condition::is("paused"), |scene| scene.paused = true);
    list.content();

    list.references(0, &["mimecast.client_id", "mimecast.client_secret"]);
    let signed = ["mimecast.app_id", "mimecast.app_key", "mimecast.access_key", "mimecast.secret_key"];
    let one = list.add(0, Condition::is("apiTwo").not(), |scene| {
        for account in &mut scene.intent.accounts {
            account.api = MimecastApi::One;
            account.secrets.clear();
        }
        signed.iter().for_each(|answer| put(scene, answer, own(answer)));
    });
    list.references(one, &signed);
    for answer in OPTIONAL {
        let with = list.add(one, Condition::is(&used(parameter_of(answer))), |scene| {
            put(scene, answer, own(answer));
        });
        list.references(with, &[answer]);
    }
    let registration = ["delivery.app_registration.client_id", "delivery.app_registration.client_secret"];
    let delivered = list.add(0, Condition::is("usesAppRegistration"), |scene| {
        scene.intent.delivery = Delivery::AppRegistration {
            client_id: own(registration[0]),
            client_secret: own(registration[1]),
            tenant_id: symbol("activeDirectoryTenantId"),
        };
        scene.inventory.delivery_principal = Some(symbol("activeDirectoryObjectId"));
    });
    list.references(delivered, &registration);
    Ok(list.choices)
}

struct List {
    choices: Vec<Choice>,
}

impl List {
    fn add(&mut self, base: usize, when: Condition, change: impl FnOnce(&mut Scene)) -> usize {
        let mut scene = self.choices[base].scene.clone();
        change(&mut scene);
        self.choices.push(Choice { base, when, scene });
        self.choices.len() - 1
    }

    /// Each of these secrets may be a reference to a vault of the person's own.
    fn references(&mut self, base: usize, answers: &[&'static str]) {
        for answer in answers {
            let parameter = parameter_of(answer);
            self.add(base, Condition::is(&refers(parameter)), |scene| {
                put(scene, answer, SecretSource::KeyVault(VaultSecret::Uri(symbol(parameter))));
            });
        }
    }

    fn content(&mut self) {
        self.add(0, Condition::is("connectorPage").not(), |scene| {
            scene.intent.content.connector_page = false
        });
        self.add(0, Condition::is("workbook").not(), |scene| scene.intent.content.workbook = false);
        self.add(0, Condition::is("huntingQueries").not(), |scene| scene.intent.content.hunting = false);
        self.add(0, Condition::is("asimParsers").not(), |scene| scene.intent.content.asim = false);
        for (word, rules) in [("all", Rules::All), ("off", Rules::Off)] {
            self.add(0, Condition::equals("analyticsRules", word), |scene| {
                scene.intent.content.rules = rules
            });
        }
    }
}

/// The parameter of a secret.
pub(super) fn parameter_of(answer: &str) -> &'static str {
    SECRETS.iter().find(|(each, _)| *each == answer).map_or("", |(_, parameter)| parameter)
}

/// Where the installer would find a secret that is given here as a value: under the name of the
/// worker's setting.
fn own(answer: &str) -> SecretSource {
    SecretSource::Variable(keys::find(answer).and_then(keys::Key::setting).unwrap_or_default().to_owned())
}

fn put(scene: &mut Scene, answer: &'static str, source: SecretSource) {
    if let Some(word) = answer.strip_prefix("mimecast.") {
        for account in &mut scene.intent.accounts {
            account.secrets.insert(word, source.clone());
        }
    } else if let Delivery::AppRegistration { client_id, client_secret, .. } = &mut scene.intent.delivery {
        let place = if answer.ends_with("client_id") { client_id } else { client_secret };
        *place = source;
    }
}

/// The answers that the parameters mean, as the installer would record them. What is null was not
/// answered.
pub(super) fn answers() -> Node {
    let mut answers = Answers(Vec::new());
    let is = Condition::is;
    answers.put("version", None, "1".to_owned());
    for (path, name) in [
        ("name", "name"),
        ("azure.cloud", "cloud"),
        ("azure.subscription_id", SUBSCRIPTION_ID),
        ("azure.resource_group", RESOURCE_GROUP_NAME),
        ("azure.location", "location"),
        ("azure.role_assignments", "roleAssignments"),
        ("workspace.resource_id", "workspaceId"),
        ("mimecast.api", "mimecastApi"),
        ("mimecast.base_url", "mimecastAddress"),
        ("collect.every", "collectEvery"),
        ("collect.first_run", "firstRun"),
        ("collect.settle", "settle"),
        ("collect.overlap", "overlap"),
        ("collect.work_queue", "workQueueWord"),
        ("hosting.plan", "hostingPlan"),
        ("hosting.memory_mb", "instanceMemoryMB"),
        ("monitoring.app_insights_location", "appInsightsLocation"),
        ("vault.purge_protection", "purgeProtection"),
        ("content.connector_page", "connectorPage"),
        ("content.workbook", "workbook"),
        ("content.rules", "analyticsRules"),
        ("content.hunting", "huntingQueries"),
        ("content.asim", "asimParsers"),
        ("content.asim_unifying", "asimUnifyingParsers"),
    ] {
        answers.put(path, None, symbol(name));
    }
    for (path, name, when) in [
        ("azure.tags", "tags", given("tags")),
        ("azure.operator_object_id", "objectId", given("objectId")),
        ("table.retention_days", "retentionDays", given("retentionDays")),
        ("table.total_retention_days", "totalRetentionDays", given("totalRetentionDays")),
        (
            "monitoring.app_insights_workspace_id",
            "AppInsightsWorkspaceResourceID",
            given("workspaceResourceId"),
        ),
        ("collect.categories", "categoryList", given("categories")),
        ("delivery.app_registration.tenant_id", "activeDirectoryTenantId", "usesAppRegistration".to_owned()),
    ] {
        answers.put(path, Some(is(&when)), symbol(name));
    }
    for (path, name) in SECRETS {
        let when = match path {
            "mimecast.client_id" | "mimecast.client_secret" => is("apiTwo"),
            path if path.starts_with("delivery.") => is("usesAppRegistration"),
            path if OPTIONAL.contains(&path) => is(&used(name)),
            _ => is("apiTwo").not(),
        };
        let SecretSource::Variable(variable) = own(path) else { continue };
        let variable = Node::from(&serde_json::json!({ "env": variable }));
        let reference = Node::from(&serde_json::json!(symbol(name)));
        answers.node(
            path,
            Some(when),
            Node::Either(is(&refers(name)), Box::new(reference), Box::new(variable)),
        );
    }
    Node::Object(answers.0)
}

struct Answers(Vec<Part>);

impl Answers {
    fn put(&mut self, path: &str, when: Option<Condition>, text: String) {
        self.node(path, when, Node::Leaf(text.into()));
    }

    fn node(&mut self, path: &str, when: Option<Condition>, node: Node) {
        let mut parts = &mut self.0;
        let mut words = path.split('.').peekable();
        while let Some(word) = words.next() {
            if words.peek().is_none() {
                parts.push(Part { name: word.to_owned(), when, node });
                return;
            }
            let at = parts.iter().position(|part| part.name == word).unwrap_or_else(|| {
                parts.push(Part { name: word.to_owned(), when: None, node: Node::Object(Vec::new()) });
                parts.len() - 1
            });
            let Node::Object(inside) = &mut parts[at].node else { return };
            parts = inside;
        }
    }
}
