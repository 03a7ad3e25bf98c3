//! What the signed-in account may do at a scope.

use serde_json::Value;

use super::Azure;
use super::error::AzureError;
use super::id::ResourceId;

/// API version of `Microsoft.Authorization`.
const VERSION: &str = "2022-04-01";

impl Azure {
    /// Whether the signed-in account may do this at this scope, by the roles that it has there
    /// (<https://learn.microsoft.com/rest/api/authorization/permissions>). Conditions and deny assignments
    /// do not show there.
    ///
    /// # Errors
    /// [`AzureError`] when Azure does not say.
    pub async fn may(&self, scope: &ResourceId, action: &str) -> Result<bool, AzureError> {
        let path = format!("{}/providers/Microsoft.Authorization/permissions", scope.path());
        Ok(allows(&self.list(&path, VERSION).await?, action))
    }
}

/// Whether some entry of a `permissions` list has the action and does not take it away.
pub fn allows(permissions: &[Value], action: &str) -> bool {
    let any = |list: &Value| {
        list.as_array()
            .is_some_and(|list| list.iter().filter_map(Value::as_str).any(|pattern| matches(pattern, action)))
    };
    permissions.iter().any(|entry| any(&entry["actions"]) && !any(&entry["notActions"]))
}

/// Whether an action is of a pattern, in which `*` stands for any text; case does not count.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut pieces: Vec<&str> = pattern.split('*').collect();
    let Some(last) = pieces.pop() else { return false };
    let Some((first, middle)) = pieces.split_first() else { return action == last };
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    for piece in middle {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{allows, matches};

    #[test]
    fn a_star_stands_for_any_text_and_case_does_not_count() {
        for (pattern, action, expected) in [
            ("*", "Microsoft.Web/sites/write", true),
            ("*/read", "Microsoft.Web/sites/read", true),
            ("*/read", "Microsoft.Web/sites/write", false),
            ("Microsoft.Authorization/*/Write", "microsoft.authorization/roleAssignments/write", true),
            ("Microsoft.Web/sites", "Microsoft.Web/sites/read", false),
            ("Microsoft.Web/sites/read", "microsoft.web/sites/READ", true),
        ] {
            assert_eq!(matches(pattern, action), expected, "{pattern} {action}");
        }
    }

    #[test]
    fn what_one_role_lacks_another_may_give() {
        let contributor = json!({ "actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"] });
        let administrator = json!({ "actions": ["Microsoft.Authorization/*"], "notActions": [] });
        let action = "Microsoft.Authorization/roleAssignments/write";
        assert!(!allows(std::slice::from_ref(&contributor), action));
        assert!(allows(&[contributor, administrator], action));
        assert!(!allows(&[], action));
    }
}
