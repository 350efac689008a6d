//! Networks made of bytes: whatever the bytes are, they make a small one.

use cygnet_graph::{Activation, Conv, Graph, LocalResponseNorm, Padding, Pool, PoolKind, Scope, Value};

/// A network with its weights and an image.
pub(super) struct Made {
    pub(super) graph: Graph,
    pub(super) weights: Vec<Vec<f32>>,
    pub(super) image: Vec<f32>,
}

/// Numbers of channels around those of vectors and tiles.
const CHANNELS: [usize; 16] = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 32, 33, 48, 64];

/// More channels are not put together.
const MOST_CHANNELS: usize = 160;

/// Bytes that are used up one after the other, zeros at their end.
struct Choices<'b>(&'b [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> usize {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(byte)
    }

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        self.byte() % count
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn of<'v, T>(&mut self, values: &'v [T]) -> &'v T {
        &values[self.below(values.len())]
    }
}

pub(super) fn made(bytes: &[u8]) -> Made {
    let mut choices = Choices(bytes);
    let image = [*choices.of(&[1, 3, 2, 17]), 1 + choices.below(20), 1 + choices.below(20)];
    let seed = choices.byte() as u64;
    let graph = Graph::build("made", image, |net, image| {
        let mut values = vec![image];
        for number in 0..24 {
            if choices.is_over() {
                break;
            }
            let made = node(&mut choices, &net.at(number), &values);
            if choices.below(8) == 7 && made.shape().len() == 3 {
                net.at(format!("stage{number}")).feature(made);
            }
            values.push(made);
        }
        let last = values[values.len() - 1];
        if choices.flag() { net.at("fc").linear(last, 1 + choices.below(20)) } else { last }
    });
    let graph = graph.unwrap_or_else(|error| panic!("{error}"));
    let mut random = Random(seed);
    let weights = graph
        .params()
        .iter()
        .map(|param| {
            let count: usize = param.shape.iter().product();
            let fan: usize = param.shape.iter().skip(1).product();
            let scale = (2.0 / fan.max(1) as f32).sqrt();
            let is_variance = param.name.ends_with("running_var");
            let draw = |x: f32| if is_variance { 0.5 + x.abs() } else { scale * x };
            (0..count).map(|_| draw(random.next())).collect()
        })
        .collect();
    let image = (0..image.iter().product()).map(|_| random.next()).collect();
    Made { graph, weights, image }
}

