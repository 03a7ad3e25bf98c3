//! Whatever happens on the way, every event is collected, and once.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use simulator::fault::{Action, Fault, Matcher};
use simulator::mimecast::{Arrival, Event, Order, SERVICE, Synthetic};
use time::OffsetDateTime;
use worker::poll::window::{
    Choice, CollectSettings, WindowState, choose, closed_until, halved, learned_slice,
};
use worker::poll::{Mimecast, Pages, Step};
use worker::world::Deadline;

use super::stand::Stand;

const EVENTS: &str = "/api/audit/get-audit-events";
const SETTINGS: CollectSettings = CollectSettings {
    first_run: Duration::from_secs(2 * 24 * 3600),
    settle: Duration::from_secs(60),
    overlap: Duration::from_secs(15 * 60),
};

/// The least that a run has to do with what is read: remember the place and the ids, and drop what
/// comes again. What it remembers is bounded as in the worker: the overlap and the open window.
#[derive(Default)]
struct Collector {
    state: WindowState,
    resume: Option<worker::poll::PageToken>,
    remembered: HashMap<String, OffsetDateTime>,
    collected: BTreeMap<String, usize>,
    narrower: bool,
}

impl Collector {
    /// One run: windows until caught up, or until an error ends it.
    async fn run(&mut self, client: &Mimecast, stand: &Stand, page_size: u16, budget: Duration) {
        let deadline = Deadline::after(&stand.world, budget);
        loop {
            let now = stand.ground.clock.now();
            let Choice::Read(mut chosen) = choose(now, &self.state, &SETTINGS) else { return };
            assert_eq!(chosen.gap, None);
            if std::mem::take(&mut self.narrower)
                && let Some(half) = halved(&chosen)
            {
                chosen.window = half;
                self.resume = None;
            }
            self.state.open = Some(chosen.window);
            let resume = self.resume.clone();
            let mut pages = Pages::new(client, chosen.window, page_size, Vec::new(), resume, deadline);
            let finished = loop {
                match pages.next().await {
                    Ok(Step::Records(chunk)) => {
                        for record in chunk.records() {
                            let record = record.expect("the simulator's events are well formed");
                            let id = record.id.expect("an id").into_owned();
                            let at = event_time(&record.event_time.expect("a time"));
                            if self.remembered.insert(id.clone(), at).is_none() {
                                *self.collected.entry(id).or_default() += 1;
                            }
                        }
                    }
                    Ok(Step::PageDone(done)) => self.resume = done.resume,
                    Ok(Step::Restarted(_)) => self.resume = None,
                    Ok(Step::Finished(finished)) => break finished,
                    Err(error) => {
                        self.narrower = error.narrower_may_pass();
                        return;
                    }
                }
            };
            let closed = closed_until(chosen.window, finished.served_at, SETTINGS.settle);
            let length = Duration::try_from(closed - chosen.new_from).unwrap_or_default();
            self.state = WindowState {
                closed_until: Some(closed),
                open: None,
                slice: Some(learned_slice(length, finished.records, 12_500.0)),
            };
            self.resume = None;
            self.remembered.retain(|_, at| *at >= closed - SETTINGS.overlap);
        }
    }
}

fn event_time(text: &str) -> OffsetDateTime {
    let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let text = text.strip_suffix("+0000").or_else(|| text.strip_suffix('Z')).expect("UTC");
    time::PrimitiveDateTime::parse(text, &format).expect("a time").assume_utc()
}

