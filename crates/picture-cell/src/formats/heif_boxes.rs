//! The boxes of a HEIF container: which items a picture is made of, where their bytes lie, and what is said of them.
//!
//! ISO/IEC 14496-12 (boxes) and 23008-12 (items). Only what a still picture needs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Items that a file may list. A grid of 25 megapixels in tiles of 256 x 256 has 400; the rest are thumbnails and blocks of
/// metadata.
const MAX_ITEMS: usize = 4_096;

/// The items of a file.
pub(super) struct Container<'b> {
    file: &'b [u8],
    pub(super) primary: u32,
    items: BTreeMap<u32, Item>,
    references: Vec<Reference>,
    /// Kind and body, in the order in which items refer to them.
    properties: Vec<([u8; 4], &'b [u8])>,
    inside: &'b [u8],
}

/// What the file lists of one item.
#[derive(Default)]
struct Item {
    kind: [u8; 4],
    /// Whether the extents lie in the file or in the container's own data box.
    inside: bool,
    extents: Vec<(usize, usize)>,
    properties: Vec<usize>,
}

struct Reference {
    kind: [u8; 4],
    from: u32,
    to: Vec<u32>,
}

impl<'b> Container<'b> {
    /// `None` when a box is cut off or contradicts itself.
    pub(super) fn read(file: &'b [u8]) -> Option<Self> {
        let meta = boxes(file).find(|(kind, _)| kind == b"meta")?.1.get(4..)?;
        let mut container = Self {
            file,
            primary: 0,
            items: BTreeMap::new(),
            references: Vec::new(),
            properties: Vec::new(),
            inside: &[],
        };
        for (kind, body) in boxes(meta) {
            match &kind {
                b"pitm" => {
                    let mut fields = Fields::full(body)?;
                    container.primary = fields.number(if fields.version == 0 { 2 } else { 4 })?;
                }
                b"iinf" => container.kinds(body)?,
                b"iloc" => container.places(body)?,
                b"iref" => container.links(body)?,
                b"iprp" => container.facts(body)?,
                b"idat" => container.inside = body,
                _ => {}
            }
        }
        Some(container)
    }

    pub(super) fn kind(&self, id: u32) -> Option<[u8; 4]> {
        self.item(id).map(|item| item.kind)
    }

    /// The items that `from` refers to as its `kind`.
    pub(super) fn referred(&self, from: u32, kind: &[u8; 4]) -> &[u32] {
        let found = self.references.iter().find(|reference| reference.from == from && reference.kind == *kind);
        found.map_or(&[], |reference| &reference.to)
    }

    /// The items that refer to `to` as their `kind`.
    pub(super) fn referring(&self, to: u32, kind: &[u8; 4]) -> impl Iterator<Item = u32> {
        let to_it = move |reference: &&Reference| reference.kind == *kind && reference.to.contains(&to);
        self.references.iter().filter(to_it).map(|reference| reference.from)
    }

    /// Kind and body of what is said of an item, in order.
    pub(super) fn properties(&self, id: u32) -> impl Iterator<Item = &([u8; 4], &'b [u8])> {
        let indices = self.item(id).map_or(&[][..], |item| &item.properties);
        indices.iter().filter_map(|&index| self.properties.get(index))
    }

