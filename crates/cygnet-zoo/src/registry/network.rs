//! Names resolved to networks.

use cygnet_graph::{BuildError, Graph};

use super::{Checkpoint, Name, Preset, ROWS, Row, Variant};
use crate::Spec;
use crate::keymap::KeyMap;

/// A network that a name was resolved to.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its row.
    pub row: &'static Row,
    /// The listed variant; none for a width that is not listed.
    pub variant: Option<&'static Variant>,
    /// Width multiplier.
    pub width: f64,
    /// The name that it was called by, if that is somebody else's: weights and preprocessing are then that source's.
    pub name: Option<&'static Name>,
    /// How the source that was named calls the parameters, if not as Cygnet does.
    pub keys: Option<&'static KeyMap>,
    /// The checkpoint that was named by its tag.
    pub checkpoint: Option<&'static Checkpoint>,
}

impl Network {
    /// What the network reads by default: three channels at the row's side, the row's classes.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let side = self.row.side;
        let (image, classes) = ([3, side, side], self.row.classes);
        Spec { image, classes, width: self.width, ..Spec::new(self.id.clone()) }
    }

    /// What it was called: its id, or `source/name`.
    #[must_use]
    pub fn called(&self) -> String {
        self.name.map_or_else(|| self.id.clone(), |name| format!("{}/{}", name.source, name.name))
    }

    /// Whose network it is: of the source that was named, or of the row's flavour.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.name.map_or(self.row.flavour, |name| name.source)
    }

    /// Whose weights a checkpoint has.
    #[must_use]
    pub fn source_of(&self, checkpoint: &Checkpoint) -> &'static str {
        checkpoint.source.unwrap_or(self.row.flavour)
    }

    /// The same network as a source means it, if the source has a name for it.
    #[must_use]
    pub fn of(&self, source: &str) -> Network {
        match self.names().iter().find(|name| name.source == source) {
            Some(name) => Network { name: Some(name), keys: name.keys, checkpoint: None, ..self.clone() },
            None => self.clone(),
        }
    }

    /// Height and width of the images of the checkpoint that was named, or of the row.
    #[must_use]
    pub fn side(&self) -> usize {
        self.checkpoint.and_then(|checkpoint| checkpoint.side).unwrap_or(self.row.side)
    }

    /// How photos are prepared for the checkpoint that was named, else as the source prepares them that was named, or
    /// the row's.
    #[must_use]
    pub fn preset(&self) -> Preset {
        if let Some(checkpoint) = self.checkpoint {
            return checkpoint.preset.unwrap_or(self.row.preset);
        }
        if let Some(preset) = self.name.and_then(|name| name.preset) {
            return preset;
        }
        let is_own = self.source().eq_ignore_ascii_case(self.row.flavour);
        let usual = if is_own { self.row.preset } else { Preset::of(self.source(), self.row.side) };
        match self.source() {
            // The record of a network of timm's is that of its default weights.
            "timm" => {
                let mut weights =
                    self.checkpoints().iter().filter(|weights| self.source_of(weights) == "timm");
                weights.next().and_then(|weights| weights.preset).unwrap_or(usual)
            }
            _ => usual,
        }
    }

    /// Builds it as published.
    ///
    /// # Errors
    /// If the width is too small or too large to make sense.
    pub fn build(&self) -> Result<Graph, BuildError> {
        (self.row.build)(&self.spec())
    }

    /// Builds it as published, with its auxiliary heads if it has any.
    ///
    /// # Errors
    /// As [`Network::build`].
    pub fn build_with_heads(&self) -> Result<Graph, BuildError> {
        (self.row.build)(&Spec { auxiliary: true, ..self.spec() })
    }

    /// Published weights of every source, the default first.
    #[must_use]
    pub fn checkpoints(&self) -> &'static [Checkpoint] {
        self.variant.map_or(&[], |variant| variant.checkpoints)
    }

    /// Published weights that may be meant: those of the source that was named, else all; the default first.
    pub fn choices(&self) -> impl Iterator<Item = &'static Checkpoint> {
        let (row, name) = (self.row, self.name);
        self.checkpoints().iter().filter(move |checkpoint| {
            name.is_none_or(|name| {
                checkpoint.source.unwrap_or(row.flavour) == name.source
                    && name.tag.is_none_or(|tag| tag == checkpoint.tag)
            })
        })
    }

    /// The checkpoint that was named, or the default one.
    #[must_use]
    pub fn default_checkpoint(&self) -> Option<&'static Checkpoint> {
        self.checkpoint.or_else(|| self.choices().next())
    }

    /// What others call it.
    #[must_use]
    pub fn names(&self) -> &'static [Name] {
        self.variant.map_or(&[], |variant| variant.names)
    }

    /// Every key map that is known for its parameters, those of its names and checkpoints, each once.
    #[must_use]
    pub fn key_maps(&self) -> Vec<&'static KeyMap> {
        let names = self.names().iter().filter_map(|name| name.keys);
        let mut maps: Vec<&'static KeyMap> = Vec::new();
        for map in names.chain(self.checkpoints().iter().filter_map(|checkpoint| checkpoint.keys)) {
            if !maps.contains(&map) {
                maps.push(map);
            }
        }
        maps
    }
}

