//! See `properties/row.rs`.

#![no_main]

#[forbid(unsafe_code)]
#[path = "../properties/row.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
