//! What the functions and classes that a pickle names mean: those of tensors are known, objects of other classes are
//! plain data, and whatever else would be called is refused.

use super::{Id, Node, Storage, View, machine::Machine};
use crate::{Dtype, WeightsError};

/// A function or class that a pickle names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Global {
    Dict,
    RebuildTensor,
    RebuildParameter,
    RebuildFromType,
    Storage(Dtype),
    Size,
    NumpyReconstruct,
    NumpyArray,
    NumpyFromBuffer,
    NumpyDtype,
    Encode,
    /// A class whose values hold no tensors, or a function that makes such values: a device, a counter, a NumPy
    /// scalar.
    Data,
    /// Anything else, by its place in the list of foreign names.
    Foreign(usize),
}

/// Modules of Python that run code, open files or connections: a checkpoint never names what is in them.
const RUN_CODE: [&str; 56] = [
    "__builtin__",
    "_ctypes",
    "_operator",
    "_pickle",
    "_posixsubprocess",
    "_thread",
    "asyncio",
    "bdb",
    "builtins",
    "cPickle",
    "cProfile",
    "cffi",
    "code",
    "codeop",
    "commands",
    "concurrent",
    "ctypes",
    "dill",
    "distutils",
    "doctest",
    "ensurepip",
    "fileinput",
    "ftplib",
    "gc",
    "http",
    "imp",
    "importlib",
    "inspect",
    "io",
    "joblib",
    "linecache",
    "marshal",
    "multiprocessing",
    "nt",
    "operator",
    "os",
    "pdb",
    "pickle",
    "pip",
    "pkgutil",
    "platform",
    "popen2",
    "posix",
    "profile",
    "pty",
    "runpy",
    "setuptools",
    "shutil",
    "smtplib",
    "socket",
    "subprocess",
    "sys",
    "threading",
    "timeit",
    "urllib",
    "webbrowser",
];
/// Modules that networks are made of.
const NETWORKS: [&str; 5] = ["torch.nn", "torch.fx", "torch.jit", "torchvision.models", "__torch__"];

impl Global {
    fn known(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Global::Dict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Global::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            ("torch" | "torch.cuda", storage) if storage.ends_with("Storage") => {
                Global::Storage(match storage.strip_suffix("Storage")? {
                    "Float" => Dtype::F32,
                    "Double" => Dtype::F64,
                    "Half" => Dtype::F16,
                    "BFloat16" => Dtype::BF16,
                    "Long" => Dtype::I64,
                    "Int" => Dtype::I32,
                    "Short" => Dtype::I16,
                    "Char" => Dtype::I8,
                    "Byte" => Dtype::U8,
                    "Bool" => Dtype::Bool,
                    _ => return None,
                })
            }
            ("torch", "Size") => Global::Size,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::NumpyReconstruct,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Global::NumpyFromBuffer,
            ("numpy", "ndarray") => Global::NumpyArray,
            ("numpy", "dtype") => Global::NumpyDtype,
            ("_codecs", "encode") => Global::Encode,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
            | ("collections", "deque")
            | (
                "builtins" | "__builtin__",
                "set" | "frozenset" | "list" | "dict" | "tuple" | "int" | "float" | "str" | "bool" | "bytes"
                | "bytearray" | "long" | "unicode" | "complex" | "object" | "slice" | "range",
            )
            | ("copyreg" | "copy_reg", "_reconstructor")
            | ("datetime", "date" | "datetime" | "time" | "timedelta" | "timezone")
            | ("functools", "partial")
            | ("torch", "device")
            | ("torch.serialization", "_get_layout") => Global::Data,
            ("torch", name) if is_torch_constant(name) => Global::Data,
            (module, name) if module.starts_with("numpy.random") && name.ends_with("_ctor") => Global::Data,
            _ => return None,
        })
    }
}

/// The element types and memory formats of PyTorch.
fn is_torch_constant(name: &str) -> bool {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    matches!(
        letters,
        "float" | "bfloat" | "int" | "uint" | "complex" | "qint" | "quint" | "bool" | "half" | "long"
    ) || matches!(name, "strided" | "contiguous_format" | "channels_last" | "preserve_format" | "sparse_coo")
}

/// Whether the name is that of a NumPy class in small letters.
fn is_numpy_scalar(name: &str) -> bool {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    matches!(
        letters,
        "float" | "int" | "uint" | "complex" | "bool" | "str" | "bytes" | "object" | "longlong" | "intc"
    )
}

/// Whether the name is, by Python's convention, that of a class.
fn is_class(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.trim_start_matches('_').starts_with(|first: char| first.is_ascii_uppercase())
}

