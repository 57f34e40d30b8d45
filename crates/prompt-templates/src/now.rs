//! A point in local time, with Python's `strftime`.

use alloc::string::String;
use core::fmt::Write as _;

/// The current local date and time for templates.
///
/// ```
/// use prompt_templates::Now;
///
/// let now = Now::from_unix(1_735_787_045);
/// assert_eq!(now.format("%d %b %Y, %H:%M:%S"), "02 Jan 2025, 03:04:05");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Now {
    /// Seconds from 1970-01-01T00:00:00 to the time, both in local time.
    seconds: i64,
}

impl Now {
    /// Creates a time from `seconds` since 1970 in local time: add the zone's offset to UTC
    /// beforehand.
    pub const fn from_unix(seconds: i64) -> Self {
        // Times beyond four-digit years cannot be formatted.
        Self {
            seconds: if seconds < MIN {
                MIN
            } else if seconds > MAX {
                MAX
            } else {
                seconds
            },
        }
    }

    /// Formats the time like Python's `strftime` in the C locale.
    ///
    /// Besides the common directives, it supports `%c`, `%x`, `%X`, `%U`, `%W`, `%G`, `%V`, `%u`,
    /// `%w`, `%e`, `%D`, `%F`, `%R`, `%T` and the `-` flag of glibc. An unknown directive is
    /// written unchanged.
    pub fn format(&self, format: &str) -> String {
        let mut out = String::with_capacity(format.len() + 8);
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let unpadded = rest.starts_with('-');
            let mut chars = rest.chars();
            let directive = if unpadded { chars.nth(1) } else { chars.next() };
            let known =
                directive.and_then(|directive| self.directive(directive, unpadded, &mut out));
            match known {
                Some(()) => rest = chars.as_str(),
                None => out.push('%'),
            }
        }
        out.push_str(rest);
        out
    }

    fn directive(&self, directive: char, unpadded: bool, out: &mut String) -> Option<()> {
        let Civil { year, month, day } = self.civil();
        let second_of_day = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (
            second_of_day / 3600,
            second_of_day / 60 % 60,
            second_of_day % 60,
        );
        let weekday = (self.seconds.div_euclid(DAY) + 4).rem_euclid(7);
        let of_year = self.day_of_year();
        let mut number = |value: i64, width: usize| {
            let width = if unpadded { 0 } else { width };
            let _ = write!(out, "{value:0width$}");
        };
        match directive {
            'Y' => number(year, 4),
            'G' => number(self.iso_week().0, 4),
            'y' => number(year.rem_euclid(100), 2),
            'C' => number(year / 100, 2),
            'm' => number(month, 2),
            'd' => number(day, 2),
            'H' => number(hour, 2),
            'I' => number((hour + 11) % 12 + 1, 2),
            'M' => number(minute, 2),
            'S' => number(second, 2),
            'f' => number(0, 6),
            'j' => number(of_year + 1, 3),
            'U' => number((of_year + 7 - weekday) / 7, 2),
            'W' => number((of_year + 7 - (weekday + 6) % 7) / 7, 2),
            'V' => number(self.iso_week().1, 2),
            'u' => number((weekday + 6) % 7 + 1, 1),
            'w' => number(weekday, 1),
            's' => number(self.seconds, 1),
            'e' if unpadded => number(day, 1),
            'e' => drop(write!(out, "{day:2}")),
            'A' => out.push_str(WEEKDAYS[weekday as usize]),
            'a' => out.push_str(&WEEKDAYS[weekday as usize][..3]),
            'B' => out.push_str(MONTHS[month as usize - 1]),
            'b' | 'h' => out.push_str(&MONTHS[month as usize - 1][..3]),
            'p' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            'c' => out.push_str(&self.format("%a %b %e %H:%M:%S %Y")),
            'x' | 'D' => out.push_str(&self.format("%m/%d/%y")),
            'X' | 'T' => out.push_str(&self.format("%H:%M:%S")),
            'F' => out.push_str(&self.format("%Y-%m-%d")),
            'R' => out.push_str(&self.format("%H:%M")),
            // A naive time has neither an offset nor a zone.
            'z' | 'Z' => {}
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '%' => out.push('%'),
            _ => return None,
        }
        Some(())
    }

    fn civil(&self) -> Civil {
        // Days are counted in eras of 400 years that start on 1 March, so that a leap day is last.
        let days = self.seconds.div_euclid(DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        Civil {
            year: era * 400 + year_of_era + i64::from(month >= 10),
            month: if month < 10 { month + 3 } else { month - 9 },
            day: of_year - (153 * month + 2) / 5 + 1,
        }
    }

    fn day_of_year(&self) -> i64 {
        let Civil { year, month, day } = self.civil();
        let leap = i64::from(is_leap(year) && month > 2);
        BEFORE_MONTH[month as usize - 1] + leap + day - 1
    }

    /// The ISO 8601 year and week: weeks start on Monday, and the first week contains 4 January.
    fn iso_week(&self) -> (i64, i64) {
        let year = self.civil().year;
        let weekday = (self.seconds.div_euclid(DAY) + 3).rem_euclid(7);
        let week = (self.day_of_year() - weekday + 10) / 7;
        let weeks_in = |year: i64| {
            let last = (year + year / 4 - year / 100 + year / 400).rem_euclid(7);
            let year = year - 1;
            let before = (year + year / 4 - year / 100 + year / 400).rem_euclid(7);
            if last == 4 || before == 3 { 53 } else { 52 }
        };
        if week < 1 {
            (year - 1, weeks_in(year - 1))
        } else if week > weeks_in(year) {
            (year + 1, 1)
        } else {
            (year, week)
        }
    }
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const DAY: i64 = 86_400;
const MIN: i64 = -62_135_596_800;
const MAX: i64 = 253_402_300_799;
const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, format: &str, wanted: &str) {
        assert_eq!(Now::from_unix(seconds).format(format), wanted);
    }

    #[test]
    fn is_what_python_prints() {
        check(
            1_735_787_045,
            "%A %a %B %b %d %-d %e %j %y",
            "Thursday Thu January Jan 02 2  2 002 25",
        );
        check(1_735_787_045, "%I:%M %p %-I %% %Q %", "03:04 AM 3 % %Q %");
        check(
            951_826_554,
            "%F %T %j %U %W %V %G %u %w",
            "2000-02-29 12:15:54 060 09 09 09 2000 2 2",
        );
        check(-1, "%c|%x|%X", "Wed Dec 31 23:59:59 1969|12/31/69|23:59:59");
        check(1_104_537_600, "%G-W%V-%u", "2004-W53-6");
        check(i64::MAX, "%Y-%m-%d", "9999-12-31");
        check(i64::MIN, "%Y-%m-%d", "0001-01-01");
    }
}
