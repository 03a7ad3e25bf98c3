//! Installs, upgrades and removes the Mimecast connector for Microsoft Sentinel.

use std::process::ExitCode;

use installer::commands;
use installer::world::World;

#[tokio::main]
async fn main() -> ExitCode {
    commands::run(&World::of_process()).await
}
