//! The guided setup: a person at a terminal is led through what is missing. Each answer fills the same
//! `Given` as flags, environment and file do, and one conversion makes the `Intent` of all of them.

mod credentials;
mod places;
mod summary;

use super::arguments::Global;
use super::gather;
use super::package::Source;
use crate::answers::given::{Given, Origin, Value};
use crate::answers::intent::{Intent, MimecastApi};
use crate::answers::keys::{self, Shape};
use crate::answers::prompt::{self, Choice, Topic};
use crate::answers::secret::Secrets;
use crate::azure::{Azure, AzureError};
use crate::ui::{Failure, Turn, Ui};
use crate::world::World;
use places::Subscription;
use summary::Verdict;

/// Whether a person may be led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// Where answers are missing and somebody is there to be asked.
    WhereNeeded,
    /// Not at all: a file or `--yes` says that everything is given.
    Never,
}

impl Lead {
    /// A person is led where neither a file of answers nor `--yes` was given.
    pub(super) fn unless(unattended: bool) -> Self {
        if unattended { Self::Never } else { Self::WhereNeeded }
    }
}

/// With what a command goes on.
pub(super) struct Opening {
    /// The complete answers.
    pub(super) intent: Intent,
    /// The secrets that are not in a vault.
    pub(super) secrets: Secrets,
    /// Azure, signed in.
    pub(super) azure: Azure,
}

/// Complete answers, secrets and sign-in: from what was given, or by leading the person.
///
/// # Errors
/// Everything that is wrong or missing, at once; a refused sign-in; a person who gave up. Nobody is asked
/// anything where there is no worker package to publish.
pub(super) async fn open(
    world: &World,
    ui: &Ui,
    global: &Global,
    given: Given,
    lead: Lead,
    package: &Source,
) -> Result<Opening, Failure> {
    if lead == Lead::WhereNeeded && ui.asks(world) && lacks(world, &given) {
        package.require()?;
        return Guide::begin(world, ui, global, given).await?.lead().await;
    }
    let intent = gather::intent(world, &given)?;
    let secrets = gather::secrets(world, ui, &intent).await?;
    let azure = gather::connect(world, ui, global, &intent.cloud, intent.tenant_id.as_deref()).await?;
    Ok(Opening { intent, secrets, azure })
}

/// Whether answers are missing, and nothing that was given is wrong.
fn lacks(world: &World, given: &Given) -> bool {
    match Intent::of(given, world) {
        Ok(_) => false,
        Err(problems) => problems.iter().all(|problem| problem.origin == Origin::Missing),
    }
}

/// What one question led to.
type Asked = Result<Turn<()>, Failure>;

/// The conversation so far.
struct Guide<'a> {
    world: &'a World,
    ui: &'a Ui,
    global: &'a Global,
    /// What flags and environment say.
    given: Given,
    /// What was answered.
    answered: Given,
    /// What was typed unseen.
    secrets: Secrets,
    azure: Azure,
    subscriptions: Vec<Subscription>,
}

impl<'a> Guide<'a> {
    /// Says what this is, and signs in.
    async fn begin(world: &'a World, ui: &'a Ui, global: &'a Global, given: Given) -> Result<Self, Failure> {
        ui.explain(
            "Setting up the Mimecast connector for Microsoft Sentinel",
            "A few questions, then the plan, and nothing is changed before you have agreed to it. In a menu choose with the arrow keys and Enter; its first entry, and `<` in a field, lead back; Ctrl-C stops.\n\
             You need an account of Azure that is signed in here (`az login` or `azd auth login`; in Azure Cloud Shell you are), and an API application of Mimecast.",
        );
        let cloud = gather::cloud(world, &given)?;
        let tenant = text_of(&given, "azure.tenant_id");
        let azure = loop {
            match gather::connect(world, ui, global, &cloud, tenant.as_deref()).await {
                Ok(azure) => break azure,
                Err(failure) => {
                    ui.explain("Not signed in", &failure.text());
                    let again = ["try again, after signing in in another terminal".to_owned()];
                    if ui.choose(world, "Sign-in", &again, 0).await? == Turn::Back {
                        return Err(failure);
                    }
                }
            }
        };
        let subscriptions = places::subscriptions(&azure).await.unwrap_or_default();
        Ok(Self {
            world,
            ui,
            global,
            given,
            answered: Given::default(),
            secrets: Secrets::default(),
            azure,
            subscriptions,
        })
    }

