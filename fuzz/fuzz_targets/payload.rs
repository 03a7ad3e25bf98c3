//! See `properties/payload.rs`.

#![no_main]

#[forbid(unsafe_code)]
#[path = "../properties/payload.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
