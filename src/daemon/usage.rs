//! What this process costs, by /proc.

/// As of now.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub resident_bytes: u64,
    pub cpu_seconds: f64,
    /// Seconds since 1970.
    pub started: f64,
}

impl Usage {
    /// None where /proc does not tell.
    #[must_use]
    pub fn now() -> Option<Self> {
        let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // Fields after the program's name in parentheses, which may hold anything; the first of them is field 3.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<u32>().ok().map(f64::from);
        let per_second = f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).ok()?);
        let boot = std::fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<u32>().ok()?;
        Some(Self {
            resident_bytes: pages * u64::try_from(rustix::param::page_size()).ok()?,
            cpu_seconds: (ticks(14)? + ticks(15)?) / per_second,
            started: f64::from(boot) + ticks(22)? / per_second,
        })
    }
}
