//! Embedded templates are files that the compiler does not watch by itself.

fn main() {
    println!("cargo::rerun-if-changed=../templates");
    println!("cargo::rerun-if-env-changed=FAAS_COMMIT");
}
