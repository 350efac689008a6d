//! Names resolved to networks.

use std::collections::HashSet;
use std::error::Error;
use std::fmt::{self, Display, Formatter};

use cygnet_graph::{BuildError, Graph};

use super::{Checkpoint, Family, Name, Preset, ROWS, Row, Variant};
use crate::Spec;
use crate::gene::{Gene, named_by_gene};
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
    /// The gene that its id is the text of, if it is none of the table's.
    pub gene: Option<Box<Gene>>,
}

impl Network {
    /// What the network reads by default: three channels at the side of its row or gene, the row's classes.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let side = self.usual_side();
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

    /// Height and width of images where no checkpoint says otherwise: of the row, or of the gene.
    #[must_use]
    pub fn usual_side(&self) -> usize {
        self.gene.as_ref().map_or(self.row.side, |gene| gene.image)
    }

    /// Height and width of the images of the checkpoint that was named, or the usual ones.
    #[must_use]
    pub fn side(&self) -> usize {
        self.checkpoint.and_then(|checkpoint| checkpoint.side).unwrap_or(self.usual_side())
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
        gene: None,
    }
}

/// The row of networks that genes describe, which no list has: each has its own text for an id.
const OF_GENES: &Row =
    &Row::new("gene", Family::Other, "cygnet", named_by_gene, &[]).preset(Preset::TIMM_BILINEAR);

impl From<Gene> for Network {
    fn from(gene: Gene) -> Network {
        Network {
            id: gene.to_string(),
            row: OF_GENES,
            variant: None,
            width: 1.0,
            name: None,
            keys: None,
            checkpoint: None,
            gene: Some(Box::new(gene)),
        }
    }
}

/// Every row: Cygnet's, then those that were added.
fn rows(added: &[&'static [Row]]) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(added).copied().flatten()
}

fn listed(added: &[&'static [Row]]) -> impl Iterator<Item = Network> {
    rows(added).flat_map(|row| row.variants.iter().map(move |variant| network(row, variant)))
}

/// Every listed network of Cygnet's, in the table's order.
pub fn networks() -> impl Iterator<Item = Network> {
    listed(&[])
}

/// Resolves `id`, `id_WIDTH`, `alias`, `source/alias`, each perhaps with `.tag` of a checkpoint, to one of Cygnet's, and the
/// text of a [`Gene`] to its network.
#[must_use]
pub fn find(query: &str) -> Option<Network> {
    find_tagged(query, &[])
}

/// Networks by name: Cygnet's and those that a program adds.
///
/// ```
/// use cygnet_zoo::registry::{Family, Registry, Row, Variant};
/// use cygnet_zoo::{Built, Spec};
/// use cygnet_graph::Conv;
///
/// fn plain(spec: &Spec) -> Built {
///     spec.build(|net, image| {
///         let x = net.at("conv").conv(image, Conv::new(spec.scaled(16), 3).stride(2)).relu();
///         net.at("fc").linear(x.global_avg_pool(), spec.classes)
///     })
/// }
///
/// const ROWS: &[Row] =
///     &[Row::new("plain", Family::Other, "mine", plain, &[Variant::new(&[], &[])]).side(64).any_width()];
///
/// let registry = Registry::default().with(ROWS)?;
/// let wide = registry.find("plain_2.0").expect("it is offered at any width");
/// assert_eq!(wide.build()?.node(cygnet_graph::NodeId(1)).shape, [32, 32, 32]);
/// assert!(registry.find("mobilenet_v2").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry {
    added: Vec<&'static [Row]>,
}

impl Registry {
    /// Adds rows of another crate. What holds for Cygnet's holds for them: ids and names are theirs alone.
    ///
    /// # Errors
    /// [`Taken`] if an id or a name stands for another network.
    pub fn with(mut self, rows: &'static [Row]) -> Result<Registry, Taken> {
        self.added.push(rows);
        let ids = listed(&self.added).map(|network| network.id);
        let names = listed(&self.added).flat_map(|network| {
            network.names().iter().map(|name| format!("{}/{}", name.source, name.name)).collect::<Vec<_>>()
        });
        let mut known = HashSet::new();
        let twice = ids.chain(names).find(|name| !known.insert(name.clone()));
        twice.map_or(Ok(self), |name| Err(Taken { name }))
    }

    /// Every listed network, Cygnet's first.
    pub fn networks(&self) -> impl Iterator<Item = Network> {
        listed(&self.added)
    }

    /// As [`find`], among all of them.
    #[must_use]
    pub fn find(&self, query: &str) -> Option<Network> {
        find_tagged(query, &self.added)
    }
}

/// A name that stands for another network already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The id, or `source/name`.
    pub name: String,
}

impl Display for Taken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: another network has this name; choose another", self.name)
    }
}

impl Error for Taken {}

fn find_tagged(query: &str, added: &[&'static [Row]]) -> Option<Network> {
    if query.starts_with(Gene::PREFIX) {
        return query.parse::<Gene>().ok().map(Network::from);
    }
    find_name(query, added).or_else(|| {
        query.match_indices('.').find_map(|(at, _)| {
            let network = find_name(&query[..at], added)?;
            let tag = &query[at + 1..];
            let of_tag = network.choices().find(|checkpoint| checkpoint.tag == tag);
            // torchvision's word for the first.
            let checkpoint = of_tag.or_else(|| network.choices().next().filter(|_| tag == "DEFAULT"))?;
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

fn find_name(query: &str, added: &[&'static [Row]]) -> Option<Network> {
    let by_id = || listed(added).find(|network| network.id == query);
    let (source, alias) =
        query.split_once('/').map_or((None, query), |(source, alias)| (Some(source), alias));
    let by_name = || {
        listed(added).find_map(|network| {
            let hit = |name: &&Name| name.name == alias && source.is_none_or(|source| source == name.source);
            let name = network.names().iter().find(hit)?;
            Some(Network { name: Some(name), keys: name.keys, ..network })
        })
    };
    let by_width = || {
        let (id, width) = query.rsplit_once('_')?;
        let width = plain_decimal(width).filter(|width| (0.01..=10.0).contains(width))?;
        let row = rows(added).find(|row| row.any_width && row.id == id)?;
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
            gene: None,
        };
        Some(listed.unwrap_or_else(custom))
    };
    by_id().or_else(by_name).or_else(by_width).or_else(|| {
        // Others write hyphens.
        let plain = query.replace('-', "_");
        if plain == query { None } else { find_name(&plain, added) }
    })
}
