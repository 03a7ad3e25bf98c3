//! Collects Mimecast audit events and delivers them to Microsoft Sentinel.

pub mod world;

pub mod settings;

pub mod http;
pub mod retry;

pub mod poll;
pub mod transform;
