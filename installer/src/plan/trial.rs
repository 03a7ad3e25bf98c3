//! Plans the trial of an upgrade: what is watched, and what is put back where it does not work.

use std::collections::BTreeMap;

use contract::resources::{PACKAGE_TAG, PACKAGES_CONTAINER, PREVIOUS_PACKAGE_TAG};
use contract::settings::MIMECAST_SENTINEL_PACKAGE;
use serde_json::{Value, json};

use super::change::Change;
use super::site::INJECTED;
use super::step::{Action, Finding, PackageBefore, Step, Trial, Watched};
use super::template::TemplateError;
use super::{PackageFacts, PackageSource, Planner, tag};
use crate::answers::intent::RoleAssignments;

/// Key of the step that makes sure that the package which runs can be put back.
pub(super) const CHECK_STEP: &str = "package/before";
/// Key of the step that tries what was published and set. Its result says what became of it.
pub const TRIAL_STEP: &str = "try";

impl Planner<'_> {
    /// Adds the trial, where something changes that could keep the worker from working and there is
    /// something to put back.
    pub(super) fn trial(&mut self, package: Option<&PackageFacts>, limit_secs: u64) {
        let site = self.inventory.resource(&self.ids.function_app);
        let before = site.and_then(|site| tag(site, PACKAGE_TAG)).map(str::to_owned);
        let (Some(package), Some(before)) = (package, before) else { return };
        let published = self.has_step("publish");
        if !published && !self.has_step("settings") && !self.has_step("function_app") {
            return;
        }
        let previous = site.and_then(|site| tag(site, PREVIOUS_PACKAGE_TAG)).map(str::to_owned);
        let container_url = self.container_url(PACKAGES_CONTAINER);
        let package_before = published.then_some(PackageBefore { sha256: before, previous, container_url });
        if let Some(before) = &package_before {
            self.check_kept(before);
        }
        let watched = Watched {
            site_id: self.ids.function_app.clone(),
            installation: self.intent.name.clone(),
            accounts: self.intent.account_keys(),
            workspace_customer_id: self.inventory.workspace.customer_id.clone(),
            sha256: package.sha256.clone(),
            limit_secs,
        };
        let settings_before = self.settings_before();
        self.steps.push(Step {
            key: TRIAL_STEP.to_owned(),
            title: "trial: host, timer and a good run, or else what ran before is put back".to_owned(),
            action: Action::TryPackage(Trial { watched, package_before, settings_before }),
            depends_on: self.steps.iter().map(|step| step.key.clone()).collect(),
            change: Change::Run,
            undo: None,
        });
    }

    /// Publishes the package that ran before the present one, as it is kept.
    pub(super) fn go_back(&mut self, limit_secs: u64) -> Result<(), TemplateError> {
        let site = self.inventory.resource(&self.ids.function_app);
        let Some(previous) = site.and_then(|site| tag(site, PREVIOUS_PACKAGE_TAG)) else {
            self.findings.push(Finding::refuses(
                "no-previous-package",
                "no package ran here before the present one",
                "give the package to run with `upgrade --package FILE`",
            ));
            return Ok(());
        };
        let package =
            PackageFacts { sha256: previous.to_owned(), size_bytes: 0, source: PackageSource::Kept };
        let setting = json!({ "name": MIMECAST_SENTINEL_PACKAGE, "value": previous });
        let title = format!("Function App `{}`", self.inventory.names.function_app);
        let site_id = self.ids.function_app.clone();
        self.merge_settings(&[setting], &site_id, &title, Vec::new());
        self.package(Some(&package))?;
        self.trial(Some(&package), limit_secs);
        Ok(())
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
