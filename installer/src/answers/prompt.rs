//! The questions of the guided setup, in their order, as data: what each is about, which keys it answers,
//! and what can be chosen. How they are asked is the command's (`commands/guided.rs`).
//!
//! What Mimecast says of its hosts, roles and products: `Services` of its API 2.0 pages and the article
//! "Mimecast API 2.0" (<https://developer.services.mimecast.com/api-overview>).

use super::intent::MimecastApi;

/// One question of the guided setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// What the installation is called.
    Name,
    /// Where its resources are.
    Subscription,
    /// Where the rows go.
    Workspace,
    /// The group of its resources.
    ResourceGroup,
    /// What the worker runs on.
    Hosting,
    /// The region of its resources.
    Region,
    /// Which generation of Mimecast's API.
    Generation,
    /// Which host of it.
    Host,
    /// What the worker signs in to Mimecast with.
    Credentials,
    /// What the analyst gets.
    Content,
}

impl Topic {
    /// Every question, in its order: the workspace before the region, which follows from it.
    pub const ALL: [Self; 10] = [
        Self::Name,
        Self::Subscription,
        Self::Workspace,
        Self::ResourceGroup,
        Self::Hosting,
        Self::Region,
        Self::Generation,
        Self::Host,
        Self::Credentials,
        Self::Content,
    ];

    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Name => "Name of the installation",
            Self::Subscription => "Subscription",
            Self::Workspace => "Workspace of Microsoft Sentinel",
            Self::ResourceGroup => "Resource group",
            Self::Hosting => "Hosting",
            Self::Region => "Region",
            Self::Generation => "Generation of the Mimecast API",
            Self::Host => "Mimecast host",
            Self::Credentials => "Mimecast credentials",
            Self::Content => "Content for the analyst",
        }
    }

    /// What the person should know before answering.
    pub fn explained(self) -> &'static str {
        match self {
            Self::Name => {
                "2 to 32 lower-case letters, digits and hyphens. The names of everything that is made follow from it."
            }
            Self::Subscription => "Function App, storage, vault and data collection rule are made in it.",
            Self::Workspace => {
                "Rows, rules and workbook go there. The workspace itself is never changed. It may be in another subscription."
            }
            Self::ResourceGroup => "A group of its own is the easiest to see and to remove.",
            Self::Hosting => {
                "The worker runs every five minutes for some seconds. Flex Consumption costs by use; a dedicated B1 plan costs the same each hour, and is for regions without Flex."
            }
            Self::Region => {
                "Only regions in which Azure Functions runs the worker on this plan are listed. The workspace's comes first."
            }
            Self::Generation => {
                "API 2.0 is what Mimecast gives out today. API 1.0 is for an application that you have already: since June 2025 no new ones are made."
            }
            Self::Host => "The host decides where Mimecast handles the data that it answers with.",
            // What is needed depends on the generation: `beforehand` says it.
            Self::Credentials => "",
            Self::Content => {
                "Rules never change or replace rules of yours, and all of it can be removed again."
            }
        }
    }

    /// The keys that it answers. A topic whose first key was given is not asked.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["name"],
            Self::Subscription => &["azure.subscription_id", "azure.tenant_id"],
            Self::Workspace => &["workspace.resource_id", "workspace.workspace_id"],
            Self::ResourceGroup => &["azure.resource_group"],
            Self::Hosting => &["hosting.plan", "hosting.memory_mb"],
            Self::Region => &["azure.location"],
            Self::Generation => &["mimecast.api"],
            Self::Host => &["mimecast.base_url"],
            Self::Credentials => &[
                "mimecast.client_id",
                "mimecast.client_secret",
                "mimecast.app_id",
                "mimecast.app_key",
                "mimecast.access_key",
                "mimecast.secret_key",
                "mimecast.email",
                "mimecast.password",
            ],
            Self::Content => &[
                "content.rules",
                "content.connector_page",
                "content.workbook",
                "content.hunting",
                "content.asim",
            ],
        }
    }
}

/// One entry of a menu, and what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// What the menu says.
    pub label: &'static str,
    /// The keys and their texts.
    pub answers: &'static [(&'static str, &'static str)],
}

