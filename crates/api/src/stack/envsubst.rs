//! Variables in a stack file, in the dialect of the peers' substitution (contract 6.5).
//!
//! `${NAME}` and the forms with an operator are replaced; a bare `$NAME` stays; `$$` is a dollar sign and `\\` a
//! backslash. Words after an operator may themselves hold substitutions, to a stated depth. What is unset is empty.

use std::borrow::Cow;

mod glob;

/// Words within words, deeper than any file needs and far from the end of the stack.
const DEEPEST: usize = 32;

/// A `${` that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct InvalidSubstitution {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What was expected there.
    pub message: String,
}

/// Replaces the variables in `text` by what `lookup` knows.
pub fn substitute(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, InvalidSubstitution> {
    let mut parser = Parser { text, at: 0, depth: 0, lookup };
    parser.parse_until(&[]).map_err(|message| parser.error(message))
}

struct Parser<'a> {
    text: &'a str,
    /// A byte offset on a character's boundary.
    at: usize,
    depth: usize,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Parser<'_> {
    fn error(&self, message: &str) -> InvalidSubstitution {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        InvalidSubstitution {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            message: message.to_owned(),
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    /// Text with its substitutions done, up to one of `ends`, which stays, or to the end of the text.
    fn parse_until(&mut self, ends: &[char]) -> Result<String, &'static str> {
        let mut out = String::new();
        while let Some(next) = self.peek() {
            if ends.contains(&next) {
                break;
            } else if self.take("$$") {
                out.push('$');
            } else if self.take("\\\\") {
                out.push('\\');
            } else if self.rest().starts_with("${") {
                out.push_str(&self.parse_substitution()?);
            } else {
                out.push(next);
                self.at += next.len_utf8();
            }
        }
        Ok(out)
    }

    fn parse_substitution(&mut self) -> Result<String, &'static str> {
        let start = self.at;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("expected fewer substitutions within each other");
        }
        self.at += "${".len();
        let value = self.parse_expression()?;
        if !self.take("}") {
            // The end of the file helps nobody: the error stands where the substitution begins.
            self.at = start;
            return Err(r#"expected "}" to end the "${" that begins here"#);
        }
        self.depth -= 1;
        Ok(value)
    }

    fn parse_expression(&mut self) -> Result<String, &'static str> {
        if self.take("#") {
            let value = self.parse_variable()?;
            return Ok(value.chars().count().to_string());
        }
        let value = self.parse_variable()?;
        self.parse_operator(value)
    }

    fn parse_variable(&mut self) -> Result<String, &'static str> {
        let is_inner = |c: char| c.is_alphanumeric() || c == '_';
        let end = self.rest().find(|c| !is_inner(c)).unwrap_or_else(|| self.rest().len());
        let name = self.rest().get(..end).unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(r#"expected a variable's name after "${" (write "$${" for the text itself)"#);
        }
        self.at += end;
        Ok((self.lookup)(&name).unwrap_or_default())
    }

    fn parse_operator(&mut self, value: String) -> Result<String, &'static str> {
        for (operator, apply) in CASES {
            if self.take(operator) {
                return Ok(apply(&value));
            }
        }
        for (operator, trim) in TRIMS {
            if self.take(operator) {
                let pattern = self.parse_until(&['}'])?;
                return Ok(trim(&value, &pattern).to_owned());
            }
        }
        for operator in [":-", ":=", ":+", ":?", "-", "=", "+", "?"] {
            if self.take(operator) {
                let word = self.parse_until(&['}'])?;
                return Ok(if value.is_empty() { word } else { value });
            }
        }
        match self.peek() {
            Some(':') => self.parse_slice(&value),
            Some('/') => self.parse_replacement(&value),
            _ => Ok(value),
        }
    }

    fn parse_slice(&mut self, value: &str) -> Result<String, &'static str> {
        self.take(":");
        let start = self.parse_until(&[':', '}'])?;
        let length = if self.take(":") { Some(self.parse_until(&['}'])?) } else { None };
        Ok(slice(value, &start, length.as_deref()).unwrap_or_else(|| value.to_owned()))
    }

    fn parse_replacement(&mut self, value: &str) -> Result<String, &'static str> {
        let operator = ["//", "/#", "/%", "/"].into_iter().find(|operator| self.take(operator));
        let old = self.parse_until(&['/', '}'])?;
        self.take("/");
        let new = self.parse_until(&['}'])?;
        Ok(replace(value, operator.unwrap_or("/"), &old, &new).into_owned())
    }
}

type Case = fn(&str) -> String;
const CASES: [(&str, Case); 4] = [
    ("^^", |value| value.to_uppercase()),
    ("^", |value| change_first(value, |first| first.to_uppercase().collect())),
    (",,", |value| value.to_lowercase()),
    (",", |value| change_first(value, |first| first.to_lowercase().collect())),
];

type Trim = for<'a> fn(&'a str, &str) -> &'a str;
const TRIMS: [(&str, Trim); 4] = [
    ("##", glob::trim_longest_prefix),
    ("#", glob::trim_shortest_prefix),
    ("%%", glob::trim_longest_suffix),
    ("%", glob::trim_shortest_suffix),
];

