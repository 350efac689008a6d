//! Errors and plain data for Python.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyFileNotFoundError};
use pyo3::prelude::*;
use serde::Serialize;

create_exception!(
    cygnet,
    CygnetError,
    PyException,
    "What went wrong, in the words of the command line: the file, layer or setting first, then what to do."
);

/// An error of Cygnet's: a file that is not there as Python tells it, all else as [`CygnetError`].
pub(crate) fn told(error: cygnet::Error) -> PyErr {
    let text = cygnet::told(&error);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound) {
            return PyFileNotFoundError::new_err(text);
        }
        cause = error.source();
    }
    CygnetError::new_err(text)
}

/// Plain data as Python's dicts, lists, strings and numbers.
pub(crate) fn plain<'py>(py: Python<'py>, data: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    pythonize::pythonize(py, data).map_err(|error| CygnetError::new_err(error.to_string()))
}
