//! Times and sizes as they are typed.

use std::time::Duration;

pub(super) fn seconds(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|seconds| (0.0..=1e6).contains(seconds)).ok_or("give seconds from 0 up")
}

pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "give a time such as 90s, 10m or 1h30m";
    let mut seconds = 0.0;
    let mut number = String::new();
    for c in text.chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86_400.0,
            _ => return Err(WRONG),
        };
        seconds += number.parse::<f64>().map_err(|_| WRONG)? * unit;
        number.clear();
    }
    if !number.is_empty() {
        seconds += number.parse::<f64>().map_err(|_| WRONG)?;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or(WRONG)
}

pub(super) fn bytes(text: &str) -> Result<u64, &'static str> {
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match lower[digits.len()..].trim_end_matches('b').trim_end_matches('i') {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err("give a size such as 500MB or 2GB"),
    };
    let number: Option<f64> = digits.trim().parse().ok().filter(|&number: &f64| number >= 0.0);
    number.map(|number| (number * unit) as u64).ok_or("give a size such as 500MB or 2GB")
}
