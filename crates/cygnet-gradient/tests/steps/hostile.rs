//! Steps of training programs that nobody should make, of views and windows that wrap, overlap or leave the arena: each is
//! refused by [`Program::new`], or computes the same on any number of threads without touching anything else.

use cygnet_cpu::{Activation, Level};
use cygnet_gradient::{
    Apply, Arena, BatchNorm, Binary, Conv, ConvBackward, Depthwise, DepthwiseBackward, Elementwise, Gather,
    Geometry, Gradient, Import, InputGradient, Loss, Mask, Moments, Norm, Normalise, NormaliseBackward, Pack,
    PackForm, Params, Pooling, PoolingKind, Program, Round, RoundBackward, Run, Sink, Source, Step,
    Transform, TransformKind, View, Window,
};
use cygnet_testing::arithmetic::{levels, number, team, values};
use proptest::prelude::*;

/// Numbers of the arenas here.
const ARENA: usize = 2048;

fn view(offset: usize, [images, height, width, channels]: [usize; 4]) -> View {
    View { offset, images, height, width, channels, stride: channels }
}

fn new(step: Step) -> Result<Program, String> {
    let limits = [ARENA, 2 * 20, 4];
    let all = view(0, [1, 1, ARENA, 1]);
    Program::new(Level::Scalar, vec![Step::Import(Import { to: all }), step], ARENA, Vec::new(), limits)
}

fn copy(x: View, to: View) -> Step {
    Step::Elementwise(Elementwise::Activate { x, to, activation: Activation::HardSwish })
}

#[test]
fn steps_may_write_what_they_read_element_by_element_and_nothing_else_of_it() {
    let x = view(0, [2, 3, 3, 4]);
    assert!(new(copy(x, x)).is_ok());
    assert!(new(copy(x, View { offset: 72, ..x })).is_ok());
    for offset in [1, 4, 71] {
        let refused = new(copy(x, View { offset, ..x })).unwrap_err();
        assert!(refused.contains("while it writes"), "{refused}");
    }
    // Channels of wider pixels.
    let [left, right] = [0, 4].map(|offset| View { offset, stride: 8, ..x });
    assert!(new(copy(left, right)).is_ok());
    assert!(new(copy(left, View { offset: 3, stride: 8, ..x })).is_err());
    let pool = |to: View| {
        let window = Window { kernel: [3, 3], stride: [1, 1], pad: [1, 1], end_pad: [1, 1] };
        let kind = PoolingKind::Max;
        Step::Pooling(Pooling { kind, window, x, y: to, backward: None })
    };
    assert!(new(pool(View { offset: 72, ..x })).is_ok());
    assert!(new(pool(x)).is_err());
    let logits = view(0, [2, 1, 1, 20]);
    let loss = |to: View| Step::Loss(Loss { logits, to: Some(to), weight: 1.0, number: 0 });
    assert!(new(loss(View { offset: 40, ..logits })).is_ok());
    assert!(new(loss(logits)).is_err());
    let (one, whole) = (view(0, [2, 1, 1, 4]), view(8, [2, 3, 3, 4]));
    assert!(new(Step::Binary(Binary::Mul { a: whole, b: one, to: whole })).is_ok());
    assert!(new(Step::Binary(Binary::Mul { a: whole, b: one, to: View { offset: 0, ..whole } })).is_err());
}

#[test]
fn views_that_wrap_or_leave_the_arena_are_refused() {
    let (x, to) = (view(0, [2, 3, 3, 4]), view(1000, [2, 3, 3, 4]));
    for wrong in [
        View { offset: ARENA - 71, ..to },
        View { offset: usize::MAX, ..to },
        View { stride: 3, ..to },
        View { stride: usize::MAX / 17, ..to },
    ] {
        assert!(new(copy(x, wrong)).is_err(), "{wrong:?}");
        assert!(new(copy(wrong, x)).is_err(), "{wrong:?}");
    }
    let bit = |from_top: u32| 1 << (usize::BITS - from_top);
    let half = 1 << (usize::BITS / 2);
    for size in [[half, half, 1, 1], [bit(1), 2, 1, 1], [bit(12), 1, 1 << 12, 1], [0, 1, 1, 1]] {
        let wrong = view(0, size);
        assert!(new(copy(wrong, wrong)).is_err(), "{size:?}");
        assert!(new(Step::Import(Import { to: wrong })).is_err(), "{size:?}");
    }
    let norm = |spacing: usize| Norm { offset: 0, spacing };
    for wrong in
        [norm(3), norm(usize::MAX / 7 + 1), norm(usize::MAX), Norm { offset: ARENA - 15, spacing: 4 }]
    {
        let source = Source { view: to, norm: Some(wrong), activation: Activation::None };
        let step = Apply { source, term: None, output: View { offset: 500, ..to } };
        assert!(new(Step::Apply(step)).is_err(), "{wrong:?}");
    }
    assert!(new(Step::Moments(Moments { view: x, to: 1000, spacing: usize::MAX / 2 + 1 })).is_err());
    assert!(new(Step::Moments(Moments { view: x, to: 70, spacing: 4 })).is_err());
}

