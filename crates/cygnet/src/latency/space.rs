//! Where the networks come from that a table is measured in.

use cygnet_graph::Graph;
use cygnet_zoo::{Network, Spec, networks};

/// A set of networks that are like those to be predicted.
pub trait Space {
    /// Its name.
    fn name(&self) -> &str;

    /// The network of a number, for images of `image` rows and columns: the same one always. None if the network of that number
    /// does not look at such images.
    fn draw(&self, number: u64, image: usize) -> Option<Draw>;
}

/// The zoo's networks of at most a billion multiply-accumulates, at any width where they have one.
#[derive(Clone, Copy, Debug)]
pub struct Zoo;

/// A network that was drawn.
#[derive(Clone, Debug)]
pub struct Draw {
    /// What it is called.
    pub name: String,
    /// The network.
    pub graph: Graph,
}

/// Rows of small images that are left of the last map at least: early steps are smaller where images are.
const SMALLEST_MAP: usize = 3;

/// Multiply-accumulates of a network of the zoo, at most.
const MOST_MACS: u64 = 1_000_000_000;

/// Widths in hundredths: the least, the most, and from one to the next.
const WIDTHS: [u64; 3] = [25, 150, 5];

impl Space for Zoo {
    fn name(&self) -> &'static str {
        "zoo"
    }

    fn draw(&self, number: u64, image: usize) -> Option<Draw> {
        let rows: Vec<Network> = networks().collect();
        let network = &rows[(random(number, 0) % rows.len() as u64) as usize];
        let [least, most, step] = WIDTHS;
        let hundredths = least + step * (random(number, 1) % ((most - least) / step + 1));
        let is_any = network.row.any_width;
        let width = if is_any { hundredths as f64 / 100.0 } else { network.width };
        let name = if is_any { format!("{}_{width}", network.row.id) } else { network.id.clone() };
        let graph = (network.row.build)(&Spec { name: name.clone(), width, ..network.spec() }).ok()?;
        let graph = graph.for_small_images(image, SMALLEST_MAP).ok()?;
        (graph.cost().macs <= MOST_MACS).then_some(Draw { name, graph })
    }
}

/// A number of the draw of a number (SplitMix64).
fn random(number: u64, place: u64) -> u64 {
    let z = number.wrapping_mul(2).wrapping_add(place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
