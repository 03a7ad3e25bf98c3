//! See `properties/payload.rs`.

#![no_main]

#[path = "../properties/payload.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
