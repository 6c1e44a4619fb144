#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faas_gateway::fuzzing::paths(bytes));
