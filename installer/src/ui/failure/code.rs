//! The code of each failure: a short word that stays, for scripts and for `docs/reference/errors.md`.

use std::error::Error;

use crate::answers::import::ImportError;
use crate::answers::secret::SecretError;
use crate::azure::{AzureError, IdError};
use crate::content::ContentError;
use crate::content::asim::RegisterError;
use crate::deploy::kept::KeptError;
use crate::deploy::package::PackageError;
use crate::inventory::observe::InventoryError;
use crate::mimecast::MimecastError;
use crate::plan::template::TemplateError;
use crate::portal::PortalError;
use crate::portal::export::ExportError;
use crate::provision::{ProvisionError, PutBackError, RotateError};
use crate::ui::question::Unanswered;
use crate::verify::trial::TrialError;

macro_rules! codes {
    ($($code:ident = $word:literal, $meaning:literal, $remedy:literal;)+) => {
        /// What failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $code,)+
        }

        impl Code {
            /// Every code, in the order of the reference page.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The word that is shown.
            pub fn word(self) -> &'static str {
                match self { $(Self::$code => $word),+ }
            }

            /// What happened.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning),+ }
            }

            /// What to do.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$code => $remedy),+ }
            }
        }
    };
}

codes! {
    Answers = "answers", "The answers are incomplete or wrong.", "Each line names the key, where it was given, and what is accepted. `answers check` looks without signing in.";
    Secret = "secret", "A secret could not be read from where the answers say, or is none.", "The line names the key and the place. A secret is given by an environment variable, a file, a vault or at a prompt.";
    Import = "import", "The parameters file of the old connector cannot be read.", "Give the ARM parameters file with which it was deployed: JSON with `parameters`.";
    File = "file", "A file or a standard stream cannot be read or written.", "See that it is there, that you may, and that there is room.";
    Package = "package", "The worker package cannot be used.", "Give the worker's program for Linux x86-64, or the `.zip` that `cargo xtask dist` makes.";
    NoInstallation = "no-installation", "There is no such installation, or it lacks its Function App.", "Compare subscription, group and name; `install` makes or completes it.";
    NotNamed = "not-named", "Nothing says which installation is meant.", "Give `--answers FILE`, or `--subscription`, `--resource-group` and `--name`.";
    NotRecorded = "not-recorded", "The installation does not carry its answers, or they cannot be read.", "`install --answers FILE` records them.";
    NoQueue = "no-queue", "The installation has no work queue, which this needs.", "Set `collect.work_queue: always` in the answers and `install`.";
    Range = "range", "The range of time is none.", "Give `--from` and `--to` as 2026-11-01T00:00:00Z, the first before the second.";
    Checks = "checks", "A check failed before anything was changed.", "Each line names the check, the cause and the next step; `doctor` shows them all.";
    Refused = "refused", "The plan has something that forbids carrying it out.", "Each line says what, and what to do about it.";
    Moved = "moved", "What the saved plan saw has changed since.", "Make a new plan, look at it, and install that.";
    NotConfirmed = "not-confirmed", "Nobody agreed to the plan.", "Answer with yes, or give `--yes` where nobody can be asked.";
    Stopped = "stopped", "The command was stopped by Ctrl-C or a signal.", "The same command goes on; `status` shows how things stand.";
    NoPackage = "no-package", "No worker package was published yet, so there is none to go back to.", "`upgrade` publishes one.";
    OneAccount = "one-account", "A deployment template is for one Mimecast account, and the installation has several.", "Keep its answers file instead: `install --save-answers FILE` writes it.";
    PutBack = "put-back", "The new package or the new secret was not good, and the one before was put back.", "The message says why. Nothing was lost; mend the cause and run the command again.";
    Unproven = "unproven", "A new secret is in use, and no run could be looked at that proves it. The old version stays enabled.", "Get the role Log Analytics Reader on the workspace, and run the same command with the same value again.";
    Trial = "trial", "The trial of a package or a secret could not be carried out.", "The causes below it say why. Run the same command again; `status` shows what runs.";
    NoSuchSecret = "no-such-secret", "The installation has no such secret or account, or several of that name.", "Give one of the names that the lines list.";
    ForeignSecret = "foreign-secret", "The secret is in a vault that is not ours, which is never written.", "Its owner writes the new version there; the app reads it within a day or at its next restart.";
    Mimecast = "mimecast", "Mimecast refused the credentials or could not be asked.", "The message says what to do; `doctor` names the check.";
    NoWorkspace = "no-workspace", "The workspace is not there, or the account may not read it.", "Correct `workspace.resource_id`, or ask for Reader on it.";
    NotGiven = "not-given", "A step needs a secret, a package or a role that was not given.", "Give a secret where the answers say, a package by `--package FILE`, a role by the command of the message, and run the same command again.";
    Order = "order", "The steps of a plan wait for each other, or for something that nobody makes.", "This is a fault of the installer. Please report it.";
    SignIn = "sign-in", "No way of signing in to Azure gave a token, or one for another tenant.", "`az login` or `azd auth login`; `--auth` takes one way alone.";
    Unreachable = "unreachable", "Azure could not be reached, or the connection broke.", "Run the same command again. A proxy is given by `HTTPS_PROXY`, its certificates by `SSL_CERT_FILE`.";
    Certificates = "certificates", "The file of certificates cannot be used.", "`SSL_CERT_FILE` must name a file of certificates in PEM form.";
    ForeignHost = "foreign-host", "An answer or a setting leads to a host that is not of this cloud. No token was sent there.", "Compare `azure.cloud`. Where it is right, somebody may be tampering with the answers: look at the network and report it.";
    AzureRefused = "azure-refused", "Azure refused a call.", "Azure's own code stands in the message: see the table below.";
    AzureAnswer = "azure-answer", "An answer of Azure cannot be used: too long, cut, or of another form than documented.", "Run the same command again; where it stays, report it with the request id.";
    StillRunning = "still-running", "Azure was still at it when we stopped looking.", "Run the same command again: it goes on where this one stopped looking.";
    Content = "content", "A rule, a query or a parser of the content cannot be used.", "This is a fault of the installer, or of a template that was edited. Please report it.";
    Template = "template", "A resource's template, or the portal's form, cannot be made.", "This is a fault of the installer, or of a template that was edited. Please report it.";
    Internal = "internal", "Our own expectation broke.", "This is a fault of the installer. Please report it with the lines above the code.";
}

