//! Reading options: numbers, levels, times, and words in any case of letters.

use api::ExpiryChange;
use quorum::Level;
use types::WallTime;

use crate::command::Failure;
use crate::command::failure::{NOT_AN_INTEGER, SYNTAX};
use crate::frame::Arguments;
use crate::frame::number::parse_i64;

/// A 64-bit number.
pub fn integer(text: &[u8]) -> Result<i64, Failure> {
    parse_i64(text).ok_or(NOT_AN_INTEGER)
}

/// Whether an argument is this word, in any case of letters.
pub fn is(text: &[u8], word: &str) -> bool {
    text.eq_ignore_ascii_case(word.as_bytes())
}

/// A level by its name or number.
pub fn level(text: &[u8]) -> Result<Level, Failure> {
    String::from_utf8_lossy(text)
        .parse()
        .map_err(|error: quorum::ParseLevelError| Failure::new(error.to_string()))
}

/// Options as they are read, from the left.
pub struct Options<'a> {
    arguments: Arguments<'a>,
    at: usize,
}

impl<'a> Options<'a> {
    /// The options from the argument number `from` on.
    pub fn new(arguments: Arguments<'a>, from: usize) -> Options<'a> {
        Options { arguments, at: from }
    }

    /// The value that must follow an option.
    pub fn value(&mut self) -> Result<&'a [u8], Failure> {
        self.next().ok_or(SYNTAX)
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.arguments.get(self.at)?;
        self.at += 1;
        Some(word)
    }
}

/// How a time is given: its unit, and what it counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeForm {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Millis,
    /// `EXAT`: seconds since 1970.
    AtSeconds,
    /// `PXAT`: milliseconds since 1970.
    AtMillis,
}

impl TimeForm {
    /// The form that an option of SET and GETEX stands for.
    pub fn of_option(word: &[u8]) -> Option<TimeForm> {
        let forms = [
            ("EX", TimeForm::Seconds),
            ("PX", TimeForm::Millis),
            ("EXAT", TimeForm::AtSeconds),
            ("PXAT", TimeForm::AtMillis),
        ];
        forms.into_iter().find(|(name, _)| is(word, name)).map(|(_, form)| form)
    }

    /// The time that `amount` means, in milliseconds since 1970, if 64 bits can say it.
    fn absolute(self, amount: i64, now: WallTime) -> Option<i64> {
        let now = i64::try_from(now.0).ok()?;
        match self {
            TimeForm::Seconds => amount.checked_mul(1000)?.checked_add(now),
            TimeForm::Millis => amount.checked_add(now),
            TimeForm::AtSeconds => amount.checked_mul(1000),
            TimeForm::AtMillis => Some(amount),
        }
    }

    /// The expiry that `text` means in the command called `name`, where any time will do: one that has passed deletes.
    pub fn expiry(self, text: &[u8], now: WallTime, name: &str) -> Result<ExpiryChange, Failure> {
        let amount = integer(text)?;
        let at = self.absolute(amount, now).ok_or_else(|| invalid_expiry(name))?;
        // Before 1970 is as past as 1970.
        Ok(ExpiryChange::At(WallTime(u64::try_from(at).unwrap_or(0))))
    }

    /// The same where the amount must be above zero, as with SET.
    pub fn positive_expiry(self, text: &[u8], now: WallTime, name: &str) -> Result<ExpiryChange, Failure> {
        if integer(text)? <= 0 {
            return Err(invalid_expiry(name));
        }
        self.expiry(text, now, name)
    }
}

fn invalid_expiry(name: &str) -> Failure {
    Failure::new(format!("invalid expire time in '{name}' command"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(1_000_000);

    #[test]
    fn times_are_absolute_milliseconds_whatever_they_were_given_as() {
        let at = |form: TimeForm, text: &str| form.expiry(text.as_bytes(), NOW, "expire").unwrap();
        assert_eq!(at(TimeForm::Seconds, "5"), ExpiryChange::At(WallTime(1_005_000)));
        assert_eq!(at(TimeForm::Millis, "5"), ExpiryChange::At(WallTime(1_000_005)));
        assert_eq!(at(TimeForm::AtSeconds, "5"), ExpiryChange::At(WallTime(5_000)));
        assert_eq!(at(TimeForm::AtMillis, "5"), ExpiryChange::At(WallTime(5)));
        assert_eq!(at(TimeForm::AtMillis, "-5"), ExpiryChange::At(WallTime(0)));
    }

    #[test]
    fn times_that_64_bits_cannot_say_are_refused() {
        let largest = i64::MAX.to_string();
        for form in [TimeForm::Seconds, TimeForm::Millis, TimeForm::AtSeconds] {
            let failure = form.expiry(largest.as_bytes(), NOW, "expire").unwrap_err();
            assert_eq!(failure.message, "invalid expire time in 'expire' command");
        }
    }

    #[test]
    fn set_wants_a_time_above_zero() {
        for text in ["0", "-1"] {
            assert!(TimeForm::Seconds.positive_expiry(text.as_bytes(), NOW, "set").is_err());
        }
    }
}
