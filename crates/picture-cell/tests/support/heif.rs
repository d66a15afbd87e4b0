//! HEIF containers of HEIC and AVIF, written box by box around one honest coded picture: what lies in them lies, and what
//! should not refer to each other does.

#![allow(unreachable_pub, reason = "a module of every program that includes it")]

/// What the coded pictures of a container are.
#[derive(Debug, Clone, Copy)]
pub struct Coding {
    /// As the file's first box names it, and as errors name the format.
    pub name: &'static str,
    /// The kind of its items.
    pub item: [u8; 4],
    /// How large the sample is coded.
    pub coded: (u32, u32),
    /// The kind of the property that says how they are coded.
    pub configuration: [u8; 4],
    /// A file with one coded picture, whose bytes are all of its data.
    sample: &'static [u8],
}

pub const HEIC: Coding = Coding {
    name: "heic",
    item: *b"hvc1",
    coded: (64, 64),
    configuration: *b"hvcC",
    sample: include_bytes!("../pictures/heic_420.heic"),
};

pub const AVIF: Coding = Coding {
    name: "avif",
    item: *b"av01",
    coded: (50, 37),
    configuration: *b"av1C",
    sample: include_bytes!("../pictures/avif_420.avif"),
};

impl Coding {
    /// The body of the sample's first box of a kind.
    fn body(&self, kind: &[u8; 4]) -> Vec<u8> {
        let at = self.sample.windows(4).position(|word| word == kind).expect("the sample has such a box");
        let size = u32::from_be_bytes(*self.sample[at - 4..].first_chunk().expect("a size")) as usize;
        self.sample[at + 4..at - 4 + size].to_vec()
    }
}

/// A box of 8 bytes and a body.
pub fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], &kind, body].concat()
}

/// One with a version and flags.
fn full(kind: [u8; 4], version: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    boxed(kind, &[&[version, 0, 0, flags][..], body].concat())
}

/// How large a picture is said to be.
pub fn size(width: u32, height: u32) -> Vec<u8> {
    full(*b"ispe", 0, 0, &[width.to_be_bytes(), height.to_be_bytes()].concat())
}

/// What an item of this kind holds.
pub fn grid_of(rows: u8, columns: u8, width: u32, height: u32) -> Vec<u8> {
    [&[0, 1, rows - 1, columns - 1][..], &width.to_be_bytes(), &height.to_be_bytes()].concat()
}

