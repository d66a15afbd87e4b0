//! HEIC and AVIF whose containers lie: each is refused, or its cell ended by a limit, in time and memory, and the picture
//! after it is decoded.
#![cfg(all(target_os = "linux", feature = "heic", feature = "avif"))]

#[path = "support/heif.rs"]
mod heif;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use heif::{AVIF, Coding, HEIC, Heif, alpha, boxed, grid_of, hevc_of, size};
use picture_cell::cell::{Cells, Program};
use picture_cell::{DecodeError, DecodeLimits, Endings};

/// Low ones, so that what runs into them does so soon.
const LIMITS: DecodeLimits =
    DecodeLimits { max_pixels: 1 << 20, max_side: 10_000, max_decode_ms: 1_000, max_decode_bytes: 48 << 20 };

/// Where a file is to be refused for what it is, and not for the time that a busy machine takes to find out.
const PATIENT_MS: u64 = 3_000;

/// What a cell may take beyond what it has at its start: see `DecodeLimits::max_decode_bytes`. Its bytes and pixels lie in
/// memory that is there from the start.
const MOST_MEMORY: u64 = LIMITS.max_decode_bytes / 4 * 5;
/// Longest file.
const ROOM: usize = 16 << 20;

/// What a file is, the file, and what may come of it.
type Hostile = (&'static str, Vec<u8>, &'static [&'static str]);

const MALFORMED: &[&str] = &["image_malformed"];
const REFUSED: &[&str] = &["image_malformed", "image_format_unsupported"];
const TOO_LARGE: &[&str] = &["image_too_many_pixels", "image_side_too_long", "image_malformed"];
const COSTLY_OR_MALFORMED: &[&str] = &["image_malformed", "image_too_costly"];
const COSTLY: &[&str] = &["image_too_costly"];
const ANY: &[&str] = &[
    "decoded",
    "image_too_many_pixels",
    "image_side_too_long",
    "image_malformed",
    "image_format_unsupported",
    "image_too_costly",
];

/// With one change.
fn changed(mut file: Heif, change: impl FnOnce(&mut Heif)) -> Vec<u8> {
    change(&mut file);
    file.file()
}

fn files_of(coding: Coding) -> Vec<Hostile> {
    let single = || Heif::single(coding);
    let piece = |begin: u64, length: u64| changed(single(), |file| file.items[0].pieces = vec![(begin, length)]);
    let pieces = |number: usize, begin: u64, length: u64| {
        changed(single(), |file| file.items[0].pieces = vec![(begin, length); number])
    };
    // Eleven megabytes, nearly the largest that a request may have.
    let padded = |pieces: Vec<(u64, u64)>| {
        changed(single(), |file| {
            file.data.resize(11 << 20, 0);
            file.items[0].pieces = pieces;
        })
    };
    let circle = |kind: [u8; 4], links: &[([u8; 4], u32, u32)]| {
        changed(single(), |file| {
            for id in 2..5 {
                file.add(id, kind, &grid_of(1, 1, 50, 37), &[2]);
            }
            file.references = links.iter().map(|&(kind, from, to)| (kind, from, vec![to])).collect();
            file.primary = 2;
        })
    };
    let alphas = |links: &[(u32, u32)]| {
        changed(single(), |file| {
            let is_alpha = file.property(alpha());
            file.items[0].properties.push(is_alpha);
            file.add(2, *b"grid", &grid_of(1, 1, 50, 37), &[2, is_alpha]);
            file.references = links.iter().map(|&(from, to)| (*b"auxl", from, vec![to])).collect();
            file.references.push((*b"dimg", 2, vec![1]));
        })
    };
    let chain = |length: u32| {
        changed(single(), |file| {
            for id in 2..length + 2 {
                file.add(id, *b"iden", &[], &[2]);
                file.references.push((*b"dimg", id, vec![id - 1]));
            }
            file.primary = length + 1;
        })
    };
    vec![
        ("a size of nothing", changed(single(), |file| file.properties[1] = size(0, 37)), ANY),
        ("a huge size", changed(single(), |file| file.properties[1] = size(u32::MAX, u32::MAX)), ANY),
        ("a size that is too small", changed(single(), |file| file.properties[1] = size(1, 1)), ANY),
        ("no size", changed(single(), |file| file.properties[1] = boxed(*b"ispe", &[0; 5])), ANY),
        ("a huge grid", Heif::grid(coding, 1, 1, u32::MAX, u32::MAX).file(), TOO_LARGE),
        ("a long grid", Heif::grid(coding, 1, 255, 100_000, 2).file(), TOO_LARGE),
        ("a grid of nothing", Heif::grid(coding, 2, 2, 0, 0).file(), MALFORMED),
        ("a grid whose tiles do not cover it", Heif::grid(coding, 2, 2, 900, 900).file(), ANY),
        ("a grid of tiles that nobody sees", Heif::grid(coding, 255, 255, 16, 16).file(), COSTLY_OR_MALFORMED),
        ("a grid of 65,025 tiles, one item", Heif::grid(coding, 255, 255, 1_000, 1_000).file(), ANY),
        (
            "a grid that names fewer tiles than it has",
            changed(Heif::grid(coding, 200, 200, 1_000, 1_000), |file| file.references[0].2.truncate(1)),
            MALFORMED,
        ),
        (
            "a grid of which one tile is the grid",
            changed(Heif::grid(coding, 2, 2, 100, 70), |file| file.references[0].2[3] = 2),
            REFUSED,
        ),
        (
            "a grid of grids, one in the other",
            changed(Heif::grid(coding, 1, 1, 50, 37), |file| {
                for id in 3..2_000 {
                    file.add(id, *b"grid", &grid_of(1, 1, 50, 37), &[2]);
                    file.references.push((*b"dimg", id, vec![id - 1]));
                }
                file.primary = 1_999;
            }),
            REFUSED,
        ),
        ("a grid of itself", circle(*b"grid", &[(*b"dimg", 2, 2)]), REFUSED),
        ("grids in a circle", circle(*b"grid", &[(*b"dimg", 2, 3), (*b"dimg", 3, 4), (*b"dimg", 4, 2)]), REFUSED),
        ("identities in a circle", circle(*b"iden", &[(*b"dimg", 2, 3), (*b"dimg", 3, 4), (*b"dimg", 4, 2)]), REFUSED),
        ("an overlay of itself", circle(*b"iovl", &[(*b"dimg", 2, 2)]), REFUSED),
        ("a picture that is its own alpha", alphas(&[(1, 1)]), ANY),
        ("two pictures, each the other's alpha", alphas(&[(1, 2), (2, 1)]), ANY),
        ("twenty identities", chain(20), ANY),
        ("4,000 identities", chain(4_000), REFUSED),
        ("a primary item that is not there", changed(single(), |file| file.primary = 77), MALFORMED),
        ("an item that lies behind the file", piece(1 << 40, 800), MALFORMED),
        ("an item that leaves the file", piece(Heif::DATA_AT, 1 << 40), MALFORMED),
        ("an item whose end is beyond all numbers", piece(u64::MAX - 10, 800), MALFORMED),
        ("an item of the file's own boxes", piece(0, 200), ANY),
        ("an item without bytes", pieces(0, 0, 0), MALFORMED),
        ("65,535 pieces that are the same", pieces(65_535, Heif::DATA_AT, 400), ANY),
        ("65,535 pieces up to the end", pieces(65_535, Heif::DATA_AT, 0), MALFORMED),
        ("pieces that add up to nothing", pieces(2, Heif::DATA_AT, 1 << 63), MALFORMED),
        ("65,535 times eleven megabytes", padded(vec![(0, 11 << 20); 65_535]), COSTLY_OR_MALFORMED),
        ("65,535 times up to the end", padded(vec![(0, 0); 65_535]), MALFORMED),
        (
            "4,000 items of 65,535 pieces that take no bytes",
            changed(single(), |file| {
                let count = 4_000_u16;
                let items = (2..count + 2).flat_map(|id| [&id.to_be_bytes()[..], &[0, 0, 0xff, 0xff]].concat());
                let head = [&[0; 6][..], &count.to_be_bytes()].concat();
                file.more = boxed(*b"iloc", &head.into_iter().chain(items).collect::<Vec<_>>());
            }),
            if coding.name == AVIF.name { MALFORMED } else { ANY },
        ),
        (
            "places for more items than there are",
            changed(single(), |file| {
                // The number of items stands twelve bytes behind the box's kind.
                file.more = boxed(*b"iloc", &[&[2, 0, 0, 0, 0x88, 0][..], &[0xff; 4], &[0; 900]].concat());
            }),
            MALFORMED,
        ),
        ("an item in another item", changed(single(), |file| file.items[0].method = 2), REFUSED),
        (
            "500,000 items",
            changed(single(), |file| {
                let entry =
                    boxed(*b"infe", &[&[3, 0, 0, 0][..], &7_u32.to_be_bytes(), &[0, 0], b"Exif", &[0]].concat());
                file.more = boxed(*b"iinf", &[&[1, 0, 0, 0, 0, 7, 0xa1, 0x20][..], &entry.repeat(500_000)].concat());
            }),
            ANY,
        ),
        (
            "100,000 items of metadata, and as many references",
            changed(single(), |file| {
                for id in 10..100_010 {
                    file.add(id, *b"Exif", &[], &[]);
                    file.references.push((*b"cdsc", id, vec![9]));
                }
            }),
            COSTLY_OR_MALFORMED,
        ),
        (
            "100,000 places of one item",
            changed(single(), |file| {
                let item = file.items[0].clone();
                file.items.extend((0..100_000).map(|_| item.clone()));
            }),
            ANY,
        ),
        (
            "a million references to the picture",
            changed(single(), |file| file.references = (0..400).map(|id| (*b"auxl", id + 9, vec![1; 2_500])).collect()),
            ANY,
        ),
        (
            "turned 255 times",
            changed(single(), |file| {
                let turned = file.property(boxed(*b"irot", &[1]));
                let own = &mut file.items[0].properties;
                own.resize(255, turned);
            }),
            ANY,
        ),
        (
            "identities that are turned 5,000 times",
            changed(single(), |file| {
                let turned = file.property(boxed(*b"irot", &[1]));
                for id in 2..25 {
                    file.add(id, *b"iden", &[], &[turned; 240]);
                    file.references.push((*b"dimg", id, vec![id - 1]));
                }
                file.primary = 24;
            }),
            ANY,
        ),
        (
            "an aperture of nothing",
            changed(single(), |file| {
                let nothing = file.property(boxed(*b"clap", &[0; 32]));
                file.items[0].properties.push(nothing);
            }),
            REFUSED,
        ),
        (
            "300 containers, one in the other",
            changed(single(), |file| file.more = (0..300).fold(Vec::new(), |inner, _| boxed(*b"iprp", &inner))),
            ANY,
        ),
        (
            "a box of no length, and one of all",
            changed(single(), |file| {
                file.more = [&boxed(*b"free", &[])[..], &[0, 0, 0, 1], b"free", &[0xff; 8]].concat()
            }),
            ANY,
        ),
        (
            "a configuration of noise",
            changed(single(), |file| file.properties[0][8..].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(77))),
            ANY,
        ),
        ("coded bytes of nothing", changed(single(), |file| file.data.fill(0)), MALFORMED),
        ("coded bytes that end soon", changed(single(), |file| file.data.truncate(9)), MALFORMED),
    ]
}

/// What only H.265 has: the size of a coded picture stands in its configuration.
fn files_of_hevc() -> Vec<Hostile> {
    let coded_as = |width, height, chroma, depth| {
        changed(Heif::single(HEIC), |file| file.properties[0] = hevc_of(width, height, chroma, depth, [0, 3, 0, 3]))
    };
    let tile = |width, height| {
        changed(Heif::grid(HEIC, 1, 1, 50, 37), |file| {
            file.properties[0] = hevc_of(width, height, 1, 8, [0, 3, 0, 3]);
        })
    };
    vec![
        ("another size than the coded one", coded_as(640, 640, 1, 8), ANY),
        ("16 bits and full colour", coded_as(1_024, 1_024, 3, 16), ANY),
        ("a coded picture that is huge", coded_as(1 << 20, 1 << 20, 1, 8), TOO_LARGE),
        ("a coded picture of 16,384 x 16,384", coded_as(16_384, 16_384, 1, 8), TOO_LARGE),
        ("a small grid of one tile of 16,384 x 16,384", tile(16_384, 16_384), COSTLY),
        ("a small grid of one tile of 1 x 2^28", tile(1, 1 << 28), COSTLY),
    ]
}

fn code(result: Result<picture_cell::Picture, DecodeError>) -> &'static str {
    match result {
        Ok(_) => "decoded",
        Err(DecodeError::Picture(error)) => error.code(),
        Err(DecodeError::Cell(error)) => panic!("{error}"),
    }
}

