//! A resource's id: parsed once, compared without case, spoken of in words.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of anything that Azure Resource Manager addresses: a subscription, a resource group, a
/// resource, a child of one, or an extension of one.
///
/// Azure answers ids with changed case, so equality, order and hash ignore it. `Display` is the
/// phrase for people (`storage account `stx` in `rg-y``); [`ResourceId::path`] is Azure's form.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId {
    path: String,
    folded: String,
}

/// Why a text is not the id of a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a resource id: {reason}")]
pub struct IdError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl ResourceId {
    /// Reads `/subscriptions/…`, with or without resource group, providers, children, extensions.
    ///
    /// # Errors
    /// [`IdError`] when the text does not begin with a subscription, has an empty or unsafe
    /// segment, or ends within a `type/name` pair.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let refuse = |reason| Err(IdError { text: text.to_owned(), reason });
        let path = text.trim().trim_end_matches('/');
        let Some(rest) = path.strip_prefix('/') else {
            return refuse("it must begin with /subscriptions/");
        };
        let segments: Vec<&str> = rest.split('/').collect();
        if !segments.first().is_some_and(|first| first.eq_ignore_ascii_case("subscriptions")) {
            return refuse("it must begin with /subscriptions/");
        }
        if segments.len() < 2 {
            return refuse("the subscription is missing");
        }
        // A segment becomes part of a URL's path: nothing in it may change where that path leads.
        let unsafe_segment = |segment: &&str| {
            matches!(*segment, "" | "." | "..")
                || segment.contains(|each: char| each.is_control() || matches!(each, '?' | '#' | '\\' | '%'))
        };
        if segments.iter().any(unsafe_segment) {
            return refuse("a segment is empty or has a character that no name has");
        }
        let mut at = 0;
        while at < segments.len() {
            if segments[at].eq_ignore_ascii_case("providers") {
                if at + 1 == segments.len() {
                    return refuse("the provider's name is missing");
                }
                if at + 2 == segments.len() {
                    // `…/providers/Microsoft.Web` is the registration of a provider.
                    break;
                }
            } else if at + 1 == segments.len() {
                return refuse("it ends with a type that has no name");
            }
            at += 2;
        }
        Ok(Self { path: path.to_owned(), folded: path.to_ascii_lowercase() })
    }

    /// The id of a subscription.
    ///
    /// # Errors
    /// [`IdError`] when the text cannot be a segment of an id.
    pub fn subscription(subscription_id: &str) -> Result<Self, IdError> {
        Self::parse(&format!("/subscriptions/{subscription_id}"))
    }

    /// The id of a resource group.
    ///
    /// # Errors
    /// [`IdError`] when a text cannot be a segment of an id.
    pub fn resource_group(subscription_id: &str, name: &str) -> Result<Self, IdError> {
        Self::parse(&format!("/subscriptions/{subscription_id}/resourceGroups/{name}"))
    }

    /// The id of a resource in this group, or of an extension of this resource: `kind` is the full
    /// type, such as `Microsoft.Storage/storageAccounts`.
    ///
    /// # Errors
    /// [`IdError`] when a text cannot be a segment of an id.
    pub fn resource(&self, kind: &str, name: &str) -> Result<Self, IdError> {
        Self::parse(&format!("{}/providers/{kind}/{name}", self.path))
    }

    /// The id of a child: `kind` is the last word of its type, such as `containers`.
    ///
    /// # Errors
    /// [`IdError`] when a text cannot be a segment of an id.
    pub fn child(&self, kind: &str, name: &str) -> Result<Self, IdError> {
        Self::parse(&format!("{}/{kind}/{name}", self.path))
    }

    /// Azure's form: `/subscriptions/…`, with the case that was given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The subscription's id.
    pub fn subscription_id(&self) -> &str {
        self.segments().nth(1).unwrap_or_default()
    }

    /// The resource group's name, where the id has one.
    pub fn group(&self) -> Option<&str> {
        let mut segments = self.segments().skip(2);
        segments.next().filter(|word| word.eq_ignore_ascii_case("resourceGroups"))?;
        segments.next()
    }

    /// The last segment: the resource's name.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The full type of the last resource in the id, such as `Microsoft.Web/sites/config`;
    /// `subscriptions` and `resourceGroups` for those two.
    pub fn kind(&self) -> String {
        let segments: Vec<&str> = self.segments().collect();
        let Some(at) = segments.iter().rposition(|word| word.eq_ignore_ascii_case("providers")) else {
            return segments.get(segments.len().saturating_sub(2)).copied().unwrap_or_default().to_owned();
        };
        let types = segments.iter().skip(at + 2).step_by(2);
        let namespace = segments.get(at + 1).copied().unwrap_or_default();
        types.fold(namespace.to_owned(), |kind, word| kind + "/" + word)
    }

    /// Whether the full type is this one, whatever its case.
    pub fn is(&self, kind: &str) -> bool {
        self.kind().eq_ignore_ascii_case(kind)
    }

    /// What this belongs to: a child's parent, an extension's target, a resource's group, a
    /// group's subscription; `None` for a subscription.
    pub fn parent(&self) -> Option<Self> {
        let segments: Vec<&str> = self.segments().collect();
        let kept = segments.len().checked_sub(2)?;
        // `…/providers/Namespace` is no resource: the provider's first type belongs to what is before it.
        let kept = match segments.get(kept.checked_sub(2)?) {
            Some(word) if word.eq_ignore_ascii_case("providers") => kept - 2,
            _ => kept,
        };
        (kept >= 2).then(|| {
            let path = format!("/{}", segments[..kept].join("/"));
            Self { folded: path.to_ascii_lowercase(), path }
        })
    }

    /// Whether this is `other` or lies under it.
    pub fn within(&self, other: &Self) -> bool {
        self.folded == other.folded
            || self.folded.strip_prefix(&other.folded).is_some_and(|rest| rest.starts_with('/'))
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        // A provider of a subscription, which is called as a resource is.
        if !kind.contains('/') && kind.contains('.') {
            return write!(formatter, "resource provider `{kind}`");
        }
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&kind));
        match known {
            Some((_, words)) => write!(formatter, "{words} `{}`", self.name())?,
            None => write!(formatter, "`{kind}` `{}`", self.name())?,
        }
        let parent = self.parent();
        match parent {
            // The subscription and the group say enough by themselves.
            _ if kind.eq_ignore_ascii_case("resourceGroups")
                || kind.eq_ignore_ascii_case("subscriptions") =>
            {
                Ok(())
            }
            Some(parent) if parent.kind().eq_ignore_ascii_case("resourceGroups") => {
                write!(formatter, " in `{}`", parent.name())
            }
            Some(parent) => write!(formatter, " of {parent}"),
            None => Ok(()),
        }
    }
}

