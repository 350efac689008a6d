//! How much of what two models answer otherwise comes of computing with fewer bits.

use super::Against;
use super::numbers::mean;
use crate::sessions::Sessions;
use crate::{Error, Model};

/// What two models would answer if neither rounded its values, where one does.
pub(super) struct Unrounded<'a> {
    sessions: [Option<Sessions>; 2],
    against: &'a Against,
    /// How far apart answers are, over some inputs, and would be.
    apart: [f64; 2],
}

/// What a network computes with, in words.
fn precision(model: &Model) -> &'static str {
    model.precision().unwrap_or(if rounds(model) { "values of int8" } else { "f32" })
}

/// Whether values or weights are rounded.
fn rounds(model: &Model) -> bool {
    model.quantization.is_some() || model.precision().is_some()
}

impl<'a> Unrounded<'a> {
    /// Nothing if both compute in f32.
    ///
    /// # Errors
    /// If a network cannot be run.
    pub(super) fn of(against: &'a Against) -> Result<Option<Unrounded<'a>>, Error> {
        if !against.models.iter().any(rounds) {
            return Ok(None);
        }
        let unrounded = |model: &Model| {
            rounds(model)
                .then(|| Ok::<_, Error>(Sessions::passing(model.clone().in_floating_point().plan()?)))
                .transpose()
        };
        let [ours, theirs] = &against.models;
        let sessions = [unrounded(ours)?, unrounded(theirs)?];
        Ok(Some(Unrounded { sessions, against, apart: [0.0; 2] }))
    }

    /// Takes an input into account, for which these are the answers of both.
    ///
    /// # Errors
    /// If the input is not of their size.
    pub(super) fn see(&mut self, input: &[f32], answers: [&[f32]; 2]) -> Result<(), Error> {
        let answer = |side: usize| match &self.sessions[side] {
            Some(sessions) => Ok(self.against.shared.cut(side, &sessions.run(input)?).to_vec()),
            None => Ok::<_, Error>(answers[side].to_vec()),
        };
        let [ours, theirs] = [answer(0)?, answer(1)?];
        self.apart[0] += mean(answers[0], answers[1]);
        self.apart[1] += mean(&ours, &theirs);
        Ok(())
    }

    /// That rounding is a cause, and how much that of values explains; the rest is that of weights if these are `near`.
    pub(super) fn cause(&self, near: bool) -> String {
        let [ours, theirs] = [0, 1].map(|side: usize| precision(&self.against.models[side]));
        let both = if ours == theirs {
            format!("both compute in {ours}, each with ranges of its own")
        } else {
            format!("{ours} here, {theirs} there")
        };
        let rest = if near { ", that of weights the rest" } else { "" };
        format!("rounding: {both}; that of values explains {:.0} %{rest}", 100.0 * self.of_values())
    }

    /// The share of the difference that the rounding of values explains.
    pub(super) fn of_values(&self) -> f64 {
        super::share(self.apart[1], self.apart[0])
    }
}
