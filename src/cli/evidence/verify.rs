//! `drydock evidence verify`

use std::path::PathBuf;

use serde::Serialize;

use super::place;
use crate::cli::output::Shown;
use crate::cli::report::Failed;
use crate::cli::session::Session;
use crate::cli::{Done, human};
use crate::evidence::{Examined, KeyId, Link, LinkDigest, Pin, Trust, verify_alone};
use crate::failure::Category;
use crate::stack::Name;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["all", "envelope"]))]
#[command(after_long_help = "\
Examples:
  drydock evidence verify -f stack.yaml --all
  drydock evidence verify -f stack.yaml --all --key auditors-copy.pem --includes 41@9f3a…
  drydock evidence verify 000012.json --key evidence-public.pem

Without --key, `--all` believes the keys that lie beside the evidence: that finds damage, but whoever may write to the
store could have put a key there. With --key only the given keys count. A record that was noted before (its number and
digest, as `verify` prints them) is asked for with --includes: so is found out when the newest records were cut off.")]
pub struct Args {
    /// All of the stack's evidence: every signature, number, and digest of the one before
    #[arg(long, conflicts_with = "envelope")]
    all: bool,

    /// One stored record; needs neither store nor document
    #[arg(value_name = "ENVELOPE", requires = "key")]
    envelope: Option<PathBuf>,

    /// Believe this public key (PEM, or a stored key, `evidence/keys/ID.json`) and no other; may be repeated
    #[arg(long, value_name = "PUBLIC")]
    key: Vec<PathBuf>,

    /// A record that must still be there, as it was; may be repeated
    #[arg(long, value_name = "NUMBER@DIGEST", value_parser = pin, requires = "all")]
    includes: Vec<Pin>,
}

fn pin(text: &str) -> Result<Pin, String> {
    let expected =
        || format!("`{text}`: expected a record's number and digest, NUMBER@DIGEST, as `verify` prints them");
    let (number, digest) = text.split_once('@').ok_or_else(expected)?;
    let number = number.parse().map_err(|_| expected())?;
    Ok(Pin { number, digest: LinkDigest::try_from(digest.to_owned()).map_err(|_| expected())? })
}

pub async fn run(args: &Args, session: &Session) -> Done {
    match &args.envelope {
        Some(file) => alone(file, args, session),
        None => all(args, session).await,
    }
}

/// What `evidence verify --all -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct All {
    stack: Name,
    verified: bool,
    records: u64,
    /// What does not verify, each with its object.
    faults: Vec<String>,
    /// `NUMBER@DIGEST` of the newest: note it elsewhere, and ask for it with `--includes`.
    newest: Option<String>,
    keys: Vec<KeyId>,
    /// Whether only given keys were believed.
    keys_given: bool,
    /// Objects that are not drydock's.
    foreign: Vec<String>,
}

async fn all(args: &Args, session: &Session) -> Done {
    let trust = place::trust(&args.key)?;
    let (_, chain) = place::chain(session).await?;
    let examined = chain.examine(None, &trust, &args.includes).await?;
    session.print_with(&All::of(&examined, &trust), place::category(&examined))
}

impl All {
    fn of(examined: &Examined, trust: &Trust) -> Self {
        let keys = examined.entries.iter().filter_map(|entry| entry.key);
        let keys: std::collections::BTreeSet<KeyId> = keys.collect();
        Self {
            stack: examined.stack.clone(),
            verified: examined.holds(),
            records: examined.entries.len() as u64,
            faults: examined.faults(),
            newest: examined.head().map(|pin| format!("{}@{}", pin.number, pin.digest)),
            keys: keys.into_iter().collect(),
            keys_given: matches!(trust, Trust::Only(_)),
            foreign: examined.foreign.clone(),
        }
    }
}

impl Shown for All {
    fn text(&self) -> String {
        let records = human::count(self.records, "record");
        let mut text = if self.verified {
            format!("verified: {records} of {}, each signed, unaltered and in its place\n", self.stack)
        } else {
            let faults: String = self.faults.iter().map(|fault| format!("  {fault}\n")).collect();
            format!("DOES NOT VERIFY: {records} of {}, and this is wrong:\n{faults}", self.stack)
        };
        for key in &self.keys {
            text += &format!("key     {key}\n");
        }
        if let Some(newest) = &self.newest {
            text += &format!("newest  {newest}\n");
        }
        for object in &self.foreign {
            text += &format!("note: {object} is none of drydock's\n");
        }
        if !self.keys_given && self.records > 0 {
            text += "The keys are those that lie beside the evidence: compare them with those that you were given, or give \
                     them with --key.\n";
        }
        if self.newest.is_some() {
            text +=
                "Note the newest elsewhere: `--includes` asks for it later, and finds out when the end was cut off.\n";
        }
        text
    }
}

/// What `evidence verify FILE -o json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alone {
    verified: bool,
    digest: LinkDigest,
    key: KeyId,
    link: Link,
}

fn alone(file: &PathBuf, args: &Args, session: &Session) -> Done {
    let keys = match place::trust(&args.key)? {
        Trust::Only(keys) => keys,
        Trust::Published => Vec::new(), // clap demands a key
    };
    let bytes = std::fs::read(file).map_err(|error| {
        Failed::usage(format!("cannot read {}: {error}", file.display()), "name a file of `evidence/` in the store")
    })?;
    match verify_alone(&bytes, &keys) {
        Ok((key, link)) => session.print(&Alone { verified: true, digest: LinkDigest::of(&bytes), key, link }),
        Err(problem) => {
            let message = format!("{} does not verify: {problem}", file.display());
            let hint = "compare it with the object in the store, byte for byte, and the key with its id";
            Err(Failed::new(Category::Integrity, message, Some(hint.into())))
        }
    }
}

impl Shown for Alone {
    fn text(&self) -> String {
        let Link { number, previous, signed, record, .. } = &self.link;
        let before = previous
            .map_or("nothing: it is the first".to_owned(), |digest| format!("the record with the digest {digest}"));
        format!(
            "verified: record {number} of {}, {} {}\n\
             run     {}\npoint   {} (snapshot {})\nkey     {}\nsigned  {}\ndigest  {}\nafter   {before}\n\n\
             It shows that the owner of this key said this, and that no byte of it was altered since. It does not show\n\
             whose key it is, that the clock was right, or that other records are there: `verify --all` looks at those.\n",
            record.stack,
            record.kind.word(),
            record.outcome.word(),
            record.run,
            record.point.id,
            record.point.snapshot,
            self.key,
            human::instant(*signed),
            self.digest,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_a_number_and_a_digest() {
        let digest = "8775edde37a5d29373db4db0c76053641fdd969c05d7709d4960fdba2434b04d";
        let read = pin(&format!("41@{digest}")).unwrap();
        assert_eq!((read.number, read.digest.to_string().as_str()), (41, digest));
        for wrong in ["41", digest, "41@", "x@y", &format!("@{digest}")] {
            assert!(pin(wrong).unwrap_err().contains("NUMBER@DIGEST"), "{wrong}");
        }
    }
}
