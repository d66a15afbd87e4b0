//! A reader for the subset of Python's pickle protocol 2 that PyTorch's legacy files use.
//!
//! A pickle is a program for a small stack machine. This reader builds passive objects only: names of classes and
//! functions stay names, and of the calls (`REDUCE`) only an empty `collections.OrderedDict` and a tensor description
//! are understood. Objects live in one arena and refer to each other by position, so that nothing recurses, cycles do
//! no harm and dropping them is flat.

use super::{ConvertError, FORMAT, malformed};
use std::collections::BTreeMap;

/// The most objects in one pickle; the state dict of the largest network here has about 10,000.
const MAX_OBJECTS: usize = 200_000;

/// Position of an object in its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(usize);

/// A passive Python object.
#[derive(Debug)]
pub(super) enum Object {
    /// `None`, a truth value or an empty call's result: nothing that is looked at here.
    Opaque,
    Int(i64),
    /// A long integer's little-endian two's complement bytes.
    Long(Vec<u8>),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Module and name of a class or a function, separated by a space.
    Global(String),
    /// Arguments of `torch._utils._rebuild_tensor_v2`.
    Tensor(Id),
    /// A persistent id: how the legacy format refers to a storage.
    Persistent(Id),
}

/// The objects of one pickle.
#[derive(Debug, Default)]
pub(super) struct Arena {
    objects: Vec<Object>,
}

impl Arena {
    pub(super) fn get(&self, id: Id) -> &Object {
        &self.objects[id.0]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        if let Object::Text(text) = self.get(id) { Some(text) } else { None }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        if let Object::Tuple(items) = self.get(id) { Some(items) } else { None }
    }

    /// A number that is not negative.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        if let Object::Int(value) = self.get(id) { usize::try_from(*value).ok() } else { None }
    }
}

/// Reads one pickle and leaves `bytes` behind its end; gives the objects and which of them is the result.
pub(super) fn read(bytes: &mut &[u8]) -> Result<(Arena, Id), ConvertError> {
    let mut machine =
        Machine { bytes, arena: Arena::default(), stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new() };
    loop {
        if let Some(result) = machine.step()? {
            return Ok((machine.arena, result));
        }
    }
}