/// What hostile steps are made of.
#[derive(Clone, Debug)]
struct Hostile {
    kind: usize,
    views: [View; 4],
    geometry: Geometry,
    numbers: [usize; 4],
    /// Whether sizes are made to fit each other.
    fits: bool,
}

fn any_view(place: usize) -> impl Strategy<Value = View> {
    let wrong = prop::collection::vec((0..6usize, number(ARENA)), 0..2);
    ([1..4usize, 1..5, 1..5], 1..20usize, 0..3usize, prop::bool::weighted(0.15), wrong).prop_map(
        move |([images, height, width], channels, gap, is_first, wrong)| {
            let offset = if is_first { 0 } else { place * ARENA / 4 };
            let mut view = View { offset, images, height, width, channels, stride: channels + gap };
            for (field, value) in wrong {
                let field = match field {
                    0 => &mut view.offset,
                    1 => &mut view.images,
                    2 => &mut view.height,
                    3 => &mut view.width,
                    4 => &mut view.channels,
                    _ => &mut view.stride,
                };
                *field = value;
            }
            view
        },
    )
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    let wrong = prop::collection::vec((0..4usize, 0..2usize, number(ARENA)), 0..2);
    (pair(1..4), pair(1..3), pair(1..3), pair(0..3), any::<bool>(), wrong).prop_map(
        |(kernel, stride, dilation, pad, is_point, wrong)| {
            let mut geometry = Geometry { kernel, stride, pad, dilation, groups: 1 };
            if is_point {
                geometry = Geometry::POINT;
            }
            for (field, axis, value) in wrong {
                let field = match field {
                    0 => &mut geometry.kernel,
                    1 => &mut geometry.stride,
                    2 => &mut geometry.dilation,
                    _ => &mut geometry.pad,
                };
                field[axis] = value;
            }
            geometry
        },
    )
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let place = || prop_oneof![4 => 0..ARENA, 1 => number(ARENA)];
    let views = [any_view(0).boxed(), any_view(1).boxed(), any_view(2).boxed(), any_view(3).boxed()];
    (0..19usize, views, geometry(), [place(), place(), place(), place()], prop::bool::weighted(0.8))
        .prop_map(|(kind, views, geometry, numbers, fits)| Hostile { kind, views, geometry, numbers, fits })
}

/// A part of the arena that a step may change: a view, or numbers from a place on.
enum Written {
    View(View),
    From(usize),
}

