//! Uniform bars at the edges of a picture, as letterboxes, frames and screenshots have them: found and cut off before
//! anything is measured, because the liveness networks take them for the edge of a screen.
//!
//! A plain studio background is flat as well and must stay: without it the face would fill the picture. What tells the
//! two apart is how the flat part ends. A bar ends at one line, across the whole width; a background ends at a head and
//! shoulders, which begin narrow and widen over many lines.

use std::ops::Range;

use picture_cell::{Area, Picture, Pixels};

use crate::report::{Extent, Rectangle};

/// A line is flat when its samples differ from the bar's colour by no more than this in any channel: what JPEG leaves of a
/// uniform block at low quality. Sensor noise and the falling light on a wall differ by more across a picture.
const FLAT: u8 = 8;

/// This share of a flat line's samples may differ: a hot pixel, a block that JPEG spoiled.
const FLAT_EXCEPTIONS: f32 = 0.03;

/// Content differs from the bar by more than this in some channel: twice `FLAT`.
const CONTENT: u8 = 16;

/// Where a bar ends, at least three quarters of the line are content, and at least half of it differs by as much from the
/// line `ABRUPT` before: no head and shoulders widen so fast, and no background that was drawn to fade does so in three lines.
/// Where bars meet in a corner, the line is what lies between them, and all of them have to end so: a person before a plain
/// wall fills no rectangle.
const LINES_END: [f32; 2] = [0.75, 0.5];

/// A bar's end is at most this many lines thick: it was drawn sharp, or scaled a little.
const ABRUPT: usize = 3;

/// JPEG rings within its blocks of 8 (chroma: 16) pixels, so the flat part may end that far before the bar does.
const RINGING: usize = 17;

/// A line is judged by about this many samples.
const SAMPLES: usize = 160;

/// A bar takes at most this share of a side: the widest film on a phone held upright leaves a quarter to the content.
const LARGEST: f32 = 0.4;

/// A frame in a frame is cut twice; more is no picture of a person.
const ROUNDS: usize = 3;

/// Where the content of a picture lies in the whole that was sent, as a person sees both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    left: usize,
    top: usize,
    /// What the whole is wider and higher.
    more: (usize, usize),
}

/// Cuts the bars off a picture, and says where they were.
pub(crate) fn cut(picture: &mut Picture) -> Frame {
    let whole = (picture.pixels.width(), picture.pixels.height());
    let area = content(&picture.pixels);
    if (area.width, area.height) == whole {
        return Frame::default();
    }
    picture.pixels = picture.pixels.crop(area);
    let seen = picture.orientation.area(area, whole);
    let (width, height) = picture.orientation.size(whole);
    Frame { left: seen.left, top: seen.top, more: (width - seen.width, height - seen.height) }
}

impl Frame {
    /// Size of the whole picture round the content.
    pub(crate) fn size(&self, content: &Picture) -> (usize, usize) {
        let (width, height) = content.seen_size();
        (width + self.more.0, height + self.more.1)
    }

    /// The share of what was sent that the content is, for what is judged by its size. Bars of more than a quarter of both
    /// axes are no frame of a picture: a small picture was laid on a large sheet, and a face on it stays small.
    pub(crate) fn share(&self, content: &Picture) -> f32 {
        let (width, height) = self.size(content);
        if self.more.0 * 4 <= width || self.more.1 * 4 <= height {
            return 1.0;
        }
        let area = |(width, height): (usize, usize)| width as f32 * height as f32;
        area(content.seen_size()) / area((width, height))
    }

    /// Where the content lies.
    pub(crate) fn content(&self, content: &Picture) -> Rectangle {
        let (width, height) = content.seen_size();
        let (width, height) = (width as u32, height as u32);
        self.rectangle(Rectangle { top: 0, left: 0, width, height, right: width, bottom: height })
    }

    /// A point of the content in the whole.
    pub(crate) fn point(&self, p: [f32; 2]) -> [f32; 2] {
        [p[0] + self.left as f32, p[1] + self.top as f32]
    }

