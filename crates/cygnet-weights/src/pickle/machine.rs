//! The stack machine: reads the instructions of a pickle.

use std::{collections::HashMap, mem::size_of, ops::Range};

use super::{EMPTY_TUPLE, FALSE, Id, MAX_STACK, MAX_VALUE_BYTES, NONE, Node, Pickle, TRUE};
use crate::WeightsError;

/// How much longer than its content a list may be while it grows.
const GROWTH: usize = 2;
/// Why no more values are made.
const NO_MEMORY: &str = "its values do not fit the memory that this process may have";
/// Bytes that a memo entry takes.
const MEMO_BYTES: usize = 48;

/// Reads the pickle at the start of `bytes`.
pub(super) fn run(bytes: &[u8]) -> Result<Pickle<'_>, WeightsError> {
    let nodes = vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Tuple(Vec::new())];
    let machine = Machine {
        pickle: Pickle { bytes, nodes, root: NONE, end: 0, module: None },
        at: 0,
        start: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        foreign: Vec::new(),
        copies: bytes.len(),
        memory: MAX_VALUE_BYTES,
    };
    machine.run()
}

pub(super) struct Machine<'a> {
    pub(super) pickle: Pickle<'a>,
    /// Next byte.
    at: usize,
    /// First byte of the current instruction.
    start: usize,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Names of the functions and classes that tensors do not need.
    pub(super) foreign: Vec<String>,
    /// Elements that may still be copied.
    copies: usize,
    /// Bytes that values may still take.
    memory: usize,
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
                    if self.marks.len() >= MAX_STACK {
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
                    self.create(class, arguments)?;
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

    pub(super) fn fail<T>(&self, reason: &'static str) -> Result<T, WeightsError> {
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
            None => return self.make(Node::Object(Vec::new())),
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

    pub(super) fn push(&mut self, id: Id) -> Result<(), WeightsError> {
        if self.stack.len() >= MAX_STACK {
            return self.fail("too deep a stack");
        }
        if self.stack.try_reserve(1).is_err() {
            return self.fail(NO_MEMORY);
        }
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn make(&mut self, node: Node) -> Result<(), WeightsError> {
        self.charge(GROWTH * size_of::<Node>() + held_bytes(&node))?;
        if self.pickle.nodes.try_reserve(1).is_err() {
            return self.fail(NO_MEMORY);
        }
        self.pickle.nodes.push(node);
        self.push(self.pickle.nodes.len() - 1)
    }

    /// Counts memory that a value takes beyond what was counted.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), WeightsError> {
        match self.memory.checked_sub(bytes) {
            Some(left) => self.memory = left,
            None => return self.fail("its values take more memory than any checkpoint's"),
        }
        Ok(())
    }

    /// The top of the stack, but nothing below the last mark.
    pub(super) fn top(&self) -> Result<Id, WeightsError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().map_or_else(|| self.fail("the stack is empty"), Ok)
    }

    pub(super) fn pop(&mut self) -> Result<Id, WeightsError> {
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
        self.charge(GROWTH * size_of_val(items))?;
        let top = self.top()?;
        match &mut self.pickle.nodes[top] {
            Node::List(list) => match list.try_reserve(items.len()) {
                Ok(()) => list.extend(items),
                Err(_) => return self.fail(NO_MEMORY),
            },
            // A class derived from list.
            node @ Node::Object(_) => *node = Node::List(items.to_vec()),
            _ => return self.fail("an append to something else than a list"),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), WeightsError> {
        self.charge(GROWTH * size_of_val(items))?;
        let top = self.top()?;
        let (pairs, rest) = items.as_chunks();
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match &mut self.pickle.nodes[top] {
            _ if !rest.is_empty() => return self.fail("a key without a value"),
            Node::Dict(dict) => match dict.try_reserve(pairs.len()) {
                Ok(()) => dict.extend(pairs),
                Err(_) => return self.fail(NO_MEMORY),
            },
            // A class derived from dict.
            node @ Node::Object(_) => *node = Node::Dict(pairs.collect()),
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
        self.charge(MEMO_BYTES)?;
        if self.memo.try_reserve(1).is_err() {
            return self.fail(NO_MEMORY);
        }
        self.memo.insert(index, top);
        Ok(())
    }

    pub(super) fn copy(&mut self, count: usize) -> Result<(), WeightsError> {
        match self.copies.checked_sub(count) {
            Some(left) => self.copies = left,
            None => return self.fail("the same values are copied over and over"),
        }
        Ok(())
    }
}

/// Bytes of memory that a node holds beside itself.
fn held_bytes(node: &Node) -> usize {
    match node {
        Node::Tuple(items) | Node::List(items) => size_of_val(&items[..]),
        Node::Dict(entries) | Node::Object(entries) => size_of_val(&entries[..]),
        Node::Decoded(bytes) => bytes.len(),
        Node::View(view) => {
            size_of_val(&**view) + size_of_val(&view.shape[..]) + size_of_val(&view.strides[..])
        }
        Node::None
        | Node::Bool(_)
        | Node::Int(_)
        | Node::Float(_)
        | Node::Text(_)
        | Node::Bytes(_)
        | Node::Global(_)
        | Node::Storage(_)
        | Node::EmptyArray
        | Node::NumpyDtype(_) => 0,
    }
}
