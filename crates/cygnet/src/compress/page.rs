//! What is told of a compression, and its report: one HTML file that needs nothing else.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use cygnet_files::{Size, write_new, write_whole};
use cygnet_graph::{Graph, Role};
use cygnet_train::{Fact, page};
use serde::Serialize;

use super::{Compressed, Figures, Tried};
use crate::Error;

/// What a layer lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its path.
    pub path: String,
    /// Channels that it had.
    pub before: usize,
    /// Channels that it has.
    pub after: usize,
}

impl Layer {
    /// The layers with weights of a network, and what they have in a smaller one.
    pub(super) fn of(before: &Graph, after: &Graph) -> Vec<Layer> {
        let weights = |graph: &Graph| {
            let params = graph.params().into_iter().filter(|param| param.role == Role::Weight);
            params.map(|param| (param.name, param.shape[0])).collect::<Vec<_>>()
        };
        let left = weights(after);
        let layer = |(name, before): (String, usize)| {
            let after = left.iter().find(|(other, _)| *other == name).map_or(0, |(_, after)| *after);
            let path = name.strip_suffix(".weight").unwrap_or(&name).to_owned();
            Layer { path, before, after }
        };
        weights(before).into_iter().map(layer).collect()
    }
}

impl Compressed {
    /// The figures in words: what, before, now.
    #[must_use]
    pub fn rows(&self) -> Vec<[String; 3]> {
        let row = |name: &str, of: &dyn Fn(&Figures) -> String| {
            [name.to_owned(), of(&self.before), of(&self.after)]
        };
        vec![
            row("top-1", &|figures| format!("{:.2} %", figures.top1)),
            row("ms, one thread", &|figures| format!("{:.3}", figures.ms)),
            row("ms, all threads", &|figures| format!("{:.3}", figures.ms_all)),
            row("params", &|figures| figures.params.to_string()),
            row("MACs", &|figures| figures.macs.to_string()),
            row("file", &|figures| Size(figures.bytes).to_string()),
            row("memory", &|figures| Size(figures.peak_bytes).to_string()),
        ]
    }

    /// Writes the report, in the place of a file only if it may be replaced. `made` says how it was made.
    ///
    /// # Errors
    /// If it cannot be written; the source is of the kind [`std::io::ErrorKind::AlreadyExists`] if something has the name that may
    /// not be replaced.
    pub fn write_page(&self, path: &Path, made: &[Fact], may_replace: bool) -> Result<(), Error> {
        let page = self.page(made);
        let write = |file: &mut std::fs::File| file.write_all(page.as_bytes());
        let written = if may_replace { write_whole(path, write) } else { write_new(path, write) };
        written.map_err(|source| Error::Write { path: path.into(), source })
    }

    /// The report: what was and is, what each layer lost, and all that was tried.
    #[must_use]
    pub fn page(&self, made: &[Fact]) -> String {
        let mut html = page::begin("A compressed model");
        html.push_str(
            "<table class=\"facts\"><tr><th></th><td class=\"n\">before</td><td class=\"n\">now</td></tr>",
        );
        for [name, before, now] in self.rows() {
            _ = write!(
                html,
                "<tr><th>{name}</th><td class=\"n\">{before}</td><td class=\"n\">{now}</td></tr>"
            );
        }
        html.push_str("</table>");
        for note in &self.notes {
            _ = write!(html, "<p>{}.</p>", page::escape(note));
        }
        if self.layers.iter().any(|layer| layer.after < layer.before) {
            html.push_str("<h2>Layers</h2><p>Channels that stay, of those that there were.</p>");
            page::bars(
                &mut html,
                self.layers.iter().map(|Layer { path, before, after }| {
                    (path.clone(), *after as f64 / (*before).max(1) as f64, format!("{after} of {before}"))
                }),
            );
        }
        if !self.tried.is_empty() {
            html.push_str(
                "<h2>What was tried</h2><div class=\"wide\"><table><tr><th>aim</th><th class=\"n\">top-1</th>\
                 <th class=\"n\">points lost</th><th class=\"n\">ms</th><th class=\"n\">MACs</th><th></th></tr>",
            );
            for Tried { aim, figures, lost, fits } in &self.tried {
                let Figures { top1, ms, macs, .. } = figures;
                let (aim, fits) = (page::escape(aim), if *fits { "fits" } else { "" });
                _ = write!(
                    html,
                    "<tr><td>{aim}</td><td class=\"n\">{top1:.2} %</td><td class=\"n\">{lost:.2}</td><td class=\"n\">{ms:.3}</td>\
                     <td class=\"n\">{macs}</td><td>{fits}</td></tr>"
                );
            }
            html.push_str("</table></div>");
        }
        html.push_str("<h2>How it was made</h2>");
        page::facts(&mut html, made);
        html.push_str(page::END);
        html
    }
}