    /// A box of the content in the whole.
    pub(crate) fn extent(&self, e: Extent) -> Extent {
        Extent { left: e.left + self.left as f32, top: e.top + self.top as f32, ..e }
    }

    /// Whole pixels of the content in the whole.
    pub(crate) fn rectangle(&self, r: Rectangle) -> Rectangle {
        let (left, top) = (r.left + self.left as u32, r.top + self.top as u32);
        Rectangle { top, left, right: left + r.width, bottom: top + r.height, ..r }
    }
}

/// The part of the picture inside its bars: the whole picture when it has none.
fn content(pixels: &Pixels) -> Area {
    let mut area = Area { left: 0, top: 0, width: pixels.width(), height: pixels.height() };
    for _ in 0..ROUNDS {
        let inner = inside(pixels, area);
        if inner == area {
            break;
        }
        area = inner;
    }
    area
}

/// `area` without the bars at its four edges.
fn inside(pixels: &Pixels, area: Area) -> Area {
    let edges = [Edge::Top, Edge::Bottom, Edge::Left, Edge::Right].map(|edge| Lines { pixels, area, edge });
    let flat = edges.each_ref().map(Lines::flat);
    let across = ends(&edges, &flat, |edge| 0..edge.size().1);
    let [top, bottom, left, right] = if across.iter().any(Option::is_some) {
        across.map(Option::unwrap_or_default)
    } else {
        frame(&edges, &flat).unwrap_or_default()
    };
    Area {
        left: area.left + left,
        top: area.top + top,
        width: area.width - left - right,
        height: area.height - top - bottom,
    }
}

/// How many lines to cut off at each edge when bars of one colour meet in corners: all of them, or none.
fn frame(edges: &[Lines<'_>; 4], flat: &[Option<Run>; 4]) -> Option<[usize; 4]> {
    let colour = flat.iter().flatten().next()?.colour;
    if flat.iter().flatten().any(|run| differs(run.colour, colour) > FLAT) {
        return None;
    }
    let [top, bottom, left, right] = flat.map(|run| run.map_or(0, |run| run.lines));
    let area = edges[0].area;
    let between = |edge: &Lines<'_>| match edge.edge {
        Edge::Top | Edge::Bottom => left..area.width - right,
        Edge::Left | Edge::Right => top..area.height - bottom,
    };
    let ends = ends(edges, flat, between);
    // A bar on either axis, and no flat edge that ends otherwise.
    let corner = ends[..2].iter().any(Option::is_some) && ends[2..].iter().any(Option::is_some);
    let all = ends.iter().zip(flat).all(|(end, run)| end.is_some() || run.is_none());
    (corner && all).then(|| ends.map(Option::unwrap_or_default))
}

