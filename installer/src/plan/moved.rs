//! An installation whose answers name another workspace than the one that its rows go to.

use serde_json::Value;

use super::Planner;
use super::desired::Desired;
use super::step::Finding;

impl Planner<'_> {
    /// Whether the rule that is there feeds another workspace than it should; refused then. Azure does not
    /// change a rule's destination in place (BR-090), and a new rule would leave the old workspace with rules
    /// and a connector page that nothing feeds. The way there is a teardown that keeps the checkpoint.
    pub(super) fn sends_elsewhere(&mut self, resource: &Desired, actual: &Value) -> bool {
        let (Some(now), Some(wanted)) = (destination(actual), destination(&resource.body)) else {
            return false;
        };
        if now.eq_ignore_ascii_case(wanted) {
            return false;
        }
        let name = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned();
        self.findings.push(Finding::refuses(
            "workspace-changed",
            format!(
                "the installation feeds the workspace `{}`, and the answers name `{}`: {} cannot be pointed at another one",
                name(now),
                name(wanted),
                resource.title
            ),
            "move it in two commands, which lose and repeat nothing: `mimecast-sentinel teardown --keep-data` (the checkpoint \
             and the vault stay, and so do the old workspace's tables with their rows), then `mimecast-sentinel install` with these answers",
        ));
        true
    }
}

/// The workspace that a rule sends to.
fn destination(rule: &Value) -> Option<&str> {
    rule["properties"]["destinations"]["logAnalytics"][0]["workspaceResourceId"].as_str()
}
