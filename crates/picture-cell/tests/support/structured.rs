//! Files that keep to their format where a decoder looks first and lie further in: made of any bytes, so that a fuzzer
//! or a generator of random numbers decides what is in them.

#![allow(unreachable_pub, reason = "a module of every program that includes it")]

mod heif;
mod heif_scripts;

/// A format, and how a file of it is made.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// As fuzz targets name it.
    pub name: &'static str,
    make: fn(&mut Script<'_>) -> Vec<u8>,
}

/// Those whose decoders have the most to do.
pub const KINDS: [Kind; 6] = [
    Kind { name: "tiff", make: tiff },
    Kind { name: "webp", make: webp },
    Kind { name: "jpeg", make: jpeg },
    Kind { name: "gif", make: gif },
    Kind { name: "heic", make: |script| heif_scripts::made(heif::HEIC, script) },
    Kind { name: "avif", make: |script| heif_scripts::made(heif::AVIF, script) },
];

impl Kind {
    /// The file that `bytes` describe.
    pub fn file(&self, bytes: &[u8]) -> Vec<u8> {
        (self.make)(&mut Script(bytes))
    }
}

/// Decisions, taken from bytes; zeros when they are used up.
struct Script<'b>(&'b [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// True once in `times`.
    fn once_in(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        let length = (usize::from(self.word()) % (most + 1)).min(self.0.len());
        let (first, rest) = self.0.split_at(length);
        self.0 = rest;
        first.to_vec()
    }

    /// What a decoder unpacks: noise, nothing, or one byte again and again.
    fn data(&mut self) -> Vec<u8> {
        match self.byte() % 4 {
            0 => self.take(4_000),
            1 => vec![self.byte(); usize::from(self.word())],
            2 => [self.take(400), vec![self.byte(); usize::from(self.word())]].concat(),
            _ => self.take(60).repeat(usize::from(self.byte())),
        }
    }
}

const SIDES: [u32; 10] = [1, 7, 16, 33, 64, 200, 255, 256, 1_000, 4_000];

