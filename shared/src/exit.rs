//! How a program ends: an exit code that scripts can rely on, and the sentence that goes with it.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::printable::Printable;

/// Why a command failed; the numbers are those of BSD `sysexits.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reason {
    /// `EX_USAGE`: the command line is wrong.
    Usage = 64,
    /// `EX_DATAERR`: what was read is damaged or not what it should be.
    Data = 65,
    /// `EX_UNAVAILABLE`: the other side (aggregator, daemon, socket) does not answer or refuses.
    Unavailable = 69,
    /// `EX_SOFTWARE`: a promise inside the program was broken.
    Internal = 70,
    /// `EX_CANTCREAT`: a file or folder cannot be made.
    CannotCreate = 73,
    /// `EX_IOERR`: reading or writing failed.
    Io = 74,
    /// `EX_CONFIG`: the configuration is wrong or missing.
    Config = 78,
}

/// The failure of a command: its exit code, and what to tell the person on stderr.
#[derive(Debug)]
pub struct Exit {
    /// The exit code.
    pub reason: Reason,
    /// What is printed after the program's name; nothing when it has been said already.
    pub message: Option<String>,
}

impl Exit {
    /// Ends with `reason` and says `message`; an error's whole chain of causes should stand in it.
    pub fn new(reason: Reason, message: impl fmt::Display) -> Self {
        Self { reason, message: Some(message.to_string()) }
    }

    /// Ends with `reason`; what there is to say stands on stdout or stderr already.
    #[must_use]
    pub fn silent(reason: Reason) -> Self {
        Self { reason, message: None }
    }

    /// Turns the result of a command into the process's exit code; a message goes to stderr, one
    /// `program: line` per line of it. A stderr that is gone changes nothing.
    pub fn conclude(program: &str, result: Result<(), Self>) -> ExitCode {
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(exit) => {
                for line in exit.message.iter().flat_map(|message| message.lines()) {
                    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("{program}: {}\n", Printable(line)));
                }
                ExitCode::from(exit.reason as u8)
            }
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("failed"))
    }
}

impl std::error::Error for Exit {}

impl From<io::Error> for Exit {
    /// Standard output failed. A reader that left early (`… | head`) is not worth a message.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(Reason::Io),
            _ => Self::new(Reason::Io, format_args!("cannot write to standard output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_numbers_of_sysexits() {
        use Reason::{CannotCreate, Config, Data, Internal, Io, Unavailable, Usage};
        let numbers = [Usage, Data, Unavailable, Internal, CannotCreate, Io, Config].map(|reason| reason as u8);
        assert_eq!(numbers, [64, 65, 69, 70, 73, 74, 78]);
    }

    #[test]
    fn a_closed_pipe_says_nothing() {
        assert_eq!(Exit::from(io::Error::from(io::ErrorKind::BrokenPipe)).message, None);
        assert!(Exit::from(io::Error::from(io::ErrorKind::StorageFull)).message.is_some());
    }
}
