//! What a search chooses from.
//!
//! A space is a list of decisions, of which each has some options: the stem, the width and depth of a stage, the
//! block at a place. Some matter only if others turn out so: a place that is deeper than the stage decides nothing.
//! Genes and lists of choices are the same thing in two forms.

mod counting;
mod moves;
mod reading;

use cygnet_zoo::Gene;
use cygnet_zoo::gene::{Block, Head, Stage, Stem};

pub use reading::SpaceError;

/// For each decision of a space the number of an option; 0 where a decision does not matter.
pub type Choices = Vec<usize>;

/// Networks to choose from.
///
/// ```
/// use cygnet_image::Rng;
/// use cygnet_search::Space;
///
/// let space = Space::named("fbnet")?.for_image(32);
/// let choices = space.sample(&mut Rng::keyed(&[1, 0]));
/// let gene = space.gene(&choices);
/// assert_eq!(space.choices(&gene), Some(choices));
/// assert!(gene.build(&gene.spec()).is_ok());
/// # Ok::<(), cygnet_search::SpaceError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    name: String,
    images: Vec<usize>,
    stems: Vec<Stem>,
    heads: Vec<Head>,
    stages: Vec<StageSpace>,
    decisions: Vec<Decision>,
}

/// What is chosen of one stage.
#[derive(Clone, Debug, PartialEq)]
struct StageSpace {
    channels: Vec<usize>,
    stride: usize,
    /// Numbers of places.
    depths: Vec<usize>,
    /// Blocks to choose from, by kind if places of a stage have one kind.
    kinds: Vec<Vec<Option<Block>>>,
    /// Whether all places of the stage have the same block.
    alike: bool,
}

/// One thing to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What it is about.
    pub what: What,
    /// What can be chosen, as it is written in the text of genes.
    pub options: Vec<String>,
    /// Earlier decisions, and the options of each with which this one matters.
    when: Vec<(usize, Vec<bool>)>,
}

/// What a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Height and width of images.
    Image,
    /// The stem.
    Stem,
    /// The head.
    Head,
    /// The width of a stage.
    Channels {
        /// Number of the stage.
        stage: usize,
    },
    /// How many places a stage has.
    Depth {
        /// Number of the stage.
        stage: usize,
    },
    /// Which blocks a stage is made of.
    Kind {
        /// Number of the stage.
        stage: usize,
    },
    /// The block at a place, or at all places of a stage.
    Block {
        /// Number of the stage.
        stage: usize,
        /// Which blocks the stage is made of.
        kind: usize,
        /// Number of the place.
        place: usize,
    },
}

impl Space {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What there is to choose, in the order in which [`Choices`] are listed: what a decision depends on comes before
    /// it.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// Whether a decision matters, by the choices for those before it.
    #[must_use]
    pub fn matters(&self, decision: usize, choices: &[usize]) -> bool {
        self.decisions[decision].when.iter().all(|(on, options)| options[choices[*on]])
    }

    /// The same networks for images of `side × side` pixels: if these are smaller than the space was made for, the
    /// first steps of two become steps of one until the last map has [`SMALLEST_MAP`] rows or more.
    #[must_use]
    pub fn for_image(&self, side: usize) -> Space {
        let mut space = Space { images: vec![side], ..self.clone() };
        let halvings = |space: &Space| {
            let stem = space.stems.iter().map(|stem| stem.stride * if stem.pools { 2 } else { 1 });
            stem.max().unwrap_or(1) * space.stages.iter().map(|stage| stage.stride).product::<usize>()
        };
        while halvings(&space) > 1 && side < SMALLEST_MAP * halvings(&space) {
            let (mut strided, mut pooled) = (false, false);
            space.stems.iter().for_each(|stem| {
                strided |= stem.stride > 1;
                pooled |= stem.pools;
            });
            if strided {
                space.stems.iter_mut().for_each(|stem| stem.stride = 1);
            } else if pooled {
                space.stems.iter_mut().for_each(|stem| stem.pools = false);
            } else if let Some(stage) = space.stages.iter_mut().find(|stage| stage.stride > 1) {
                stage.stride = 1;
            }
        }
        space.decide();
        space
    }

    /// The gene that choices make.
    ///
    /// # Panics
    /// If there are not as many choices as decisions, or one is no option.
    #[must_use]
    pub fn gene(&self, choices: &[usize]) -> Gene {
        assert_eq!(choices.len(), self.decisions.len(), "a choice for each decision of {}", self.name);
        let chosen = |what: What| {
            let matches = |decision: &Decision| decision.what == what;
            self.decisions.iter().position(matches).map_or(0, |index| choices[index])
        };
        let stages = self.stages.iter().enumerate().map(|(stage, space)| {
            let depth = space.depths[chosen(What::Depth { stage })];
            let kind = chosen(What::Kind { stage });
            let block = |place: usize| {
                let place = if space.alike { 0 } else { place };
                self.options(stage, kind, place)[chosen(What::Block { stage, kind, place })].clone()
            };
            let channels = space.channels[chosen(What::Channels { stage })];
            Stage { channels, stride: space.stride, blocks: (0..depth).map(block).collect() }
        });
        Gene {
            image: self.images[chosen(What::Image)],
            stem: self.stems[chosen(What::Stem)].clone(),
            stages: stages.collect(),
            head: self.heads[chosen(What::Head)].clone(),
        }
    }

