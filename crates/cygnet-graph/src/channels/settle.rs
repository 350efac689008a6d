//! Which choices of groups leave a network.

use std::collections::{BTreeMap, HashMap};

use crate::{Channels, Conv, NodeId, Op};

/// How often a choice is put right before no channel of grouped convolutions is cut.
const ROUNDS: usize = 8;

/// A list of channels, in parts that must keep equally many of them, one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Parts<'c> {
    /// The group of each channel.
    groups: &'c [usize],
    /// Number of parts.
    count: usize,
}

impl<'c> Parts<'c> {
    fn each(&self) -> impl Iterator<Item = &'c [usize]> {
        self.groups.chunks(self.groups.len() / self.count)
    }

    pub(super) fn is_even(&self, cut: &[bool]) -> bool {
        let mut kept = self.each().map(|part| part.iter().filter(|&&group| !cut[group]).count());
        let first = kept.next().unwrap_or(0);
        first > 0 && kept.all(|count| count == first)
    }
}

impl Channels<'_> {
    /// What a choice must leave, and for which node: one channel of every value, and of grouped convolutions equally many in
    /// each group.
    pub(super) fn parts(&self) -> impl Iterator<Item = (NodeId, Parts<'_>)> {
        self.graph.iter().flat_map(|(id, node)| {
            let value = |value: NodeId, count| (id, Parts { groups: &self.groups[value.0], count });
            let groups = if let Op::Conv(Conv { groups, .. }) = node.op { groups } else { 1 };
            let is_grouped = groups > 1 && !self.is_channelwise(id);
            let grouped = is_grouped.then(|| [value(node.inputs[0], groups), value(id, groups)]);
            std::iter::once(value(id, 1)).chain(grouped.into_iter().flatten())
        })
    }

    /// Whether a convolution makes each channel of its value of one of its input.
    pub(super) fn is_channelwise(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        let Op::Conv(conv) = &node.op else { return false };
        super::is_channelwise(conv.groups, self.groups[node.inputs[0].0].len())
    }

    /// Makes a choice one that leaves a network: fixed groups stay, of every value a channel stays, and every group of a
    /// grouped convolution keeps as many channels as the others, for which others than chosen may be cut, but not more. The most
    /// important stay, by a number a group.
    ///
    /// # Panics
    /// If there are fewer numbers than [groups](Channels::len).
    pub fn settle(&self, cut: &mut [bool], importance: &[f64]) {
        cut.iter_mut().zip(&self.fixed).for_each(|(cut, fixed)| *cut &= !fixed);
        let parts: Vec<Parts> = self.parts().map(|(_, parts)| parts).collect();
        let mut ties = self.ties(&parts);
        for round in 0..=ROUNDS {
            for parts in parts.iter().filter(|parts| parts.count == 1) {
                let is_left = parts.groups.iter().any(|&group| !cut[group]);
                let most =
                    parts.groups.iter().copied().max_by(|&a, &b| importance[a].total_cmp(&importance[b]));
                most.filter(|_| !is_left).into_iter().for_each(|group| cut[group] = false);
            }
            let mut any = false;
            for tie in &mut ties {
                if tie.partitions.iter().all(|parts| parts.is_even(cut)) {
                    continue;
                }
                any = true;
                if round + 1 < ROUNDS {
                    tie.even(cut, importance, &self.fixed);
                } else {
                    tie.groups().for_each(|group| cut[group] = false);
                }
            }
            if !any {
                return;
            }
        }
    }

    /// Grouped convolutions that depend on each other.
    fn ties<'c>(&self, parts: &[Parts<'c>]) -> Vec<Tie<'c>> {
        let mut numbers = HashMap::new();
        let mut partitions: Vec<Parts> = Vec::new();
        for &parts in parts.iter().filter(|parts| parts.count > 1) {
            numbers.entry(parts).or_insert_with(|| partitions.push(parts));
        }
        let mut members: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        let mut sets = super::Origins::default();
        sets.fresh(partitions.len());
        for (number, partition) in partitions.iter().enumerate() {
            for (part, groups) in partition.each().enumerate() {
                for &group in groups {
                    let of = members.entry(group).or_default();
                    if let Some(&(other, _)) = of.first() {
                        sets.join(number, other);
                    }
                    of.push((number, part));
                }
            }
        }
        let mut ties: BTreeMap<usize, Tie> = BTreeMap::new();
        for (group, places) in members {
            let tie = ties.entry(sets.root(places[0].0)).or_default();
            tie.classes.entry(places).or_default().push(group);
        }
        for (number, partition) in partitions.into_iter().enumerate() {
            ties.entry(sets.root(number)).or_default().partitions.push(partition);
        }
        ties.into_values().collect()
    }
}