    /// Asks one question after the other, forward and back, until the summary is agreed to.
    async fn lead(mut self) -> Result<Opening, Failure> {
        let mut behind: Vec<Topic> = Vec::new();
        let mut ahead: Vec<Topic> = Topic::ALL.into_iter().rev().collect();
        loop {
            let turn = match ahead.last() {
                Some(topic) if self.is_given(*topic) => {
                    ahead.pop();
                    continue;
                }
                Some(topic) => self.ask(*topic).await?,
                None => match self.review().await? {
                    Verdict::Agreed(intent) => return self.finish(*intent).await,
                    Verdict::Back => Turn::Back,
                },
            };
            match turn {
                Turn::Given(()) => behind.extend(ahead.pop()),
                Turn::Back => match behind.pop() {
                    Some(topic) => {
                        self.forget(topic);
                        ahead.push(topic);
                    }
                    None => self.ui.explain("", "This is the first question; Ctrl-C stops."),
                },
            }
        }
    }

    /// The answers, with the secrets of several accounts composed and those elsewhere read.
    async fn finish(self, intent: Intent) -> Result<Opening, Failure> {
        let mut secrets = gather::secrets_at_hand(self.world, &intent);
        secrets.extend(self.secrets);
        Ok(Opening { intent, secrets, azure: self.azure })
    }

    /// Whether flags or environment answer a question. That a credential's variable is set may be chance.
    fn is_given(&self, topic: Topic) -> bool {
        let on_purpose = |path: &&str| {
            self.given.answer(path).is_some_and(|answer| {
                !matches!(&answer.origin, Origin::Variable(name) if !name.starts_with(keys::VARIABLE_PREFIX))
            })
        };
        match topic {
            Topic::Workspace => topic.keys().iter().any(on_purpose),
            Topic::Credentials => prompt::credentials(self.api())
                .iter()
                .all(|word| on_purpose(&format!("mimecast.{word}").as_str())),
            other => other.keys().first().is_some_and(on_purpose),
        }
    }

    /// Asks one question.
    async fn ask(&mut self, topic: Topic) -> Asked {
        let explained = match topic {
            Topic::Credentials => prompt::beforehand(self.api()),
            other => other.explained(),
        };
        self.ui.explain(topic.heading(), explained);
        match topic {
            Topic::Name => self.text("name", "Name").await,
            Topic::Subscription => self.subscription().await,
            Topic::Workspace => self.workspace().await,
            Topic::ResourceGroup => self.resource_group().await,
            Topic::Hosting => self.menu("Hosting", prompt::HOSTING, None).await,
            Topic::Region => self.region().await,
            Topic::Generation => self.menu("Generation", prompt::GENERATIONS, None).await,
            Topic::Host => {
                self.menu("Host", prompt::hosts(self.api()), Some(("another host", "mimecast.base_url")))
                    .await
            }
            Topic::Credentials => self.credentials().await,
            Topic::Content => self.menu("Content", prompt::CONTENT, None).await,
        }
    }

    /// Takes back what a topic answered.
    fn forget(&mut self, topic: Topic) {
        let mut kept = Given::default();
        for (path, answer) in self.answered.iter().filter(|(path, _)| !topic.keys().contains(path)) {
            kept.put(path, answer.value.clone(), answer.origin.clone());
        }
        self.answered = kept;
        if topic == Topic::Credentials {
            self.secrets = Secrets::default();
        }
    }

    /// Flags and environment with what was answered.
    fn all(&self) -> Given {
        let mut all = self.given.clone();
        all.overlay(self.answered.clone());
        all
    }

