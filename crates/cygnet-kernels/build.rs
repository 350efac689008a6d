//! Tells kernels whether they are compiled without optimisation. Loops that are written out, which an optimiser cuts to
//! what each size needs, would then take gigabytes of memory and an hour to compile.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(rolled)");
    if std::env::var("OPT_LEVEL").is_ok_and(|level| level == "0") {
        println!("cargo::rustc-cfg=rolled");
    }
}
