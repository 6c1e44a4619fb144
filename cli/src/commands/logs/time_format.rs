//! Go writes a time's layout as an example (`2006-01-02`); here it becomes what `strftime` reads.

/// Layouts that have names.
const NAMED: [(&str, &str); 12] = [
    ("ansic", "Mon Jan _2 15:04:05 2006"),
    ("unixdate", "Mon Jan _2 15:04:05 MST 2006"),
    ("rubydate", "Mon Jan 02 15:04:05 -0700 2006"),
    ("rfc822", "02 Jan 06 15:04 MST"),
    ("rfc822z", "02 Jan 06 15:04 -0700"),
    ("rfc850", "Monday, 02-Jan-06 15:04:05 MST"),
    ("rfc1123", "Mon, 02 Jan 2006 15:04:05 MST"),
    ("rfc1123z", "Mon, 02 Jan 2006 15:04:05 -0700"),
    ("rfc3339", "2006-01-02T15:04:05Z07:00"),
    ("rfc3339nano", "2006-01-02T15:04:05.999999999Z07:00"),
    ("kitchen", "3:04PM"),
    ("stamp", "Jan _2 15:04:05"),
];

/// Parts of a layout; a longer one stands before what it begins with. Times are shown in UTC.
const PARTS: [(&str, &str); 27] = [
    ("2006", "%Y"),
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "UTC"),
    ("Z07:00", "Z"),
    ("Z0700", "Z"),
    ("-07:00", "+00:00"),
    ("-0700", "+0000"),
    ("-07", "+00"),
    (".000000000", "%.9f"),
    (".000000", "%.6f"),
    (".000", "%.3f"),
    (".999999999", "%.f"),
    (".999999", "%.f"),
    (".999", "%.f"),
    ("_2", "%e"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("%", "%%"),
];

/// The format for `strftime`; empty for an empty layout.
pub(super) fn to_strftime(layout: &str) -> String {
    let named = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(layout));
    let mut rest = named.map_or(layout, |(_, layout)| layout);
    let mut format = String::new();
    while let Some(next) = rest.chars().next() {
        let part = PARTS.iter().find_map(|(part, code)| Some((*code, rest.strip_prefix(part)?)));
        match (part, next) {
            (Some((code, after)), _) => {
                format += code;
                rest = after;
            }
            // Without a leading zero; the other forms of one digit are not in use.
            (None, '3') => {
                format += "%-I";
                rest = rest.get(1..).unwrap_or_default();
            }
            (None, other) => {
                format.push(other);
                rest = rest.get(other.len_utf8()..).unwrap_or_default();
            }
        }
    }
    format
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn layouts_show_times_as_go_does() {
        let time: Timestamp = "2026-01-02T15:04:05.678Z".parse().unwrap();
        for (layout, expect) in [
            ("rfc3339", "2026-01-02T15:04:05Z"),
            ("RFC3339Nano", "2026-01-02T15:04:05.678Z"),
            ("2006-01-02 15:04:05.000", "2026-01-02 15:04:05.678"),
            ("kitchen", "3:04PM"),
            ("ansic", "Fri Jan  2 15:04:05 2026"),
            ("100 % ä", "100 % ä"),
            ("", ""),
        ] {
            assert_eq!(time.strftime(&to_strftime(layout)).to_string(), expect, "{layout}");
        }
    }

    proptest! {
        #[test]
        fn no_layout_panics(layout in "(%|[0-9.:_-]|\\PC){0,30}") {
            let _ = Timestamp::UNIX_EPOCH.strftime(&to_strftime(&layout)).to_string();
        }
    }
}
