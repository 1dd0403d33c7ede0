//! Text as Go writes it, because restic's documents are what Go's encoders make of them and a blob's id is the hash
//! of those bytes: `encoding/json` strings, `strconv.Quote`, RFC 3339 times with nanoseconds.

/// Appends `text` as `encoding/json` does by default: `<`, `>`, `&` and the two line separators are escaped, bytes that
/// are not UTF-8 become U+FFFD. Source: Go 1.22 `encoding/json/encode.go` `appendString` (before 1.22 backspace and form
/// feed were `\u0008` and `\u000c`; names never hold them raw, because [`push_quoted`] has been there first).
pub fn push_json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        push_json_text(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            // Go decodes byte by byte: each byte that belongs to no character is replaced on its own.
            chunk.invalid().iter().for_each(|_| out.extend_from_slice(b"\\ufffd"));
        }
    }
    out.push(b'"');
}

fn push_json_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            8 => b"\\b",
            12 => b"\\f",
            b'<' => b"\\u003c",
            b'>' => b"\\u003e",
            b'&' => b"\\u0026",
            0..=31 => &[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]],
            0xE2 if bytes[i..].starts_with("\u{2028}".as_bytes()) => b"\\u2028",
            0xE2 if bytes[i..].starts_with("\u{2029}".as_bytes()) => b"\\u2029",
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..i]);
        out.extend_from_slice(escape);
        start = i + if byte == 0xE2 { 3 } else { 1 };
    }
    out.extend_from_slice(&bytes[start..]);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `name` as `strconv.Quote` does, without the quotes around it; [`unquote`] gives the same bytes back,
/// whatever they are.
pub fn push_quoted(out: &mut Vec<u8>, name: &[u8]) {
    for chunk in name.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_quoted_char(out, c));
        chunk.invalid().iter().for_each(|&byte| push_hex(out, b"\\x", u32::from(byte), 2));
    }
}

fn push_quoted_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' => b'"',
        '\\' => b'\\',
        '\u{7}' => b'a',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{b}' => b'v',
        _ if is_print(c) => return out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        _ if c < ' ' || c == '\u{7f}' => return push_hex(out, b"\\x", c.into(), 2),
        _ if u32::from(c) < 0x1_0000 => return push_hex(out, b"\\u", c.into(), 4),
        _ => return push_hex(out, b"\\U", c.into(), 8),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn push_hex(out: &mut Vec<u8>, prefix: &[u8], value: u32, digits: u32) {
    out.extend_from_slice(prefix);
    out.extend((0..digits).rev().map(|d| HEX[(value >> (4 * d)) as usize & 15]));
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
///
/// `str::escape_debug` draws the same line for every character but the first (where it escapes combining marks too),
/// of a newer Unicode: characters assigned since are raw here and `\u…` in an older restic, and read the same by both.
fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    let mut text = [b'a'; 5];
    let length = 1 + c.encode_utf8(&mut text[1..]).len();
    let text = std::str::from_utf8(&text[..length]).expect("an ASCII letter and one encoded character");
    text.escape_debug().nth(1) == Some(c)
}

/// The bytes that [`push_quoted`] or Go's `strconv.Quote` wrote as `text`; `None` where Go's `Unquote` would refuse it.
pub fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let mut escape = rest[at..].strip_prefix('\\')?.chars();
        match escape.next()? {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' => out.push(b'\\'),
            '"' => out.push(b'"'),
            'x' => out.push(u8::try_from(digits(&mut escape, 2, 16)?).ok()?),
            'u' => push_char(&mut out, digits(&mut escape, 4, 16)?)?,
            'U' => push_char(&mut out, digits(&mut escape, 8, 16)?)?,
            octal @ '0'..='7' => {
                let value = octal.to_digit(8)? * 64 + digits(&mut escape, 2, 8)?;
                out.push(u8::try_from(value).ok()?);
            }
            _ => return None,
        }
        rest = escape.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

