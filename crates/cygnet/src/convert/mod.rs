//! Makes a model of a checkpoint: finds its network, the place of the weights in it, and the names of its classes.

mod bare;
mod classes;
mod model_file;
mod naming;
mod onnx;
mod preparing;
mod recognise;
mod request;
mod twin;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cygnet_graph::Limits;
use cygnet_hub::{sha256, sha256_of};
use cygnet_onnx::{Format, ImportError, Imported, Options};
use cygnet_weights::{Checkpoint, RUN_KEY, is_model_file, read_class_names};
use cygnet_zoo::Registry;

use crate::Error;
use crate::counted::counted;
use crate::endings::unread;
use crate::named::network_in;
use classes::ambiguous;
use request::Request;

pub(crate) use bare::published_model;
pub use preparing::Preparing;
pub use request::Converted;
pub(crate) use request::Heads;
#[cfg(feature = "train")]
pub(crate) use twin::plain;

/// What a list of names lacks that is one too short.
const BACKGROUND: &str =
    "; TensorFlow's models have a class for the background before all others, which needs a name of its own";

/// How a checkpoint of any readable format becomes a model.
///
/// ```no_run
/// use cygnet::Conversion;
///
/// let conversion = Conversion { weights_key: Some("model_ema".into()), ..Conversion::default() };
/// let converted = conversion.run("checkpoint.pth")?;
/// converted.notes.iter().for_each(|note| eprintln!("{note}"));
/// converted.model.write("model.safetensors")?;
/// # Ok::<(), cygnet::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// The network, perhaps with the tag of published weights whose preprocessing then applies; without it the network
    /// is recognised, as a published file by its hash or else by its tensors.
    pub network: Option<String>,
    /// Number of classes, if not the checkpoint's: the classifier is then initialised again.
    pub classes: Option<usize>,
    /// Where in the checkpoint the weights are: see [`cygnet_weights::open_key`].
    pub weights_key: Option<String>,
    /// A file with the names of the classes, if not those in the checkpoint: see
    /// [`cygnet_weights::read_class_names`].
    pub labels: Option<PathBuf>,
    /// How photos are prepared, as far as the checkpoint is not to be asked.
    pub preparing: Preparing,
    /// Tensors that are left out, by name, or by a start of their names that ends in a dot.
    pub ignored: Vec<String>,
    /// What the graph in a Cygnet model file may ask for.
    pub limits: Limits,
    /// The networks that can be named or recognised: Cygnet's, and those that a program adds.
    pub registry: Registry,
}

impl Conversion {
    /// Makes a model of the checkpoint at `path`. A Cygnet model file keeps its own record.
    ///
    /// # Errors
    /// If the file cannot be read, fits no network or several, or not the one that was named, or if there are not as
    /// many names as classes.
    pub fn run(&self, path: impl AsRef<Path>) -> Result<Converted, Error> {
        self.run_with(path.as_ref(), Heads::Drop)
    }

    /// As [`Conversion::run`], of the bytes of a checkpoint's file, which `name` is called in errors and as the model's
    /// source.
    ///
    /// # Errors
    /// If they are damaged, fit no network or several, or not the one that was named, or if there are not as many names as
    /// classes.
    pub fn run_bytes(&self, name: &str, bytes: Vec<u8>) -> Result<Converted, Error> {
        let path = Path::new(name);
        if let Some(format) = Format::of(&bytes) {
            let read = |options: &Options| cygnet_onnx::import(bytes, options);
            return self.finished(path, self.run_graph(path, format, read)?);
        }
        let bytes = Arc::new(bytes);
        let parse = || {
            let parsed = cygnet_weights::parse_key(Arc::clone(&bytes), self.weights_key.as_deref());
            parsed.map_err(|error| Error::from(error).in_file(path))
        };
        self.run_of(path, parse, || Some(sha256(&bytes)), Heads::Drop)
    }

    /// As [`Conversion::run`], perhaps with auxiliary heads.
    pub(crate) fn run_with(&self, path: &Path, heads: Heads) -> Result<Converted, Error> {
        if let Some(format) = onnx::format(path) {
            let read = |options: &Options| cygnet_onnx::open(path, options);
            return self.finished(path, self.run_graph(path, format, read)?);
        }
        let open = || {
            let opened = match &self.weights_key {
                Some(key) => cygnet_weights::open_key(path, key),
                None => cygnet_weights::open(path),
            };
            opened.map_err(|error| unread(path).unwrap_or_else(|| error.into()))
        };
        self.run_of(path, open, || sha256_of(path).ok(), heads)
    }