impl Machine<'_> {
    pub(super) fn global(&mut self, module: &str, name: &str) -> Result<(), WeightsError> {
        let shortened = |text: &str| text.chars().take(80).collect::<String>();
        let full = || format!("{}.{}", shortened(module), shortened(name));
        let within = |root: &str| {
            module.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let global = match Global::known(module, name) {
            Some(global) => global,
            None if NETWORKS.into_iter().any(within) => {
                self.pickle.module.get_or_insert_with(full);
                self.foreign(full())?
            }
            None if matches!((module, name), ("builtins" | "__builtin__", "getattr")) => {
                self.foreign(full())?
            }
            None if module == "torch._utils" && name.starts_with("_rebuild") => self.foreign(full())?,
            None if RUN_CODE.into_iter().any(within)
                || (["torch", "numpy"].into_iter().any(within)
                    && !is_class(name)
                    && !is_numpy_scalar(name))
                || (module == "torch" && name.ends_with("Storage")) =>
            {
                return Err(WeightsError::RefusedGlobal { global: full() });
            }
            None => self.foreign(full())?,
        };
        self.make(Node::Global(global))
    }

    fn foreign(&mut self, name: String) -> Result<Global, WeightsError> {
        self.charge(size_of::<String>() + name.len())?;
        self.foreign.push(name);
        Ok(Global::Foreign(self.foreign.len() - 1))
    }

    /// Makes an object of a class, as `class.__new__` does.
    pub(super) fn create(&mut self, class: Id, arguments: Id) -> Result<(), WeightsError> {
        match self.pickle.nodes[class] {
            Node::Global(Global::Dict | Global::Data) => self.call(class, arguments),
            Node::Global(Global::Foreign(_)) => self.make(Node::Object(Vec::new())),
            _ => self.fail("something that is not a class is to make an object"),
        }
    }

    /// Whether the call of a function names a member of an enumeration, as `getattr(Colour, "RED")` does.
    fn is_member(&self, function: &str, arguments: &[Id]) -> bool {
        let &[class, name] = arguments else { return false };
        function.ends_with(".getattr")
            && matches!(self.pickle.nodes[class], Node::Global(Global::Foreign(class)) if is_class(&self.foreign[class]))
            && self.pickle.text(name).is_some_and(|name| !name.starts_with('_'))
    }

    /// Gives a call of `function` the meaning it has for data.
    pub(super) fn call(&mut self, function: Id, arguments: Id) -> Result<(), WeightsError> {
        let Node::Global(function) = self.pickle.nodes[function] else {
            return self.fail("a call of something that is not a function");
        };
        let Node::Tuple(arguments) = &self.pickle.nodes[arguments] else {
            return self.fail("a call without arguments");
        };
        let node = match (function, &arguments[..]) {
            (Global::Data, _) => Some(Node::Object(Vec::new())),
            (Global::Foreign(name), _) => {
                let name = &self.foreign[name];
                if name.starts_with("torch._utils._rebuild") {
                    return self
                        .fail("a sparse, quantised or otherwise unusual tensor, which cygnet does not read");
                }
                if !is_class(name) && !self.is_member(name, arguments) {
                    return Err(WeightsError::RefusedGlobal { global: name.clone() });
                }
                Some(Node::Object(Vec::new()))
            }
            (Global::Dict, []) => Some(Node::Dict(Vec::new())),
            // What a default is made with is no content.
            (Global::Dict, &[class]) if matches!(self.pickle.nodes[class], Node::Global(_) | Node::None) => {
                Some(Node::Dict(Vec::new()))
            }
            (Global::Dict, &[pairs]) => return self.dict_of(pairs),
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                self.tensor(storage, offset, shape, strides)
            }
            (Global::RebuildParameter, &[tensor, ..]) => return self.push(tensor),
            (Global::RebuildFromType, &[function, _, arguments, ..])
                if !matches!(self.pickle.nodes[function], Node::Global(Global::RebuildFromType)) =>
            {
                return self.call(function, arguments);
            }
            (Global::Size, &[sizes]) => return self.push(sizes),
            (Global::NumpyReconstruct, &[class, ..]) => {
                let array = matches!(self.pickle.nodes[class], Node::Global(Global::NumpyArray));
                array.then_some(Node::EmptyArray)
            }
            (Global::NumpyFromBuffer, &[data, dtype, shape, order]) => {
                self.array_of(data, dtype, shape, self.pickle.text(order) == Some("F"))
            }
            (Global::NumpyDtype, &[code, ..]) => self.pickle.text(code).and_then(numpy_dtype),
            (Global::Encode, &[text, ..]) => return self.encode(text),
            _ => None,
        };
        match node {
            Some(node) => self.make(node),
            None => self.fail("a tensor, dict or array with unknown arguments"),
        }
    }

    fn dict_of(&mut self, pairs: Id) -> Result<(), WeightsError> {
        let pairs = match &self.pickle.nodes[pairs] {
            Node::Dict(pairs) => Some(pairs.clone()),
            Node::List(items) | Node::Tuple(items) => items
                .iter()
                .map(|&item| match self.pickle.items(item) {
                    Some(&[key, value]) => Some((key, value)),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let Some(pairs) = pairs else { return self.fail("a dict of something else than pairs") };
        self.copy(pairs.len())?;
        self.make(Node::Dict(pairs))
    }

    fn encode(&mut self, text: Id) -> Result<(), WeightsError> {
        let Some(text) = self.pickle.text(text) else {
            return self.fail("an encoding of something else than text");
        };
        self.copy(text.len())?;
        match text.chars().map(|character| u8::try_from(character).ok()).collect() {
            Some(bytes) => self.make(Node::Decoded(bytes)),
            None => self.fail("text that is not latin-1"),
        }
    }

    fn tensor(&self, storage: Id, offset: Id, shape: Id, strides: Id) -> Option<Node> {
        let Node::Storage(Storage { dtype, .. }) = self.pickle.nodes[storage] else { return None };
        let (shape, strides) = (self.pickle.sizes(shape)?, self.pickle.sizes(strides)?);
        let offset = self.pickle.index(offset)?;
        (shape.len() == strides.len())
            .then(|| Node::View(Box::new(View { storage, dtype, offset, shape, strides })))
    }

    fn array_of(&self, data: Id, dtype: Id, shape: Id, column_major: bool) -> Option<Node> {
        let Node::NumpyDtype(dtype) = self.pickle.nodes[dtype] else { return None };
        let Some(dtype) = dtype else { return Some(Node::Object(Vec::new())) };
        if !matches!(self.pickle.nodes[data], Node::Bytes(_) | Node::Decoded(_)) {
            return None;
        }
        let shape = self.pickle.sizes(shape)?;
        let mut strides = vec![0; shape.len()];
        let mut stride = 1usize;
        for axis in 0..shape.len() {
            let axis = if column_major { axis } else { shape.len() - 1 - axis };
            strides[axis] = stride;
            stride = stride.checked_mul(shape[axis].max(1))?;
        }
        Some(Node::View(Box::new(View { storage: data, dtype, offset: 0, shape, strides })))
    }

    /// Gives the state of `BUILD` to the value on top of the stack.
    pub(super) fn build(&mut self, state: Id) -> Result<(), WeightsError> {
        let top = self.top()?;
        let items = self.pickle.items(state);
        let node = match (&self.pickle.nodes[top], items) {
            (Node::EmptyArray, Some(&[_, shape, dtype, column_major, data])) => {
                let column_major = matches!(self.pickle.nodes[column_major], Node::Bool(true));
                match self.array_of(data, dtype, shape, column_major) {
                    Some(node) => node,
                    None => return self.fail("an array with unknown state"),
                }
            }
            (Node::EmptyArray, _) => return self.fail("an array with unknown state"),
            (Node::NumpyDtype(Some(dtype)), Some(&[_, order, ..])) => match self.pickle.text(order) {
                Some("<" | "|" | "=") => Node::NumpyDtype(Some(*dtype)),
                _ => return self.fail("a big-endian array"),
            },
            // Attributes, or a pair of them and of slots.
            (Node::Object(_), items) => {
                let parts = items.unwrap_or(std::slice::from_ref(&state)).iter();
                let entries: Vec<_> =
                    parts.filter_map(|&part| self.pickle.entries(part)).take(2).flatten().copied().collect();
                self.copy(entries.len())?;
                self.charge(size_of_val(&entries[..]))?;
                Node::Object(entries)
            }
            (Node::Dict(_) | Node::List(_) | Node::Tuple(_) | Node::View(_) | Node::NumpyDtype(_), _) => {
                return Ok(());
            }
            _ => return self.fail("state for something that has none"),
        };
        self.pickle.nodes[top] = node;
        Ok(())
    }

    /// The storage named by `("storage", class, key, device, count[, (key, offset, count)])`.
    pub(super) fn storage(&mut self, id: Id) -> Result<(), WeightsError> {
        let storage = match self.pickle.items(id) {
            Some(&[tag, class, key, _, count, ref part @ ..]) if self.pickle.text(tag) == Some("storage") => {
                self.storage_of(class, key, count, part)
            }
            _ => None,
        };
        match storage {
            Some(storage) => self.make(Node::Storage(storage)),
            None => self.fail("a reference to something else than a tensor's storage"),
        }
    }

    fn storage_of(&self, class: Id, key: Id, count: Id, part: &[Id]) -> Option<Storage> {
        let Node::Global(Global::Storage(dtype)) = self.pickle.nodes[class] else { return None };
        self.pickle.text(key)?;
        let part = match part.first().map(|&part| (&self.pickle.nodes[part], self.pickle.items(part))) {
            None | Some((Node::None, _)) => None,
            Some((_, Some(&[_, offset, count]))) => {
                Some((self.pickle.index(offset)?, self.pickle.index(count)?))
            }
            Some(_) => return None,
        };
        Some(Storage { dtype, key, count: self.pickle.index(count)?, part })
    }
}

/// The type named by a code such as `f4`; none inside for text and objects, none for numbers Cygnet has not.
fn numpy_dtype(code: &str) -> Option<Node> {
    Some(Node::NumpyDtype(Some(match code.trim_start_matches(['<', '|', '=']) {
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "f2" => Dtype::F16,
        "i8" => Dtype::I64,
        "i4" => Dtype::I32,
        "i2" => Dtype::I16,
        "i1" => Dtype::I8,
        "u1" => Dtype::U8,
        "b1" => Dtype::Bool,
        _ => return Some(Node::NumpyDtype(None)),
    })))
}
