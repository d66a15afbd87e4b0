//! Pictures with what was found drawn on them: box, landmarks, verdict; one by one or many on a contact sheet.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use embedded_graphics::mono_font::iso_8859_1::{FONT_8X13, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Dimensions, DrawTarget, OriginDimensions, Pixel, Point, Primitive, Size};
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use embedded_graphics::{Drawable, pixelcolor::WebColors};
use face_analysis::report::Details;
use face_analysis::rules::{Action, RuleVerdict};
use face_analysis::{Analysis, Verdict};
use image::imageops::FilterType;
use image::{Rgb, RgbImage};
use picture_cell::Picture;

use crate::drawings::{DrawingError, Drawings, format_of};

/// Longer side of the drawn picture: large enough to look at, small enough that lines and letters stay legible.
const MAX_SIDE: u32 = 1280;

/// Smaller pictures are enlarged to this width, so that a line of text fits under them.
const MIN_WIDTH: u32 = 480;

/// Room around a text line and between the box's double line, in pixels.
const GAP: i32 = 8;

/// Longer side of the picture in a tile of a contact sheet.
const TILE_SIDE: u32 = 256;

/// A picture as a person sees it, to be drawn on.
#[derive(Debug)]
pub struct Original(RgbImage);

impl Original {
    /// The pixels turned upright as their EXIF orientation says.
    pub fn of(picture: Picture) -> Self {
        let pixels = picture.orientation.apply(picture.pixels);
        let (width, height) = (pixels.width() as u32, pixels.height() as u32);
        Self(RgbImage::from_raw(width, height, pixels.data().to_vec()).unwrap_or_default())
    }

    /// The picture with box, landmarks and verdict of an analysis that was made with details.
    pub fn annotated(&self, analysis: &Analysis) -> RgbImage {
        let (width, height) = self.0.dimensions();
        let scale = (MAX_SIDE as f32 / width.max(height) as f32).min((MIN_WIDTH as f32 / width as f32).max(1.0));
        let mut canvas = if scale == 1.0 {
            Canvas(self.0.clone())
        } else {
            let side = |length: u32| ((length as f32 * scale).round() as u32).max(1);
            Canvas(image::imageops::resize(&self.0, side(width), side(height), FilterType::Triangle))
        };
        let color = verdict_color(analysis);
        if let Some(details) = &analysis.details {
            draw_faces(&mut canvas, details, scale, color);
            draw_landmarks(&mut canvas, details, scale);
        }
        let columns = (canvas.0.width() as usize).saturating_sub(2 * GAP as usize) / 10;
        with_caption(canvas.0, &wrapped(&verdict_text(analysis), columns), color)
    }

    /// The picture small, with the box of an analysis that was made with details, its name and its outcome.
    pub fn tile(&self, name: &str, analysis: &Analysis) -> RgbImage {
        let (width, height) = self.0.dimensions();
        let scale = TILE_SIDE as f32 / width.max(height) as f32;
        let side = |length: u32| ((length as f32 * scale).round() as u32).clamp(1, TILE_SIDE);
        let mut small = Canvas(image::imageops::thumbnail(&self.0, side(width), side(height)));
        let color = verdict_color(analysis);
        if let Some(details) = &analysis.details {
            draw_faces(&mut small, details, scale, color);
        }
        let text = match &analysis.verdict {
            Verdict::Accepted(face) => {
                let gender = if face.gender >= 0 { "female" } else { "male" };
                let liveness = analysis.details.as_ref().and_then(|details| details.liveness.as_ref());
                // Of a picture without colour the score says nothing.
                let judged = liveness.is_none_or(|liveness| liveness.reliability > 0.0);
                let live = format!("live {:.2}", face.passive_liveness_score);
                format!("OK {} {gender}, {}", face.age, if judged { &live } else { "liveness not judged" })
            }
            Verdict::Rejected(rejection) => rejection.word.as_str().to_owned(),
        };
        captioned_tile(&small.0, name, [&text, &liveness_text(analysis)], color)
    }
}

