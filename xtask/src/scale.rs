//! `cargo xtask scale`: many Mimecast accounts in one installation, several worker processes on one
//! queue, the simulated Functions host doing the host's part.
//!
//! The real installer makes the installation. Then one account loses its right to read and one has no
//! call of its quota left; each tick brings every account new events. What was lost, what came twice
//! and who had to wait for whom is counted in the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use contract::resources::{CHECKPOINT_CONTAINER, QUEUE_FUNCTION, SYNC_QUEUE, TIMER_FUNCTION};
use contract::settings;
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use serde::Serialize;
use serde_json::{Value, json};
use simulator::azurite::Azurite;
use simulator::functions::HostOptions;
use simulator::functions::host::Condition;
use simulator::installed::accounts::ServedAccount;
use simulator::mimecast::{Event, Quota};
use simulator::simulator::{Options, Simulator};
use url::Url;

use crate::demo::person::Person;
use crate::demo::{answers, counted};
use crate::screen;

/// How to try it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many accounts
    #[arg(long, default_value_t = 50)]
    accounts: usize,
    /// How many worker processes
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// How often the timer fires
    #[arg(long, default_value_t = 3)]
    ticks: usize,
    /// New events of each account before each tick
    #[arg(long, default_value_t = 20)]
    events: u64,
    /// Put queue and checkpoints on Azurite, which `cargo xtask test tools` installs
    #[arg(long)]
    azurite: bool,
    /// Print the figures as one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// What was counted.
#[derive(Debug, PartialEq, Serialize)]
struct Figures {
    accounts: usize,
    workers: usize,
    ticks: usize,
    /// Queue and checkpoints on Azurite, else on the stand-in.
    azurite: bool,
    /// Events that the accounts in order were given.
    events: usize,
    /// Of them, those without a row.
    lost: usize,
    /// Rows beyond one for each event.
    repeated: usize,
    /// Runs of accounts in order that did not end well within their tick.
    delayed: usize,
    /// Messages that the workers were given.
    messages: usize,
    /// Messages that failed.
    failed_messages: usize,
    /// Checkpoints, one for each account that has run.
    checkpoints: usize,
    /// Longest run, in milliseconds, of any account.
    longest_run_ms: u64,
    /// How long each tick took from the timer to the last message.
    tick_seconds: Vec<f64>,
}

/// The account that loses its right to read.
const BROKEN: usize = 1;
/// The account whose quota is used up for an hour.
const THROTTLED: usize = 2;
/// A tick that takes longer hangs.
const TICK_LIMIT: Duration = Duration::from_secs(600);
/// How often it is looked whether a tick is over.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures = runtime.block_on(async {
        crate::demo::build().await?;
        collect(arguments).await
    })?;
    let text = if arguments.json { serde_json::to_string(&figures)? } else { format!("{figures:#?}") };
    screen::line(&text);
    hold(&figures)
}

fn hold(figures: &Figures) -> Result<()> {
    ensure!(figures.lost == 0, "events were lost");
    ensure!(figures.repeated == 0, "events came twice");
    ensure!(figures.delayed == 0, "accounts in order were delayed by others");
    ensure!(figures.failed_messages == 0, "a message failed, which an account's failure must not cause");
    Ok(())
}

/// An installation with its accounts.
struct Scene {
    simulator: Simulator,
    accounts: Vec<ServedAccount>,
    site: String,
    azurite: Option<Azurite>,
    /// Ids of the events that each account was given, by its key.
    given: BTreeMap<String, BTreeSet<String>>,
}

async fn collect(arguments: &Arguments) -> Result<Figures> {
    ensure!(arguments.accounts > THROTTLED, "at least three accounts are needed");
    let mut scene = Scene::install(arguments).await?;
    scene.accounts[BROKEN].mimecast.configure(|settings| settings.product = false);
    scene.accounts[THROTTLED].mimecast.configure(|settings| {
        settings.quota = Some(Quota { limit: 0, period: Duration::from_secs(3_600) });
    });
    let mut tick_seconds = Vec::new();
    for tick in 0..arguments.ticks {
        scene.give(tick, arguments.events);
        let began = Instant::now();
        scene.tick(arguments.accounts * (tick + 1)).await?;
        tick_seconds.push((began.elapsed().as_secs_f64() * 10.0).round() / 10.0);
    }
    scene.judge(arguments, tick_seconds).await
}

