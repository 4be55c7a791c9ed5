//! Exact decimal numbers as Flink computes them: half-up rounding, NULL on overflow.
//!
//! A value is an `i128` of so many digits after the point. Intermediate results need up to 76 digits,
//! so they are computed with 256 bits where 128 don't do.

#[cfg(test)]
mod tests;
mod text;

use std::sync::LazyLock;

use arrow::datatypes::i256;

pub(crate) use text::{Read, from_text, to_text};

/// Powers of ten up to 10^76.
static POWERS: LazyLock<Vec<i256>> = LazyLock::new(|| {
    let ten = i256::from_i128(10);
    let mut powers = vec![i256::ONE];
    for i in 0..76 {
        let next = powers[i].wrapping_mul(ten);
        powers.push(next);
    }
    powers
});

/// Digits in all and after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub precision: u8,
    pub scale: u8,
}

impl Shape {
    pub(crate) const INT: Self = Self {
        precision: 10,
        scale: 0,
    };
    pub(crate) const BIGINT: Self = Self {
        precision: 19,
        scale: 0,
    };

    /// Flink's cap at 38 digits: digits before the point are kept, down to 6 after it.
    fn capped(precision: i32, scale: i32) -> Self {
        if precision <= 38 {
            return Self {
                precision: precision as u8,
                scale: scale as u8,
            };
        }
        let scale = (38 - (precision - scale)).max(scale.min(6));
        Self {
            precision: 38,
            scale: scale as u8,
        }
    }

    fn parts(self) -> (i32, i32) {
        (i32::from(self.precision), i32::from(self.scale))
    }

    pub(crate) fn sum(self, other: Self) -> Self {
        let ((p1, s1), (p2, s2)) = (self.parts(), other.parts());
        let scale = s1.max(s2);
        Self::capped((p1 - s1).max(p2 - s2) + scale + 1, scale)
    }

    pub(crate) fn product(self, other: Self) -> Self {
        let ((p1, s1), (p2, s2)) = (self.parts(), other.parts());
        Self::capped(p1 + p2 + 1, s1 + s2)
    }

    pub(crate) fn quotient(self, other: Self) -> Self {
        let ((p1, s1), (p2, s2)) = (self.parts(), other.parts());
        let scale = (s1 + p2 + 1).max(6);
        Self::capped(p1 - s1 + s2 + scale, scale)
    }

    /// True if a quotient has as many digits as it needs.
    pub(crate) fn quotient_fits(self, other: Self) -> bool {
        let ((p1, s1), (p2, s2)) = (self.parts(), other.parts());
        p1 - s1 + s2 + (s1 + p2 + 1).max(6) <= 38
    }

    pub(crate) fn remainder(self, other: Self) -> Self {
        let ((p1, s1), (p2, s2)) = (self.parts(), other.parts());
        let scale = s1.max(s2);
        Self::capped((p1 - s1).min(p2 - s2) + scale, scale)
    }

    /// The least shape that holds the values of both.
    pub(crate) fn common(self, other: Self) -> Self {
        let ((p1, s1), (p2, s2)) = (self.parts(), other.parts());
        let scale = s1.max(s2);
        Self::capped((p1 - s1).max(p2 - s2) + scale, scale)
    }

    /// The shape of a value rounded to `digits` after the point.
    pub(crate) fn rounded(self, digits: i32) -> Self {
        let (p, s) = self.parts();
        if digits >= s {
            self
        } else if digits < 0 {
            Self {
                precision: (1 + p - s).min(38) as u8,
                scale: 0,
            }
        } else {
            Self {
                precision: (1 + p - s + digits).min(38) as u8,
                scale: digits as u8,
            }
        }
    }
}

fn power(exponent: u32) -> i256 {
    POWERS.get(exponent as usize).copied().unwrap_or(i256::MAX)
}

/// Divides, rounding half away from zero.
fn divide_rounded(value: i256, by: i256) -> Option<i256> {
    if let (Some(value), Some(by)) = (value.to_i128(), by.to_i128()) {
        let (quotient, rest) = (value.checked_div(by)?, value.checked_rem(by)?);
        let up = rest.unsigned_abs() >= by.unsigned_abs() - rest.unsigned_abs();
        let step = if (value < 0) == (by < 0) { 1 } else { -1 };
        return Some(i256::from_i128(if up { quotient + step } else { quotient }));
    }
    let quotient = value.checked_div(by)?;
    let rest = value.checked_rem(by)?;
    let up = abs(rest) >= abs(by).checked_sub(abs(rest))?;
    let step = if (value < i256::ZERO) == (by < i256::ZERO) {
        i256::ONE
    } else {
        i256::MINUS_ONE
    };
    if up {
        quotient.checked_add(step)
    } else {
        Some(quotient)
    }
}

fn abs(value: i256) -> i256 {
    value.wrapping_abs()
}

/// Brings a value of `scale` digits after the point into a shape; `None` if it has too many digits.
fn fit(value: i256, scale: u8, shape: Shape) -> Option<i128> {
    let value = if shape.scale >= scale {
        value.checked_mul(power(u32::from(shape.scale - scale)))?
    } else {
        divide_rounded(value, power(u32::from(scale - shape.scale)))?
    };
    if abs(value) < power(u32::from(shape.precision)) {
        value.to_i128()
    } else {
        None
    }
}

