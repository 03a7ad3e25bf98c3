//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::answers::intent::duration_secs;
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
    /// Show what is installed and whether it works.
    Status(StatusOptions),
    /// Remove an installation. The tables and their rows stay.
    Teardown(TeardownOptions),
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
    /// Worker package, or worker binary for Linux x86-64, in place of the one that is built in.
    #[arg(long, value_name = "FILE")]
    pub package: Option<PathBuf>,
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
    /// Worker package, or worker binary for Linux x86-64, in place of the one that is built in.
    #[arg(long, value_name = "FILE")]
    pub package: Option<PathBuf>,
    /// How long to wait for proof that events arrive.
    #[arg(long, value_name = "DURATION", default_value = "45m", value_parser = seconds, conflicts_with = "no_wait")]
    pub wait: u64,
    /// Do not wait for proof that events arrive.
    #[arg(long)]
    pub no_wait: bool,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusOptions {
    /// Where answers come from.
    #[command(flatten)]
    pub answers: AnswerOptions,
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
    #[arg(long)]
    pub keep_data: bool,
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