/// The words for each resource type that an installation touches: Azure's marketed names.
const NAMES: &[(&str, &str)] = &[
    ("subscriptions", "subscription"),
    ("resourceGroups", "resource group"),
    ("Microsoft.Authorization/roleAssignments", "role assignment"),
    ("Microsoft.Insights/components", "Application Insights"),
    ("Microsoft.Insights/dataCollectionRules", "data collection rule"),
    ("Microsoft.Insights/diagnosticSettings", "diagnostic setting"),
    ("Microsoft.Insights/workbooks", "workbook"),
    ("Microsoft.KeyVault/vaults", "key vault"),
    ("Microsoft.KeyVault/vaults/secrets", "secret"),
    ("Microsoft.ManagedIdentity/userAssignedIdentities", "managed identity"),
    ("Microsoft.OperationalInsights/workspaces", "Log Analytics workspace"),
    ("Microsoft.OperationalInsights/workspaces/savedSearches", "saved function"),
    ("Microsoft.OperationalInsights/workspaces/tables", "table"),
    ("Microsoft.SecurityInsights/alertRules", "analytics rule"),
    ("Microsoft.SecurityInsights/dataConnectorDefinitions", "connector page"),
    ("Microsoft.Storage/storageAccounts", "storage account"),
    ("Microsoft.Storage/storageAccounts/blobServices", "blob service"),
    ("Microsoft.Storage/storageAccounts/blobServices/containers", "container"),
    ("Microsoft.Storage/storageAccounts/queueServices", "queue service"),
    ("Microsoft.Storage/storageAccounts/queueServices/queues", "queue"),
    ("Microsoft.Web/serverfarms", "App Service plan"),
    ("Microsoft.Web/sites", "Function App"),
    ("Microsoft.Web/sites/basicPublishingCredentialsPolicies", "policy on publishing by password"),
    ("Microsoft.Web/sites/config", "configuration"),
];

impl fmt::Debug for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ResourceId").field(&self.path).finish()
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for ResourceId {}

impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded.cmp(&other.folded)
    }
}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl FromStr for ResourceId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ResourceId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        id.path
    }
}

#[cfg(test)]
mod tests {
    use super::ResourceId;

