//! Days by their names.

/// Year, month and day of the Gregorian calendar, so many days after 1 January 1970.
#[must_use]
pub fn date(days: u64) -> [u64; 3] {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    [year, month as u64 + 1, left + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let dates = [(0, [1970, 1, 1]), (59, [1970, 3, 1]), (11_016, [2000, 2, 29]), (11_017, [2000, 3, 1])];
        for (days, expected) in dates {
            assert_eq!(date(days), expected);
        }
        assert_eq!(date(20_819), [2027, 1, 1]);
        assert_eq!(date(20_818), [2026, 12, 31]);
    }
}