/// That an item says how much of another is seen.
pub fn alpha() -> Vec<u8> {
    full(*b"auxC", 0, 0, b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
}

#[derive(Debug, Clone)]
pub struct Item {
    pub id: u32,
    pub kind: [u8; 4],
    /// 0: its bytes lie in the file, 1: in the container, 2: in another item.
    pub method: u16,
    /// Begin and length of each piece.
    pub pieces: Vec<(u64, u64)>,
    /// Numbers of its properties, from 1.
    pub properties: Vec<u16>,
}

/// A container, every part of which can be changed before it is written.
#[derive(Debug, Clone)]
pub struct Heif {
    pub coding: Coding,
    pub primary: u32,
    pub items: Vec<Item>,
    /// Kind, from, to.
    pub references: Vec<([u8; 4], u32, Vec<u32>)>,
    /// Whole boxes. The first says how the sample is coded.
    pub properties: Vec<Vec<u8>>,
    /// The bytes in the file, of which the sample's coded picture are the first.
    pub data: Vec<u8>,
    /// The bytes in the container.
    pub inside: Vec<u8>,
    /// Further boxes of the container.
    pub more: Vec<u8>,
}

impl Heif {
    /// Where in the file [`Heif::data`] begin.
    pub const DATA_AT: u64 = 32;

    /// One coded picture, item 1.
    pub fn single(coding: Coding) -> Self {
        let data = coding.body(b"mdat");
        let pieces = vec![(Self::DATA_AT, data.len() as u64)];
        let item = Item { id: 1, kind: coding.item, method: 0, pieces, properties: vec![1, 2] };
        let properties = vec![boxed(coding.configuration, &coding.body(&coding.configuration)), size(50, 37)];
        let (references, inside, more) = (Vec::new(), Vec::new(), Vec::new());
        Self { coding, primary: 1, items: vec![item], references, properties, data, inside, more }
    }

    /// A further item, whose bytes lie in the container.
    pub fn add(&mut self, id: u32, kind: [u8; 4], bytes: &[u8], properties: &[u16]) {
        let pieces = vec![(self.inside.len() as u64, bytes.len() as u64)];
        self.inside.extend(bytes);
        self.items.push(Item { id, kind, method: 1, pieces, properties: properties.to_vec() });
    }

    /// A further property; its number.
    pub fn property(&mut self, whole: Vec<u8>) -> u16 {
        self.properties.push(whole);
        self.properties.len() as u16
    }

    /// A grid, the primary item 2, all tiles of which are the coded picture.
    pub fn grid(coding: Coding, rows: u8, columns: u8, width: u32, height: u32) -> Self {
        let mut file = Self::single(coding);
        let own = file.property(size(width, height));
        file.add(2, *b"grid", &grid_of(rows, columns, width, height), &[own]);
        file.references.push((*b"dimg", 2, vec![1; usize::from(rows) * usize::from(columns)]));
        file.primary = 2;
        file
    }

    /// The file. Numbers are written in their widest form.
    pub fn file(&self) -> Vec<u8> {
        let count = |number: usize| (number as u32).to_be_bytes().to_vec();
        let short = |number: usize| (number as u16).to_be_bytes().to_vec();
        let entries = self
            .items
            .iter()
            .map(|item| full(*b"infe", 3, 0, &[&item.id.to_be_bytes()[..], &[0, 0], &item.kind, &[0]].concat()));
        let kinds = full(*b"iinf", 1, 0, &[count(self.items.len()), entries.collect::<Vec<_>>().concat()].concat());
        let places = self.items.iter().map(|item| {
            let pieces = item.pieces.iter().flat_map(|&(begin, length)| [begin.to_be_bytes(), length.to_be_bytes()]);
            let pieces = pieces.collect::<Vec<_>>().concat();
            [&item.id.to_be_bytes()[..], &item.method.to_be_bytes(), &[0, 0], &short(item.pieces.len()), &pieces]
                .concat()
        });
        let places = [vec![0x88, 0], count(self.items.len()), places.collect::<Vec<_>>().concat()].concat();
        let references = self.references.iter().map(|(kind, from, to)| {
            let to_all = to.iter().flat_map(|id| id.to_be_bytes()).collect();
            boxed(*kind, &[from.to_be_bytes().to_vec(), short(to.len()), to_all].concat())
        });
        let told = self.items.iter().map(|item| {
            let numbers = item.properties.iter().flat_map(|number| number.to_be_bytes()).collect();
            [item.id.to_be_bytes().to_vec(), vec![item.properties.len() as u8], numbers].concat()
        });
        let told = [count(self.items.len()), told.collect::<Vec<_>>().concat()].concat();
        let facts = [boxed(*b"ipco", &self.properties.concat()), full(*b"ipma", 1, 1, &told)].concat();
        let meta = [
            full(*b"hdlr", 0, 0, b"\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            full(*b"pitm", 1, 0, &self.primary.to_be_bytes()),
            kinds,
            full(*b"iloc", 2, 0, &places),
            full(*b"iref", 1, 0, &references.collect::<Vec<_>>().concat()),
            boxed(*b"iprp", &facts),
            boxed(*b"idat", &self.inside),
            self.more.clone(),
        ];
        let brand = self.coding.name.as_bytes();
        let brands = boxed(*b"ftyp", &[brand, b"\0\0\0\0mif1", brand].concat());
        [brands, boxed(*b"mdat", &self.data), full(*b"meta", 0, 0, &meta.concat())].concat()
    }
}

/// Bits of a header of H.265, the highest of a byte first.
#[derive(Default)]
struct Header {
    bytes: Vec<u8>,
    used: usize,
}

impl Header {
    fn put(&mut self, value: u64, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    /// A number in Exp-Golomb code (ITU-T H.265, 9.2).
    fn number(&mut self, value: u32) {
        let coded = u64::from(value) + 1;
        self.put(coded, 2 * coded.ilog2() + 1);
    }
}

/// How an H.265 picture is coded that has this size and these depths, by ITU-T H.265, 7.3.2.2: the sample's configuration,
/// with another sequence parameter set before its own.
pub fn hevc_of(width: u32, height: u32, chroma: u32, depth: u32, blocks: [u32; 4]) -> Vec<u8> {
    let mut set = Header::default();
    // Of one layer, with profile and level left open.
    set.put(1, 8);
    (0..3).for_each(|_| set.put(0, 32));
    [0, chroma].into_iter().for_each(|number| set.number(number));
    if chroma == 3 {
        set.put(0, 1);
    }
    [width, height].into_iter().for_each(|side| set.number(side));
    set.put(0, 1);
    [depth - 8, depth - 8, 4].into_iter().for_each(|number| set.number(number));
    set.put(1, 1);
    [4, 0, 0].into_iter().chain(blocks).chain([0, 0]).for_each(|number| set.number(number));
    // Sample adaptive offset, strong smoothing, and no other tool.
    set.put(0b0010, 4);
    set.number(0);
    set.put(0b00_1001, 6);
    // No three bytes may look like the begin of the next unit.
    let mut unit = vec![0x42, 1];
    for byte in set.bytes {
        if byte < 4 && unit.ends_with(&[0, 0]) {
            unit.push(3);
        }
        unit.push(byte);
    }
    let mut body = HEIC.body(&HEIC.configuration);
    body[22] += 1;
    let array = [&[0xa1, 0, 1][..], &(unit.len() as u16).to_be_bytes(), &unit].concat();
    body.splice(23..23, array);
    boxed(HEIC.configuration, &body)
}