const fn choice(label: &'static str, answers: &'static [(&'static str, &'static str)]) -> Choice {
    Choice { label, answers }
}

/// What the worker can run on.
pub const HOSTING: &[Choice] = &[
    choice(
        "Flex Consumption, 512 MB (usual)",
        &[("hosting.plan", "flex-consumption"), ("hosting.memory_mb", "512")],
    ),
    choice(
        "Flex Consumption, 2048 MB",
        &[("hosting.plan", "flex-consumption"), ("hosting.memory_mb", "2048")],
    ),
    choice(
        "Flex Consumption, 4096 MB",
        &[("hosting.plan", "flex-consumption"), ("hosting.memory_mb", "4096")],
    ),
    choice("dedicated plan B1, always on", &[("hosting.plan", "dedicated")]),
];

/// The generations of Mimecast's API.
pub const GENERATIONS: &[Choice] = &[
    choice("2.0: client id and secret (usual)", &[("mimecast.api", "2.0")]),
    choice("1.0: application and access keys", &[("mimecast.api", "1.0")]),
];

/// The hosts of API 2.0, with where data is handled.
const HOSTS_TWO: &[Choice] = &[
    choice(
        "global: fails over, also to another region",
        &[("mimecast.base_url", "https://api.services.mimecast.com")],
    ),
    choice("United Kingdom only", &[("mimecast.base_url", "https://uk-api.services.mimecast.com")]),
    choice("United States only", &[("mimecast.base_url", "https://us-api.services.mimecast.com")]),
];

/// The hosts of API 1.0: an account is on one of them alone.
const HOSTS_ONE: &[Choice] = &[
    choice("Europe without Germany, UK", &[("mimecast.base_url", "https://eu-api.mimecast.com")]),
    choice("Germany", &[("mimecast.base_url", "https://de-api.mimecast.com")]),
    choice("United States", &[("mimecast.base_url", "https://us-api.mimecast.com")]),
    choice("United States, second grid", &[("mimecast.base_url", "https://usb-api.mimecast.com")]),
    choice("Canada", &[("mimecast.base_url", "https://ca-api.mimecast.com")]),
    choice("South Africa", &[("mimecast.base_url", "https://za-api.mimecast.com")]),
    choice("Australia", &[("mimecast.base_url", "https://au-api.mimecast.com")]),
    choice("offshore (Jersey)", &[("mimecast.base_url", "https://je-api.mimecast.com")]),
];

/// The hosts of a generation.
pub fn hosts(api: MimecastApi) -> &'static [Choice] {
    match api {
        MimecastApi::Two => HOSTS_TWO,
        MimecastApi::One => HOSTS_ONE,
    }
}

/// What the analyst can get.
pub const CONTENT: &[Choice] = &[
    choice(
        "page, workbook, hunting, ASIM, recommended rules (usual)",
        &[
            ("content.rules", "recommended"),
            ("content.connector_page", "true"),
            ("content.workbook", "true"),
            ("content.hunting", "true"),
            ("content.asim", "true"),
        ],
    ),
    choice(
        "the same with all rules",
        &[
            ("content.rules", "all"),
            ("content.connector_page", "true"),
            ("content.workbook", "true"),
            ("content.hunting", "true"),
            ("content.asim", "true"),
        ],
    ),
    choice(
        "none: rows alone",
        &[
            ("content.rules", "off"),
            ("content.connector_page", "false"),
            ("content.workbook", "false"),
            ("content.hunting", "false"),
            ("content.asim", "false"),
        ],
    ),
];

/// Where the credentials of the guided setup can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Typed or pasted, unseen.
    Typed,
    /// In variables of this shell.
    Variables,
    /// In files.
    Files,
    /// In a vault of one's own.
    KeyVault,
}

impl Kept {
    /// Every place.
    pub const ALL: [Self; 4] = [Self::Typed, Self::Variables, Self::Files, Self::KeyVault];

    /// What the menu says.
    pub fn label(self) -> &'static str {
        match self {
            Self::Typed => "type or paste them now, not shown",
            Self::Variables => "they are in environment variables",
            Self::Files => "they are in files",
            Self::KeyVault => "they are in a Key Vault of mine",
        }
    }
}

