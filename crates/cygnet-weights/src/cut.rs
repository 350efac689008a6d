//! Weights of networks without some channels: rows and columns of tensors.

use cygnet_graph::Selection;

use crate::{Misfit, Tensor, WeightSet};

impl WeightSet {
    /// The weights of a network without some channels, as [`Channels::cut`](cygnet_graph::Channels::cut) selected them, of the
    /// element types that they are of.
    ///
    /// ```
    /// use cygnet_graph::{Channels, Conv, Graph};
    /// use cygnet_weights::WeightSet;
    ///
    /// let graph = Graph::build("tiny", [1, 4, 4], |net, image| {
    ///     let x = net.at("conv").conv(image, Conv::new(3, 1));
    ///     net.at("fc").linear_without_bias(x.global_avg_pool(), 2)
    /// })?;
    /// let weights = WeightSet::of(&graph, [vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])?;
    /// let channels = Channels::of(&graph);
    /// let mut cut = vec![false; channels.len()];
    /// cut[channels.groups_of(cygnet_graph::NodeId(1))[1]] = true;
    /// let cut = channels.cut(&cut)?;
    /// assert_eq!(weights.cut(&cut.selections)?.to_lists(&cut.graph)?, [vec![1.0, 3.0], vec![1.0, 3.0, 4.0, 6.0]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If one is missing or has another size.
    pub fn cut(&self, selections: &[Selection]) -> Result<WeightSet, Misfit> {
        let tensor = |selection: &Selection| {
            let Selection { name, shape, .. } = selection;
            let tensor = self.get(name).ok_or_else(|| Misfit::Missing { name: name.clone() })?;
            match tensor.selected(selection) {
                Some(part) => Ok((name.clone(), part)),
                None => {
                    let (name, wanted, given) = (name.clone(), shape.clone(), tensor.element_count());
                    Err(Misfit::Size { name, wanted, given })
                }
            }
        };
        Ok(WeightSet::from(selections.iter().map(tensor).collect::<Result<crate::Tensors, _>>()?))
    }
}

impl Tensor {
    /// Rows and columns of it; nothing if it has another size than they were selected from.
    fn selected(&self, selection: &Selection) -> Option<Tensor> {
        let Selection { shape, rows, columns, .. } = selection;
        let whole: usize = shape.iter().product();
        if self.element_count() != whole || shape.is_empty() {
            return None;
        }
        let row_bytes = shape[1..].iter().product::<usize>() * self.dtype().size_bytes();
        let row = |row: usize| self.bytes().get(row * row_bytes..(row + 1) * row_bytes);
        let mut data = Vec::new();
        let mut shape = shape.clone();
        if columns.is_empty() {
            rows.iter().try_for_each(|&index| row(index).map(|row| data.extend_from_slice(row)))?;
        } else {
            let bytes = row_bytes / shape.get(1)?;
            for (rows, columns) in rows.chunks(rows.len().div_ceil(columns.len())).zip(columns) {
                for &index in rows {
                    let row = row(index)?;
                    for column in columns {
                        data.extend_from_slice(row.get(column * bytes..(column + 1) * bytes)?);
                    }
                }
            }
            shape[1] = columns[0].len();
        }
        shape[0] = rows.len();
        Tensor::new(shape, self.dtype(), data).ok()
    }
}
