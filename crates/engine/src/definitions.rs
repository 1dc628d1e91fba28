//! Published definitions: a machine over its own partition, and the catalog that is made from it.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::sync::Arc;
use std::time::Duration;
use taraf_log::snapshot::Reader;

use semver::Version;
use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_flow::{Contents, Definition, Finding, check_with};
use taraf_log::machine::{Decision, DecodeError, Header, Machine, Observer};
use taraf_log::{PartitionId, Position};
use tokio::sync::watch;

use crate::archive::Retention;
use crate::partition::Definitions;
use crate::{FlowId, FlowRef};

/// The partition of definitions.
pub(crate) const PARTITION: PartitionId = PartitionId(2);
const PUBLISHED: u8 = 1;
/// Version of the record that is written.
const VERSION: u16 = 2;
/// Version of the snapshot that is written.
const SNAPSHOT_VERSION: u8 = 2;
/// Definitions that are kept at most.
const DEFINITIONS_MAX: usize = 10_000;

/// A definition that was accepted.
#[derive(Clone, Debug)]
pub struct Published {
    /// Which version of which flow.
    pub flow: FlowId,
    /// SHA-256 in hexadecimal: of its text, and of the documents elsewhere when it needs some.
    pub hash: String,
    /// False when the same content was published before.
    pub created: bool,
    /// What is allowed but questionable.
    pub warnings: Vec<Finding>,
}

/// One published version.
#[derive(Clone, Debug)]
pub struct FlowInfo {
    /// Which version of which flow.
    pub id: FlowId,
    /// The checked definition; its text is `definition.source`.
    pub definition: Arc<Definition>,
    /// When it was published.
    pub published: Timestamp,
    /// Documents elsewhere that it needs, as they were then.
    pub contents: Contents,
}

/// All published flows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    flows: BTreeMap<(String, String), BTreeMap<Version, FlowInfo>>,
    by_hash: BTreeMap<String, Arc<Definition>>,
}

impl Catalog {
    /// One version.
    #[must_use]
    pub fn get(&self, id: &FlowId) -> Option<&FlowInfo> {
        let versions = self.flows.get(&(id.namespace.clone(), id.name.clone()))?;
        versions.get(&Version::parse(&id.version).ok()?)
    }

    /// The version that a caller means: the one named, else the highest.
    #[must_use]
    pub fn resolve(&self, flow: &FlowRef) -> Option<&FlowInfo> {
        let versions = self
            .flows
            .get(&(flow.namespace.clone(), flow.name.clone()))?;
        match &flow.version {
            Some(version) => versions.get(&Version::parse(version).ok()?),
            None => highest(versions),
        }
    }

    /// The definition that a caller means.
    #[must_use]
    pub fn find(&self, flow: &FlowRef) -> Option<Arc<Definition>> {
        self.resolve(flow).map(|info| Arc::clone(&info.definition))
    }

    /// All versions of all flows, by namespace, name and version.
    pub fn iter(&self) -> impl Iterator<Item = &FlowInfo> {
        self.flows.values().flat_map(BTreeMap::values)
    }

    /// The highest version of each flow, by namespace and name.
    pub fn latest(&self) -> impl Iterator<Item = &FlowInfo> {
        self.flows.values().filter_map(highest)
    }

    /// How long finished runs of each flow are kept: as the flow's highest version says.
    pub(crate) fn retention(&self, default: Duration) -> Retention {
        let said = self.latest().filter_map(|info| {
            let kept = info.definition.retention()?;
            Some(((info.id.namespace.clone(), info.id.name.clone()), kept))
        });
        Retention {
            default,
            flows: said.collect(),
        }
    }

    fn add(&mut self, info: FlowInfo) {
        let Ok(version) = Version::parse(&info.id.version) else {
            tracing::error!(flow = %info.id, "a published version is not semantic");
            return;
        };
        self.by_hash
            .insert(info.definition.hash.clone(), Arc::clone(&info.definition));
        let name = (info.id.namespace.clone(), info.id.name.clone());
        self.flows.entry(name).or_default().insert(version, info);
    }
}

/// A version before its release counts only when there is no other.
fn highest(versions: &BTreeMap<Version, FlowInfo>) -> Option<&FlowInfo> {
    let released = versions
        .iter()
        .rev()
        .find(|(version, _)| version.pre.is_empty());
    released
        .or_else(|| versions.iter().next_back())
        .map(|(_, info)| info)
}

/// Finds definitions in the newest catalog.
pub(crate) struct Library(pub(crate) watch::Receiver<Arc<Catalog>>);

impl Definitions for Library {
    fn definition(&self, hash: &str) -> Option<Arc<Definition>> {
        self.0.borrow().by_hash.get(hash).cloned()
    }
}

/// The texts of all definitions.
#[derive(Default)]
pub(crate) struct Sources {
    texts: BTreeMap<FlowId, Text>,
}

/// One version's text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) flow: FlowId,
    pub(crate) hash: String,
    pub(crate) source: String,
    at: Timestamp,
    pub(crate) contents: Contents,
}

