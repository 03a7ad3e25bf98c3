//! Mimecast's quota is kept, and its reserve left to others.

use std::collections::BTreeSet;
use std::time::Duration;

use simulator::mimecast::{Quota, SERVICE};
use worker::poll::{Mimecast, Pacing, Pages, PollErrorKind};
use worker::world::Deadline;

use super::stand::{Read, Stand, read};

async fn stand(limit: u64) -> Stand {
    let stand = Stand::new().await;
    let quota = Quota { limit, period: Duration::from_secs(60) };
    stand.simulated.configure(|settings| settings.quota = Some(quota));
    stand
}

fn client(stand: &Stand, reserve: u64) -> Mimecast {
    stand.paced(stand.oauth(), Pacing { reserve, ..Pacing::default() })
}

/// What the answers said was left, in their order.
fn remaining(stand: &Stand) -> Vec<Option<u16>> {
    stand.ground.journal.of(SERVICE).iter().map(|entry| entry.status).collect()
}

#[tokio::test]
async fn the_whole_history_is_read_within_the_quota_without_one_429() {
    for (limit, reserve) in [(10, 0), (10, 4), (100, 90), (3, 0)] {
        let stand = stand(limit).await;
        let client = client(&stand, reserve);
        let mut pages = Pages::new(&client, stand.days(7), 1, Vec::new(), None, stand.deadline());
        let mut got = Read::default();
        read(&mut pages, &mut got).await.expect("the window is read");
        assert_eq!(got.ids.len(), 45);
        assert!(remaining(&stand).iter().all(|status| *status == Some(200)), "{limit} {reserve}");
        assert!(client.quota().remaining >= Some(reserve), "{limit} {reserve}: {:?}", client.quota());
        // Forty-five calls do not fit into fewer periods than this, less the first and the last.
        let periods = 45 / (limit - reserve);
        assert!(stand.clock.waited() >= Duration::from_secs(60) * (periods.saturating_sub(2) as u32));
    }
}

// BR-021, BR-007: the run ends well within its budget, and the next one goes on with the page.
#[tokio::test]
async fn a_wait_beyond_the_budget_ends_the_run_with_its_place_kept() {
    let stand = stand(10).await;
    let client = client(&stand, 0);
    let window = stand.days(7);
    let mut got = Read::default();
    let mut runs = 0;
    loop {
        runs += 1;
        let deadline = Deadline::after(&stand.world, Duration::from_secs(20));
        let before = stand.clock.waited();
        let mut pages = Pages::new(&client, window, 1, Vec::new(), got.resume.clone(), deadline);
        match read(&mut pages, &mut got).await {
            Ok(()) => break,
            Err(error) => {
                assert!(matches!(error.kind, PollErrorKind::QuotaSpent(_)), "{error}");
                assert!(error.only_time_is_needed());
            }
        }
        assert!(stand.clock.waited() - before < Duration::from_secs(20));
        stand.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(got.ids.iter().collect::<BTreeSet<_>>().len(), 45);
    assert_eq!((got.ids.len(), got.pages), (45, 45));
    assert!(runs >= 4, "{runs}");
}

#[tokio::test]
async fn an_account_without_rate_limit_headers_is_not_slowed() {
    let stand = Stand::new().await;
    stand.simulated.configure(|settings| settings.quota = None);
    let client = client(&stand, 1000);
    let mut pages = Pages::new(&client, stand.days(7), 1, Vec::new(), None, stand.deadline());
    read(&mut pages, &mut Read::default()).await.expect("the window is read");
    assert_eq!(stand.clock.waited(), Duration::ZERO);
}
