//! See `properties/event_id.rs`.

#![no_main]

#[forbid(unsafe_code)]
#[path = "../properties/event_id.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
