use super::{RecordChunk, ScanError, Scanner};

/// Ids of the records, bytes of what is set aside, and what stands beside them.
type Scanned = (Vec<String>, Vec<Vec<u8>>, super::Envelope);

/// What comes of a body that arrives in pieces of this size.
fn scan(body: &[u8], piece: usize) -> Result<Scanned, ScanError> {
    let mut scanner = Scanner::new();
    let (mut ids, mut aside) = (Vec::new(), Vec::new());
    let mut sort = |chunk: RecordChunk| {
        for record in chunk.records() {
            match record {
                Ok(record) => ids.push(record.id.unwrap_or_default().into_owned()),
                Err(malformed) => aside.push(malformed.bytes.to_vec()),
            }
        }
    };
    for piece in body.chunks(piece) {
        scanner.push(piece)?;
        scanner.take().into_iter().for_each(&mut sort);
    }
    let envelope = scanner.finish()?;
    Ok((ids, aside, envelope))
}

fn check(body: &str, expected_ids: &[&str], expected_aside: &[&str]) {
    for piece in [1, 2, 3, 7, 64, 4096] {
        let (ids, aside, envelope) =
            scan(body.as_bytes(), piece).unwrap_or_else(|error| panic!("{body}: {error:?}"));
        let aside: Vec<_> = aside.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        assert_eq!(ids, expected_ids, "{body} in pieces of {piece}");
        assert_eq!(aside, expected_aside, "{body} in pieces of {piece}");
        assert_eq!(envelope.elements, ids.len() + aside.len());
    }
}

#[test]
fn elements_come_out_whole_wherever_the_bytes_are_cut() {
    check(
        r#" {"meta":{"status":200,"x":"]}"}, "data" : [ {"id":"a","eventInfo":"q\"}],{\\"} , {"id":"b","n":[{"id":"no"}]}],"fail":[]} "#,
        &["a", "b"],
        &[],
    );
    check(r#"{"data":[],"meta":{}}"#, &[], &[]);
    check("\u{feff}{\"data\":[{\"id\":\"a\"}]}", &["a"], &[]);
    check(r#"{"other":[{"id":"no"}],"other2":12,"d\"ata":[1],"data":[{"id":"a"}]}"#, &["a"], &[]);
}

// BR-043
#[test]
fn a_malformed_element_is_set_aside_and_the_rest_goes_on() {
    check(
        r#"{"data":[{"id":"a"},{"id":"b",,},7,null,"x",{"id":"c"}]}"#,
        &["a", "c"],
        &[r#"{"id":"b",,}"#, "7", "null", "\"x\""],
    );
    check(r#"{"data":[{"id":"a"b"},{"id":"c"}]}"#, &["c"], &[r#"{"id":"a"b"}"#]);
    check(
        r#"{"data":[{"id":"a","eventInfo":"x "q" [{"k":1}], y"} , { "id":"c"}],"fail":[]}"#,
        &["c"],
        &[r#"{"id":"a","eventInfo":"x "q" [{"k":1}], y"}"#],
    );
    check(r#"{"data":[{"id":"c"},{"id":"a"b"} ]}"#, &["c"], &[r#"{"id":"a"b"}"#]);
    check(r#"{"data":[{"id":"c"},{"id":"a"b"} ], "meta":{}}"#, &["c"], &[r#"{"id":"a"b"}"#]);
    check(r#"{"data":[{"id":"a"},,{"id":"b"},]}"#, &["a", "b"], &[""]);
}

#[test]
fn the_envelope_is_kept_wherever_it_stands() {
    let (_, _, envelope) = scan(br#"{"fail":[{"code":"x"}],"data":null,"meta":{"a":1}}"#, 2).expect("a page");
    assert_eq!(
        (envelope.meta.as_slice(), envelope.fail.as_slice()),
        (&br#"{"a":1}"#[..], &br#"[{"code":"x"}]"#[..])
    );
    assert!(envelope.data);
    assert!(!scan(b"{}", 1).expect("an object").2.data);
}

// BR-019
#[test]
fn what_is_no_page_is_an_error() {
    for (body, expected) in [
        ("", ScanError::NotAnObject),
        ("<html></html>", ScanError::NotAnObject),
        ("[]", ScanError::NotAnObject),
        (r#"{"meta":{"status":200,"pagination":{"pageSize":10,"next":"eNod"#, ScanError::Cut),
        (r#"{"data":[{"id":"a"}]"#, ScanError::Cut),
        (r#"{"data" 1}"#, ScanError::Broken),
    ] {
        for piece in [1, 1000] {
            assert_eq!(scan(body.as_bytes(), piece).expect_err(body), expected, "{body}");
        }
    }
}

#[test]
fn an_element_over_the_limit_is_set_aside_with_its_beginning_in_bounded_memory() {
    let large = "x".repeat(3 * super::ELEMENT_LIMIT_BYTES);
    let body = format!(r#"{{"data":[{{"id":"a"}},{{"id":"b","eventInfo":"{large}"}},{{"id":"c"}}]}}"#);
    let mut scanner = Scanner::new();
    let mut read = Vec::new();
    for piece in body.as_bytes().chunks(10_000) {
        scanner.push(piece).expect("a page");
        assert!(scanner.chunk.bytes.len() <= super::ELEMENT_LIMIT_BYTES + 10_000);
        if let Some(chunk) = scanner.take() {
            read.extend(chunk.records().map(|record| match record {
                Ok(record) => record.id.unwrap_or_default().into_owned(),
                Err(malformed) => format!("{} {}", malformed.reason.code(), malformed.bytes.len()),
            }));
        }
    }
    assert_eq!(read, ["a", "too_large 65536", "c"]);
}
