//! Installs, upgrades and removes the Mimecast connector for Microsoft Sentinel.

fn main() {}
