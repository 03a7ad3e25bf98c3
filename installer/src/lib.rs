//! Installs, upgrades and removes the Mimecast connector for Microsoft Sentinel.

pub mod azure;
pub mod content;