/// What has to be set up at Mimecast beforehand, by the generation.
pub fn beforehand(api: MimecastApi) -> &'static str {
    match api {
        MimecastApi::Two => {
            "In the Mimecast administration console:\n\
             1. Account | Roles: a new role with nothing but the right Account | Logs | Read.\n\
             2. Integrations | Integrations Hub (older tenants: API and Platform Integrations) | Mimecast API 2.0 | Generate Keys: the product Audit Events (it cannot be added later) and that role. Your own role needs Services | API Application, read and edit.\n\
             3. Client id and client secret are shown once. A new application may need 30 minutes."
        }
        MimecastApi::One => {
            "Of the application and the service user that you have: application id, application key, access key and secret key. The user's role needs Account | Logs | Read, and its authentication profile should never expire; else give its address and password too, to renew the binding."
        }
    }
}

/// The credentials of a generation, by the last word of their keys.
pub fn credentials(api: MimecastApi) -> &'static [&'static str] {
    match api {
        MimecastApi::Two => &["client_id", "client_secret"],
        MimecastApi::One => &["app_id", "app_key", "access_key", "secret_key"],
    }
}

/// The further credentials of API 1.0 that renew a binding.
pub const RENEWAL: &[&str] = &["email", "password"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{CONTENT, GENERATIONS, HOSTING, MimecastApi, Topic, credentials, hosts};
    use crate::answers::given::read_text;
    use crate::answers::{Given, Intent, Origin, keys, yaml};
    use crate::world::World;

    /// Complete answers with these in the place of what they say of the same keys.
    fn with(answers: &[(&str, &str)]) -> Result<Intent, Vec<crate::answers::Problem>> {
        let mut given: Given = yaml::read(&crate::answers::initial::file(), |line| Origin::File {
            file: "init".to_owned(),
            line,
        })
        .expect("reads");
        for (path, text) in answers {
            let shape = keys::find(path).unwrap_or_else(|| panic!("{path} is no key")).shape;
            given.put(path, read_text(shape, text).expect("accepted"), Origin::Prompt);
        }
        Intent::of(&given, &World::with_environment(BTreeMap::new()))
    }

    #[test]
    fn every_entry_of_every_menu_is_an_answer_that_is_accepted() {
        for choice in HOSTING.iter().chain(hosts(MimecastApi::Two)).chain(CONTENT) {
            with(choice.answers).unwrap_or_else(|problems| panic!("{}: {problems:?}", choice.label));
        }
        for choice in hosts(MimecastApi::One) {
            let one = [("mimecast.api", "1.0")];
            let problems = with(&[&one[..], choice.answers].concat()).expect_err("other credentials");
            assert!(
                problems.iter().all(|problem| problem.key.as_deref() != Some("mimecast.base_url")),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn menus_answer_the_keys_of_their_topic() {
        for (topic, choices) in [
            (Topic::Hosting, HOSTING),
            (Topic::Generation, GENERATIONS),
            (Topic::Host, hosts(MimecastApi::One)),
            (Topic::Content, CONTENT),
        ] {
            for (path, _) in choices.iter().flat_map(|choice| choice.answers) {
                assert!(topic.keys().contains(path), "{path} of {topic:?}");
            }
        }
        for api in [MimecastApi::One, MimecastApi::Two] {
            for word in credentials(api) {
                assert!(Topic::Credentials.keys().contains(&format!("mimecast.{word}").as_str()), "{word}");
            }
        }
        for path in Topic::ALL.iter().flat_map(|topic| topic.keys()) {
            assert!(keys::find(path).is_some(), "{path}");
        }
    }

    #[test]
    fn whatever_is_needed_is_asked() {
        let asked: Vec<&str> = Topic::ALL.iter().flat_map(|topic| topic.keys()).copied().collect();
        let problems =
            Intent::of(&Given::default(), &World::with_environment(BTreeMap::new())).expect_err("empty");
        for problem in problems {
            let key = problem.key.expect("a key");
            assert!(asked.contains(&key.as_str()), "{key}");
        }
    }
}
