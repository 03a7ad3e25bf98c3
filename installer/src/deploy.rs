//! Deploy: the worker package, made and published.

pub mod package;
pub mod publish;