fn change_first(value: &str, change: impl Fn(char) -> String) -> String {
    let mut rest = value.chars();
    rest.next().map(|first| change(first) + rest.as_str()).unwrap_or_default()
}

/// `length` characters from `start`; from the end when `start` is negative. `None` when either is no number.
fn slice(value: &str, start: &str, length: Option<&str>) -> Option<String> {
    let count = value.chars().count();
    let start: isize = start.trim().parse().ok()?;
    let start = if start < 0 { count.saturating_sub(start.unsigned_abs()) } else { start.unsigned_abs() };
    let end = match length.map(|length| length.trim().parse::<isize>()).transpose().ok()? {
        None => count,
        Some(length) if length < 0 => count.saturating_sub(length.unsigned_abs()),
        Some(length) => start.saturating_add(length.unsigned_abs()),
    };
    Some(value.chars().skip(start).take(end.saturating_sub(start)).collect())
}

fn replace<'a>(value: &'a str, operator: &str, old: &str, new: &str) -> Cow<'a, str> {
    if old.is_empty() {
        return Cow::Borrowed(value);
    }
    match operator {
        "//" => value.replace(old, new).into(),
        "/#" => value.strip_prefix(old).map_or(Cow::Borrowed(value), |rest| format!("{new}{rest}").into()),
        "/%" => value.strip_suffix(old).map_or(Cow::Borrowed(value), |rest| format!("{rest}{new}").into()),
        _ => value.replacen(old, new, 1).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "NAME" => Some("hello".to_owned()),
            "IMAGE" => Some("docker.io/library/app.tar.gz".to_owned()),
            "WORDS" => Some("one two one".to_owned()),
            "UPPER" => Some("ÄBC".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn check(text: &str, expect: &str) {
        assert_eq!(substitute(text, &lookup).unwrap(), expect, "{text}");
    }

    #[test]
    fn every_form_of_the_dialect_is_replaced() {
        for (text, expect) in [
            ("a ${NAME} b", "a hello b"),
            ("${UNSET}", ""),
            ("$NAME", "$NAME"),
            ("$", "$"),
            ("$$NAME $${NAME}", "$NAME ${NAME}"),
            (r"a\\b \n", r"a\b \n"),
            ("${#NAME}", "5"),
            ("${NAME^}", "Hello"),
            ("${NAME^^}", "HELLO"),
            ("${UPPER,}", "äBC"),
            ("${UPPER,,}", "äbc"),
            ("${NAME:1}", "ello"),
            ("${NAME:1:3}", "ell"),
            ("${NAME: -2}", "lo"),
            ("${NAME:9}", ""),
            ("${NAME:1:99}", "ello"),
            ("${NAME:x}", "hello"),
            ("${IMAGE#*/}", "library/app.tar.gz"),
            ("${IMAGE##*/}", "library/app.tar.gz"),
            ("${IMAGE##*/*/}", "app.tar.gz"),
            ("${IMAGE%.*}", "docker.io/library/app.tar"),
            ("${IMAGE%%.tar*}", "docker.io/library/app"),
            ("${IMAGE%nothing}", "docker.io/library/app.tar.gz"),
            ("${NAME#h?l}", "lo"),
            ("${NAME#[a-h]}", "ello"),
            ("${WORDS/one/1}", "1 two one"),
            ("${WORDS//one/1}", "1 two 1"),
            ("${WORDS/#one/1}", "1 two one"),
            ("${WORDS/%one/1}", "one two 1"),
            ("${WORDS//one}", " two "),
        ] {
            check(text, expect);
        }
    }

    #[test]
    fn every_default_operator_is_a_default() {
        for operator in [":-", ":=", ":+", ":?", "-", "=", "+", "?"] {
            check(&format!("${{UNSET{operator}x y}}"), "x y");
            check(&format!("${{EMPTY{operator}x}}"), "x");
            check(&format!("${{NAME{operator}x}}"), "hello");
        }
        check("${UNSET:-http://127.0.0.1:8080}", "http://127.0.0.1:8080");
        check("${UNSET:-${ALSO_UNSET:-${NAME}}}", "hello");
        check("${UNSET:-}", "");
    }

    #[test]
    fn what_is_no_substitution_is_an_error_with_its_place() {
        for (text, line, column) in
            [("ok: 1\nb: ${NAME", 2, 4), ("${}", 1, 3), ("ä ${NAME!}", 1, 3), ("${UNSET:-${NAME}", 1, 1)]
        {
            let error = substitute(text, &lookup).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
        }
        assert!(substitute(&"${A:-".repeat(10_000), &lookup).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\$\\{|\\}|[$#%/:^,A-Z*?\\[\\]\\\\-]|\\PC){0,40}") {
            let _ = substitute(&text, &lookup);
        }

        #[test]
        fn text_without_dollar_or_backslash_stays(text in "[^$\\\\]{0,60}") {
            prop_assert_eq!(substitute(&text, &lookup).unwrap(), text);
        }
    }
}
