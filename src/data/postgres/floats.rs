//! Floating-point numbers in COPY text, re-printed so that servers before 12 (17 digits) and later ones (the shortest
//! that reads back) give the same text for the same number. For digests only: files stay as the server sent them.

use std::io::Write;

/// Appends `field` to `out` with every number in its shortest form, `d.ddde<exponent>`: the fewest decimal digits that
/// read back as the same number. What is no number (`NaN`, `Infinity`, `NULL`, `\N`, brackets) is copied.
///
/// `single` reads numbers as `real`: the shortest form of a `real` is not that of the same text read as a double.
pub fn reprint(field: &[u8], single: bool, out: &mut Vec<u8>) {
    let mut rest = field;
    while let Some(start) = rest.iter().position(|b| begins_number(*b)) {
        out.extend_from_slice(&rest[..start]);
        rest = &rest[start..];
        let end = rest.iter().position(|b| !in_number(*b)).unwrap_or(rest.len());
        reprint_number(&rest[..end], single, out);
        rest = &rest[end..];
    }
    out.extend_from_slice(rest);
}

fn begins_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.')
}

fn in_number(byte: u8) -> bool {
    begins_number(byte) || matches!(byte, b'e' | b'E')
}

fn reprint_number(token: &[u8], single: bool, out: &mut Vec<u8>) {
    let text = std::str::from_utf8(token).unwrap_or_default();
    let written = if single {
        text.parse::<f32>().ok().map(|number| write!(out, "{number:e}"))
    } else {
        text.parse::<f64>().ok().map(|number| write!(out, "{number:e}"))
    };
    // The sign of `-Infinity` comes here as a token of its own.
    if written.is_none() {
        out.extend_from_slice(token);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reprinted(field: &str, single: bool) -> String {
        let mut out = Vec::new();
        reprint(field.as_bytes(), single, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_old_and_new_servers_print_becomes_the_same() {
        // Left: PostgreSQL 9.5.3 with extra_float_digits 3; right: 15.
        for (old, new, single) in [
            ("0.100000000000000006", "0.1", false),
            ("0.100000001", "0.1", true),
            ("9.99999999999999992e+22", "1e+23", false),
            ("(1.10000000000000009,-2.20000000000000018)", "(1.1,-2.2)", false),
            ("{NaN,-Infinity,NULL,1.5,-0}", "{NaN,-Infinity,NULL,1.5,-0}", false),
            ("4.94065645841246544e-324", "5e-324", false),
            ("3.40282347e+38", "3.4028235e+38", true),
        ] {
            assert_eq!(reprinted(old, single), reprinted(new, single));
        }
    }

    #[test]
    fn what_is_no_number_stays() {
        for text in ["\\N", "", "NaN", "Infinity", "-Infinity", "{NULL,NaN}"] {
            assert_eq!(reprinted(text, false), text);
        }
        assert_eq!(reprinted("-0", false), "-0e0");
        assert_ne!(reprinted("0", false), reprinted("-0", false));
    }

    proptest! {
        #[test]
        fn seventeen_digits_and_the_shortest_form_agree(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            prop_assert_eq!(reprinted(&format!("{number:.16e}"), false), reprinted(&format!("{number}"), false));
        }

        #[test]
        fn nine_digits_and_the_shortest_form_agree(bits in any::<u32>()) {
            let number = f32::from_bits(bits);
            prop_assume!(number.is_finite());
            prop_assert_eq!(reprinted(&format!("{number:.8e}"), true), reprinted(&format!("{number}"), true));
        }

        #[test]
        fn different_numbers_stay_different(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite() && a.to_bits() != b.to_bits());
            prop_assert_ne!(reprinted(&a.to_string(), false), reprinted(&b.to_string(), false));
        }
    }
}
