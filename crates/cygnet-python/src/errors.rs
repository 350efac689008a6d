//! Errors and plain data for Python.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyFileNotFoundError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use serde::Serialize;

create_exception!(
    cygnet,
    CygnetError,
    PyException,
    "What went wrong, in the words of the command line: the file, layer or setting first, then what to do."
);

/// What the command calls by options and commands is called by arguments and functions here.
const CALLED: [(&str, &str); 10] = [
    ("`cygnet list`", "cygnet.list()"),
    ("--overwrite", "overwrite=True"),
    ("--resume", "resume=True"),
    ("--out", "out="),
    ("--network", "network="),
    ("--weights-key", "weights_key="),
    ("--labels", "labels="),
    ("--from", "start="),
    ("--epochs", "epochs="),
    ("--quantize int8", "int8=True"),
];

/// An error of Cygnet's: a file that is not there as Python tells it, all else as [`CygnetError`].
pub(crate) fn told(error: cygnet::Error) -> PyErr {
    let text = cygnet::told(&error);
    let text = CALLED.iter().fold(text, |text, (option, here)| text.replace(option, here));
    if text.contains("no such file or folder") {
        return PyFileNotFoundError::new_err(text);
    }
    CygnetError::new_err(text)
}

/// How often a wait looks whether Ctrl-C was pressed.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// Does `work` on a thread of its own while other threads of Python run, and gives it up when Ctrl-C is pressed: it ends by
/// itself, and nobody hears of it.
pub(crate) fn given_up_on_interrupt<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (sender, made) = channel();
    std::thread::spawn(move || _ = sender.send(work()));
    // What is received once needs no other thread.
    let made = std::sync::Mutex::new(made);
    loop {
        let waited = py.detach(|| match made.lock() {
            Ok(made) => made.recv_timeout(LOOK),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        });
        match waited {
            Ok(made) => return Ok(made),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CygnetError::new_err("the work ended without a result"));
            }
        }
    }
}

/// A number of things; below zero and beyond all sizes it is a wrong value.
pub(crate) struct Count(pub(crate) usize);

impl<'py> FromPyObject<'_, 'py> for Count {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Count> {
        object.extract::<usize>().map(Count).map_err(|error: PyErr| {
            if error.is_instance_of::<PyOverflowError>(object.py()) {
                return PyValueError::new_err(format!(
                    "{} is no number of things that there can be",
                    &*object
                ));
            }
            error
        })
    }
}

/// Plain data as Python's dicts, lists, strings and numbers.
pub(crate) fn plain<'py>(py: Python<'py>, data: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    pythonize::pythonize(py, data).map_err(|error| CygnetError::new_err(error.to_string()))
}