/// The most memory that a cell of this program had addresses for, of those that live.
fn peak() -> u64 {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").expect("Linux").filter_map(|entry| {
        let status = std::fs::read_to_string(entry.ok()?.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let is_cell = field("PPid:")? == own && field("Name:")? == "facegate-cell";
        is_cell.then(|| field("VmPeak:")?.strip_suffix(" kB")?.parse::<u64>().ok()).flatten()
    });
    processes.max().unwrap_or(0) * 1024
}

/// Ends the watching also where a check fails: its scope would wait for ever.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_container_that_lies_costs_one_picture_within_the_limits() {
    let start = |limits| {
        let program = Program { path: env!("CARGO_BIN_EXE_picture-cell").into(), words: Vec::new() };
        let cells = Cells::start(program, limits, 1, ROOM).expect("a thread");
        cells.warm_up().expect("a cell");
        cells
    };
    let hasty = start(LIMITS);
    let patient = start(DecodeLimits { max_decode_ms: PATIENT_MS, ..LIMITS });
    let at_rest = peak();
    assert!(at_rest > 0);
    let good = [HEIC, AVIF].map(|coding| Heif::single(coding).file());
    let grids = [HEIC, AVIF].map(|coding| Heif::grid(coding, 2, 3, coding.coded.0 * 2 + 9, coding.coded.1 + 9).file());
    for file in good.iter().chain(&grids) {
        assert_eq!(code(patient.decode(file)), "decoded");
    }
    let all = [("HEIC", files_of(HEIC)), ("AVIF", files_of(AVIF)), ("HEIC", files_of_hevc())];
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let until_here = Done(&done);
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(peak());
                std::thread::sleep(Duration::from_millis(2));
            }
            most
        });
        for (format, (name, file, expected)) in
            all.iter().flat_map(|(f, files)| files.iter().map(move |file| (f, file)))
        {
            let (cells, late) = if expected.contains(&"image_too_costly") {
                (&hasty, LIMITS.longest() + Duration::from_millis(500))
            } else {
                (&patient, Duration::from_millis(PATIENT_MS))
            };
            let attempt = || {
                let begin = Instant::now();
                (code(cells.decode(file)), begin.elapsed())
            };
            let (mut code, mut took) = attempt();
            // Once more, since this test or the cell may only have been held up.
            if took >= late {
                (code, took) = attempt();
            }
            assert!(expected.contains(&code), "{format}, {name}: {code}");
            assert!(took < late, "{format}, {name}: {took:?}");
            for good in &good {
                assert_eq!(self::code(cells.decode(good)), "decoded", "after {format}, {name}");
            }
        }
        drop(until_here);
        watch.join().expect("no panic")
    });
    assert!(most <= at_rest + MOST_MEMORY, "{most} bytes, {at_rest} at rest");
    for cells in [hasty, patient] {
        let Endings { crash, nonsense, panic, .. } = cells.endings();
        assert_eq!((crash, nonsense, panic), (0, 0, 0));
    }
}
