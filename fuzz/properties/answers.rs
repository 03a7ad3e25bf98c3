//! Any answers file is read, or every fault in it is named; what was read is written and read again as the same.

use installer::answers::given::Origin;
use installer::answers::yaml;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match yaml::read(text, |_| Origin::Recorded) {
        Ok(given) => {
            let written = given.to_json();
            let again = yaml::read(&written.to_string(), |_| Origin::Recorded).expect("it can be read");
            assert_eq!(again.to_json(), written);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
        }
    }
}
