//! Whether a repository's password is one that nobody guesses. Whoever copies the bucket can try as often as he likes;
//! scrypt makes a try dear, the password must make the tries many.

/// An attacker with a thousand cores tries about 2¹⁵ passwords a second against scrypt's cost here; 2⁶⁰ of them take a
/// million years, 2⁴⁰ one.
const ENOUGH_BITS: f64 = 60.0;

/// People's choice of capitals and signs follows habits (first letter, `0` for `o`, a sign at the end); a random
/// character of base64 would be worth 6. With this, twelve characters are the least.
const MOST_A_CHARACTER: f64 = 5.0;

/// What is tried first; each counts as one of the list, however long it is.
const COMMON: [&str; 22] = [
    "password", "passwort", "passwd", "drydock", "backup", "restic", "secret", "geheim", "admin", "root", "qwerty",
    "qwertz", "welcome", "letmein", "changeme", "postgres", "redis", "test", "dragon", "master", "monkey", "login",
];

/// An upper estimate of how many bits it takes to guess `password`: characters cost what their kinds allow, a
/// repetition, a sequence (`1234`, `abcd`) or a common word nearly nothing. `names` are words that an attacker knows,
/// such as the stack's name.
#[must_use]
pub fn bits(password: &str, names: &[&str]) -> f64 {
    let lower = password.to_lowercase();
    let words: Vec<&str> = COMMON.iter().copied().chain(names.iter().copied()).filter(|w| w.len() > 2).collect();
    let word_bits = (words.len() as f64).log2();
    let per_character = alphabet(password).log2().min(MOST_A_CHARACTER);
    let characters: Vec<(usize, char)> = lower.char_indices().collect();
    let (mut bits, mut n) = (0.0, 0);
    while n < characters.len() {
        let (at, c) = characters[n];
        if let Some(word) = words.iter().filter(|word| lower[at..].starts_with(**word)).max_by_key(|word| word.len()) {
            bits += word_bits;
            n += word.chars().count();
            continue;
        }
        let step = |a: usize, b: usize| i64::from(u32::from(characters[b].1)) - i64::from(u32::from(characters[a].1));
        let follows = n > 0 && step(n - 1, n).abs() <= 1;
        let repeats = n >= 4 && characters[..n - 1].windows(2).any(|w| w[0].1 == characters[n - 1].1 && w[1].1 == c);
        bits += if follows || repeats { 1.0 } else { per_character };
        n += 1;
    }
    bits
}

/// How many characters of the kinds that occur there are.
fn alphabet(password: &str) -> f64 {
    let has = |kind: fn(&char) -> bool| password.chars().any(|c| kind(&c));
    let kinds = [
        (has(char::is_ascii_lowercase), 26.0),
        (has(char::is_ascii_uppercase), 26.0),
        (has(char::is_ascii_digit), 10.0),
        (has(|c| !c.is_ascii_alphanumeric()), 33.0),
    ];
    kinds.iter().filter(|(has, _)| *has).map(|(_, size)| size).sum::<f64>().max(1.0)
}

/// Whether `password` can be guessed.
#[must_use]
pub fn is_weak(password: &str, names: &[&str]) -> bool {
    bits(password, names) < ENOUGH_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_choose_is_weak() {
        for weak in [
            "",
            "secret",
            "Password123!",
            "drydock-backup-2026",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefghijklmnop",
            "12345678901234567890",
            "shop-shop-shop-shop",
            "Tr0ub4dor&3",
            "abababababababababababab",
        ] {
            assert!(is_weak(weak, &["shop"]), "{weak}: {}", bits(weak, &["shop"]));
        }
    }

    #[test]
    fn what_a_generator_makes_is_not() {
        for good in
            ["correct horse battery staple", "kR8v2mQx9ZtL4w", "gusto-plover-anvil-mica", "7f3c9e0b5a1d8246f0e3"]
        {
            assert!(!is_weak(good, &["shop"]), "{good}: {}", bits(good, &["shop"]));
        }
    }
}