    const SUBSCRIPTION: &str = "/subscriptions/00000000-0000-0000-0000-000000000001";

    fn id(rest: &str) -> ResourceId {
        ResourceId::parse(&format!("{SUBSCRIPTION}{rest}")).unwrap()
    }

    #[test]
    fn people_read_a_phrase() {
        for (rest, phrase) in [
            ("", "subscription `00000000-0000-0000-0000-000000000001`"),
            ("/providers/Microsoft.Web", "resource provider `Microsoft.Web`"),
            ("/resourceGroups/rg-y", "resource group `rg-y`"),
            (
                "/resourceGroups/rg-y/providers/Microsoft.Storage/storageAccounts/stx",
                "storage account `stx` in `rg-y`",
            ),
            (
                "/resourceGroups/rg-y/providers/microsoft.storage/storageaccounts/stx/blobServices/default/containers/packages",
                "container `packages` of blob service `default` of storage account `stx` in `rg-y`",
            ),
            (
                "/resourceGroups/rg-y/providers/Microsoft.Insights/dataCollectionRules/dcr-a/providers/Microsoft.Authorization/roleAssignments/11111111-1111-1111-1111-111111111111",
                "role assignment `11111111-1111-1111-1111-111111111111` of data collection rule `dcr-a` in `rg-y`",
            ),
            (
                "/resourceGroups/rg-y/providers/Microsoft.Example/widgets/w",
                "`Microsoft.Example/widgets` `w` in `rg-y`",
            ),
        ] {
            assert_eq!(id(rest).to_string(), phrase);
        }
    }

    #[test]
    fn azures_changes_of_case_make_no_other_resource() {
        let ours = id("/resourceGroups/rg-y/providers/Microsoft.Storage/storageAccounts/stx");
        let theirs = id("/resourcegroups/RG-Y/providers/microsoft.storage/storageaccounts/STX");
        assert_eq!(ours, theirs);
        assert_ne!(ours.path(), theirs.path(), "the path keeps the case that was given");
        assert!(theirs.is("Microsoft.Storage/storageAccounts"));
        let mut set = std::collections::HashSet::from([ours]);
        assert!(!set.insert(theirs));
    }

    #[test]
    fn parts_and_parents_are_read_from_the_path() {
        let rule = id("/resourceGroups/rg-y/providers/Microsoft.Insights/dataCollectionRules/dcr-a");
        let assignment = rule.resource("Microsoft.Authorization/roleAssignments", "one").unwrap();
        assert_eq!(assignment.kind(), "Microsoft.Authorization/roleAssignments");
        assert_eq!(assignment.group(), Some("rg-y"));
        assert_eq!(assignment.subscription_id(), "00000000-0000-0000-0000-000000000001");
        assert_eq!(assignment.parent(), Some(rule.clone()));
        let group = rule.parent().unwrap();
        assert_eq!(group, id("/resourceGroups/rg-y"));
        assert_eq!(group.parent(), Some(id("")));
        assert_eq!(id("").parent(), None);
        assert!(assignment.within(&group) && !group.within(&assignment));
        assert!(!id("/resourceGroups/rg-yy").within(&group), "a longer name is another group");
        assert_eq!(
            id("/resourceGroups/rg-y/providers/Microsoft.Web/sites/s")
                .child("config", "appsettings")
                .unwrap()
                .kind(),
            "Microsoft.Web/sites/config"
        );
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "/",
            "subscriptions/one",
            "/subscriptions",
            "/subscriptions/",
            "/providers/Microsoft.Web",
            "/subscriptions/one/resourceGroups",
            "/subscriptions/one/resourceGroups//providers/Microsoft.Web/sites/s",
            "/subscriptions/one/resourceGroups/rg/providers",
            "/subscriptions/one/resourceGroups/rg/providers/Microsoft.Web/sites",
            "/subscriptions/one/resourceGroups/../providers/Microsoft.Web/sites/s",
            "/subscriptions/one/resourceGroups/a?b",
            "/subscriptions/one/resourceGroups/a%2Fb",
        ] {
            assert!(ResourceId::parse(text).is_err(), "{text}");
        }
        assert!(ResourceId::parse("/subscriptions/one/providers/Microsoft.Web").is_ok(), "a registration");
    }

    #[test]
    fn it_travels_as_its_path() {
        let text = format!("\"{SUBSCRIPTION}/resourceGroups/rg-y\"");
        let read: ResourceId = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(serde_json::from_str::<ResourceId>("\"/elsewhere\"").is_err());
    }
}
