//! Resources by id.

use serde_json::Value;

/// One resource.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    /// Id as first written.
    pub(crate) id: String,
    /// Type, such as `Microsoft.Web/sites`.
    pub(crate) resource_type: String,
    /// What a read gives.
    pub(crate) body: Value,
    /// What was written and no read gives.
    pub(crate) hidden: Value,
    /// How many reads still answer 404.
    pub(crate) unseen_reads: u32,
    /// How many reads still show it in the making.
    pub(crate) unfinished_reads: u32,
}

impl Resource {
    /// The value at a path such as `/properties/vaultUri`.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The form in which ids are compared: Azure's ids know no case
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>).
pub(crate) fn key(id: &str) -> String {
    id.trim_end_matches('/').to_ascii_lowercase()
}

/// Whether `id` is `scope` or below it; both without regard to case.
pub(crate) fn within(scope: &str, id: &str) -> bool {
    let (scope, id) = (key(scope), key(id));
    id.strip_prefix(&scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_scope_holds_itself_and_what_is_below_but_no_similar_name() {
        let group = "/subscriptions/s/resourceGroups/rg-one";
        assert!(within(group, "/Subscriptions/S/resourcegroups/RG-ONE"));
        assert!(within(group, "/subscriptions/s/resourceGroups/rg-one/providers/a/b/c"));
        assert!(!within(group, "/subscriptions/s/resourceGroups/rg-one-two"));
        assert!(within("/", group));
    }
}
