//! Collects Mimecast audit events and delivers them to Microsoft Sentinel.
