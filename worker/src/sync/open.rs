//! What a run needs, made from the settings.

use contract::streams::HEALTH_STREAM;
use serde_json::json;
use std::time::Duration;

use super::Account;
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

/// Longest wait for the health row to be taken.
const HEALTH_SECS: u64 = 90;

/// The clients that accounts of one installation share.
#[derive(Debug, Clone)]
pub struct Clients {
    /// The one HTTP client.
    pub http: http::Client,
    /// Who delivers rows; `None` where they go to a folder.
    pub delivery: Option<Credential>,
    /// Who keeps blobs and queues; `None` where there are none.
    pub storage: Option<Credential>,
}

impl Clients {
    /// The credentials that these settings name, over this HTTP client.
    ///
    /// # Errors
    /// [`OpenError`] when one cannot be made.
    pub fn new(reporting: &Reporting, http: http::Client) -> Result<Self, OpenError> {
        let Destination::Azure(azure) = &reporting.destination else {
            return Ok(Self { http, delivery: None, storage: None });
        };
        let delivery = Credential::new(&azure.delivery_identity, &reporting.cloud, &http)?;
        let storage = match azure.storage_identity == azure.delivery_identity {
            true => delivery.clone(),
            false => Credential::new(&azure.storage_identity, &reporting.cloud, &http)?,
        };
        Ok(Self { http, delivery: Some(delivery), storage: Some(storage) })
    }

    fn delivery(&self) -> Result<Credential, OpenError> {
        self.delivery.clone().ok_or(OpenError::NoCredential)
    }

    fn storage(&self) -> Result<Credential, OpenError> {
        self.storage.clone().ok_or(OpenError::NoCredential)
    }
}

/// Why an account cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The HTTP client cannot be made.
    #[error("could not make the HTTP client")]
    Http(#[from] http::Error),
    /// The credentials cannot be made.
    #[error("could not make the credentials of the delivery")]
    Credential(#[from] azure_core::Error),
    /// Clients that were made for a folder are used for Azure.
    #[error("there are no credentials for Azure")]
    NoCredential,
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
        let clients = Clients::new(&settings.reporting, http)?;
        Self::open_over(settings, world, log, &clients, Duration::MAX)
    }

    /// The same over clients that several accounts share. `patience` is the longest wait for Mimecast's
    /// quota; a longer one ends the run.
    ///
    /// # Errors
    /// [`OpenError`] when a client cannot be made.
    pub fn open_over(
        settings: Settings,
        world: &World,
        log: &Log,
        clients: &Clients,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        let http = clients.http.clone();
        let delivery = delivery(&settings.reporting, clients, world)?;
        let (place, dead_letters) = match &settings.reporting.destination {
            Destination::Folder(folder) => {
                let account = settings.reporting.account.clone();
                (Place::Folder { folder: folder.clone(), account }, DeadLetters::in_folder(folder))
            }
            Destination::Azure(azure) => {
                let credential = clients.storage()?;
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
        let pacing = Pacing { reserve: settings.collect.quota_reserve, patience, ..Pacing::default() };
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

fn delivery(reporting: &Reporting, clients: &Clients, world: &World) -> Result<Delivery, OpenError> {
    Ok(match &reporting.destination {
        Destination::Folder(folder) => Delivery::Folder(FolderSink::new(folder.clone())),
        Destination::Azure(azure) => {
            let AzureDestination { ingestion_endpoint, rule_id, .. } = &**azure;
            let credential = clients.delivery()?;
            let scope = reporting.cloud.ingestion_scope.clone();
            let client = IngestClient::new(
                clients.http.clone(),
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
    http: Option<http::Client>,
}

impl Reporter {
    /// Reports this fault at each call.
    pub fn new(error: SettingsError, world: &World, log: &Log) -> Self {
        Self { world: world.clone(), log: log.clone(), error, http: None }
    }

    /// The same over an HTTP client that is there.
    pub fn over(error: SettingsError, world: &World, log: &Log, http: http::Client) -> Self {
        Self { http: Some(http), ..Self::new(error, world, log) }
    }

    /// One run that fails naming the settings, its health row included.
    pub async fn run(&self, trigger: Trigger) -> Report {
        let mut report = Report::begin(&self.world, trigger);
        report.fail(Failure::new(Stage::Settings, "settings", &self.error));
        if let Some(reporting) = &self.error.reporting {
            match self.http.clone().map_or_else(http::client, Ok) {
                Ok(http) => send_health(&report, reporting, http, &self.world, &self.log).await,
                Err(error) => health_not_delivered(&self.log, &report, &error),
            }
        }
        self.log.run_ended(&report);
        report
    }
}

/// Delivers the health row of a run that has no account to do it.
pub async fn send_health(
    report: &Report,
    reporting: &Reporting,
    http: http::Client,
    world: &World,
    log: &Log,
) {
    let delivery = Clients::new(reporting, http).and_then(|clients| delivery(reporting, &clients, world));
    match delivery {
        Ok(delivery) => {
            deliver_health(report, reporting, &delivery, Standing::Settled, world, log).await;
        }
        Err(error) => health_not_delivered(log, report, &error),
    }
}

/// The health row. Where it cannot be delivered, the log is what is left.
pub(super) async fn deliver_health(
    report: &Report,
    reporting: &Reporting,
    delivery: &Delivery,
    standing: Standing,
    world: &World,
    log: &Log,
) {
    let row = report.health_row(world, reporting);
    let deadline = Deadline::after(world, Duration::from_secs(HEALTH_SECS));
    let sent = delivery.deliver_row(world, HEALTH_STREAM, &row, standing, deadline).await;
    if let Err(error) = sent {
        health_not_delivered(log, report, &error);
    }
}

fn health_not_delivered(log: &Log, report: &Report, error: &dyn std::error::Error) {
    let fields = json!({ "run": report.run_id, "message": chain(error) });
    log.event(Level::Error, "health_row_not_delivered", fields);
}
