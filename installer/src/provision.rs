//! Provision: a plan in, the same in Azure out.
//!
//! Runs the steps in an order that the plan allows, several at a time, and fills in the values that
//! earlier steps made. It takes no decision: what is done stands in the plan.

pub mod act;
pub mod wait;

use std::collections::{BTreeMap, BTreeSet};

use contract::secret::Secret;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;

use crate::azure::{Azure, AzureError};
use crate::plan::{Action, Plan, Step, output};
use crate::ui::{Event, Ui};
use crate::world::World;

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
    /// Something that travels beside the plan was not given.
    #[error("{title} needs {what}, which was not given")]
    Material {
        /// What it was about.
        title: String,
        /// What is missing.
        what: String,
    },
    /// Steps wait for each other.
    #[error("the plan's steps wait for each other: {0}")]
    Circle(String),
    /// The person stopped it.
    #[error("stopped")]
    Stopped,
}

/// A failed run: why, and what had been done.
#[derive(Debug, thiserror::Error)]
#[error("the plan was not carried out to its end")]
pub struct Failed {
    /// Why.
    #[source]
    pub source: ProvisionError,
    /// What had been done.
    pub provisioned: Provisioned,
}

/// Carries out a plan. After a failure no new step begins; those under way are waited for, so that
/// nothing is left half made that could have been whole.
///
/// `stop` ends it in the same way when it becomes ready.
///
/// # Errors
/// [`Failed`] with the first failure and everything that was done.
pub async fn provision(
    azure: &Azure,
    ui: &Ui,
    world: &World,
    plan: &Plan,
    material: &Material,
    stop: impl Future<Output = ()>,
) -> Result<Provisioned, Failed> {
    let keys: BTreeSet<&str> = plan.steps.iter().map(|step| step.key.as_str()).collect();
    let mut waiting: Vec<&Step> = plan.steps.iter().collect();
    let mut finished: BTreeSet<&str> = BTreeSet::new();
    let mut made = Provisioned::default();
    let mut failure: Option<ProvisionError> = None;
    let mut running = FuturesUnordered::new();
    let mut stop = std::pin::pin!(futures::FutureExt::fuse(stop));
    let total = plan.steps.len();

    loop {
        if failure.is_none() {
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
                            done: made.done.len(),
                            total,
                        });
                        running.push(async move {
                            let watch = world.stopwatch();
                            (step, watch, act::act(azure, ui, step, action, material).await)
                        });
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
        }
        let ended = futures::select! {
            () = stop => {
                failure.get_or_insert(ProvisionError::Stopped);
                continue;
            }
            ended = running.next() => ended,
            complete => None,
        };
        let Some((step, watch, outcome)) = ended else { break };
        match outcome {
            Ok(resource) => {
                finished.insert(&step.key);
                made.done.push(step.title.clone());
                made.resources.insert(step.key.clone(), resource);
                ui.say(Event::StepDone {
                    key: step.key.clone(),
                    title: step.title.clone(),
                    millis: watch.millis(),
                });
            }
            Err(error) => {
                ui.say(Event::StepFailed {
                    key: step.key.clone(),
                    title: step.title.clone(),
                    error: error.to_string(),
                });
                failure.get_or_insert(error);
            }
        }
    }
    if failure.is_none() && !waiting.is_empty() {
        let keys: Vec<&str> = waiting.iter().map(|step| step.key.as_str()).collect();
        failure = Some(ProvisionError::Circle(keys.join(", ")));
    }
    match failure {
        None => Ok(made),
        Some(source) => Err(Failed { source, provisioned: made }),
    }
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