/// [`fit`] for a value that 128 bits hold.
fn fit_small(value: i128, scale: u8, shape: Shape) -> Option<i128> {
    let limit = 10i128.pow(u32::from(shape.precision));
    let value = if shape.scale >= scale {
        value.checked_mul(10i128.pow(u32::from(shape.scale - scale)))?
    } else if scale - shape.scale <= 38 {
        let unit = 10i128.pow(u32::from(scale - shape.scale));
        let (quotient, rest) = (value / unit, value % unit);
        let up = rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2);
        if up {
            quotient + value.signum()
        } else {
            quotient
        }
    } else {
        return fit(i256::from_i128(value), scale, shape);
    };
    (-limit < value && value < limit).then_some(value)
}

/// A value in another shape.
pub(crate) fn reshape(value: i128, scale: u8, shape: Shape) -> Option<i128> {
    if scale == shape.scale && value.unsigned_abs() < 10u128.pow(u32::from(shape.precision)) {
        return Some(value);
    }
    fit(i256::from_i128(value), scale, shape)
}

/// `l + r`, or `l - r` with `minus`.
pub(crate) fn add(l: i128, ls: u8, r: i128, rs: u8, minus: bool, shape: Shape) -> Option<i128> {
    if ls == rs
        && let Some(sum) = if minus {
            l.checked_sub(r)
        } else {
            l.checked_add(r)
        }
    {
        return fit_small(sum, ls, shape);
    }
    let scale = ls.max(rs);
    let l = i256::from_i128(l).checked_mul(power(u32::from(scale - ls)))?;
    let r = i256::from_i128(r).checked_mul(power(u32::from(scale - rs)))?;
    fit(
        if minus {
            l.checked_sub(r)?
        } else {
            l.checked_add(r)?
        },
        scale,
        shape,
    )
}

/// `l * r`.
pub(crate) fn multiply(l: i128, ls: u8, r: i128, rs: u8, shape: Shape) -> Option<i128> {
    if let Some(product) = l.checked_mul(r) {
        return fit_small(product, ls + rs, shape);
    }
    fit(
        i256::from_i128(l).checked_mul(i256::from_i128(r))?,
        ls + rs,
        shape,
    )
}

/// `l / r`; the divisor isn't zero.
pub(crate) fn divide(l: i128, ls: u8, r: i128, rs: u8, shape: Shape) -> Option<i128> {
    let exponent = i32::from(shape.scale) + i32::from(rs) - i32::from(ls);
    if let Ok(exponent @ 0..=38) = u32::try_from(exponent)
        && let Some(dividend) = l.checked_mul(10i128.pow(exponent))
    {
        let (quotient, rest) = (dividend.checked_div(r)?, dividend.checked_rem(r)?);
        let up = rest.unsigned_abs() >= r.unsigned_abs() - rest.unsigned_abs();
        let step = if (dividend < 0) == (r < 0) { 1 } else { -1 };
        return fit_small(
            if up { quotient + step } else { quotient },
            shape.scale,
            shape,
        );
    }
    let (mut dividend, mut divisor) = (i256::from_i128(l), i256::from_i128(r));
    if exponent >= 0 {
        dividend = dividend.checked_mul(power(exponent as u32))?;
    } else {
        divisor = divisor.checked_mul(power(exponent.unsigned_abs()))?;
    }
    fit(divide_rounded(dividend, divisor)?, shape.scale, shape)
}

/// `l % r`, with the sign of `l`; the divisor isn't zero.
pub(crate) fn remainder(l: i128, ls: u8, r: i128, rs: u8, shape: Shape) -> Option<i128> {
    let scale = ls.max(rs);
    let l = i256::from_i128(l).checked_mul(power(u32::from(scale - ls)))?;
    let r = i256::from_i128(r).checked_mul(power(u32::from(scale - rs)))?;
    fit(l.checked_rem(r)?, scale, shape)
}

/// How a value is brought to fewer digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    HalfUp,
    Down,
    Floor,
    Ceiling,
}

/// Rounds to `digits` after the point (or, negative, before it), into `shape`.
pub(crate) fn round(
    value: i128,
    scale: u8,
    digits: i32,
    rounding: Rounding,
    shape: Shape,
) -> Option<i128> {
    let cut = i32::from(scale) - digits;
    if cut <= 0 {
        return reshape(value, scale, shape);
    }
    if cut > 76 {
        return Some(0);
    }
    let unit = power(cut as u32);
    let value = i256::from_i128(value);
    let whole = match rounding {
        Rounding::HalfUp => divide_rounded(value, unit)?,
        Rounding::Down => value.checked_div(unit)?,
        Rounding::Floor | Rounding::Ceiling => {
            let quotient = value.checked_div(unit)?;
            let rest = value.checked_rem(unit)?;
            if rest < i256::ZERO && rounding == Rounding::Floor {
                quotient.checked_sub(i256::ONE)?
            } else if rest > i256::ZERO && rounding == Rounding::Ceiling {
                quotient.checked_add(i256::ONE)?
            } else {
                quotient
            }
        }
    };
    if digits >= 0 {
        fit(whole, digits as u8, shape)
    } else {
        fit(whole.checked_mul(power(digits.unsigned_abs()))?, 0, shape)
    }
}
