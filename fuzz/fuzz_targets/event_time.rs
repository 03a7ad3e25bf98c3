//! See `properties/event_time.rs`.

#![no_main]

#[forbid(unsafe_code)]
#[path = "../properties/event_time.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
