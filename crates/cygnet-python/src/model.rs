//! A model as Python holds it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet::bench::{BenchOptions, bench};
use cygnet::hub::Cache;
use cygnet::runtime::{Level, PlanOptions, cpu};
use cygnet::{Classifier, Conversion, Converted, Photo, Precision, Quantizing};
use numpy::{PyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::{PyFileExistsError, PyMemoryError, PyTypeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

use crate::answers::{Answers, Guess, guesses};
use crate::errors::{Count, CygnetError, LOOK, given_up_on_interrupt, plain, told};
use crate::photos::{Photos, in_order};

/// A network with its weights, ready for photos. `cygnet.load` makes one. It can be shared between threads, pickled, and is as
/// good in forked processes.
///
/// `model(inputs, *, threads=None)` is the network's output for tensors: float32 `[batch, channels, height, width]` or one image
/// without the batch, prepared as `record["preprocess"]` says. It gives float32 `[batch, classes]` (or `[classes]`), usually
/// logits. Arrays that do not lie in order are copied; read-only ones are fine.
#[pyclass(frozen, module = "cygnet")]
pub(crate) struct Model {
    classifier: Arc<Classifier>,
}

/// The threads that are asked for; none: all there are.
pub(crate) fn threads_of(threads: Option<Count>) -> PyResult<NonZeroUsize> {
    let threads = threads.map_or_else(cpu::available_threads, |Count(threads)| threads);
    NonZeroUsize::new(threads)
        .ok_or_else(|| PyValueError::new_err("threads is 0; give 1 or more, or None for all"))
}

/// Loads a network of the zoo with published weights, a model file, or a checkpoint: an id such as "mobilenet_v2", perhaps with
/// ".tag" of its weights, a path, or an `https` address. What was decided on the way is told by warnings.
///
/// network      the network of a checkpoint whose tensors do not tell it, perhaps with the tag whose preprocessing it has
/// classes      number of classes, if others than the checkpoint's: the classifier is initialised again
/// labels       a file with the names of the classes, one a line
/// weights_key  where in a checkpoint the weights are, such as "model_ema"
#[pyfunction]
#[pyo3(signature = (what, *, network=None, classes=None, labels=None, weights_key=None))]
pub(crate) fn load(
    py: Python<'_>,
    what: PathBuf,
    network: Option<String>,
    classes: Option<usize>,
    labels: Option<PathBuf>,
    weights_key: Option<String>,
) -> PyResult<Model> {
    let conversion = Conversion { network, classes, labels, weights_key, ..Conversion::default() };
    let is_plain = conversion.network.is_none() && conversion.weights_key.is_none();
    let what = what.to_string_lossy().into_owned();
    let converted = py.detach(|| {
        let named = is_plain && cygnet::zoo::find(&what).is_some();
        if is_plain || named {
            return conversion.load(&what, &Cache::from_env()?, &mut ());
        }
        conversion.run(&what)
    });
    Model::of(py, converted.map_err(told)?)
}

/// A model of a network of the zoo with parameters that are given by name, as a checkpoint's.
#[pyfunction]
#[pyo3(signature = (arrays, network=None, *, classes=None))]
pub(crate) fn from_arrays(
    py: Python<'_>,
    arrays: Vec<(String, PyReadonlyArrayDyn<'_, f32>)>,
    network: Option<String>,
    classes: Option<usize>,
) -> PyResult<Model> {
    let bytes = |array: &PyReadonlyArrayDyn<'_, f32>| -> Vec<u8> {
        array.as_array().iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> =
        arrays.iter().map(|(name, array)| (name.clone(), array.shape().to_vec(), bytes(array))).collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let wrong = |error: safetensors::SafeTensorError| CygnetError::new_err(error.to_string());
    let file = serialize(views.collect::<Result<Vec<_>, _>>().map_err(wrong)?, None).map_err(wrong)?;
    let conversion = Conversion { network, classes, ..Conversion::default() };
    let converted = py.detach(|| conversion.run_bytes("state_dict", file));
    Model::of(py, converted.map_err(told)?)
}

/// A model of the bytes of a model file.
#[pyfunction]
pub(crate) fn from_bytes(py: Python<'_>, data: Vec<u8>) -> PyResult<Model> {
    Model::new(py, py.detach(|| cygnet::Model::from_bytes("model", data)).map_err(told)?)
}

impl Model {
    /// A model with what its user should know, as warnings.
    fn of(py: Python<'_>, Converted { model, notes }: Converted) -> PyResult<Model> {
        let category = py.get_type::<PyUserWarning>();
        for note in notes {
            let note = std::ffi::CString::new(note).unwrap_or_default();
            PyErr::warn(py, &category, &note, 2)?;
        }
        Model::new(py, model)
    }

    pub(crate) fn new(py: Python<'_>, model: cygnet::Model) -> PyResult<Model> {
        let classifier = py.detach(|| Classifier::new(model)).map_err(told)?;
        Ok(Model { classifier: Arc::new(classifier) })
    }

    fn model(&self) -> &cygnet::Model {
        self.classifier.model()
    }

    /// What `work` makes of one photo, or of each of several, in their order.
    fn each<T: Send>(
        &self,
        py: Python<'_>,
        photos: &Bound<'_, PyAny>,
        threads: Option<Count>,
        work: impl Fn(&Photo) -> Result<T, cygnet::Error> + Send + Sync,
    ) -> PyResult<Each<T>> {
        match Photos::of(photos)? {
            Photos::One(photo) => Ok(Each::One(py.detach(|| work(&photo)).map_err(told)?)),
            Photos::Many(photos) => {
                let threads = threads_of(threads)?;
                let made = py.detach(|| {
                    let (mut made, mut looked) = (Vec::with_capacity(photos.len()), Instant::now());
                    self.classifier.for_each(&photos, threads, work, |_, result| {
                        made.push(result.map_err(told)?);
                        if looked.elapsed() > LOOK {
                            looked = Instant::now();
                            Python::attach(|py| py.check_signals())?;
                        }
                        Ok::<(), PyErr>(())
                    })?;
                    Ok::<_, PyErr>(made)
                });
                Ok(Each::Many(made?))
            }
        }
    }
}

/// One result, or one a photo.
#[derive(IntoPyObject)]
enum Each<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Each<T> {
    fn map<U>(self, mut f: impl FnMut(T) -> PyResult<U>) -> PyResult<Each<U>> {
        Ok(match self {
            Each::One(one) => Each::One(f(one)?),
            Each::Many(many) => Each::Many(many.into_iter().map(f).collect::<PyResult<_>>()?),
        })
    }
}

#[pymethods]
impl Model {
    /// The likeliest classes of a photo, the best first: a list of `top` guesses, each with `label`, `probability` (0 to 1)
    /// and `index`. Of a list of photos, a list of such lists.
    ///
    /// A photo is a path (`str` or `pathlib.Path`), an `https` address, the bytes of an image file, an open file, a picture of
    /// Pillow's, or a numpy array of uint8 with the shape `[height, width, 3]` (RGB) or `[height, width]` (grey). Files are
    /// turned upright by their EXIF orientation; pictures of Pillow's and arrays are taken as they are.
    ///
    /// Several photos are looked at on as many threads as there are cores, or on `threads`; they change no number. Other Python
    /// threads run meanwhile.
    #[pyo3(
        signature = (photos, top=Count(5), *, threads=None),
        text_signature = "($self, photos, top=5, *, threads=None)"
    )]
    fn classify<'py>(
        &self,
        py: Python<'py>,
        photos: &Bound<'py, PyAny>,
        top: Count,
        threads: Option<Count>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let answers = self.each(py, photos, threads, |photo| self.classifier.classify_photo(photo, top.0))?;
        let listed: Each<Vec<Guess>> = answers.map(|answer| Ok(guesses(answer)))?;
        listed.into_pyobject(py)
    }

    /// Classifies files, folders and patterns (`photos/*.jpg`), one of them or a list: an iterator over answers in the order of
    /// the files, made in the background. Each has `path`, `guesses` as `classify` gives them, and `error`: None, or why the file
    /// could not be read. `len()` tells how many there will be, so that `tqdm(model.classify_files("photos/"))` shows progress.
    #[pyo3(
        signature = (places, top=Count(5), *, threads=None),
        text_signature = "($self, places, top=5, *, threads=None)"
    )]
    fn classify_files(
        &self,
        places: &Bound<'_, PyAny>,
        top: Count,
        threads: Option<Count>,
    ) -> PyResult<Answers> {
        let places = match places.extract::<PathBuf>() {
            Ok(place) => vec![place],
            Err(_) => places.extract::<Vec<PathBuf>>()?,
        };
        Answers::begin(Arc::clone(&self.classifier), &places, top.0, threads)
    }

    /// What the network makes of a photo before its classifier: a float32 array `[channels]`; of a list of photos
    /// `[photos, channels]`. Photos that look alike to the network have vectors of like directions (cosine similarity). For what
    /// a photo may be see `classify`.
    #[pyo3(signature = (photos, *, threads=None))]
    fn embed<'py>(
        &self,
        py: Python<'py>,
        photos: &Bound<'py, PyAny>,
        threads: Option<Count>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let limits = self.classifier.limits();
        let embedded =
            self.each(py, photos, threads, |photo| self.classifier.embed_image(&photo.open(limits)?))?;
        match embedded {
            Each::One(vector) => {
                let length = vector.len();
                PyArray::from_vec(py, vector).reshape(vec![length])
            }
            Each::Many(vectors) => {
                let shape = vec![vectors.len(), vectors.first().map_or(0, Vec::len)];
                PyArray::from_vec(py, vectors.concat()).reshape(shape)
            }
        }
    }

    /// The feature maps of a photo: a dict from each stage's name to a float32 array `[channels, height, width]`, one for each
    /// stride at which the network looks at it, the finest first.
    fn features<'py>(&self, py: Python<'py>, photo: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        let photo = crate::photos::one(photo)?;
        let limits = self.classifier.limits();
        let maps = py.detach(|| self.classifier.features_image(&photo.open(limits)?)).map_err(told)?;
        let arrays = PyDict::new(py);
        for cygnet::FeatureMap { name, shape, values, .. } in maps {
            arrays.set_item(name, PyArray::from_vec(py, values).reshape(shape.to_vec())?)?;
        }
        Ok(arrays)
    }

    /// The network's output for tensors: float32 `[batch, channels, height, width]` or one image without the batch, prepared as
    /// `record["preprocess"]` says. Gives float32 `[batch, classes]` (or `[classes]`), usually logits. Arrays that are not
    /// contiguous are copied; read-only ones are fine.
    #[pyo3(signature = (inputs, *, threads=None))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        inputs: &Bound<'py, PyAny>,
        threads: Option<Count>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let Ok(array) = inputs.cast::<PyArrayDyn<f32>>() else {
            let what = match inputs.getattr("dtype") {
                Ok(dtype) => format!("of {dtype}; use x.astype(\"float32\")"),
                Err(_) => format!("{}; of a photo use classify", inputs.get_type().name()?),
            };
            return Err(PyTypeError::new_err(format!("inputs are a numpy array of float32, not {what}")));
        };
        let graph = &self.model().graph;
        let (wanted, shape) = (graph.input_shape(), array.shape());
        let batch = match shape {
            image if image == wanted => None,
            [batch, image @ ..] if image == wanted => Some(*batch),
            _ => {
                let [channels, height, width] = wanted;
                return Err(PyValueError::new_err(format!(
                    "inputs are [batch, {channels}, {height}, {width}] or one image of these, not {shape:?}"
                )));
            }
        };
        let bytes = shape.iter().fold(4u64, |bytes, &side| bytes.saturating_mul(side as u64));
        if cpu::memory_bytes().is_some_and(|memory| bytes > memory / 2) {
            return Err(PyMemoryError::new_err(format!("inputs of {shape:?} take {bytes} bytes")));
        }
        let array = in_order(array)?.readonly();
        let numbers: &[f32] = array.as_slice()?;
        let outputs = match batch {
            None => py.detach(|| self.classifier.logits(numbers)),
            Some(_) => {
                let threads = threads_of(threads)?;
                py.detach(|| self.classifier.logits_of_batch(numbers, threads))
            }
        };
        let output = &graph.node(graph.output()).shape;
        let shape: Vec<usize> = batch.into_iter().chain(output.iter().copied()).collect();
        PyArray::from_vec(py, outputs.map_err(told)?).reshape(shape)
    }

    /// Accuracy on a folder of labelled photos (a folder a class), an archive of such, or a table: a dict with `images`, `top1`
    /// and `top5` in percent, `loss`, `classes`, `confused` and more. Of divided sets the test photos count.
    #[pyo3(signature = (data, *, threads=None))]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        data: PathBuf,
        threads: Option<Count>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let threads = threads_of(threads)?;
        let classifier = Arc::clone(&self.classifier);
        let work = move || cygnet::evaluate(&classifier, &data, threads, |_, _| ());
        plain(py, &given_up_on_interrupt(py, work)?.map_err(told)?)
    }

    /// Times the network on this machine for so many seconds: a dict with `median_ms`, `min_ms`, `p95_ms`, `images_per_s`,
    /// `percent_of_peak`, `arena_bytes` and more. `threads=None` takes as many as pay.
    #[pyo3(
        signature = (seconds=1.0, *, threads=Some(Count(1)), batch=Count(1)),
        text_signature = "($self, seconds=1.0, *, threads=1, batch=1)"
    )]
    fn bench<'py>(
        &self,
        py: Python<'py>,
        seconds: f64,
        threads: Option<Count>,
        batch: Count,
    ) -> PyResult<Bound<'py, PyAny>> {
        let duration = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err(format!("{seconds} seconds cannot be waited")))?;
        let (Count(batch), threads) = (batch, threads.map(|Count(threads)| threads));
        if batch == 0 || threads == Some(0) {
            return Err(PyValueError::new_err("batch and threads are 1 or more"));
        }
        let classifier = Arc::clone(&self.classifier);
        let timing = given_up_on_interrupt(py, move || -> Result<_, cygnet::Error> {
            let plan = PlanOptions::from(Level::chosen().map_err(cygnet::runtime::RunError::Plan)?);
            let options = BenchOptions { plan, threads, batch, duration };
            Ok(bench(&classifier.model().id, &classifier.model().plan_with(plan)?, options)?)
        })?;
        plain(py, &timing.map_err(told)?)
    }

    /// The same network in whole numbers (`precision="int8"`) or bf16, chosen by up to `images` photos of `data` (a folder, labelled
    /// or not) so that at most `drop` points of accuracy are lost: `(model, report)`. The report is a dict with `agreement` in
    /// percent, `kl`, `top1_before`, `top1`, `ms_before`, `ms`, `bytes_before`, `bytes`, `layers` and `sensitivity`.
    #[pyo3(
        signature = (data=None, *, precision="int8", images=Count(100), drop=0.5, threads=None),
        text_signature = "($self, data=None, *, precision='int8', images=100, drop=0.5, threads=None)"
    )]
    fn quantize<'py>(
        &self,
        py: Python<'py>,
        data: Option<PathBuf>,
        precision: &str,
        images: Count,
        drop: f64,
        threads: Option<Count>,
    ) -> PyResult<(Model, Bound<'py, PyAny>)> {
        let precision = match precision {
            "int8" => Precision::Int8,
            "bf16" => Precision::Bf16,
            other => return Err(PyValueError::new_err(format!("precision is int8 or bf16, not {other}"))),
        };
        if drop.is_nan() || drop < 0.0 {
            return Err(PyValueError::new_err(format!("drop is a number of points, 0 or more, not {drop}")));
        }
        let (threads, Count(images)) = (threads_of(threads)?.get(), images);
        let how = Quantizing { precision, images, drop, threads, ..Quantizing::default() };
        let classifier = Arc::clone(&self.classifier);
        let work = move || cygnet::quantize(classifier.model(), data.as_deref(), &how, &mut |_| ());
        let made = given_up_on_interrupt(py, work)?;
        let made = made.map_err(told)?;
        let report = plain(py, &made.report)?;
        Ok((Model::of(py, Converted { model: made.model, notes: made.notes })?, report))
    }

    /// Writes a model file, which `load` and every command take. A file that is there is kept unless `overwrite=True`; it is
    /// replaced as a whole or not at all.
    #[pyo3(signature = (path, *, overwrite=false))]
    fn save(&self, py: Python<'_>, path: PathBuf, overwrite: bool) -> PyResult<()> {
        if path.extension().is_none_or(|ending| ending != "safetensors") {
            let path = path.display();
            return Err(PyValueError::new_err(format!("{path}: a model file's name ends in .safetensors")));
        }
        if !overwrite && path.exists() {
            let path = path.display();
            return Err(PyFileExistsError::new_err(format!(
                "{path}: exists already; overwrite=True replaces it"
            )));
        }
        let model = self.model();
        py.detach(|| if overwrite { model.write(&path) } else { model.write_new(&path) }).map_err(told)
    }

    /// The network's id, as in `cygnet.list()`.
    #[getter]
    fn id(&self) -> &str {
        &self.model().id
    }

    /// The names of the classes; empty if unknown.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.model().labels.clone()
    }

    /// Number of parameters.
    #[getter]
    fn params(&self) -> u64 {
        self.model().graph.cost().params
    }

    /// Multiply-accumulates an image.
    #[getter]
    fn macs(&self) -> u64 {
        self.model().graph.cost().macs
    }

    /// `[channels, height, width]` of an image.
    #[getter]
    fn input_shape(&self) -> [usize; 3] {
        self.model().graph.input_shape()
    }

    /// What its layers compute with: `fp32`, `bf16` or `int8`.
    #[getter]
    fn precision(&self) -> &'static str {
        self.model().precision().unwrap_or("fp32")
    }

    /// What else the model file says: a dict with preprocess, licence, source, accuracy, recipe, training, written_by.
    #[getter]
    fn record<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let model = self.model();
        let record = serde_json::json!({
            "preprocess": model.preprocess, "licence": model.licence, "source": model.source,
            "accuracy": model.accuracy, "recipe": model.recipe, "training": model.training,
            "written_by": model.written_by,
        });
        plain(py, &record)
    }

    fn __repr__(&self) -> String {
        let (model, cost) = (self.model(), self.model().graph.cost());
        let [_, height, width] = model.graph.input_shape();
        let millions = |count: u64| match count {
            ..1_000_000 => format!("{} k", count / 1000),
            _ => format!("{:.1} M", count as f64 / 1e6),
        };
        let (params, macs) = (millions(cost.params), millions(cost.macs));
        let (classes, precision) = (model.graph.classes(), self.precision());
        format!(
            "Model({}: {classes} classes, {height}x{width}, {params} params, {macs} MACs, {precision})",
            model.id
        )
    }
}