/// Numbers from -1 to 1 (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        let mut x = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        (x >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// An operator on one of the values, often the last.
fn node<'g>(choices: &mut Choices<'_>, net: &Scope<'g>, values: &[Value<'g>]) -> Value<'g> {
    let pick = |choices: &mut Choices<'_>| {
        let back = choices.below(4 * values.len());
        values[values.len() - 1 - if back < values.len() { back } else { 0 }]
    };
    let kind = choices.below(20);
    let x = pick(choices);
    let shape = x.shape();
    let (channels, is_map) = (shape[0], shape.len() == 3);
    match kind {
        0..=2 if is_map => {
            let groups = match kind {
                0 => 1,
                1 => channels,
                _ => divisor(choices, channels),
            };
            let out = match kind {
                0 => *choices.of(&CHANNELS),
                1 => channels * (1 + choices.below(9) / 8),
                _ => groups * (1 + choices.below(4)),
            };
            let most = (4 * MOST_CHANNELS / groups).max(1) * groups;
            let mut conv = Conv::new(out.min(most), 1).groups(groups);
            conv.bias = choices.flag();
            for axis in 0..2 {
                conv.kernel[axis] = *choices.of(&[1, 3, 2, 5, 4, 7]);
                conv.stride[axis] = *choices.of(&[1, 2, 1, 3]);
                conv.dilation[axis] = *choices.of(&[1, 1, 2, 3]);
            }
            let padding = padding(choices, &shape, &mut conv.kernel, conv.dilation, 9);
            net.conv(x, conv.padding(padding))
        }
        3 => {
            if choices.flag() {
                net.batch_norm(x)
            } else {
                net.batch_norm_without_scale(x)
            }
        }
        4 => x.activation(*choices.of(&Activation::ALL)),
        5 if is_map => {
            let mut pool = Pool::max(1, 1);
            pool.kind = *choices.of(&[PoolKind::Max, PoolKind::Avg]);
            (pool.ceil, pool.count_include_pad) = (choices.flag(), choices.flag());
            for axis in 0..2 {
                pool.kernel[axis] = *choices.of(&[2, 3, 1, 5]);
                pool.stride[axis] = *choices.of(&[1, 2, 3]);
            }
            let most = pool.kernel[0].min(pool.kernel[1]) - 1;
            let padding = padding(choices, &shape, &mut pool.kernel, [1, 1], most);
            if fits(&pool, padding) {
                x.pool(pool.padding(padding))
            } else {
                x.pool(pool.padding(Padding::Same))
            }
        }
        6 if is_map => x.global_avg_pool(),
        7 if is_map => x.adaptive_avg_pool([1 + choices.below(7), 1 + choices.below(7)]),
        8 if is_map => x.local_response_norm(LocalResponseNorm {
            size: 1 + choices.below(9),
            alpha: *choices.of(&[1e-4, 0.5]),
            beta: *choices.of(&[0.75, 0.5]),
            k: *choices.of(&[1.0, 2.0]),
        }),
        9 | 10 => {
            let matches = |y: &Value<'_>| fits_broadcast(&y.shape(), &shape);
            let others: Vec<Value<'g>> = values.iter().copied().filter(matches).collect();
            let other = *choices.of(&others);
            let [left, right] = if choices.flag() { [x, other] } else { [other, x] };
            if kind == 9 { left + right } else { left * right }
        }
        11 => {
            let count = if choices.flag() { channels } else { 1 };
            let constants: Vec<f32> = (0..count).map(|i| 0.5 + 0.1 * (i % 7) as f32).collect();
            if choices.flag() { x.scale(constants, vec![0.25]) } else { x.scale(vec![1.5], constants) }
        }
        12 => {
            let others: Vec<Value<'g>> = values
                .iter()
                .copied()
                .filter(|y| y.shape()[1..] == shape[1..] && y.shape().len() == shape.len())
                .collect();
            let joined: Vec<Value<'g>> = (0..1 + choices.below(3)).map(|_| *choices.of(&others)).collect();
            let all: usize = joined.iter().map(|value| value.channels()).sum();
            if all + channels <= MOST_CHANNELS { x.concat(&joined) } else { x.relu() }
        }
        13 if is_map => {
            let start = choices.below(channels);
            x.slice(start, 1 + choices.below(channels - start))
        }
        14 if is_map => x.channel_shuffle(divisor(choices, channels)),
        15 if is_map => {
            let maps: Vec<Value<'g>> = values.iter().copied().filter(|y| y.shape().len() == 3).collect();
            x.upsample_like(*choices.of(&maps))
        }
        16 if shape.iter().product::<usize>() <= 4096 => net.linear(x, 1 + choices.below(40)),
        17 => x.dropout(0.25),
        18 => x.softmax(),
        _ => x.relu(),
    }
}

/// One of the divisors of a number of channels.
fn divisor(choices: &mut Choices<'_>, channels: usize) -> usize {
    let divisors: Vec<usize> = (1..=channels).filter(|&n| channels.is_multiple_of(n)).collect();
    *choices.of(&divisors)
}

/// A padding of at most `most`, and kernels that fit with it.
fn padding(
    choices: &mut Choices<'_>,
    shape: &[usize],
    kernel: &mut [usize; 2],
    dilation: [usize; 2],
    most: usize,
) -> Padding {
    let kind = choices.below(3);
    if kind == 0 {
        return Padding::Same;
    }
    let mut pads = [0; 4].map(|_: usize| choices.below(most.min(3) + 1));
    if kind == 1 {
        pads = [pads[0], pads[1], pads[0], pads[1]];
    }
    for axis in 0..2 {
        let room = shape[axis + 1] + pads[axis] + pads[axis + 2];
        kernel[axis] = kernel[axis].min((room - 1) / dilation[axis] + 1);
    }
    Padding::Explicit { top: pads[0], left: pads[1], bottom: pads[2], right: pads[3] }
}

/// Whether a pool's padding is smaller than its window.
fn fits(pool: &Pool, padding: Padding) -> bool {
    match padding {
        Padding::Same => true,
        Padding::Explicit { top, left, bottom, right } => {
            top.max(bottom) < pool.kernel[0] && left.max(right) < pool.kernel[1]
        }
    }
}

/// Whether one shape is the other, perhaps with ones instead of its height and width.
fn fits_broadcast(one: &[usize], other: &[usize]) -> bool {
    one.len() == other.len()
        && one[0] == other[0]
        && one.iter().zip(other).all(|(&a, &b)| a == b || a == 1 || b == 1)
}
