//! Signing in, in both generations.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::secret::Secret;
use simulator::fault::{Action, Fault, Matcher};
use simulator::mimecast::SERVICE;
use worker::poll::{Attempted, Credentials, Keys, Mimecast, Pacing, Pages, PollErrorKind, Side};
use worker::world::{Deadline, ManualClock, World};

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

// BR-146: a token is not used to its very end.
#[tokio::test]
async fn a_token_is_renewed_a_minute_before_its_end_and_kept_until_then() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    for (passed, tokens) in [(0, 1), (1738, 1), (1, 2), (1738, 2), (1, 3)] {
        stand.clock.advance(Duration::from_secs(passed));
        client.categories(stand.deadline()).await.expect("listed");
        assert_eq!(stand.calls("/oauth/token"), tokens);
    }
}

#[tokio::test]
async fn a_token_that_was_revoked_is_renewed_once() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    client.categories(stand.deadline()).await.expect("listed");
    stand.simulated.expire_tokens();
    client.categories(stand.deadline()).await.expect("listed");
    assert_eq!((stand.calls("/oauth/token"), stand.calls("/api/audit/get-categories")), (2, 3));
}

#[tokio::test]
async fn calls_at_once_share_one_token() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    let calls = (0..8).map(|_| client.count(stand.days(7), &[], stand.deadline()));
    for count in futures::future::join_all(calls).await {
        assert_eq!(count.expect("a count"), Some(45));
    }
    assert_eq!(stand.calls("/oauth/token"), 1);
}

/// What goes wrong ahead of the first call is that call's first attempt: no failure is counted twice, and
/// none is passed over.
#[tokio::test]
async fn a_sign_in_ahead_of_the_first_call_is_that_calls_own() {
    let tokens = || Matcher::new(SERVICE, "POST", "/oauth/token");
    for (name, fault, asked, refused) in [
        ("good", None, 1, None),
        ("passing", Some(Fault::answer(tokens(), 503, "")), 2, None),
        ("lost", Some(Fault::once(tokens(), Action::DropAfter)), 2, None),
        ("refused", Some(Fault::answer(tokens(), 401, "")), 1, Some(PollErrorKind::CredentialsRefused)),
    ] {
        let stand = Stand::new().await;
        let client = stand.client(stand.oauth());
        if let Some(fault) = fault {
            stand.ground.faults.add(fault);
        }
        client.sign_in_ahead().await;
        assert_eq!((stand.calls("/oauth/token"), stand.ground.faults.left()), (1, 0), "{name}");
        let listed = client.categories(stand.deadline()).await;
        assert_eq!(
            (listed.err().map(|error| error.kind), stand.calls("/oauth/token")),
            (refused, asked),
            "{name}"
        );
        // Whatever was told is over.
        client.categories(stand.deadline()).await.expect("listed");
        client.sign_in_ahead().await;
        assert_eq!(stand.calls("/oauth/token"), asked + usize::from(refused.is_some()), "{name}");
    }
}

#[tokio::test]
async fn an_expired_binding_is_renewed_by_the_login_and_only_where_it_is_given() {
    let stand = Stand::new().await;
    stand.simulated.expire_binding();
    let error = stand.client(stand.signed()).categories(stand.deadline()).await.expect_err("expired");
    assert_eq!((error.kind, error.status), (PollErrorKind::BindingExpired, Some(418)));
    assert!(error.kind.remedy().contains("never expires"));
    let client = stand.client(stand.signed_with_login());
    client.categories(stand.deadline()).await.expect("renewed");
    assert_eq!(stand.calls("/api/login/login"), 1);
}

#[tokio::test]
async fn a_renewal_that_does_not_help_is_not_repeated_at_once() {
    let stand = Stand::new().await;
    stand.simulated.configure(|settings| settings.binding_lifetime = Duration::ZERO);
    stand.simulated.expire_binding();
    let client = stand.client(stand.signed_with_login());
    for (passed, logins) in [(0, 1), (0, 1), (14 * 60, 1), (61, 2)] {
        stand.clock.advance(Duration::from_secs(passed));
        let error = client.categories(stand.deadline()).await.expect_err("expired");
        assert_eq!((error.kind, stand.calls("/api/login/login")), (PollErrorKind::BindingExpired, logins));
    }
    // A wrong password is named as the cause, and not tried again and again.
    stand.clock.advance(Duration::from_secs(3600));
    stand.simulated.configure(|settings| settings.password = "EXAMPLE-CHANGED".to_owned());
    let error = client.categories(stand.deadline()).await.expect_err("refused");
    assert_eq!((error.kind, error.attempted), (PollErrorKind::CredentialsRefused, Attempted::RenewBinding));
    let error = client.categories(stand.deadline()).await.expect_err("refused");
    assert_eq!((error.kind, stand.calls("/api/login/login")), (PollErrorKind::BindingExpired, 3));
}