impl Scene {
    async fn install(arguments: &Arguments) -> Result<Self> {
        let simulator = Simulator::start(Options::default()).await.context("starting the simulator")?;
        let mut accounts = Vec::new();
        let mut text = answers::head(&simulator)?;
        text.push_str("accounts:\n");
        let mut secrets = Vec::new();
        for number in 0..arguments.accounts {
            let account = simulator.add_mimecast(&format!("account-{number:03}")).await?;
            let own = account.mimecast.settings();
            let (id, secret) = (format!("ID_{number}"), format!("SECRET_{number}"));
            let base_url = account.base_url.as_str().trim_end_matches('/');
            let _ = writeln!(
                text,
                "  - {{key: {}, base_url: \"{base_url}\", client_id: {{env: {id}}}, client_secret: {{env: {secret}}}}}",
                account.key
            );
            secrets.extend([(id, own.client_id), (secret, own.client_secret)]);
            accounts.push(account);
        }
        let instances = arguments.workers;
        simulator.data().hosts.set_options(HostOptions { instances, ..HostOptions::default() });
        Person::with(&simulator, &text, secrets)?.install_alone().await?;
        let site = counted::site(&simulator)?;
        let mut scene = Self { simulator, accounts, site, azurite: None, given: BTreeMap::new() };
        if arguments.azurite {
            scene.move_to_azurite().await?;
        }
        let condition = scene.simulator.data().hosts.condition(&scene.site).await;
        ensure!(condition == Condition::Running, "the host does not run: {condition:?}");
        Ok(scene)
    }

    /// Puts queue and checkpoints where Microsoft's own emulator keeps them.
    async fn move_to_azurite(&mut self) -> Result<()> {
        let azurite = Azurite::start(&self.simulator.ground().certificates).await?;
        let azurite = azurite.context("Azurite is not installed: `cargo xtask test tools` does it")?;
        let http = client(&self.simulator)?;
        let token = token(&self.simulator, &http).await?;
        let container = azurite.blob().join(CHECKPOINT_CONTAINER)?;
        let queue = azurite.queue().join(SYNC_QUEUE)?;
        for made in [format!("{container}?restype=container"), queue.to_string()] {
            let made = http.put(made).bearer_auth(&token).header("x-ms-version", "2021-12-02").send().await?;
            ensure!(made.status().is_success(), "Azurite answered {}", made.status());
        }
        self.simulator.state().edit(&self.site, |_, hidden| {
            let settings = &mut hidden["appSettings"];
            settings[settings::CHECKPOINT_CONTAINER_URL] = json!(container);
            settings[settings::SYNC_QUEUE_URL] = json!(queue);
            settings["AzureWebJobsStorage__queueServiceUri"] = json!(azurite.queue());
        });
        self.simulator.data().reconcile();
        self.azurite = Some(azurite);
        Ok(())
    }

    /// Gives every account new events, some of which happened before those of the tick before.
    fn give(&mut self, tick: usize, events: u64) {
        let now = self.simulator.clock().now();
        for (number, account) in (0_u64..).zip(&self.accounts) {
            let first = (number * 1_000 + tick as u64) * 10_000;
            let at = |event: u64| now - Duration::from_secs(90 + event * 37 % 600);
            let events: Vec<Event> =
                (0..events).map(|event| Event::numbered(first + event, at(event))).collect();
            let ids = events.iter().map(|event| event.id.clone());
            self.given.entry(account.key.clone()).or_default().extend(ids);
            account.mimecast.add(events);
        }
    }

