//! Where the token of an enrollment comes from: a file, standard input, the environment, or the command line.
//!
//! In: what the command was given. Out: the token, or what is wrong in words that never show it.

use std::io::Read;
use std::path::{Path, PathBuf};

use shared::enroll::{BadToken, TOKEN_BYTES_MAX, Token};

/// What the command was given. The command line and the file are asked first, the environment only without them.
#[derive(Clone, Copy, Default)]
pub struct TokenOptions<'a> {
    /// `--token`: other users of the host see it in the process list.
    pub token: Option<&'a str>,
    /// `--token-file`: `-` is standard input.
    pub file: Option<&'a Path>,
    /// `PICKET_TOKEN`.
    pub environment: Option<&'a str>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenOptionsError {
    /// None was given.
    #[error(
        "no token: give --token-file FILE (or - for standard input), or set PICKET_TOKEN; `picket-aggregator token create` \
         on the aggregator prints one"
    )]
    Missing,
    /// Two were given.
    #[error("--token and --token-file were both given: give one")]
    Two,
    /// The file cannot be read.
    #[error("cannot read the token from {from}: {source}", from = from.display())]
    Unreadable {
        /// The file, or `-`.
        from: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was there is no token.
    #[error("{from}: {bad}")]
    Bad {
        /// Where it stood.
        from: String,
        /// What is wrong with it.
        bad: BadToken,
    },
}

/// Reads the token; `stdin` is only touched for `--token-file -`.
///
/// # Errors
/// [`TokenOptionsError`].
pub fn read_token(options: TokenOptions<'_>, stdin: &mut dyn Read) -> Result<Token, TokenOptionsError> {
    let (from, text) = match options {
        TokenOptions { token: Some(_), file: Some(_), .. } => return Err(TokenOptionsError::Two),
        TokenOptions { token: Some(token), .. } => ("--token".to_owned(), token.to_owned()),
        TokenOptions { file: Some(path), .. } => {
            let unreadable = |source| TokenOptionsError::Unreadable { from: path.to_owned(), source };
            let text = if path == Path::new("-") {
                bounded(stdin)
            } else {
                std::fs::File::open(path).and_then(|mut file| bounded(&mut file))
            };
            (format!("--token-file {}", path.display()), text.map_err(unreadable)?)
        }
        TokenOptions { environment: Some(token), .. } => ("PICKET_TOKEN".to_owned(), token.to_owned()),
        _ => return Err(TokenOptionsError::Missing),
    };
    text.parse().map_err(|bad| TokenOptionsError::Bad { from, bad })
}

fn bounded(source: &mut dyn Read) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    source.take(TOKEN_BYTES_MAX as u64 * 4).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use shared::enroll::TokenId;
    use shared::tls::KeyHash;

    use super::*;

    #[test]
    fn token_is_taken_from_where_it_was_given_and_trimmed() {
        let token = Token::new(KeyHash([1; 32]), TokenId([2; 8]), [3; 16]);
        let text = format!("  {}\n", token.reveal());
        let path = std::env::temp_dir().join(format!("picket-token-{}", std::process::id()));
        std::fs::write(&path, &text).unwrap();
        let none = || -> &[u8] { b"" };
        let read = |options, mut stdin: &[u8]| read_token(options, &mut stdin).unwrap();
        let options = TokenOptions::default();
        assert_eq!(read(TokenOptions { token: Some(&text), ..options }, none()), token);
        assert_eq!(read(TokenOptions { file: Some(&path), environment: Some("x"), ..options }, none()), token);
        assert_eq!(read(TokenOptions { file: Some(Path::new("-")), ..options }, text.as_bytes()), token);
        assert_eq!(read(TokenOptions { environment: Some(&text), ..options }, none()), token);
        std::fs::remove_file(&path).unwrap();
        let gone = read_token(TokenOptions { file: Some(&path), ..options }, &mut none()).unwrap_err();
        assert!(gone.to_string().starts_with("cannot read the token from /"), "{gone}");
    }

    #[test]
    fn mistakes_are_named_without_showing_the_token() {
        let error = |options| read_token(options, &mut &b""[..]).unwrap_err().to_string();
        let options = TokenOptions::default();
        assert!(error(options).starts_with("no token: give --token-file"));
        let both = TokenOptions { token: Some("a"), file: Some(Path::new("b")), ..options };
        assert!(error(both).contains("both given"));
        let typo = error(TokenOptions { environment: Some("hunter2"), ..options });
        assert!(typo.starts_with("PICKET_TOKEN: this is not a token") && !typo.contains("hunter2"), "{typo}");
        assert!(error(TokenOptions { file: Some(Path::new("-")), ..options }).contains("the token is empty"));
    }
}
