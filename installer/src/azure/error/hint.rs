//! What the person can do about an error, by Azure's code, most specific first.

mod rows;

use super::{AzureError, Refusal};
use crate::azure::credential::{AuthMethod, SignInAttempt};
use rows::{DEPLOYMENT, NETWORK, SIGN_IN, STATUSES, STORAGE_NETWORK};
pub(super) use rows::{REFUSALS, SIGN_INS};

/// Advice for one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What to do, in one or two sentences; commands in backticks.
    pub text: String,
    /// Where to read on.
    pub link: &'static str,
}

/// One piece of advice.
#[derive(Debug)]
pub struct Row {
    /// For errors of this code; empty: of any.
    pub code: &'static str,
    /// Whose text has these words.
    pub words: &'static str,
    /// What to do, with `{object}`, `{action}`, `{scope}`, `{namespace}` and `{policy}` where Azure names
    /// them.
    pub text: &'static str,
    /// Where to read on.
    pub link: &'static str,
}

/// All advice by code, in the order in which it is looked through.
pub fn advice() -> impl Iterator<Item = &'static Row> {
    REFUSALS.iter().chain(SIGN_INS)
}

fn by_status(status: u16) -> Option<Hint> {
    let &(_, text, link) = STATUSES.iter().find(|(least, ..)| *least <= status)?;
    Some(Hint { text: text.to_owned(), link })
}

pub(super) fn find(error: &AzureError) -> Option<Hint> {
    match error {
        AzureError::GaveUp { cause, .. } => find(cause),
        AzureError::Refused(refusal) | AzureError::OperationFailed { refusal, .. } => {
            of_refusal(refusal).or_else(|| by_number(&texts(refusal))).or_else(|| by_status(refusal.status))
        }
        AzureError::StillRunning { .. } => Some(Hint {
            text: "Azure may still be at it: run the same command again, which goes on where this one \
                   stopped looking"
                .to_owned(),
            link: DEPLOYMENT,
        }),
        AzureError::Storage { .. } => Some(Hint {
            text: "the storage account could not be reached, or did not answer: run the same command again; \
                   a proxy is given by `HTTPS_PROXY`"
                .to_owned(),
            link: STORAGE_NETWORK,
        }),
        AzureError::SignIn { tried } => Some(of_sign_in(tried)),
        AzureError::Token { source, .. } => by_number(&source.to_string()),
        AzureError::WrongTenant { expected, .. } => Some(Hint {
            text: format!("`az login --tenant {expected}`, or correct `azure.tenant_id`"),
            link: SIGN_IN,
        }),
        AzureError::Send { source, .. } => Some(Hint {
            text: if source.is_connect() {
                format!("the host {UNREACHED}")
            } else if source.is_timeout() {
                "there was no answer in time, and the work may be done all the same: run the same command \
                 again, which looks"
                    .to_owned()
            } else {
                "the connection broke: run the same command again".to_owned()
            },
            link: NETWORK,
        }),
        AzureError::Certificates { .. } => Some(Hint {
            text: "`SSL_CERT_FILE` must name a file of certificates in PEM form".to_owned(),
            link: NETWORK,
        }),
        _ => None,
    }
}

/// The first row that fits a refusal.
pub(super) fn matching(refusal: &Refusal) -> Option<&'static Row> {
    let texts = texts(refusal);
    REFUSALS.iter().find(|row| {
        (row.code.is_empty() || refusal.tree.has_code(row.code))
            && (row.words.is_empty() || texts.to_ascii_lowercase().contains(&row.words.to_ascii_lowercase()))
    })
}

fn texts(refusal: &Refusal) -> String {
    let leaves = refusal.tree.leaves.iter().map(|leaf| leaf.message.as_str());
    leaves.chain(refusal.tree.raw.as_deref()).collect::<Vec<_>>().join("\n")
}

fn of_refusal(refusal: &Refusal) -> Option<Hint> {
    let row = matching(refusal)?;
    let policies = &refusal.tree.policies;
    let text = texts(refusal);
    let quoted = |before: &str| quoted_after(&text, before);
    let object = quoted("with object id").unwrap_or("<account>");
    let action = quoted("permission to perform action(s)").or_else(|| quoted("to perform action"));
    let scope = quoted("over scope").or_else(|| quoted("linked scope(s)")).unwrap_or("<scope>");
    // The scope of an assignment is what it is for, not its own id.
    let scope = scope.split("/providers/Microsoft.Authorization/").next().unwrap_or(scope);
    let policies =
        if policies.is_empty() { "(not named)".to_owned() } else { format!("`{}`", policies.join("`, `")) };
    let filled = row
        .text
        .replace("{object}", object)
        .replace("{action}", action.unwrap_or("this"))
        .replace("{scope}", scope)
        .replace("{namespace}", quoted("to use namespace").unwrap_or("<namespace>"))
        .replace("{policy}", &policies);
    Some(Hint { text: filled, link: row.link })
}

/// The text in quotes that follows these words.
fn quoted_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let rest = text.split_once(words)?.1.trim_start();
    let rest = rest.strip_prefix('\'')?;
    Some(rest.split_once('\'')?.0).filter(|quoted| !quoted.is_empty())
}

/// What is said of a host that nobody answers for.
const UNREACHED: &str = "could not be reached: a proxy is given by `HTTPS_PROXY`, the certificates of one that opens \
                         https by `SSL_CERT_FILE`";

fn of_sign_in(tried: &[SignInAttempt]) -> Hint {
    if let Some(hint) = tried.iter().find_map(|attempt| by_number(&attempt.reason)) {
        return hint;
    }
    let by_network = |attempt: &SignInAttempt| {
        // A machine without an identity has nobody either who would answer.
        attempt.unreached && matches!(attempt.method, AuthMethod::Environment | AuthMethod::Workload)
    };
    if tried.iter().any(by_network) {
        return Hint { text: format!("the host that signs in {UNREACHED}"), link: NETWORK };
    }
    let text = match tried {
        [SignInAttempt { method: AuthMethod::Environment | AuthMethod::Workload, .. }] => {
            "set `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET` or \
             `AZURE_FEDERATED_TOKEN_FILE`"
        }
        [SignInAttempt { method: AuthMethod::Managed, .. }] => {
            "this machine has no managed identity that answers: give it one, or sign in with `az login`"
        }
        [SignInAttempt { method: AuthMethod::Azd, .. }] => "sign in first: `azd auth login`",
        _ => "sign in first: `az login` or `azd auth login` (in Azure Cloud Shell you are signed in already)",
    };
    Hint { text: text.to_owned(), link: SIGN_IN }
}

fn by_number(text: &str) -> Option<Hint> {
    // Numbers are told apart whole: 70008 is not 700082.
    let has = |code: &str| {
        text.match_indices(code)
            .any(|(at, _)| !text[at + code.len()..].starts_with(|next: char| next.is_ascii_digit()))
    };
    let row = SIGN_INS.iter().find(|row| has(row.code))?;
    Some(Hint { text: row.text.to_owned(), link: row.link })
}
