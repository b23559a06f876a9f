//! Times as text: RFC 3339 in UTC.
//!
//! Days become dates by the algorithm of Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms"
//! (`civil_from_days`): years begin in March, so that the leap day is the last of its year.

/// `2026-11-20T10:30:00.123Z`, of milliseconds since the Unix epoch.
pub(crate) fn rfc3339(ms: u64) -> String {
    let (year, month, day) = date(ms);
    let (hour, minute, second) = time_of_day(ms);
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// `20261120T103000Z`: for names of files, which then sort by time.
pub(crate) fn compact(ms: u64) -> String {
    let (year, month, day) = date(ms);
    let (hour, minute, second) = time_of_day(ms);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn time_of_day(ms: u64) -> (u64, u64, u64) {
    let second = ms / 1000 % 86_400;
    (second / 3600, second / 60 % 60, second % 60)
}

fn date(ms: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01; an era is 400 years, of 146,097 days.
    let days = ms / 86_400_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `date -u -d @SECONDS`.
    #[test]
    fn known_times_are_written_as_others_write_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
            (1_795_170_645_042, "2026-11-20T10:30:45.042Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
        assert_eq!(compact(1_795_170_645_042), "20261120T103045Z");
    }

    #[test]
    fn every_day_follows_the_day_before() {
        let mut last = date(0);
        for day in 1..200_000_u64 {
            let (y, m, d) = date(day * 86_400_000);
            let next_day = (y, m) == (last.0, last.1) && d == last.2 + 1;
            let leap = last.0.is_multiple_of(4)
                && (!last.0.is_multiple_of(100) || last.0.is_multiple_of(400));
            let length = match last.1 {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let next_month =
                d == 1 && last.2 == length && (y, m) == (last.0 + last.1 / 12, last.1 % 12 + 1);
            assert!(next_day || next_month, "{last:?} {:?}", (y, m, d));
            last = (y, m, d);
        }
    }
}
