//! Which paths a source means: absolute globs with excludes, and which source of several a path belongs to.
//!
//! `*`, `?`, `[…]` and `{a,b}` stay within one name, `**` stands for any number of folders. Nothing here touches the disk;
//! [`super::walk`] does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("pattern '{pattern}' {reason}")]
pub struct BadPattern {
    /// As it was written.
    pub pattern: String,
    /// What is wrong with it and what to write instead.
    pub reason: String,
}

/// One name on the way from a pattern's root to its files.
#[derive(Debug)]
pub enum Step {
    /// This name and no other.
    Name(PathBuf),
    /// Every name that matches.
    Wild(GlobSet),
    /// Any number of folders.
    Deep,
}

/// One `include`, ready to be walked.
#[derive(Debug)]
pub struct Route {
    /// The part without wildcards: where the walk begins.
    pub root: PathBuf,
    /// From the root to the files; never empty.
    pub steps: Vec<Step>,
}

/// What a source includes and excludes.
#[derive(Debug)]
pub struct Patterns {
    routes: Vec<Route>,
    include: GlobSet,
    exclude: GlobSet,
}

impl Patterns {
    /// Compiles both lists.
    ///
    /// # Errors
    /// The first pattern that is not absolute or not a glob.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, BadPattern> {
        let set = |patterns: &[String]| {
            let mut set = GlobSetBuilder::new();
            for pattern in patterns {
                set.add(glob(pattern)?);
            }
            set.build().map_err(|error| bad(&patterns.join(" "), &error.to_string()))
        };
        let routes = include.iter().map(|pattern| route(pattern)).collect::<Result<_, _>>()?;
        exclude.iter().try_for_each(|pattern| absolute(pattern).map(|_| ()))?;
        Ok(Self { routes, include: set(include)?, exclude: set(exclude)? })
    }

    /// What is to be walked.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether the source means this path.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        self.include.is_match(path) && !self.is_excluded(path)
    }

    /// The path that we mean and from which a rotation made this one: `app.log.1`, `app.log-2026`, `app-2026.log` from
    /// `app.log`. The longest of several; the path itself is not looked for.
    #[must_use]
    pub fn rotated_from(&self, path: &Path) -> Option<PathBuf> {
        let name = path.file_name()?.to_str()?;
        let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
        let cuts = name.rmatch_indices(['.', '-', '_', '~']).filter_map(|(at, _)| name.get(..at));
        let originals = cuts.filter(|cut| !cut.is_empty()).flat_map(|cut| {
            let extended = extension.map(|extension| path.with_file_name(format!("{cut}.{extension}")));
            [Some(path.with_file_name(cut)), extended].into_iter().flatten()
        });
        originals.into_iter().filter(|original| original != path).find(|original| self.matches(original))
    }

    /// Whether the source excludes this path.
    #[must_use]
    pub fn is_excluded(&self, path: &Path) -> bool {
        self.exclude.is_match(path)
    }
}

