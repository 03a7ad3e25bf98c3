//! The whole path once more, with a canary for a secret: it is looked for everywhere that the
//! simulator saw and that the programs printed, and may be found only where it is meant to go.

use std::io::{Cursor, Read};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contract::settings::KEY_VAULT_REFERENCE_PREFIX;
use flate2::read::GzDecoder;
use serde_json::Value;
use simulator::journal::Entry;
use simulator::simulator::{Options, Simulator};

use super::{counted, person::Person, run_again};

/// A secret that stands nowhere else.
const CANARY: &str = "canary-7hQ2xV9pLk3mZr8T";

/// The ways in which a text may travel: as it is, in both alphabets of base64 at each of the three
/// offsets at which it can begin (the whole sixes of bits in its middle), and with its end cut off.
fn disguises(secret: &str) -> Vec<String> {
    let mut found = vec![secret.to_owned(), secret[..12].to_owned()];
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
    disguises(secret).iter().any(|disguise| text.contains(disguise))
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
        STANDARD.encode(CANARY),
        STANDARD.encode(format!("id:{CANARY}")),
        URL_SAFE_NO_PAD.encode(format!("a{CANARY}b")),
    ] {
        assert!(holds(text.as_bytes(), CANARY), "{text}");
    }
    assert!(!holds(b"canary", CANARY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_only_where_it_is_meant_to_be() {
    let simulator = Simulator::start(Options::default()).await.expect("the simulator starts");
    simulator.mimecast().configure(|settings| CANARY.clone_into(&mut settings.client_secret));
    let own_secret = simulator.person().client_secret.expose().clone();
    let person = Person::new(&simulator).expect("a person");

    let mut printed = vec![("plan", person.plan().await.expect("a plan"))];
    printed.push(("install", person.install().await.expect("an installation")));
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
        for part in [entry.target.as_bytes(), headers.as_bytes(), &opened(&entry.answer)] {
            assert!(!holds(part, CANARY), "{place}");
            assert!(!holds(part, &own_secret), "{place}");
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
