//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::answers::intent::{TunedContent, duration_secs};
use crate::azure::AuthMethod;
use crate::ui::{Loudness, Output};

/// Installs, shows, upgrades and removes the Mimecast connector for Microsoft Sentinel.
#[derive(Debug, Parser)]
#[command(name = "mimecast-sentinel", version, max_term_width = 100)]
pub struct Arguments {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what an installation would change, and change nothing.
    Plan(PlanOptions),
    /// Install the connector, or bring an installation to what the answers say.
    Install(InstallOptions),
    /// Bring an installation to this version: resources, settings and worker. The worker is tried, and
    /// what ran before is put back where it does not work.
    Upgrade(UpgradeOptions),
    /// Give Mimecast secrets new values, prove them by a run, then disable the old ones.
    Rotate(RotateOptions),
    /// Show what is installed, whether it works, and what was changed by hand.
    Status(StatusOptions),
    /// Check everything that an installation needs, and one that is there; say what to do about each fault.
    Doctor(DoctorOptions),
    /// Show the worker's last runs.
    Logs(LogsOptions),
    /// Stop collecting until `resume`. Nothing is lost as long as Mimecast keeps it (60 days).
    Pause(AnswerOptions),
    /// Go on collecting where it was paused.
    Resume(AnswerOptions),
    /// Read a past range again.
    Backfill(BackfillOptions),
    /// Send the records again that Azure had refused.
    Replay(AnswerOptions),
    /// Write an installation as a deployment template with its parameters, as `azuredeploy/` has them.
    Export(ExportOptions),
    /// The answers file itself.
    #[command(subcommand)]
    Answers(AnswersCommand),
    /// Remove an installation. The tables and their rows stay, unless `--purge` says otherwise.
    Teardown(TeardownOptions),
    /// Print a script that lets a shell complete commands and flags, such as
    /// `source <(mimecast-sentinel completions bash)`.
    Completions(CompletionsOptions),
}

