//! What a step touches of the arena, and whether its tasks may run at once.

use std::ops::Range;

use crate::value::{Gradient, Norm, Sink, Source, View};

/// Rows of channels in the arena, `stride` numbers from a row to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) offset: usize,
    pub(crate) rows: usize,
    pub(crate) channels: usize,
    pub(crate) stride: usize,
}

impl Area {
    /// Numbers that follow each other.
    pub(crate) fn flat(offset: usize, len: usize) -> Area {
        Area { offset, rows: 1, channels: len, stride: len }
    }

    /// Two vectors for each of some blocks.
    pub(crate) fn pairs(offset: usize, blocks: usize, channels: usize, spacing: usize) -> Area {
        Area { offset, rows: blocks.saturating_mul(2), channels, stride: spacing }
    }

    /// The first number and the one after the last; none if these are no places.
    fn extent(&self) -> Option<Range<usize>> {
        if self.rows == 0 || self.channels == 0 {
            return Some(self.offset..self.offset);
        }
        let last = (self.rows - 1).checked_mul(self.stride)?;
        Some(self.offset..self.offset.checked_add(last)?.checked_add(self.channels)?)
    }

    /// Whether the two have no number in common, as far as that can be told: they lie apart, or are different channels of
    /// rows that are as far from each other.
    pub(crate) fn is_apart(&self, other: &Area) -> bool {
        let (Some(a), Some(b)) = (self.extent(), other.extent()) else { return false };
        let stride = self.stride;
        let is_grid = |area: &Area| area.stride == stride && area.channels <= stride;
        let meet = |a: &Area, b: &Area| {
            let (a_first, b_first) = (a.offset % stride, b.offset % stride);
            let from = if b_first >= a_first { b_first - a_first } else { stride - (a_first - b_first) };
            from < a.channels
        };
        a.is_empty()
            || b.is_empty()
            || a.start.max(b.start) >= a.end.min(b.end)
            || (stride > 0 && is_grid(self) && is_grid(other) && !meet(self, other) && !meet(other, self))
    }

    /// It with so many more channels, which loads of whole vectors reach.
    pub(crate) fn widened(self, more: usize) -> Area {
        Area { channels: self.channels.saturating_add(more), ..self }
    }
}

impl From<View> for Area {
    fn from(view: View) -> Area {
        Area { offset: view.offset, rows: view.rows(), channels: view.channels, stride: view.stride }
    }
}

/// The areas of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touches {
    reads: Vec<Area>,
    beside: Vec<Area>,
    writes: Vec<Area>,
}

impl Touches {
    /// Those of a step that makes `y` of `x`, or by `y`'s gradient and `x` that of `x`, which goes to `backward`.
    pub(crate) fn of_pass(x: View, y: View, backward: Option<View>) -> Touches {
        let touches = Touches::default().reads([x.into()]);
        match backward {
            None => touches.writes([y.into()]),
            Some(to) => touches.reads([y.into()]).writes([to.into()]),
        }
    }

    /// Areas that any task may read.
    pub(crate) fn reads(mut self, areas: impl IntoIterator<Item = Area>) -> Touches {
        self.reads.extend(areas);
        self
    }

    /// Areas of which a task reads an element just before it writes that element of the first written area: they may be that
    /// area.
    pub(crate) fn beside(mut self, areas: impl IntoIterator<Item = Area>) -> Touches {
        self.beside.extend(areas);
        self
    }

    /// Areas that are written, and read by the task that writes them.
    pub(crate) fn writes(mut self, areas: impl IntoIterator<Item = Area>) -> Touches {
        self.writes.extend(areas);
        self
    }

    /// Checks that all areas lie in an arena of so many numbers and that no task writes what another touches, if tasks share
    /// the elements of written areas.
    pub(crate) fn check(&self, arena: usize) -> Result<(), String> {
        let all = || self.reads.iter().chain(&self.beside).chain(&self.writes);
        let fits = |area: &Area| area.extent().is_some_and(|extent| extent.end <= arena);
        if let Some(area) = all().find(|area| !fits(area)) {
            return Err(format!("leaves the arena of {arena} numbers: {area:?}"));
        }
        if let Some(area) = self.writes.iter().find(|area| area.rows > 1 && area.stride < area.channels) {
            return Err(format!("writes rows that overlap: {area:?}"));
        }
        for (i, written) in self.writes.iter().enumerate() {
            let beside = self.beside.iter().filter(|area| i > 0 || *area != written);
            let others = self.writes[..i].iter().chain(&self.reads).chain(beside);
            if let Some(area) = others.into_iter().find(|area| !area.is_apart(written)) {
                return Err(format!("touches {area:?} while it writes {written:?}"));
            }
        }
        Ok(())
    }

    /// Numbers that are read and written.
    pub(crate) fn numbers(&self) -> usize {
        let all = self.reads.iter().chain(&self.beside).chain(&self.writes);
        all.map(|area| area.rows.saturating_mul(area.channels)).fold(0, usize::saturating_add)
    }

    /// Whether an area is apart from all that are written.
    pub(crate) fn leaves_alone(&self, area: &Area) -> bool {
        self.writes.iter().all(|written| written.is_apart(area))
    }
}

impl Norm {
    /// The vectors that the forward pass computes with.
    pub(crate) fn forward(self, channels: usize) -> Area {
        Area { offset: self.offset, rows: 4, channels, stride: self.spacing }
    }

    /// The vectors that the backward pass computes with.
    pub(crate) fn backward(self, channels: usize) -> Area {
        let offset = self.offset.saturating_add(self.spacing.saturating_mul(4));
        Area { offset, rows: 3, channels, stride: self.spacing }
    }
}

impl Source {
    /// What it is made of.
    pub(crate) fn areas(&self) -> impl Iterator<Item = Area> + use<> {
        let channels = self.view.channels;
        [Area::from(self.view)].into_iter().chain(self.norm.map(|norm| norm.forward(channels)))
    }
}

impl Gradient {
    /// What it is made of.
    pub(crate) fn areas(&self) -> impl Iterator<Item = Area> + use<> {
        let (first, others) = match *self {
            Gradient::Plain(g) => (g, [None, None]),
            Gradient::Norm { g, y, norm } => (g, [Some(y.into()), Some(norm.backward(g.channels))]),
            Gradient::Clamp { g, z, .. } => (g, [Some(z.into()), None]),
        };
        [Area::from(first)].into_iter().chain(others.into_iter().flatten())
    }
}

impl Sink {
    /// What is written, with sums of so many tasks.
    pub(crate) fn areas(&self, source: &Source, tasks: usize) -> impl Iterator<Item = Area> + use<> {
        let areas = match *self {
            Sink::None => [None, None],
            Sink::Plain { view, .. } => [Some(view.into()), None],
            Sink::Norm { view, sums } => {
                let spacing = source.norm.map_or(view.channels, |norm| norm.spacing);
                [Some(view.into()), Some(Area::pairs(sums, tasks, view.channels, spacing))]
            }
        };
        areas.into_iter().flatten()
    }
}
