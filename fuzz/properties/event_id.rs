//! Any id has a key, always the same one. The input is used three ways: as the id itself, as packed
//! data, and as the content that is packed.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use worker::poll::Record;
use worker::transform::Transformer;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("memory");
    let packed = encoder.finish().expect("memory");
    let mut transformer = Transformer::new("main");
    for id in [
        String::from_utf8_lossy(data).into_owned(),
        URL_SAFE_NO_PAD.encode(data),
        URL_SAFE_NO_PAD.encode(packed),
    ] {
        let record = Record { id: Some(id.as_str().into()), ..Record::default() };
        let key = transformer.key(&record);
        let text = key.to_string();
        assert!(!text.is_empty() && text.len() <= 1_024);
        match key.account() {
            Some(account) => assert!(text.starts_with(&format!("{account}:"))),
            None => assert!(text == id || text.starts_with("sha256-")),
        }
        // A decompressor that was used before makes no difference.
        assert_eq!(Transformer::new("main").key(&record), key);
    }
}
