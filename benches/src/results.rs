//! What was measured, as files under `target/unstick-bench/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use serde::{Deserialize, Serialize};

/// One run of one program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where and when.
    pub machine: Machine,
    /// Whether it was a short run, whose numbers only show that everything works.
    pub quick: bool,
    /// How long the run took, in seconds.
    pub seconds: u64,
    /// For each case and contender, by name: a value for each round.
    pub cases: BTreeMap<String, BTreeMap<String, Rounds>>,
}

/// What one contender needed in one case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rounds {
    /// In each round: nanoseconds a frame; of the scaling cases nanoseconds in all.
    pub wall: Vec<f64>,
    /// In each round: nanoseconds a frame of user CPU time, of all threads; empty where it is the
    /// wall time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user: Vec<f64>,
    /// Heap bytes for each connection, where that was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heap: Vec<f64>,
}

/// The machine, the toolchain and the date.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many of them.
    pub cores: usize,
    /// The operating system's kernel.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
    /// The day, UTC, as `2025-01-31`.
    pub date: String,
}

/// How quiet the machine was, as `benches/quiet.py` found: percentages of the processors' time.
#[derive(Clone, Debug, Deserialize)]
pub struct Quiet {
    /// What other programs used before the run.
    pub busy_before: f64,
    /// What the host gave to others before the run.
    pub steal_before: f64,
    /// The load average before the run.
    pub load_before: f64,
    /// What the host gave to others during the run.
    pub steal_during: f64,
    /// Whether the run counts as quiet.
    pub quiet: bool,
}

impl Quiet {
    /// What was found for the last run of `benches/run`; `None` after a short one.
    #[must_use]
    pub fn load() -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path("quiet")).ok()?).ok()
    }
}

impl Machine {
    /// This one, today.
    #[must_use]
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown", |(_, name)| name);
        Self {
            cpu: format!("{} ({})", cpu.trim(), env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            kernel: output("uname", &["-sr"]),
            rustc: rustc_version(),
            date: today(),
        }
    }
}

impl Results {
    /// An empty one.
    #[must_use]
    pub fn new(quick: bool) -> Self {
        Self { machine: Machine::here(), quick, seconds: 0, cases: BTreeMap::new() }
    }

    /// What a contender needed in a case.
    #[must_use]
    pub fn get(&self, case: &str, contender: &str) -> Option<&Rounds> {
        self.cases.get(case)?.get(contender)
    }

    /// Writes it to `target/unstick-bench/NAME.json`; cases of an earlier run that this one has
    /// not stay only if it was `partial`.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn save(mut self, name: &str, partial: bool) {
        if partial && let Some(before) = Self::load(name) {
            self.quick |= before.quick;
            for (case, contenders) in before.cases {
                let kept = self.cases.entry(case).or_default();
                for (contender, rounds) in contenders {
                    kept.entry(contender).or_insert(rounds);
                }
            }
        }
        let path = path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, serde_json::to_string_pretty(&self).unwrap()).unwrap();
        println!("wrote {}", path.display());
    }

    /// Reads it back, if it is there.
    ///
    /// # Panics
    /// The file is not one of ours.
    #[must_use]
    pub fn load(name: &str) -> Option<Self> {
        let text = fs::read_to_string(path(name)).ok()?;
        Some(serde_json::from_str(&text).expect("a results file of another version: measure again"))
    }
}

/// The middle of several values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Median, least and most of the ratios `over / under` of two contenders, taken round by round.
#[must_use]
pub fn ratio(over: &[f64], under: &[f64]) -> Option<[f64; 3]> {
    let ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
    if ratios.is_empty() {
        return None;
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    Some([median(&ratios), least, most])
}

/// This package's folder.
#[must_use]
pub fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Cargo's target folder.
#[must_use]
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| package().join("../target"), PathBuf::from)
}

fn path(name: &str) -> PathBuf {
    target().join("unstick-bench").join(Path::new(name).with_extension("json"))
}

/// The compiler's version, as `1.88.0`.
#[must_use]
pub fn rustc_version() -> String {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = output(&rustc, &["--version"]);
    version.split(' ').nth(1).unwrap_or("unknown").to_owned()
}

/// What a program prints, on one line.
#[must_use]
pub fn output(program: &str, arguments: &[&str]) -> String {
    let printed = Command::new(program).args(arguments).output().map(|output| output.stdout);
    String::from_utf8_lossy(&printed.unwrap_or_default()).trim().to_owned()
}

/// The date in UTC, from days to the civil calendar.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}