/// What each liveness network says alone, and how many times the face the picture is, on which the score depends.
fn liveness_text(analysis: &Analysis) -> String {
    let Some(liveness) = analysis.details.as_ref().and_then(|details| details.liveness.as_ref()) else {
        return String::new();
    };
    let mut text = String::new();
    for network in &liveness.models {
        // What tells one from the other: whole names would fill the tile.
        let name =
            network.model.trim_start_matches("MiniFASNet").trim_end_matches("_liveness").trim_end_matches(" liveness");
        // Writing to a string cannot fail.
        let _ = write!(text, "{name} {:.2}, ", network.live);
    }
    let _ = write!(text, "room {:.1}x", liveness.surrounding);
    text
}

/// The tile of what is no picture.
pub fn tile_without_picture(name: &str, code: &str) -> RgbImage {
    let blank = RgbImage::from_pixel(TILE_SIDE, TILE_SIDE, Rgb([45, 45, 50]));
    captioned_tile(&blank, name, [code, ""], REJECTED)
}

/// Letters under a tile.
const TILE_FONT: MonoFont<'static> = FONT_8X13;

/// Lines of text under a tile.
const TILE_LINES: u32 = 5;

/// A tile's picture in the middle, under it its name, its outcome and the reasons of that, in as many lines as are left. All tiles
/// are of one size.
fn captioned_tile(picture: &RgbImage, name: &str, [outcome, reasons]: [&str; 2], color: Rgb888) -> RgbImage {
    let line_height = TILE_FONT.character_size.height as i32 + 2;
    let mut canvas = Canvas(RgbImage::from_pixel(TILE_SIDE, TILE_SIDE + TILE_LINES * line_height as u32, BAND));
    let (left, top) = ((TILE_SIDE - picture.width()) / 2, (TILE_SIDE - picture.height()) / 2);
    image::imageops::replace(&mut canvas.0, picture, left.into(), top.into());
    let columns = (TILE_SIDE / TILE_FONT.character_size.width) as usize;
    // The end of a name tells more than its beginning.
    let name: String = match name.chars().count().checked_sub(columns) {
        None | Some(0) => name.to_owned(),
        Some(over) => [".."].into_iter().flat_map(str::chars).chain(name.chars().skip(over + 2)).collect(),
    };
    let of = |text: &str, color| wrapped(text, columns).into_iter().map(move |line| (line, color));
    let lines = of(outcome, color).chain(of(reasons, Rgb888::CSS_SILVER));
    let lines = std::iter::once((name, Rgb888::WHITE)).chain(lines).take(TILE_LINES as usize);
    for (number, (line, color)) in lines.enumerate() {
        let place = Point::new(0, TILE_SIDE as i32 + 2 + number as i32 * line_height);
        let style = MonoTextStyle::new(&TILE_FONT, color);
        let Ok(_) = Text::with_baseline(&line, place, style, Baseline::Top).draw(&mut canvas);
    }
    canvas.0
}

/// Tiles side by side and below each other, in pages of bounded size.
#[derive(Debug)]
pub struct ContactSheet {
    file: PathBuf,
    drawings: Arc<Drawings>,
    /// Whether pages that are there already are of earlier runs and stay.
    goes_on: bool,
    /// The number of the last page.
    page: u32,
    written: Vec<PathBuf>,
    tiles: Vec<RgbImage>,
}

impl ContactSheet {
    /// Tiles in a row.
    const COLUMNS: u32 = 6;
    /// Rows on a page.
    const ROWS: u32 = 8;
    /// Pixels between tiles.
    const GAP: u32 = 12;

    /// The name of `file` says the format; a second page has `-2` before its ending. A sheet that goes on with those of
    /// an earlier run has the names that are free.
    ///
    /// # Errors
    ///
    /// When it says none.
    pub fn new(file: PathBuf, drawings: Arc<Drawings>, goes_on: bool) -> Result<Self, DrawingError> {
        format_of(&file)?;
        Ok(Self { file, drawings, goes_on, page: 0, written: Vec::new(), tiles: Vec::new() })
    }

