//! The figures that are to be reached, with their floors and goals.

use serde_json::{Map, Value, json};

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// The less the better.
    AtMost,
    /// The more the better.
    AtLeast,
}

/// One figure of the table.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) key: &'static str,
    pub(super) what: &'static str,
    pub(super) aim: Aim,
    /// What must hold; `None` where there is only a goal.
    pub(super) floor: Option<f64>,
    pub(super) goal: f64,
}

const fn target(key: &'static str, what: &'static str, aim: Aim, floor: Option<f64>, goal: f64) -> Target {
    Target { key, what, aim, floor, goal }
}

/// Every figure, in the order in which it is told.
pub(super) const TARGETS: &[Target] = &[
    target(
        "cpu_ratio_official",
        "CPU over that of the official peer",
        Aim::AtMost,
        Some(1.0 / 12.0),
        1.0 / 20.0,
    ),
    target("cpu_ratio_lean", "CPU over that of the lean peer", Aim::AtMost, Some(0.3), 0.2),
    target(
        "wall_over_fetch",
        "wall time with latency over that of fetching the pages alone",
        Aim::AtMost,
        Some(1.1),
        1.03,
    ),
    target(
        "backfill_speedup",
        "four days of a backfill at once against one after another, with latency",
        Aim::AtLeast,
        Some(2.5),
        3.5,
    ),
    target("peak_rss_mib", "peak memory of the largest run, MiB", Aim::AtMost, Some(40.0), 25.0),
    target(
        "rss_flatness",
        "peak memory of the largest run over that of a hundredth of it",
        Aim::AtMost,
        Some(1.1),
        1.05,
    ),
    target("limit_ratio", "speed over that of the work in memory alone", Aim::AtLeast, Some(0.5), 0.7),
    target("fill", "share of an ingestion call (1 MB) that is used", Aim::AtLeast, Some(0.9), 0.94),
    target("calls_per_million", "ingestion calls for a million events", Aim::AtMost, None, 700.0),
    target("start_ms", "start to the first answer on `GET /`, ms", Aim::AtMost, Some(20.0), 10.0),
    target("package_mib", "worker package, zipped, MiB", Aim::AtMost, Some(6.0), 4.0),
    target("plan_ms", "`plan` with nothing to do, ms", Aim::AtMost, Some(1_000.0), 400.0),
];

/// How a figure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Goal,
    Floor,
    Below,
}

impl Target {
    pub(super) fn standing(&self, value: f64) -> Standing {
        let reaches = |bound: f64| match self.aim {
            Aim::AtMost => value <= bound,
            Aim::AtLeast => value >= bound,
        };
        if reaches(self.goal) {
            Standing::Goal
        } else if self.floor.is_none_or(reaches) {
            Standing::Floor
        } else {
            Standing::Below
        }
    }

    /// A bound as it is written in tables.
    pub(super) fn bound(&self, bound: f64) -> String {
        let sign = match self.aim {
            Aim::AtMost => '≤',
            Aim::AtLeast => '≥',
        };
        format!("{sign} {}", number(bound))
    }
}

/// What was measured.
#[derive(Debug)]
pub(super) struct Measured {
    /// By the targets' keys.
    pub(super) values: Vec<(&'static str, f64)>,
    /// What stands behind them.
    pub(super) absolute: Map<String, Value>,
    pub(super) peers: Map<String, Value>,
    pub(super) setting: Map<String, Value>,
}

impl Measured {
    /// The value of a figure.
    pub(super) fn value(&self, key: &str) -> f64 {
        self.values.iter().find(|(name, _)| *name == key).map_or(f64::NAN, |(_, value)| *value)
    }

    /// An absolute figure.
    pub(super) fn behind(&self, key: &str) -> f64 {
        self.absolute.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    /// Keys of figures that do not reach their floor.
    pub(super) fn below_floor(&self) -> Vec<&'static str> {
        let below =
            TARGETS.iter().filter(|target| target.standing(self.value(target.key)) == Standing::Below);
        below.map(|target| target.key).collect()
    }

    /// The figures as lines of a table for the terminal.
    pub(super) fn table(&self) -> Vec<String> {
        let mut lines = vec![format!("{:<20} {:>10} {:>10} {:>10}", "", "measured", "floor", "goal")];
        for target in TARGETS {
            let value = self.value(target.key);
            let floor = target.floor.map_or_else(String::new, |floor| target.bound(floor));
            let note = match target.standing(value) {
                Standing::Goal => "",
                Standing::Floor => "  goal missed",
                Standing::Below => "  BELOW THE FLOOR",
            };
            let (key, goal) = (target.key, target.bound(target.goal));
            lines.push(format!("{key:<20} {:>10} {floor:>10} {goal:>10}{note}", number(value)));
        }
        lines
    }

    /// Everything as one object: the figures under their keys, and beside them what stands behind them.
    pub(super) fn json(&self) -> Value {
        let mut all: Map<String, Value> =
            self.values.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        for (key, value) in [("absolute", &self.absolute), ("peers", &self.peers), ("setting", &self.setting)]
        {
            all.insert(key.to_owned(), Value::Object(value.clone()));
        }
        Value::Object(all)
    }
}

/// A number with about three digits that say something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (index, digit) in digits.chars().enumerate() {
                let left = digits.len() - index;
                if index > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The middle of some values; of an even number the mean of the two in the middle.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    if values.len().is_multiple_of(2) {
        values
            .len()
            .checked_div(2)
            .and_then(|half| values.get(half.checked_sub(1)?))
            .map_or(upper, |lower| f64::midpoint(*lower, upper))
    } else {
        upper
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, TARGETS, median, number};

    fn standing(key: &str, value: f64) -> Standing {
        TARGETS.iter().find(|target| target.key == key).expect("a figure").standing(value)
    }

    #[test]
    fn a_figure_is_held_against_its_floor_and_its_goal() {
        assert_eq!(standing("fill", 0.95), Standing::Goal);
        assert_eq!(standing("fill", 0.92), Standing::Floor);
        assert_eq!(standing("fill", 0.89), Standing::Below);
        assert_eq!(standing("peak_rss_mib", 25.0), Standing::Goal);
        assert_eq!(standing("peak_rss_mib", 41.0), Standing::Below);
        // No floor: never below it.
        assert_eq!(standing("calls_per_million", 5_000.0), Standing::Floor);
        assert_eq!(standing("plan_ms", f64::NAN), Standing::Below);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0833, 1.0, 12.345, 704.4, 1_234_567.0].map(number);
        assert_eq!(shown, ["0.083", "1.00", "12.3", "704", "1,234,567"]);
    }
}