/// Partitions that share channels, and these in classes that lie in the same parts: numbers of partitions and parts.
#[derive(Default)]
struct Tie<'c> {
    partitions: Vec<Parts<'c>>,
    classes: BTreeMap<Vec<(usize, usize)>, Vec<usize>>,
}

impl Tie<'_> {
    fn groups(&self) -> impl Iterator<Item = usize> {
        self.classes.values().flatten().copied()
    }

    /// Cuts no more groups than are chosen, but as many in each part.
    fn even(&mut self, cut: &mut [bool], importance: &[f64], fixed: &[bool]) {
        let gone = self.groups().filter(|&group| cut[group]).count();
        let stays = if self.groups().any(|group| fixed[group]) { None } else { self.stays(gone) };
        let stays = stays.unwrap_or_else(|| self.classes.values().map(Vec::len).collect());
        for (class, stays) in self.classes.values_mut().zip(stays) {
            class.sort_by(|&a, &b| {
                cut[a].cmp(&cut[b]).then(importance[b].total_cmp(&importance[a])).then(a.cmp(&b))
            });
            class.iter().enumerate().for_each(|(place, &group)| cut[group] = place >= stays);
        }
    }

    /// How many of each class stay if up to `gone` groups go; nothing if there is no way.
    fn stays(&self, gone: usize) -> Option<Vec<usize>> {
        let sizes: Vec<usize> = self.classes.values().map(Vec::len).collect();
        let whole: usize = sizes.iter().sum();
        let are_in_each = self.classes.keys().all(|places| {
            places.len() == self.partitions.len() && places.windows(2).all(|pair| pair[0].0 != pair[1].0)
        });
        let count = self.partitions[0].count;
        if are_in_each && self.partitions.len() == 1 {
            return Some(vec![(whole - gone).div_ceil(count).max(1); count]);
        }
        let is_grid = self.partitions.len() == 2 && self.partitions.iter().all(|parts| parts.count == count);
        if are_in_each && is_grid {
            // Rows of a grid are one's parts and columns the other's.
            let cell = |(places, class): (&Vec<(usize, usize)>, &Vec<usize>)| {
                (places[0].1 * count + places[1].1, class.len())
            };
            let cells: BTreeMap<usize, usize> = self.classes.iter().map(cell).collect();
            return spread(&cells, count, (whole - gone).div_ceil(count).max(1));
        }
        // A network that is smaller by one factor throughout.
        let unit = sizes.iter().copied().reduce(gcd)?;
        let units = (whole - gone).div_ceil(whole / unit).max(1);
        Some(sizes.into_iter().map(|size| size / unit * units).collect())
    }
}

/// Cells of a grid beyond which none is emptied.
const MOST_CELLS: usize = 1 << 12;

/// Numbers for the cells of a square grid, each up to its own, of which every row and column has the sum `wanted`: a flow from
/// rows to columns, found by augmenting paths. There is one, as that of all cells has equal sums.
fn spread(cells: &BTreeMap<usize, usize>, count: usize, wanted: usize) -> Option<Vec<usize>> {
    if count * count > MOST_CELLS {
        return None;
    }
    let mut room = vec![0; count * count];
    cells.iter().for_each(|(&cell, &size)| room[cell] = size);
    let mut flow: Vec<usize> = room.iter().map(|&size| size.min(wanted / count)).collect();
    let row_sum = |flow: &[usize], row: usize| flow[row * count..(row + 1) * count].iter().sum::<usize>();
    let column_sum = |flow: &[usize], column: usize| flow.iter().skip(column).step_by(count).sum::<usize>();
    for row in 0..count {
        while row_sum(&flow, row) < wanted {
            // Rows and columns that a path reaches, with the cell before each.
            let mut reached: Vec<(usize, usize)> = vec![(row, usize::MAX)];
            let mut seen = [vec![false; count], vec![false; count]];
            seen[0][row] = true;
            let mut came: HashMap<usize, usize> = HashMap::new();
            let mut end = None;
            let mut next = 0;
            while let (None, Some(&(row, _))) = (end, reached.get(next)) {
                next += 1;
                for column in 0..count {
                    if seen[1][column] || flow[row * count + column] == room[row * count + column] {
                        continue;
                    }
                    seen[1][column] = true;
                    came.insert(column, row);
                    if column_sum(&flow, column) < wanted {
                        end = Some(column);
                        break;
                    }
                    for other in (0..count).filter(|&other| flow[other * count + column] > 0) {
                        if !seen[0][other] {
                            seen[0][other] = true;
                            reached.push((other, column));
                        }
                    }
                }
            }
            let mut column = end?;
            loop {
                let from = *came.get(&column)?;
                flow[from * count + column] += 1;
                let (_, through) = reached.iter().find(|(row, _)| *row == from)?;
                if from == row {
                    break;
                }
                flow[from * count + through] -= 1;
                column = *through;
            }
        }
    }
    Some(cells.keys().map(|&cell| flow[cell]).collect())
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