struct Machine<'a, 'b> {
    bytes: &'a mut &'b [u8],
    arena: Arena,
    stack: Vec<Id>,
    /// Heights of the stack at which `MARK` was met.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

impl<'b> Machine<'_, 'b> {
    /// Executes one instruction; the result of the pickle when it was the last.
    fn step(&mut self) -> Result<Option<Id>, ConvertError> {
        let [opcode] = self.array()?;
        match opcode {
            // PROTO
            0x80 => {
                let [version] = self.array()?;
                if version > 2 {
                    return Err(ConvertError::unsupported(FORMAT, format!("pickle protocol {version}")));
                }
            }
            // STOP
            b'.' => return self.pop().map(Some),
            // NONE, NEWTRUE, NEWFALSE
            b'N' | 0x88 | 0x89 => self.push(Object::Opaque)?,
            // BININT, BININT1, BININT2
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Object::Int(value.into()))?;
            }
            b'K' => {
                let [value] = self.array()?;
                self.push(Object::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Object::Int(value.into()))?;
            }
            // LONG1
            0x8a => {
                let [length] = self.array()?;
                let digits = self.take(length.into())?.to_vec();
                self.push(Object::Long(digits))?;
            }
            // BINUNICODE
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                let text = self.take(length as usize)?;
                let text = str::from_utf8(text).map_err(|_| malformed("a text is not UTF-8"))?.to_owned();
                self.push(Object::Text(text))?;
            }
            // GLOBAL
            b'c' => {
                let global = format!("{} {}", self.line()?, self.line()?);
                self.push(Object::Global(global))?;
            }
            // MARK
            b'(' => self.marks.push(self.stack.len()),
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.push(Object::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let start = self.stack.len().checked_sub(usize::from(opcode - 0x84));
                let start = start.ok_or_else(|| malformed("the pickle's stack is empty"))?;
                let items = self.stack.split_off(start);
                self.push(Object::Tuple(items))?;
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items))?;
            }
            // EMPTY_LIST, APPEND, APPENDS
            b']' => self.push(Object::List(Vec::new()))?,
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(items)?;
            }
            // EMPTY_DICT, SETITEM, SETITEMS
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)?;
            }
            // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
            b'q' => {
                let [slot] = self.array()?;
                self.remember(slot.into())?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.remember(slot)?;
            }
            b'h' => {
                let [slot] = self.array()?;
                self.recall(slot.into())?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.recall(slot)?;
            }
            // BINPERSID
            b'Q' => {
                let id = self.pop()?;
                self.push(Object::Persistent(id))?;
            }
            // REDUCE
            b'R' => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                let result = self.call(function, arguments)?;
                self.push(result)?;
            }
            // BUILD: the attributes of an OrderedDict (torch notes versions of modules there) carry no weights.
            b'b' => {
                self.pop()?;
            }
            other => return Err(ConvertError::unsupported(FORMAT, format!("the pickle instruction {other:#04x}"))),
        }
        Ok(None)
    }

    fn call(&self, function: Id, arguments: Id) -> Result<Object, ConvertError> {
        let Object::Global(name) = self.arena.get(function) else {
            return Err(malformed("the pickle calls something without a name"));
        };
        match (name.as_str(), self.arena.tuple(arguments)) {
            ("collections OrderedDict", Some([])) => Ok(Object::Dict(Vec::new())),
            ("torch._utils _rebuild_tensor_v2", Some(_)) => Ok(Object::Tensor(arguments)),
            _ => Err(ConvertError::unsupported(FORMAT, format!("a call of `{}`", name.replace(' ', ".")))),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], ConvertError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(|| malformed("it ends inside a pickle"))?;
        *self.bytes = rest;
        Ok(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], ConvertError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or_else(|| malformed("it ends inside a pickle"))?;
        *self.bytes = rest;
        Ok(*taken)
    }

    fn line(&mut self) -> Result<&'b str, ConvertError> {
        let end = self.bytes.iter().position(|&b| b == b'\n');
        let end = end.ok_or_else(|| malformed("it ends inside a pickle"))?;
        let line = self.take(end)?;
        self.take(1)?;
        str::from_utf8(line).map_err(|_| malformed("a name is not UTF-8"))
    }

    fn push(&mut self, object: Object) -> Result<(), ConvertError> {
        ConvertError::check_size("the number of objects in a pickle", self.arena.objects.len() + 1, MAX_OBJECTS)?;
        self.stack.push(Id(self.arena.objects.len()));
        self.arena.objects.push(object);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, ConvertError> {
        self.stack.pop().ok_or_else(|| malformed("the pickle's stack is empty"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, ConvertError> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        let mark = mark.ok_or_else(|| malformed("the pickle's stack holds no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Option<&mut Object> {
        let id = self.stack.last()?;
        self.arena.objects.get_mut(id.0)
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Result<(), ConvertError> {
        let Some(Object::List(list)) = self.top() else {
            return Err(malformed("the pickle appends to something that is not a list"));
        };
        list.extend(items);
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<(), ConvertError> {
        let (pairs, odd) = items.as_chunks();
        let Some(Object::Dict(entries)) = self.top().filter(|_| odd.is_empty()) else {
            return Err(malformed("the pickle sets an item of something that is not a dictionary"));
        };
        entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    fn remember(&mut self, slot: u32) -> Result<(), ConvertError> {
        let id = *self.stack.last().ok_or_else(|| malformed("the pickle's stack is empty"))?;
        self.memo.insert(slot, id);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), ConvertError> {
        let id = *self.memo.get(&slot).ok_or_else(|| malformed("the pickle recalls what it never stored"))?;
        self.stack.push(id);
        Ok(())
    }
}