    /// Fires the timer and waits until so many messages altogether have been worked on.
    async fn tick(&self, messages: usize) -> Result<()> {
        let hosts = &self.simulator.data().hosts;
        let fired = hosts.fire(&self.site, TIMER_FUNCTION).await.context("the app has no host that runs")?;
        fired.outcome.context("the tick")?;
        let worked = async {
            while self.messages().len() < messages {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(TICK_LIMIT, worked).await.context("the messages were not worked on")?;
        hosts.idle(&self.site).await;
        Ok(())
    }

    /// What became of each message: whether it succeeded.
    fn messages(&self) -> Vec<bool> {
        let invocations = self.simulator.data().hosts.invocations(&self.site);
        let messages = invocations.into_iter().filter(|each| each.function == QUEUE_FUNCTION);
        messages.map(|each| each.outcome.is_ok()).collect()
    }

    async fn judge(&self, arguments: &Arguments, tick_seconds: Vec<f64>) -> Result<Figures> {
        let out_of_order = [BROKEN, THROTTLED].map(|index| self.accounts[index].key.clone());
        let in_order = |key: &String| !out_of_order.contains(key);
        let mut rows: BTreeMap<String, usize> = BTreeMap::new();
        for row in self.simulator.data().rows.of(AUDIT_TABLE) {
            *rows.entry(text(&row, "id_s")).or_default() += 1;
        }
        let expected: BTreeSet<&String> =
            self.given.iter().filter(|(key, _)| in_order(key)).flat_map(|(_, ids)| ids).collect();
        let health = self.simulator.data().rows.of(HEALTH_TABLE);
        let good = |key: &String| {
            let runs = health.iter().filter(|row| text(row, "Account") == *key);
            runs.filter(|row| text(row, "Result") == "ok").count()
        };
        let in_order = self.given.keys().filter(|key| in_order(key));
        let delayed = in_order.map(|key| arguments.ticks.saturating_sub(good(key))).sum();
        let messages = self.messages();
        Ok(Figures {
            accounts: arguments.accounts,
            workers: arguments.workers,
            ticks: arguments.ticks,
            azurite: arguments.azurite,
            events: expected.len(),
            lost: expected.iter().filter(|id| !rows.contains_key(**id)).count(),
            repeated: rows.values().map(|count| count - 1).sum(),
            delayed,
            messages: messages.len(),
            failed_messages: messages.iter().filter(|succeeded| !**succeeded).count(),
            checkpoints: self.checkpoints().await?,
            longest_run_ms: health
                .iter()
                .filter_map(|row| row.get("DurationMs")?.as_u64())
                .max()
                .unwrap_or(0),
            tick_seconds,
        })
    }

    /// How many accounts have a checkpoint of their own.
    async fn checkpoints(&self) -> Result<usize> {
        const PREFIX: &str = "checkpoint-account-";
        let Some(azurite) = &self.azurite else {
            let storage = self.simulator.state().resources_of("Microsoft.Storage/storageAccounts");
            let name = storage.first().and_then(|account| account["name"].as_str()).unwrap_or_default();
            let names = self.simulator.data().blobs.names(name, CHECKPOINT_CONTAINER).unwrap_or_default();
            return Ok(names.iter().filter(|name| name.starts_with(PREFIX)).count());
        };
        let http = client(&self.simulator)?;
        let token = token(&self.simulator, &http).await?;
        let list =
            format!("{}{CHECKPOINT_CONTAINER}?restype=container&comp=list&prefix={PREFIX}", azurite.blob());
        let list = http.get(list).bearer_auth(token).header("x-ms-version", "2021-12-02").send().await?;
        Ok(list.text().await?.matches("<Name>").count())
    }
}

fn text(row: &simulator::rows::Row, name: &str) -> String {
    row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn client(simulator: &Simulator) -> Result<reqwest::Client> {
    let authority = reqwest::Certificate::from_pem(&std::fs::read(simulator.ca_file())?)?;
    Ok(reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build()?)
}

/// A token for storage, of the person who installs.
async fn token(simulator: &Simulator, http: &reqwest::Client) -> Result<String> {
    let person = simulator.person();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", person.client_id.as_str()),
        ("client_secret", person.client_secret.expose().as_str()),
        ("scope", "https://storage.azure.com/.default"),
    ];
    let url: Url =
        simulator.state().endpoints().entra.join(&format!("{}/oauth2/v2.0/token", person.tenant_id))?;
    let answer: Value = http.post(url).form(&form).send().await?.json().await?;
    Ok(answer["access_token"].as_str().context("no token")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Arguments, collect, hold};

    /// Events are few: what is tried is the queue. Where Azurite is not installed, the stand-in serves.
    #[tokio::test(flavor = "multi_thread")]
    #[expect(clippy::disallowed_methods, reason = "the gate says by a variable that its tools are there")]
    async fn fifty_accounts_over_four_workers_lose_and_repeat_nothing() {
        let azurite = simulator::azurite::installed().is_some();
        if !azurite {
            assert!(std::env::var_os(crate::test::TOOLS_REQUIRED).is_none(), "the gate installs Azurite");
            println!("on the stand-in: Azurite is not installed; `cargo xtask test tools` does it");
        }
        let (accounts, workers, ticks, events) = (50, 4, 2, 5);
        let arguments = Arguments { accounts, workers, ticks, events, azurite, json: false };
        let figures = collect(&arguments).await.expect("collected");
        hold(&figures).unwrap_or_else(|error| panic!("{error}: {figures:#?}"));
        // All but the broken and the throttled account.
        assert_eq!(figures.events, (accounts - 2) * ticks * 5, "{figures:#?}");
        assert_eq!(figures.messages, accounts * ticks, "{figures:#?}");
        // The broken account has a place too, which its next run goes on from.
        assert_eq!(figures.checkpoints, accounts, "{figures:#?}");
        assert!(figures.longest_run_ms < 30_000, "{figures:#?}");
    }
}
