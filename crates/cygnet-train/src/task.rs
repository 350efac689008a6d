//! What a run's steps are made on: pictures or features, and the part of the network that learns from them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use cygnet_engine::Group;
use cygnet_files::Size;
use cygnet_graph::{Graph, NodeId, Param, Role};
use cygnet_image::{Batch, BatchRecipe, Batches, ImageError, Rng};

use crate::TrainError;
use crate::distil::distil;
use crate::evaluate::{Examples, outputs};
use crate::numbers::Numbers;
use crate::recipe::{Quantize, Recipe, Trained};
use crate::trainer::Trainer;

/// What steps are made on: the whole network and photos, or its classifier and features.
pub(crate) struct Task {
    pub(crate) graph: Graph,
    source: Source,
    pub(crate) validation: Examples,
    pub(crate) test: Examples,
    pub(crate) groups: Vec<Group>,
    pub(crate) frozen_batch_norm: bool,
}

enum Source {
    Photos(Arc<BatchRecipe>),
    /// Features of every picture one after the other, then those of the flipped pictures if some are to be flipped.
    Features {
        values: Vec<f32>,
        length: usize,
        recipe: Arc<BatchRecipe>,
    },
}

impl Task {
    pub(crate) fn new(trainer: &Trainer) -> Result<Task, TrainError> {
        let Trainer { trainee, data, recipe, options, teacher, .. } = trainer;
        let mut whole = trainee.graph.clone();
        if recipe.dropout >= 0.0 {
            whole = whole.with_dropout(recipe.dropout as f32)?;
        }
        let finish = teacher.as_ref().map(|teacher| distil(teacher, trainer)).transpose()?;
        let batches = BatchRecipe {
            photos: Arc::clone(&data.train),
            classes: data.classes.len(),
            preprocess: trainee.preprocess.clone(),
            augment: recipe.augment.clone(),
            mix: recipe.mix.clone(),
            finish,
            seed: recipe.seed,
        };
        let photos = |photos| Examples::photos(photos, trainee.preprocess.clone(), options.keep_bytes);
        let (validation, test) = (photos(Arc::clone(&data.validation)), photos(Arc::clone(&data.test)));
        if recipe.train != Trained::Head {
            return Ok(Task {
                groups: groups(&whole, recipe),
                graph: whole,
                source: Source::Photos(Arc::new(batches)),
                validation,
                test,
                frozen_batch_norm: recipe.frozen_batch_norm
                    || recipe.train != Trained::All
                    || recipe.quantize == Quantize::Int8,
            });
        }
        if teacher.is_some() {
            let (what, value) = ("distill.teacher", "set".into());
            return Err(TrainError::Setting { what, value, wanted: "empty for train=head" });
        }
        Task::on_features(trainer, &whole, batches, [validation, test])
    }

