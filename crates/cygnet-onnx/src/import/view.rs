//! How a foreign tensor lies in a value of the graph.
//!
//! Foreign tensors have dimensions of any number and order; a value of the graph is one image's `[channels, height, width]`.
//! Reshaping, transposing and slicing move no number: they only change how the tensor lies in the value. So a tensor is
//! followed as a [`View`], and what in the end must be moved, whole channels, is moved by the operators of the graph for it.

use cygnet_graph::shape::MAX_ELEMENTS;

/// Along what a step of a dimension goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// From image to image.
    Batch,
    /// So many numbers on in the value of one image.
    Stride(usize),
}

/// A factor of a dimension: `size` steps. Those of one step are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Atom {
    pub(crate) size: usize,
    pub(crate) place: Place,
}

/// Where each number of a foreign tensor lies in a value of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The value: a node of the draft.
    pub(crate) base: usize,
    /// The number that all indices of zero mean.
    pub(crate) offset: usize,
    /// For each dimension its factors, outermost first.
    pub(crate) dims: Vec<Vec<Atom>>,
}

/// An axis of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Batch,
    Channel,
    Row,
    Column,
}

/// A factor of a dimension in terms of the value's axes: `size` steps of `step` channels, rows or columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) axis: Axis,
    pub(crate) size: usize,
    pub(crate) step: usize,
}

/// Sizes of a value's axes: a vector has one row and one column.
pub(crate) fn axes(shape: &[usize]) -> [usize; 3] {
    let at = |i: usize| shape.get(i).copied().unwrap_or(1);
    [at(0), at(1), at(2)]
}

fn joined(atoms: impl IntoIterator<Item = Atom>) -> Vec<Atom> {
    let mut joined: Vec<Atom> = Vec::new();
    for atom in atoms.into_iter().filter(|atom| atom.size != 1) {
        if let (Some(last), Place::Stride(inner)) = (joined.last_mut(), atom.place)
            && let Place::Stride(outer) = last.place
            && inner.checked_mul(atom.size) == Some(outer)
        {
            *last = Atom { size: last.size * atom.size, place: atom.place };
        } else {
            joined.push(atom);
        }
    }
    joined
}

impl View {
    /// The whole value `base` of `shape` with `batch` images, its dimensions being `parts`, each a list of axes.
    pub(crate) fn whole(base: usize, shape: &[usize], batch: usize, dims: &[&[Axis]]) -> View {
        let [channels, rows, columns] = axes(shape);
        let atom = |axis: &Axis| match axis {
            Axis::Batch => Atom { size: batch, place: Place::Batch },
            Axis::Channel => Atom { size: channels, place: Place::Stride(rows * columns) },
            Axis::Row => Atom { size: rows, place: Place::Stride(columns) },
            Axis::Column => Atom { size: columns, place: Place::Stride(1) },
        };
        let dims = dims.iter().map(|axes| joined(axes.iter().map(atom))).collect();
        View { base, offset: 0, dims }
    }

    /// The whole value `base`, its dimensions being lists of axes with sizes and strides.
    pub(crate) fn of_atoms(base: usize, dims: impl Iterator<Item = Vec<(Axis, usize, usize)>>) -> View {
        let atom = |(axis, size, stride): (Axis, usize, usize)| {
            let place = if axis == Axis::Batch { Place::Batch } else { Place::Stride(stride) };
            Atom { size, place }
        };
        View { base, offset: 0, dims: dims.map(|dim| joined(dim.into_iter().map(atom))).collect() }
    }

    /// A batch of vectors, each the value's numbers in order.
    pub(crate) fn vector(base: usize, shape: &[usize], batch: usize) -> View {
        View::whole(base, shape, batch, &[&[Axis::Batch], &[Axis::Channel, Axis::Row, Axis::Column]])
    }

    /// Sizes of the dimensions.
    pub(crate) fn shape(&self) -> Vec<usize> {
        self.dims.iter().map(|atoms| size(atoms)).collect()
    }

    /// The tensor with other dimensions of the same numbers in the same order, or none if they cut factors apart.
    pub(crate) fn reshaped(&self, shape: &[usize]) -> Option<View> {
        if product(shape) != product(&self.shape()) || shape.contains(&0) {
            return None;
        }
        let mut rest: Vec<Atom> = self.dims.iter().flatten().rev().copied().collect();
        let mut dims = Vec::new();
        for &wanted in shape {
            let mut missing = wanted;
            let mut atoms = Vec::new();
            while missing > 1 {
                let atom = rest.pop()?;
                if missing.is_multiple_of(atom.size) {
                    missing /= atom.size;
                    atoms.push(atom);
                    continue;
                }
                let (Place::Stride(stride), true) = (atom.place, atom.size.is_multiple_of(missing)) else {
                    return None;
                };
                let inner = Atom { size: atom.size / missing, place: atom.place };
                atoms.push(Atom { size: missing, place: Place::Stride(stride * inner.size) });
                rest.push(inner);
                missing = 1;
            }
            dims.push(joined(atoms));
        }
        rest.is_empty().then_some(View { dims, ..*self })
    }

