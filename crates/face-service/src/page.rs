//! The playground and the API's documentation: pages and their files, part of the program.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use axum::routing::get;
use bytes::Bytes;

use super::envelope::read_only;

/// A file of the folder `web` under its own path: path, media type, content.
macro_rules! file {
    ($path:literal, $media:literal) => {
        (concat!("/", $path), $media, include_bytes!(concat!("../../../web/", $path)))
    };
}

const FILES: [(&str, &str, &[u8]); 17] = [
    ("/", "text/html; charset=utf-8", include_bytes!("../../../web/index.html")),
    file!("favicon.svg", "image/svg+xml"),
    file!("playground/style.css", "text/css; charset=utf-8"),
    file!("playground/call.js", "text/javascript; charset=utf-8"),
    file!("playground/camera.js", "text/javascript; charset=utf-8"),
    file!("playground/compare.js", "text/javascript; charset=utf-8"),
    file!("playground/dom.js", "text/javascript; charset=utf-8"),
    file!("playground/drawing.js", "text/javascript; charset=utf-8"),
    file!("playground/guide.js", "text/javascript; charset=utf-8"),
    file!("playground/main.js", "text/javascript; charset=utf-8"),
    file!("playground/picture.js", "text/javascript; charset=utf-8"),
    file!("playground/result.js", "text/javascript; charset=utf-8"),
    file!("playground/service.js", "text/javascript; charset=utf-8"),
    file!("playground/words.js", "text/javascript; charset=utf-8"),
    ("/docs", "text/html; charset=utf-8", include_bytes!("../../../web/docs.html")),
    file!("docs/style.css", "text/css; charset=utf-8"),
    file!("docs/main.js", "text/javascript; charset=utf-8"),
];

/// A page talks to this service alone: no scripts but its own file, nothing from elsewhere, nobody frames it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
     connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
);

/// Adds the pages' files to the routes.
pub fn routes<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    FILES.into_iter().fold(router, |router, (path, media, content)| {
        let answer = move || async move {
            let mut response = Response::new(Body::from(Bytes::from_static(content)));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
            response
        };
        router.route(path, get(answer).fallback(read_only))
    })
}
