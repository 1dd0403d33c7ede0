//! Irreducible polynomials over GF(2) of degree 53, as restic's chunker wants them in a repository's config.
//! Source: <https://github.com/restic/chunker> `polynomials.go`; the test is Ben-Or's.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DEGREE: u32 = 53;

/// A polynomial over GF(2): bit i is the coefficient of xⁱ. Secret: whoever knows it can tell files by chunk sizes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Polynomial(u64);

impl Polynomial {
    /// A random irreducible one of degree 53. About one in 27 candidates is; each test takes microseconds.
    pub fn random() -> Self {
        loop {
            let below = rand::random::<u64>() & ((1 << DEGREE) - 1);
            // a constant term of 0 is divisible by x
            let candidate = Self(1 << DEGREE | below | 1);
            if candidate.is_irreducible() {
                return candidate;
            }
        }
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    /// Ben-Or: f of degree n is irreducible if no i up to n/2 gives x^(2^i) − x a factor in common with f.
    pub fn is_irreducible(self) -> bool {
        if self.0 < 2 {
            return false;
        }
        let mut power = 0b10; // x^(2^i) modulo f
        (1..=degree(self.0) / 2).all(|_| {
            power = remainder(square(power), self.0);
            gcd(self.0, power ^ 0b10) == 1
        })
    }
}

fn degree(polynomial: u64) -> u32 {
    63 - polynomial.leading_zeros()
}

/// Squaring over GF(2) spreads the bits: (Σ xⁱ)² = Σ x²ⁱ.
fn square(polynomial: u64) -> u128 {
    (0..64).filter(|i| polynomial >> i & 1 == 1).fold(0, |sum, i| sum | 1 << (2 * i))
}

fn remainder(mut dividend: u128, divisor: u64) -> u64 {
    let degree = degree(divisor);
    while dividend >> degree != 0 {
        let excess = 127 - dividend.leading_zeros() - degree;
        dividend ^= u128::from(divisor) << excess;
    }
    u64::try_from(dividend).expect("what is left is shorter than the divisor")
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, remainder(a.into(), b));
    }
    a
}

impl fmt::Debug for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Polynomial(***)")
    }
}

impl Serialize for Polynomial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Polynomial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| D::Error::custom("the polynomial is not hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restics_own_polynomial_is_irreducible_and_products_are_not() {
        // the first is the example of restic's design document, the second its tests' constant
        for bits in [0x25_b468_838d_cb75, 0x3D_A335_8B4D_C173, 0b111, 0b10] {
            assert!(Polynomial(bits).is_irreducible(), "{bits:x}");
        }
        // x², x²+1 = (x+1)², x⁴+x²+1 = (x²+x+1)², and a neighbour of the first
        for bits in [0, 1, 0b100, 0b101, 0b10101, 0x25_b468_838d_cb74] {
            assert!(!Polynomial(bits).is_irreducible(), "{bits:x}");
        }
    }

    #[test]
    fn every_irreducible_polynomial_of_degree_8_is_found() {
        let irreducible = (256..512).filter(|&bits| Polynomial(bits).is_irreducible()).count();
        assert_eq!(irreducible, 30, "there are exactly 30 over GF(2)");
    }

    #[test]
    fn random_ones_have_degree_53_and_survive_json() {
        for _ in 0..20 {
            let polynomial = Polynomial::random();
            assert!(polynomial.is_irreducible());
            assert_eq!(degree(polynomial.bits()), 53);
            let json = serde_json::to_string(&polynomial).unwrap();
            assert_eq!(serde_json::from_str::<Polynomial>(&json).unwrap(), polynomial, "{json}");
        }
    }
}
