//! How much memory values may take while a network is quantised, and how many threads have room in it.

use cygnet_graph::{Graph, Node, NodeId};
use cygnet_runtime::{cpu, room};

use crate::QuantizeError;
use crate::fold::folded_graph;
use crate::places::{Group, Places};
use crate::survey::{Asked, most};

/// Bytes of values that are taken in any case.
const USUAL: u64 = 4 << 30;

/// Bytes that a thread may take in any case, so that many may take more.
const OF_A_THREAD: u64 = 256 << 20;

/// Bytes of a channel whose numbers are looked at, beside those of the numbers.
const OF_A_CHANNEL: u64 = 256;

/// Bytes of a node for each image, beside those of its value.
const OF_A_NODE: u64 = 128;

/// Whether so many images themselves have room, before they are there.
///
/// # Errors
/// [`QuantizeError::Memory`] if not.
pub fn check_images(graph: &Graph, images: usize, memory_bytes: Option<u64>) -> Result<(), QuantizeError> {
    within(graph, images, of_input(graph).saturating_mul(images as u64), limit(1, memory_bytes))
}

/// Whether so many images have room with all that [`quantize`](crate::quantize) keeps of them, before they are there.
///
/// # Errors
/// [`QuantizeError::Memory`] if not.
pub fn check_kept(
    graph: &Graph,
    images: usize,
    threads: usize,
    memory_bytes: Option<u64>,
) -> Result<(), QuantizeError> {
    let graph = folded_graph(graph)?;
    let places = Places::of(&graph, &vec![false; graph.nodes().len()]);
    self::threads(&graph, &places, Asked::Numbers, images, threads, memory_bytes).map(drop)
}

/// How many of `threads` have room beside what is kept of all images, within some bytes or the usual ones.
pub(crate) fn threads(
    graph: &Graph,
    places: &Places,
    asked: Asked,
    images: usize,
    threads: usize,
    memory_bytes: Option<u64>,
) -> Result<usize, QuantizeError> {
    let threads = threads.max(1);
    // Of more threads the others find no image left.
    let working = threads.min(images);
    let limit = limit(working, memory_bytes);
    let survey = Seen { graph, places, asked, images };
    let kept = of_image(graph).saturating_mul(images as u64).saturating_add(survey.bytes());
    let each = of_thread(graph).max(survey.bytes_of_group());
    within(graph, images, kept.saturating_add(each), limit)?;
    let most = usize::try_from((limit - kept) / each.max(1)).unwrap_or(usize::MAX);
    Ok(if most < working { most } else { threads })
}

fn within(graph: &Graph, images: usize, bytes: u64, limit: u64) -> Result<(), QuantizeError> {
    if bytes > limit {
        return Err(QuantizeError::Memory { graph: graph.name().into(), images, bytes, limit });
    }
    Ok(())
}

fn limit(threads: usize, memory_bytes: Option<u64>) -> u64 {
    memory_bytes.unwrap_or_else(|| usual(threads, cpu::memory_bytes()))
}

fn usual(threads: usize, memory: Option<u64>) -> u64 {
    room(threads, USUAL, OF_A_THREAD, memory)
}

fn numbers(node: &Node) -> u64 {
    node.shape.iter().map(|&n| n as u64).product()
}

/// An image itself, and bytes of its values that are read later; a few that stay in floating point.
fn of_image(graph: &Graph) -> u64 {
    of_input(graph).saturating_add(graph.peak_activation_bytes() / 2)
}

fn of_input(graph: &Graph) -> u64 {
    numbers(graph.node(NodeId(0))).saturating_mul(4)
}

/// What is seen of values of some images.
struct Seen<'a> {
    graph: &'a Graph,
    places: &'a Places,
    asked: Asked,
    images: usize,
}

