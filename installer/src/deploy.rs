//! Deploy: the worker package, made and published.

pub mod kept;
pub mod package;
pub mod publish;
