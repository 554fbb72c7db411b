//! What programs say in syslog: one file for each program or family, one line in [`parse`].
//!
//! In: the message and its header. Out: the class and fields of what it means; a message that no parser
//! knows stays a base event with its program, process and time.

mod account;
mod cron;
mod login;
mod logind;
mod pam;
mod sshd;
mod su;
mod sudo;

use super::syslog::Header;
use super::text::{base_name, cut, number};
use super::{attempt, combined};
use crate::event::Event;
use crate::schema::Attribute;

type Parser = for<'a> fn(&'a str, &Header<'a>, &mut Event<'a>) -> bool;

/// The parser of a program's own messages.
fn parser(program: &str) -> Option<Parser> {
    Some(match program {
        "sshd" | "sshd-session" | "sshd-auth" => sshd::parse,
        "sudo" | "sudoedit" => sudo::parse,
        "su" => su::parse,
        "cron" | "CRON" | "crond" | "CROND" | "crontab" | "anacron" | "atd" => cron::parse,
        "useradd" | "adduser" | "userdel" | "usermod" | "groupadd" | "groupdel" | "groupmod" | "passwd" | "gpasswd"
        | "chpasswd" | "chage" | "chfn" | "chsh" | "newusers" => account::parse,
        "systemd-logind" | "elogind" | "elogind-daemon" => logind::parse,
        "login" => login::parse,
        "nginx" | "httpd" | "apache" | "apache2" => combined::parse_message,
        _ => return None,
    })
}

/// Reads a message; returns whether its program's parser, or the parser of PAM, understood it.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (message, repeated) = match repeated(message) {
        Some((message, times)) => (message, Some(times)),
        None => (message, None),
    };
    let understood = attempt(pam::parse, message, header, event)
        || parser(base_name(header.program)).is_some_and(|parse| attempt(parse, message, header, event));
    if let Some(times) = repeated.filter(|_| understood) {
        event.set(Attribute::Count, times);
    }
    understood
}

/// rsyslog's `message repeated 5 times: [ Failed password for root … ]`: five more of the kind.
fn repeated(message: &str) -> Option<(&str, i64)> {
    let (times, rest) = cut(message.strip_prefix("message repeated ")?, " times: [")?;
    Some((rest.strip_suffix(']').unwrap_or(rest).trim(), number(times)?))
}