/// Whether `path` is `original` and what a rotation adds to a name: a number or a date behind it or before its extension
/// (`app.log.1`, `app.log-20260316`, `app-2026-03-16T09-30-00.000.log`). Companions of a file (`app.log.gz`, `app.log.tmp`)
/// have words there.
#[must_use]
pub fn is_rotation(path: &Path, original: &Path) -> bool {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let (Some(rotated), Some(original)) = (name(path), name(original)) else { return false };
    let within = || {
        let (stem, extension) = original.rsplit_once('.')?;
        rotated.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix('.')
    };
    let is_added = |added: &str| {
        added.starts_with(['.', '-', '_', '~'])
            && added.contains(|c: char| c.is_ascii_digit())
            && added
                .split(['.', '-', '_', '~', ':', '+', 'T', 'Z'])
                .all(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    rotated.strip_prefix(&original).is_some_and(is_added) || within().is_some_and(is_added)
}

/// The patterns of every file source, in name order: a path belongs to the first that means it.
#[derive(Debug, Default)]
pub struct Precedence(Vec<(String, Arc<Patterns>)>);

impl Precedence {
    /// Of all file sources by name, in any order.
    #[must_use]
    pub fn new(mut sources: Vec<(String, Arc<Patterns>)>) -> Self {
        sources.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(sources)
    }

    /// The source that reads this path instead of `name`, if there is one.
    #[must_use]
    pub fn shadows(&self, name: &str, path: &Path) -> Option<&str> {
        let before = self.0.iter().take_while(|(other, _)| other != name);
        before.into_iter().find(|(_, patterns)| patterns.matches(path)).map(|(other, _)| other.as_str())
    }

    /// Whether any source means this path.
    #[must_use]
    pub fn is_meant(&self, path: &Path) -> bool {
        self.0.iter().any(|(_, patterns)| patterns.matches(path))
    }
}

fn route(pattern: &str) -> Result<Route, BadPattern> {
    let mut names = absolute(pattern)?;
    if names.last() == Some(&"**") {
        names.push("*");
    }
    let is_literal = |name: &&str| !name.contains(['*', '?', '[', ']', '{', '}', '\\']);
    // The last name is always a step, so that a missing file is looked for in a folder.
    let literal = names.iter().take_while(|name| is_literal(name)).count().min(names.len() - 1);
    let (root, rest) = names.split_at(literal);
    let mut steps = Vec::with_capacity(rest.len());
    for name in rest {
        steps.push(match *name {
            "**" => Step::Deep,
            name if is_literal(&name) => Step::Name(PathBuf::from(name)),
            name => {
                let mut set = GlobSetBuilder::new();
                set.add(glob(name).map_err(|error| bad(pattern, &error.reason))?);
                Step::Wild(set.build().map_err(|error| bad(pattern, &error.to_string()))?)
            }
        });
    }
    Ok(Route { root: Path::new("/").join(root.iter().collect::<PathBuf>()), steps })
}

fn absolute(pattern: &str) -> Result<Vec<&str>, BadPattern> {
    let Some(names) = pattern.strip_prefix('/') else {
        return Err(bad(pattern, "is not absolute: begin it with '/'"));
    };
    if names.is_empty() || names.ends_with('/') {
        return Err(bad(pattern, "names a folder: end it with a file name or '/**'"));
    }
    let names: Vec<&str> = names.split('/').collect();
    if names.iter().any(|name| matches!(*name, "" | "." | "..") || name.contains('\0')) {
        return Err(bad(pattern, "has an empty name, '.', '..' or a NUL byte in it"));
    }
    Ok(names)
}

fn glob(pattern: &str) -> Result<Glob, BadPattern> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.map_err(|error| bad(pattern, &format!("is not a glob ({}); braces and brackets end before '/'", error.kind())))
}

fn bad(pattern: &str, reason: &str) -> BadPattern {
    BadPattern { pattern: pattern.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(include: &[&str], exclude: &[&str]) -> Result<Patterns, BadPattern> {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Patterns::new(&owned(include), &owned(exclude))
    }

    #[test]
    fn wildcards_stay_within_a_name() {
        let patterns = patterns(&["/var/log/*.log", "/srv/**/app-{a,b}.log", "/etc/x"], &["/var/log/noise*"]).unwrap();
        for path in ["/var/log/a.log", "/srv/app-a.log", "/srv/1/2/app-b.log", "/etc/x"] {
            assert!(patterns.matches(Path::new(path)), "{path}");
        }
        for path in ["/var/log/d/a.log", "/var/log/noise.log", "/srv/app-c.log", "/etc/x/y", "/etc/xy"] {
            assert!(!patterns.matches(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn rotated_names_lead_back_to_the_name_that_is_meant() {
        let patterns = patterns(&["/l/app.log", "/l/*_x"], &[]).unwrap();
        for (path, original) in [
            ("/l/app.log.1", Some("/l/app.log")),
            ("/l/app.log-20260316.gz", Some("/l/app.log")),
            ("/l/app-2026-03-16.log", Some("/l/app.log")),
            ("/l/a_x.1", Some("/l/a_x")),
            ("/l/app.log", None),
            ("/l/.log", None),
            ("/l/other.log.1", None),
            ("/m/app.log.1", None),
            ("/", None),
        ] {
            assert_eq!(patterns.rotated_from(Path::new(path)).as_deref(), original.map(Path::new), "{path}");
        }
    }

    #[test]
    fn rotations_add_numbers_and_dates_and_companions_words() {
        let is_rotation = |name: &str| is_rotation(Path::new(name), Path::new("app.log"));
        let dated = ["app.log-20260316", "app.log.2026-03-16", "app.log-20260316-1773650000"];
        let within = ["app-1.log", "app.1.log", "app-2026-03-16T09-30-00.000.log"];
        for name in [&["app.log.1", "app.log.0", "app.log.10"], &dated, &within].into_iter().flatten() {
            assert!(is_rotation(name), "{name}");
        }
        let packed = ["app.log.gz", "app.log.1.gz", "app-1.log.xz"];
        let companions = ["app.log.tmp", "app.log.1.swp", "app.log.offset", "app.log~", "app.log.", "app.log.x1"];
        let others = ["app.log", "app.log1", "app1.log", "app-web.log", "web.log.1"];
        for name in packed.iter().chain(&companions).chain(&others) {
            assert!(!is_rotation(name), "{name}");
        }
    }

    #[test]
    fn walk_begins_below_the_literal_part() {
        let patterns = patterns(&["/var/log/*/x.log", "/var/log/auth.log", "/a/**"], &[]).unwrap();
        let roots: Vec<_> =
            patterns.routes().iter().map(|route| (route.root.to_str().unwrap(), route.steps.len())).collect();
        assert_eq!(roots, [("/var/log", 2), ("/var/log", 1), ("/a", 2)]);
    }

    #[test]
    fn unusable_patterns_are_named() {
        for pattern in ["x.log", "", "/", "/var/log/", "/var//log", "/var/../log", "/a/{b/c,d}", "/a/[b", "/a\0"] {
            let error = patterns(&[pattern], &[]).unwrap_err();
            assert_eq!(error.pattern, pattern);
        }
        assert!(patterns(&["/a"], &["*.gz"]).is_err());
    }

    #[test]
    fn first_source_in_name_order_owns_a_path() {
        let all = |glob: &str| Arc::new(patterns(&[glob], &[]).unwrap());
        let order = Precedence::new(vec![("web".into(), all("/l/*.log")), ("all".into(), all("/l/a*"))]);
        assert_eq!(order.shadows("web", Path::new("/l/a.log")), Some("all"));
        assert_eq!(order.shadows("web", Path::new("/l/b.log")), None);
        assert_eq!(order.shadows("all", Path::new("/l/a.log")), None);
        assert!(order.is_meant(Path::new("/l/b.log")) && !order.is_meant(Path::new("/l/b")));
    }
}
