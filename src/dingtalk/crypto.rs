//! Signature and encryption of callbacks (`events.md §3`).
//!
//! A message travels as base64 of AES-256-CBC over `random(16) ‖ length(u32, big-endian) ‖ message ‖ owner key`,
//! padded to 32 bytes. The signature is the SHA-1 of the sorted token, timestamp, nonce and ciphertext.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use secrecy::zeroize::Zeroize;
use sha1::{Digest, Sha1};
use thiserror::Error;

use crate::hex;

/// 43 characters carry 258 bits, so the last one may have two spare bits set: a strict decoder refuses such keys
/// (`events.md §3.1`, trap 2).
const KEY_ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

const KEY_CHARACTERS: usize = 43;
const KEY_BYTES: usize = 32;
const CIPHER_BLOCK: usize = 16;
const PADDING_BLOCK: usize = 32;
/// Random prefix and length field in front of the message.
const FRAME_HEADER: usize = 20;

/// The bytes that make two encryptions of one message differ; drawn by the caller.
pub type RandomPrefix = [u8; 16];

/// Why an `EncodingAESKey` cannot be used.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum AesKeyError {
    /// The console makes keys of exactly 43 characters.
    #[error("it has {0} characters, but DingTalk's console makes keys of exactly 43")]
    Length(usize),
    /// Not base64.
    #[error("it has a character that is not a letter, a digit, + or /")]
    Alphabet,
}

/// The decoded `EncodingAESKey`; its first half is the initialisation vector as well.
#[derive(Clone)]
pub struct AesKey([u8; KEY_BYTES]);

impl std::fmt::Debug for AesKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AesKey(hidden)")
    }
}

impl Drop for AesKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl AesKey {
    /// Decodes the 43 characters that the console shows.
    pub fn parse(text: &str) -> Result<Self, AesKeyError> {
        let characters = text.chars().count();
        if characters != KEY_CHARACTERS {
            return Err(AesKeyError::Length(characters));
        }
        let mut bytes = [0; KEY_BYTES];
        match KEY_ENGINE.decode_slice(text, &mut bytes) {
            Ok(KEY_BYTES) => Ok(Self(bytes)),
            _ => Err(AesKeyError::Alphabet),
        }
    }

    fn initialisation_vector(&self) -> &[u8] {
        &self.0[..CIPHER_BLOCK]
    }
}

/// Why a ciphertext with a good signature could not be read. The texts are for the operator, never for the sender.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum DecryptError {
    /// The field is not base64.
    #[error("the ciphertext is not base64")]
    Base64,
    /// Not a whole number of cipher blocks, or too short for a frame.
    #[error("the ciphertext has an impossible length")]
    Length,
    /// The padding bytes contradict each other: most often the AES key is not the one that encrypted.
    #[error("the padding is wrong; most often the AES key is not the one that DingTalk uses")]
    Padding,
    /// The frame claims a message longer than itself.
    #[error("the frame's length field points outside of it; most often the AES key is wrong")]
    Frame,
    /// The message is not UTF-8.
    #[error("the message is not UTF-8")]
    Utf8,
}

/// A decrypted frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// The message, most often JSON.
    pub message: String,
    /// Whom the message is for: app key, corp id or suite key. Not yet compared with anything.
    pub owner_key: Vec<u8>,
}

/// The signature of a request or a reply: lower-case hex.
pub fn signature(token: &str, timestamp: &str, nonce: &str, encrypt: &str) -> String {
    let mut parts = [token, timestamp, nonce, encrypt];
    parts.sort_unstable();
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part.as_bytes());
    }
    hex::encode(&sha1.finalize())
}

/// Decrypts the base64 text of an `encrypt` field. Check the signature first: everything in here is hostile until then.
pub fn decrypt(key: &AesKey, encrypt: &str) -> Result<Frame, DecryptError> {
    let mut bytes = STANDARD.decode(encrypt).map_err(|_| DecryptError::Base64)?;
    if bytes.len() < PADDING_BLOCK || !bytes.len().is_multiple_of(CIPHER_BLOCK) {
        return Err(DecryptError::Length);
    }
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&key.0, key.initialisation_vector())
        .map_err(|_| DecryptError::Length)?;
    let plain = cipher.decrypt_padded::<NoPadding>(&mut bytes).map_err(|_| DecryptError::Length)?;
    let framed = strip_padding(plain)?;
    let header = framed.get(..FRAME_HEADER).ok_or(DecryptError::Frame)?;
    let &[.., a, b, c, d] = header else {
        return Err(DecryptError::Frame);
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| DecryptError::Frame)?;
    let end = FRAME_HEADER.checked_add(length).ok_or(DecryptError::Frame)?;
    let message = framed.get(FRAME_HEADER..end).ok_or(DecryptError::Frame)?;
    let owner_key = framed.get(end..).ok_or(DecryptError::Frame)?;
    Ok(Frame {
        message: String::from_utf8(message.to_vec()).map_err(|_| DecryptError::Utf8)?,
        owner_key: owner_key.to_vec(),
    })
}

/// PKCS#7 with blocks of 32, which ordinary unpadding to 16 refuses (`events.md §3.1`, trap 1). Replies padded to 16
/// satisfy the same rule.
fn strip_padding(plain: &[u8]) -> Result<&[u8], DecryptError> {
    let &last = plain.last().ok_or(DecryptError::Length)?;
    let count = usize::from(last);
    if !(1..=PADDING_BLOCK).contains(&count) {
        return Err(DecryptError::Padding);
    }
    let end = plain.len().checked_sub(count).ok_or(DecryptError::Padding)?;
    let (content, padding) = plain.split_at(end);
    if padding.iter().all(|&byte| byte == last) { Ok(content) } else { Err(DecryptError::Padding) }
}

/// Encrypts `message` for `owner_key`: base64 without line breaks, padded to 32.
///
/// # Panics
///
/// Panics if the message is longer than 4 GiB, which no HTTP body of DingTalk's is.
pub fn encrypt(key: &AesKey, random: RandomPrefix, message: &str, owner_key: &[u8]) -> String {
    let length = u32::try_from(message.len()).expect("a message fits its length field");
    let framed = FRAME_HEADER + message.len() + owner_key.len();
    let padding = PADDING_BLOCK - framed % PADDING_BLOCK;
    let mut bytes = Vec::with_capacity(framed + padding);
    bytes.extend_from_slice(&random);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message.as_bytes());
    bytes.extend_from_slice(owner_key);
    bytes.resize(framed + padding, u8::try_from(padding).expect("the padding is at most 32"));
    let whole = bytes.len();
    cbc::Encryptor::<Aes256>::new_from_slices(&key.0, key.initialisation_vector())
        .expect("key and initialisation vector have the cipher's lengths")
        .encrypt_padded::<NoPadding>(&mut bytes, whole)
        .expect("the padded length is a whole number of blocks");
    STANDARD.encode(&bytes)
}