    pub(super) fn property(&self, id: u32, kind: &[u8; 4]) -> Option<&'b [u8]> {
        self.properties(id).find(|(other, _)| other == kind).map(|&(_, body)| body)
    }

    /// Width and height of an item.
    pub(super) fn size(&self, id: u32) -> Option<(u32, u32)> {
        let body = self.property(id, b"ispe")?;
        let number = |at: usize| body.get(at..)?.first_chunk().map(|&bytes| u32::from_be_bytes(bytes));
        Some((number(4)?, number(8)?))
    }

    /// The bytes of an item.
    pub(super) fn data(&self, id: u32) -> Option<Cow<'b, [u8]>> {
        let item = self.item(id)?;
        let whole = if item.inside { self.inside } else { self.file };
        let part = |&(start, length): &(usize, usize)| {
            let rest = whole.get(start..)?;
            if length == 0 { Some(rest) } else { rest.get(..length) }
        };
        if let [only] = item.extents.as_slice() {
            return part(only).map(Cow::Borrowed);
        }
        // Extents may overlap, and one without a length reaches to the end: what they add up to must not exceed the file.
        let mut data = Vec::new();
        for extent in &item.extents {
            let part = part(extent)?;
            if part.len() > whole.len() - data.len() {
                return None;
            }
            data.extend_from_slice(part);
        }
        Some(Cow::Owned(data))
    }

    fn item(&self, id: u32) -> Option<&Item> {
        self.items.get(&id)
    }

    /// The item of this number, new when it was not listed yet.
    fn listed(&mut self, id: u32) -> Option<&mut Item> {
        let room = self.items.len() < MAX_ITEMS;
        match self.items.entry(id) {
            Entry::Vacant(_) if !room => None,
            entry => Some(entry.or_default()),
        }
    }

    fn kinds(&mut self, body: &'b [u8]) -> Option<()> {
        let mut fields = Fields::full(body)?;
        fields.number(if fields.version == 0 { 2 } else { 4 })?;
        for (_, entry) in boxes(fields.rest).filter(|(kind, _)| kind == b"infe") {
            let mut fields = Fields::full(entry)?;
            if fields.version < 2 {
                continue;
            }
            let id = fields.number(if fields.version == 2 { 2 } else { 4 })?;
            fields.number(2)?;
            self.listed(id)?.kind = *fields.rest.first_chunk()?;
        }
        Some(())
    }

    fn places(&mut self, body: &'b [u8]) -> Option<()> {
        let mut fields = Fields::full(body)?;
        let version = fields.version;
        let sizes = fields.number(2)? as usize;
        let (offset, length, base) = (sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15);
        let index = if version > 0 { sizes & 15 } else { 0 };
        let id_size = if version < 2 { 2 } else { 4 };
        for _ in 0..fields.number(id_size)? {
            let id = fields.number(id_size)?;
            let method = if version > 0 { fields.number(2)? & 15 } else { 0 };
            // An item in another file, or made of other items' bytes: read by nobody.
            let other_file = fields.number(2)? != 0 || method > 1;
            let base = fields.size(base)?;
            let count = fields.number(2)?;
            // Extents without a byte of their own are all the same; any number of them would cost the file nothing.
            if count > 1 && index + offset + length == 0 {
                return None;
            }
            let mut extents = Vec::new();
            for _ in 0..count {
                fields.size(index)?;
                let start = fields.size(offset)?.checked_add(base)?;
                extents.push((start, fields.size(length)?));
            }
            let item = self.listed(id)?;
            item.inside = method == 1;
            item.extents = if other_file { Vec::new() } else { extents };
        }
        Some(())
    }

    fn links(&mut self, body: &'b [u8]) -> Option<()> {
        let fields = Fields::full(body)?;
        let id_size = if fields.version == 0 { 2 } else { 4 };
        for (kind, body) in boxes(fields.rest) {
            let mut fields = Fields { version: 0, rest: body };
            let from = fields.number(id_size)?;
            let to = (0..fields.number(2)?).map(|_| fields.number(id_size)).collect::<Option<_>>()?;
            self.references.push(Reference { kind, from, to });
        }
        Some(())
    }

    fn facts(&mut self, body: &'b [u8]) -> Option<()> {
        for (kind, body) in boxes(body) {
            if &kind == b"ipco" {
                self.properties = boxes(body).collect();
            } else if &kind == b"ipma" {
                let mut fields = Fields::full(body)?;
                let long = body.get(3)? & 1 == 1;
                let id_size = if fields.version == 0 { 2 } else { 4 };
                for _ in 0..fields.number(4)? {
                    let id = fields.number(id_size)?;
                    let mut indices = Vec::new();
                    for _ in 0..fields.number(1)? {
                        let index = if long { fields.number(2)? & 0x7fff } else { fields.number(1)? & 0x7f };
                        // Counted from 1; 0 stands for none.
                        indices.extend((index as usize).checked_sub(1));
                    }
                    self.listed(id)?.properties = indices;
                }
            }
        }
        Some(())
    }
}

/// The boxes in `bytes`: kind and body, up to the first that is cut off.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let mut fields = Fields { version: 0, rest: bytes };
        let size = fields.number(4)? as usize;
        let kind = *fields.rest.first_chunk()?;
        let (head, size) = match size {
            0 => (8, bytes.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)).ok()?),
            size => (8, size),
        };
        let body = bytes.get(head..size)?;
        bytes = &bytes[size..];
        Some((kind, body))
    })
}

/// Numbers of a box, largest byte first.
struct Fields<'b> {
    version: u8,
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    /// Those after version and flags.
    fn full(body: &'b [u8]) -> Option<Self> {
        Some(Self { version: *body.first()?, rest: body.get(4..)? })
    }

    /// The number in the next `size` (at most 4) bytes.
    fn number(&mut self, size: usize) -> Option<u32> {
        let (number, rest) = self.rest.split_at_checked(size)?;
        self.rest = rest;
        Some(number.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// The number in the next `size` (0, 4 or 8) bytes.
    fn size(&mut self, size: usize) -> Option<usize> {
        match size {
            0 => Some(0),
            4 => self.number(4).map(|number| number as usize),
            8 => {
                let (high, low) = (self.number(4)?, self.number(4)?);
                usize::try_from(u64::from(high) << 32 | u64::from(low)).ok()
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], &kind, body].concat()
    }

    /// How many extents are read for item 1 of a file that says there are `count`, in fields of these sizes, and gives each
    /// its bytes.
    fn extents(version: u8, [sizes, more]: [u8; 2], count: u16, bytes: usize) -> Option<usize> {
        let method: &[u8] = if version == 0 { &[] } else { &[0, 0] };
        let head = [&[version, 0, 0, 0, sizes, more, 0, 1, 0, 1][..], method, &[0, 0]].concat();
        let places = [head, count.to_be_bytes().to_vec(), vec![0; usize::from(count) * bytes]].concat();
        let file = boxed(*b"meta", &[vec![0; 4], boxed(*b"iloc", &places)].concat());
        Some(Container::read(&file)?.items.get(&1)?.extents.len())
    }

    #[test]
    fn extents_cost_the_file_bytes_or_are_one_an_item() {
        // ISO/IEC 14496-12, 8.11.3: one extent without offset and length is the whole file.
        for version in [0, 1] {
            let counts = [0, 1, 2, u16::MAX];
            assert_eq!(counts.map(|count| extents(version, [0, 0], count, 0)), [Some(0), Some(1), None, None]);
        }
        assert_eq!(extents(0, [0x40, 0], 300, 4), Some(300));
        assert_eq!(extents(0, [0x04, 0], 300, 4), Some(300));
        // The index of an extent is one of its fields from version 1 on.
        assert_eq!(extents(1, [0, 4], 300, 4), Some(300));
        assert_eq!(extents(0, [0, 4], 300, 4), None);
    }
}