impl Seen<'_> {
    /// Bytes that are kept until the grids are found, as they are seen and in order.
    fn bytes(&self) -> u64 {
        let images = self.images as u64;
        let of_node = |(id, node): (NodeId, &Node)| {
            let is_seen = self.places.has_grid[id.0] || node.op.facts().is_weighted;
            let channels = if is_seen { node.shape[0] as u64 } else { 0 };
            let [taken, channel] = self.taken(id);
            // Both ends and the mean of each channel of an image.
            let ends = channels.saturating_mul(16).saturating_add(OF_A_NODE).saturating_mul(images);
            ends.saturating_add(taken.saturating_mul(8)).saturating_add(channel)
        };
        self.graph.iter().map(of_node).fold(0u64, u64::saturating_add)
    }

    /// Bytes that it takes to find the grid of the largest group of values.
    fn bytes_of_group(&self) -> u64 {
        let of_value = |id: &NodeId| {
            let [taken, channels] = self.taken(*id);
            taken.saturating_mul(16).saturating_add(channels.saturating_mul(2))
        };
        let of_group = |group: &Group| group.values.iter().map(of_value).fold(0u64, u64::saturating_add);
        self.places.groups.iter().map(of_group).max().unwrap_or(0)
    }

    /// Numbers that are taken of a value, and bytes of its channels beside them.
    fn taken(&self, id: NodeId) -> [u64; 2] {
        if !self.places.has_grid[id.0] {
            return [0; 2];
        }
        let channels = self.graph.node(id).shape[0] as u64;
        let of_channel = match self.asked {
            Asked::Numbers => (most(self.graph, id, self.images) as u64).saturating_mul(self.images as u64),
            Asked::Ends => 0,
        };
        [channels.saturating_mul(of_channel), channels.saturating_mul(OF_A_CHANNEL)]
    }
}

/// All values of an image, and what each layer reads and writes by itself, as it was and quantised.
fn of_thread(graph: &Graph) -> u64 {
    let of_layer = |node: &Node| {
        let read: u64 = node.inputs.iter().map(|&input| numbers(graph.node(input))).sum();
        if node.op.facts().is_weighted { 2 * (read + numbers(node)) } else { 0 }
    };
    let all = graph.nodes().iter().map(|node| numbers(node).saturating_add(of_layer(node)));
    all.fold(0u64, u64::saturating_add).saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use cygnet_graph::Conv;

    use super::*;

    #[test]
    fn threads_share_what_images_leave() {
        let wide = Graph::build("wide", [1, 512, 512], |net, image| {
            let x = net.at("conv").conv(image, Conv::new(16, 1));
            net.at("fc").linear(x.global_avg_pool(), 2)
        });
        let wide = wide.unwrap();
        let [image, thread] = [of_image(&wide), of_thread(&wide)];
        assert!(thread > 16 << 20 && image > 1 << 20, "{image} {thread}");
        let places = Places::of(&wide, &vec![false; wide.nodes().len()]);
        let seen = |images| Seen { graph: &wide, places: &places, asked: Asked::Numbers, images }.bytes();
        let within = |images, wanted, limit| {
            threads(&wide, &places, Asked::Numbers, images, wanted, Some(limit + seen(images)))
        };
        assert_eq!(within(10, 8, 10 * image + 3 * thread).unwrap(), 3);
        assert_eq!(within(10, 8, 10 * image + 100 * thread).unwrap(), 8);
        assert_eq!(within(2, 8, 2 * image + 2 * thread).unwrap(), 8, "no more work than there are images");
        let refused = within(10, 8, 10 * image + thread - 1).unwrap_err().to_string();
        let whole = 4 * image + thread + seen(4);
        assert!(
            check_kept(&wide, 4, 1, Some(whole)).is_ok() && check_kept(&wide, 5, 1, Some(whole)).is_err()
        );
        assert!(
            check_images(&wide, 4, Some(4 << 20)).is_ok() && check_images(&wide, 5, Some(4 << 20)).is_err()
        );
        assert!(
            refused.starts_with("wide: what is kept of 10 images takes ") && refused.contains("--memory"),
            "{refused}"
        );
        assert_eq!(usual(1, None), 4 << 30);
        assert_eq!([usual(64, None), usual(64, Some(8 << 30))], [16 << 30, 4 << 30]);
    }
}
