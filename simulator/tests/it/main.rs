//! The simulator as its clients see it: over https, one file a service.

#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]
#![expect(clippy::print_stdout, reason = "a test that is left out says why")]

mod arm;
mod entra;
mod openapi;
mod parts;
mod roles;
mod site;
mod storage;
mod support;
mod vault;
mod workspace;
