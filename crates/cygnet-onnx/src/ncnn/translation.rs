//! Layers as a graph of ONNX grows.

use std::collections::HashMap;

use cygnet_graph::Limits;
use prost::bytes::Bytes;

use super::call::{Call, Made};
use super::numbers::Stream;
use super::operators;
use super::text::{Layer, layers};
use crate::export::ExportOptions;
use crate::export::writer::Writer;
use crate::memory::Room;
use crate::schema::GraphProto;
use crate::{ImportError, Reason, Refusal};

/// The graph of a text and its numbers.
pub(super) fn translate(
    text: &[u8],
    numbers: Bytes,
    name: &str,
    limits: &Limits,
) -> Result<GraphProto, ImportError> {
    let text = std::str::from_utf8(text).map_err(|error| ImportError::Damaged(error.to_string()))?;
    let layers = layers(text)?;
    let options = ExportOptions { batch: Some(1), ..ExportOptions::default() };
    let mut writer = Writer::new(name, &options);
    let room = Room::of(limits, numbers.len());
    let mut numbers = Stream::new(numbers, room);
    let mut made: HashMap<&str, Made> = HashMap::new();
    let mut read: HashMap<&str, usize> = HashMap::new();
    let mut refusals = Vec::new();
    for layer in &layers {
        for input in &layer.inputs {
            *read.entry(input).or_default() += 1;
        }
        let refuse = |reason: Reason| Refusal::new(layer.name, layer.kind, reason);
        if layer.kind == "Input" {
            if !made.is_empty() {
                return Err(ImportError::Unfit(
                    "the network has several inputs; networks read one image".into(),
                ));
            }
            let value = image(layer, &layers, &mut writer)
                .map_err(|reason| ImportError::Refused(vec![refuse(reason)]))?;
            made.extend(layer.outputs.first().map(|name| (*name, value)));
            continue;
        }
        let inputs: Option<Vec<Made>> = layer.inputs.iter().map(|name| made.get(name).cloned()).collect();
        let Some(inputs) = inputs else {
            // What is made of a refused value needs no reason of its own.
            if refusals.is_empty() {
                refusals.push(refuse(Reason::new("it reads what nothing before it makes")));
            }
            continue;
        };
        let Some(rule) = operators::find(layer.kind) else {
            refusals.push(refuse(Reason::new("no rule knows this layer")));
            continue;
        };
        let call = &mut Call { layer, inputs, numbers: &mut numbers, writer: &mut writer };
        match rule(call) {
            Ok(values) if values.len() == layer.outputs.len() => {
                made.extend(layer.outputs.iter().copied().zip(values))
            }
            Ok(values) => {
                let reason = format!("it makes {} values, not {}", values.len(), layer.outputs.len());
                refusals.push(refuse(Reason::new(reason)));
            }
            // The numbers of later layers cannot be found any more.
            Err(reason) => {
                refusals.push(refuse(reason));
                break;
            }
        }
    }
    if !refusals.is_empty() {
        return Err(ImportError::Refused(refusals));
    }
    if let Some((last, bytes)) = numbers.surplus() {
        let after = if last.is_empty() {
            "no layer has any".into()
        } else {
            format!("{last} is the last layer that has any")
        };
        return Err(ImportError::Unfit(format!(
            "the .bin file has {bytes} bytes more than the numbers of its layers, and {after}: it belongs to another .param file"
        )));
    }
    let outputs = layers.iter().flat_map(|layer| &layer.outputs).filter(|name| !read.contains_key(*name));
    for name in outputs {
        let Some(value) = made.get(name) else { continue };
        writer.alias(&value.name, name);
        writer.open_output(name, value.rank);
    }
    Ok(writer.graph())
}

/// The image: as large as its layer says, with as many channels as its first reader's weights.
fn image(layer: &Layer<'_>, layers: &[Layer<'_>], writer: &mut Writer) -> Result<Made, Reason> {
    let name = layer.outputs.first().copied().unwrap_or("in0");
    let size = |n: i64| usize::try_from(n).ok().filter(|&n| n > 0);
    let told = [size(layer.int(2, 0)?), size(layer.int(1, 0)?), size(layer.int(0, 0)?)];
    let first = layers.iter().find(|layer| layer.inputs.contains(&name));
    // What is wrong in that layer is told of that layer.
    let of_weights = first.filter(|first| first.kind == "Convolution").and_then(|first| {
        let int = |number, default| first.int(number, default).ok();
        let (outputs, columns) = (int(0, 0)?, int(1, 1)?);
        let each = outputs.checked_mul(columns)?.checked_mul(int(11, columns)?)?;
        size(int(6, 0)?.checked_div(each)?)
    });
    let channels = told[0].or(of_weights).unwrap_or(3);
    writer.open_input(name, [Some(channels), told[1], told[2]]);
    Ok(Made { name: name.into(), rank: 4, channels: Some(channels) })
}