/// What can go wrong with one call.
fn action() -> impl Strategy<Value = Action> {
    let answer = |status, headers: &[(&str, &str)], body: &str| Action::Answer {
        status,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.to_owned(),
    };
    prop_oneof![
        (0_usize..20_000).prop_map(Action::Truncate),
        Just(Action::DropBefore),
        Just(Action::DropAfter),
        Just(answer(500, &[], "")),
        Just(answer(502, &[], "<html>502</html>")),
        Just(answer(504, &[], r#"{"fail":[{"code":"GatewayTimeout"}]}"#)),
        Just(answer(429, &[("x-ratelimit-reset", "1750")], "")),
        Just(answer(429, &[("retry-after", "3000")], "")),
        Just(answer(401, &[], r#"{"fail":[{"code":"token_expired"}]}"#)),
        Just(answer(401, &[], "not JSON")),
        Just(answer(403, &[], "")),
        Just(answer(400, &[], r#"{"fail":[{"errors":[{"code":"err_audit_siem_invalid_token"}]}]}"#)),
        Just(answer(200, &[], r#"{"meta":{"status":500},"data":[],"fail":[]}"#)),
        Just(answer(200, &[], r#"{"meta":{"status":200},"data":[],"fail":[{"errors":[{"code":"err_x"}]}]}"#)),
        Just(answer(200, &[], "{}")),
        Just(answer(200, &[], r#"{"meta":{"status":200,"pagination":{"next":"eNod"#)),
    ]
}

/// Seconds before or after the beginning, and how late it arrives. Half of the events fall on a few
/// seconds, so that many share one.
fn event() -> impl Strategy<Value = (i64, u64)> {
    let at = prop_oneof![-86_400_i64..3600, (-20_i64..20).prop_map(|minute| minute * 60)];
    // Up to the overlap and the settling time: what the worker promises to find.
    let late =
        prop_oneof![3 => Just(0_u64), 1 => 1_u64..=SETTINGS.overlap.as_secs() + SETTINGS.settle.as_secs()];
    (at, late)
}

/// One tick: how long after the last, what goes wrong from which call on, whether page tokens die.
type Tick = (u64, Vec<(Action, usize)>, bool);

fn tick() -> impl Strategy<Value = Tick> {
    (1_u64..1500, prop::collection::vec((action(), 0_usize..12), 0..4), prop::bool::weighted(0.1))
}

#[derive(Debug)]
struct Case {
    events: Vec<(i64, u64)>,
    ticks: Vec<Tick>,
    page_size: u16,
    order: Order,
    end_inclusive: bool,
    total_count: bool,
    signed: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let order = prop_oneof![Just(Order::NewestFirst), Just(Order::OldestFirst), Just(Order::Shuffled)];
    let page_size = prop_oneof![1_u16..20, 1_u16..=500];
    (
        prop::collection::vec(event(), 0..120),
        prop::collection::vec(tick(), 1..12),
        page_size,
        order,
        any::<(bool, bool, bool)>(),
    )
        .prop_map(|(events, ticks, page_size, order, (end_inclusive, total_count, signed))| Case {
            events,
            ticks,
            page_size,
            order,
            end_inclusive,
            total_count,
            signed,
        })
}

async fn check(case: Case) {
    let stand = Stand::empty().await;
    let begin = stand.ground.clock.now().replace_nanosecond(0).expect("whole seconds");
    stand.simulated.configure(|settings| {
        settings.order = case.order;
        settings.end_inclusive = case.end_inclusive;
        settings.total_count = case.total_count;
    });
    let events: Vec<_> = (1..)
        .zip(&case.events)
        .map(|(number, &(seconds, late))| {
            let at = begin + time::Duration::seconds(seconds);
            Event::numbered(number, at).arriving(Arrival::At(at + Duration::from_secs(late)))
        })
        .collect();
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    stand.simulated.add(events);

    let client = stand.client(if case.signed { stand.signed() } else { stand.oauth() });
    let mut collector = Collector::default();
    for (passed, faults, revoke) in case.ticks {
        stand.clock.advance(Duration::from_secs(passed));
        for (action, skip) in faults {
            let matcher = Matcher::new(SERVICE, "POST", EVENTS);
            stand.ground.faults.add(Fault::once(matcher, action).skip(skip));
        }
        if revoke {
            stand.simulated.revoke_page_tokens();
        }
        collector.run(&client, &stand, case.page_size, Duration::from_secs(300)).await;
        stand.ground.faults.clear();
    }
    // Peace returns: enough ticks for the last event to arrive, and its window to settle.
    for _ in 0..8 {
        stand.clock.advance(Duration::from_secs(900));
        collector.run(&client, &stand, case.page_size, Duration::from_secs(300)).await;
    }
    // Named by their numbers, so that a failure can be read.
    let unlike = |(id, number): (&String, u64)| {
        let times = collector.collected.get(id).copied().unwrap_or_default();
        (times != 1).then_some((number, times))
    };
    let unlike: Vec<_> = ids.iter().zip(1..).filter_map(unlike).collect();
    assert_eq!((unlike, collector.collected.len()), (Vec::new(), ids.len()), "events collected not once");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    // BR-017, BR-031, BR-034, BR-037, BR-038, BR-039, BR-045
    #[test]
    fn every_event_is_collected_exactly_once(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(check(case));
    }
}

/// Events arrive between two pages of one window, before and after the place that is being read.
#[tokio::test]
async fn events_that_arrive_while_a_window_is_read_are_not_lost() {
    for order in [Order::NewestFirst, Order::OldestFirst, Order::Shuffled] {
        let stand = Stand::empty().await;
        stand.simulated.configure(|settings| settings.order = order);
        let now = stand.ground.clock.now();
        let mut events = Vec::new();
        for number in 1..=60_u64 {
            let at = now - Duration::from_secs(61 + number * 10);
            let arrival = if number % 5 == 0 { Arrival::AfterPages(number / 5) } else { Arrival::Present };
            events.push(Event::numbered(number, at).arriving(arrival));
        }
        let expected: BTreeMap<_, _> = events.iter().map(|event| (event.id.clone(), 1)).collect();
        stand.simulated.add(events);
        let client = stand.client(stand.oauth());
        let mut collector = Collector::default();
        collector.state.slice = Some(Duration::from_secs(2 * 24 * 3600));
        for _ in 0..3 {
            collector.run(&client, &stand, 4, Duration::from_secs(300)).await;
            stand.clock.advance(Duration::from_secs(60));
        }
        assert_eq!(collector.collected, expected, "{order:?}");
    }
}

// BR-031: stopped after each page in turn, newest first; what is older is still read.
#[tokio::test]
async fn a_run_that_stops_after_any_page_is_gone_on_with() {
    for stop in 0..9 {
        let stand = Stand::new().await;
        let all: BTreeMap<_, _> = stand.simulated.events().into_iter().map(|event| (event.id, 1)).collect();
        let client = stand.client(stand.oauth());
        let mut collector = Collector::default();
        // The history is longer than two days.
        collector.state.closed_until = Some(stand.ground.clock.now() - Duration::from_secs(6 * 24 * 3600));
        collector.state.slice = Some(Duration::from_secs(7 * 24 * 3600));
        let matcher = Matcher::new(SERVICE, "POST", EVENTS);
        stand.ground.faults.add(Fault::answer(matcher, 403, "").skip(stop));
        collector.run(&client, &stand, 5, Duration::from_secs(300)).await;
        assert_eq!(collector.collected.len(), stop * 5);
        let open = collector.state.open.expect("still open");
        collector.run(&client, &stand, 5, Duration::from_secs(300)).await;
        assert_eq!(collector.collected, all);
        // The window was the same for all pages of both runs.
        let start = &stand.page_requests()[0]["data"][0]["startDateTime"];
        assert!(stand.page_requests()[..9].iter().all(|page| page["data"][0]["startDateTime"] == *start));
        assert!(collector.state.closed_until >= Some(open.end));
    }
}

// BR-017, BR-039: nothing new, thirty times.
#[tokio::test]
async fn nothing_new_means_nothing_collected() {
    let stand = Stand::empty().await;
    let at = stand.ground.clock.now() - Duration::from_secs(300);
    stand.simulated.add([Event::numbered(1, at)]);
    let client = stand.client(stand.oauth());
    let mut collector = Collector::default();
    for _ in 0..30 {
        collector.run(&client, &stand, 500, Duration::from_secs(300)).await;
        stand.clock.advance(Duration::from_secs(20));
    }
    assert_eq!(collector.collected.values().collect::<Vec<_>>(), [&1]);
}

// BR-041: what is held at once does not grow with what there is to read. `cargo xtask bench` (`rss_flatness`)
// measures the whole worker on a million events.
#[tokio::test]
async fn what_is_held_at_once_is_bounded() {
    let stand = Stand::empty().await;
    let newest = stand.ground.clock.now() - Duration::from_secs(60);
    let synthetic = Synthetic { count: 20_000, newest, spacing: Duration::from_secs(10) };
    stand.simulated.synthesise(synthetic);
    let client = stand.client(stand.oauth());
    let mut pages = Pages::new(&client, stand.days(7), 500, Vec::new(), None, stand.deadline());
    let (mut read, mut largest) = (0, 0);
    loop {
        match pages.next().await.expect("read") {
            Step::Records(chunk) => {
                read += chunk.records().filter(Result::is_ok).count();
                largest = largest.max(chunk.size_bytes());
            }
            Step::Finished(finished) => {
                assert_eq!((finished.records, finished.total_count), (20_000, Some(20_000)));
                break;
            }
            Step::PageDone(_) | Step::Restarted(_) => {}
        }
    }
    assert_eq!(read, 20_000);
    // A page is some 300 KB; what arrives at once is some tens.
    assert!(largest < 200_000, "{largest}");
}
