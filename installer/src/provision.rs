//! Provision: a plan in, the same in Azure out.
//!
//! Runs the steps in an order that the plan allows, several at a time, and fills in the values that
//! earlier steps made. It takes no decision: what is done stands in the plan.

pub mod act;
mod rotate;
mod rule;
mod trial;
pub mod wait;

use std::collections::{BTreeMap, BTreeSet};

use contract::secret::Secret;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use serde_json::Value;

use crate::azure::{Azure, AzureError};
use crate::deploy::kept::KeptError;
use crate::plan::{Action, Plan, Step, output};
use crate::ui::failure::told;
use crate::ui::{Event, Ui};
use crate::world::World;
use act::{Doing, Ended};
pub use rotate::RotateError;
pub use trial::NotPutBack;

/// Steps that run at the same time. Azure takes more; a person's screen and the throttling of role
/// assignments don't.
const STEPS_AT_ONCE: usize = 6;

/// What a plan is carried out with: values that are never in the plan.
#[derive(Debug, Default)]
pub struct Material {
    /// Values of secrets, by key of the answers.
    pub secrets: BTreeMap<String, Secret<String>>,
    /// The worker package.
    pub package: Option<bytes::Bytes>,
}

/// What was made: each resource as Azure gave it back, by the key of its step.
#[derive(Debug, Default, Clone)]
pub struct Provisioned {
    /// The resources.
    pub resources: BTreeMap<String, Value>,
    /// Titles of the steps that were done, in the order in which they ended.
    pub done: Vec<String>,
}

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A step was refused.
    #[error("could not finish {title}")]
    Step {
        /// What it was about.
        title: String,
        /// What Azure says.
        #[source]
        source: AzureError,
    },
    /// A value that an earlier step should have made is not there.
    #[error("{title} needs `{pointer}` of `{step}`, and Azure did not give it")]
    Missing {
        /// What it was about.
        title: String,
        /// The earlier step.
        step: String,
        /// Where the value should have been.
        pointer: String,
    },
    /// A table does not hold, when it is read back, what was written.
    #[error(
        "{title} was written, and read back it has no column `{column}`: compare it in the portal before going on"
    )]
    Column {
        /// What it was about.
        title: String,
        /// The column and its type.
        column: String,
    },
    /// Nobody has given a role that is an administrator's to give.
    #[error("{title} was not given within {waited_secs} seconds")]
    NotGiven {
        /// What it was about.
        title: String,
        /// The command that gives it.
        command: String,
        /// How long was waited.
        waited_secs: u64,
    },
    /// Something that travels beside the plan was not given.
    #[error("{title} needs {what}, which was not given")]
    Material {
        /// What it was about.
        title: String,
        /// What is missing.
        what: String,
    },
    /// A package that is kept cannot be had.
    #[error("could not finish {title}")]
    Kept {
        /// What it was about.
        title: String,
        /// Why.
        #[source]
        source: KeptError,
    },
    /// The worker could not be published, and what was changed for it was put back.
    #[error("the worker could not be published, and what ran before was put back")]
    NotPublished(#[source] Box<ProvisionError>),
    /// What an upgrade changed does not work, and what was there could not be put back.
    #[error("could not finish {title}")]
    Trial {
        /// What it was about.
        title: String,
        /// Why.
        #[source]
        source: NotPutBack,
    },
    /// Secrets were not rotated.
    #[error("could not finish {title}")]
    Rotate {
        /// What it was about.
        title: String,
        /// Why.
        #[source]
        source: RotateError,
    },
    /// Steps wait for each other.
    #[error("the plan's steps wait for each other: {0}")]
    Circle(String),
    /// The person stopped it.
    #[error("stopped")]
    Stopped,
}

