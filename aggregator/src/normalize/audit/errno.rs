//! Names of what a system call can fail with, and of signals: as the kernel numbers them on x86 and ARM.
//!
//! In: the number of `exit=` or `sig=`. Out: its name (asm-generic/errno.h, linux/errno.h, asm/signal.h).

use std::sync::LazyLock;

/// The name of an error, from `exit=-13` or `13`.
pub(super) fn name(exit: &str) -> Option<&'static str> {
    let number: usize = exit.strip_prefix('-').unwrap_or(exit).parse().ok()?;
    match number {
        512 => Some("ERESTARTSYS"),
        513 => Some("ERESTARTNOINTR"),
        514 => Some("ERESTARTNOHAND"),
        516 => Some("ERESTART_RESTARTBLOCK"),
        524 => Some("ENOTSUPP"),
        _ => at(&ERRORS, number),
    }
}

/// The name of a signal.
pub(super) fn signal(number: &str) -> Option<&'static str> {
    at(&SIGNALS, number.parse().ok()?)
}

fn at(names: &[&'static str], number: usize) -> Option<&'static str> {
    names.get(number.checked_sub(1)?).copied().filter(|name| *name != "-")
}

static ERRORS: LazyLock<Vec<&str>> = LazyLock::new(|| ERROR_TABLE.split_whitespace().collect());
static SIGNALS: LazyLock<Vec<&str>> = LazyLock::new(|| SIGNAL_TABLE.split_whitespace().collect());

/// From 1; `-` where a number is not used.
const ERROR_TABLE: &str = "\
     EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST \
     EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM \
     ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG \
     EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET \
     ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG \
     ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE \
     EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE \
     EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN \
     ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL \
     EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD \
     ENOTRECOVERABLE ERFKILL EHWPOISON";

/// From 1; `-` where a number is not used.
const SIGNAL_TABLE: &str = "\
     SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM \
     SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF \
     SIGWINCH SIGIO SIGPWR SIGSYS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_names() {
        let named = ["-1", "-2", "-13", "-115", "133", "-512"].map(name);
        let expected = ["EPERM", "ENOENT", "EACCES", "EINPROGRESS", "EHWPOISON", "ERESTARTSYS"];
        assert_eq!(named, expected.map(Some));
        assert_eq!([signal("6"), signal("11"), signal("31")], [Some("SIGABRT"), Some("SIGSEGV"), Some("SIGSYS")]);
        assert_eq!([name("0"), name("x"), signal("0"), signal("99")], [None; 4]);
    }
}
