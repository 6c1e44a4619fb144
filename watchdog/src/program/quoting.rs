//! Splitting by a shell's quotes, and nothing else of a shell: no variables, no patterns, no operators.
//!
//! Blanks, any number of them, separate words. Between `'` everything is itself. Between `"` a backslash takes the
//! meaning from a `"` or a backslash, and is itself before anything else. Adjacent parts are one word.

use std::iter::Peekable;
use std::str::Chars;

use super::Error;

/// The words of a command.
pub(super) fn split(command: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut chars = command.chars().peekable();
    loop {
        while chars.next_if(char::is_ascii_whitespace).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let word = take_word(&mut chars);
        words.push(word.map_err(|quote| Error::Unterminated { command: command.to_owned(), quote })?);
    }
}

/// Up to a blank outside quotes, or the quote that is never closed.
fn take_word(chars: &mut Peekable<Chars<'_>>) -> Result<String, char> {
    let mut word = String::new();
    while let Some(char) = chars.next_if(|char| !char.is_ascii_whitespace()) {
        match char {
            '\'' | '"' => take_quoted(chars, char, &mut word).ok_or(char)?,
            plain => word.push(plain),
        }
    }
    Ok(word)
}

/// The rest of a quoted part; None if it does not end.
fn take_quoted(chars: &mut Peekable<Chars<'_>>, quote: char, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            end if end == quote => return Some(()),
            '\\' if quote == '"' => word.push(chars.next_if(|&c| matches!(c, '"' | '\\')).unwrap_or('\\')),
            plain => word.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_by_their_quotes() {
        for (command, words) in [
            ("'a b'", &["a b"][..]),
            ("\"a b\"", &["a b"]),
            ("'a'  \t\n b ", &["a", "b"]),
            ("'a'\"b\"c'd e'", &["abcd e"]),
            ("'' \"\" x", &["", "", "x"]),
            (r"'a\b\' ", &[r"a\b\"]),
            (r#""a\"b\\c\n""#, &[r#"a"b\c\n"#]),
            (r#""it's" 'a "b"'"#, &["it's", r#"a "b""#]),
            (r"'a' b\ c", &["a", r"b\", "c"]),
            ("'$HOME' $HOME * | ;", &["$HOME", "$HOME", "*", "|", ";"]),
            ("'grüße' x", &["grüße", "x"]),
        ] {
            assert_eq!(split(command).unwrap(), words, "{command}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_is_named() {
        for (command, quote) in [("'a", '\''), ("\"a'", '"'), ("'a' b\"", '"'), (r#""a\""#, '"'), ("'", '\'')]
        {
            let error = split(command).unwrap_err();
            assert_eq!(error, Error::Unterminated { command: command.to_owned(), quote }, "{command}");
        }
    }
}
