//! Collects Mimecast audit events and delivers them to Microsoft Sentinel.

use std::process::ExitCode;

use worker::report::Log;
use worker::world::World;

/// One thread does the work: it waits for the network nearly all the time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let world = World::system();
    let log = Log::new(&world, std::io::stdout());
    let arguments = World::arguments();
    worker::command::main(world, log, arguments).await
}
