#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    cygnet_fuzzing::latency(bytes);
});
