//! rsyslog over TLS on the same file: a widely installed shipper, imfile to omfwd to a file, no compression and no fsync.
//!
//! It promises less (what is in flight is lost with a crash of the receiver), so its figures are a floor, not an equal.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use picket_tests::harness::{Process, Usage, await_until};
use xtask::loopback::free_port;

use crate::end_to_end::Input;

const DEADLINE: Duration = Duration::from_secs(600);

/// rsyslogd, and which of its TLS drivers is installed.
pub struct Tools {
    program: PathBuf,
    driver: &'static str,
}

/// What one run took.
pub struct Run {
    /// From the sender's start until every line is in the receiver's file.
    pub seconds: f64,
    /// The sender's CPU and memory.
    pub sender: Usage,
    /// The receiver's.
    pub receiver: Usage,
}

impl Tools {
    /// rsyslogd with a TLS driver, and openssl for certificates; what is missing where one is.
    pub fn find() -> Result<Self, String> {
        let program =
            ["/usr/sbin/rsyslogd", "/sbin/rsyslogd"].map(PathBuf::from).into_iter().find(|path| path.is_file());
        let program = program.ok_or("rsyslogd is not installed")?;
        let modules = ["/usr/lib/x86_64-linux-gnu/rsyslog", "/usr/lib/aarch64-linux-gnu/rsyslog", "/usr/lib64/rsyslog"];
        let has = |name: &str| modules.iter().any(|folder| Path::new(folder).join(name).is_file());
        let driver = if has("lmnsd_ossl.so") {
            "ossl"
        } else if has("lmnsd_gtls.so") {
            "gtls"
        } else {
            return Err("neither rsyslog-openssl nor rsyslog-gnutls is installed".to_owned());
        };
        if Command::new("openssl").arg("version").output().is_err() {
            return Err("openssl, which makes its certificates, is not installed".to_owned());
        }
        Ok(Self { program, driver })
    }

    /// Sends the file once, with fresh state and certificates.
    pub fn run(&self, here: &Path, input: &Input) -> anyhow::Result<Run> {
        if here.exists() {
            std::fs::remove_dir_all(here).with_context(|| format!("remove {}", here.display()))?;
        }
        for folder in ["sender", "receiver"] {
            std::fs::create_dir_all(here.join(folder)).with_context(|| format!("create {}", here.display()))?;
        }
        self.certificates(here)?;
        let port = free_port()?.port();
        let received = here.join("received.log");
        let mut receiver = self.start(here, "receiver", &self.receiver_config(here, port, &received))?;
        let listening = || Ok(std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        await_until("rsyslog's receiver to listen", Duration::from_secs(20), listening)
            .with_context(|| receiver.last_lines())?;
        let start = Instant::now();
        let mut sender = self.start(here, "sender", &self.sender_config(here, port, input))?;
        // What is received is what was sent: one newline more than each line had none.
        let whole =
            || Ok((std::fs::metadata(&received).map_or(0, |metadata| metadata.len()) >= input.bytes).then_some(()));
        await_until("every line in rsyslog's file", DEADLINE, whole).with_context(|| sender.last_lines())?;
        let run = Run { seconds: start.elapsed().as_secs_f64(), sender: sender.usage()?, receiver: receiver.usage()? };
        sender.stop(Duration::from_secs(30))?;
        receiver.stop(Duration::from_secs(30))?;
        std::fs::remove_file(&received).with_context(|| format!("remove {}", received.display()))?;
        Ok(run)
    }

    fn start(&self, here: &Path, name: &str, config: &str) -> anyhow::Result<Process> {
        let path = here.join(format!("{name}.conf"));
        std::fs::write(&path, config).with_context(|| format!("write {}", path.display()))?;
        let mut command = Command::new(&self.program);
        command.arg("-n").arg("-f").arg(&path).arg("-i").arg(here.join(format!("{name}.pid")));
        Ok(Process::start(&mut command, &here.join(format!("{name}.log")))?)
    }

    fn receiver_config(&self, here: &Path, port: u16, received: &Path) -> String {
        let (driver, received) = (self.driver, received.display());
        let globals = self.globals(here, "receiver");
        format!(
            "{globals}module(load=\"imtcp\" StreamDriver.Name=\"{driver}\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"x509/certvalid\")\n\
             template(name=\"line\" type=\"string\" string=\"%msg%\\n\")\n\
             ruleset(name=\"in\") {{ action(type=\"omfile\" file=\"{received}\" template=\"line\") }}\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\" ruleset=\"in\")\n"
        )
    }

    fn sender_config(&self, here: &Path, port: u16, input: &Input) -> String {
        let (driver, file) = (self.driver, input.path.display());
        let globals = self.globals(here, "sender");
        format!(
            "{globals}module(load=\"imfile\" mode=\"inotify\")\n\
             ruleset(name=\"out\") {{ action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\" template=\"RSYSLOG_SyslogProtocol23Format\" \
             StreamDriver=\"{driver}\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/certvalid\" queue.type=\"LinkedList\") }}\n\
             input(type=\"imfile\" file=\"{file}\" tag=\"bench:\" ruleset=\"out\" reopenOnTruncate=\"off\")\n"
        )
    }

    fn globals(&self, here: &Path, name: &str) -> String {
        let (driver, here) = (self.driver, here.display());
        format!(
            "global(workDirectory=\"{here}/{name}\" maxMessageSize=\"64k\" DefaultNetstreamDriver=\"{driver}\" \
             DefaultNetstreamDriverCAFile=\"{here}/ca.pem\" DefaultNetstreamDriverCertFile=\"{here}/cert.pem\" \
             DefaultNetstreamDriverKeyFile=\"{here}/key.pem\")\n"
        )
    }

    /// A CA and one certificate that both sides use.
    fn certificates(&self, here: &Path) -> anyhow::Result<()> {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let openssl = |arguments: &[&str]| -> anyhow::Result<()> {
            let output = Command::new("openssl").args(arguments).current_dir(here).output().context("start openssl")?;
            if !output.status.success() {
                bail!("openssl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
            }
            Ok(())
        };
        let ca = ["req", "-x509", "-subj", "/CN=bench CA", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(&[&ca[..], &key[..]].concat())?;
        let own = [
            "req",
            "-x509",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
        ];
        openssl(&[&own[..], &key[..], &["-addext", "basicConstraints=critical,CA:FALSE"][..]].concat())
    }
}
