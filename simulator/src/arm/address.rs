//! What a request's path names.

use super::error::ArmError;

/// A path taken apart:
/// `{scope}/providers/{provider}/{type}/{name}/…[/{tail}]`, or a group, a subscription or less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The path without a slash at its end.
    pub(crate) path: String,
    /// Subscription id, lower case.
    pub(crate) subscription: Option<String>,
    /// Resource group as given.
    pub(crate) group: Option<String>,
    /// What stands before the last `/providers/`; the whole path where there is none.
    pub(crate) scope: String,
    /// Namespace after the last `/providers/`.
    pub(crate) provider: Option<String>,
    /// Types and names after it.
    pub(crate) pairs: Vec<(String, String)>,
    /// A last segment without a name: a collection or an action.
    pub(crate) tail: Option<String>,
}

impl Address {
    /// Takes a path apart.
    ///
    /// # Errors
    /// When the path does not begin as ARM's paths do.
    pub(crate) fn parse(path: &str) -> Result<Self, ArmError> {
        let path = path.trim_end_matches('/').to_owned();
        if path.contains("//") {
            return Err(ArmError::bad("InvalidRequestUri", format!("The request URI '{path}' is invalid.")));
        }
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let is = |at: usize, word: &str| segments.get(at).is_some_and(|it| it.eq_ignore_ascii_case(word));
        let subscription = is(0, "subscriptions").then(|| segments.get(1)).flatten();
        let group = is(2, "resourceGroups").then(|| segments.get(3)).flatten();
        let at = (0..segments.len()).rev().find(|&at| is(at, "providers"));
        let scope = at.map_or_else(
            || path.clone(),
            |at| segments[..at].iter().map(|segment| format!("/{segment}")).collect(),
        );
        let provider = at.and_then(|at| segments.get(at + 1)).map(|&provider| provider.to_owned());
        let rest: &[&str] = at.and_then(|at| segments.get(at + 2..)).unwrap_or_default();
        let pairs = rest.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
        let tail = rest.chunks_exact(2).remainder().first().map(|&tail| tail.to_owned());
        Ok(Self {
            subscription: subscription.map(|each| each.to_ascii_lowercase()),
            group: group.map(|&group| group.to_owned()),
            scope,
            provider,
            pairs,
            tail,
            path,
        })
    }

    /// The type that the first `count` pairs name, with the namespace.
    pub(crate) fn type_of(&self, count: usize) -> String {
        let types: String = self.pairs.iter().take(count).map(|(kind, _)| format!("/{kind}")).collect();
        format!("{}{types}", self.provider.as_deref().unwrap_or_default())
    }

    /// The id that the first `count` pairs name.
    pub(crate) fn id_of(&self, count: usize) -> String {
        let pairs: String =
            self.pairs.iter().take(count).map(|(kind, name)| format!("/{kind}/{name}")).collect();
        format!("{}/providers/{}{pairs}", self.scope, self.provider.as_deref().unwrap_or_default())
    }

    /// The name of the last pair.
    pub(crate) fn name(&self) -> &str {
        self.pairs.last().map_or("", |(_, name)| name)
    }

    /// The segments after the first `count` pairs.
    pub(crate) fn after(&self, count: usize) -> Vec<&str> {
        let pairs = self.pairs.iter().skip(count).flat_map(|(kind, name)| [kind.as_str(), name.as_str()]);
        pairs.chain(self.tail.as_deref()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn a_path_is_taken_apart_at_its_last_provider() {
        let path = "/subscriptions/S1/resourceGroups/rg/providers/Microsoft.Web/sites/a/providers/\
                    Microsoft.Authorization/roleAssignments/b";
        let address = Address::parse(path).unwrap();
        assert_eq!(address.subscription.as_deref(), Some("s1"));
        assert_eq!(address.group.as_deref(), Some("rg"));
        assert_eq!(address.scope, "/subscriptions/S1/resourceGroups/rg/providers/Microsoft.Web/sites/a");
        assert_eq!(address.type_of(1), "Microsoft.Authorization/roleAssignments");
        assert_eq!((address.name(), address.tail.as_deref()), ("b", None));
        assert_eq!(address.id_of(1), path);
    }

    #[test]
    fn a_segment_without_a_name_is_the_tail() {
        let path = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/a/host/default/listKeys";
        let address = Address::parse(path).unwrap();
        assert_eq!(address.tail.as_deref(), Some("listKeys"));
        assert_eq!(address.after(1), ["host", "default", "listKeys"]);
        let group = Address::parse("/subscriptions/s/resourceGroups/rg/").unwrap();
        assert_eq!((group.provider, group.scope.as_str()), (None, "/subscriptions/s/resourceGroups/rg"));
    }
}
