//! See `properties/arm_error.rs`.

#![no_main]

#[forbid(unsafe_code)]
#[path = "../properties/arm_error.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
