//! The next page is asked for before the events of one are worked on.

use simulator::fault::{Fault, Matcher};
use simulator::mimecast::SERVICE;
use worker::poll::{Pages, Step};

use super::stand::{Read, Stand, read};

/// Calls for pages so far.
fn calls(stand: &Stand) -> usize {
    stand.ground.journal.of(SERVICE).iter().filter(|entry| entry.path().ends_with("get-audit-events")).count()
}

/// The simulator works beside us: it has its turn until it has noted so many calls.
async fn noted(stand: &Stand, expected: usize) {
    for _ in 0..1_000 {
        if calls(stand) >= expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{} calls came, not {expected}", calls(stand));
}

#[tokio::test]
async fn the_next_page_is_on_its_way_while_one_is_worked_on() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    let mut pages = Pages::new(&client, stand.days(7), 10, Vec::new(), None, stand.deadline());
    let mut events = 0;
    let mut done = 0;
    loop {
        match pages.next().await.expect("the pages come") {
            Step::Records(chunk) => {
                events += chunk.len();
                match done {
                    // What the first one says can make the window another one: nothing is asked for before.
                    0 => assert_eq!(calls(&stand), 1),
                    // Forty-five events are five pages.
                    1..4 => noted(&stand, done + 2).await,
                    _ => assert_eq!(calls(&stand), 5),
                }
            }
            Step::PageDone(_) => done += 1,
            Step::Finished(finished) => {
                assert_eq!((events, finished.records, done), (45, 45, 5));
                break;
            }
            Step::Restarted(cause) => panic!("{cause:?}"),
        }
    }
    assert_eq!(calls(&stand), 5);
}

/// What goes wrong with it is met when its turn has come, and mended as ever.
#[tokio::test]
async fn a_page_that_fails_on_its_way_is_asked_for_again() {
    let stand = Stand::new().await;
    let third = Matcher::new(SERVICE, "POST", "/api/audit/get-audit-events");
    stand.ground.faults.add(Fault::answer(third, 503, "").skip(2));
    let client = stand.client(stand.oauth());
    let mut pages = Pages::new(&client, stand.days(7), 10, Vec::new(), None, stand.deadline());
    let mut got = Read::default();
    read(&mut pages, &mut got).await.expect("the window is read");
    assert_eq!((got.ids.len(), got.pages, calls(&stand)), (45, 5, 6));
}
