//! Signing in, in both generations.

use std::collections::BTreeSet;

use worker::poll::{Pages, PollErrorKind};

use super::stand::{Read, Stand, read};

#[tokio::test]
async fn both_generations_read_the_whole_history_page_by_page() {
    let stand = Stand::new().await;
    let all: BTreeSet<_> = stand.simulated.events().into_iter().map(|event| event.id).collect();
    assert_eq!(all.len(), 45);
    for credentials in [stand.oauth(), stand.signed()] {
        let client = stand.client(credentials);
        let mut pages = Pages::new(&client, stand.days(7), 10, Vec::new(), None, stand.deadline());
        let mut got = Read::default();
        read(&mut pages, &mut got).await.expect("the window is read");
        assert_eq!(got.ids.iter().cloned().collect::<BTreeSet<_>>(), all);
        assert_eq!((got.ids.len(), got.pages, got.malformed), (45, 5, 0));
        let finished = got.finished.expect("finished");
        assert_eq!((finished.records, finished.total_count), (45, Some(45)));
        assert_eq!(client.count(stand.days(7), &[], stand.deadline()).await.expect("a count"), Some(45));
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_once_and_never_repeated() {
    let stand = Stand::new().await;
    stand.simulated.configure(|settings| settings.client_secret = "EXAMPLE-OTHER".to_owned());
    let oauth = stand.oauth();
    stand.simulated.configure(|settings| settings.client_secret = "EXAMPLE-CHANGED".to_owned());
    let client = stand.client(oauth);
    let error = client.categories(stand.deadline()).await.expect_err("refused");
    assert_eq!((error.kind, stand.calls("/oauth/token")), (PollErrorKind::CredentialsRefused, 1));
    // The simulator's refusal repeats what was sent, as the real one was seen to.
    let text = format!("{error} {error:?}");
    assert!(!text.contains("EXAMPLE-OTHER") && !text.contains("EXAMPLE-CLIENT-ID"), "{text}");
}
