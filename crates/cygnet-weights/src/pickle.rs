//! Python pickles read as data: a stack machine over the instructions that tensor files use.
//!
//! Nothing is ever imported, called or built: the few functions and classes that tensors need are a closed
//! list ([`Global`]) with a meaning given here, and any other name or instruction refuses the file. Values live
//! in an arena and refer to each other by index, so a value may contain itself. Time and memory are
//! bounded by the length of the pickle: every instruction makes at most one node, and copies are counted.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a pickle may hold any value where one kind is wanted, and all others are refused alike"
)]

use std::{collections::HashMap, ops::Range};

use crate::{Dtype, WeightsError};

/// Most nodes, stack entries or memo entries of a pickle; checkpoints have some thousands.
const LIMIT: usize = 1 << 21;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 16;

/// Index of a value in [`Pickle::nodes`].
pub(crate) type Id = usize;

const NONE: Id = 0;
const FALSE: Id = 1;
const TRUE: Id = 2;
const EMPTY_TUPLE: Id = 3;

/// A value. Bytes and text point into the pickle.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Range<usize>),
    Bytes(Range<usize>),
    /// Bytes that the pickle stores as text, one character a byte.
    Decoded(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    View(View),
    /// A NumPy array before its state has arrived.
    EmptyArray,
    /// A NumPy element type; none if it is not a number's.
    NumpyDtype(Option<Dtype>),
    /// Something harmless that holds no tensor.
    Inert,
}

/// A PyTorch storage outside the pickle.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) dtype: Dtype,
    /// Text node: the name of its bytes.
    pub(crate) key: Id,
    /// Elements of the whole storage.
    pub(crate) count: usize,
    /// First element and number of elements of the part that is meant.
    pub(crate) part: Option<(usize, usize)>,
}

/// A tensor over a [`Node::Storage`], [`Node::Bytes`] or [`Node::Decoded`], with strides in elements.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) storage: Id,
    pub(crate) dtype: Dtype,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// The functions and classes a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
    Size,
    NumpyReconstruct,
    NumpyArray,
    NumpyFromBuffer,
    NumpyDtype,
    Encode,
    /// A class whose values hold no tensors: a device, a counter, a NumPy scalar.
    Inert,
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Global::RebuildParameter
            }
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
            | ("collections", "Counter")
            | ("builtins" | "__builtin__", "set")
            | ("torch", "device" | "float32" | "float64" | "float16" | "bfloat16" | "int64") => Global::Inert,
            _ => return None,
        })
    }
}

/// A loaded pickle.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    bytes: &'a [u8],
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Id,
    /// Bytes up to and including the last instruction.
    pub(crate) end: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    pub(crate) fn load(bytes: &'a [u8]) -> Result<Pickle<'a>, WeightsError> {
        let nodes = vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Tuple(Vec::new())];
        let pickle = Pickle { bytes, nodes, root: NONE, end: 0 };
        Machine {
            pickle,
            at: 0,
            start: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copies: bytes.len(),
        }
        .run()
    }

    pub(crate) fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    /// The text of a text node, or of a Python 2 string.
    pub(crate) fn text(&self, id: Id) -> Option<&'a str> {
        match &self.nodes[id] {
            Node::Text(range) | Node::Bytes(range) => str::from_utf8(&self.bytes[range.clone()]).ok(),
            _ => None,
        }
    }

    fn index(&self, id: Id) -> Option<usize> {
        match self.nodes[id] {
            Node::Int(value) => value.try_into().ok(),
            _ => None,
        }
    }

    fn items(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let items = self.items(id).filter(|items| items.len() <= MAX_RANK)?;
        items.iter().map(|&item| self.index(item)).collect()
    }
}

