//! What the worker signs in to Mimecast with: typed unseen or named by where it is kept, and tried at once.

use std::path::Path;

use super::{Asked, Guide};
use crate::answers::given::{Origin, Value};
use crate::answers::intent::{Intent, MimecastApi, duration_secs};
use crate::answers::keys::{self, Key};
use crate::answers::prompt::{self, Kept, Topic};
use crate::answers::secret::{SecretSource, Secrets, usable};
use crate::azure::http_client;
use crate::check::mimecast::FirstRun;
use crate::check::{self, State};
use crate::commands::gather;
use crate::mimecast;
use crate::ui::{Failure, Turn};

/// What came of trying the credentials.
enum Tried {
    /// They are good, or are kept where only the worker reads them.
    Good,
    /// Mimecast does not take them, or could not be asked.
    Bad,
}

impl Guide<'_> {
    /// Which credentials.
    pub(super) async fn credentials(&mut self) -> Asked {
        let api = self.api();
        let mut words = prompt::credentials(api).to_vec();
        loop {
            let Some(kept) = self.kept(&words).await? else { return Ok(Turn::Back) };
            if api == MimecastApi::One {
                let entries = [
                    "it never expires (usual)".to_owned(),
                    "it expires: renew it by address and password".to_owned(),
                ];
                match self.ui.choose(self.world, "The access key", &entries, 0).await? {
                    Turn::Back => continue,
                    Turn::Given(0) => words = prompt::credentials(api).to_vec(),
                    Turn::Given(_) => words = [prompt::credentials(api), prompt::RENEWAL].concat(),
                }
            }
            self.forget(Topic::Credentials);
            if kept == Kept::Typed {
                self.ui.explain(
                    "",
                    "Nothing of them is shown. A paste of up to 25,000 characters is taken whole; longer ones, which no vault takes, and what you do not want to paste, can come from a file: `{file: PATH}` in an answers file.",
                );
            }
            if self.take_all(&words, kept).await? == Turn::Back {
                continue;
            }
            loop {
                match self.try_them().await? {
                    Tried::Good => return Ok(Turn::Given(())),
                    Tried::Bad => {}
                }
                let entries = ["give the credentials again".to_owned(), "try the same once more".to_owned()];
                match self.ui.choose(self.world, "What now", &entries, 0).await? {
                    Turn::Back => return Ok(Turn::Back),
                    Turn::Given(0) => break,
                    Turn::Given(_) => {}
                }
            }
        }
    }

    /// Where they are; `None` leads back.
    async fn kept(&self, words: &[&str]) -> Result<Option<Kept>, Failure> {
        let set = words.iter().all(|word| {
            key(word).and_then(Key::setting).is_some_and(|setting| self.world.variable(setting).is_some())
        });
        let entries: Vec<String> = Kept::ALL
            .iter()
            .map(|kept| match kept {
                Kept::Variables if set => format!("{} (all are set)", kept.label()),
                _ => kept.label().to_owned(),
            })
            .collect();
        let first = Kept::ALL.iter().position(|kept| set && *kept == Kept::Variables).unwrap_or(0);
        Ok(match self.ui.choose(self.world, "Credentials", &entries, first).await? {
            Turn::Back => None,
            Turn::Given(place) => Kept::ALL.get(place).copied(),
        })
    }

    /// Asks for one after the other; `<` leads to the one before, and from the first to the menu.
    async fn take_all(&mut self, words: &[&str], kept: Kept) -> Asked {
        let mut place = 0;
        while let Some(word) = words.get(place) {
            place = match self.take(word, kept).await? {
                Turn::Given(()) => place + 1,
                Turn::Back if place == 0 => return Ok(Turn::Back),
                Turn::Back => place - 1,
            };
        }
        Ok(Turn::Given(()))
    }

    /// Asks for one until it is usable.
    async fn take(&mut self, word: &str, kept: Kept) -> Asked {
        let path = format!("mimecast.{word}");
        let title = word.replace('_', " ");
        loop {
            let taken = match kept {
                Kept::Typed => match self.ui.hidden_field(self.world, &title).await? {
                    Turn::Back => return Ok(Turn::Back),
                    Turn::Given(typed) => usable(&path, typed.expose())
                        .map(|value| {
                            self.secrets.insert(&path, value);
                            SecretSource::Prompt
                        })
                        .map_err(|error| error.to_string()),
                },
                other => {
                    let (what, usual) = match other {
                        Kept::Variables => ("variable of the", key(word).and_then(Key::setting)),
                        Kept::Files => ("file of the", None),
                        Kept::Typed | Kept::KeyVault => ("address or reference of the", None),
                    };
                    match self.ui.field(self.world, &format!("{what} {title}"), usual).await? {
                        Turn::Back => return Ok(Turn::Back),
                        Turn::Given(text) => self.source(&path, other, &text),
                    }
                }
            };
            match taken {
                Ok(source) => {
                    self.answered.put(&path, Value::Secret(source), Origin::Prompt);
                    return Ok(Turn::Given(()));
                }
                Err(wrong) => self.ui.explain("", &wrong),
            }
        }
    }

    /// The place that a text names, if there is something usable in it.
    fn source(&self, path: &str, kept: Kept, text: &str) -> Result<SecretSource, String> {
        let word = match kept {
            Kept::Variables => "env",
            Kept::Files => "file",
            Kept::Typed | Kept::KeyVault => "key_vault",
        };
        let source = SecretSource::parse_entry(word, text)?;
        let source = match source {
            // The file is read from wherever the answers are used later.
            SecretSource::File(file) => SecretSource::File(self.world.absolute(Path::new(&file))),
            other => other,
        };
        match Secrets::read(self.world, [(path, &source)]) {
            Ok(_) => Ok(source),
            Err(errors) => Err(errors.iter().map(gather::full).collect::<Vec<_>>().join("; ")),
        }
    }

    /// Tries them at Mimecast, as the checks before an installation do, and says what came of it.
    async fn try_them(&self) -> Result<Tried, Failure> {
        let intent = match Intent::of(&self.all(), self.world) {
            Ok(intent) => intent,
            Err(problems) => {
                for problem in problems {
                    self.ui.explain("", &problem.to_string());
                }
                return Ok(Tried::Bad);
            }
        };
        let mut secrets = gather::secrets_at_hand(self.world, &intent);
        secrets.extend(self.secrets.clone());
        let http = http_client(gather::certificates(self.world)).map_err(|error| Failure::of(&error))?;
        let reach = duration_secs(&intent.collect.first_run).unwrap_or_default();
        let mut tried = Tried::Good;
        for account in &intent.accounts {
            let seen = mimecast::look(&http, account, &secrets, self.world.now(), reach).await;
            for check in check::mimecast::checks(&intent, account, &seen, FirstRun::ToCome) {
                let mut text = check.result.clone();
                for more in check.remedy.as_deref().into_iter().chain(check.link) {
                    text = format!("{text}\n{more}");
                }
                let heading = match check.state {
                    State::Good => "Mimecast takes them",
                    State::Warning => "Worth a word",
                    State::NotChecked => "Not tried here",
                    State::Failed => "That does not work",
                };
                self.ui.explain(heading, &text);
                if check.state == State::Failed {
                    tried = Tried::Bad;
                }
            }
        }
        Ok(tried)
    }
}

fn key(word: &str) -> Option<&'static Key> {
    keys::find(&format!("mimecast.{word}"))
}