    /// The choices that make a gene, if it is one of the space's.
    #[must_use]
    pub fn choices(&self, gene: &Gene) -> Option<Choices> {
        if gene.stages.len() != self.stages.len() {
            return None;
        }
        let mut choices: Choices = Vec::with_capacity(self.decisions.len());
        for (index, decision) in self.decisions.iter().enumerate() {
            if !self.matters(index, &choices) {
                choices.push(0);
                continue;
            }
            let at = |stage: usize| (&self.stages[stage], &gene.stages[stage]);
            let chosen = match decision.what {
                What::Image => self.images.iter().position(|&image| image == gene.image),
                What::Stem => self.stems.iter().position(|stem| *stem == gene.stem),
                What::Head => self.heads.iter().position(|head| *head == gene.head),
                What::Channels { stage } => {
                    let (space, stage) = at(stage);
                    space.channels.iter().position(|&channels| channels == stage.channels)
                }
                What::Depth { stage } => {
                    let (space, stage) = at(stage);
                    space.depths.iter().position(|&depth| depth == stage.blocks.len())
                }
                What::Kind { stage } => {
                    let has = |kind: usize, place: usize| {
                        self.options(stage, kind, place).contains(&gene.stages[stage].blocks[place])
                    };
                    let places = gene.stages[stage].blocks.len();
                    let kinds = 0..self.stages[stage].kinds.len();
                    kinds.clone().find(|&kind| (0..places).all(|place| has(kind, place)))
                }
                What::Block { stage, kind, place } => {
                    let block = gene.stages[stage].blocks.get(place)?;
                    self.options(stage, kind, place).iter().position(|option| option == block)
                }
            };
            choices.push(chosen?);
        }
        (self.gene(&choices) == *gene).then_some(choices)
    }

    /// Blocks to choose from at a place: a place that changes the map has one.
    fn options(&self, stage: usize, kind: usize, place: usize) -> Vec<Option<Block>> {
        let blocks = &self.stages[stage].kinds[kind];
        if place > 0 || self.keeps_map(stage) {
            return blocks.clone();
        }
        blocks.iter().filter(|block| block.is_some()).cloned().collect()
    }

    /// Whether a stage has the size and the channels of what it reads, whatever is chosen.
    fn keeps_map(&self, stage: usize) -> bool {
        let before: Vec<usize> = match stage.checked_sub(1) {
            Some(before) => self.stages[before].channels.clone(),
            None => self.stems.iter().map(|stem| stem.channels).collect(),
        };
        let of_stage = &self.stages[stage];
        let mut widths = before.iter().chain(&of_stage.channels);
        let first = of_stage.channels[0];
        of_stage.stride == 1 && widths.all(|&channels| channels == first)
    }

    /// Makes the list of decisions.
    fn decide(&mut self) {
        let mut decisions = Vec::new();
        let mut decide = |what: What, options: Vec<String>, when: Vec<(usize, Vec<bool>)>| {
            // What leaves no choice is no decision.
            if options.len() > 1 {
                decisions.push(Decision { what, options, when });
                return Some(decisions.len() - 1);
            }
            None
        };
        decide(What::Image, texts(&self.images), Vec::new());
        decide(What::Stem, texts(&self.stems), Vec::new());
        decide(What::Head, texts(&self.heads), Vec::new());
        for (stage, space) in self.stages.iter().enumerate() {
            decide(What::Channels { stage }, texts(&space.channels), Vec::new());
            let depth = decide(What::Depth { stage }, texts(&space.depths), Vec::new());
            let kinds: Vec<String> = space.kinds.iter().map(|blocks| named(&blocks[0])).collect();
            let of_kind = decide(What::Kind { stage }, kinds, Vec::new());
            let places = if space.alike { 1 } else { space.depths.iter().copied().max().unwrap_or(0) };
            for kind in 0..space.kinds.len() {
                for place in 0..places {
                    let is_kind =
                        |index| (index, (0..space.kinds.len()).map(|other| other == kind).collect());
                    let is_there = |index| {
                        (index, space.depths.iter().map(|&depth| space.alike || place < depth).collect())
                    };
                    let when = of_kind.map(is_kind).into_iter().chain(depth.map(is_there)).collect();
                    let options = self.options(stage, kind, place).iter().map(named).collect();
                    decide(What::Block { stage, kind, place }, options, when);
                }
            }
        }
        self.decisions = decisions;
    }
}

/// Rows that a space for small images leaves in the last map, as recipes for small images do.
pub const SMALLEST_MAP: usize = 3;

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(T::to_string).collect()
}

/// A block as the text of genes has it.
fn named(block: &Option<Block>) -> String {
    block.as_ref().map_or_else(|| "x".into(), Block::to_string)
}
