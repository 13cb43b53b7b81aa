//! The keys of one callback URL.

use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::config;
use crate::dingtalk::crypto::{AesKey, Frame, decrypt, encrypt, signature};
use crate::hex;
use crate::random::Random;
use crate::secret::{Secret, equal_in_constant_time};

use super::stats::{InboxStats, Rejection};

/// A token and an AES key that the console shows together.
#[derive(Debug, Clone)]
pub struct KeyPair {
    token: Secret,
    aes_key: Secret,
}

impl From<&config::CallbackKeys> for KeyPair {
    fn from(keys: &config::CallbackKeys) -> Self {
        Self { token: keys.token.clone(), aes_key: keys.aes_key.clone() }
    }
}

/// One callback URL: whose it is, and what opens its pushes.
#[derive(Debug, Clone)]
pub struct CallbackEndpoint {
    /// The organisation.
    pub corp_id: String,
    /// Its name in the path.
    pub name: String,
    /// The pair in use, and while it is being changed the one before.
    pub pairs: Vec<KeyPair>,
    /// What may stand at the end of a message (`events.md §3`).
    pub owner_keys: Vec<String>,
    /// What came through it.
    pub stats: Arc<InboxStats>,
}

/// The signed parts of a push (`events.md §2`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    signature: String,
    timestamp: String,
    nonce: String,
    encrypt: String,
}

impl Envelope {
    /// Collects the parts. Both names of the signature and of the timestamp are in use; where both stand, they must
    /// agree.
    pub fn read(query: &str, body: &[u8]) -> Result<Self, Rejection> {
        #[derive(Deserialize)]
        struct Encrypted {
            encrypt: String,
        }

        let parameters: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let agreed = |names: &[&str], conflict: Rejection| {
            let mut values = parameters.iter().filter(|(name, _)| names.contains(&name.as_str()));
            let (_, first) = values.next().ok_or(Rejection::Shape)?;
            if values.all(|(_, other)| other == first) { Ok(first.clone()) } else { Err(conflict) }
        };
        Ok(Self {
            signature: agreed(&["msg_signature", "signature"], Rejection::Signature)?,
            timestamp: agreed(&["timestamp", "timeStamp"], Rejection::Shape)?,
            nonce: agreed(&["nonce"], Rejection::Shape)?,
            encrypt: serde_json::from_slice::<Encrypted>(body).map_err(|_| Rejection::Shape)?.encrypt,
        })
    }
}

/// An opened push, and what a reply to it needs.
#[derive(Debug)]
pub struct Opened<'endpoint> {
    /// The decrypted message.
    pub message: String,
    /// It came under the pair that was in use before.
    pub(super) is_under_previous_keys: bool,
    pair: &'endpoint KeyPair,
    owner_key: Vec<u8>,
}

impl CallbackEndpoint {
    /// The endpoint of an organisation; `None` where it takes no callbacks.
    pub fn of(corp: &config::Corp, stats: Arc<InboxStats>) -> Option<Self> {
        let callback = corp.callback.as_ref()?;
        let pairs = std::iter::once(&callback.current).chain(&callback.previous);
        Some(Self {
            corp_id: corp.corp_id.clone(),
            name: corp.name.clone(),
            pairs: pairs.map(KeyPair::from).collect(),
            owner_keys: corp.owner_keys.clone(),
            stats,
        })
    }

    /// Tells the keys in use from others, and nothing else of them: half of a hash, for the secret part is random.
    pub fn key_mark(&self) -> String {
        let mut hash = Sha256::new();
        if let Some(pair) = self.pairs.first() {
            pair.aes_key.with(|text| hash.update(text));
            hash.update([0]);
            pair.token.with(|text| hash.update(text));
        }
        hex::encode(&hash.finalize()[..16])
    }

    /// Checks who sent a push, and decrypts it. While keys are being changed, two pairs may share their token.
    pub fn open(&self, envelope: &Envelope) -> Result<Opened<'_>, Rejection> {
        let mut refused = Rejection::Signature;
        for (number, pair) in self.pairs.iter().enumerate().filter(|(_, pair)| pair.signed(envelope)) {
            match self.open_with(pair, envelope) {
                Ok(opened) => return Ok(Opened { is_under_previous_keys: number > 0, ..opened }),
                Err(rejection) => refused = rejection,
            }
        }
        Err(refused)
    }

    fn open_with<'endpoint>(
        &'endpoint self,
        pair: &'endpoint KeyPair,
        envelope: &Envelope,
    ) -> Result<Opened<'endpoint>, Rejection> {
        let key = pair.aes_key.with(AesKey::parse).map_err(|_| Rejection::Decrypt)?;
        let Frame { message, owner_key } =
            decrypt(&key, &envelope.encrypt).map_err(|_| Rejection::Decrypt)?;
        // All are compared, so that the time tells nothing about which one is configured.
        let known = self
            .owner_keys
            .iter()
            .fold(false, |known, candidate| known | equal_in_constant_time(candidate.as_bytes(), &owner_key));
        if known {
            Ok(Opened { message, is_under_previous_keys: false, pair, owner_key })
        } else {
            Err(Rejection::Owner)
        }
    }
}

impl KeyPair {
    fn signed(&self, envelope: &Envelope) -> bool {
        let expected = self
            .token
            .with(|token| signature(token, &envelope.timestamp, &envelope.nonce, &envelope.encrypt));
        equal_in_constant_time(expected.as_bytes(), envelope.signature.to_ascii_lowercase().as_bytes())
    }
}

/// The reply to a push: DingTalk wants these four names to the letter, all of them strings (`events.md §2.3`).
#[derive(Debug, serde::Serialize)]
pub(super) struct Reply {
    msg_signature: String,
    #[serde(rename = "timeStamp")]
    timestamp: String,
    nonce: String,
    encrypt: String,
}

impl Opened<'_> {
    /// The encrypted `success`, under the pair and the owner key that the push came with.
    pub(super) fn success(&self, timestamp: String, random: &Random) -> Option<Reply> {
        let key = self.pair.aes_key.with(AesKey::parse).ok()?;
        let nonce = random.word(8);
        let encrypt = encrypt(&key, random.bytes(), "success", &self.owner_key);
        let msg_signature = self.pair.token.with(|token| signature(token, &timestamp, &nonce, &encrypt));
        Some(Reply { msg_signature, timestamp, nonce, encrypt })
    }
}