    /// Puts a tile after the others, and writes the page when it is full.
    pub fn push(&mut self, tile: RgbImage) -> Result<(), DrawingError> {
        self.tiles.push(tile);
        if self.tiles.len() < (Self::COLUMNS * Self::ROWS) as usize { Ok(()) } else { self.write_page() }
    }

    /// Writes what is left, and says which pages were written.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, DrawingError> {
        if !self.tiles.is_empty() {
            self.write_page()?;
        }
        Ok(self.written)
    }

    fn write_page(&mut self) -> Result<(), DrawingError> {
        let tiles = std::mem::take(&mut self.tiles);
        let (width, height) = tiles.first().map_or((0, 0), RgbImage::dimensions);
        let count = tiles.len() as u32;
        let place = |number: u32, side: u32| Self::GAP + number * (side + Self::GAP);
        let columns = count.min(Self::COLUMNS);
        let mut page = RgbImage::from_pixel(place(columns, width), place(count.div_ceil(Self::COLUMNS), height), BAND);
        for (number, tile) in (0..).zip(&tiles) {
            let (column, row) = (number % Self::COLUMNS, number / Self::COLUMNS);
            image::imageops::replace(&mut page, tile, place(column, width).into(), place(row, height).into());
        }
        let name = self.next_name();
        self.drawings.save(&page, &name)?;
        self.written.push(name);
        Ok(())
    }

    fn next_name(&mut self) -> PathBuf {
        loop {
            self.page += 1;
            let name = self.page_name();
            if !self.goes_on || std::fs::symlink_metadata(&name).is_err() {
                return name;
            }
        }
    }

    fn page_name(&self) -> PathBuf {
        if self.page == 1 {
            return self.file.clone();
        }
        let mut name = self.file.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{}", self.page));
        if let Some(ending) = self.file.extension() {
            name.push(".");
            name.push(ending);
        }
        self.file.with_file_name(name)
    }
}

const ACCEPTED: Rgb888 = Rgb888::CSS_LIME;
/// Of an accepted face whose liveness score is below the operating threshold.
const NOT_LIVE: Rgb888 = Rgb888::CSS_ORANGE;
const REJECTED: Rgb888 = Rgb888::CSS_ORANGE_RED;
/// Behind captions and tiles.
const BAND: Rgb<u8> = Rgb([24, 24, 27]);

fn verdict_color(analysis: &Analysis) -> Rgb888 {
    match &analysis.verdict {
        Verdict::Accepted(face) if face.passive_liveness_score < 0.5 => NOT_LIVE,
        Verdict::Accepted(_) => ACCEPTED,
        Verdict::Rejected(_) => REJECTED,
    }
}

fn draw_faces(canvas: &mut Canvas, details: &Details, scale: f32, color: Rgb888) {
    let at = |x: f32, y: f32| Point::new((x * scale).round() as i32, (y * scale).round() as i32);
    for (index, face) in details.faces.iter().enumerate() {
        let e = face.extent;
        let color = if index == 0 { color } else { Rgb888::CSS_GOLD };
        let corners = (at(e.left, e.top), at(e.left + e.width, e.top + e.height));
        // A dark line outside the bright one keeps the box visible on every background.
        for (grow, color, stroke) in [(1, Rgb888::BLACK, 4), (0, color, 2)] {
            let grow = Point::new_equal(grow);
            let drawn = Rectangle::with_corners(corners.0 - grow, corners.1 + grow)
                .into_styled(PrimitiveStyle::with_stroke(color, stroke))
                .draw(canvas);
            let Ok(()) = drawn;
        }
    }
}

fn draw_landmarks(canvas: &mut Canvas, details: &Details, scale: f32) {
    let at = |x: f32, y: f32| Point::new((x * scale).round() as i32, (y * scale).round() as i32);
    let dot = PrimitiveStyle::with_fill(Rgb888::CSS_AQUA);
    for [x, y, _] in details.landmarks.iter().flatten() {
        let Ok(()) = Rectangle::new(at(*x, *y), Size::new_equal(2)).into_styled(dot).draw(canvas);
    }
    let key = PrimitiveStyle::with_fill(Rgb888::CSS_MAGENTA);
    for [x, y] in details.faces.first().iter().flat_map(|face| face.keypoints) {
        let Ok(()) = Rectangle::with_center(at(x, y), Size::new_equal(6)).into_styled(key).draw(canvas);
    }
}