    /// The tensor with its dimensions in another order.
    pub(crate) fn transposed(&self, order: &[usize]) -> View {
        View { dims: order.iter().map(|&dim| self.dims[dim].clone()).collect(), ..*self }
    }

    /// `len` places of dimension `dim` from `start`, each `step` after the other, or none if they cut factors apart or
    /// the batch.
    pub(crate) fn sliced(&self, dim: usize, start: usize, len: usize, step: usize) -> Option<View> {
        let atoms = &self.dims[dim];
        if (start, len, step) == (0, size(atoms), 1) {
            return Some(self.clone());
        }
        let (first, inner) = atoms.split_first()?;
        let Place::Stride(stride) = first.place else { return None };
        let block = size(inner);
        let aligned =
            inner.is_empty() || step == 1 && start.is_multiple_of(block) && len.is_multiple_of(block);
        if !aligned {
            return None;
        }
        let first = Atom { size: len / block, place: Place::Stride(stride * step) };
        let mut dims = self.dims.clone();
        dims[dim] = joined(std::iter::once(first).chain(inner.iter().copied()));
        Some(View { base: self.base, offset: self.offset + start / block * stride, dims })
    }

    /// The factors of each dimension by the axes of the value, whose shape is `shape`, and the channel, row and column
    /// that all indices of zero mean. None if a factor steps across axes.
    pub(crate) fn parts(&self, shape: &[usize]) -> Option<(Vec<Vec<Part>>, [usize; 3])> {
        let [channels, rows, columns] = axes(shape);
        let area = rows * columns;
        let at = [self.offset / area, self.offset % area / columns, self.offset % columns];
        // From the innermost axis: its own stride, its size, and its name.
        let ladder =
            [(1, columns, Axis::Column), (columns, rows, Axis::Row), (area, channels, Axis::Channel)];
        let split = |atom: &Atom| {
            let Place::Stride(stride) = atom.place else {
                return Some(vec![Part { axis: Axis::Batch, size: atom.size, step: 1 }]);
            };
            let (mut stride, mut left, mut parts) = (stride, atom.size, Vec::new());
            for (unit, extent, axis) in ladder {
                let end = unit * extent;
                if left == 1 || stride >= end {
                    continue;
                }
                if stride == 0 || !stride.is_multiple_of(unit) {
                    return None;
                }
                let within = if (left - 1) * stride < end {
                    left
                } else {
                    let within = end / stride;
                    (end.is_multiple_of(stride) && left.is_multiple_of(within)).then_some(within)?
                };
                parts.push(Part { axis, size: within, step: stride / unit });
                left /= within;
                stride = end;
            }
            parts.reverse();
            (left == 1).then_some(parts)
        };
        let split = |atoms: &Vec<Atom>| Some(atoms.iter().map(split).collect::<Option<Vec<_>>>()?.concat());
        Some((self.dims.iter().map(split).collect::<Option<_>>()?, at))
    }

    /// For each number of one image's part of the tensor, in order, its place in the value. With a batch the dimensions
    /// of the batch must come first, which [`View::batch_leads`] says.
    pub(crate) fn places(&self) -> Vec<usize> {
        let mut places = vec![self.offset];
        for atom in self.dims.iter().flatten() {
            if let Place::Stride(stride) = atom.place {
                let steps = |place: usize| (0..atom.size).map(move |step| place + step * stride);
                places = places.into_iter().flat_map(steps).collect();
            }
        }
        places
    }

    /// Whether it has as many numbers of an image as the value, whose shape is `shape`.
    pub(crate) fn is_whole(&self, shape: &[usize]) -> bool {
        let own = self.dims.iter().flatten().filter(|atom| atom.place != Place::Batch);
        own.map(|atom| atom.size).product::<usize>() == product(shape)
    }

    /// Whether its numbers are all `count` of an image's value, in order.
    pub(crate) fn is_in_order(&self, count: usize) -> bool {
        let own = self.dims.iter().flatten().filter(|atom| atom.place != Place::Batch).copied();
        let all = joined(own);
        self.offset == 0
            && (count == 1 && all.is_empty() || all == [Atom { size: count, place: Place::Stride(1) }])
    }

    /// Whether nothing lies outside of the batch's dimension but images in order.
    pub(crate) fn batch_leads(&self) -> bool {
        let mut atoms = self.dims.iter().flatten();
        let is_batch = |atom: &Atom| atom.place == Place::Batch;
        atoms.clone().skip(1).all(|atom| !is_batch(atom)) || !atoms.any(is_batch)
    }
}

/// Product of sizes, at most twice the largest that a value may have.
pub(crate) fn product(shape: &[usize]) -> usize {
    shape.iter().fold(1usize, |product, &n| product.saturating_mul(n)).min(MAX_ELEMENTS.saturating_mul(2))
}

fn size(atoms: &[Atom]) -> usize {
    atoms.iter().map(|atom| atom.size).product()
}