fn tiff(script: &mut Script<'_>) -> Vec<u8> {
    let (width, height) = (script.pick(&SIDES), script.pick(&SIDES));
    let samples = script.pick(&[3_u32, 1, 4, 3, 2, 5, 6]);
    let bits = script.pick(&[8_u32, 8, 16, 1, 4, 2, 32, 64, 12]);
    let compression = script.pick(&[1_u32, 5, 8, 32_773, 5, 8, 32_946, 2, 3, 4, 7, 50_000]);
    let planar = script.pick(&[1_u32, 1, 1, 2]);
    let tiled = script.once_in(2);
    let chunk = if tiled {
        (script.pick(&[16_u32, 32, 64, 256, 17, 4_096]), script.pick(&[16_u32, 32, 64, 256, 17, 4_096]))
    } else {
        (width, script.pick(&[height, 1, 8, 16, u32::MAX]))
    };
    let planes = if planar == 2 { samples } else { 1 };
    let chunks = (width.div_ceil(chunk.0) * height.div_ceil(chunk.1.min(height)) * planes).min(3_000);
    let data: Vec<Vec<u8>> = (0..script.pick(&[1_u8, 2, 7])).map(|_| script.data()).collect();
    let data: Vec<&Vec<u8>> = (0..chunks as usize).map(|index| &data[index % data.len()]).collect();
    let mut entries: Vec<(u16, u16, Vec<u32>)> = vec![
        (0x100, 4, vec![width]),
        (0x101, 4, vec![height]),
        (0x102, 3, vec![bits; if script.once_in(4) { 1 } else { samples as usize }]),
        (0x103, 3, vec![compression]),
        (0x106, 3, vec![script.pick(&[2_u32, 1, 0, 2, 3, 5, 6, 8])]),
        (0x112, 3, vec![u32::from(script.byte()) % 10]),
        (0x115, 3, vec![samples]),
        (0x11c, 3, vec![planar]),
        (0x13d, 3, vec![script.pick(&[1_u32, 2, 3, 1])]),
        (0x152, 3, vec![script.pick(&[0_u32, 1, 2]); samples.saturating_sub(3).max(1) as usize]),
        (0x153, 3, vec![script.pick(&[1_u32, 1, 2, 3]); samples as usize]),
        (0x212, 3, vec![script.pick(&[1_u32, 2]), script.pick(&[1_u32, 2, 4])]),
    ];
    if bits < 16 {
        entries.push((0x140, 3, (0..3 << bits).map(|_| u32::from(script.byte()) << 8).collect()));
    }
    if script.once_in(4) {
        entries.push((0x8773, 1, script.take(300).into_iter().map(u32::from).collect()));
    }
    let (offsets, lengths) = if tiled { (0x144, 0x145) } else { (0x111, 0x117) };
    if tiled {
        entries.extend([(0x142, 4, vec![chunk.0]), (0x143, 4, vec![chunk.1])]);
    } else {
        entries.push((0x116, 4, vec![chunk.1]));
    }
    entries.push((lengths, 4, data.iter().map(|chunk| chunk.len() as u32).collect()));
    entries.push((offsets, 4, Vec::new()));
    entries.sort_by_key(|entry| entry.0);
    // Once in a while something that the directory says is not so.
    if script.once_in(8) {
        let at = usize::from(script.byte()) % entries.len();
        if let Some(value) = entries[at].2.first_mut() {
            *value = script.pick(&[0, 1, u32::from(u16::MAX), u32::MAX, 0x4000_0000]);
        }
    }
    let size = |kind: u16| match kind {
        1 => 1,
        3 => 2,
        _ => 4_usize,
    };
    let outside_at = 8 + 2 + entries.len() * 12 + 4;
    let needed = |(tag, kind, values): &(u16, u16, Vec<u32>)| {
        let count = if *tag == offsets { chunks as usize } else { values.len() };
        if count * size(*kind) > 4 { count * size(*kind) } else { 0 }
    };
    let mut at = (outside_at + entries.iter().map(needed).sum::<usize>()) as u32;
    let gap = script.pick(&[0_i32, 0, 0, 0, 3, -5]);
    let places = data.iter().map(|chunk| {
        let place = at;
        at = at.wrapping_add_signed(chunk.len() as i32 + gap);
        place
    });
    let places: Vec<u32> = places.collect();
    if let Some(entry) = entries.iter_mut().find(|entry| entry.0 == offsets) {
        entry.2.clone_from(&places);
    }
    let mut file = b"II\x2a\0\x08\0\0\0".to_vec();
    file.extend((entries.len() as u16).to_le_bytes());
    let mut outside = Vec::new();
    for (tag, kind, values) in &entries {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes().into_iter().take(size(*kind)));
        let bytes: Vec<u8> = bytes.collect();
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend((values.len() as u32).to_le_bytes());
        if bytes.len() <= 4 {
            file.extend(bytes.iter().copied().chain([0; 4]).take(4));
        } else {
            file.extend(((outside_at + outside.len()) as u32).to_le_bytes());
            outside.extend(bytes);
        }
    }
    file.extend([0; 4]);
    file.extend(outside);
    for (place, chunk) in places.iter().zip(&data) {
        let end = (*place as usize + chunk.len()).min(1 << 22);
        if file.len() < end {
            file.resize(end, 0);
        }
        if let Some(target) = file.get_mut(*place as usize..*place as usize + chunk.len()) {
            target.copy_from_slice(chunk);
        }
    }
    file
}