    /// Makes a model of the checkpoint that is read of `path`, whose hash is asked for where it may tell the network.
    fn run_of(
        &self,
        path: &Path,
        read: impl FnOnce() -> Result<Checkpoint, Error>,
        hash: impl FnOnce() -> Option<String>,
        heads: Heads,
    ) -> Result<Converted, Error> {
        let request = self.request(heads)?;
        let mut checkpoint = read()?;
        self.leave_out(path, &mut checkpoint)?;
        let converted = if is_model_file(&checkpoint.metadata) {
            model_file::model(path, &checkpoint, &request, &self.limits)?
        } else if checkpoint.metadata.contains_key(RUN_KEY) {
            let reason =
                "is the state of a training run, for --resume; its models lie beside it, NAME.safetensors";
            return Err(Error::Record { path: path.into(), reason: reason.into() });
        } else {
            let mut converted = bare::model(path, &checkpoint, hash().as_deref(), request)?;
            if self.labels.is_none() {
                name_classes(&mut converted, &checkpoint);
            }
            converted
        };
        self.finished(path, converted)
    }

    /// Makes a model of the file that is read of `path` and brings its graph.
    fn run_graph(
        &self,
        path: &Path,
        format: Format,
        read: impl FnOnce(&Options) -> Result<Imported, ImportError>,
    ) -> Result<Converted, Error> {
        let request = self.request(Heads::Drop)?;
        if self.weights_key.is_some() || !self.ignored.is_empty() {
            let reason = format!(
                "is a file that brings its graph ({format}), all of whose weights are read by name; leave out --weights-key \
                 and --ignore"
            );
            return Err(Error::Record { path: path.into(), reason });
        }
        let failed = |source: ImportError| Error::Onnx { path: path.into(), source: Box::new(source) };
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let image = self.preparing.size;
        let options = Options { name, image, limits: self.limits, ..Options::default() };
        let imported = read(&options).map_err(failed)?;
        onnx::model(path, imported, &request)
    }

    fn request(&self, heads: Heads) -> Result<Request<'_>, Error> {
        let find = |name: &String| network_in(&self.registry, name);
        let named = self.network.as_ref().map(find).transpose()?;
        Ok(Request { registry: &self.registry, named, classes: self.classes, heads })
    }

    /// The model of the file at `path` with the names of classes and the preparation of photos that were asked for.
    fn finished(&self, path: &Path, converted: Converted) -> Result<Converted, Error> {
        let Converted { model, mut notes } = converted;
        let guessed = model.guessed.clone();
        let model = self.preparing.apply(model).map_err(|error| error.in_file(path))?;
        if model.guessed.is_none() {
            notes.retain(|note| Some(note) != guessed.as_ref());
        }
        let mut converted = Converted { model, notes };
        if let Some(labels) = &self.labels {
            let names = read_class_names(labels)?;
            let classes = converted.model.graph.classes();
            if names.len() != classes {
                let background = if classes == names.len() + 1 { BACKGROUND } else { "" };
                let (names, classes) = (counted(names.len(), "name"), counted(classes, "class"));
                let reason = format!("{names} for {classes}{background}");
                return Err(Error::Record { path: labels.clone(), reason });
            }
            converted.notes.extend(ambiguous(labels, &names));
            converted.model.labels = names;
        }
        if converted.model.graph.classes() == 1 {
            converted.notes.push("of one class alone every answer is that class, with 100 %".into());
        }
        Ok(converted)
    }

    /// Takes the ignored tensors out of a checkpoint.
    fn leave_out(&self, path: &Path, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        for ignored in &self.ignored {
            let before = checkpoint.tensors.len();
            let is_ignored =
                |name: &str| name == ignored || (ignored.ends_with('.') && name.starts_with(ignored));
            checkpoint.tensors.retain(|name, _| !is_ignored(name));
            if checkpoint.tensors.len() == before {
                let reason = format!("has no tensor {ignored} to ignore; a start of names ends in a dot");
                return Err(Error::Record { path: path.into(), reason });
            }
        }
        Ok(())
    }
}

/// Gives the classes the names in the checkpoint, if it has as many.
fn name_classes(converted: &mut Converted, checkpoint: &Checkpoint) {
    let Some(names) = &checkpoint.class_names else { return };
    let classes = converted.model.graph.classes();
    if names.len() == classes {
        converted.model.labels.clone_from(names);
        converted.notes.push(format!("the labels are the {classes} class names of the checkpoint"));
    } else {
        let [names, classes] = [counted(names.len(), "class name"), counted(classes, "class")];
        converted.notes.push(format!("the checkpoint has {names} for {classes}; they are left out"));
    }
}