/// The same before definitions needed documents elsewhere.
#[derive(Serialize, Deserialize)]
struct TextV1 {
    flow: FlowId,
    hash: String,
    source: String,
    at: Timestamp,
}

impl From<TextV1> for Text {
    fn from(text: TextV1) -> Self {
        let TextV1 {
            flow,
            hash,
            source,
            at,
        } = text;
        Self {
            flow,
            hash,
            source,
            at,
            contents: Contents::new(),
        }
    }
}

/// Publish this text.
pub(crate) struct Publish {
    pub(crate) flow: FlowId,
    pub(crate) hash: String,
    pub(crate) source: String,
    pub(crate) contents: Contents,
}

/// What the publisher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Created,
    Existed,
    Conflict,
    /// The text is the same; these documents that it needs are not.
    Changed(Vec<String>),
    Full,
}

impl Machine for Sources {
    type Input = Publish;
    type Event = Text;
    type Action = ();
    type Reply = Verdict;

    fn decide(&self, input: Publish, now: Timestamp) -> Decision<Self> {
        let reply = match self.texts.get(&input.flow) {
            Some(text) if text.hash == input.hash => Verdict::Existed,
            Some(text) if text.source == input.source => {
                Verdict::Changed(text.contents.changed(&input.contents))
            }
            Some(_) => Verdict::Conflict,
            None if self.texts.len() >= DEFINITIONS_MAX => Verdict::Full,
            None => Verdict::Created,
        };
        let mut events = Vec::new();
        if reply == Verdict::Created {
            let Publish {
                flow,
                hash,
                source,
                contents,
            } = input;
            events.push(Text {
                flow,
                hash,
                source,
                at: now,
                contents,
            });
        }
        Decision {
            events,
            actions: Vec::new(),
            reply,
        }
    }

    fn evolve(&mut self, event: &Text, _at: Timestamp) {
        self.texts.insert(event.flow.clone(), event.clone());
    }

    fn outstanding(&self, _now: Timestamp) -> Vec<()> {
        Vec::new()
    }

    fn encode(event: &Text, body: &mut Vec<u8>) -> Header {
        crate::partition::put(body, event);
        Header {
            kind: PUBLISHED,
            version: VERSION,
            subject: 0,
        }
    }

    fn decode(header: &Header, body: &[u8]) -> Result<Text, DecodeError> {
        match (header.kind, header.version) {
            (PUBLISHED, 1) => crate::partition::get::<TextV1>(body).map(Text::from),
            (PUBLISHED, VERSION) => crate::partition::get(body),
            (PUBLISHED, version) => Err(DecodeError::UnknownVersion {
                kind: PUBLISHED,
                version,
            }),
            (kind, _) => Err(DecodeError::UnknownKind(kind)),
        }
    }

    fn write_snapshot(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut bytes = vec![SNAPSHOT_VERSION];
        let texts: Vec<&Text> = self.texts.values().collect();
        crate::partition::put(&mut bytes, &texts);
        to.write_all(&bytes)
    }

    fn read_snapshot(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut snapshot = Vec::new();
        from.read_to_end(&mut snapshot)?;
        let texts: Vec<Text> = match snapshot.split_first() {
            Some((1, body)) => {
                let texts: Vec<TextV1> = crate::partition::get(body)?;
                texts.into_iter().map(Text::from).collect()
            }
            Some((&SNAPSHOT_VERSION, body)) => crate::partition::get(body)?,
            _ => {
                return Err(DecodeError::Malformed(
                    "the snapshot has an unknown version".to_owned(),
                ));
            }
        };
        self.texts = texts
            .into_iter()
            .map(|text| (text.flow.clone(), text))
            .collect();
        Ok(())
    }

    fn empty(&self) -> Self {
        Self::default()
    }

    fn state_hash(&mut self) -> u64 {
        crate::placement::hash(&[&self.snapshot()])
    }
}

/// Makes the catalog from what is durable.
pub(crate) struct Cataloguer(pub(crate) watch::Sender<Arc<Catalog>>);

impl Cataloguer {
    fn add<'a>(&self, texts: impl Iterator<Item = &'a Text>) {
        let mut catalog = Catalog::clone(&self.0.borrow());
        for text in texts {
            let report = check_with(&text.source, &text.contents);
            let Some(definition) = report.definition else {
                tracing::error!(flow = %text.flow, "a published definition is not accepted any more");
                continue;
            };
            catalog.add(FlowInfo {
                id: text.flow.clone(),
                definition,
                published: text.at,
                contents: text.contents.clone(),
            });
        }
        self.0.send_replace(Arc::new(catalog));
    }
}

impl Observer<Sources> for Cataloguer {
    fn recovered(&mut self, machine: &Sources, _position: Position, _snapshot: Position) {
        self.add(machine.texts.values());
    }

    fn committed(&mut self, _position: Position, events: &[(Timestamp, Text)]) {
        self.add(events.iter().map(|(_, text)| text));
    }

    fn release(&mut self, _actions: Vec<()>) {}
}

#[cfg(test)]
mod tests;