#[tokio::test]
async fn an_account_of_another_region_is_followed_there() {
    let stand = Stand::empty().await;
    let home = Stand::new().await;
    let url = home.url.to_string();
    // One certificate for both: the other account is served beside the first.
    let url = stand.ground.listen("home", home.simulated.router()).await.map_or(url, |url| url.to_string());
    stand.simulated.configure(|settings| settings.other_region = Some(url));
    let client = stand.client(stand.signed_with_login());
    for _ in 0..2 {
        assert_eq!(client.count(stand.days(7), &[], stand.deadline()).await.expect("a count"), Some(45));
    }
    assert_eq!(stand.calls("/api/login/discover-authentication"), 1);
    assert_eq!(stand.calls("/api/audit/get-audit-events"), 1);
    // Without the login there is nobody to ask for.
    let error = stand.client(stand.signed()).count(stand.days(7), &[], stand.deadline()).await;
    assert_eq!(error.expect_err("elsewhere").kind, PollErrorKind::WrongRegion);
}

#[tokio::test]
async fn a_missing_product_and_a_missing_role_are_told_apart() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    stand.simulated.configure(|settings| settings.role = false);
    let error = client.categories(stand.deadline()).await.expect_err("no role");
    assert_eq!((error.kind, error.kind.side()), (PollErrorKind::RoleMissing, Side::Settings));
    assert!(error.kind.remedy().contains("Account | Logs | Read"));
    assert!(error.to_string().contains("request id 00000000-0000-4000-9000-"), "{error}");
    stand.simulated.configure(|settings| settings.product = false);
    let error = client.categories(stand.deadline()).await.expect_err("no product");
    assert_eq!(error.kind, PollErrorKind::ProductMissing);
    assert!(error.kind.remedy().contains("Audit Events"));
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_as_the_cause() {
    let stand = Stand::new().await;
    let slow = ManualClock::at(stand.ground.clock.now() - Duration::from_secs(20 * 60));
    let world = World::of(slow, [].into());
    let client = Mimecast::new(
        stand.http.clone(),
        stand.url.clone(),
        stand.signed(),
        Pacing::default(),
        world.clone(),
    );
    let deadline = Deadline::after(&world, Duration::from_secs(60));
    let error = client.categories(deadline).await.expect_err("refused");
    assert_eq!((error.kind, error.kind.side()), (PollErrorKind::ClockSkew, Side::Here));
    // With the right time and wrong keys it is the keys.
    let keys = Keys { app_key: Secret::new("EXAMPLE-OTHER".to_owned()), ..stand.keys() };
    let client = stand.client(Credentials::Signed { keys, login: None });
    let error = client.categories(stand.deadline()).await.expect_err("refused");
    assert_eq!(error.kind, PollErrorKind::CredentialsRefused);
}

#[tokio::test]
async fn a_window_in_mimecasts_future_is_not_read() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    let mut window = stand.days(7);
    window.end += Duration::from_secs(10 * 60);
    let mut pages = Pages::new(&client, window, 500, Vec::new(), None, stand.deadline());
    let error = read(&mut pages, &mut Read::default()).await.expect_err("in the future");
    assert_eq!(error.kind, PollErrorKind::ClockSkew);
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_unreachable() {
    let stand = Stand::new().await;
    stand.ground.stop();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let url = url::Url::parse(&format!("https://127.0.0.1:{port}/")).expect("a URL");
    let client =
        Mimecast::new(stand.http.clone(), url, stand.signed(), Pacing::default(), stand.world.clone());
    let error = client.categories(stand.deadline()).await.expect_err("nobody");
    assert_eq!((error.kind, error.attempts, error.kind.side()), (PollErrorKind::Unreachable, 6, Side::Here));
    assert!(std::error::Error::source(&error).is_some());
}

// Invariant 9.
#[tokio::test]
async fn no_secret_is_shown_by_the_client() {
    let stand = Stand::new().await;
    let settings = stand.simulated.settings();
    for credentials in [stand.oauth(), stand.signed_with_login()] {
        let client = stand.client(credentials.clone());
        client.categories(stand.deadline()).await.expect("listed");
        let shown = format!("{credentials:?} {client:?}");
        for secret in [
            &settings.client_id,
            &settings.client_secret,
            &settings.app_key,
            &settings.access_key,
            &settings.secret_key,
            &settings.email,
            &settings.password,
            &"EXAMPLE-TOKEN".to_owned(),
        ] {
            assert!(!shown.contains(secret.as_str()), "{secret}");
        }
    }
}
