//! The weights of a network by the names of its parameters.

use std::borrow::Cow;

use cygnet_graph::{Graph, NodeId, Param, Role};
use thiserror::Error;

use crate::{Tensor, Tensors, Weights};

/// The weights of a network: a tensor of some element type for the name of each parameter, in one order. Who needs those of
/// a graph asks for them ([`WeightSet::select`], [`WeightSet::part`]), so the weights of a part of a network, of one without
/// its auxiliary outputs or of another order are had from those of the whole. Clones share their numbers, and numbers read
/// from a file stay in it.
///
/// ```
/// use cygnet_graph::Graph;
/// use cygnet_weights::{Tensor, WeightSet};
///
/// let graph = Graph::build("tiny", [3, 4, 4], |net, image| net.at("fc").linear(image.global_avg_pool(), 2))?;
/// let mut weights = WeightSet::of(&graph, [vec![0.1; 6], vec![0.0; 2]])?;
/// weights.insert("fc.bias", Tensor::from_f32([2], &[1.0, -1.0])?);
/// assert_eq!(*weights.select(&graph)?[1], [1.0, -1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightSet(Tensors);

/// Why weights are not those of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// There are more or fewer lists of numbers than parameters.
    #[error("{given} parameters for the {wanted} of its graph")]
    Count {
        /// Parameters of the graph.
        wanted: usize,
        /// Lists given.
        given: usize,
    },
    /// A parameter has no weights.
    #[error("there is no {name}")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// Weights are more or fewer than a parameter has.
    #[error("{given} numbers for {name}, which is {wanted:?}")]
    Size {
        /// The parameter.
        name: String,
        /// Its shape.
        wanted: Vec<usize>,
        /// Numbers given.
        given: usize,
    },
}

impl WeightSet {
    /// The weights of a graph from lists of numbers, one for each of [`Graph::params`], in its order.
    ///
    /// # Errors
    /// If their number or a length does not fit the graph.
    pub fn of<N: Into<Vec<f32>>>(
        graph: &Graph,
        lists: impl IntoIterator<Item = N, IntoIter: ExactSizeIterator>,
    ) -> Result<WeightSet, Misfit> {
        let (params, lists) = (graph.params(), lists.into_iter());
        if params.len() != lists.len() {
            return Err(Misfit::Count { wanted: params.len(), given: lists.len() });
        }
        let tensor = |(param, list): (Param, N)| {
            let Param { name, shape, .. } = param;
            let list = list.into();
            let given = list.len();
            match Tensor::from_numbers(shape.clone(), list) {
                Ok(tensor) => Ok((name, tensor)),
                Err(_) => Err(Misfit::Size { name, wanted: shape, given }),
            }
        };
        Ok(WeightSet(params.into_iter().zip(lists).map(tensor).collect::<Result<_, _>>()?))
    }

    /// The tensor of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// The tensor of the parameter that plays a role in a node of a graph.
    #[must_use]
    pub fn of_role(&self, graph: &Graph, id: NodeId, role: Role) -> Option<&Tensor> {
        self.get(&graph.node_param(id, role)?.name)
    }

    /// Puts a tensor in the place of the one of its name, or after all others.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    /// Number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and tensors, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The numbers of a graph's parameters as `f32`, in the order of [`Graph::params`], as plans and executors take them.
    ///
    /// # Errors
    /// If one is missing or has another size.
    pub fn select(&self, graph: &Graph) -> Result<Vec<Cow<'_, [f32]>>, Misfit> {
        graph.params().into_iter().map(|param| Ok(self.of_param(&param)?.to_f32())).collect()
    }

    /// As [`WeightSet::select`], in lists of their own, as training changes them.
    ///
    /// # Errors
    /// If one is missing or has another size.
    pub fn to_lists(&self, graph: &Graph) -> Result<Weights, Misfit> {
        Ok(self.select(graph)?.into_iter().map(Cow::into_owned).collect())
    }

    /// The tensors of a graph's parameters, of their shapes, which share these numbers.
    ///
    /// # Errors
    /// If one is missing or has another size.
    pub fn part(&self, graph: &Graph) -> Result<WeightSet, Misfit> {
        let tensor = |param: Param| {
            let tensor = self.of_param(&param)?.reshape(param.shape.clone());
            Ok((param.name, tensor.expect("it has as many numbers")))
        };
        Ok(WeightSet(graph.params().into_iter().map(tensor).collect::<Result<_, _>>()?))
    }

    fn of_param(&self, param: &Param) -> Result<&Tensor, Misfit> {
        let Param { name, shape, .. } = param;
        let tensor = self.get(name).ok_or_else(|| Misfit::Missing { name: name.clone() })?;
        if tensor.element_count() == shape.iter().product::<usize>() {
            return Ok(tensor);
        }
        let (name, wanted, given) = (name.clone(), shape.clone(), tensor.element_count());
        Err(Misfit::Size { name, wanted, given })
    }
}

impl From<Tensors> for WeightSet {
    fn from(tensors: Tensors) -> WeightSet {
        WeightSet(tensors)
    }
}

impl From<WeightSet> for Tensors {
    fn from(weights: WeightSet) -> Tensors {
        weights.0
    }
}
