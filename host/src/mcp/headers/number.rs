//! Integers in decimal, however they are spelt: `42`, `42.0`, `4.2e1` are one.
//!
//! Digits are compared, not doubles: no two integers are equal by rounding.

/// The longest exponent that is looked at, and with it the longest number that is written out.
const MAX_EXPONENT: i64 = 400;

/// Whether two texts are the same number. Texts that are no decimal numbers are equal to nothing.
pub(super) fn equal(one: &str, other: &str) -> bool {
    match (Decimal::read(one), Decimal::read(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The number as an integer writes it, without a fraction or an exponent; none if it is no integer, or a monstrous one.
pub(super) fn as_integer(text: &str) -> Option<String> {
    let decimal = Decimal::read(text)?;
    let zeros = usize::try_from(decimal.exponent).ok()?;
    let sign = if decimal.negative { "-" } else { "" };
    Some(format!("{sign}{}{}", decimal.digits, "0".repeat(zeros)))
}

/// `digits` times ten to the power `exponent`; without zeros before or behind, zero as one digit and positive.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || exponent.abs() > MAX_EXPONENT
        {
            return None;
        }
        let joined = format!("{whole}{fraction}");
        let significant = joined.trim_start_matches('0');
        let trimmed = significant.trim_end_matches('0');
        if trimmed.is_empty() {
            return Some(Self {
                negative: false,
                digits: "0".to_owned(),
                exponent: 0,
            });
        }
        let behind = i64::try_from(significant.len() - trimmed.len()).ok()?;
        let fraction = i64::try_from(fraction.len()).ok()?;
        Some(Self {
            negative,
            digits: trimmed.to_owned(),
            exponent: exponent - fraction + behind,
        })
    }
}