    /// The text of an answer, or its default.
    fn value(&self, path: &str) -> Option<String> {
        text_of(&self.answered, path)
            .or_else(|| text_of(&self.given, path))
            .or_else(|| keys::find(path).and_then(|key| key.default).map(str::to_owned))
    }

    fn api(&self) -> MimecastApi {
        match self.value("mimecast.api").as_deref() {
            Some("1.0") => MimecastApi::One,
            _ => MimecastApi::Two,
        }
    }

    fn put(&mut self, path: &str, text: &str) {
        self.answered.put(path, Value::Text(text.to_owned()), Origin::Prompt);
    }

    /// Puts an answer where the rules of the answers allow it; else says why not.
    fn put_checked(&mut self, path: &str, text: &str) -> bool {
        let shape = keys::find(path).map_or(Shape::Text, |key| key.shape);
        let wrong = match crate::answers::given::read_text(shape, text) {
            Err(message) => Some(message),
            Ok(value) => {
                let mut tried = self.all();
                tried.put(path, value.clone(), Origin::Prompt);
                let problems = Intent::of(&tried, self.world).err().unwrap_or_default();
                let own = problems.into_iter().find(|problem| problem.key.as_deref() == Some(path));
                if own.is_none() {
                    self.answered.put(path, value, Origin::Prompt);
                }
                own.map(|problem| problem.message)
            }
        };
        if let Some(wrong) = &wrong {
            self.ui.explain("", wrong);
        }
        wrong.is_none()
    }

    /// Asks for a text until it is accepted.
    async fn text(&mut self, path: &str, question: &str) -> Asked {
        let usual = self.value(path);
        loop {
            match self.ui.field(self.world, question, usual.as_deref()).await? {
                Turn::Back => return Ok(Turn::Back),
                Turn::Given(text) if self.put_checked(path, &text) => return Ok(Turn::Given(())),
                Turn::Given(_) => {}
            }
        }
    }

    /// Lets one of these choices be taken, or another text typed for this key.
    async fn menu(&mut self, question: &str, choices: &[Choice], other: Option<(&str, &str)>) -> Asked {
        let mut entries: Vec<String> = choices
            .iter()
            .map(|choice| match choice.answers {
                [(path, text)] if Some(*path) == other.map(|(_, path)| path) => {
                    format!("{} ({})", choice.label, text.trim_start_matches("https://"))
                }
                _ => choice.label.to_owned(),
            })
            .collect();
        entries.extend(other.map(|(label, _)| label.to_owned()));
        loop {
            let Turn::Given(place) = self.ui.choose(self.world, question, &entries, 0).await? else {
                return Ok(Turn::Back);
            };
            match (choices.get(place), other) {
                (Some(choice), _) => {
                    for (path, text) in choice.answers {
                        let shape = keys::find(path).map_or(Shape::Text, |key| key.shape);
                        if let Ok(value) = crate::answers::given::read_text(shape, text) {
                            self.answered.put(path, value, Origin::Prompt);
                        }
                    }
                    return Ok(Turn::Given(()));
                }
                (None, Some((label, path))) => {
                    if self.other(path, label).await? == Turn::Given(()) {
                        return Ok(Turn::Given(()));
                    }
                }
                (None, None) => {}
            }
        }
    }

    /// Asks for a text that has no usual one; `<` leads back to the menu.
    async fn other(&mut self, path: &str, question: &str) -> Asked {
        loop {
            match self.ui.field(self.world, question, None).await? {
                Turn::Back => return Ok(Turn::Back),
                Turn::Given(text) if self.put_checked(path, &text) => return Ok(Turn::Given(())),
                Turn::Given(_) => {}
            }
        }
    }

    /// Says that a list could not be had, so that the person types what is not listed.
    fn unlisted(&self, what: &str, error: &AzureError) {
        self.ui.explain("", &format!("{what} could not be listed, so please type: {error}"));
    }
}

/// The text of an answer.
fn text_of(given: &Given, path: &str) -> Option<String> {
    match given.answer(path).map(|answer| &answer.value) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    }
}
