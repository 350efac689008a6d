//! The pictures of a compression: what channels are ranked by, what smaller networks learn from, and what they are judged by.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use cygnet_graph::Channels;
use cygnet_image::{Photos, Splits, map_indexed};
use cygnet_prune::first_order;
use cygnet_runtime::{Session, cpu};
use cygnet_train::{Engine, EngineOptions, Recipe, TrainData, TrainError};
use cygnet_weights::Weights;

use super::Compressing;
use crate::model::misfit;
use crate::{Error, Model};

/// Pictures whose gradients rank channels, and of them those of a batch.
const RANKED: usize = 256;
const BATCH: usize = 16;

pub(super) struct Pictures {
    pub(super) data: TrainData,
}

impl Pictures {
    /// Finds them and looks at each.
    pub(super) fn open(
        model: &Model,
        data: &Path,
        how: &Compressing,
        recipe: &Recipe,
    ) -> Result<Pictures, Error> {
        let splits = Splits::open_within(data, how.limits)?;
        if splits.train.classes != model.labels {
            let of = splits.train.classes.len();
            let reason = format!(
                "is of {of} classes that are not those of {}; train it on them first: `cygnet train` with --from",
                model.id
            );
            return Err(Error::Record { path: data.into(), reason });
        }
        let machine = cpu::memory_bytes().map_or(1 << 30, |bytes| bytes / 4);
        let seen = |done, total| how.watch.0("looking at photos", done, total);
        let side = model.preprocess.size[0];
        let data = TrainData::new(splits, recipe, side, machine, how.threads, seen)?;
        if data.validation.samples().is_empty() && data.test.samples().is_empty() {
            let what = "no pictures to judge by".into();
            return Err(TrainError::TooFew { what }.into());
        }
        Ok(Pictures { data })
    }

    /// What networks are judged by.
    pub(super) fn judged(&self) -> &Photos {
        if self.data.test.samples().is_empty() { &self.data.validation } else { &self.data.test }
    }

    /// Percent whose first guess is right.
    pub(super) fn top1(&self, model: &Model, threads: NonZeroUsize) -> Result<f64, Error> {
        let (plan, photos) = (model.plan()?, self.judged());
        let state = || {
            let session = Session::new(Arc::clone(&plan));
            let outputs = session.outputs();
            (session, vec![0.0f32; outputs])
        };
        let is_right = |(session, output): &mut (Session, Vec<f32>), index: usize| {
            let input = model.preprocess.apply(&*photos.get(index)?)?;
            session.run(&input, output)?;
            Ok::<_, Error>(cygnet_quantize::guess(output) == photos.samples()[index].class)
        };
        let count = photos.samples().len();
        let right = map_indexed(count, threads, state, is_right, |_| ());
        let right = right.into_iter().collect::<Result<Vec<bool>, _>>()?;
        Ok(100.0 * right.iter().filter(|&&right| right).count() as f64 / count as f64)
    }

    /// The importance of groups of channels to first order, over pictures from all over those that are learnt from.
    pub(super) fn importance(
        &self,
        channels: &Channels,
        model: &Model,
        threads: NonZeroUsize,
    ) -> Result<Vec<f64>, Error> {
        let graph = channels.graph();
        let photos = &self.data.train;
        let indices: Vec<usize> =
            crate::spread(&(0..photos.samples().len()).collect::<Vec<_>>(), RANKED).copied().collect();
        let batch = BATCH.min(indices.len());
        let options =
            EngineOptions { threads, frozen_batch_norm: true, dropout: false, ..EngineOptions::new(batch) };
        let mut engine = Engine::new(graph, options).map_err(TrainError::from)?;
        let mut weights = model.weights.to_lists(graph).map_err(misfit(graph))?;
        let classes = graph.classes();
        let mut sums = vec![0.0; channels.len()];
        for indices in indices.chunks_exact(batch) {
            let (mut images, mut targets) = (Vec::new(), vec![0.0; batch * classes]);
            for (place, &index) in indices.iter().enumerate() {
                images.extend(model.preprocess.apply(&*photos.get(index)?)?);
                targets[place * classes + photos.samples()[index].class] = 1.0;
            }
            let mut gradients: Weights = weights.iter().map(|list| vec![0.0; list.len()]).collect();
            engine.step(&mut weights, &images, &targets, 0, &mut gradients, 1.0).map_err(TrainError::from)?;
            let values = first_order(channels, &weights, &gradients)?;
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        Ok(sums)
    }
}
