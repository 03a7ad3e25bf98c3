//! Plans what is put into the storage account: the empty checkpoint and the worker package, with the role
//! that the person who installs needs for it, given before and taken back after.

use contract::resources::{
    CHECKPOINT_BLOB, CHECKPOINT_CONTAINER, PACKAGE_TAG, PACKAGES_CONTAINER, STORAGE_BLOB_DATA_CONTRIBUTOR,
};

use super::change::Change;
use super::desired::{self, CHECKPOINT_STEP, Conduct};
use super::output;
use super::step::{Action, Finding, Step};
use super::template::{TemplateError, api_version};
use super::{Kept, PackageFacts, Planner, tag};
use crate::answers::intent::RoleAssignments;

/// How the description of a role ends that is given only while installing.
pub(super) const FOR_THE_TIME: &str = "given while installing and taken back after (mimecast-sentinel)";

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

    fn container_url(&self, container: &str) -> String {
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
        let grant = self.grant(PACKAGES_CONTAINER)?;
        self.steps.push(Step {
            key: "package".to_owned(),
            title: format!("worker package `{PACKAGES_CONTAINER}/{}…zip`", &package.sha256[..12]),
            action: Action::UploadPackage {
                container_url: self.container_url(PACKAGES_CONTAINER),
                sha256: package.sha256.clone(),
                // Without it only going back to this package is not possible later.
                optional: self.intent.role_assignments == RoleAssignments::External,
            },
            depends_on: [Some(format!("container/{PACKAGES_CONTAINER}")), grant]
                .into_iter()
                .flatten()
                .collect(),
            change: Change::Create,
            undo: None,
        });
        let before: Vec<String> = ["package", "function_app", "settings", "publishing/scm", "publishing/ftp"]
            .into_iter()
            .chain(self.steps.iter().map(|step| step.key.as_str()).filter(|key| key.starts_with("role/")))
            .map(str::to_owned)
            .collect();
        self.steps.push(Step {
            key: "publish".to_owned(),
            title: "worker, published to the Function App".to_owned(),
            action: Action::Publish {
                site_id: self.ids.function_app.clone(),
                sha256: package.sha256.clone(),
                previous: current,
            },
            depends_on: before,
            change: Change::Run,
            undo: None,
        });
        Ok(())
    }

    /// Lets the person who installs write blobs in a container, unless they may already; gives the
    /// key of the step.
    fn grant(&mut self, container: &str) -> Result<Option<String>, TemplateError> {
        let caller = &self.inventory.caller;
        let scope = self.ids.container(container);
        let role = STORAGE_BLOB_DATA_CONTRIBUTOR;
        let given = self
            .inventory
            .assignments
            .iter()
            .any(|each| each.is(&scope, &caller.object_id, role.definition_id));
        if given || self.intent.role_assignments == RoleAssignments::External {
            return Ok(None);
        }
        let mut context = desired::assignment(
            self.intent,
            role,
            &scope,
            &caller.object_id,
            &caller.principal_type,
            FOR_THE_TIME,
        );
        let rendered = self.templates.render("role_assignment", &context.take())?;
        let key = format!("grant/{container}");
        let before = vec![format!("container/{container}")];
        let grant =
            desired::resource(&key, "role_assignment", rendered, &self.ids.group, before, Conduct::Role)?;
        self.steps.push(Step {
            key: grant.key.clone(),
            title: format!("{} for you, while installing", grant.title),
            action: Action::AssignRole {
                scope: scope.clone(),
                api_version: grant.api_version.to_owned(),
                body: grant.body,
            },
            depends_on: grant.depends_on,
            change: Change::Run,
            undo: None,
        });
        Ok(Some(key))
    }

    /// Takes back what was given while installing, also what an earlier run that was stopped left.
    pub(super) fn take_back(&mut self) -> Result<(), TemplateError> {
        let role = STORAGE_BLOB_DATA_CONTRIBUTOR.definition_id;
        for (container, user) in [(CHECKPOINT_CONTAINER, CHECKPOINT_STEP), (PACKAGES_CONTAINER, "package")] {
            let scope = self.ids.container(container);
            let caller = &self.inventory.caller.object_id;
            let left_over = self
                .inventory
                .assignments
                .iter()
                .any(|each| each.is(&scope, caller, role) && each.description == FOR_THE_TIME);
            if !left_over && !self.has_step(&format!("grant/{container}")) {
                continue;
            }
            self.steps.push(Step {
                key: format!("take-back/{container}"),
                title: format!("role for you on `{container}`, taken back"),
                action: Action::UnassignRole {
                    scope: scope.clone(),
                    api_version: api_version("Microsoft.Authorization/roleAssignments")?.to_owned(),
                    principal_id: caller.clone(),
                    role: role.to_owned(),
                },
                depends_on: vec![format!("grant/{container}"), user.to_owned()],
                change: Change::Run,
                undo: None,
            });
        }
        Ok(())
    }
}
