//! Padding, and maps of other sizes.

use cygnet_graph::{Conv, Op, Padding, Pool};

use super::dense::{Mixed, separable};
use super::layers::map_view;
use crate::Reason;
use crate::import::call::{Call, Entry, Tracked, dimension};
use crate::import::draft::Draft;
use crate::import::view::{Axis, View, axes};

/// Most rows or columns of a padded or resized map.
const MAX_SIDE: usize = 1 << 14;

pub(crate) fn pad(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let mode = call.text("mode", "constant");
    let pads = call.list("pads", 1)?.or_else(|| call.ints("paddings"));
    let pads = pads.ok_or_else(|| Reason::new("how much it pads is missing"))?;
    let value = match call.constant(2)? {
        Some(array) => array.scalar()?,
        None => call.float("value", 0.0),
    };
    let tracked = call.tracked_as_is(0)?;
    let rank = tracked.view.dims.len();
    let dims = match call.constant(3)? {
        Some(axes) => {
            axes.to_ints()?.iter().map(|&axis| dimension(axis, rank)).collect::<Result<Vec<_>, _>>()?
        }
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * dims.len() {
        return Err(Reason::new(format!("it has {} paddings for {} dimensions", pads.len(), dims.len())));
    }
    if pads.iter().all(|&pad| pad == 0) {
        return Ok(vec![Entry::Tracked(tracked)]);
    }
    let view = call.draft.packed(&tracked.view)?;
    let parts = call.parts(&view);
    let mut sides = [0usize; 4];
    for (index, &dim) in dims.iter().enumerate() {
        let [before, after] = [pads[index], pads[dims.len() + index]].map(usize::try_from);
        let (Ok(before), Ok(after)) = (before, after) else {
            return Err(Reason::new("it cuts off rows or columns"));
        };
        let side = match parts[dim][..] {
            _ if (before, after) == (0, 0) => continue,
            [part] if part.axis == Axis::Row => 0,
            [part] if part.axis == Axis::Column => 1,
            // One row or column has no part of its own.
            [] if rank == 4 && dim >= 2 => dim - 2,
            _ => return Err(Reason::new("it pads along other dimensions than rows and columns")),
        };
        sides[side] = sides[side].saturating_add(before);
        sides[side + 2] = sides[side + 2].saturating_add(after);
    }
    if (mode.as_str(), value) == ("constant", 0.0) {
        // A window that reads it holds it.
        let pads = std::array::from_fn(|side| tracked.pads[side].saturating_add(sides[side]));
        return Ok(vec![Entry::Tracked(Tracked { view, pads, scale: tracked.scale })]);
    }
    call.tracked(0)?;
    let (base, spatial) = call.map(0)?;
    let [_, rows, columns] = axes(call.draft.shape(base));
    let along = |axis: usize, size: usize| -> Result<Mixed, Reason> {
        if sides[axis].max(sides[axis + 2]) > MAX_SIDE {
            return Err(Reason::new(format!("it pads by {sides:?}, more than any image has")));
        }
        let (size, before) = (size as i64, sides[axis] as i64);
        let place = |at: i64| match mode.as_str() {
            "constant" => Ok((0..size).contains(&at).then_some(at)),
            "edge" => Ok(Some(at.clamp(0, size - 1))),
            "reflect" if size > 1 => {
                let at = at.rem_euclid(2 * (size - 1));
                Ok(Some(at.min(2 * (size - 1) - at)))
            }
            other => Err(Reason::new(format!("it pads by {other}, which is not known"))),
        };
        let one = |at: i64| Ok(place(at - before)?.map(|at| (at as usize, 1.0)).into_iter().collect());
        (0..size + before + sides[axis + 2] as i64).map(one).collect()
    };
    let (rows, columns) = (along(0, rows)?, along(1, columns)?);
    separable(call, base, &spatial, [&rows, &columns], value)
}

/// A padded tensor in a value of its own, where no window holds the padding: a convolution that leaves each channel as it
/// is.
pub(crate) fn padded(draft: &mut Draft, tracked: &Tracked) -> Result<View, Reason> {
    let view = draft.packed(&tracked.view)?;
    let [top, left, bottom, right] = tracked.pads;
    let parts = view.parts(draft.shape(view.base)).map_or_else(Vec::new, |(parts, _)| parts);
    let is_map = parts.len() == 4 && draft.shape(view.base).len() == 3;
    let in_order = is_map
        && parts[1].iter().all(|part| part.axis == Axis::Channel)
        && parts[2].iter().all(|part| part.axis == Axis::Row)
        && parts[3].iter().all(|part| part.axis == Axis::Column);
    if !in_order {
        return Err(Reason::new("is padded, which only convolution and pooling can hold"));
    }
    let channels = draft.shape(view.base)[0];
    let padding = Padding::Explicit { top, left, bottom, right };
    let conv = Conv::new(channels, 1).groups(channels).padding(padding);
    let base = draft.emit_with(Op::Conv(conv), &[view.base], "pad", vec![vec![1.0; channels]])?;
    let batch = parts[0].iter().map(|part| part.size).product();
    let dims: [&[Axis]; 4] = [&[Axis::Batch], &[Axis::Channel], &[Axis::Row], &[Axis::Column]];
    Ok(View::whole(base, draft.shape(base), batch, &dims))
}

pub(crate) fn upsample(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    let mode = call.text("mode", "nearest");
    let scales = match call.attribute("scales") {
        Some(attribute) => attribute.floats.clone(),
        None => call.known(1)?.to_floats().to_vec(),
    };
    let shape = call.tracked(0)?.shape();
    let sizes = scaled(&shape, &scales)?;
    resized(
        call,
        &Rule { mode, place: "asymmetric".into(), rounding: "floor".into(), cubic: None },
        &sizes,
        &scales,
    )
}

/// Sizes after scaling.
fn scaled(shape: &[usize], scales: &[f32]) -> Result<Vec<usize>, Reason> {
    let sane = scales.len() == shape.len() && scales.iter().all(|scale| scale.is_finite() && *scale > 0.0);
    if !sane {
        return Err(Reason::new(format!("scales of {scales:?} for {shape:?}")));
    }
    Ok(shape.iter().zip(scales).map(|(&n, scale)| (n as f32 * scale).floor() as usize).collect())
}

/// How places of the output are found in the input.
struct Rule {
    mode: String,
    place: String,
    rounding: String,
    /// The coefficient of cubic interpolation, and whether places outside do not count.
    cubic: Option<(f32, bool)>,
}

pub(crate) fn resize(call: &mut Call) -> Result<Vec<Entry>, Reason> {
    call.ignore(&["extrapolation_value"]);
    let old = call.opset < 11;
    let mode = call.text("mode", "nearest");
    let place = call.text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" });
    let rounding = call.text("nearest_mode", if old { "floor" } else { "round_prefer_floor" });
    let cubic = (call.float("cubic_coeff_a", -0.75), call.int("exclude_outside", 0) != 0);
    let is_whole =
        call.ints("axes").is_none() && call.text("keep_aspect_ratio_policy", "stretch") == "stretch";
    if !is_whole || call.int("antialias", 0) != 0 {
        return Err(Reason::new("it resizes some axes only, keeps the aspect, or smooths"));
    }
    let shape = call.tracked(0)?.shape();
    let (scales, sizes) = if old { (1, usize::MAX) } else { (2, 3) };
    let given = |index: usize| Ok::<_, Reason>(call.constant(index)?.filter(|array| array.count() > 0));
    let (sizes, scales) = match (given(scales)?, given(sizes)?) {
        (Some(scales), _) => {
            let scales = scales.to_floats().to_vec();
            (scaled(&shape, &scales)?, scales)
        }
        (None, Some(sizes)) => {
            let sizes = sizes.to_ints()?.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect::<Vec<_>>();
            let scales = sizes.iter().zip(&shape).map(|(&to, &from)| to as f32 / from as f32).collect();
            (sizes, scales)
        }
        (None, None) => return Err(Reason::new("it has neither scales nor sizes")),
    };
    resized(call, &Rule { mode, place, rounding, cubic: Some(cubic) }, &sizes, &scales)
}

impl Rule {
    /// Where place `x` of `to` lies among `from`.
    fn at(&self, x: usize, [from, to]: [usize; 2], scale: f32) -> Result<f32, Reason> {
        let x = x as f32;
        Ok(match self.place.as_str() {
            "asymmetric" => x / scale,
            // Corners are those of the size before it is rounded down.
            "align_corners" if to == 1 => 0.0,
            "align_corners" => x * (from - 1) as f32 / (scale * from as f32 - 1.0),
            "pytorch_half_pixel" if to == 1 => 0.0,
            "half_pixel_symmetric" => {
                let middle = from as f32 / 2.0;
                let shrunk = to as f32 / (scale * from as f32);
                middle * (1.0 - shrunk) + (x + 0.5) / scale - 0.5
            }
            "tf_half_pixel_for_nn" => (x + 0.5) / scale,
            "half_pixel" | "pytorch_half_pixel" => (x + 0.5) / scale - 0.5,
            other => return Err(Reason::new(format!("coordinate_transformation_mode {other} is not known"))),
        })
    }

    /// What each place of `to` is made of.
    fn mixed(&self, [from, to]: [usize; 2], scale: f32) -> Result<Mixed, Reason> {
        let inside = |place: f32| place.clamp(0.0, (from - 1) as f32) as usize;
        let one = |x: usize| {
            let at = self.at(x, [from, to], scale)?;
            let (low, part) = (at.floor(), at - at.floor());
            Ok(match (self.mode.as_str(), self.cubic) {
                ("nearest", _) => {
                    let place = match self.rounding.as_str() {
                        "floor" => at.floor(),
                        "ceil" => at.ceil(),
                        "round_prefer_ceil" => (at + 0.5).floor(),
                        _ => (at - 0.5).ceil(),
                    };
                    vec![(inside(place), 1.0)]
                }
                ("linear", _) => vec![(inside(low), 1.0 - part), (inside(low + 1.0), part)],
                ("cubic", Some((a, excludes))) => {
                    let near = |d: f32| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
                    let far = |d: f32| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
                    let factors = [far(1.0 + part), near(part), near(1.0 - part), far(2.0 - part)];
                    let places = [low - 1.0, low, low + 1.0, low + 2.0];
                    let counts = |place: f32| !excludes || (0.0..from as f32).contains(&place);
                    let taken = places.into_iter().zip(factors).filter(|(place, _)| counts(*place));
                    let total: f32 = taken.clone().map(|(_, factor)| factor).sum();
                    taken.map(|(place, factor)| (inside(place), factor / total)).collect()
                }
                (other, _) => return Err(Reason::new(format!("it resizes by {other}, which is not known"))),
            })
        };
        (0..to).map(one).collect()
    }
}

fn resized(call: &mut Call, rule: &Rule, sizes: &[usize], scales: &[f32]) -> Result<Vec<Entry>, Reason> {
    call.tracked(0)?;
    let (base, spatial) = call.map(0)?;
    let shape = map_view(call, base, &spatial).shape();
    if sizes.len() != shape.len()
        || scales.len() != shape.len()
        || sizes[..2] != shape[..2]
        || sizes.contains(&0)
    {
        return Err(Reason::new(format!("it resizes {shape:?} to {sizes:?}")));
    }
    if shape == sizes {
        return Ok(vec![map_view(call, base, &spatial).into()]);
    }
    if sizes[2..].iter().any(|&size| size > MAX_SIDE) {
        return Err(Reason::new(format!("it resizes {shape:?} to {sizes:?}, more than any image has")));
    }
    let [_, rows, columns] = axes(call.draft.shape(base));
    let along = |axis: Axis, from: usize| {
        let dim = spatial.iter().position(|&other| other == axis).map(|dim| dim + 2);
        let (to, scale) = dim.map_or((from, 1.0), |dim| (sizes[dim], scales[dim]));
        rule.mixed([from, to], scale)
    };
    let mixed = [along(Axis::Row, rows)?, along(Axis::Column, columns)?];
    let wanted = [mixed[0].len(), mixed[1].len()];
    let factors = [[rows, wanted[0]], [columns, wanted[1]]];
    // The graph's own: number `i` of `to` is number `i * from / to`, rounded down.
    let is_nearest = factors
        .iter()
        .zip(&mixed)
        .all(|([from, to], mixed)| mixed.iter().enumerate().all(|(x, of)| of[..] == [(x * from / to, 1.0)]));
    if is_nearest {
        let like = sized(call, base, wanted)?;
        let base = call.draft.emit(Op::UpsampleLike, &[base, like])?;
        return Ok(vec![map_view(call, base, &spatial).into()]);
    }
    let is_doubled = spatial.len() == 2
        && factors.iter().all(|[from, to]| *to == 2 * from)
        && rule.mode == "linear"
        && matches!(rule.place.as_str(), "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric");
    if is_doubled {
        // Each number twice, then means of neighbours, forwards and backwards: a quarter of one, three of the other.
        let like = sized(call, base, wanted)?;
        let doubled = call.draft.emit(Op::UpsampleLike, &[base, like])?;
        let mean = |top, bottom| {
            let padding = Padding::Explicit { top, left: top, bottom, right: bottom };
            Op::Pool(Pool::avg(2, 1).padding(padding).exclude_pad())
        };
        let before = call.draft.emit(mean(1, 0), &[doubled])?;
        let base = call.draft.emit(mean(0, 1), &[before])?;
        return Ok(vec![map_view(call, base, &spatial).into()]);
    }
    separable(call, base, &spatial, [&mixed[0], &mixed[1]], 0.0)
}

/// A value of so many rows and columns: the last that there is, or else a channel with rows and columns cut off or added.
fn sized(call: &mut Call, base: usize, wanted: [usize; 2]) -> Result<usize, Reason> {
    let fits = |shape: &[usize]| shape.len() == 3 && shape[1..] == wanted;
    if let Some(found) = call.draft.nodes.iter().rposition(|node| fits(&node.shape)) {
        return Ok(found);
    }
    let [_, rows, columns] = axes(call.draft.shape(base));
    let mut one = call.draft.emit(Op::Slice { start: 0, len: 1 }, &[base])?;
    let cut = [rows.saturating_sub(wanted[0]), columns.saturating_sub(wanted[1])];
    if cut != [0, 0] {
        one =
            call.draft.emit(Op::Pool(Pool { kernel: cut.map(|cut| cut + 1), ..Pool::max(1, 1) }), &[one])?;
    }
    let (bottom, right) = (wanted[0].saturating_sub(rows), wanted[1].saturating_sub(columns));
    if (bottom, right) == (0, 0) {
        return Ok(one);
    }
    let conv = Conv::new(1, 1).padding(Padding::Explicit { top: 0, left: 0, bottom, right });
    call.draft.emit_with(Op::Conv(conv), &[one], "size", vec![vec![1.0]])
}