impl Hostile {
    /// The step for an instruction set and what it may change.
    fn step(&self, level: Level) -> (Step, Vec<Written>) {
        let &Hostile {
            kind,
            views: [a, mut b, mut c, mut d],
            mut geometry,
            numbers: [at, other, sums, more],
            fits,
        } = self;
        let size =
            |from: View, to: View| View { offset: to.offset, stride: to.stride.max(from.channels), ..from };
        let norm = Norm { offset: other, spacing: a.channels.max(at % 24) };
        let activation = Activation::Swish;
        let source = |view: View| Source { view, norm: at.is_multiple_of(2).then_some(norm), activation };
        if fits {
            b.images = a.images;
            match kind {
                0 | 1 | 4 | 5 if geometry == Geometry::POINT => (b.height, b.width) = (a.height, a.width),
                2 | 3 | 6..=12 | 16 | 17 => b = size(a, b),
                _ => {}
            }
            if matches!(kind, 13 | 14) {
                b = View { channels: a.channels, stride: b.stride.max(a.channels), ..b };
            }
            if matches!(kind, 2 | 3) {
                geometry.groups = a.channels;
            }
            (c, d) = if matches!(kind, 0..=5) { (size(a, c), size(b, d)) } else { (size(a, c), size(a, d)) };
        }
        let backward = at.is_multiple_of(3).then_some((c, at.is_multiple_of(2)));
        let result =
            |backward: Option<(View, bool)>, y: View| vec![Written::View(backward.map_or(y, |(to, _)| to))];
        let gradient = match at % 3 {
            0 => Gradient::Plain(b),
            1 => Gradient::Norm { g: b, y: d, norm: Norm { offset: more, spacing: b.channels } },
            _ => Gradient::Clamp { g: b, z: d, activation: Activation::RELU },
        };
        let norm_sink = Sink::Norm { view: c, sums };
        let plain_sink = Sink::Plain { view: c, accumulate: at.is_multiple_of(5) };
        let source_a = source(a);
        let sink = if source_a.norm.is_some() { norm_sink } else { plain_sink };
        let moments = other.is_multiple_of(2).then_some([sums, b.channels]);
        let clamp = Some([0.0, 6.0]);
        match kind {
            0 | 1 => {
                let (source, unpacked) = (source_a, None);
                let step =
                    Conv { source, output: b, geometry, packed: more, unpacked, bias: None, clamp, moments };
                (Step::Conv(Box::new(step)), vec![Written::View(b), Written::From(sums)])
            }
            2 => {
                let step = Depthwise {
                    source: source_a,
                    output: b,
                    geometry,
                    packed: more,
                    bias: None,
                    clamp,
                    moments,
                };
                (Step::Depthwise(Box::new(step)), vec![Written::View(b), Written::From(sums)])
            }
            3 => {
                let step = DepthwiseBackward {
                    source: source_a,
                    gradient,
                    geometry,
                    packed: other,
                    weight: true,
                    bias: true,
                    partials: more,
                    sink,
                };
                let written = vec![Written::View(c), Written::From(sums), Written::From(more)];
                (Step::DepthwiseBackward(Box::new(step)), written)
            }
            4 | 5 => {
                let step = ConvBackward {
                    source: if kind == 4 { Source::plain(a) } else { source_a },
                    gradient,
                    geometry,
                    packed: other,
                    unpacked: None,
                    weight: Some(0),
                    bias: Some(1),
                    partials: more,
                    sink: if kind == 4 { plain_sink } else { sink },
                };
                let written = vec![Written::View(c), Written::From(sums), Written::From(more)];
                (Step::ConvBackward(Box::new(step)), written)
            }
            6 => {
                let mask = Mask { rate: 0.5, stream: 3, whole: false };
                let step = Elementwise::Mask { x: a, to: b, mask, accumulate: true };
                (Step::Elementwise(step), result(None, b))
            }
            7 => {
                let step = Elementwise::Derive { g: a, x: c, to: b, activation, accumulate: true };
                (Step::Elementwise(step), result(None, b))
            }
            8 => (Step::Apply(Apply { source: source_a, term: Some(c), output: b }), result(None, b)),
            9 => {
                let step = Normalise { source: source_a, term: Some(c), g: d, to: b, sums };
                (Step::Normalise(step), vec![Written::View(b), Written::From(sums)])
            }
            10 => {
                let step = InputGradient { g: a, y: c, norm, to: b, accumulate: true };
                (Step::InputGradient(step), result(None, b))
            }
            11 => (Step::Binary(Binary::Mul { a, b: c, to: b }), result(None, b)),
            12 => {
                let step = Transform { kind: TransformKind::Softmax, x: a, y: b, backward };
                (Step::Transform(step), result(backward, b))
            }
            13 => {
                let kind =
                    [TransformKind::Upsample, TransformKind::AdaptiveMean, TransformKind::Flatten][at % 3];
                (Step::Transform(Transform { kind, x: a, y: b, backward }), result(backward, b))
            }
            14 => {
                let kind = PoolingKind::Mean { count_pad: true };
                let Geometry { kernel, stride, pad, .. } = geometry;
                let window = Window { kernel, stride, pad, end_pad: pad };
                (Step::Pooling(Pooling { kind, window, x: a, y: b, backward }), result(backward, b))
            }
            15 => {
                let form = [PackForm::Forward, PackForm::Backward, PackForm::Depthwise][at % 3];
                let (out, inner) = (b.channels, a.channels);
                let pack = Pack { weight: 0, out, inner, geometry, form, to: more, level };
                (Step::Pack(pack), vec![Written::From(more)])
            }
            16 => {
                let sources = (0..a.channels.min(64)).map(|channel| [0, channel]).collect();
                let backward = at.is_multiple_of(2).then(|| vec![false]);
                let to = if backward.is_some() { a } else { b };
                let step = Gather { parts: vec![Some(a)], sources, whole: b, backward };
                (Step::Gather(step), result(None, to))
            }
            17 => {
                let backward = at.is_multiple_of(2).then_some(RoundBackward {
                    g: if fits { d } else { c },
                    sums,
                    factor: 0.5,
                });
                let zero = at.to_le_bytes()[0];
                let step = Round { x: a, to: b, zero, scales: 2, shared: false, backward };
                (Step::Round(step), vec![Written::View(b), Written::From(sums)])
            }
            _ => {
                let (blocks, rows, channels) = (at % 9, a.width, a.channels);
                let backward = NormaliseBackward {
                    sums,
                    blocks,
                    rows,
                    channels,
                    norm,
                    scale: None,
                    shift: None,
                    frozen: false,
                };
                let params = (None, 2, 3, 4);
                let forward = BatchNorm {
                    moments: sums,
                    blocks,
                    unit: 1,
                    rows,
                    channels,
                    norm,
                    params,
                    eps: 1e-3,
                    momentum: 0.1,
                };
                let step = if more.is_multiple_of(2) {
                    Step::BatchNorm(forward)
                } else {
                    Step::NormaliseBackward(backward)
                };
                (step, vec![Written::From(norm.offset)])
            }
        }
    }

