#![no_main]
//! libFuzzer on the target of this name.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| picket_fuzz::run("match_event", bytes));
