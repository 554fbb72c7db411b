//! Jobs of cron: `crontab(5)`, `anacrontab(5)`. Pure.

use super::super::row::Row;

/// Jobs of a file that are told.
const JOBS_MAX: usize = 4096;

/// How the lines of a file are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form<'a> {
    /// Five times or `@word`, user, command.
    System,
    /// Five times or `@word`, command; the user is the file's.
    Of(&'a str),
    /// Period, delay, name, command.
    Anacron,
}

/// Jobs of a file; `path` as the host calls it.
pub fn jobs(path: &str, bytes: &[u8], form: Form<'_>, each: &mut dyn FnMut(Row)) {
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter_map(|line| job(path, line, form)).take(JOBS_MAX).for_each(each);
}

/// Takes a word and the white space behind it.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let (word, more) = rest.split_at_checked(end)?;
    *rest = more.trim_ascii_start();
    (!word.is_empty()).then_some(word)
}

fn job(path: &str, line: &[u8], form: Form<'_>) -> Option<Row> {
    let first = line.first()?;
    // An assignment has its `=` before any white space but for that around it.
    let is_assignment = first.is_ascii_alphabetic() || *first == b'"' || *first == b'_';
    if *first == b'#' || is_assignment && form != Form::Anacron || is_assignment && line.contains(&b'=') {
        return None;
    }
    let mut rest = line;
    let times = match form {
        Form::Anacron => 2,
        _ if *first == b'@' => 1,
        _ => 5,
    };
    let mut schedule = Vec::new();
    for _ in 0..times {
        schedule.push(String::from_utf8_lossy(word(&mut rest)?));
    }
    let (user, name) = match form {
        Form::System => (String::from_utf8_lossy(word(&mut rest)?).into_owned(), None),
        Form::Of(user) => (user.to_owned(), None),
        Form::Anacron => ("root".to_owned(), Some(word(&mut rest)?)),
    };
    let program = name.or_else(|| word(&mut { rest }))?;
    Some(
        Row::default()
            .key("unmapped.path", path)
            .key("unmapped.schedule", schedule.join(" "))
            .key(".user.name", user)
            .key(".cmd_line", rest)
            .key(".name", program),
    )
}

/// A script in one of cron's folders (`hourly`, `daily`, …).
#[must_use]
pub fn script(path: &str, period: &str, name: &str) -> Row {
    let mut row = Row::default()
        .key("unmapped.path", path)
        .key("unmapped.schedule", period)
        .key(".user.name", "root")
        .key(".name", name);
    row.text(".cmd_line", path);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_have_time_user_and_command_and_assignments_are_none() {
        let mut told = Vec::new();
        let text = b"# m h\nSHELL=/bin/sh\nMAILTO = x\n\n17 *\t* * *\troot\tcd / && run-parts\n@reboot bob /bin/x y\nbad line\n1 2 3 4\n";
        jobs("/etc/crontab", text, Form::System, &mut |row| {
            let word = |path| row.word(path).to_owned();
            told.push([word("unmapped.schedule"), word(".user.name"), word(".cmd_line"), word(".name")].join("|"));
        });
        assert_eq!(told, ["17 * * * *|root|cd / && run-parts|cd", "@reboot|bob|/bin/x y|/bin/x"]);
        told.clear();
        jobs("/x", b"*/5 * * * * /bin/x -y", Form::Of("eve"), &mut |row| told.push(row.word(".user.name").to_owned()));
        jobs("/y", b"START_HOURS_RANGE=3\n1 5 cron.daily nice run-parts", Form::Anacron, &mut |row| {
            told.push(row.word(".name").to_owned())
        });
        assert_eq!(told, ["eve", "cron.daily"]);
    }
}
