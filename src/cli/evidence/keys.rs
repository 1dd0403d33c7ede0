//! `drydock evidence keygen`, `keys` and `retire`

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::place;
use crate::cli::output::Shown;
use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::{Done, human};
use crate::evidence::{EvidenceError, KeyEntry, KeyId, SigningKey, Trust, signing_key};
use crate::failure::Category;
use crate::stack::SecretSource;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock evidence keygen --out /etc/drydock/evidence.pem
  drydock evidence keygen --out /etc/drydock/evidence-2027.pem        the next one; see `evidence retire`

The same is made by `openssl genpkey -algorithm ed25519 -out FILE`.")]
pub struct KeygenArgs {
    /// Where the private key goes: a new file that its owner alone may read
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock evidence keys -f stack.yaml
  drydock evidence keys -f stack.yaml --pem > evidence-public.pem")]
pub struct KeysArgs {
    /// Print the public keys as PEM, as others and `verify --key` read them
    #[arg(long)]
    pem: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  drydock evidence retire -f stack.yaml                                        the key in the document
  drydock evidence retire -f stack.yaml --private-key /etc/drydock/evidence-2026.pem

To change the key: retire the old one, make another with `keygen`, name it in the document. What the old one signed in its
time stays valid. A key that others may have got is retired too; records that are dated later do not verify then.")]
pub struct RetireArgs {
    /// The private key to retire, where the document names another already
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    file: PathBuf,
    key_id: KeyId,
    public_key: String,
}

pub fn keygen(args: &KeygenArgs, session: &Session) -> Done {
    let key = SigningKey::generate().map_err(EvidenceError::from)?;
    let pem = key.to_pem().map_err(EvidenceError::from)?;
    write_new(&args.out, pem.expose_secret().as_bytes())
        .map_err(|source| EvidenceError::Keygen { path: args.out.clone(), source })?;
    let (key_id, public_key) = (key.public().id(), key.public().to_pem());
    let file = std::path::absolute(&args.out).unwrap_or_else(|_| args.out.clone());
    session.print(&Made { file, key_id, public_key })
}

/// Durable before anything is signed with it, and never in the place of another.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl Shown for Made {
    fn text(&self) -> String {
        let file = self.file.display();
        format!(
            "made the key {}\n\nName it in the Stack document, below `spec`:\n\n  evidence: {{key: {{fromFile: {file}}}}}\n\n\
             Who has this file can sign evidence. Keep a copy apart from this machine; keep it out of the repository's store.\n\
             Give the public key to whoever shall verify, by another way than the store:\n\n{}",
            self.key_id, self.public_key
        )
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    keys: Vec<Key>,
    #[serde(skip)]
    pem: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    object: String,
    key_id: Option<KeyId>,
    public_key: Option<String>,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    /// Why it is not believed.
    problem: Option<String>,
}

pub async fn list(args: &KeysArgs, session: &Session) -> Done {
    let (_, chain) = place::chain(session).await?;
    let examined = chain.examine(Some(1), &Trust::Published, &[]).await?;
    let keys: Vec<Key> = examined.keys.iter().map(Key::of).collect();
    let damaged = keys.iter().any(|key| key.problem.is_some());
    session.print_with(&Keys { keys, pem: args.pem }, damaged.then_some(Category::Integrity))
}

impl Key {
    fn of(entry: &KeyEntry) -> Self {
        let published = entry.published.as_ref();
        Self {
            object: entry.object.clone(),
            key_id: published.map(|key| key.key_id),
            public_key: published.map(|key| key.public_key.clone()),
            valid_from: published.map(|key| key.valid_from),
            valid_until: published.and_then(|key| key.valid_until),
            problem: entry.problem.clone(),
        }
    }
}

impl Shown for Keys {
    fn text(&self) -> String {
        if self.pem {
            return self
                .keys
                .iter()
                .filter(|key| key.problem.is_none())
                .filter_map(|key| key.public_key.clone())
                .collect();
        }
        if self.keys.is_empty() {
            return "no key has signed evidence yet\n".into();
        }
        let mut table = Table::new(&["KEY", "SIGNS FROM", "UNTIL", "PROBLEM"]);
        for key in &self.keys {
            let id = key.key_id.map_or_else(|| key.object.clone(), |id| id.to_string());
            let from = key.valid_from.map(human::instant).unwrap_or_default();
            let until = key.valid_until.map_or("in use".into(), human::instant);
            table.row([id, from, until, key.problem.clone().unwrap_or_default()]);
        }
        table.text()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Retired {
    key_id: KeyId,
    valid_from: Timestamp,
    valid_until: Timestamp,
}

pub async fn retire(args: &RetireArgs, session: &Session) -> Done {
    let (stack, chain) = place::chain(session).await?;
    let key = match &args.private_key {
        Some(file) => {
            let pem = SecretSource::FromFile(file.clone()).read().map_err(EvidenceError::from)?;
            SigningKey::from_pem(&pem).map_err(EvidenceError::from)?
        }
        None => signing_key(&stack.name, stack.spec.evidence.as_ref())?,
    };
    let until = session.cx.clock.now();
    let retired = chain.retire(&key, until).await.map_err(Failed::from)?;
    session.print(&Retired { key_id: retired.key_id, valid_from: retired.valid_from, valid_until: until })
}

impl Shown for Retired {
    fn text(&self) -> String {
        let (from, until) = (human::instant(self.valid_from), human::instant(self.valid_until));
        format!(
            "the key {} signs nothing from {until} on; what it has signed since {from} stays valid\n\
             make the next with `drydock evidence keygen --out FILE.pem`, and name it in the document\n",
            self.key_id
        )
    }
}
