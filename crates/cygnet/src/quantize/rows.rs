//! What a report says in figures.

use super::{LayerNoise, Precision, QuantizeReport};
use crate::counted::counted;

impl Precision {
    /// `int8` or `bf16`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Precision::Int8 => "int8",
            Precision::Bf16 => "bf16",
        }
    }
}

impl QuantizeReport {
    /// What its figures were taken of: `100 photos`, or as many generated images.
    #[must_use]
    pub fn judged_on(&self) -> String {
        counted(self.images, if self.lost.is_some() { "photo" } else { "generated image" })
    }

    /// What it was, and is: a name, the figure before if there is one, and the figure now.
    #[must_use]
    pub fn rows(&self) -> Vec<[String; 3]> {
        let percent = |share: f64| format!("{share:.2} %");
        let mb = |bytes: usize| format!("{:.2} MB", bytes as f64 / 1e6);
        let ms = |ms: f64| format!("{ms:.2} ms");
        let row = |what: &str, before: String, now: String| [what.to_owned(), before, now];
        let mut rows = Vec::new();
        if let (Some(before), Some(now)) = (self.top1_before, self.top1) {
            rows.push(row("top-1", percent(before), percent(now)));
        }
        rows.push(row("agreement", String::new(), percent(self.agreement)));
        if let (Some(lost), Some(at_most)) = (self.lost, self.lost_at_most) {
            rows.push(row("points lost", String::new(), format!("{lost:.2}, at most {at_most:.2}")));
        }
        rows.push(row("KL", String::new(), format!("{:.4}", self.kl)));
        rows.push(row("time of a photo", ms(self.ms_before), ms(self.ms)));
        rows.push(row("weights", mb(self.bytes_before), mb(self.bytes)));
        let counts = self.layers;
        let all = counts.int8 + counts.bf16 + counts.f32;
        for (name, count) in [("int8", counts.int8), ("bf16", counts.bf16), ("f32", counts.f32)] {
            if count > 0 {
                rows.push(row(&format!("layers in {name}"), String::new(), format!("{count} of {all}")));
            }
        }
        rows
    }

    /// The layers that are known to make noise, the most sensitive first.
    #[must_use]
    pub fn worst(&self) -> Vec<&LayerNoise> {
        let mut worst: Vec<&LayerNoise> = self.sensitivity.iter().filter(|layer| layer.noise > 0.0).collect();
        worst.sort_by(|a, b| b.noise.total_cmp(&a.noise));
        worst
    }
}
