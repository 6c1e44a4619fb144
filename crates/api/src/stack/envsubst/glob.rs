//! Shell patterns for the trimming operators: `*`, `?`, `[a-z]`, `[^a]` and `\x`; none of them crosses a `/`, as in
//! the peers' matcher. A pattern that is not well formed matches nothing.

pub(super) fn trim_shortest_prefix<'a>(value: &'a str, pattern: &str) -> &'a str {
    let cut = boundaries(value).find(|&end| matches(pattern, value.get(..end).unwrap_or_default()));
    cut.and_then(|end| value.get(end..)).unwrap_or(value)
}

pub(super) fn trim_longest_prefix<'a>(value: &'a str, pattern: &str) -> &'a str {
    let cut = boundaries(value).rev().find(|&end| matches(pattern, value.get(..end).unwrap_or_default()));
    cut.and_then(|end| value.get(end..)).unwrap_or(value)
}

pub(super) fn trim_shortest_suffix<'a>(value: &'a str, pattern: &str) -> &'a str {
    let cut = boundaries(value).rev().find(|&start| matches(pattern, value.get(start..).unwrap_or_default()));
    cut.and_then(|start| value.get(..start)).unwrap_or(value)
}

pub(super) fn trim_longest_suffix<'a>(value: &'a str, pattern: &str) -> &'a str {
    let cut = boundaries(value).find(|&start| matches(pattern, value.get(start..).unwrap_or_default()));
    cut.and_then(|start| value.get(..start)).unwrap_or(value)
}

/// Every offset at which the text can be cut.
fn boundaries(value: &str) -> impl DoubleEndedIterator<Item = usize> {
    (0..=value.len()).filter(|&at| value.is_char_boundary(at))
}

/// One step of a pattern.
enum Step {
    Star,
    Any,
    Literal(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Step {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => c != '/',
            Self::Literal(literal) => *literal == c,
            Self::Class { negated, ranges } => {
                c != '/' && ranges.iter().any(|&(from, to)| (from..=to).contains(&c)) != *negated
            }
        }
    }
}

/// Whether the whole of `value` matches: one row of reachable steps a character, so that no pattern is slow.
fn matches(pattern: &str, value: &str) -> bool {
    let Some(steps) = parse(pattern) else { return false };
    let mut row = vec![false; steps.len() + 1];
    row.iter_mut().take(1).for_each(|start| *start = true);
    skip_stars(&steps, &mut row);
    for c in value.chars() {
        row = advance(&steps, &row, c);
        skip_stars(&steps, &mut row);
    }
    row.last().copied().unwrap_or_default()
}

/// A star may take nothing, so what reaches it reaches the step behind it.
fn skip_stars(steps: &[Step], row: &mut [bool]) {
    let mut reached = false;
    for (at, cell) in row.iter_mut().enumerate() {
        *cell |= reached;
        reached = *cell && matches!(steps.get(at), Some(Step::Star));
    }
}

fn advance(steps: &[Step], row: &[bool], c: char) -> Vec<bool> {
    let mut next = vec![false; row.len()];
    for (at, step) in steps.iter().enumerate() {
        let reached = row.get(at).copied().unwrap_or_default() && step.takes(c);
        let to = if matches!(step, Step::Star) { at } else { at + 1 };
        if let Some(cell) = next.get_mut(to) {
            *cell |= reached;
        }
    }
    next
}

fn parse(pattern: &str) -> Option<Vec<Step>> {
    let mut rest = pattern.chars();
    let mut steps = Vec::new();
    while let Some(c) = rest.next() {
        steps.push(match c {
            '*' => Step::Star,
            '?' => Step::Any,
            '\\' => Step::Literal(rest.next()?),
            '[' => parse_class(&mut rest)?,
            literal => Step::Literal(literal),
        });
    }
    Some(steps)
}

fn parse_class(rest: &mut std::str::Chars<'_>) -> Option<Step> {
    let negated = rest.as_str().starts_with(['^', '!']);
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        match rest.next()? {
            ']' if !ranges.is_empty() => return Some(Step::Class { negated, ranges }),
            from => ranges.push((from, parse_range_end(from, rest)?)),
        }
    }
}

fn parse_range_end(from: char, rest: &mut std::str::Chars<'_>) -> Option<char> {
    if !rest.as_str().starts_with('-') {
        return Some(from);
    }
    rest.next();
    rest.next()
}