    /// Lengths of the parameters: a weight, its bias, and three vectors of a norm.
    fn params(&self) -> Vec<usize> {
        let Hostile { views: [a, b, ..], geometry, .. } = self;
        let of = |sizes: &[usize]| sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        let [kh, kw] = geometry.kernel;
        let weight = of(&[a.channels, b.channels, kh, kw]);
        [weight, Some(b.channels), Some(a.channels), Some(a.channels), Some(a.channels)]
            .map(|len| len.filter(|&len| len < 1 << 16).unwrap_or(0))
            .to_vec()
    }

    /// Runs the step on some threads: the arena before and after.
    fn run(&self, level: Level, threads: usize) -> Option<[Vec<f32>; 2]> {
        let (step, _) = self.step(level);
        let lens = self.params();
        let all = view(0, [1, 1, ARENA, 1]);
        let steps = vec![Step::Import(Import { to: all }), step];
        let program = Program::new(level, steps, ARENA, lens.clone(), [ARENA, 0, 0]).ok()?;
        let before = values(ARENA, 5);
        let mut params: Vec<Vec<f32>> = lens.iter().map(|&len| values(len, 6)).collect();
        let mut gradients = params.clone();
        let mut arena = Arena::new(&[&program], threads);
        let run = Run {
            params: Params::Change(&mut params),
            gradients: &mut gradients,
            images: &before,
            targets: &[],
            seed: 1,
            scale: 1.0,
        };
        program.run(&mut team(threads), &mut arena, run);
        let mut after = arena.read(0..ARENA).to_vec();
        gradients.iter().chain(&params).for_each(|list| after.extend(list));
        Some([before, after])
    }

    fn check(&self) {
        for level in levels() {
            let Some([before, after]) = self.run(level, 1) else { continue };
            let mut own = vec![false; ARENA];
            for written in self.step(level).1 {
                match written {
                    Written::From(place) => own[place.min(ARENA)..].fill(true),
                    Written::View(view) => {
                        let start = |row: usize| view.offset + row * view.stride;
                        (0..view.rows()).for_each(|row| own[start(row)..][..view.channels].fill(true));
                    }
                }
            }
            for place in (0..ARENA).filter(|&place| !own[place]) {
                let is_same = before[place].to_bits() == after[place].to_bits();
                assert!(is_same, "{level:?}: number {place} was changed by {self:?}");
            }
            let bits = |list: &[f32]| list.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let [_, together] = self.run(level, 3).expect("was not refused before");
            assert_eq!(bits(&after), bits(&together), "{level:?}: {self:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_step_is_refused_or_stays_within_its_views(hostile in hostile()) {
        hostile.check();
    }
}