    /// The classifier alone, on what the rest of `whole` makes of every picture.
    fn on_features(
        trainer: &Trainer,
        whole: &Graph,
        batches: BatchRecipe,
        [validation, test]: [Examples; 2],
    ) -> Result<Task, TrainError> {
        let Trainer { trainee, recipe, options, .. } = trainer;
        let (body, head) = whole.body_and_head()?;
        if body.params().len() + head.params().len() != whole.params().len() {
            let value = format!("head, but {} has parameters beside both", whole.name());
            return Err(TrainError::Setting { what: "train", value, wanted: "all for this network" });
        }
        let length: usize = head.input_shape().iter().product();
        let [_, _, width] = whole.input_shape();
        let features = |examples: &Examples, flip: bool| -> Result<Vec<f32>, TrainError> {
            let bytes = (examples.len() * length * 4) as u64;
            if bytes > options.keep_bytes.saturating_mul(4).max(1 << 28) {
                let value = format!("head, whose features would take {}", Size(bytes));
                let wanted = "last-1 or all for so many pictures";
                return Err(TrainError::Setting { what: "train", value, wanted });
            }
            let input = |index: usize, image: &mut [f32]| {
                examples.input(index, image)?;
                if flip {
                    image.chunks_exact_mut(width).for_each(<[f32]>::reverse);
                }
                Ok(())
            };
            let (level, threads, count) = (options.level, options.threads, examples.len());
            let seen = |done| options.watch.0("computing features", done, count);
            let all = outputs(
                &body,
                &Numbers::from(&trainee.weights),
                level,
                threads,
                count,
                input,
                |_, out| out.to_vec(),
                seen,
            )?;
            Ok(all.concat())
        };
        let inputs = |examples: Examples| -> Result<Examples, TrainError> {
            let classes = (0..examples.len()).map(|index| examples.class(index)).collect();
            Ok(Examples::Inputs { values: features(&examples, false)?, length, classes })
        };
        let train =
            Examples::photos(Arc::clone(&batches.photos), trainee.preprocess.clone(), options.keep_bytes);
        let mut values = features(&train, false)?;
        if recipe.augment.flip > 0.0 {
            values.extend(features(&train, true)?);
        }
        Ok(Task {
            groups: groups(&head, &Recipe { train: Trained::All, ..recipe.clone() }),
            graph: head,
            source: Source::Features { values, length, recipe: Arc::new(batches) },
            validation: inputs(validation)?,
            test: inputs(test)?,
            frozen_batch_norm: true,
        })
    }

    pub(crate) fn batches(
        &self,
        order: Vec<usize>,
        epoch: u64,
        size: usize,
        first: usize,
        threads: NonZeroUsize,
    ) -> Box<dyn Iterator<Item = Result<Batch, ImageError>> + '_> {
        match &self.source {
            Source::Photos(recipe) => {
                Box::new(Batches::new(Arc::clone(recipe), epoch, order, size, first, threads))
            }
            Source::Features { values, length, recipe } => {
                let count = recipe.photos.samples().len();
                let batch = move |number: usize| {
                    let pictures = &order[number * size..][..size];
                    let mut rng = Rng::keyed(&[recipe.seed, epoch, number as u64]);
                    let labels: Vec<usize> =
                        pictures.iter().map(|&picture| recipe.photos.samples()[picture].class).collect();
                    let mut images = Vec::with_capacity(size * length);
                    for picture in pictures {
                        let row = picture + if rng.chance(recipe.augment.flip) { count } else { 0 };
                        images.extend_from_slice(&values[row * length..][..*length]);
                    }
                    let mut targets = vec![0.0; size * recipe.classes];
                    let mut mix = recipe.mix.clone();
                    // Windows of features mean nothing.
                    mix.cutmix = 0.0;
                    mix.apply(&mut images, [1, *length], &labels, &mut targets, &mut rng);
                    Ok(Batch { images, targets, labels })
                };
                Box::new((first..count / size).map(batch))
            }
        }
    }
}

/// How each parameter is trained.
fn groups(graph: &Graph, recipe: &Recipe) -> Vec<Group> {
    let params = graph.params();
    let classifiers = graph.classifiers();
    let head = graph.classifier().unwrap_or_default();
    let stages: Vec<NodeId> = graph.features().iter().map(|feature| feature.node).collect();
    let first = match recipe.train {
        Trained::All => NodeId(0),
        Trained::Head => head,
        Trained::Last(count) => match stages.len().checked_sub(count + 1) {
            Some(stage) => NodeId(stages[stage].0 + 1),
            None => NodeId(0),
        },
    };
    let group = |param: &Param| {
        let stages_away = stages.iter().filter(|stage| **stage >= param.node).count();
        let is_head = classifiers.contains(&param.node);
        let stages_away = if is_head { 0 } else { stages_away.max(1) };
        let head_rate = if is_head { recipe.head_rate } else { 1.0 };
        Group {
            trained: param.role.is_learnt() && param.node >= first,
            rate: head_rate * recipe.layer_decay.powi(stages_away as i32),
            decays: param.role == Role::Weight || recipe.optimizer.decay_all,
        }
    };
    params.iter().map(group).collect()
}
