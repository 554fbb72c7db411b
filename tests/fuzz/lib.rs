//! The targets under libFuzzer: their bodies stand in `picket_tests::fuzz`.

/// Runs the target of this name.
///
/// # Panics
/// There is no such target, or the bytes break its promise.
pub fn run(name: &str, bytes: &[u8]) {
    let target = picket_tests::fuzz::target_named(name).expect("every file here is named by a target");
    (target.body)(bytes);
}
