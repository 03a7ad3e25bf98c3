//! Time on the processor and allocations of some work, measured and printed alike for every bench.
#![expect(clippy::print_stdout, reason = "figures are what this is for")]

use std::time::Duration;

/// How long each figure is measured, after a tenth of that to warm up.
const MEASURED: Duration = Duration::from_secs(2);
/// How much is done between two looks at the clock, so that looking does not count.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// What the number means that the work gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The bytes that it made.
    Bytes,
    /// Any number, which keeps the work from being left out.
    Speed,
}

/// Prints what the columns are, for work on things of this name.
pub(crate) fn heading(thing: &str) {
    let columns =
        [format!("{thing}s/s"), format!("ns/{thing}"), "allocations".to_owned(), format!("bytes/{thing}")];
    println!("{:<44} {:>12} {:>10} {:>12} {:>12}", "", columns[0], columns[1], columns[2], columns[3]);
}

/// Runs the work over the samples, in order and again, and prints its figures.
pub(crate) fn measure<T>(name: &str, shown: Shown, samples: &[T], mut work: impl FnMut(&T) -> u64) {
    let mut looks = 1_u32;
    let mut round = |length: Duration| {
        let (mut done, mut sum) = (0_u64, 0_u64);
        let start = spent();
        loop {
            for _ in 0..looks {
                for sample in samples {
                    sum = sum.wrapping_add(std::hint::black_box(work(std::hint::black_box(sample))));
                }
                done += samples.len() as u64;
            }
            let elapsed = spent() - start;
            if elapsed >= length {
                return (done, sum, elapsed);
            }
            if elapsed < BETWEEN_LOOKS {
                looks = looks.saturating_mul(2);
            }
        }
    };
    round(MEASURED / 10);
    let (done, sum, elapsed) = round(MEASURED);
    let allocations = allocation_counter::measure(|| {
        for sample in samples {
            std::hint::black_box(work(sample));
        }
    });
    let per_second = done as f64 / elapsed.as_secs_f64();
    let each = allocations.count_total as f64 / samples.len() as f64;
    let bytes = match shown {
        Shown::Bytes => format!("{:.0}", sum as f64 / done as f64),
        Shown::Speed => String::new(),
    };
    println!("{name:<44} {per_second:>12.0} {:>10.0} {each:>12.3} {bytes:>12}", 1e9 / per_second);
}

/// The time that this thread has spent on a processor, the first number of its `schedstat`
/// (<https://docs.kernel.org/scheduler/sched-stats.html>): other programs change it little.
#[expect(clippy::unwrap_used, reason = "without the kernel's figures there is nothing to print")]
fn spent() -> Duration {
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(figures.split(' ').next().unwrap().parse().unwrap())
}