/// What to do with the answers file.
#[derive(Debug, Subcommand)]
pub enum AnswersCommand {
    /// Print a commented file with every key.
    Init,
    /// Say everything that is wrong with the answers.
    Check {
        /// Where answers come from.
        #[command(flatten)]
        answers: AnswerOptions,
    },
    /// Print the JSON Schema of the file.
    Schema,
    /// Turn an ARM parameters file of the old connector into answers.
    Import {
        /// The parameters file.
        file: PathBuf,
    },
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// What the output is made for.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,
    /// How to sign in to Azure: auto, cli, azd, environment, workload or managed.
    #[arg(long, global = true, default_value = "auto", value_parser = auth_method)]
    pub auth: AuthMethod,
    /// Azure cloud: public, us-government, china, or a file with the endpoints of a custom one.
    #[arg(long, global = true, value_name = "CLOUD")]
    pub cloud: Option<String>,
    /// Subscription of the installation.
    #[arg(long, global = true, value_name = "ID")]
    pub subscription: Option<String>,
    /// Tenant to sign in to.
    #[arg(long, global = true, value_name = "ID")]
    pub tenant: Option<String>,
    /// Resource group of the installation.
    #[arg(long, global = true, value_name = "NAME")]
    pub resource_group: Option<String>,
    /// Name of the installation.
    #[arg(long, global = true)]
    pub name: Option<String>,
    /// Say more.
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say nothing but data and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Use no colour.
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl Global {
    /// How much to say.
    pub fn loudness(&self) -> Loudness {
        match (self.quiet, self.verbose) {
            (true, _) => Loudness::Quiet,
            (false, true) => Loudness::Verbose,
            (false, false) => Loudness::Normal,
        }
    }
}

fn auth_method(word: &str) -> Result<AuthMethod, String> {
    AuthMethod::parse(word).ok_or_else(|| {
        let words: Vec<&str> = AuthMethod::ALL.iter().map(|method| method.name()).collect();
        format!("accepted: {}", words.join(", "))
    })
}

/// Where answers come from.
#[derive(Debug, Args)]
pub struct AnswerOptions {
    /// File of answers; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// One answer by its key, such as `azure.location=westeurope`. Stronger than file and
    /// environment. Not for secrets.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Flags of `plan`.
#[derive(Debug, Args)]
pub struct PlanOptions {
    /// Where answers come from.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// Worker package, or worker binary for Linux x86-64, in place of the one that is built in or lies beside
    /// this program.
    #[arg(long, value_name = "FILE")]
    pub package: Option<PathBuf>,
    /// Write the plan to a file, for `install --plan`. It holds no secret.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write our rules, workbook and parsers over what a person has tuned of them.
    #[arg(long)]
    pub reset_content: bool,
}

/// Flags of `install`.
#[derive(Debug, Args)]
pub struct InstallOptions {
    /// Where answers come from.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// Go ahead without asking.
    #[arg(long, short)]
    pub yes: bool,
    /// Worker package, or worker binary for Linux x86-64, in place of the one that is built in or lies beside
    /// this program.
    #[arg(long, value_name = "FILE")]
    pub package: Option<PathBuf>,
    /// Carry out exactly this plan, and nothing where what it saw has changed.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Write the answers that count to a file, as soon as there is nothing more to ask. Secrets are not in it.
    #[arg(long, value_name = "FILE")]
    pub save_answers: Option<PathBuf>,
    /// How long to wait for proof that events arrive.
    #[arg(long, value_name = "DURATION", default_value = "45m", value_parser = seconds, conflicts_with = "no_wait")]
    pub wait: u64,
    /// Do not wait for proof that events arrive.
    #[arg(long)]
    pub no_wait: bool,
    /// Write our rules, workbook and parsers over what a person has tuned of them.
    #[arg(long, conflicts_with = "plan")]
    pub reset_content: bool,
}

/// Flags of `upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeOptions {
    /// Where answers come from; what they do not say is as it was recorded at the last change.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// Go ahead without asking.
    #[arg(long, short)]
    pub yes: bool,
    /// Worker package, or worker binary for Linux x86-64, in place of the one that is built in.
    #[arg(long, value_name = "FILE")]
    pub package: Option<PathBuf>,
    /// Put the package back that ran before the present one, and change nothing else.
    #[arg(long, conflicts_with = "package")]
    pub rollback: bool,
    /// How long to wait for each thing that has to come: host, timer, a good run.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = seconds)]
    pub wait: u64,
    /// Write our rules, workbook and parsers over what a person has tuned of them.
    #[arg(long, conflicts_with = "rollback")]
    pub reset_content: bool,
}

/// Flags of `rotate`.
#[derive(Debug, Args)]
pub struct RotateOptions {
    /// Where answers come from, and with them where the new values are; what they do not say is as it was
    /// recorded at the last change.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// Which secret, by its key or its name in the vault, such as client_secret, or which account where there
    /// are several; all of Mimecast's without it. The value itself is never given here.
    #[arg(value_name = "SECRET")]
    pub secret: Option<String>,
    /// Go ahead without asking.
    #[arg(long, short)]
    pub yes: bool,
    /// How long to wait for a good run.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = seconds)]
    pub wait: u64,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusOptions {
    /// Where answers come from.
    #[command(flatten)]
    pub answers: AnswerOptions,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportOptions {
    /// Where answers come from; what they do not say is as it was recorded at the last change.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// Folder to write to; files of the same names are written over.
    #[arg(long, value_name = "FOLDER", default_value = "azuredeploy")]
    pub to: PathBuf,
}

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// Where answers come from.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// Check only what an installation needs beforehand.
    #[arg(long)]
    pub pre: bool,
    /// Worker package to plan with, in place of the one that is built in.
    #[arg(long, value_name = "FILE")]
    pub package: Option<PathBuf>,
    /// Write what a person who helps needs to know to a file: checks, status, runs, log, answers and the
    /// settings' names. Secrets and addresses of people are left out; look through it before you pass it on.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
}

/// Flags of `logs`.
#[derive(Debug, Args)]
pub struct LogsOptions {
    /// Where answers come from.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// How many runs to show.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = runs_shown)]
    pub last: usize,
}

/// Flags of `backfill`.
#[derive(Debug, Args)]
pub struct BackfillOptions {
    /// Where answers come from.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// Beginning of the range: RFC 3339, or a day.
    #[arg(long, value_name = "TIME")]
    pub from: String,
    /// End of the range: RFC 3339, or a day, which is not part of it.
    #[arg(long, value_name = "TIME")]
    pub to: String,
    /// Read only the hours whose counts differ from what was delivered.
    #[arg(long)]
    pub only_missing: bool,
    /// Key of the account, where there are several; all of them without it.
    #[arg(long, value_name = "KEY")]
    pub account: Option<String>,
}

/// Flags of `teardown`.
#[derive(Debug, Args)]
pub struct TeardownOptions {
    /// Where answers come from.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// Go ahead without asking.
    #[arg(long, short)]
    pub yes: bool,
    /// Leave the storage account (checkpoint, dead letters) and the vault.
    #[arg(long, conflicts_with = "purge")]
    pub keep_data: bool,
    /// Also delete the tables that an installer made and that nothing else feeds, each after its name is
    /// typed, and the deleted vault for good.
    #[arg(long)]
    pub purge: bool,
    /// A table that `--purge` may delete, in place of typing its name; may be given more than once.
    #[arg(long, value_name = "NAME", requires = "purge")]
    pub purge_table: Vec<String>,
}

/// What the flag `--reset-content` says.
pub(super) fn tuned_content(reset: bool) -> TunedContent {
    if reset { TunedContent::Reset } else { TunedContent::Keep }
}

fn runs_shown(text: &str) -> Result<usize, String> {
    text.parse::<usize>()
        .ok()
        .filter(|count| (1..=1_000).contains(count))
        .ok_or_else(|| "accepted: 1 to 1000".to_owned())
}

fn seconds(text: &str) -> Result<u64, String> {
    duration_secs(text).ok_or_else(|| "accepted: a duration such as 90s, 15m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_flag_takes_the_value_of_a_secret() {
        // BR-163
        let mut command = Arguments::command();
        let help = command.render_long_help().to_string().to_ascii_lowercase();
        for word in ["--client-secret", "--password", "--secret-key", "--access-key", "--app-key"] {
            assert!(!help.contains(word), "{word}");
        }
    }
}