/// What the picture was judged to be, as a person reads it.
fn verdict_text(analysis: &Analysis) -> String {
    let mut text = match &analysis.verdict {
        Verdict::Accepted(face) => {
            let female = (f64::from(face.gender) / 10_000.0 + 1.0) / 2.0;
            let (gender, certainty) = if female >= 0.5 { ("female", female) } else { ("male", 1.0 - female) };
            format!(
                "OK: age {}, {gender} {:.0} %, liveness {:.2}",
                face.age,
                certainty * 100.0,
                face.passive_liveness_score
            )
        }
        Verdict::Rejected(rejection) => format!("{}: {}", rejection.word.as_str(), rejection.message),
    };
    let warned = analysis
        .details
        .iter()
        .flat_map(|d| &d.rules)
        .filter(|rule| rule.verdict == RuleVerdict::Fail && rule.action == Action::Warn);
    for rule in warned {
        // Writing to a string cannot fail.
        let _ = write!(text, "; warning: {}", rule.rule);
    }
    text
}

/// Breaks a text between words into lines of at most `columns` letters.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The picture with a dark band of text under it.
fn with_caption(picture: RgbImage, lines: &[String], color: Rgb888) -> RgbImage {
    let style = MonoTextStyle::new(&FONT_10X20, color);
    let line_height = FONT_10X20.character_size.height as i32;
    let (width, height) = picture.dimensions();
    let band = line_height * lines.len() as i32 + 2 * GAP;
    let mut canvas = Canvas(RgbImage::from_pixel(width, height + band as u32, BAND));
    image::imageops::replace(&mut canvas.0, &picture, 0, 0);
    for (number, line) in lines.iter().enumerate() {
        let place = Point::new(GAP, height as i32 + GAP + number as i32 * line_height);
        let Ok(_) = Text::with_baseline(line, place, style, Baseline::Top).draw(&mut canvas);
    }
    canvas.0
}

/// Lets embedded-graphics draw on an RGB picture; what falls outside is left out.
struct Canvas(RgbImage);

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let inside = self.bounding_box();
        for Pixel(point, color) in pixels.into_iter().filter(|Pixel(point, _)| inside.contains(*point)) {
            self.0.put_pixel(point.x as u32, point.y as u32, Rgb([color.r(), color.g(), color.b()]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible", 4), ["incomprehensible"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn a_contact_sheet_has_pages_of_48_tiles() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sheet =
            ContactSheet::new(folder.path().join("sheet.png"), Arc::new(Drawings::new(&[])), false).expect("a name");
        let wide = "a".repeat(300);
        for number in 0..50 {
            sheet.push(tile_without_picture(&format!("{wide}{number}"), "image_malformed")).expect("writes");
        }
        assert_eq!(sheet.finish().expect("writes").len(), 2);
        let size = |name: &str| image::image_dimensions(folder.path().join(name)).expect("a picture");
        let (width, height) = tile_without_picture("x", "y").dimensions();
        assert_eq!(size("sheet.png"), (12 + 6 * (width + 12), 12 + 8 * (height + 12)));
        assert_eq!(size("sheet-2.png"), (12 + 2 * (width + 12), 12 + height + 12));
    }

    #[test]
    fn drawing_outside_the_picture_is_left_out() {
        let mut canvas = Canvas(RgbImage::new(4, 4));
        let style = PrimitiveStyle::with_stroke(Rgb888::WHITE, 1);
        let Ok(()) = Rectangle::with_corners(Point::new(-9, 2), Point::new(9, 9)).into_styled(style).draw(&mut canvas);
        let white: Vec<_> = canvas.0.enumerate_pixels().filter(|(_, _, p)| p.0 == [255; 3]).map(|p| p.1).collect();
        assert_eq!(white, [2; 4]);
    }
}
