//! The newest glibc that a program asks for: `objdump -T` of binutils lists its dynamic symbols with their versions.

use std::path::Path;
use std::process::Command;

use super::run;
use crate::Result;

/// RHEL 9, Debian 12, Ubuntu 22.04 and later have at least this one.
pub const GLIBC_MAX: (u32, u32) = (2, 34);

/// The highest `GLIBC_x.y` that a program asks for; none where it is static.
///
/// # Errors
/// No `objdump`, or it cannot read the program.
pub fn highest_glibc(program: &Path) -> Result<Option<(u32, u32)>> {
    Ok(highest(&run(Command::new("objdump").arg("-T").arg(program))?).map(|(version, _)| version))
}

/// The highest version in a listing, and the symbols that ask for it.
fn highest(listing: &str) -> Option<((u32, u32), Vec<&str>)> {
    let versions = listing.lines().filter_map(|line| {
        let (_, rest) = line.split_once("GLIBC_")?;
        let version = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let (major, minor) = version.split_once('.')?;
        let minor = minor.split('.').next()?;
        Some(((major.parse().ok()?, minor.parse().ok()?), line.split_whitespace().next_back()?))
    });
    let mut found: Vec<((u32, u32), &str)> = versions.collect();
    found.sort_unstable();
    let (version, _) = *found.last()?;
    Some((version, found.iter().filter(|(of, _)| *of == version).map(|(_, symbol)| *symbol).collect()))
}

/// The symbols that ask for the highest version, for a message.
///
/// # Errors
/// As [`highest_glibc`].
pub fn newest_symbols(program: &Path) -> Result<String> {
    let listing = run(Command::new("objdump").arg("-T").arg(program))?;
    Ok(highest(&listing).map(|(_, symbols)| symbols.join(", ")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let listing = "\
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.4)  __stack_chk_fail
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.34) dlsym
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.2.5) free
0000000000000000  w   DF *UND*\t0000000000000000  Base        __cxa
0000000000000000      DF *UND*\t0000000000000000 (GCC_3.0)    _Unwind_Resume
";
        assert_eq!(highest(listing), Some(((2, 34), vec!["dlsym"])));
        assert_eq!(highest("nothing"), None);
    }
}
