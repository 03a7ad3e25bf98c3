//! See `properties/answers.rs`.

#![no_main]

#[path = "../properties/answers.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