struct Machine<'a> {
    pickle: Pickle<'a>,
    /// Next byte.
    at: usize,
    /// First byte of the current instruction.
    start: usize,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Elements that may still be copied.
    copies: usize,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Pickle<'a>, WeightsError> {
        loop {
            self.start = self.at;
            let [opcode] = self.array()?;
            match opcode {
                0x80 => {
                    if self.array()? > [5] {
                        return self.fail("a pickle protocol newer than 5");
                    }
                }
                0x95 => {
                    self.array::<8>()?;
                }
                b'.' => {
                    self.pickle.root = self.pop()?;
                    self.pickle.end = self.at;
                    return Ok(self.pickle);
                }

                b'N' => self.push(NONE)?,
                0x88 => self.push(TRUE)?,
                0x89 => self.push(FALSE)?,
                b')' => self.push(EMPTY_TUPLE)?,
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.make(Node::Int(value.into()))?;
                }
                b'K' => {
                    let [value] = self.array()?;
                    self.make(Node::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.make(Node::Int(value.into()))?;
                }
                0x8a => {
                    let [length] = self.array()?;
                    self.long(length.into())?;
                }
                0x8b => {
                    let length = self.length::<4>()?;
                    self.long(length)?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.array()?);
                    self.make(Node::Float(value))?;
                }

                b'X' => self.text_of::<4>()?,
                0x8c => self.text_of::<1>()?,
                0x8d => self.text_of::<8>()?,
                b'U' | b'C' => self.bytes_of::<1>()?,
                b'T' | b'B' => self.bytes_of::<4>()?,
                0x8e | 0x96 => self.bytes_of::<8>()?,

                b'(' => {
                    if self.marks.len() >= LIMIT {
                        return self.fail("too many marks");
                    }
                    self.marks.push(self.stack.len());
                }
                b'0' => {
                    self.pop()?;
                }
                b'1' => {
                    self.pop_mark()?;
                }
                b'2' => {
                    let top = self.top()?;
                    self.push(top)?;
                }

                b']' => self.make(Node::List(Vec::new()))?,
                b'}' => self.make(Node::Dict(Vec::new()))?,
                0x8f => self.make(Node::List(Vec::new()))?,
                b't' => {
                    let items = self.pop_mark()?;
                    self.make(Node::Tuple(items))?;
                }
                b'l' | 0x91 => {
                    let items = self.pop_mark()?;
                    self.make(Node::List(items))?;
                }
                b'd' => {
                    let items = self.pop_mark()?;
                    self.make(Node::Dict(Vec::new()))?;
                    self.set_items(&items)?;
                }
                0x85..=0x87 => {
                    let mut items = Vec::new();
                    for _ in 0x85..=opcode {
                        items.push(self.pop()?);
                    }
                    items.reverse();
                    self.make(Node::Tuple(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.append(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.set_items(&items)?;
                }

                b'h' => {
                    let [index] = self.array()?;
                    self.get(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.get(index)?;
                }
                b'q' => {
                    let [index] = self.array()?;
                    self.put(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.put(index)?;
                }
                0x94 => self.put(self.memo.len() as u32)?,

                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (self.pickle.text(module), self.pickle.text(name)) {
                        (Some(module), Some(name)) => self.global(module, name)?,
                        _ => return self.fail("a global's name is not text"),
                    }
                }
                b'R' => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    self.call(function, arguments)?;
                }
                0x81 => {
                    let (arguments, class) = (self.pop()?, self.pop()?);
                    match self.pickle.nodes[class] {
                        Node::Global(Global::OrderedDict | Global::Inert) => self.call(class, arguments)?,
                        _ => return self.fail("only an OrderedDict may be made this way"),
                    }
                }
                b'b' => {
                    let state = self.pop()?;
                    self.build(state)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.storage(id)?;
                }
                _ => return Err(self.refused(opcode)),
            }
        }
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, WeightsError> {
        Err(WeightsError::Pickle { position: self.start, reason })
    }

    fn refused(&self, opcode: u8) -> WeightsError {
        let opcode = match opcode {
            b'i' => "INST",
            b'o' => "OBJ",
            b'P' => "PERSID",
            b'I' => "INT",
            b'L' => "LONG",
            b'F' => "FLOAT",
            b'S' => "STRING",
            b'V' => "UNICODE",
            b'g' => "GET",
            b'p' => "PUT",
            0x82 => "EXT1",
            0x83 => "EXT2",
            0x84 => "EXT4",
            0x92 => "NEWOBJ_EX",
            0x97 => "NEXT_BUFFER",
            0x98 => "READONLY_BUFFER",
            _ => return WeightsError::Pickle { position: self.start, reason: "not an instruction" },
        };
        WeightsError::RefusedOpcode { opcode, position: self.start }
    }

    fn take(&mut self, length: usize) -> Result<Range<usize>, WeightsError> {
        let left = self.pickle.bytes.len() - self.at;
        if length > left {
            let (needed, left) = (length as u64, left as u64);
            return Err(WeightsError::Truncated { what: "the pickle", needed, left });
        }
        self.at += length;
        Ok(self.at - length..self.at)
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], WeightsError> {
        let range = self.take(SIZE)?;
        Ok(std::array::from_fn(|index| self.pickle.bytes[range.start + index]))
    }

    /// A little-endian length of `SIZE` bytes.
    fn length<const SIZE: usize>(&mut self) -> Result<usize, WeightsError> {
        let bytes: [u8; SIZE] = self.array()?;
        let value = bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).or_else(|_| self.fail("a length beyond this machine's memory"))
    }

    fn text_of<const SIZE: usize>(&mut self) -> Result<(), WeightsError> {
        let length = self.length::<SIZE>()?;
        let range = self.take(length)?;
        if str::from_utf8(&self.pickle.bytes[range.clone()]).is_err() {
            return self.fail("text that is not UTF-8");
        }
        self.make(Node::Text(range))
    }

    fn bytes_of<const SIZE: usize>(&mut self) -> Result<(), WeightsError> {
        let length = self.length::<SIZE>()?;
        let range = self.take(length)?;
        self.make(Node::Bytes(range))
    }

    /// A two's complement number; one of more than 16 bytes is nothing a tensor needs.
    fn long(&mut self, length: usize) -> Result<(), WeightsError> {
        let range = self.take(length)?;
        let bytes = &self.pickle.bytes[range];
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 16];
        match wide.get_mut(..length) {
            Some(low) => low.copy_from_slice(bytes),
            None => return self.make(Node::Inert),
        }
        self.make(Node::Int(i128::from_le_bytes(wide)))
    }

    fn line(&mut self) -> Result<&'a str, WeightsError> {
        let rest = &self.pickle.bytes[self.at..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return self.fail("a global's name has no end");
        };
        self.at += length + 1;
        str::from_utf8(&rest[..length]).or_else(|_| self.fail("a global's name is not text"))
    }

    fn push(&mut self, id: Id) -> Result<(), WeightsError> {
        if self.stack.len() >= LIMIT {
            return self.fail("too deep a stack");
        }
        self.stack.push(id);
        Ok(())
    }

    fn make(&mut self, node: Node) -> Result<(), WeightsError> {
        if self.pickle.nodes.len() >= LIMIT {
            return self.fail("too many values");
        }
        self.pickle.nodes.push(node);
        self.push(self.pickle.nodes.len() - 1)
    }

    /// The top of the stack, but nothing below the last mark.
    fn top(&self) -> Result<Id, WeightsError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().map_or_else(|| self.fail("the stack is empty"), Ok)
    }

    fn pop(&mut self) -> Result<Id, WeightsError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, WeightsError> {
        match self.marks.pop() {
            Some(height) => Ok(self.stack.split_off(height)),
            None => self.fail("no mark is open"),
        }
    }

    fn append(&mut self, items: &[Id]) -> Result<(), WeightsError> {
        let top = self.top()?;
        match &mut self.pickle.nodes[top] {
            Node::List(list) => list.extend(items),
            _ => return self.fail("an append to something else than a list"),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), WeightsError> {
        let top = self.top()?;
        let (pairs, rest) = items.as_chunks();
        match &mut self.pickle.nodes[top] {
            Node::Dict(dict) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)))
            }
            Node::Inert => {}
            _ => return self.fail("an item is set in something else than a dict"),
        }
        Ok(())
    }

    fn get(&mut self, index: u32) -> Result<(), WeightsError> {
        match self.memo.get(&index) {
            Some(&id) => self.push(id),
            None => self.fail("an unknown memo entry"),
        }
    }

    fn put(&mut self, index: u32) -> Result<(), WeightsError> {
        let top = self.top()?;
        if self.memo.len() >= LIMIT {
            return self.fail("too many memo entries");
        }
        self.memo.insert(index, top);
        Ok(())
    }

    fn copy(&mut self, count: usize) -> Result<(), WeightsError> {
        match self.copies.checked_sub(count) {
            Some(left) => self.copies = left,
            None => return self.fail("the same values are copied over and over"),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), WeightsError> {
        const MODULES: [&str; 5] =
            ["torch.nn.", "torch.fx.", "torch.jit.", "torchvision.models.", "__torch__."];
        if let Some(global) = Global::named(module, name) {
            return self.make(Node::Global(global));
        }
        let whole = MODULES.iter().any(|prefix| format!("{module}.").starts_with(prefix));
        let shorten = |text: &str| text.chars().take(80).collect::<String>();
        let global = format!("{}.{}", shorten(module), shorten(name));
        Err(if whole { WeightsError::WholeModule { global } } else { WeightsError::RefusedGlobal { global } })
    }

    /// Gives a call of `function` the meaning it has for data.
    fn call(&mut self, function: Id, arguments: Id) -> Result<(), WeightsError> {
        let Node::Global(function) = self.pickle.nodes[function] else {
            return self.fail("a call of something that is not a function");
        };
        let Node::Tuple(arguments) = &self.pickle.nodes[arguments] else {
            return self.fail("a call without arguments");
        };
        let node = match (function, &arguments[..]) {
            (Global::Inert, _) => Some(Node::Inert),
            (Global::OrderedDict, []) => Some(Node::Dict(Vec::new())),
            (Global::OrderedDict, &[pairs]) => return self.dict_of(pairs),
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                self.tensor(storage, offset, shape, strides)
            }
            (Global::RebuildParameter, &[tensor, ..]) => return self.push(tensor),
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
        let Some(pairs) = pairs else { return self.fail("an OrderedDict of something else than pairs") };
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
        (shape.len() == strides.len()).then_some(Node::View(View { storage, dtype, offset, shape, strides }))
    }

    fn array_of(&self, data: Id, dtype: Id, shape: Id, column_major: bool) -> Option<Node> {
        let Node::NumpyDtype(dtype) = self.pickle.nodes[dtype] else { return None };
        let Some(dtype) = dtype else { return Some(Node::Inert) };
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
        Some(Node::View(View { storage: data, dtype, offset: 0, shape, strides }))
    }

    /// Gives the state of `BUILD` to the value on top of the stack.
    fn build(&mut self, state: Id) -> Result<(), WeightsError> {
        let top = self.top()?;
        let state = self.pickle.items(state);
        let node = match (&self.pickle.nodes[top], state) {
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
            (Node::Dict(_) | Node::View(_) | Node::Inert | Node::NumpyDtype(_), _) => return Ok(()),
            _ => return self.fail("state for something that has none"),
        };
        self.pickle.nodes[top] = node;
        Ok(())
    }

    /// The storage named by `("storage", class, key, device, count[, (key, offset, count)])`.
    fn storage(&mut self, id: Id) -> Result<(), WeightsError> {
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
        other if other.starts_with(['O', 'S', 'U', 'V', 'M', 'm']) => return Some(Node::NumpyDtype(None)),
        _ => return None,
    })))
}