impl Code {
    /// The code of a failed stage: that of the innermost error which has one.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut code = Self::Internal;
        let mut here = Some(error);
        while let Some(each) = here {
            code = of_type(each).unwrap_or(code);
            here = each.source();
        }
        code
    }
}

/// What Azure says, wherever in the chain it stands.
pub(super) fn azure_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a AzureError> {
    let mut here: Option<&'a (dyn Error + 'static)> = Some(error);
    while let Some(each) = here {
        if let Some(azure) = each.downcast_ref() {
            return Some(azure);
        }
        here = each.source();
    }
    None
}

/// The code of an error of this type. One that only says which step failed has none of its own.
fn of_type(error: &(dyn Error + 'static)) -> Option<Code> {
    if let Some(azure) = error.downcast_ref() {
        return Some(of_azure(azure));
    }
    if let Some(provision) = error.downcast_ref::<ProvisionError>() {
        return match provision {
            ProvisionError::Stopped => Some(Code::Stopped),
            ProvisionError::Circle(_) => Some(Code::Order),
            ProvisionError::Material { .. } | ProvisionError::NotGiven { .. } => Some(Code::NotGiven),
            ProvisionError::Missing { .. } | ProvisionError::Column { .. } => Some(Code::AzureAnswer),
            _ => None,
        };
    }
    if let Some(inventory) = error.downcast_ref::<InventoryError>() {
        return match inventory {
            InventoryError::NoWorkspace(_) => Some(Code::NoWorkspace),
            InventoryError::Anonymous(_) => Some(Code::SignIn),
            InventoryError::Template(_) => Some(Code::Template),
            InventoryError::Read(_) => None,
        };
    }
    let codes = [
        (error.is::<std::io::Error>(), Code::File),
        (error.is::<serde_json::Error>(), Code::File),
        (error.is::<Unanswered>(), Code::File),
        (error.is::<SecretError>(), Code::Secret),
        (error.is::<ImportError>(), Code::Import),
        (error.is::<PackageError>(), Code::Package),
        (error.is::<KeptError>(), Code::Package),
        (error.is::<MimecastError>(), Code::Mimecast),
        (error.is::<RotateError>(), Code::NotGiven),
        (error.is::<PutBackError>(), Code::Trial),
        (error.is::<TrialError>(), Code::Trial),
        (error.is::<ContentError>(), Code::Content),
        (error.is::<RegisterError>(), Code::Content),
        (error.is::<TemplateError>(), Code::Template),
        (error.is::<PortalError>(), Code::Template),
        (error.is::<ExportError>(), Code::OneAccount),
        (error.is::<IdError>(), Code::AzureAnswer),
    ];
    codes.iter().find(|(is, _)| *is).map(|(_, code)| *code)
}

fn of_azure(error: &AzureError) -> Code {
    match error.cause() {
        AzureError::SignIn { .. } | AzureError::WrongTenant { .. } | AzureError::Token { .. } => Code::SignIn,
        AzureError::Certificates { .. } => Code::Certificates,
        AzureError::ForeignHost { .. } => Code::ForeignHost,
        AzureError::Send { .. } | AzureError::Storage { .. } => Code::Unreachable,
        AzureError::Refused(_) | AzureError::OperationFailed { .. } => Code::AzureRefused,
        AzureError::StillRunning { .. } => Code::StillRunning,
        AzureError::TooLong { .. }
        | AzureError::Answer { .. }
        | AzureError::Incomplete { .. }
        | AzureError::Id(_)
        | AzureError::Library { .. } => Code::AzureAnswer,
        AzureError::Client(_) | AzureError::Model { .. } | AzureError::GaveUp { .. } => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{AzureError, Code, KeptError, azure_error};
    use crate::provision::ProvisionError;

    #[test]
    fn words_are_unique_and_explained() {
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.meaning().ends_with('.') && code.remedy().ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn the_innermost_error_gives_the_code_through_those_that_pass_it_on() {
        let host = || AzureError::ForeignHost { what: "reading".to_owned(), host: "example.com".to_owned() };
        let kept = ProvisionError::Kept { title: "x".to_owned(), source: KeptError::Azure(host()) };
        assert_eq!(Code::of(&kept), Code::ForeignHost);
        assert!(azure_error(&kept).is_some(), "its hint is found as well");
        let gone =
            ProvisionError::Kept { title: "x".to_owned(), source: KeptError::Missing("x.zip".to_owned()) };
        assert_eq!(Code::of(&gone), Code::Package);
        let gave_up = AzureError::GaveUp { attempts: 3, cause: Box::new(host()) };
        assert_eq!(Code::of(&gave_up), Code::ForeignHost);
        assert_eq!(Code::of(&ProvisionError::Stopped), Code::Stopped);
    }
}
