#![no_main]
#![allow(dead_code, unused_imports, reason = "what the tests share has more than is needed here")]

#[path = "../../tests/it/fixture"]
mod fixture {
    mod canonical;

    pub(crate) use canonical::{Request, find};
}

#[path = "../../tests/it"]
mod it {
    pub(crate) mod fuzzing;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| it::fuzzing::framing(bytes));
