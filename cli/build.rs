//! Embedded templates are files that the compiler does not watch by itself.

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn main() {
    println!("cargo::rerun-if-changed=../templates");
    println!("cargo::rerun-if-env-changed=FAAS_COMMIT");
}
