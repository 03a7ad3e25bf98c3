//! The simulator by hand: starts, says how to reach it, and runs until Ctrl-C.

use std::io::{self, Write};

use simulator::{Options, Simulator};

#[tokio::main]
async fn main() -> io::Result<()> {
    let simulator = Simulator::start(Options::default()).await?;
    let mut out = io::stdout().lock();
    writeln!(out, "# The environment of a client, for a shell; the secret is of this run alone.")?;
    for (name, value) in simulator.environment() {
        writeln!(out, "export {name}='{value}'")?;
    }
    writeln!(out, "# workspace:  {}", simulator.workspace_id())?;
    writeln!(out, "# mimecast:   {}", simulator.state().endpoints().mimecast)?;
    writeln!(out, "# ends with Ctrl-C")?;
    out.flush()?;
    tokio::signal::ctrl_c().await
}
