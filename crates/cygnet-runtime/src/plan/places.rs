//! Values as lists of places, and the buffers that the places are in.

use std::collections::HashMap;
use std::ops::Range;

use cygnet_graph::NodeId;
use cygnet_kernels::Element;

use super::key::StepValue;

/// Where a channel lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) buffer: usize,
    pub(super) slot: usize,
}

/// A value: the place of each channel.
pub(super) type Value = Vec<Place>;

/// Ranges of channels that lie in consecutive slots of one buffer.
pub(super) fn runs(value: &[Place]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (c, place) in value.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if value[c - 1].buffer == place.buffer && value[c - 1].slot + 1 == place.slot => {
                run.end = c + 1;
            }
            _ => runs.push(c..c + 1),
        }
    }
    runs
}

/// The channels of a value in order of place, cut where slots do not follow each other.
pub(super) fn pieces(value: &[Place]) -> Vec<Vec<usize>> {
    let mut channels: Vec<usize> = (0..value.len()).collect();
    channels.sort_by_key(|&c| value[c]);
    let places = picked(value, &channels);
    runs(&places).into_iter().map(|run| channels[run].to_vec()).collect()
}

/// Some channels of a value.
pub(super) fn picked(value: &[Place], channels: &[usize]) -> Value {
    channels.iter().map(|&c| value[c]).collect()
}

/// What is known of a buffer before it has its place.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub(super) shape: [usize; 3],
    pub(super) element: Element,
    /// Columns that windows reach over the edges.
    pub(super) halo: [usize; 2],
    /// From its first write to its last read; nothing yet, for a buffer that no call has touched.
    calls: Option<Range<usize>>,
    /// The same for each channel.
    pub(super) slots: Vec<Option<Range<usize>>>,
}

impl Buffer {
    fn touch(&mut self, slot: usize, call: usize) {
        for calls in [&mut self.calls, &mut self.slots[slot]] {
            let calls = calls.get_or_insert(call..call + 1);
            *calls = calls.start.min(call)..calls.end.max(call + 1);
        }
    }

    pub(super) fn life(&self) -> Range<usize> {
        self.calls.clone().unwrap_or_default()
    }

    /// Bytes of one channel.
    pub(super) fn plane(&self) -> usize {
        self.shape[1] * self.shape[2] * self.element.bytes()
    }
}

/// All buffers of a plan.
#[derive(Default)]
pub(super) struct Buffers {
    all: Vec<Buffer>,
    shared: HashMap<NodeId, usize>,
}

impl Buffers {
    /// A new buffer for a value.
    pub(super) fn add(&mut self, StepValue { shape, element }: StepValue) -> Value {
        let buffer = self.all.len();
        self.all.push(Buffer { shape, element, halo: [0, 0], calls: None, slots: vec![None; shape[0]] });
        (0..shape[0]).map(|slot| Place { buffer, slot }).collect()
    }

    /// Channels of a concatenation's buffer, which is made the first time it is asked for.
    pub(super) fn part(&mut self, concat: NodeId, whole: StepValue, channels: Range<usize>) -> Value {
        let buffer = match self.shared.get(&concat) {
            Some(buffer) => *buffer,
            None => {
                let buffer = self.add(whole)[0].buffer;
                self.shared.insert(concat, buffer);
                buffer
            }
        };
        channels.map(|slot| Place { buffer, slot }).collect()
    }

    /// Notes a read by a call whose windows reach `pad` columns over the edges.
    pub(super) fn read(&mut self, value: &[Place], call: usize, pad: [usize; 2]) {
        for place in value {
            let buffer = &mut self.all[place.buffer];
            buffer.touch(place.slot, call);
            buffer.halo = [0, 1].map(|side| buffer.halo[side].max(pad[side]));
        }
    }

    /// Notes a write by a call.
    pub(super) fn write(&mut self, value: &[Place], call: usize) {
        for place in value {
            self.all[place.buffer].touch(place.slot, call);
        }
    }

    /// Keeps a value until after the last of `calls` calls.
    pub(super) fn keep(&mut self, value: &[Place], calls: usize) {
        self.read(value, calls, [0, 0]);
    }

    /// What a value is stored as.
    pub(super) fn element(&self, value: &[Place]) -> Element {
        value.first().map_or(Element::F32, |place| self.all[place.buffer].element)
    }

    /// Bytes of a value.
    pub(super) fn bytes(&self, value: &[Place]) -> u64 {
        value.iter().map(|place| self.all[place.buffer].plane() as u64).sum()
    }

    pub(super) fn all(&self) -> &[Buffer] {
        &self.all
    }
}

/// The values that are there so far, by node.
pub(super) struct Values(Vec<Option<Value>>);

impl Values {
    pub(super) fn new(nodes: usize) -> Values {
        Values(vec![None; nodes])
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Value> {
        self.0[id.0].as_ref()
    }

    /// The value of an input, which is there before its readers.
    pub(super) fn of(&self, id: NodeId) -> &Value {
        self.get(id).expect("inputs come first")
    }

    pub(super) fn set(&mut self, id: NodeId, value: Value) {
        self.0[id.0] = Some(value);
    }
}