/// Why what was there before could not be put back.
#[derive(Debug, thiserror::Error)]
pub enum PutBackError {
    /// Azure refused.
    #[error("it could not be put back")]
    Azure(#[from] AzureError),
    /// The package that ran cannot be had.
    #[error("the package that ran before could not be put back")]
    Kept(#[from] KeptError),
    /// A secret had no value that could be read.
    #[error("the secret `{0}` had no readable value before")]
    NoOldValue(String),
}

/// A failed run: why, and what had been done.
#[derive(Debug, thiserror::Error)]
#[error("the plan was not carried out to its end")]
pub struct Failed {
    /// Why.
    #[source]
    pub source: ProvisionError,
    /// Why further steps failed that were under way at the same time.
    pub further: Vec<ProvisionError>,
    /// What had been done.
    pub provisioned: Provisioned,
    /// Titles of the steps that Azure was still busy with, where nobody waited for their end.
    pub under_way: Vec<String>,
}

/// What the person wants while a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// No new step begins until they have decided.
    Hold,
    /// Steps begin again.
    GoOn,
    /// No new step begins; those under way are waited for.
    Finish,
    /// Nothing is waited for. What Azure is busy with goes on there.
    Leave,
}

/// Carries out a plan. After a failure no new step begins; those under way are waited for, so that
/// nothing is left half made that could have been whole. `steering` may end it in the same way, or at once.
///
/// # Errors
/// [`Failed`] with the first failure and everything that was done.
pub async fn provision(
    azure: &Azure,
    ui: &Ui,
    world: &World,
    plan: &Plan,
    material: &Material,
    steering: impl Stream<Item = Steer>,
) -> Result<Provisioned, Failed> {
    let keys: BTreeSet<&str> = plan.steps.iter().map(|step| step.key.as_str()).collect();
    let mut waiting: Vec<&Step> = plan.steps.iter().collect();
    let mut finished: BTreeSet<&str> = BTreeSet::new();
    let mut made = Provisioned::default();
    let mut skipped: BTreeSet<&str> = BTreeSet::new();
    let mut failure: Option<ProvisionError> = None;
    let mut further: Vec<ProvisionError> = Vec::new();
    let mut running = FuturesUnordered::new();
    let mut under_way: BTreeMap<&str, &str> = BTreeMap::new();
    let mut steering = std::pin::pin!(steering);
    let mut held = false;
    let total = plan.steps.len();

    loop {
        if failure.is_none() && !held {
            let mut index = 0;
            while index < waiting.len() && running.len() < STEPS_AT_ONCE {
                let step = waiting[index];
                // A step that is not in the plan is done already.
                let ready = step
                    .depends_on
                    .iter()
                    .all(|key| finished.contains(key.as_str()) || !keys.contains(key.as_str()));
                if !ready {
                    index += 1;
                    continue;
                }
                waiting.remove(index);
                let known = |step: &str, pointer: &str| output::look_up(made.resources.get(step)?, pointer);
                match filled(step, &known) {
                    Ok(action) => {
                        ui.say(Event::StepStarted {
                            key: step.key.clone(),
                            title: step.title.clone(),
                            done: finished.len(),
                            total,
                        });
                        under_way.insert(&step.key, &step.title);
                        let surroundings =
                            if step.depends_on.iter().any(|key| finished.contains(key.as_str())) {
                                Surroundings::New
                            } else {
                                Surroundings::Settled
                            };
                        let without = step.depends_on.iter().any(|key| skipped.contains(key.as_str()));
                        let doing = Doing { azure, ui, world, step, material, surroundings, without };
                        running.push(async move {
                            let watch = world.stopwatch();
                            (step, watch, doing.act(action).await)
                        });
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
        }
        let undecided = held && failure.is_none() && !waiting.is_empty();
        if running.is_empty() && !undecided {
            break;
        }
        let (step, watch, outcome) = tokio::select! {
            biased;
            Some(steer) = steering.next() => {
                match steer {
                    Steer::Hold => held = true,
                    Steer::GoOn => held = false,
                    Steer::Finish | Steer::Leave => {
                        failure.get_or_insert(ProvisionError::Stopped);
                    }
                }
                if steer == Steer::Leave {
                    break;
                }
                continue;
            }
            Some(ended) = running.next() => ended,
            // Whoever steered is gone, and with them the answer that was waited for.
            else => {
                held = false;
                continue;
            }
        };
        under_way.remove(step.key.as_str());
        match outcome {
            Ok(Ended::Made(resource)) => {
                finished.insert(&step.key);
                made.done.push(step.title.clone());
                made.resources.insert(step.key.clone(), resource);
                ui.say(Event::StepDone {
                    key: step.key.clone(),
                    title: step.title.clone(),
                    millis: watch.millis(),
                    done: finished.len(),
                    total,
                });
            }
            Ok(Ended::Skipped(reason)) => {
                finished.insert(&step.key);
                skipped.insert(&step.key);
                ui.say(Event::StepSkipped { key: step.key.clone(), title: step.title.clone(), reason });
            }
            Err(error) => {
                ui.say(Event::StepFailed {
                    key: step.key.clone(),
                    title: step.title.clone(),
                    error: why(&error),
                });
                match (&failure, &error) {
                    // What became of what was tried matters more than that the person wanted to stop.
                    (
                        Some(ProvisionError::Stopped),
                        ProvisionError::NotPublished(_)
                        | ProvisionError::Trial { .. }
                        | ProvisionError::Rotate { .. },
                    )
                    | (None, _) => failure = Some(error),
                    (Some(_), _) => further.push(error),
                }
            }
        }
    }
    if failure.is_none() && !waiting.is_empty() {
        let keys: Vec<&str> = waiting.iter().map(|step| step.key.as_str()).collect();
        failure = Some(ProvisionError::Circle(keys.join(", ")));
    }
    match failure {
        None => Ok(made),
        Some(source) => Err(Failed {
            source,
            further,
            provisioned: made,
            under_way: under_way.into_values().map(str::to_owned).collect(),
        }),
    }
}

/// Why a step failed, with every cause. Which step it was stands beside it.
fn why(error: &ProvisionError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), told)
}

/// How long ago the things were made that a step builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    /// Before this plan began.
    Settled,
    /// By this plan: not every server of Azure knows of them yet.
    New,
}

/// The step's action with every mark filled.
fn filled(step: &Step, known: &impl Fn(&str, &str) -> Option<String>) -> Result<Action, ProvisionError> {
    let unreadable =
        || ProvisionError::Material { title: step.title.clone(), what: "a readable action".to_owned() };
    let mut action = serde_json::to_value(&step.action).map_err(|_| unreadable())?;
    output::fill(&mut action, known);
    if let Some((step_key, pointer)) = output::first(&action) {
        return Err(ProvisionError::Missing { title: step.title.clone(), step: step_key, pointer });
    }
    serde_json::from_value(action).map_err(|_| unreadable())
}
