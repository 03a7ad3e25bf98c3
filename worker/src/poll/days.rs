//! Whether everything was read. Pure.
