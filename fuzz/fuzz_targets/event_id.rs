//! See `properties/event_id.rs`.

#![no_main]

#[path = "../properties/event_id.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
