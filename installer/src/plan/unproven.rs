//! What an upgrade notes in the app before it changes anything, and takes away when its trial is over: so that an
//! upgrade that was interrupted on the way is still tried, and can still be put back, by whoever comes next.

use std::collections::{BTreeMap, BTreeSet};

use contract::settings::MIMECAST_SENTINEL_TRIAL;
use serde::{Deserialize, Serialize};

use super::step::PackageBefore;

/// What ran before something that has not been seen to work so far. It stands in an app setting, written as the
/// settings themselves are: those hold references to secrets, never secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unproven {
    /// The package that was there before; absent where it was not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageBefore>,
    /// SHA-256 of the package that a rollback goes back to, where what is on trial is a rollback: asked for once
    /// more, it goes on to the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<String>,
    /// Settings that were changed, with their values before; null where there was none.
    #[serde(default)]
    pub settings: BTreeMap<String, Option<String>>,
    /// The accounts that worked before, where there are several and it was looked: a change is not to blame for
    /// the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<BTreeSet<String>>,
}

impl Unproven {
    /// What is noted in these settings of the app; `None` where no trial is open.
    pub fn of(settings: &BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(settings.get(MIMECAST_SENTINEL_TRIAL)?).ok()
    }

    /// As the app setting has it.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use contract::settings::MIMECAST_SENTINEL_TRIAL;

    use super::Unproven;
    use crate::plan::PackageBefore;

    #[test]
    fn what_is_noted_is_read_back_and_anything_else_is_no_note() {
        let noted = Unproven {
            package: Some(PackageBefore {
                sha256: "ab".to_owned(),
                previous: None,
                container_url: "https://st.blob.core.windows.net/packages".to_owned(),
            }),
            rollback_to: Some("cd".to_owned()),
            settings: BTreeMap::from([
                ("CHANGED".to_owned(), Some("old".to_owned())),
                ("MADE".to_owned(), None),
            ]),
            accounts: Some(["a".to_owned()].into()),
        };
        let of = |text: &str| Unproven::of(&[(MIMECAST_SENTINEL_TRIAL.to_owned(), text.to_owned())].into());
        assert_eq!(of(&noted.text()), Some(noted));
        assert_eq!(of("edited by hand"), None);
        assert_eq!(Unproven::of(&BTreeMap::new()), None);
    }
}