fn digits(text: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    let digits = text.as_str().get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    *text = text.as_str()[count..].chars();
    u32::from_str_radix(digits, radix).ok()
}

fn push_char(out: &mut Vec<u8>, value: u32) -> Option<()> {
    out.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

const NS: i128 = 1_000_000_000;
const DAY: i128 = 86_400;

/// Appends nanoseconds since the epoch as a quoted `time.RFC3339Nano` in UTC. A year before 0 becomes 0 and one after
/// 9999 becomes 9999, as restic's `FixTime` does: JSON has no more room, and file systems hold such times.
pub fn push_time(out: &mut Vec<u8>, ns: i128) {
    let (seconds, nanos) = (ns.div_euclid(NS), ns.rem_euclid(NS));
    let (mut days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (mut year, mut month, mut day) = civil_from_days(days);
    if !(0..=9999).contains(&year) {
        days = days_from_civil(year.clamp(0, 9999), month, day);
        (year, month, day) = civil_from_days(days);
    }
    out.push(b'"');
    push_decimal(out, year, 4);
    for (separator, value) in
        [(b'-', month), (b'-', day), (b'T', second / 3600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        out.push(separator);
        push_decimal(out, value, 2);
    }
    if nanos != 0 {
        out.push(b'.');
        push_decimal(out, nanos, 9);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.extend_from_slice(b"Z\"");
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "value mod 10 of a value that is not negative"
)]
fn push_decimal(out: &mut Vec<u8>, value: i128, width: u32) {
    let value = value as u64;
    out.extend((0..width).rev().map(|d| b'0' + (value / 10u64.pow(d) % 10) as u8));
}

/// Nanoseconds since the epoch of an RFC 3339 time in any zone, as Go writes it; `None` where it is none.
pub fn parse_time(text: &str) -> Option<i128> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i128> {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0, |sum, d| d.is_ascii_digit().then(|| sum * 10 + i128::from(d - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, separator)| bytes.get(*at) != Some(separator)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let real = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let mut zone = 19;
    let mut nanos = 0;
    if bytes.get(19) == Some(&b'.') {
        zone = 20 + bytes[20..].iter().take_while(|b| b.is_ascii_digit()).count();
        let kept = zone.min(29);
        nanos = number(20, kept).filter(|_| kept > 20)? * 10i128.pow(u32::try_from(29 - kept).ok()?);
    }
    let offset = match (bytes.get(zone)?, bytes.len() - zone) {
        (b'Z', 1) => 0,
        (sign @ (b'+' | b'-'), 6) if bytes[zone + 3] == b':' => {
            let offset = number(zone + 1, zone + 3)? * 3600 + number(zone + 4, zone + 6)? * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    real.then_some(seconds * NS + nanos)
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; a day past the month's end runs into the next
/// month. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`], from the same source.
fn civil_from_days(days: i128) -> (i128, i128, i128) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    (year_of_era + era * 400 + i128::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(name: &[u8]) -> String {
        let mut out = Vec::new();
        push_quoted(&mut out, name);
        String::from_utf8(out).unwrap()
    }

    fn json(text: &[u8]) -> String {
        let mut out = Vec::new();
        push_json_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn time(ns: i128) -> String {
        let mut out = Vec::new();
        push_time(&mut out, ns);
        String::from_utf8(out).unwrap()
    }

    /// Expected values printed by Go 1.26's `strconv.Quote`.
    #[test]
    fn names_are_quoted_as_go_quotes_them() {
        for (name, expected) in [
            (&b"plain name"[..], "plain name"),
            (b"a\"b\\c", r#"a\"b\\c"#),
            (b"\x00\x01\x07\x08\t\n\x0b\x0c\r\x1b\x7f", r"\x00\x01\a\b\t\n\v\f\r\x1b\x7f"),
            ("grüße 漢字 🚢".as_bytes(), "grüße 漢字 🚢"),
            ("e\u{301}\u{301}".as_bytes(), "e\u{301}\u{301}"),
            ("\u{301}first".as_bytes(), "\u{301}first"),
            ("\u{a0}\u{ad}\u{200b}\u{2028}\u{feff}".as_bytes(), r"\u00a0\u00ad\u200b\u2028\ufeff"),
            ("\u{e000}\u{e0001}\u{10ffff}".as_bytes(), r"\ue000\U000e0001\U0010ffff"),
            ("\u{fffd}".as_bytes(), "\u{fffd}"),
            (b"latin \xe9 \xff\xfe cut \xe2\x82", r"latin \xe9 \xff\xfe cut \xe2\x82"),
            (b"<>&'", "<>&'"),
        ] {
            assert_eq!(quoted(name), expected);
            assert_eq!(unquote(expected).unwrap(), name);
        }
        assert_eq!(unquote(r"\101\377\u00e9"), Some(b"A\xff\xc3\xa9".to_vec()));
        for refused in [r"\", r"\q", r"\x4", r"\u12", r"\ud800", r"\'", "\"", "a\nb", r"\400", r"\x+1", r"\U00110000"] {
            assert_eq!(unquote(refused), None, "{refused}");
        }
    }

    /// Expected values printed by Go 1.26's `json.Marshal`.
    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        assert_eq!(
            json(b"a\"b\\c</&>\x01\x08\x0c\n\r\t\x1f\x7f"),
            r#""a\"b\\c\u003c/\u0026\u003e\u0001\b\f\n\r\t\u001f"#.to_owned() + "\x7f\""
        );
        assert_eq!(json("x\u{2028}y\u{2029}z\u{2027}é🚢".as_bytes()), "\"x\\u2028y\\u2029z\u{2027}é🚢\"");
        assert_eq!(json(b"\xff\xe2\x82cut"), r#""\ufffd\ufffd\ufffdcut""#);
    }

    #[test]
    fn times_are_those_of_go() {
        for (ns, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (1_700_000_000_120_000_000, "2023-11-14T22:13:20.12Z"),
            (951_782_400 * NS, "2000-02-29T00:00:00Z"),
            (-62_135_596_800 * NS, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(time(ns), format!("\"{expected}\""));
            assert_eq!(parse_time(expected), Some(ns));
        }
        // Go's FixTime: only the year changes; the 29th of February becomes the 1st of March.
        assert_eq!(time((253_402_300_800 + 86_400 * 366 * 3) * NS), "\"9999-01-03T00:00:00Z\"".to_owned());
        assert_eq!(time(-62_167_219_201 * NS), "\"0000-12-31T23:59:59Z\"");
        assert_eq!(parse_time("2023-11-14T23:13:20.12+01:00"), Some(1_700_000_000_120_000_000));
        assert_eq!(parse_time("2023-11-14T16:43:20-05:30"), Some(1_700_000_000 * NS));
        for refused in [
            "",
            "2023-11-14",
            "2023-11-14T23:13:20",
            "2023-13-14T23:13:20Z",
            "2023-11-14T23:13:20.Z",
            "2023-11-14T23:13:20+0100",
            "2023-11-14 23:13:20Z",
            "é023-11-14T23:13:20Z",
        ] {
            assert_eq!(parse_time(refused), None, "{refused}");
        }
    }

    proptest! {
        #[test]
        fn any_name_survives_quoting_inside_json(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let inner = quoted(&name);
            prop_assert_eq!(unquote(&inner), Some(name));
            let outer: String = serde_json::from_str(&json(inner.as_bytes())).unwrap();
            prop_assert_eq!(outer, inner);
        }

        #[test]
        fn any_text_survives_json(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&json(text.as_bytes())).unwrap(), text);
        }

        #[test]
        fn any_time_is_what_jiff_says(ns in -62_167_219_200_000_000_000i128..253_402_207_200_000_000_000) {
            let text = time(ns);
            let theirs: jiff::Timestamp = text.trim_matches('"').parse().unwrap();
            prop_assert_eq!(theirs.as_nanosecond(), ns);
            prop_assert_eq!(parse_time(text.trim_matches('"')), Some(ns));
        }
    }
}
