//! Everything that happens to a callback before the database: the envelope, the signature, the decryption, the event and
//! the objects that it marks.

#![no_main]

use std::sync::{Arc, LazyLock};

use dingsync::config::CallbackKeys;
use dingsync::dingtalk::crypto::{AesKey, encrypt, signature};
use dingsync::dingtalk::event::Event;
use dingsync::receive::{CallbackEndpoint, Envelope, KeyPair};
use dingsync::secret::Secret;
use dingsync::sync::classify;
use libfuzzer_sys::fuzz_target;

const TOKEN: &str = "token";
const AES_KEY: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

static ENDPOINT: LazyLock<CallbackEndpoint> = LazyLock::new(|| {
    let keys = CallbackKeys { token: Secret::fixed(TOKEN), aes_key: Secret::fixed(AES_KEY) };
    CallbackEndpoint {
        corp_id: "corp".to_owned(),
        name: "main".to_owned(),
        pairs: vec![KeyPair::from(&keys)],
        owner_keys: vec!["owner".to_owned()],
        stats: Arc::default(),
    }
});

fn signed(ciphertext: &str) -> (String, String) {
    let signed = signature(TOKEN, "1", "n", ciphertext);
    let body = format!("{{\"encrypt\":\"{ciphertext}\"}}");
    (format!("signature={signed}&timestamp=1&nonce=n"), body)
}

fuzz_target!(|input: (u8, &str, &[u8])| {
    let (kind, text, bytes) = input;
    let key = AesKey::parse(AES_KEY).expect("a key");
    match kind % 3 {
        // Anything at all, from somebody without the token.
        0 => {
            let opened = Envelope::read(text, bytes).and_then(|envelope| ENDPOINT.open(&envelope).map(drop));
            assert!(opened.is_err());
        }
        // Any ciphertext, from somebody who knows the token.
        1 => {
            let ciphertext: String = bytes.iter().map(|byte| char::from(b'+' + byte % 80)).collect();
            let (query, body) = signed(&ciphertext.replace(['"', '\\'], "A"));
            if let Ok(envelope) = Envelope::read(&query, body.as_bytes()) {
                let _opened_or_refused = ENDPOINT.open(&envelope);
            }
        }
        // Any message, from DingTalk.
        _ => {
            let (query, body) = signed(&encrypt(&key, [kind; 16], text, b"owner"));
            let envelope = Envelope::read(&query, body.as_bytes()).expect("an envelope");
            let opened = ENDPOINT.open(&envelope).expect("an authentic push");
            assert_eq!(opened.message, text);
            if let Ok(event) = Event::parse(opened.message) {
                let hints = classify(&event);
                assert!(hints.iter().all(|hint| !hint.object_id.is_empty()));
            }
        }
    }
});