fn network(row: &'static Row, variant: &'static Variant) -> Network {
    Network {
        id: if variant.in_id { format!("{}_{:?}", row.id, variant.width) } else { row.id.into() },
        row,
        variant: Some(variant),
        width: variant.width,
        name: None,
        keys: None,
        checkpoint: None,
    }
}

/// Every listed network, in the table's order.
pub fn networks() -> impl Iterator<Item = Network> {
    let rows = ROWS.iter().copied().flatten();
    rows.flat_map(|row| row.variants.iter().map(move |variant| network(row, variant)))
}

/// Resolves `id`, `id_WIDTH`, `alias`, `source/alias`, each perhaps with `.tag` of a checkpoint.
#[must_use]
pub fn find(query: &str) -> Option<Network> {
    find_name(query).or_else(|| {
        query.match_indices('.').find_map(|(at, _)| {
            let network = find_name(&query[..at])?;
            let checkpoint = network.choices().find(|checkpoint| checkpoint.tag == &query[at + 1..])?;
            Some(Network { checkpoint: Some(checkpoint), ..network })
        })
    })
}

/// A width as people write it, `0.6` or `2`, not `075`.
fn plain_decimal(text: &str) -> Option<f64> {
    let (whole, _) = text.split_once('.').unwrap_or((text, ""));
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (digits && (whole == "0" || !whole.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

fn find_name(query: &str) -> Option<Network> {
    let by_id = || networks().find(|network| network.id == query);
    let (source, alias) =
        query.split_once('/').map_or((None, query), |(source, alias)| (Some(source), alias));
    let by_name = || {
        networks().find_map(|network| {
            let hit = |name: &&Name| name.name == alias && source.is_none_or(|source| source == name.source);
            let name = network.names().iter().find(hit)?;
            Some(Network { name: Some(name), keys: name.keys, ..network })
        })
    };
    let by_width = || {
        let (id, width) = query.rsplit_once('_')?;
        let width = plain_decimal(width).filter(|width| (0.01..=10.0).contains(width))?;
        let row = ROWS.iter().copied().flatten().find(|row| row.any_width && row.id == id)?;
        let listed =
            row.variants.iter().find(|variant| variant.width == width).map(|variant| network(row, variant));
        let custom = || Network {
            id: query.into(),
            row,
            variant: None,
            width,
            name: None,
            keys: None,
            checkpoint: None,
        };
        Some(listed.unwrap_or_else(custom))
    };
    by_id().or_else(by_name).or_else(by_width)
}
