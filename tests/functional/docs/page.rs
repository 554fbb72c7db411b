//! What stands in a page: its fenced blocks in order, its commands, and the calls of our programs between backticks.

use std::path::Path;

use anyhow::{Context, bail};

/// Languages of blocks whose lines are commands.
const SHELL: [&str; 2] = ["", "sh"];

/// A fenced block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The line of its fence.
    pub line: usize,
    /// What stands behind its first fence.
    pub language: String,
    /// What stands between its fences.
    pub text: String,
}

impl Block {
    /// The file that it is to be written to: its first line says so.
    pub fn path(&self) -> Option<&str> {
        let path = self.text.lines().next()?.strip_prefix("# ")?;
        let is_path = !path.contains(char::is_whitespace) && (path.ends_with(".yaml") || path.ends_with(".yml"));
        is_path.then_some(path)
    }
}

/// A command of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// The line that it begins in.
    pub line: usize,
    /// As it stands there, comments included; several lines where quotes or `\` go on.
    pub text: String,
    /// What the page shows as its output.
    pub shown: Vec<String>,
}

/// What a page asks of its reader, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// To run something.
    Run(Command),
    /// To write a file, or to know what one may hold.
    Yaml(Block),
}

/// The fenced blocks of a page.
pub fn blocks(page: &str) -> anyhow::Result<Vec<Block>> {
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (at, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { line: at + 1, language: language.trim().to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    match open {
        Some(block) => bail!("the block of line {} does not end", block.line),
        None => Ok(blocks),
    }
}

/// Whether the shell wants more lines: within quotes, or behind `\`.
fn goes_on(text: &str) -> bool {
    let (mut quote, mut escaped) = (None, false);
    for c in text.trim_end_matches('\n').chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    quote.is_some() || escaped
}

/// The commands of a block: every line of a shell's, those behind `$ ` of a session's.
fn commands(block: &Block) -> Vec<Command> {
    let session = block.language == "text";
    if !session && !SHELL.contains(&block.language.as_str()) {
        return Vec::new();
    }
    let mut commands: Vec<Command> = Vec::new();
    for (at, line) in block.text.lines().enumerate() {
        let typed = if session { line.strip_prefix("$ ") } else { Some(line) };
        match (commands.last_mut(), typed) {
            (Some(last), _) if goes_on(&last.text) => last.text += &format!("\n{line}"),
            (_, Some(typed)) if typed.trim().is_empty() || typed.starts_with('#') => {}
            (_, Some(typed)) => {
                commands.push(Command { line: block.line + at + 1, text: typed.to_owned(), shown: Vec::new() });
            }
            (Some(last), None) => last.shown.push(line.to_owned()),
            (None, None) => {}
        }
    }
    commands
}

/// What a page asks for, in order.
pub fn steps(page: &str) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for block in blocks(page)? {
        if block.language == "yaml" {
            steps.push(Step::Yaml(block));
        } else {
            steps.extend(commands(&block).into_iter().map(Step::Run));
        }
    }
    Ok(steps)
}

/// Calls of our programs between backticks, outside of blocks.
pub fn calls(page: &str) -> Vec<&str> {
    let prose = page.split("```").step_by(2);
    let spans = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    spans.filter(|span| span.starts_with("picket-agent ") || span.starts_with("picket-aggregator ")).collect()
}

/// Every page that is for readers, by its path below the workspace's folder, sorted.
pub fn pages(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.extend(["README.md", "SECURITY.md"].map(|name| root.join(name)));
    found.sort();
    let named = |path: &std::path::PathBuf| -> anyhow::Result<(String, String)> {
        let name = path.strip_prefix(root)?.display().to_string();
        Ok((name, std::fs::read_to_string(path)?))
    };
    found.iter().map(named).collect()
}

#[test]
fn commands_are_found_with_what_a_page_shows_below_them() {
    let page = "# x\n`picket-agent status` and `rm -r`\n```\na --b   # why\n\nc -c \"one\n   two\" \\\n  three\n```\n```text\n\
                $ d\nout 1\nout 2\n$ e\n```\n```yaml\nversion: 1\n```\n```ini\nf\n```\n";
    let steps = steps(page).unwrap();
    let command = |line, text: &str, shown: &[&str]| {
        let shown = shown.iter().map(|line| (*line).to_owned()).collect();
        Step::Run(Command { line, text: text.to_owned(), shown })
    };
    let yaml = Block { line: 16, language: "yaml".to_owned(), text: "version: 1\n".to_owned() };
    let expected = [
        command(4, "a --b   # why", &[]),
        command(6, "c -c \"one\n   two\" \\\n  three", &[]),
        command(11, "d", &["out 1", "out 2"]),
        command(14, "e", &[]),
        Step::Yaml(yaml),
    ];
    assert_eq!(steps, expected);
    assert_eq!(calls(page), ["picket-agent status"]);
    assert!(blocks("```\na\n").is_err());
}
