//! Numbers as people read them in reasons.

use std::time::Duration;

/// Thousandths as a percentage, `61.5 %`.
pub fn percent(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// A time to the second, or to the millisecond where it is short: `90 s`, `250 ms`.
pub fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", time.as_secs())
    }
}

/// So many bytes, in whole units of 1024: `512 B`, `8 GiB`.
pub fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = bytes;
    let mut unit = 0;
    while scaled >= 10 * 1024 && unit + 1 < units.len() {
        (scaled, unit) = (scaled / 1024, unit + 1);
    }
    format!("{scaled} {}", units[unit])
}

/// How many of something: `1 node`, `3 nodes`.
pub fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
