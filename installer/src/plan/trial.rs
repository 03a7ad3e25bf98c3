//! Plans the trial of an upgrade: what is watched, and what is put back where it does not work.

use std::collections::BTreeMap;

use contract::resources::{PACKAGE_TAG, PACKAGES_CONTAINER, PREVIOUS_PACKAGE_TAG};
use contract::settings::MIMECAST_SENTINEL_PACKAGE;
use serde_json::{Value, json};

use super::change::{Change, PropertyChange};
use super::site::INJECTED;
use super::step::{Action, Finding, PackageBefore, Step, Trial, Watched};
use super::template::TemplateError;
use super::unproven::Unproven;
use super::{PackageFacts, PackageSource, Planner, tag};
use crate::answers::intent::RoleAssignments;

/// Key of the step that makes sure that the package which runs can be put back.
pub(super) const CHECK_STEP: &str = "package/before";
/// Key of the step that notes what runs, before any of it is changed.
pub(super) const BEGIN_STEP: &str = "try/begin";
/// Key of the step that tries what was published and set. Its result says what became of it.
pub const TRIAL_STEP: &str = "try";
/// The steps that change what a trial tries.
const TRIED: [&str; 3] = ["function_app", "settings", "publish"];

impl Planner<'_> {
    /// Adds the trial, where something changes that could keep the worker from working and there is
    /// something to put back, or where an earlier trial was not brought to its end. `rollback_to` is the package
    /// that a rollback goes back to.
    pub(super) fn trial(
        &mut self,
        package: Option<&PackageFacts>,
        rollback_to: Option<String>,
        limit_secs: u64,
    ) -> Result<(), TemplateError> {
        let site = self.inventory.resource(&self.ids.function_app);
        let current = site.and_then(|site| tag(site, PACKAGE_TAG)).map(str::to_owned);
        let (Some(package), Some(current)) = (package, current) else { return Ok(()) };
        let earlier = self.unproven();
        if earlier.is_none() && !TRIED.iter().any(|key| self.has_step(key)) {
            return Ok(());
        }
        if earlier.is_some() {
            self.findings.push(Finding::notes(
                "upgrade-unproven",
                "an upgrade was stopped before its trial was over: what is there is tried to the end now, and \
                 where it is not good, what ran before that upgrade is put back",
            ));
        }
        let published = self.has_step("publish");
        let mut before = earlier.clone().unwrap_or_default();
        if published && before.package.is_none() {
            let previous = site.and_then(|site| tag(site, PREVIOUS_PACKAGE_TAG)).map(str::to_owned);
            let container_url = self.container_url(PACKAGES_CONTAINER);
            before.package = Some(PackageBefore { sha256: current, previous, container_url });
        }
        before.rollback_to = rollback_to;
        for (name, value) in self.settings_before() {
            before.settings.entry(name).or_insert(value);
        }
        let watched = Watched {
            site_id: self.ids.function_app.clone(),
            installation: self.intent.name.clone(),
            accounts: self.intent.account_keys(),
            workspace_customer_id: self.inventory.workspace.customer_id.clone(),
            sha256: package.sha256.clone(),
            limit_secs,
        };
        let trial = Trial { watched, before };
        if let Some(before) = &trial.before.package {
            if !self.has_step(&format!("grant/{PACKAGES_CONTAINER}")) {
                self.grant(PACKAGES_CONTAINER)?;
            }
            if published {
                self.check_kept(before);
            }
        }
        if earlier.as_ref() != Some(&trial.before) {
            self.begin(&trial);
        }
        for step in &mut self.steps {
            if let Action::Publish { put_back, .. } = &mut step.action {
                *put_back = Some(Box::new(trial.clone()));
            }
        }
        self.steps.push(Step {
            key: TRIAL_STEP.to_owned(),
            title: "trial: host, timer and a good run, or else what ran before is put back".to_owned(),
            action: Action::TryPackage(trial),
            depends_on: self.steps.iter().map(|step| step.key.clone()).collect(),
            change: Change::Run,
            undo: None,
        });
        Ok(())
    }

    /// Publishes the package that ran before the present one, as it is kept. Where the present one is still on
    /// trial, its settings go with it.
    pub(super) fn go_back(&mut self, limit_secs: u64) -> Result<(), TemplateError> {
        let site = self.inventory.resource(&self.ids.function_app);
        let tagged = |name: &str| site.and_then(|site| tag(site, name)).map(str::to_owned);
        let unproven = self.unproven();
        let ran_before = match &unproven {
            Some(Unproven { package: Some(before), .. }) => Some(before.sha256.clone()),
            Some(_) => tagged(PACKAGE_TAG),
            None => None,
        };
        let target = match &unproven {
            // It was asked for before, and goes on.
            Some(Unproven { rollback_to: Some(target), .. }) => Some(target.clone()),
            Some(_) => ran_before.clone(),
            None => tagged(PREVIOUS_PACKAGE_TAG),
        };
        let Some(target) = target else {
            self.findings.push(Finding::refuses(
                "no-previous-package",
                "no package ran here before the present one",
                "give the package to run with `upgrade --package FILE`",
            ));
            return Ok(());
        };
        let package = PackageFacts { sha256: target.clone(), size_bytes: 0, source: PackageSource::Kept };
        let title = format!("Function App `{}`", self.inventory.names.function_app);
        let site_id = self.ids.function_app.clone();
        match unproven.filter(|_| ran_before.as_ref() == Some(&target)) {
            Some(unproven) => self.settings_back(&unproven, &title),
            None => {
                let setting = json!({ "name": MIMECAST_SENTINEL_PACKAGE, "value": &target });
                self.merge_settings(&[setting], &site_id, &title, Vec::new());
            }
        }
        self.package(Some(&package))?;
        self.trial(Some(&package), Some(target), limit_secs)
    }

    /// Adds the end of the trial, after all else: whatever is interrupted before is gone on with.
    pub(super) fn end_trial(&mut self) {
        if !self.has_step(TRIAL_STEP) {
            return;
        }
        self.steps.push(Step {
            key: "try/end".to_owned(),
            title: "note of what ran before, taken away".to_owned(),
            action: Action::EndTrial { site_id: self.ids.function_app.clone() },
            depends_on: self.steps.iter().map(|step| step.key.clone()).collect(),
            change: Change::Run,
            undo: None,
        });
    }

    /// What was there before an upgrade whose trial has not ended.
    pub(super) fn unproven(&self) -> Option<Unproven> {
        Unproven::of(self.inventory.settings.as_ref()?)
    }

    /// Sets the settings that an upgrade changed to what they were.
    fn settings_back(&mut self, unproven: &Unproven, title: &str) {
        let empty = BTreeMap::new();
        let actual = self.inventory.settings.as_ref().unwrap_or(&empty);
        let (mut set, mut remove, mut changes) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (name, before) in &unproven.settings {
            if actual.get(name) == before.as_ref() {
                continue;
            }
            match before {
                Some(value) => drop(set.insert(name.clone(), value.clone())),
                None => remove.push(name.clone()),
            }
            changes.push(PropertyChange {
                path: format!("settings.{name}"),
                before: actual.get(name).map(|value| Value::from(value.as_str())),
                after: before.as_deref().map_or(Value::Null, Value::from),
            });
        }
        if changes.is_empty() {
            return;
        }
        self.steps.push(Step {
            key: "settings".to_owned(),
            title: format!("settings of {title}"),
            action: Action::MergeSettings { site_id: self.ids.function_app.clone(), set, remove },
            depends_on: Vec::new(),
            change: Change::Update(changes),
            undo: None,
        });
    }

    /// Notes what runs, before any of it is changed: a trial that is interrupted is known by it.
    fn begin(&mut self, trial: &Trial) {
        for step in self.steps.iter_mut().filter(|step| TRIED.contains(&step.key.as_str())) {
            step.depends_on.push(BEGIN_STEP.to_owned());
        }
        self.steps.push(Step {
            key: BEGIN_STEP.to_owned(),
            title: "note in the app of what runs now, kept until the trial is over".to_owned(),
            action: Action::BeginTrial(trial.clone()),
            depends_on: vec![CHECK_STEP.to_owned()],
            change: Change::Run,
            undo: None,
        });
    }

    /// Lets nothing be published before it is known that what runs can be put back.
    fn check_kept(&mut self, before: &PackageBefore) {
        let publish = self.steps.iter_mut().find(|step| step.key == "publish");
        let Some(publish) = publish else { return };
        let depends_on: Vec<String> =
            [format!("grant/{PACKAGES_CONTAINER}"), format!("container/{PACKAGES_CONTAINER}")].into();
        publish.depends_on.push(CHECK_STEP.to_owned());
        self.steps.push(Step {
            key: CHECK_STEP.to_owned(),
            title: format!("package `{}…zip`, which runs now, is kept", short(&before.sha256)),
            action: Action::CheckPackage {
                container_url: before.container_url.clone(),
                sha256: before.sha256.clone(),
                optional: self.intent.role_assignments == RoleAssignments::External,
            },
            depends_on,
            change: Change::Run,
            undo: None,
        });
    }

    /// The settings that this plan changes, as they are now. One that Azure injected and that the plan
    /// takes away is not put back.
    fn settings_before(&self) -> BTreeMap<String, Option<String>> {
        let step = self.steps.iter().find(|step| step.key == "settings");
        let Some(Step { action: Action::MergeSettings { set, remove, .. }, .. }) = step else {
            return BTreeMap::new();
        };
        let empty = BTreeMap::new();
        let actual = self.inventory.settings.as_ref().unwrap_or(&empty);
        let ours = remove.iter().filter(|name| *name != INJECTED);
        set.keys().chain(ours).map(|name| (name.clone(), actual.get(name).cloned())).collect()
    }
}

/// The first digits of a hash, as people compare them.
pub(super) fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// What a trial or a rotation came to, from the result of its step.
pub fn put_back(result: &Value) -> Option<&str> {
    result["put_back"].as_str()
}
