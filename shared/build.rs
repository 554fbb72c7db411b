//! Stamps the crate with the time at which it was built (`SOURCE_DATE_EPOCH` where set, for builds that repeat).
//! An agent judges the end of an aggregator's certificate against it: see `tls::BUILD_TIME`.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let told = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.trim().parse::<u64>().ok());
    #[expect(clippy::disallowed_methods, reason = "this runs while the program is built, not in it")]
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=PICKET_BUILD_SECONDS={}", told.unwrap_or_else(clock));
}
