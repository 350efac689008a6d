//! Knowledge distillation (Hinton et al. 2015): a teacher's answers in the targets.

use std::sync::{Arc, Mutex, PoisonError};

use cygnet_image::{Batch, ChannelOrder, Finish, Preprocess};
use cygnet_runtime::{Plan, Session, softmax};

use crate::TrainError;
use crate::trainer::{Teacher, Trainer};

/// Mixes a teacher's answers into the targets of a batch.
pub(crate) fn distil(teacher: &Teacher, trainer: &Trainer) -> Result<Box<Finish>, TrainError> {
    let weights = teacher.weights.select(&teacher.graph)?;
    let plan = Arc::new(Plan::new(teacher.graph.clone(), &weights, trainer.options.level)?);
    let idle: Mutex<Vec<Session>> = Mutex::default();
    let [share, temperature] =
        [trainer.recipe.distill.share as f32, trainer.recipe.distill.temperature as f32];
    let classes = trainer.data.classes.len();
    let (ours, theirs) = (trainer.trainee.preprocess.clone(), teacher.preprocess.clone());
    let area: usize = teacher.graph.input_shape()[1..].iter().product();
    let is_grey = |preprocess: &Preprocess| preprocess.channels == ChannelOrder::Grey;
    if is_grey(&ours) != is_grey(&theirs) {
        let value = "for pictures in other colours".into();
        return Err(TrainError::Setting { what: "the teacher", value, wanted: "for the same colours" });
    }
    let turned = ours.channels != theirs.channels;
    let pixels = move |image: &[f32], input: &mut [f32]| {
        let channels = theirs.channels.count();
        for (channel, plane) in input.chunks_exact_mut(area).enumerate() {
            let from = if turned { channels - 1 - channel } else { channel };
            for (to, &value) in plane.iter_mut().zip(&image[from * area..]) {
                let level = (value * ours.std[from] + ours.mean[from]) / ours.scale;
                *to = (level * theirs.scale - theirs.mean[channel]) / theirs.std[channel];
            }
        }
    };
    Ok(Box::new(move |batch: &mut Batch| {
        let lock = || idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = lock().pop();
        let mut session = spare.unwrap_or_else(|| Session::new(Arc::clone(&plan)));
        let mut answer = vec![0.0; classes];
        let length = batch.images.len() / batch.labels.len();
        let mut input = vec![0.0; length];
        for (image, targets) in batch.images.chunks_exact(length).zip(batch.targets.chunks_exact_mut(classes))
        {
            pixels(image, &mut input);
            session.run(&input, &mut answer).expect("the teacher's sizes were checked");
            answer.iter_mut().for_each(|logit| *logit /= temperature);
            softmax(&mut answer, classes);
            for (target, &answer) in targets.iter_mut().zip(&answer) {
                *target += share * (answer - *target);
            }
        }
        lock().push(session);
    }))
}
