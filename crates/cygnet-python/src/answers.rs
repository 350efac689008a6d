//! Answers, one at a time or as they come.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use cygnet::image::collect_readable;
use cygnet::{Classifier, Error, Photo};
use pyo3::prelude::*;

use crate::errors::{Count, CygnetError, LOOK, told};
use crate::model::threads_of;

/// Answers that wait to be taken.
const WAITING: usize = 64;
/// A class with its probability: `label`, its name; `index`, its number; `probability`, 0 to 1.
#[pyclass(frozen, module = "cygnet", get_all)]
pub(crate) struct Guess {
    index: usize,
    label: String,
    probability: f32,
}

#[pymethods]
impl Guess {
    #[new]
    fn new(index: usize, label: String, probability: f32) -> Guess {
        Guess { index, label, probability }
    }

    fn __getnewargs__(&self) -> (usize, String, f32) {
        (self.index, self.label.clone(), self.probability)
    }

    fn __repr__(&self) -> String {
        format!("Guess({:?}, {:.1} %)", self.label, 100.0 * self.probability)
    }

    fn __hash__(&self) -> u64 {
        self.index as u64 ^ u64::from(self.probability.to_bits()) << 32
    }

    fn __eq__(&self, other: &Guess) -> bool {
        (self.index, &self.label, self.probability) == (other.index, &other.label, other.probability)
    }
}

/// The guesses of an answer, the best first.
pub(crate) fn guesses(answer: cygnet::Answer) -> Vec<Guess> {
    let guess =
        |cygnet::Guess { index, label, probability }: cygnet::Guess| Guess { index, label, probability };
    answer.top.into_iter().map(guess).collect()
}

/// The answer for one of several files: `path`; `guesses`, the likeliest classes, the best first; `error`, None or why the file
/// could not be read.
#[pyclass(frozen, module = "cygnet", get_all)]
pub(crate) struct Answer {
    path: PathBuf,
    guesses: Vec<Py<Guess>>,
    error: Option<String>,
}

#[pymethods]
impl Answer {
    fn __repr__(&self, py: Python<'_>) -> String {
        let path = self.path.display();
        match (&self.error, self.guesses.first()) {
            (Some(error), _) => format!("Answer({path}: {error})"),
            (None, Some(guess)) => format!("Answer({path}: {})", guess.borrow(py).__repr__()),
            (None, None) => format!("Answer({path})"),
        }
    }
}

/// What came of a file.
type Found = (PathBuf, Result<cygnet::Answer, Error>);

/// An iterator over answers, which are made in the background.
#[pyclass(module = "cygnet")]
pub(crate) struct Answers {
    found: Mutex<Receiver<Found>>,
    /// The process that it is of: a forked one has no thread that makes answers.
    process: u32,
    #[pyo3(get)]
    total: usize,
}

impl Answers {
    /// Begins with the pictures of files, folders and patterns.
    pub(crate) fn begin(
        classifier: Arc<Classifier>,
        places: &[PathBuf],
        top: usize,
        threads: Option<Count>,
    ) -> PyResult<Answers> {
        let threads = threads_of(threads)?;
        let (mut photos, mut unreadable) = (Vec::new(), Vec::new());
        for place in places {
            let collected =
                collect_readable(place, classifier.limits()).map_err(|error| told(error.into()))?;
            photos.extend(collected.images);
            unreadable.extend(collected.unreadable.into_iter().map(|problem| (place.clone(), problem)));
        }
        let (sender, found) = sync_channel(WAITING);
        let total = photos.len() + unreadable.len();
        std::thread::spawn(move || {
            let send = |found: Found| sender.send(found).map_err(|_| ());
            let unreadable = unreadable.into_iter();
            let mut told = unreadable.map(|(place, problem)| (place, Err(problem.into())));
            // Whoever does not listen any more ends it.
            _ = told.try_for_each(send).and_then(|()| {
                let work = |path: &PathBuf| classifier.classify_photo(&Photo::File(path.clone()), top);
                classifier.for_each(&photos, threads, work, |path, answer| send((path.clone(), answer)))
            });
        });
        Ok(Answers { found: Mutex::new(found), process: std::process::id(), total })
    }
}

#[pymethods]
impl Answers {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __len__(&self) -> usize {
        self.total
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Answer>> {
        if self.process != std::process::id() {
            return Err(CygnetError::new_err("the iterator was begun in another process; begin one in this"));
        }
        py.check_signals()?;
        loop {
            let next =
                py.detach(|| self.found.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK));
            match next {
                Ok((path, Ok(answer))) => {
                    let guesses = guesses(answer)
                        .into_iter()
                        .map(|guess| Py::new(py, guess))
                        .collect::<PyResult<_>>()?;
                    return Ok(Some(Answer { path, guesses, error: None }));
                }
                Ok((path, Err(error))) => {
                    let error = Some(cygnet::told(&error));
                    return Ok(Some(Answer { path, guesses: Vec::new(), error }));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            }
        }
    }
}
