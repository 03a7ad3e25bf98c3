//! The simulator as its clients see it: over https, one file a service.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

mod arm;
mod deployment;
mod entra;
mod openapi;
mod parts;
mod roles;
mod site;
mod storage;
mod support;
mod vault;
mod workspace;
