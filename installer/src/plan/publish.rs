//! Plans what is put into the storage account: the empty checkpoint and the worker package, with the role
//! that the person who installs needs for it, given before and taken back after.

use contract::settings::MIMECAST_SENTINEL_PACKAGE;
use serde_json::{Value, json};

use contract::resources::{
    CHECKPOINT_BLOB, CHECKPOINT_CONTAINER, KEY_VAULT_SECRETS_OFFICER, PACKAGE_TAG, PACKAGES_CONTAINER,
    PREVIOUS_PACKAGE_TAG, Role, STORAGE_BLOB_DATA_CONTRIBUTOR,
};

use super::change::Change;
use super::desired::{self, CHECKPOINT_STEP, Conduct};
use super::output;
use super::rotation::{ROTATE_STEP, VAULT_GRANT};
use super::step::{Action, Finding, Step};
use super::template::{TemplateError, api_version};
use super::trial::{CHECK_STEP, TRIAL_STEP};
use super::{Kept, PackageFacts, PackageSource, Planner, tag};
use crate::answers::intent::RoleAssignments;

/// How the description of a role ends that is given only while installing.
pub(super) const FOR_THE_TIME: &str = "given while installing and taken back after (mimecast-sentinel)";

/// Key of the step that deletes packages older than the last two.
const PRUNE_STEP: &str = "prune";

/// Has the worker name its package in the health rows: the setting beside the others of the site.
pub(crate) fn name_package(site: &mut Value, sha256: &str) {
    add_setting(site, MIMECAST_SENTINEL_PACKAGE, sha256);
}

/// Puts a setting beside the others of the site.
pub(crate) fn add_setting(site: &mut Value, name: &str, value: &str) {
    if let Some(settings) = site["properties"]["siteConfig"]["appSettings"].as_array_mut() {
        settings.push(json!({ "name": name, "value": value }));
    }
}