fn jpeg(script: &mut Script<'_>) -> Vec<u8> {
    let segment = |marker: u8, data: &[u8]| {
        let data = &data[..data.len().min(65_000)];
        [&[0xff, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat()
    };
    let mut file = vec![0xff, 0xd8];
    let components = script.pick(&[3_u8, 1, 3, 4, 2]);
    if script.once_in(3) {
        file.extend(segment(0xe1, &[b"Exif\0\0MM\0\x2a\0\0\0\x08", &script.take(80)[..]].concat()));
    }
    if script.once_in(3) {
        file.extend(segment(0xee, &[b"Adobe\0d\0\0\0\0", &[script.byte() % 4][..]].concat()));
    }
    if script.once_in(4) {
        file.extend(segment(0xe2, &[b"ICC_PROFILE\0\x01\x01", &script.take(600)[..]].concat()));
    }
    for table in 0..2 {
        let values: Vec<u8> = (0..64).map(|_| script.byte() | 1).collect();
        file.extend(segment(0xdb, &[&[table][..], &values].concat()));
    }
    for class in [0x00, 0x01, 0x10, 0x11] {
        // Half of them as in the standard's table K.3.
        if script.once_in(2) {
            let lengths = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
            file.extend(segment(0xc4, &[&[class][..], &lengths, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]].concat()));
            continue;
        }
        let mut lengths = [0_u8; 16];
        // Prefix codes that are not over-full, mostly.
        let mut room = 1_u32;
        for length in &mut lengths {
            room = room.saturating_mul(2).min(512);
            let used = u32::from(script.byte()) % (room.min(40) + u32::from(script.once_in(50))).max(1);
            *length = used as u8;
            room = room.saturating_sub(used);
        }
        let count: usize = lengths.iter().map(|&length| usize::from(length)).sum();
        let values: Vec<u8> = (0..count.min(256)).map(|_| script.byte()).collect();
        file.extend(segment(0xc4, &[&[class][..], &lengths, &values].concat()));
    }
    if script.once_in(3) {
        file.extend(segment(0xdd, &script.word().to_be_bytes()));
    }
    let progressive = script.once_in(2);
    let frame = if progressive { 0xc2 } else { script.pick(&[0xc0_u8, 0xc0, 0xc1, 0xc3, 0xc9]) };
    let (width, height) = (script.pick(&SIDES) as u16, script.pick(&SIDES) as u16);
    let mut header = [&[8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[components]].concat();
    for component in 1..=components {
        header.extend([component, script.pick(&[0x11_u8, 0x22, 0x21, 0x12, 0x41, 0x14, 0x33]), component & 1]);
    }
    file.extend(segment(frame, &header));
    for _ in 0..script.pick(&[1_u8, 1, 3, 10, 49, 60]) {
        let seen = if progressive && script.once_in(2) { 1 } else { components };
        let mut scan = vec![seen];
        for component in 1..=seen {
            scan.extend([component, script.pick(&[0x00_u8, 0x11, 0x10, 0x01])]);
        }
        let first = script.byte() % 64;
        scan.extend(if progressive {
            [first, script.byte() % 64, script.pick(&[0_u8, 1, 0x10, 0x21])]
        } else {
            [0, 63, 0]
        });
        file.extend(segment(0xda, &scan));
        let data = script.data();
        file.extend(data.iter().flat_map(|&byte| [byte, 0].into_iter().take(1 + usize::from(byte == 0xff))));
    }
    if !script.once_in(20) {
        file.extend([0xff, 0xd9]);
    }
    file
}

fn gif(script: &mut Script<'_>) -> Vec<u8> {
    let mut file = script.pick(&[b"GIF89a", b"GIF87a"]).to_vec();
    let (width, height) = (script.pick(&SIDES) as u16, script.pick(&SIDES) as u16);
    file.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    let colours = |packed: u8| vec![0x55; if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }];
    let packed = script.byte();
    file.extend([packed, script.byte(), 0]);
    file.extend(colours(packed));
    let blocks =
        |data: &[u8]| data.chunks(255).flat_map(|part| [&[part.len() as u8][..], part].concat()).collect::<Vec<u8>>();
    for _ in 0..script.pick(&[1_u8, 1, 2, 20]) {
        match script.byte() % 4 {
            0 => file.extend([0x21, 0xf9, 4, script.byte(), 0, 0, script.byte(), 0]),
            1 => file
                .extend([&[0x21, script.pick(&[0xfe_u8, 0xff, 0x01])][..], &blocks(&script.take(400)), &[0]].concat()),
            _ => {}
        }
        let place = if script.once_in(4) { [script.byte(), 0, script.byte(), 0] } else { [0; 4] };
        let (wide, high) = if script.once_in(4) { (script.word(), script.word()) } else { (width, height) };
        file.push(0x2c);
        file.extend(place);
        file.extend([wide.to_le_bytes(), high.to_le_bytes()].concat());
        let packed = script.byte();
        file.push(packed);
        file.extend(colours(packed));
        file.push(script.pick(&[8_u8, 2, 3, 5, 11, 12, 1, 0]));
        file.extend(blocks(&script.data()));
        if !script.once_in(30) {
            file.push(0);
        }
    }
    file.push(0x3b);
    file
}

/// Bits of a lossless WebP, the lowest of a byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> bit & 1 == 1
                && let Some(last) = self.bytes.last_mut()
            {
                *last |= 1 << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Five prefix codes of one or two symbols, or of noise.
    fn group(&mut self, script: &mut Script<'_>) {
        for _ in 0..5 {
            if script.once_in(12) {
                self.put(0, 1);
                for _ in 0..script.byte() % 40 {
                    self.put(script.byte().into(), 8);
                }
                continue;
            }
            self.put(1, 1);
            let two = script.once_in(2);
            self.put(two.into(), 1);
            self.put(1, 1);
            self.put(script.byte().into(), 8);
            if two {
                self.put(script.byte().into(), 8);
            }
        }
    }
}

fn webp(script: &mut Script<'_>) -> Vec<u8> {
    let (width, height) = (script.pick(&SIDES), script.pick(&SIDES));
    let mut bits = Bits::default();
    bits.put(0x2f, 8);
    bits.put(width - 1, 14);
    bits.put(height - 1, 14);
    bits.put(script.byte().into(), 1);
    bits.put(0, 3);
    for _ in 0..script.byte() % 5 {
        bits.put(1, 1);
        let transform = script.byte() % 4;
        bits.put(transform.into(), 2);
        match transform {
            // Predictor and colour: a small picture of their own.
            0 | 1 => {
                bits.put(script.byte().into(), 3);
                bits.put(0, 1);
                bits.group(script);
            }
            3 => {
                bits.put(script.byte().into(), 8);
                bits.put(0, 1);
                bits.group(script);
            }
            _ => {}
        }
    }
    bits.put(0, 1);
    let cached = script.once_in(3);
    bits.put(cached.into(), 1);
    if cached {
        bits.put(script.byte().into(), 4);
    }
    let grouped = script.once_in(3);
    bits.put(grouped.into(), 1);
    let mut groups = 1;
    if grouped {
        bits.put(script.byte().into(), 3);
        bits.put(0, 1);
        // The number of the last group is a colour of this small picture.
        let (red, green) = (script.byte() % 8, script.byte());
        for symbol in [green, red, 0, 0, 0] {
            bits.put(1, 1);
            bits.put(0, 1);
            bits.put(1, 1);
            bits.put(symbol.into(), 8);
        }
        groups = usize::from(red) * 256 + usize::from(green) + 1;
    }
    for _ in 0..groups {
        bits.group(script);
    }
    for byte in script.data() {
        bits.put(byte.into(), 8);
    }
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let mut chunk = [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    };
    let mut chunks = Vec::new();
    if script.once_in(3) {
        let canvas =
            [&[script.byte() & 0x3e, 0, 0, 0][..], &(width - 1).to_le_bytes()[..3], &(height - 1).to_le_bytes()[..3]];
        chunks.extend(chunk(b"VP8X", &canvas.concat()));
        if script.once_in(2) {
            chunks.extend(chunk(b"ICCP", &script.take(300)));
        }
        if script.once_in(2) {
            chunks.extend(chunk(b"ALPH", &script.take(300)));
        }
    }
    chunks.extend(chunk(b"VP8L", &bits.bytes));
    [&b"RIFF"[..], &(chunks.len() as u32 + 4).to_le_bytes(), b"WEBP", &chunks].concat()
}
