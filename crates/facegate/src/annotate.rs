//! A picture with what was found drawn on it: box, landmarks, verdict.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_10X20;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Dimensions, DrawTarget, OriginDimensions, Pixel, Point, Primitive, Size};
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use embedded_graphics::{Drawable, pixelcolor::WebColors};
use face_analysis::decode::{DecodeLimits, decode};
use face_analysis::report::Details;
use face_analysis::rules::{Action, RuleVerdict};
use face_analysis::{Analysis, PictureError, Verdict};
use image::imageops::FilterType;
use image::{ImageError, Rgb, RgbImage};

/// Longer side of the drawn picture: large enough to look at, small enough that lines and letters stay legible.
const MAX_SIDE: u32 = 1280;

/// Smaller pictures are enlarged to this width, so that a line of text fits under them.
const MIN_WIDTH: u32 = 480;

/// Room around a text line and between the box's double line, in pixels.
const GAP: i32 = 8;

/// The picture could not be drawn or written.
#[derive(Debug, thiserror::Error)]
pub enum AnnotateError {
    /// The bytes are no picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The drawn picture cannot be written.
    #[error("the annotated picture cannot be written: {0}")]
    Write(#[from] ImageError),
}

/// Draws `analysis` (made with details) on the picture in `bytes` and writes it; the name of `out` says the format.
pub fn annotate(bytes: &[u8], limits: &DecodeLimits, analysis: &Analysis, out: &Path) -> Result<(), AnnotateError> {
    let picture = decode(bytes, limits)?;
    let pixels = picture.orientation.apply(picture.pixels);
    let (width, height) = (pixels.width() as u32, pixels.height() as u32);
    let mut canvas = RgbImage::from_raw(width, height, pixels.data().to_vec()).unwrap_or_default();
    let scale = (MAX_SIDE as f32 / width.max(height) as f32).min((MIN_WIDTH as f32 / width as f32).max(1.0));
    if scale != 1.0 {
        let side = |length: u32| ((length as f32 * scale).round() as u32).max(1);
        canvas = image::imageops::resize(&canvas, side(width), side(height), FilterType::Triangle);
    }
    let mut canvas = Canvas(canvas);
    let accepted = matches!(analysis.verdict, Verdict::Accepted(_));
    let color = if accepted { Rgb888::CSS_LIME } else { Rgb888::CSS_ORANGE_RED };
    if let Some(details) = &analysis.details {
        draw_faces(&mut canvas, details, scale, color);
    }
    let lines = wrapped(&verdict_text(analysis), (canvas.0.width() as usize).saturating_sub(2 * GAP as usize) / 10);
    with_caption(canvas.0, &lines, color).save(out)?;
    Ok(())
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
    let mut canvas = Canvas(RgbImage::from_pixel(width, height + band as u32, Rgb([24, 24, 27])));
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
    fn drawing_outside_the_picture_is_left_out() {
        let mut canvas = Canvas(RgbImage::new(4, 4));
        let style = PrimitiveStyle::with_stroke(Rgb888::WHITE, 1);
        let Ok(()) = Rectangle::with_corners(Point::new(-9, 2), Point::new(9, 9)).into_styled(style).draw(&mut canvas);
        let white: Vec<_> = canvas.0.enumerate_pixels().filter(|(_, _, p)| p.0 == [255; 3]).map(|p| p.1).collect();
        assert_eq!(white, [2; 4]);
    }
}
