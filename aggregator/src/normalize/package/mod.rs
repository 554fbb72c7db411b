//! Package managers' own logs: what was installed, updated and removed (6002), with version and version before.
//!
//! In: lines of dpkg.log, apt's history.log and term.log, yum.log, dnf.log and dnf.rpm.log, pacman.log, zypper's history; PackageKit, rpm's plugin and pkg in syslog. Out: one
//! event a line; a line that names many packages has the first as its application and all of them in `unmapped.packages`.

pub(super) mod apt;
pub(super) mod dpkg;
pub(super) mod kit;
pub(super) mod pacman;
pub(super) mod pkg;
pub(super) mod rpm;
pub(super) mod zypper;

use super::outcome::success;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Application Lifecycle (6002).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Activity {
    Install = 1,
    Remove = 2,
    Start = 3,
    Update = 8,
    /// With its word in `activity_name`.
    Other = 99,
}

/// What became of a package; what is not said is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) activity: Activity,
    /// For [`Activity::Other`].
    pub(super) word: &'static str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) previous: &'a str,
    pub(super) architecture: &'a str,
}

impl<'a> Change<'a> {
    /// A change of which the activity alone is known.
    pub(super) const fn new(activity: Activity, name: &'a str) -> Self {
        Self { activity, word: "", name, version: "", previous: "", architecture: "" }
    }

    /// One that OCSF has no activity for.
    pub(super) const fn other(word: &'static str, name: &'a str) -> Self {
        Self { word, ..Self::new(Activity::Other, name) }
    }

    /// Sets class and fields; false where no package is named.
    pub(super) fn apply(self, manager: &'static str, event: &mut Event<'a>) -> bool {
        if self.name.is_empty() {
            return false;
        }
        event.class = Class::ApplicationLifecycle;
        event.activity_id = self.activity as u8;
        if !self.word.is_empty() {
            event.push(Attribute::ActivityName, self.word);
        }
        event.push(Attribute::AppName, self.name);
        if !self.version.is_empty() {
            event.push(Attribute::AppVersion, self.version);
        }
        event.unmap("package_manager", manager);
        for (key, value) in [("previous_version", self.previous), ("architecture", self.architecture)] {
            if !value.is_empty() {
                event.unmap(key, value);
            }
        }
        success(event);
        true
    }
}
