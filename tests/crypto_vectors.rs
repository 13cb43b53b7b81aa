//! Every published and synthetic ciphertext in `data/crypto-vectors.json`, both ways.

use base64::Engine as _;
use dingsync::dingtalk::crypto::{AesKey, AesKeyError, DecryptError, decrypt, encrypt, signature};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    name: String,
    token: String,
    aes_key: String,
    owner_key: String,
    timestamp: Option<String>,
    nonce: Option<String>,
    encrypt: String,
    signature: Option<String>,
    plaintext: String,
    random16: String,
    pad_len: usize,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("data/crypto-vectors.json")).expect("the vectors are JSON")
}

#[test]
fn every_vector_decrypts_to_its_plaintext_and_owner() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 15, "a vector was added or lost");
    for vector in vectors {
        let key = AesKey::parse(&vector.aes_key).expect(&vector.name);
        let frame = decrypt(&key, &vector.encrypt).expect(&vector.name);
        assert_eq!(frame.message, vector.plaintext, "{}", vector.name);
        assert_eq!(frame.owner_key, vector.owner_key.as_bytes(), "{}", vector.name);
    }
}

#[test]
fn every_published_signature_is_reproduced() {
    let mut checked = 0;
    for vector in vectors() {
        let (Some(timestamp), Some(nonce), Some(expected)) =
            (vector.timestamp, vector.nonce, vector.signature)
        else {
            continue;
        };
        assert_eq!(
            signature(&vector.token, &timestamp, &nonce, &vector.encrypt),
            expected,
            "{}",
            vector.name
        );
        checked += 1;
    }
    assert_eq!(checked, 12);
}

#[test]
fn encrypting_with_the_same_random_prefix_gives_the_same_text() {
    for vector in vectors().into_iter().filter(|vector| vector.name != "synthetic-reply-16-byte-padding") {
        let key = AesKey::parse(&vector.aes_key).expect(&vector.name);
        let random = vector.random16.as_bytes().try_into().expect(&vector.name);
        let ours = encrypt(&key, random, &vector.plaintext, vector.owner_key.as_bytes());
        assert_eq!(ours, vector.encrypt, "{} (padding {})", vector.name, vector.pad_len);
    }
}

#[test]
fn keys_that_differ_only_in_spare_bits_are_the_same_key() {
    let message = encrypt(&AesKey::parse(&"a".repeat(43)).unwrap(), [7; 16], "{}", b"owner");
    let sibling = AesKey::parse(&format!("{}Y", "a".repeat(42))).unwrap();
    assert_eq!(decrypt(&sibling, &message).unwrap().message, "{}");
}

#[test]
fn malformed_keys_say_what_is_wrong_with_them() {
    assert_eq!(AesKey::parse("short").unwrap_err(), AesKeyError::Length(5));
    assert_eq!(AesKey::parse(&"a".repeat(44)).unwrap_err(), AesKeyError::Length(44));
    assert_eq!(AesKey::parse(&format!("{}!", "a".repeat(42))).unwrap_err(), AesKeyError::Alphabet);
}

#[test]
fn a_length_field_that_lies_is_refused() {
    let key = AesKey::parse(&"k".repeat(43)).unwrap();
    // One whole block of padding removed from a good frame leaves a length field that points past the end.
    let good = encrypt(&key, [1; 16], &"m".repeat(44), b"");
    let engine = base64::engine::general_purpose::STANDARD;
    let mut bytes = engine.decode(good).unwrap();
    bytes.truncate(32);
    let refused = decrypt(&key, &engine.encode(bytes)).unwrap_err();
    assert!(matches!(refused, DecryptError::Padding | DecryptError::Frame), "{refused:?}");
}

proptest! {
    #[test]
    fn whatever_is_encrypted_comes_back(message in ".{0,300}", owner in "[a-z0-9]{0,40}", random in any::<[u8; 16]>(), key in "[A-Za-z0-9]{43}") {
        let key = AesKey::parse(&key).unwrap();
        let frame = decrypt(&key, &encrypt(&key, random, &message, owner.as_bytes())).unwrap();
        prop_assert_eq!(frame.message, message);
        prop_assert_eq!(frame.owner_key, owner.into_bytes());
    }

    #[test]
    fn hostile_ciphertexts_are_refused_or_read_but_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
        let key = AesKey::parse(&"k".repeat(43)).unwrap();
        let _ = decrypt(&key, &text);
        let _ = decrypt(&key, &base64::engine::general_purpose::STANDARD.encode(bytes));
    }
}
