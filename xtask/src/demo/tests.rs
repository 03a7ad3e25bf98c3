//! The whole path once more, with a canary for a secret: it is looked for everywhere that the
//! simulator saw and that the programs printed, and may be found only where it is meant to go.

use std::io::{Cursor, Read};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contract::settings::KEY_VAULT_REFERENCE_PREFIX;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use simulator::fault::{Fault, Matcher};
use simulator::journal::Entry;
use simulator::simulator::{Options, Simulator};

use super::{counted, person::Person, run_again};

/// A secret that stands nowhere else, of signs that every way of writing a text has a disguise for.
const CANARY: &str = "canary-7hQ2+xV9/pLk\"3m&Zr8T";

/// The ways in which a text may travel: as it is, with its end or its beginning cut off, in a form or an
/// address, as JSON and as JSON in JSON, and in both alphabets of base64 at each of the three offsets at which it
/// can begin (the whole sixes of bits in its middle).
fn disguises(secret: &str) -> Vec<String> {
    let json = |text: &str| serde_json::to_string(text).expect("a text").trim_matches('"').to_owned();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut found = vec![secret.to_owned(), secret[..12].to_owned(), secret[secret.len() - 8..].to_owned()];
    found.extend([form.to_lowercase(), form, json(secret), json(&json(secret))]);
    for offset in 0..3 {
        let padded: Vec<u8> = vec![b'x'; offset].into_iter().chain(secret.bytes()).collect();
        for encoded in [STANDARD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            found.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    found
}

/// Whether any disguise of the secret is in these bytes.
fn holds(bytes: &[u8], secret: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    // Escapes in an address may be of either case.
    disguises(secret).iter().any(|disguise| text.contains(disguise) || text.to_lowercase().contains(disguise))
}

/// Bytes as they were before they were compressed: gzip, every file of a whole zip (a package also
/// travels in blocks and ranges), or as they are.
fn opened(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes).read_to_end(&mut plain).expect("gzip");
    } else if let Ok(mut zip) = zip::ZipArchive::new(Cursor::new(bytes)) {
        for index in 0..zip.len() {
            zip.by_index(index).expect("a file").read_to_end(&mut plain).expect("its bytes");
        }
    } else {
        plain.extend_from_slice(bytes);
    }
    plain
}

/// Whether this call is one of the two that must carry the Mimecast secret: to the vault, and to
/// Mimecast's sign-in.
fn meant_for_it(entry: &Entry) -> bool {
    let to_vault = entry.method == "PUT" && entry.path().to_ascii_lowercase().contains("/secrets/");
    let to_mimecast = entry.service == "mimecast" && entry.path() == "/oauth/token";
    to_vault || to_mimecast
}

#[test]
fn disguises_of_a_secret_are_recognised() {
    for text in [
        CANARY.to_owned(),
        format!("secret={CANARY}&x=1"),
        "client_secret=canary-7hQ2%2BxV9%2FpLk%223m%26Zr8T&x=1".to_owned(),
        "?s=canary-7hq2%2bxv9%2fplk%223m%26zr8t".to_owned(),
        r#"{"value": "canary-7hQ2+xV9/pLk\"3m&Zr8T"}"#.to_owned(),
        r#"{"value": "{\"value\": \"canary-7hQ2+xV9/pLk\\\"3m&Zr8T\"}"}"#.to_owned(),
        "…k\"3m&Zr8T".to_owned(),
        STANDARD.encode(CANARY),
        STANDARD.encode(format!("id:{CANARY}")),
        URL_SAFE_NO_PAD.encode(format!("a{CANARY}b")),
    ] {
        assert!(holds(text.as_bytes(), CANARY), "{text}");
    }
    assert!(!holds(b"canary", CANARY));
}

