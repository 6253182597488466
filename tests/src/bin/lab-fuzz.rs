//! Bytes that libFuzzer makes, read by all that reads bytes from outside.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tracer::fuzz::read(bytes));
