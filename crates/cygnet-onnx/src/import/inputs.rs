//! The one input of a graph that is the image.

use std::collections::HashSet;

use super::arrange::ImportedInput;
use super::imported::Options;
use super::view::{Axis, View};
use crate::ImportError;
use crate::array::{Element, elements};
use crate::schema::{GraphProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto};

/// Height and width of images of which nothing is said.
const USUAL: usize = 224;
/// Channels of pictures.
const PICTURES: [usize; 3] = [1, 3, 4];
/// What brings channels last to the front.
const TO_CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];

/// A dimension of an input, if the file says how large it is.
fn sizes(value: &ValueInfoProto) -> Result<(Element, Vec<Option<usize>>), ImportError> {
    let unfit = |reason: String| ImportError::Unfit(format!("the input {}: {reason}", value.name()));
    let kind = value.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = kind else {
        return Err(unfit("is no tensor".into()));
    };
    let element = Element::of(tensor.elem_type()).map_err(|reason| unfit(reason.to_string()))?;
    let Some(shape) = &tensor.shape else { return Err(unfit("the file does not say its shape".into())) };
    let size = |dim: &crate::schema::tensor_shape_proto::Dimension| match dim.value {
        Some(dimension::Value::DimValue(n)) => usize::try_from(n).ok().filter(|&n| n > 0),
        _ => None,
    };
    Ok((element, shape.dim.iter().map(size).collect()))
}

/// The input that is no constant, which may have its channels last unless they come first for certain, how it lies in the image `[channels, height, width]`, and what was decided about it.
pub(super) fn image(
    graph: &GraphProto,
    known: &HashSet<String>,
    channels_first: bool,
    options: &Options,
) -> Result<(ImportedInput, [usize; 3], Vec<String>), ImportError> {
    let mut inputs = graph.input.iter().filter(|input| !known.contains(input.name()));
    let unfit = |reason: String| ImportError::Unfit(reason);
    let first = inputs.next().ok_or_else(|| unfit("the graph reads no image: it has no input".into()))?;
    let others: Vec<&str> = inputs.map(|input| input.name()).collect();
    if !others.is_empty() {
        let names = others.join(", ");
        return Err(unfit(format!(
            "the graph reads {names} besides {}; only networks of one image are held",
            first.name()
        )));
    }
    let (element, mut dims) = sizes(first)?;
    dims.iter_mut()
        .zip(&options.shape)
        .for_each(|(dim, &size)| *dim = dim.or(Some(size).filter(|&size| size > 0)));
    let mut notes = Vec::new();
    let name = first.name();
    let batch = dims.first().copied().flatten().unwrap_or(1);
    let mut free = |what: &str, size: Option<usize>, given: Option<usize>, usual: usize| {
        size.unwrap_or_else(|| {
            if given.is_none() {
                notes.push(format!("the file leaves the {what} of {name} open; {usual} is taken"));
            }
            given.unwrap_or(usual)
        })
    };
    let [height, width] = options.image.map_or([None; 2], |size| size.map(Some));
    let turns = !channels_first
        && graph.node.iter().any(|node| {
            let is_perm = |attribute: &crate::schema::AttributeProto| attribute.ints == TO_CHANNELS_FIRST;
            node.op_type() == "Transpose" && node.attribute.iter().any(is_perm)
        });
    let pictures = |dim: Option<usize>| dim.is_some_and(|n| PICTURES.contains(&n));
    let (image, order, channels_last): ([usize; 3], Vec<&[Axis]>, bool) = match dims[..] {
        [_, features] => {
            let features = free("number of features", features, None, 1);
            ([features, 1, 1], vec![&[Axis::Batch], &[Axis::Channel]], false)
        }
        [_, channels, length] => {
            let image = [free("channels", channels, None, 3), 1, free("length", length, width, USUAL)];
            (image, vec![&[Axis::Batch], &[Axis::Channel], &[Axis::Column]], false)
        }
        [_, rows, columns, channels] if turns && pictures(channels) && !pictures(rows) => {
            let [rows, columns] = [free("height", rows, height, USUAL), free("width", columns, width, USUAL)];
            let image = [channels.unwrap_or(3), rows, columns];
            (image, vec![&[Axis::Batch], &[Axis::Row], &[Axis::Column], &[Axis::Channel]], true)
        }
        [_, channels, rows, columns] => {
            let channels = free("channels", channels, None, 3);
            let image = [channels, free("height", rows, height, USUAL), free("width", columns, width, USUAL)];
            (image, vec![&[Axis::Batch], &[Axis::Channel], &[Axis::Row], &[Axis::Column]], false)
        }
        _ => {
            let reason = format!(
                "the input {name} has {} dimensions; a batch of images has 4, of vectors 2",
                dims.len()
            );
            return Err(unfit(reason));
        }
    };
    if image[0] > options.limits.image_channels {
        let (given, limit) = (image[0], options.limits.image_channels);
        return Err(unfit(format!("the input {name} has {given} channels, the limit is {limit}")));
    }
    elements(&[&[batch], &image[..]].concat())
        .map_err(|reason| unfit(format!("the input {name}: {reason}")))?;
    let view = View::whole(0, &image, batch, &order);
    let input = ImportedInput {
        name: name.into(),
        shape: view.shape(),
        channels_last,
        is_bytes: element == Element::U8,
        view,
        batch,
    };
    Ok((input, image, notes))
}
