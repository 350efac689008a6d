//! What Python calls a photo.

use std::path::PathBuf;

use cygnet::Photo;
use cygnet::image::{DecodeLimits, Image};
use numpy::{Element, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PyString, PyTuple};

/// One photo, or several.
pub(crate) enum Photos {
    One(Photo),
    Many(Vec<Photo>),
}

impl Photos {
    /// Of a photo, or a list or tuple of photos.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Photos> {
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return Ok(Photos::Many(object.try_iter()?.map(|photo| one(&photo?)).collect::<PyResult<_>>()?));
        }
        Ok(Photos::One(one(object)?))
    }
}

/// A path, an address, bytes, a picture of Pillow's, an array of pixels, or what is read as a file is.
pub(crate) fn one(object: &Bound<'_, PyAny>) -> PyResult<Photo> {
    if object.is_instance_of::<PyString>() || object.hasattr("__fspath__")? {
        return Ok(Photo::File(object.extract::<PathBuf>()?));
    }
    if let Ok(bytes) = object.extract::<PyBackedBytes>() {
        return Ok(Photo::Bytes(bytes.to_vec()));
    }
    if object.is_instance_of::<PyMemoryView>() {
        let bytes = object.call_method0("tobytes")?;
        return Ok(Photo::Bytes(bytes.cast::<PyBytes>()?.as_bytes().to_vec()));
    }
    if object.hasattr("mode")? && object.hasattr("tobytes")? && object.hasattr("convert")? {
        return of_pillow(object).map(Photo::Image);
    }
    if object.hasattr("dtype")? && object.hasattr("shape")? {
        return of_array(object).map(Photo::Image);
    }
    if object.hasattr("read")? {
        let read = object.call_method0("read")?;
        return match read.extract::<PyBackedBytes>() {
            Ok(bytes) => Ok(Photo::Bytes(bytes.to_vec())),
            Err(_) if read.is_instance_of::<PyString>() => {
                Err(PyTypeError::new_err("the file gives text; open it with mode \"rb\""))
            }
            Err(_) => {
                let what = read.get_type();
                Err(PyTypeError::new_err(format!("the file gives {}, not bytes", what.name()?)))
            }
        };
    }
    Err(PyTypeError::new_err(format!(
        "a photo is a path, an address, the bytes of an image file, an open file, a picture of Pillow's, or a uint8 array \
         of [height, width, 3] pixels; not {}",
        object.get_type().name()?
    )))
}

/// A picture of Pillow's, as it is: whoever opened it turns it upright.
fn of_pillow(picture: &Bound<'_, PyAny>) -> PyResult<Image> {
    let mode: String = picture.getattr("mode")?.extract()?;
    if mode.starts_with('I') || mode.starts_with('F') {
        return Err(PyValueError::new_err(format!(
            "a picture of mode {mode} has no 8-bit colours; bring its range to 0..255 and convert it to RGB, or give the \
             file itself"
        )));
    }
    let rgb = if mode == "RGB" { picture.clone() } else { picture.call_method1("convert", ("RGB",))? };
    let (width, height): (usize, usize) = rgb.getattr("size")?.extract()?;
    let bytes = rgb.call_method0("tobytes")?;
    image(width, height, bytes.cast::<PyBytes>()?.as_bytes().to_vec())
}

/// An array of pixels: `[height, width, 3]` RGB, or grey without or with one channel.
fn of_array(object: &Bound<'_, PyAny>) -> PyResult<Image> {
    let Ok(array) = object.cast::<PyArrayDyn<u8>>() else {
        let what = match object.cast::<PyUntypedArray>() {
            Ok(_) => object.getattr("dtype")?.to_string(),
            Err(_) => format!("a single {}", object.get_type().name()?),
        };
        let advice = if what.starts_with("float") {
            "; of values from 0 to 1: (255 * x).round().astype(\"uint8\")"
        } else {
            ""
        };
        return Err(PyTypeError::new_err(format!("pixels are a numpy array of uint8, not {what}{advice}")));
    };
    let shape = array.shape().to_vec();
    let pixels = shape.iter().take(2).fold(1usize, |pixels, &side| pixels.saturating_mul(side));
    let most = DecodeLimits::default().max_pixels;
    match shape[..] {
        [height, width] | [height, width, 1 | 3 | 4] if height == 0 || width == 0 => {
            return Err(PyValueError::new_err(format!("pixels of shape {shape:?} are no picture")));
        }
        [_, _, 4] => {
            return Err(PyValueError::new_err("the array has an alpha channel; leave it out: x[..., :3]"));
        }
        [_, _] | [_, _, 1 | 3] if pixels <= most => {}
        [_, _] | [_, _, 1 | 3] => {
            return Err(PyValueError::new_err(format!("pixels of shape {shape:?} are more than {most}")));
        }
        [3, _, _] => {
            return Err(PyValueError::new_err(format!(
                "pixels lie as [height, width, 3], not {shape:?}; turn them: x.transpose(1, 2, 0)"
            )));
        }
        _ => return Err(PyValueError::new_err(format!("pixels lie as [height, width, 3], not {shape:?}"))),
    }
    let pixels = in_order(array)?.readonly().as_slice()?.to_vec();
    let pixels =
        if shape.get(2) == Some(&3) { pixels } else { pixels.iter().flat_map(|&grey| [grey; 3]).collect() };
    image(shape[1], shape[0], pixels)
}

/// The array, or a copy of it where it does not lie row after row at an address that its numbers may have.
pub(crate) fn in_order<'py, T: Element>(
    array: &Bound<'py, PyArrayDyn<T>>,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let is_aligned: bool = array.getattr("flags")?.getattr("aligned")?.extract()?;
    if is_aligned && array.is_c_contiguous() {
        return Ok(array.clone());
    }
    Ok(array.call_method0("copy")?.cast_into()?)
}

fn image(width: usize, height: usize, pixels: Vec<u8>) -> PyResult<Image> {
    Image::from_rgb(width, height, pixels).map_err(|error| PyValueError::new_err(cygnet::told(&error)))
}