impl Planner<'_> {
    pub(super) fn checkpoint(&mut self) -> Result<(), TemplateError> {
        // The app is made after the checkpoint was written: where it is there, so is the checkpoint,
        // or the worker has taken it further.
        if self.inventory.resource(&self.ids.function_app).is_some() {
            return Ok(());
        }
        let grant = self.grant(CHECKPOINT_CONTAINER)?;
        self.steps.push(Step {
            key: CHECKPOINT_STEP.to_owned(),
            title: format!("empty `{CHECKPOINT_CONTAINER}/{CHECKPOINT_BLOB}`"),
            action: Action::UploadIfAbsent {
                container_url: self.container_url(CHECKPOINT_CONTAINER),
                blob: CHECKPOINT_BLOB.to_owned(),
                text: String::new(),
                // The worker makes it on its first run where it is not there.
                optional: self.intent.role_assignments == RoleAssignments::External,
            },
            depends_on: [Some(format!("container/{CHECKPOINT_CONTAINER}")), grant]
                .into_iter()
                .flatten()
                .collect(),
            change: Change::Create,
            // It goes with its container.
            undo: None,
        });
        Ok(())
    }

    pub(super) fn container_url(&self, container: &str) -> String {
        let endpoint = output::mark("storage_account", "/properties/primaryEndpoints/blob");
        let endpoint = output::fill_text(&endpoint, &|step, pointer| self.known(step, pointer));
        format!("{endpoint}{container}")
    }

    pub(super) fn package(&mut self, package: Option<&PackageFacts>) -> Result<(), TemplateError> {
        let site = self.inventory.resource(&self.ids.function_app);
        let current = site.and_then(|site| tag(site, PACKAGE_TAG)).map(str::to_owned);
        let Some(package) = package else {
            if current.is_none() {
                self.findings.push(Finding::refuses(
                    "package",
                    "there is no worker package to publish: this build of the installer carries none",
                    "give one with `--package FILE`",
                ));
            }
            return Ok(());
        };
        if current.as_deref() == Some(package.sha256.as_str()) {
            self.kept.push(Kept { key: "publish".to_owned(), title: "worker package".to_owned() });
            return Ok(());
        }
        // A package that was never seen to work is none to go back to.
        let previous = match self.unproven().and_then(|unproven| unproven.package) {
            Some(before) if before.sha256 == package.sha256 => before.previous,
            Some(before) => Some(before.sha256),
            None => current,
        };
        let grant = self.grant(PACKAGES_CONTAINER)?;
        let container_url = self.container_url(PACKAGES_CONTAINER);
        // Without it only going back to this package is not possible later.
        let optional = self.intent.role_assignments == RoleAssignments::External;
        let before: Vec<String> =
            [Some(format!("container/{PACKAGES_CONTAINER}")), grant].into_iter().flatten().collect();
        let stored_in = match package.source {
            PackageSource::Kept => Some(container_url),
            PackageSource::Given => {
                self.steps.push(Step {
                    key: "package".to_owned(),
                    title: format!("worker package `{PACKAGES_CONTAINER}/{}…zip`", &package.sha256[..12]),
                    action: Action::UploadPackage { container_url, sha256: package.sha256.clone(), optional },
                    depends_on: before.clone(),
                    change: Change::Create,
                    undo: None,
                });
                None
            }
        };
        // The rule, since a worker leaves out of its rows what its own version's rule makes.
        let before: Vec<String> = [
            "data_collection_rule",
            "package",
            "function_app",
            "settings",
            "publishing/scm",
            "publishing/ftp",
        ]
        .into_iter()
        .chain(self.steps.iter().map(|step| step.key.as_str()).filter(|key| key.starts_with("role/")))
        .map(str::to_owned)
        .chain(before)
        .collect();
        self.steps.push(Step {
            key: "publish".to_owned(),
            title: "worker, published to the Function App".to_owned(),
            action: Action::Publish {
                site_id: self.ids.function_app.clone(),
                sha256: package.sha256.clone(),
                previous,
                stored_in,
                put_back: None,
            },
            depends_on: before,
            change: Change::Run,
            undo: None,
        });
        Ok(())
    }

    /// Deletes the packages that are neither the present one nor the one before, where a new one is
    /// published without a trial.
    pub(super) fn prune(&mut self) {
        if self.unproven().is_some() {
            self.findings.push(Finding::notes(
                "upgrade-unproven",
                "an upgrade was stopped before its trial was over; `mimecast-sentinel upgrade` tries what is there \
                 to the end, and `upgrade --rollback` puts back what ran before",
            ));
        }
        let site = self.inventory.resource(&self.ids.function_app);
        let before = site.and_then(|site| tag(site, PACKAGE_TAG)).map(str::to_owned);
        let older = site.and_then(|site| tag(site, PREVIOUS_PACKAGE_TAG)).is_some();
        let publish = self.steps.iter().find(|step| step.key == "publish");
        let (Some(before), Some(Step { action: Action::Publish { sha256, .. }, .. }), true) =
            (before, publish, older)
        else {
            return;
        };
        let mut keep = vec![sha256.clone(), before];
        keep.extend(self.unproven().and_then(|unproven| unproven.package).map(|before| before.sha256));
        self.steps.push(Step {
            key: PRUNE_STEP.to_owned(),
            title: format!("packages in `{PACKAGES_CONTAINER}` older than the last two"),
            action: Action::PrunePackages { container_url: self.container_url(PACKAGES_CONTAINER), keep },
            depends_on: vec!["publish".to_owned()],
            change: Change::Run,
            undo: None,
        });
    }

    /// Lets the person who installs write blobs in a container, unless they may already; gives the
    /// key of the step.
    pub(super) fn grant(&mut self, container: &str) -> Result<Option<String>, TemplateError> {
        let scope = self.ids.container(container);
        let before = vec![format!("container/{container}")];
        self.grant_role(&format!("grant/{container}"), STORAGE_BLOB_DATA_CONTRIBUTOR, &scope, before)
    }

    /// Gives a role to the person who is signed in, for the time of this plan, unless they have it or
    /// others give roles; gives the key of the step.
    pub(super) fn grant_role(
        &mut self,
        key: &str,
        role: Role,
        scope: &str,
        before: Vec<String>,
    ) -> Result<Option<String>, TemplateError> {
        let caller = &self.inventory.caller;
        let given = self
            .inventory
            .assignments
            .iter()
            .any(|each| each.is(scope, &caller.object_id, role.definition_id));
        if given || self.intent.role_assignments == RoleAssignments::External {
            return Ok(None);
        }
        let mut context = desired::assignment(
            self.intent,
            role,
            scope,
            &caller.object_id,
            &caller.principal_type,
            FOR_THE_TIME,
        );
        let rendered = self.templates.render("role_assignment", &context.take())?;
        let grant =
            desired::resource(key, "role_assignment", rendered, &self.ids.group, before, Conduct::Role)?;
        self.steps.push(Step {
            key: grant.key.clone(),
            title: format!("{} for you, for the time of this", grant.title),
            action: Action::AssignRole {
                scope: scope.to_owned(),
                api_version: grant.api_version.to_owned(),
                body: grant.body,
                // Blobs can wait or do without; what the vault holds cannot.
                optional: role == STORAGE_BLOB_DATA_CONTRIBUTOR,
            },
            depends_on: grant.depends_on,
            change: Change::Run,
            undo: None,
        });
        Ok(Some(key.to_owned()))
    }

    /// Takes back what was given for the time of a plan, also what an earlier run that was stopped left.
    pub(super) fn take_back(&mut self) -> Result<(), TemplateError> {
        let blobs = STORAGE_BLOB_DATA_CONTRIBUTOR;
        let vault = self.ids.key_vault.clone();
        let caller = self.inventory.caller.object_id.clone();
        let api_version = api_version("Microsoft.Authorization/roleAssignments")?;
        for (name, role, scope) in [
            (CHECKPOINT_CONTAINER, blobs, self.ids.container(CHECKPOINT_CONTAINER)),
            (PACKAGES_CONTAINER, blobs, self.ids.container(PACKAGES_CONTAINER)),
            (VAULT_GRANT, KEY_VAULT_SECRETS_OFFICER, vault),
        ] {
            let place = scope.rsplit('/').next().unwrap_or(name).to_owned();
            // Whoever gave it to themselves and was stopped keeps it until somebody completes their work.
            let (own, others): (Vec<_>, Vec<_>) = self
                .inventory
                .assignments
                .iter()
                .filter(|each| each.description == FOR_THE_TIME)
                .filter(|each| each.is(&scope, &each.principal_id, role.definition_id))
                .partition(|each| each.principal_id.eq_ignore_ascii_case(&caller));
            let left_over = !own.is_empty();
            for other in others {
                let whose = &other.principal_id;
                let take_back = Action::Delete { id: other.id.clone(), api_version: api_version.to_owned() };
                let title = format!("role for `{whose}` on `{place}`, left by another run, taken back");
                self.take_back_by(format!("take-back/{name}/{whose}"), title, take_back, Vec::new());
            }
            if left_over || self.has_step(&format!("grant/{name}")) {
                // What uses the right, of which a plan has some or none.
                let users =
                    [CHECKPOINT_STEP, "package", "publish", CHECK_STEP, TRIAL_STEP, PRUNE_STEP, ROTATE_STEP]
                        .map(str::to_owned);
                let before = users.into_iter().chain([format!("grant/{name}")]).collect();
                let take_back = Action::UnassignRole {
                    scope: scope.clone(),
                    api_version: api_version.to_owned(),
                    principal_id: caller.clone(),
                    role: role.definition_id.to_owned(),
                };
                let title = format!("role for you on `{place}`, taken back");
                self.take_back_by(format!("take-back/{name}"), title, take_back, before);
            }
        }
        Ok(())
    }

    fn take_back_by(&mut self, key: String, title: String, action: Action, depends_on: Vec<String>) {
        self.steps.push(Step { key, title, action, depends_on, change: Change::Run, undo: None });
    }
}
