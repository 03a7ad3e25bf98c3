//! See `properties/body.rs`.

#![no_main]

#[forbid(unsafe_code)]
#[path = "../properties/body.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
