//! What parameters cannot be: said by the template itself, before anything is made.
//!
//! The template language has no patterns and no way to refuse, so the name of everything is made of a
//! text that names every fault, as the missing member of an empty object: Azure ends the validation of the
//! deployment with it. Without this a deployment would make what the installer's commands then refuse to
//! read.

use super::symbol::quoted;

/// Longest reach of the first run in seconds: Mimecast keeps 60 days open to its API.
const FIRST_RUN_LIMIT_SECS: u64 = 60 * 24 * 3600;
/// Longest that events are waited for or looked back at, in seconds, as the worker has it.
const DAY_SECS: u64 = 24 * 3600;
/// Fewest days of the two retentions, as Azure has it.
const FEWEST_DAYS: u32 = 4;
/// How the names of API 1.0's hosts end.
const HOST_OF_API_ONE: &str = "-api.mimecast.com";

/// Name of the variable that lists every fault.
pub(super) const FAULTS: &str = "faults";
/// Name of the variable with the seconds of each unit of a duration.
pub(super) const UNITS: &str = "unitSeconds";

/// Seconds of each unit of a duration.
pub(super) const UNIT_SECS: [(&str, u32); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// The expression that is `otherwise` where there is no fault, and ends the deployment where there is.
pub(super) fn without_faults(otherwise: &str) -> String {
    format!("if(empty(variables('{FAULTS}')), {otherwise}, createObject()[variables('{FAULTS}')])")
}

/// The expression that lists every fault; empty where there is none.
pub(super) fn faults() -> String {
    let list: Vec<String> = all()
        .into_iter()
        .map(|(when, what)| format!("if({when}, {}, '')", quoted(&format!("{what}. "))))
        .collect();
    format!("concat({})", list.join(", "))
}

/// Every fault: the expression under which it is one, and the words for it.
fn all() -> Vec<(String, String)> {
    let name = "toLower(parameters('appName'))";
    let address = "variables('mimecastAddress')";
    let mut list = vec![
        (
            format!(
                "or(not(contains('abcdefghijklmnopqrstuvwxyz', take({name}, 1))), contains({name}, '--'), endsWith({name}, '-'))"
            ),
            "appName takes 2 to 32 letters, digits and single hyphens, a letter first and no hyphen last".to_owned(),
        ),
        (
            format!("not(or(startsWith({address}, 'https://'), variables('mimecastBaseURLRefers')))"),
            "mimecastBaseURL takes an https address under mimecast.com, or a Key Vault reference to one".to_owned(),
        ),
        (
            format!(
                "and(startsWith({address}, 'https://'), greater(length(split({address}, '/')), 3))"
            ),
            "mimecastBaseURL takes a host alone, such as https://api.services.mimecast.com".to_owned(),
        ),
        (
            format!("and(variables('apiTwo'), endsWith({address}, '{HOST_OF_API_ONE}'))"),
            "mimecastBaseURL names a host of API 1.0; API 2.0 is at https://api.services.mimecast.com, or at uk-api or us-api there"
                .to_owned(),
        ),
        (
            "and(not(variables('apiTwo')), not(parameters('keepMimecastLogin')), not(equals(empty(parameters('mimecastEmail')), empty(parameters('mimecastPassword')))))"
                .to_owned(),
            "mimecastEmail and mimecastPassword are needed together, or neither".to_owned(),
        ),
        (
            format!("or(less({secs}, 1), greater({secs}, {FIRST_RUN_LIMIT_SECS}))", secs = secs("firstRun")),
            "firstRun takes 1s to 60d, which is what Mimecast keeps".to_owned(),
        ),
        (
            "and(greater(parameters('retentionDays'), 0), greater(parameters('totalRetentionDays'), 0), less(parameters('totalRetentionDays'), parameters('retentionDays')))"
                .to_owned(),
            "totalRetentionDays is less than retentionDays".to_owned(),
        ),
    ];
    for name in ["settle", "overlap"] {
        let when = format!("greater({}, {DAY_SECS})", secs(name));
        list.push((when, format!("{name} takes a day at most, such as 90s or 15m")));
    }
    for name in ["retentionDays", "totalRetentionDays"] {
        list.push((
            format!("and(greater(parameters('{name}'), 0), less(parameters('{name}'), {FEWEST_DAYS}))"),
            format!("{name} takes {FEWEST_DAYS} days at least, or 0 for what the workspace has"),
        ));
    }
    list
}

/// The seconds of a duration. Where the text is none, Azure says that it has no such number or unit.
fn secs(name: &str) -> String {
    let text = format!("parameters('{name}')");
    format!("mul(int(take({text}, sub(length({text}), 1))), variables('{UNITS}')[last({text})])")
}
