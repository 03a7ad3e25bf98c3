//! Any body of a refusal says something: a leaf, or a piece of itself.

use installer::azure::error::ErrorTree;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    let tree = ErrorTree::parse(data);
    assert!(tree.leaves.len() <= 50);
    let blank = String::from_utf8_lossy(data).trim_start_matches('\u{feff}').trim().is_empty();
    assert!(blank || !tree.leaves.is_empty() || tree.raw.is_some());
    // It can be shown as JSON.
    serde_json::to_string(&tree).expect("JSON");
}