/// Commands that fail where the secret is at hand: refused by Mimecast, by the vault, by Azure.
async fn failing(simulator: &Simulator, person: &Person) -> Vec<(&'static str, String)> {
    let install = ["install", "--yes", "--verbose", "--package", "mimecast-sentinel-worker"];
    let mut printed = Vec::new();
    simulator.mimecast().configure(|settings| "another".clone_into(&mut settings.client_secret));
    printed.push(("install, refused by Mimecast", person.ends(&install, 1).await.expect("is refused")));
    let pre = ["doctor", "--pre", "--output", "json"];
    printed.push(("doctor, refused by Mimecast", person.ends(&pre, 1).await.expect("is refused")));
    simulator.mimecast().configure(|settings| CANARY.clone_into(&mut settings.client_secret));
    let refusal = json!({ "error": { "code": "BadParameter", "message": "The value is refused." } });
    let matcher = Matcher::new("arm", "PUT", "/secrets/mimecast-client-secret");
    simulator.faults().add(Fault::answer(matcher, 400, &refusal.to_string()));
    printed.push(("install, refused by the vault", person.ends(&install, 3).await.expect("fails")));
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_only_where_it_is_meant_to_be() {
    let simulator = Simulator::start(Options::default()).await.expect("the simulator starts");
    simulator.mimecast().configure(|settings| CANARY.clone_into(&mut settings.client_secret));
    let own_secret = simulator.person().client_secret.expose().clone();
    let person = Person::new(&simulator).expect("a person");

    let mut printed = vec![("plan", person.plan().await.expect("a plan"))];
    printed.extend(failing(&simulator, &person).await);
    let package = ["--package", "mimecast-sentinel-worker"];
    let kept = [&["plan", "--out", "plan.json", "--output", "json"][..], &package].concat();
    printed.push(("plan --output json", person.ends(&kept, 10).await.expect("a plan")));
    printed.push(("plan.json", person.written("plan.json").expect("the plan was kept")));
    let again =
        [&["install", "--yes", "--output", "json", "--save-answers", "saved.yaml"][..], &package].concat();
    printed.push(("install --output json", person.ends(&again, 0).await.expect("an installation")));
    printed.push(("saved.yaml", person.written("saved.yaml").expect("the answers were kept")));
    for command in
        [&["status", "--output", "json"][..], &["doctor", "--output", "json"], &["logs", "--verbose"]]
    {
        printed.push((command[0], person.ends(command, 0).await.expect("ends well")));
    }
    let site = counted::site(&simulator).expect("a Function App");
    run_again(&simulator, &site).await.expect("a second run");
    let worker: Vec<String> = simulator.data().hosts.lines(&site).into_iter().map(|line| line.text).collect();
    assert!(!worker.is_empty(), "the worker's lines were captured");
    printed.push(("worker", worker.join("\n")));

    // What the app is given: references, and no secret.
    let hidden = simulator.state().hidden(&site).expect("the app's settings");
    let settings = hidden["appSettings"].as_object().expect("an object");
    let reference = settings["MIMECAST_CLIENT_SECRET"].as_str().expect("text");
    assert!(reference.starts_with(KEY_VAULT_REFERENCE_PREFIX), "{reference}");
    assert!(!holds(hidden.to_string().as_bytes(), CANARY), "the app's settings");

    // What Azure shows to readers: every resource, with its tags and outputs.
    for id in simulator.state().resource_ids() {
        let resource = simulator.state().resource(&id).unwrap_or(Value::Null).to_string();
        assert!(!holds(resource.as_bytes(), CANARY), "{id}");
        assert!(!holds(resource.as_bytes(), &own_secret), "{id}");
    }
    // What was delivered.
    for row in counted::rows(&simulator).into_iter().chain(counted::health_rows(&simulator)) {
        assert!(!holds(Value::Object(row).to_string().as_bytes(), CANARY), "a row");
    }
    let bundle = person.bundle().await.expect("a bundle");
    assert!(
        bundle.contains("\"log\"") && bundle.contains("MIMECAST_CLIENT_SECRET"),
        "the bundle has what it should"
    );
    printed.push(("bundle", bundle));
    printed.push(("teardown", person.tear_down().await.expect("a teardown")));
    for (command, transcript) in &printed {
        assert!(!holds(transcript.as_bytes(), CANARY), "`{command}` printed the Mimecast secret");
        assert!(!holds(transcript.as_bytes(), &own_secret), "`{command}` printed the sign-in's secret");
    }
    // Every call that any service saw.
    let mut meant = 0;
    for entry in simulator.journal().entries() {
        let place = format!("{} {} {}", entry.service, entry.method, entry.target);
        let headers: String =
            entry.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let answer = opened(&entry.answer);
        for part in [entry.target.as_bytes(), headers.as_bytes(), &answer] {
            assert!(!holds(part, &own_secret), "{place}");
        }
        // Mimecast repeats what it refuses to those who sent it; nothing that is printed may.
        let repeated = entry.status == Some(401) && meant_for_it(&entry);
        for part in [entry.target.as_bytes(), headers.as_bytes(), &answer] {
            assert!(repeated || !holds(part, CANARY), "{place}");
        }
        let body = opened(&entry.body);
        if holds(&body, CANARY) {
            assert!(meant_for_it(&entry), "the body of {place}");
            meant += 1;
        }
        assert!(entry.service == "entra" || !holds(&body, &own_secret), "the body of {place}");
        // A token in force is as good as a secret: no program prints one.
        let token = entry.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        for (command, transcript) in &printed {
            assert!(token.is_none_or(|token| !transcript.contains(token)), "`{command}` printed a token");
        }
    }
    // Once into the vault, and to Mimecast by the installer's check and by the worker.
    assert!(meant >= 3, "the search finds the secret where it must be: {meant}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_signs_calls_of_the_older_api_is_sent_to_the_vault_alone() {
    let simulator = Simulator::start(Options::default()).await.expect("the simulator starts");
    let canary = |number: usize| format!("{number}{CANARY}{number}");
    // The secret key is shown in base64.
    let secret_key = STANDARD.encode(canary(3));
    simulator.mimecast().configure(|settings| {
        settings.app_key = canary(1);
        settings.access_key = canary(2);
        settings.secret_key.clone_from(&secret_key);
    });
    let mimecast = simulator.mimecast().settings();
    let values = [
        ("APP_ID", mimecast.app_id),
        ("APP_KEY", canary(1)),
        ("ACCESS_KEY", canary(2)),
        ("SECRET_KEY", secret_key),
    ];
    let mut text = super::answers::head(&simulator).expect("answers");
    let base_url = simulator.state().endpoints().mimecast.as_str().trim_end_matches('/').to_owned();
    text.push_str(&format!("mimecast:\n  api: \"1.0\"\n  base_url: {base_url}\n"));
    for (name, _) in &values {
        text.push_str(&format!("  {}: {{env: {name}}}\n", name.to_lowercase()));
    }
    let values = values.map(|(name, value)| (name.to_owned(), value));
    let person = Person::with(&simulator, &text, values).expect("a person");
    let mut printed = vec![person.install().await.expect("an installation")];
    printed.push(person.bundle().await.expect("a bundle"));
    for transcript in printed {
        assert!(!holds(transcript.as_bytes(), CANARY), "it was printed");
    }
    let mut meant = 0;
    for entry in simulator.journal().entries() {
        let place = format!("{} {} {}", entry.service, entry.method, entry.target);
        let headers: String =
            entry.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        for part in [entry.target.as_bytes(), headers.as_bytes(), &opened(&entry.answer)] {
            // The access key says who calls, and so is sent to Mimecast; the others sign.
            let access = entry.service == "mimecast" && holds(part, &canary(2));
            assert!(access || !holds(part, CANARY), "{place}");
            assert!(!holds(part, &canary(1)) && !holds(part, &canary(3)), "{place}");
        }
        if holds(&opened(&entry.body), CANARY) {
            assert!(entry.service != "mimecast" && meant_for_it(&entry), "the body of {place}");
            meant += 1;
        }
    }
    assert_eq!(meant, 3, "each is written once");
}
