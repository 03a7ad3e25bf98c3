//! The summary before the plan: every answer, what is usual for the rest, and a way to change any of it.

use super::Guide;
use crate::answers::Intent;
use crate::answers::given::Value;
use crate::answers::keys::{self, Key, Shape};
use crate::answers::prompt::Topic;
use crate::answers::secret::SecretSource;
use crate::ui::{Failure, Turn};

/// What the person makes of the summary.
pub(super) enum Verdict {
    /// To be planned like this.
    Agreed(Box<Intent>),
    /// To the last question.
    Back,
}

impl Guide<'_> {
    /// Shows everything, and lets what was not asked be changed.
    pub(super) async fn review(&mut self) -> Result<Verdict, Failure> {
        loop {
            let intent = match Intent::of(&self.all(), self.world) {
                Ok(intent) => intent,
                Err(problems) => {
                    for problem in problems {
                        self.ui.explain("This does not fit together", &problem.to_string());
                    }
                    return Ok(Verdict::Back);
                }
            };
            self.ui.explain("Your answers", &self.listed(|key| self.was_answered(key)));
            self.ui.explain("As usual", &self.listed(|key| !self.was_answered(key)));
            let entries =
                ["go on: check everything and show the plan".to_owned(), "change one of these".to_owned()];
            match self.ui.choose(self.world, "Is this right", &entries, 0).await? {
                Turn::Back => return Ok(Verdict::Back),
                Turn::Given(0) => return Ok(Verdict::Agreed(Box::new(intent))),
                Turn::Given(_) => self.change().await?,
            }
        }
    }

    fn was_answered(&self, key: &Key) -> bool {
        self.all().answer(key.path).is_some()
    }

    /// A line for each key that passes and has a value.
    fn listed(&self, passes: impl Fn(&Key) -> bool) -> String {
        let line = |key: &Key| self.shown(key).map(|value| format!("{}: {value}", key.path));
        let lines: Vec<String> =
            keys::ALL.iter().filter(|key| key.path != "version" && passes(key)).filter_map(line).collect();
        lines.join("\n")
    }

    /// The value of a key, or its default.
    fn shown(&self, key: &Key) -> Option<String> {
        match self.all().answer(key.path).map(|answer| answer.value.clone()) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::List(texts)) => Some(texts.join(", ")),
            Some(Value::Map(texts)) => {
                let pairs: Vec<String> = texts.iter().map(|(name, text)| format!("{name}={text}")).collect();
                Some(pairs.join(", "))
            }
            Some(Value::Secret(source)) => Some(match source {
                SecretSource::Variable(name) => format!("in the environment variable {name}"),
                SecretSource::File(path) => format!("in the file {}", path.display()),
                SecretSource::KeyVault(secret) => format!("in a vault: {}", secret.reference()),
                SecretSource::Prompt => "typed, not shown".to_owned(),
            }),
            // The environment may name another cloud than the public one.
            None if key.path == "azure.cloud" => Some(self.azure.cloud().name.clone()),
            None => key.default.map(str::to_owned),
        }
    }

    /// Lets one answer be changed that no question was about.
    async fn change(&mut self) -> Result<(), Failure> {
        let asked: Vec<&str> = Topic::ALL.iter().flat_map(|topic| topic.keys()).copied().collect();
        let others: Vec<&Key> = keys::ALL
            .iter()
            .filter(|key| {
                let fixed = matches!(key.path, "version" | "azure.cloud") || key.shape == Shape::Secret;
                // An app registration takes secrets, which the questions do not ask for.
                let registration = key.path.starts_with("delivery.");
                !fixed && !registration && !asked.contains(&key.path)
            })
            .collect();
        loop {
            let entries: Vec<String> = others
                .iter()
                .map(|key| {
                    format!("{}: {}", key.path, self.shown(key).unwrap_or_else(|| "(none)".to_owned()))
                })
                .collect();
            let Turn::Given(place) = self.ui.choose(self.world, "Change", &entries, 0).await? else {
                return Ok(());
            };
            if let Some(key) = others.get(place) {
                self.change_one(key).await?;
            }
        }
    }

    async fn change_one(&mut self, key: &Key) -> Result<(), Failure> {
        self.ui.explain(key.path, &format!("{} Accepted: {}.", key.meaning, key.shape.accepted()));
        let choices: &[&str] = match key.shape {
            Shape::Choice(choices) => choices,
            Shape::Boolean => &["true", "false"],
            _ => {
                let now = self.shown(key);
                loop {
                    match self.ui.field(self.world, key.path, now.as_deref()).await? {
                        Turn::Back => return Ok(()),
                        Turn::Given(text) if self.put_checked(key.path, &text) => return Ok(()),
                        Turn::Given(_) => {}
                    }
                }
            }
        };
        let now = self.shown(key);
        let first = choices.iter().position(|choice| Some(*choice) == now.as_deref()).unwrap_or(0);
        let entries: Vec<String> = choices.iter().map(|&choice| choice.to_owned()).collect();
        if let Turn::Given(place) = self.ui.choose(self.world, key.path, &entries, first).await?
            && let Some(choice) = choices.get(place)
        {
            self.put_checked(key.path, choice);
        }
        Ok(())
    }
}
