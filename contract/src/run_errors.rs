//! Why a run failed: the codes that stand in `ErrorCode` of `MimecastAuditHealth_CL`.
//!
//! The worker writes them, the installer says what to do about them, `docs/reference/errors.md` lists
//! them. All of them come from here.

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunError {
    /// The code.
    pub code: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const fn error(code: &'static str, meaning: &'static str, remedy: &'static str) -> RunError {
    RunError { code, meaning, remedy }
}

/// What every error of a passing kind has in common.
const PASSES: &str = "Nothing is lost: the next run goes on where this one stopped. Where it stays for an hour, give \
                      the request id of the message to the support of the service that it names.";
const STORAGE_RIGHTS: &str = "Give the worker's identity its roles on the storage account again (`install` does), and \
                              let the account's firewall in. A new role takes up to half an hour.";
const REINSTALL: &str = "Somebody deleted it: `install` makes it again.";

/// Every code, in the order of the reference page.
pub const ALL: &[RunError] = &[
    error(
        "settings",
        "A setting is missing, cannot be used, or is a Key Vault reference that was not resolved.",
        "The message names each setting. `doctor` says what to do about references; `install` writes the settings anew.",
    ),
    error("mimecast_unreachable", "Mimecast could not be reached.", PASSES),
    error("mimecast_answer_cut", "An answer of Mimecast ended before it was complete.", PASSES),
    error(
        "mimecast_answer_unreadable",
        "An answer is none that this API gives, such as a gateway's page.",
        PASSES,
    ),
    error("mimecast_server_fault", "Mimecast has a fault.", PASSES),
    error(
        "mimecast_gateway_timeout",
        "Mimecast did not finish in time. The next run asks for less at once.",
        PASSES,
    ),
    error(
        "mimecast_throttled",
        "Mimecast asks to slow down for longer than a run may wait.",
        "Nothing is lost. Give the connector a Mimecast application of its own: the quota is shared inside one.",
    ),
    error(
        "mimecast_quota_spent",
        "The quota is spent, and comes anew later than a run may wait.",
        "Nothing is lost. Give the connector a Mimecast application of its own: the quota is shared inside one.",
    ),
    error("mimecast_token_expired", "The token ran out in the middle of a call.", PASSES),
    error(
        "mimecast_token_refused",
        "Mimecast does not accept a token that it has just given.",
        "See that the application is active in Mimecast; then new credentials by `rotate`.",
    ),
    error(
        "mimecast_credentials_refused",
        "Mimecast does not accept client id and secret, or the four keys.",
        "Write the right ones by `rotate`. The secret's value is needed, not its id; new keys of API 1.0 take 30 minutes.",
    ),
    error(
        "mimecast_clock_skew",
        "The worker's clock is far from Mimecast's.",
        "In Azure this passes with another instance. Elsewhere set the clock.",
    ),
    error(
        "mimecast_application_refused",
        "Mimecast does not know the application id or key (API 1.0).",
        "Write the right ones by `rotate`.",
    ),
    error(
        "mimecast_access_key_expired",
        "The access key of API 1.0 has expired.",
        "Make new keys with an authentication profile whose cache never expires, and write them by `rotate`; or move to API 2.0.",
    ),
    error(
        "mimecast_product_missing",
        "The application lacks the product Audit Events.",
        "Make a new API 2.0 application with it (products cannot be added later), and write its credentials by `rotate`.",
    ),
    error(
        "mimecast_role_missing",
        "The application's role may not read audit events.",
        "Give the role the right `Account | Logs | Read` in Mimecast.",
    ),
    error(
        "mimecast_wrong_region",
        "The account lives in another region.",
        "Correct `mimecast.base_url` in the answers and `install`; the message names the host where it is known.",
    ),
    error(
        "mimecast_wrong_host",
        "The host does not serve this API.",
        "Correct `mimecast.base_url` in the answers and `install`: `api.services.mimecast.com` and its regional forms serve API 2.0.",
    ),
    error(
        "mimecast_request_refused",
        "Mimecast does not accept what was asked for.",
        "See that `collect.categories` has codes of Mimecast's alone; else report it with the request id.",
    ),
    error(
        "mimecast_page_token_refused",
        "Mimecast no longer accepts the mark of a page. The window is read from its start.",
        PASSES,
    ),
    error(
        "mimecast_paging_loop",
        "Mimecast's pages go in a circle. The window is read from its start.",
        PASSES,
    ),
    error(
        "ingest_sign_in",
        "The worker could not sign in to deliver.",
        "With an app registration, its secret may have run out: `rotate`. With the identity it passes, or `doctor` names what is missing.",
    ),
    error("ingest_unreachable", "The logs ingestion endpoint could not be reached.", PASSES),
    error(
        "ingest_too_large",
        "Azure found even a single record too large.",
        "Report it: records are cut to Azure's limits before they are sent.",
    ),
    error(
        "ingest_refused",
        "Azure does not accept the content.",
        "The refused records are in the container `dead-letters`, each with the reason. `install` puts rule and table right; then `replay`.",
    ),
    error(
        "ingest_unauthorized",
        "Azure refused a new token.",
        "See that `azure.cloud` and the tenant of the app registration are right.",
    ),
    error(
        "ingest_forbidden_settling",
        "The identity may not send to the rule, and has never done so yet.",
        "A new role takes up to half an hour: wait. Where it stays, as `ingest_forbidden`.",
    ),
    error(
        "ingest_forbidden",
        "The identity may not send to the rule.",
        "Somebody took its role Monitoring Metrics Publisher away: `install` gives it again.",
    ),
    error(
        "ingest_not_found_settling",
        "There is no such rule or stream, and nothing was ever delivered yet.",
        "A new rule takes up to half an hour: wait. Where it stays, as `ingest_not_found`.",
    ),
    error("ingest_not_found", "There is no such endpoint, rule or stream.", REINSTALL),
    error(
        "ingest_throttled",
        "The rule takes no more for now.",
        "Nothing is lost. Where it stays, ask Microsoft for a higher limit of the rule.",
    ),
    error("ingest_unavailable", "Azure could not take the rows.", PASSES),
    error(
        "ingest_unexpected",
        "The endpoint answered what this API never does.",
        "See that `LOGS_INGESTION_ENDPOINT` is the rule's own endpoint; `install` writes it.",
    ),
    error("ingest_folder", "The folder does not take rows.", "See that it can be written to and has room."),
    error(
        "ingest_everything_refused",
        "Azure refused record after record and took none: the fault is not in them, and none was set aside.",
        "`install` puts rule and table right. Nothing is lost: the run begins again from the same place.",
    ),
    error("checkpoint_denied", "Storage does not let the worker at its checkpoint.", STORAGE_RIGHTS),
    error("checkpoint_not_found", "The container of the checkpoint is not there.", REINSTALL),
    error("checkpoint_unavailable", "Storage could not be reached, or has a fault.", PASSES),
    error(
        "checkpoint_lost",
        "Another run took the checkpoint meanwhile. This one wrote nothing after that.",
        "Nothing, where it is rare. Where it comes often, two installations or a hand at work use the same container.",
    ),
    error(
        "checkpoint_unreadable",
        "The checkpoint has content that is none of ours. It was kept aside under the name in the message, unless it is larger than any of ours.",
        "Empty `checkpoint.txt` to begin with a first run, or write a time such as 2026-01-01T00:00:00Z into it to go on from there.",
    ),
    error(
        "checkpoint_folder",
        "The folder of the checkpoint cannot be used.",
        "See that it can be written to and has room.",
    ),
    error("dead_letters_denied", "Storage does not let the worker at its dead letters.", STORAGE_RIGHTS),
    error("dead_letters_not_found", "The container of the dead letters is not there.", REINSTALL),
    error("dead_letters_unavailable", "Storage could not be reached, or has a fault.", PASSES),
    error(
        "dead_letters_folder",
        "The folder of the dead letters cannot be used.",
        "See that it can be written to and has room.",
    ),
    error(
        "dead_letters_unreadable",
        "A file among the dead letters is none of ours, and cannot be sent again.",
        "Move it out of the container `dead-letters`, then `replay`.",
    ),
    error(
        "queue_not_set",
        "The work needs a queue and the installation has none.",
        "Set `collect.work_queue: always` in the answers and `install`.",
    ),
    error("queue_denied", "Storage does not let the worker at its queue.", STORAGE_RIGHTS),
    error("queue_not_found", "The queue is not there.", REINSTALL),
    error("queue_unavailable", "The queue could not be reached, or has a fault.", PASSES),
];

/// Every event that stands in the worker's log as an error beside a run's own end, in the order of the
/// reference page.
pub const EVENTS: &[RunError] = &[
    error(
        "not_started",
        "The worker was started in a way in which it cannot work: an argument cannot be used, or there is no host.",
        "The message says what is accepted. Without a Functions host use `run`, `backfill` or `replay`.",
    ),
    error(
        "not_serving",
        "The port that the Functions host named cannot be listened on. The process ends, and the host starts another.",
        "Where it does not pass, restart the app; by hand, use another port.",
    ),
    error(
        "run_not_begun",
        "The clients of Azure or Mimecast cannot be made, so that not even a health row can be sent.",
        "The message says which and why. `install` writes the settings anew; then restart the app.",
    ),
    error(
        "invocation_not_understood",
        "A function was called with what it does not take. Nothing was done.",
        "Accepted are `sync`, `replay` and `backfill <from> <to> [only-missing]` with times in RFC 3339; the installer's commands write them.",
    ),
    error(
        "message_not_understood",
        "A message on the queue `sync-work` is none of ours. It goes to the poison queue.",
        "Find out who wrote it; the installer's commands write the right form.",
    ),
    error(
        "message_not_put",
        "Work could not be put on the queue `sync-work`. The message that asked for it comes again.",
        "The message says why, as the run errors `queue_…` do.",
    ),
    error(
        "work_given_up",
        "What a person asked for has failed for about a day and is not tried again.",
        "The health rows say why. Put that right, and ask once more.",
    ),
    error(
        "gap",
        "Events were not collected for so long that Mimecast no longer gives them out: they are lost.",
        "The message has the times. Export them from Mimecast's console where they are still shown there.",
    ),
    error(
        "records_set_aside",
        "Azure refused records, or no row could be made of them. They are kept in the container `dead-letters`.",
        "Each has its reason there. Once that is put right, `replay` sends them again.",
    ),
    error(
        "health_row_not_delivered",
        "A run's health row could not be delivered. The run itself stands in the log.",
        "As the error of delivery that the message names. Where audit rows arrive, nothing.",
    ),
];

/// What is known of a code.
pub fn find(code: &str) -> Option<&'static RunError> {
    ALL.iter().find(|error| error.code == code)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ALL, EVENTS, find};

    #[test]
    fn codes_are_unique_and_explained() {
        let codes: HashSet<_> = ALL.iter().map(|error| error.code).collect();
        assert_eq!(codes.len(), ALL.len());
        let events: HashSet<_> = EVENTS.iter().map(|event| event.code).collect();
        assert_eq!(events.len(), EVENTS.len());
        assert!(codes.is_disjoint(&events));
        for error in EVENTS {
            assert!(error.meaning.ends_with('.') && error.remedy.ends_with('.'), "{}", error.code);
        }
        for error in ALL {
            assert!(error.meaning.ends_with('.') && error.remedy.ends_with('.'), "{}", error.code);
            assert_eq!(find(error.code), Some(error));
        }
    }
}
