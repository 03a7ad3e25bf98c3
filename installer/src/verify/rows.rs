//! Whether audit events arrive: rows that came after the change.

use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use serde_json::Value;

use super::probe::{Patience, Subject, with_remedy};
use super::{Outcome, Probe};
use crate::azure::AzureError;
use crate::ui::Usual;
use crate::ui::failure::told;

/// Why rows take a while.
const ROWS: Usual = Usual { reason: "the first rows usually show within 15 minutes", secs: 900 };

/// The rows that were seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) rows: u64,
    /// Whether they came after the change; if not, Mimecast has had no event since.
    pub(super) new: bool,
}

/// Waits for rows that came after the change. Where the runs since then found no event that was new, those count
/// that came before.
pub(super) async fn arrived(patience: &Patience<'_>, subject: &Subject) -> (Probe, Option<Seen>) {
    let mut look = patience.begin("rows", "audit rows", ROWS);
    let mut since = subject.since.clone();
    loop {
        let seen = seen(patience, subject, &mut since).await;
        let result = match &seen {
            Ok(Seen { rows: 0, .. }) => "none visible yet".to_owned(),
            Ok(seen @ Seen { rows, new: true }) => {
                let probe = look.found(Outcome::Good, format!("{rows} in `{AUDIT_TABLE}`"));
                return (probe, Some(*seen));
            }
            Ok(seen @ Seen { rows, new: false }) => {
                let text =
                    format!("{rows} in `{AUDIT_TABLE}`, none of them new: Mimecast has had no event since");
                return (look.found(Outcome::Good, text), Some(*seen));
            }
            Err(error) => told(error.cause()),
        };
        if patience.over() {
            let remedy = "the first rows can take 15 minutes; `mimecast-sentinel status` looks again";
            return (with_remedy(look.found(Outcome::Waiting, result), remedy), seen.ok());
        }
        look.again(&result).await;
    }
}

async fn seen(
    patience: &Patience<'_>,
    subject: &Subject,
    since: &mut Option<String>,
) -> Result<Seen, AzureError> {
    let workspace = &subject.workspace_customer_id;
    let since = match since {
        Some(known) => known,
        unknown => unknown.insert(patience.azure.workspace_time(workspace).await?),
    };
    let number = async |query: String| {
        let rows = patience.azure.query(workspace, &query, "").await?;
        Ok::<_, AzureError>(rows.single().and_then(Value::as_u64).unwrap_or_default())
    };
    let later = format!("ingestion_time() > datetime({since})");
    let delivered = number(format!(
        "{HEALTH_TABLE} | where Installation == \"{}\" and {later} | summarize Delivered = sum(Delivered)",
        subject.installation
    ))
    .await?;
    // The tables may be others' too: rows are ours where a run of ours says that it delivered some.
    let new = delivered > 0;
    let which =
        if new { format!("{AUDIT_TABLE} | where {later} | count") } else { format!("{AUDIT_TABLE} | count") };
    Ok(Seen { rows: number(which).await?, new })
}
