//! What must hold of the repository as a whole: the invariants of `docs/ARCHITECTURE.md` that are
//! about what is absent, and the rules that no lint knows.

#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

mod codes;
mod dependencies;
mod doors;
mod manners;
mod map;
mod purity;
mod seeds;
mod sources;
