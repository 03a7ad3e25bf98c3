//! Collects Mimecast audit events and delivers them to Microsoft Sentinel.

pub mod world;

pub mod settings;

pub mod accounts;

pub mod batch;
pub mod checkpoint;
pub mod command;
pub mod host;
pub mod ingest;
pub mod poll;
pub mod report;
pub mod sync;
pub mod transform;

pub mod dead_letter;
pub mod http;
pub mod identity;
pub mod retry;