/// Where the bar at each edge ends, looked at within a part of its lines.
fn ends(
    edges: &[Lines<'_>; 4],
    flat: &[Option<Run>; 4],
    part: impl Fn(&Lines<'_>) -> Range<usize>,
) -> [Option<usize>; 4] {
    let pair = |first: usize| {
        let ends = [first, first + 1].map(|i| flat[i].and_then(|run| edges[i].end(run, part(&edges[i]))));
        // Beside a certain bar the opposite edge may be flat in the same colour and end in something dark: that is its twin.
        let twin = |mine: Option<Run>, other: Option<Run>, end: Option<usize>| {
            let (mine, other, end) = (mine?, other?, end?);
            let alike = differs(mine.colour, other.colour) <= FLAT;
            (alike && mine.lines + RINGING >= end).then_some(mine.lines.min(end))
        };
        [
            ends[0].or_else(|| twin(flat[first], flat[first + 1], ends[1])),
            ends[1].or_else(|| twin(flat[first + 1], flat[first], ends[0])),
        ]
    };
    let ([top, bottom], [left, right]) = (pair(0), pair(2));
    [top, bottom, left, right]
}

#[derive(Debug, Clone, Copy)]
enum Edge {
    Top,
    Bottom,
    Left,
    Right,
}

/// The lines of an area, counted from one of its edges.
struct Lines<'p> {
    pixels: &'p Pixels,
    area: Area,
    edge: Edge,
}

/// Flat lines from the edge on.
#[derive(Debug, Clone, Copy)]
struct Run {
    lines: usize,
    colour: [u8; 3],
}

impl Lines<'_> {
    /// How many lines there are, and how long each is.
    fn size(&self) -> (usize, usize) {
        match self.edge {
            Edge::Top | Edge::Bottom => (self.area.height, self.area.width),
            Edge::Left | Edge::Right => (self.area.width, self.area.height),
        }
    }

    fn at(&self, line: usize, along: usize) -> [u8; 3] {
        let Area { left, top, width, height } = self.area;
        match self.edge {
            Edge::Top => self.pixels.at(left + along, top + line),
            Edge::Bottom => self.pixels.at(left + along, top + height - 1 - line),
            Edge::Left => self.pixels.at(left + line, top + along),
            Edge::Right => self.pixels.at(left + width - 1 - line, top + along),
        }
    }

    /// The share of the samples along a part of a line for which something is true.
    fn share(part: Range<usize>, of: impl Fn(usize) -> bool) -> f32 {
        let step = (part.len() / SAMPLES).max(1);
        let (hits, all) = part.step_by(step).fold((0, 0), |(hits, all), at| (hits + u32::from(of(at)), all + 1));
        hits as f32 / all.max(1) as f32
    }

    /// How many lines a bar may take.
    fn most(&self) -> usize {
        (self.size().0 as f32 * LARGEST) as usize
    }

    /// The flat lines at the edge, as far as a bar may reach.
    fn flat(&self) -> Option<Run> {
        let (length, colour) = (self.size().1, self.at(0, self.size().1 / 2));
        let unlike = |line, along| differs(self.at(line, along), colour) > FLAT;
        let is_flat = |line: &usize| Self::share(0..length, |along| unlike(*line, along)) <= FLAT_EXCEPTIONS;
        let lines = (0..self.most()).take_while(is_flat).count();
        (lines > 0).then_some(Run { lines, colour })
    }

    /// Where the bar that begins with `run` ends, looked at within a part of the lines; `None` when it is no bar.
    fn end(&self, run: Run, part: Range<usize>) -> Option<usize> {
        let [content, jump] = LINES_END;
        let unlike = |line, along| differs(self.at(line, along), run.colour) > CONTENT;
        let end = (run.lines..=(run.lines + RINGING).min(self.most()))
            .find(|&line| Self::share(part.clone(), |along| unlike(line, along)) >= content)?;
        let before = end.saturating_sub(ABRUPT);
        let jumped = Self::share(part, |along| differs(self.at(end, along), self.at(before, along)) > CONTENT);
        (jumped >= jump).then_some(end)
    }
}

