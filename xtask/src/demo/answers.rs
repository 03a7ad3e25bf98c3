//! The answers file that the demo installs with, as a person would write it.

use anyhow::{Context, Result};
use simulator::simulator::Simulator;

/// The installation's name.
pub(super) const NAME: &str = "mimecast-audit";
/// The resource group that the installer makes and removes.
pub(crate) const RESOURCE_GROUP: &str = "rg-mimecast-audit";
/// The variable that the answers take the Mimecast application's id from.
pub(super) const ID_VARIABLE: &str = "MIMECAST_CLIENT_ID";
/// The variable that the answers take the Mimecast application's secret from.
pub(super) const SECRET_VARIABLE: &str = "MIMECAST_CLIENT_SECRET";

/// The file's text. It holds no secret, only where to read it; which cloud is meant, the environment
/// says.
pub(super) fn text(simulator: &Simulator) -> Result<String> {
    let base_url = simulator.state().endpoints().mimecast.as_str().trim_end_matches('/').to_owned();
    let head = head(simulator)?;
    Ok(format!(
        "{head}mimecast:\n  \
           api: \"2.0\"\n  \
           base_url: {base_url}\n  \
           client_id: {{env: {ID_VARIABLE}}}\n  \
           client_secret: {{env: {SECRET_VARIABLE}}}\n",
    ))
}

/// Everything of the file but Mimecast.
pub(crate) fn head(simulator: &Simulator) -> Result<String> {
    let workspace = simulator.workspace_id();
    let location = simulator
        .state()
        .resource(workspace)
        .and_then(|resource| resource.get("location").and_then(|text| text.as_str().map(str::to_owned)))
        .context("the simulated workspace has a region")?;
    Ok(format!(
        "version: 1\n\
         name: {NAME}\n\
         azure:\n  \
           tenant_id: {tenant}\n  \
           subscription_id: {subscription}\n  \
           resource_group: {RESOURCE_GROUP}\n  \
           create_resource_group: true\n  \
           location: {location}\n\
         workspace:\n  \
           resource_id: {workspace}\n",
        tenant = simulator.person().tenant_id,
        subscription = simulator.subscription_id(),
    ))
}
