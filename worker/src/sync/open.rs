//! What a run needs, made from the settings.

use contract::streams::HEALTH_STREAM;
use serde_json::json;
use std::time::Duration;

use super::{Account, HEALTH_SECS};
use crate::checkpoint::Place;
use crate::checkpoint::blob::BlobPlace;
use crate::dead_letter::DeadLetters;
use crate::dead_letter::blob::BlobDeadLetters;
use crate::http;
use crate::identity::Credential;
use crate::ingest::client::IngestClient;
use crate::ingest::folder::FolderSink;
use crate::ingest::{Delivery, Standing};
use crate::poll::{Credentials, Keys, Login, Mimecast, Pacing};
use crate::report::{Failure, Level, Log, Report, Stage, Trigger, chain};
use crate::settings::{AzureDestination, Destination, MimecastAccess, Reporting, Settings, SettingsError};
use crate::transform::Transformer;
use crate::world::{Deadline, World};

/// Why an account cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The HTTP client cannot be made.
    #[error("could not make the HTTP client")]
    Http(#[from] http::Error),
    /// The credentials cannot be made.
    #[error("could not make the credentials of the delivery")]
    Credential(#[from] azure_core::Error),
}

impl Account {
    /// Makes the clients. Nothing is called yet.
    ///
    /// # Errors
    /// [`OpenError`] when one cannot be made.
    pub fn open(settings: Settings, world: &World, log: &Log) -> Result<Self, OpenError> {
        Self::open_with(settings, world, log, http::client()?)
    }

    /// The same over this HTTP client.
    ///
    /// # Errors
    /// [`OpenError`] when a client cannot be made.
    pub fn open_with(
        settings: Settings,
        world: &World,
        log: &Log,
        http: http::Client,
    ) -> Result<Self, OpenError> {
        let delivery = delivery(&settings.reporting, &http, world)?;
        let (place, dead_letters) = match &settings.reporting.destination {
            Destination::Folder(folder) => {
                let account = settings.reporting.account.clone();
                (Place::Folder { folder: folder.clone(), account }, DeadLetters::in_folder(folder))
            }
            Destination::Azure(azure) => {
                let credential = Credential::new(&azure.storage_identity, &settings.reporting.cloud, &http)?;
                let place = BlobPlace::new(
                    &azure.checkpoint_container,
                    &settings.reporting.account,
                    credential.clone(),
                    &http,
                );
                let letters = BlobDeadLetters::new(
                    azure.dead_letter_container.clone(),
                    credential,
                    http.clone(),
                    world.clone(),
                );
                (Place::Blob(Box::new(place)), DeadLetters::Blobs(Box::new(letters)))
            }
        };
        let pacing = Pacing { reserve: settings.collect.quota_reserve, ..Pacing::default() };
        let mimecast = Mimecast::new(
            http,
            settings.mimecast.base_url.clone(),
            credentials(settings.mimecast.access.clone()),
            pacing,
            world.clone(),
        );
        Ok(Self { world: world.clone(), log: log.clone(), settings, mimecast, delivery, place, dead_letters })
    }

    /// What makes rows: short ones for the rule's stream, whole ones for files.
    pub(super) fn transformer(&self) -> Transformer {
        let account = &self.settings.reporting.account;
        match self.settings.reporting.destination {
            Destination::Azure(_) => Transformer::new(account),
            Destination::Folder(_) => Transformer::whole(account),
        }
    }
}

fn credentials(access: MimecastAccess) -> Credentials {
    match access {
        MimecastAccess::OAuth { client_id, client_secret } => Credentials::OAuth { client_id, client_secret },
        MimecastAccess::Signed { app_id, app_key, access_key, secret_key, login } => Credentials::Signed {
            keys: Keys { app_id, app_key, access_key, secret_key },
            login: login.map(|(email, password)| Login { email, password }),
        },
    }
}

fn delivery(reporting: &Reporting, http: &http::Client, world: &World) -> Result<Delivery, OpenError> {
    Ok(match &reporting.destination {
        Destination::Folder(folder) => Delivery::Folder(FolderSink::new(folder.clone())),
        Destination::Azure(azure) => {
            let AzureDestination { ingestion_endpoint, rule_id, delivery_identity, .. } = &**azure;
            let credential = Credential::new(delivery_identity, &reporting.cloud, http)?;
            let scope = reporting.cloud.ingestion_scope.clone();
            let client = IngestClient::new(
                http.clone(),
                ingestion_endpoint.clone(),
                rule_id.clone(),
                credential,
                scope,
                world.clone(),
            );
            Delivery::Azure(Box::new(client))
        }
    })
}

/// Reports that a run could not even begin, as far as the settings allow.
#[derive(Debug)]
pub struct Reporter {
    world: World,
    log: Log,
    error: SettingsError,
}

impl Reporter {
    /// Reports this fault at each call.
    pub fn new(error: SettingsError, world: &World, log: &Log) -> Self {
        Self { world: world.clone(), log: log.clone(), error }
    }

    /// One run that fails naming the settings, its health row included.
    pub async fn run(&self, trigger: Trigger) -> Report {
        let mut report = Report::begin(&self.world, trigger);
        report.fail(Failure::new(Stage::Settings, "settings", &self.error));
        if let Some(reporting) = &self.error.reporting
            && let Err(message) = self.send_health(reporting, &report).await
        {
            let fields = json!({ "run": report.run_id, "message": message });
            self.log.event(Level::Error, "health_row_not_delivered", fields);
        }
        self.log.run_ended(&report);
        report
    }

    async fn send_health(&self, reporting: &Reporting, report: &Report) -> Result<(), String> {
        let http = http::client().map_err(|error| chain(&error))?;
        let delivery = delivery(reporting, &http, &self.world).map_err(|error| chain(&error))?;
        let row = report.health_row(&self.world, reporting);
        let deadline = Deadline::after(&self.world, Duration::from_secs(HEALTH_SECS));
        delivery
            .deliver_row(&self.world, HEALTH_STREAM, &row, Standing::Settled, deadline)
            .await
            .map_err(|error| chain(&error))
    }
}
