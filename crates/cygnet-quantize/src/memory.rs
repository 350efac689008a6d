//! How much memory values may take while a network is quantised, and how many threads have room in it.

use cygnet_graph::{Graph, Node, NodeId};
use cygnet_runtime::{cpu, room};

use crate::QuantizeError;

/// Bytes of values that are taken in any case.
const USUAL: u64 = 4 << 30;

/// Bytes that a thread may take in any case, so that many may take more.
const OF_A_THREAD: u64 = 256 << 20;

/// Whether so many images have room, before they are there.
///
/// # Errors
/// [`QuantizeError::Memory`] if not.
pub fn check_images(graph: &Graph, images: usize, memory_bytes: Option<u64>) -> Result<(), QuantizeError> {
    within(graph, images, of_input(graph).saturating_mul(images as u64), limit(1, memory_bytes))
}

/// How many of `threads` have room beside what is kept of all images, within some bytes or the usual ones.
pub(crate) fn threads(
    graph: &Graph,
    images: usize,
    threads: usize,
    memory_bytes: Option<u64>,
) -> Result<usize, QuantizeError> {
    let threads = threads.max(1);
    // Of more threads the others find no image left.
    let working = threads.min(images);
    let limit = limit(working, memory_bytes);
    let kept = of_image(graph).saturating_mul(images as u64);
    let each = of_thread(graph);
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
        let within = |images, wanted, limit| threads(&wide, images, wanted, Some(limit));
        assert_eq!(within(10, 8, 10 * image + 3 * thread).unwrap(), 3);
        assert_eq!(within(10, 8, 10 * image + 100 * thread).unwrap(), 8);
        assert_eq!(within(2, 8, 2 * image + 2 * thread).unwrap(), 8, "no more work than there are images");
        let refused = within(10, 8, 10 * image + thread - 1).unwrap_err().to_string();
        assert!(
            check_images(&wide, 4, Some(4 << 20)).is_ok() && check_images(&wide, 5, Some(4 << 20)).is_err()
        );
        assert!(refused.starts_with("wide: 10 images take ") && refused.contains("--memory"), "{refused}");
        assert_eq!(usual(1, None), 4 << 30);
        assert_eq!([usual(64, None), usual(64, Some(8 << 30))], [16 << 30, 4 << 30]);
    }
}