/// The largest difference of two colours in a channel.
fn differs(a: [u8; 3], b: [u8; 3]) -> u8 {
    a[0].abs_diff(b[0]).max(a[1].abs_diff(b[1])).max(a[2].abs_diff(b[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: usize, height: usize, colour: impl Fn(usize, usize) -> [u8; 3]) -> Pixels {
        let data = (0..width * height).flat_map(|i| colour(i % width, i / width)).collect();
        Pixels::new(width, height, data).expect("sizes fit")
    }

    /// Speckled, brighter than 40.
    fn scene(x: usize, y: usize) -> [u8; 3] {
        let value = 40 + (x * x / 7 + y * y / 5 + x * y / 11) % 200;
        [value as u8, (value / 2 + 60) as u8, 90]
    }

    fn area(left: usize, top: usize, width: usize, height: usize) -> Area {
        Area { left, top, width, height }
    }

    #[test]
    fn bars_of_any_colour_are_cut_to_the_line() {
        for colour in [[0; 3], [255; 3], [16, 17, 15], [10, 40, 200]] {
            let boxed = drawn(320, 240, |x, y| if (30..200).contains(&y) { scene(x, y) } else { colour });
            assert_eq!(content(&boxed), area(0, 30, 320, 170), "{colour:?}");
            let pillars = drawn(320, 240, |x, y| if (40..280).contains(&x) { scene(x, y) } else { colour });
            assert_eq!(content(&pillars), area(40, 0, 240, 240), "{colour:?}");
            let frame = |x: usize, y: usize| (12..300).contains(&x) && (20..225).contains(&y);
            let framed = drawn(320, 240, |x, y| if frame(x, y) { scene(x, y) } else { colour });
            assert_eq!(content(&framed), area(12, 20, 288, 205), "{colour:?}");
            // Narrower than its frame on both axes, with four bars and with two.
            let photo = |x: usize, y: usize| (100..220).contains(&x) && (50..170).contains(&y);
            let framed = drawn(320, 240, |x, y| if photo(x, y) { scene(x, y) } else { colour });
            assert_eq!(content(&framed), area(100, 50, 120, 120), "{colour:?}");
            let corner = drawn(320, 240, |x, y| if x >= 110 && y >= 90 { scene(x, y) } else { colour });
            assert_eq!(content(&corner), area(110, 90, 210, 150), "{colour:?}");
            let below = drawn(320, 240, |x, y| if y < 150 { scene(x, y) } else { colour });
            assert_eq!(content(&below), area(0, 0, 320, 150), "{colour:?}");
        }
    }

    #[test]
    fn a_bar_with_noise_is_cut_and_one_with_a_caption_is_not() {
        let noise = |x: usize, y: usize| ((x * 7919 + y * 104_729) % 26) as u8;
        let boxed = drawn(320, 240, |x, y| if (30..200).contains(&y) { scene(x, y) } else { [noise(x, y); 3] });
        assert_eq!(content(&boxed).height, 240, "26 levels are no noise of a bar");
        let boxed = drawn(320, 240, |x, y| if (30..200).contains(&y) { scene(x, y) } else { [noise(x, y) / 4; 3] });
        assert_eq!(content(&boxed), area(0, 30, 320, 170));
        let caption = |x: usize, y: usize| (8..22).contains(&y) && (40..120).contains(&x) && x % 5 < 2;
        let boxed =
            drawn(320, 240, |x, y| if y >= 30 { scene(x, y) } else { [if caption(x, y) { 250 } else { 0 }; 3] });
        assert_eq!(content(&boxed).top, 0);
    }

    #[test]
    fn a_twin_that_ends_in_the_dark_is_cut_like_the_certain_bar() {
        // The lower third of the content is as black as the bars.
        let boxed = drawn(320, 240, |x, y| if (30..150).contains(&y) { scene(x, y) } else { [2; 3] });
        assert_eq!(content(&boxed), area(0, 30, 320, 120), "black as far as a bar may reach is a bar");
        let dark = drawn(320, 240, |x, y| if (30..90).contains(&y) { scene(x, y) } else { [2; 3] });
        assert_eq!(content(&dark), area(0, 30, 320, 180));
    }

    #[test]
    fn a_plain_background_behind_head_and_shoulders_stays() {
        let inside = |x: usize, y: usize, [cx, cy]: [f32; 2], [rx, ry]: [f32; 2]| {
            ((x as f32 - cx) / rx).powi(2) + ((y as f32 - cy) / ry).powi(2) <= 1.0
        };
        for background in [[255; 3], [0; 3], [120, 140, 160]] {
            for size in [1, 2, 4] {
                let scale = size as f32;
                // Shoulders that leave the picture, that stay inside it, and none; a square crop of hair as flat as hair gets.
                for shoulders in [190.0_f32, 90.0, 0.0] {
                    let person = |x: usize, y: usize| {
                        let head = inside(x, y, [120.0 * scale, 110.0 * scale], [50.0 * scale, 65.0 * scale]);
                        head || inside(x, y, [120.0 * scale, 330.0 * scale], [shoulders * scale, 140.0 * scale])
                    };
                    let colour = |x, y| if person(x, y) { scene(x, y) } else { background };
                    let portrait = drawn(240 * size, 320 * size, colour);
                    assert_eq!(
                        content(&portrait),
                        area(0, 0, 240 * size, 320 * size),
                        "{background:?} {size} {shoulders}"
                    );
                }
            }
        }
    }

    #[test]
    fn pictures_of_nothing_and_of_few_pixels_stay() {
        for (width, height) in [(1, 1), (2, 1), (1, 2), (3, 3), (7, 2), (64, 64)] {
            assert_eq!(content(&drawn(width, height, |_, _| [9; 3])), area(0, 0, width, height));
            let corner = content(&drawn(width, height, |x, y| if x + y == 0 { [200; 3] } else { [9; 3] }));
            assert!(corner.width > 0 && corner.height > 0);
        }
        let sky = drawn(200, 200, |x, y| if y < 90 { [(200 + y / 3) as u8; 3] } else { scene(x, y) });
        assert_eq!(content(&sky), area(0, 0, 200, 200), "a gradient is no bar");
        // As behind many official portraits: drawn, so that each line has one colour.
        let faded =
            drawn(175, 214, |x, y| if y < 60 || x < 40 { [30, 40, (60 + 2 * y / 3) as u8] } else { scene(x, y) });
        assert_eq!(content(&faded), area(0, 0, 175, 214));
    }

    #[test]
    fn what_was_found_inside_the_bars_is_told_in_the_whole() {
        let boxed = drawn(320, 240, |x, y| if (30..200).contains(&y) { scene(x, y) } else { [0; 3] });
        for exif in 1..=8 {
            let orientation = picture_cell::Orientation::from_exif(exif);
            let pixels = orientation.inverse().apply(boxed.clone());
            let mut picture = Picture { pixels, orientation, exif_orientation: exif, format: "png" };
            let frame = cut(&mut picture);
            assert_eq!((picture.seen_size(), frame.size(&picture)), ((320, 170), (320, 240)), "orientation {exif}");
            assert_eq!(frame.point([5.0, 6.0]), [5.0, 36.0]);
            let whole = Rectangle { top: 30, left: 0, width: 320, height: 170, right: 320, bottom: 200 };
            assert_eq!(frame.content(&picture), whole);
        }
    }

    #[test]
    fn only_bars_of_more_than_a_quarter_of_both_axes_are_a_sheet() {
        let share = |pixels: Pixels| {
            let mut picture =
                Picture { pixels, orientation: picture_cell::Orientation::UPRIGHT, exif_orientation: 1, format: "png" };
            cut(&mut picture).share(&picture)
        };
        let laid = |left: usize, top: usize, width: usize, height: usize| {
            let inside = move |x, y| (left..left + width).contains(&x) && (top..top + height).contains(&y);
            share(drawn(320, 240, |x, y| if inside(x, y) { scene(x, y) } else { [0; 3] }))
        };
        assert_eq!(laid(0, 0, 320, 240), 1.0);
        assert_eq!(laid(40, 30, 240, 180), 1.0, "a quarter of both");
        assert_eq!(laid(38, 28, 244, 184), 1.0);
        assert_eq!(laid(80, 20, 160, 200), 1.0, "half of one");
        assert_eq!(laid(42, 32, 236, 176), 236.0 * 176.0 / (320.0 * 240.0));
        assert_eq!(laid(100, 50, 120, 120), 0.1875);
        // A fifth of each border of the content is as black as the bars: none ends across the whole picture.
        let dark = |at: usize| at < 92;
        let inside = |at: usize| (20..380).contains(&at);
        let vignette = drawn(400, 400, |x, y| {
            let corner = dark(x) && dark(y) || dark(399 - x) && dark(399 - y);
            if inside(x) && inside(y) && !corner { scene(x, y) } else { [0; 3] }
        });
        assert_eq!(content(&vignette), area(20, 20, 360, 360));
        assert_eq!(share(vignette), 1.0);
    }
}
