//! `init`: a folder from which an aggregator runs as it is, and what to do next.

use std::io::Write;
use std::path::Path;

use shared::exit::{Exit, Reason};
use shared::time::Timestamp;
use shared::tls::DialName;

use crate::ca::init::{InitError, InitOptions, Initialized, init, init_state};
use crate::cli::{InitArgs, PROGRAM};

/// The system's name for this host, as `uname -n` gives it.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Makes the folder and tells on `err` what was made and what comes next; standard output stays empty.
///
/// # Errors
/// Exit code 64 for a name that is none, 73 for what cannot be made or is there already.
pub fn run(
    config: &Path,
    arguments: &InitArgs,
    hostname: &str,
    now: Timestamp,
    mut err: impl Write,
) -> Result<(), Exit> {
    let refused = |error: InitError| Exit::new(error.reason(), error);
    let (made, port) = match &arguments.dir {
        Some(dir) => {
            let options = InitOptions {
                dir: dir.clone(),
                names: arguments.names.clone(),
                listen: arguments.listen.map(|address| address.to_string()),
                http: arguments.http.map(|address| address.to_string()),
            };
            let port = arguments.listen.map_or(7443, |address| address.port());
            (init(&options, hostname, now).map_err(refused)?, port)
        }
        None if arguments.listen.is_some() || arguments.http.is_some() => {
            let text =
                "--listen and --http are for a new folder (--dir); they stand in the configuration that is there";
            return Err(Exit::new(Reason::Usage, text));
        }
        None => {
            let loaded = crate::config::load(config)?.config;
            (init_state(config, &loaded, &arguments.names, now).map_err(refused)?, loaded.listen.port())
        }
    };
    // What is made is made, whether somebody reads this or not.
    let _ = err.write_all(next_steps(&made, port).as_bytes());
    Ok(())
}

fn next_steps(made: &Initialized, port: u16) -> String {
    let config = made.config.display();
    let names: Vec<String> = made.names.iter().map(ToString::to_string).collect();
    let dialed = match made.names.first() {
        Some(DialName::Ip(ip)) if ip.is_ipv6() => format!("[{ip}]:{port}"),
        Some(name) => format!("{name}:{port}"),
        None => format!("HOST:{port}"),
    };
    format!(
        "made {config} for {}\n\
         next, start it:        {PROGRAM} run -c {config}\n\
         make a token:          {PROGRAM} token create -c {config} > token\n\
         and on each host:      picket-agent enroll --aggregator {dialed} --token-file token\n",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::tests::{NOW, folder};

    #[test]
    fn what_comes_next_stands_on_stderr_and_a_second_init_is_73() {
        let dir = folder("command-init");
        let arguments = InitArgs {
            dir: Some(dir.join("agg")),
            names: vec!["::1".to_owned(), "agg.example.net".to_owned()],
            listen: Some("[::]:9443".parse().unwrap()),
            http: None,
        };
        let mut err = Vec::new();
        run(Path::new("/nowhere"), &arguments, "h", NOW, &mut err).unwrap();
        let text = String::from_utf8(err).unwrap();
        for expected in ["--aggregator [::1]:9443", "token create -c", "agg.example.net", "run -c"] {
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(
            run(Path::new("/nowhere"), &arguments, "h", NOW, Vec::new()).unwrap_err().reason,
            Reason::CannotCreate
        );
        let wrong = InitArgs { names: vec!["not a name".to_owned()], ..arguments };
        assert_eq!(run(Path::new("/nowhere"), &wrong, "h", NOW, Vec::new()).unwrap_err().reason, Reason::Usage);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
