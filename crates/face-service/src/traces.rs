//! Spans for an OpenTelemetry collector: one a request, its stages below it.
//!
//! A span holds what the log line holds, less the user: session, status, outcome and times. Never a picture, credentials
//! or a link.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use utoipa::ToSchema;

use super::blocking::Pool;
use super::paths::DETECT;
use super::trail::{ANALYSIS, Ending, Trail};

/// In which the collector must take a batch of spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer of the collector in bytes; it says no more than how many spans were refused.
const MAX_ANSWER: usize = 64 << 10;

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSettings {
    /// Address of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; without it
    /// there are no traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Share of the requests that are traced, 0 to 1, where the caller's `traceparent` does not decide.
    pub sample_ratio: f64,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self { endpoint: None, sample_ratio: 1.0 }
    }
}

/// The collector cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// No address of a collector.
    #[error(
        "traces.endpoint is {0:?}: give the collector's address without a path, such as http://127.0.0.1:4318 (no https)"
    )]
    Endpoint(String),
    /// What would be sent in the clear, and to no avail. Not quoted: it is there to be secret.
    #[error("traces.endpoint has a user, a password or a query: give the collector's address alone, without them")]
    Secret,
    /// No share.
    #[error("traces.sample_ratio is {0} and must be 0 to 1")]
    Ratio(f64),
    /// The exporter could not be set up.
    #[error("spans cannot be exported: {0}")]
    Exporter(String),
}

/// Makes spans of requests and sends them, from a thread of its own.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Refuses settings with which nothing could be sent. Without a collector none of them counts.
    pub fn check(settings: &TraceSettings) -> Result<(), TraceError> {
        let Some(endpoint) = &settings.endpoint else { return Ok(()) };
        if endpoint.contains(['@', '?']) {
            return Err(TraceError::Secret);
        }
        let malformed = || TraceError::Endpoint(endpoint.clone());
        let address: Uri = endpoint.parse().map_err(|_| malformed())?;
        if address.scheme_str() != Some("http") || address.host().is_none() || address.path() != "/" {
            return Err(malformed());
        }
        if !(0.0..=1.0).contains(&settings.sample_ratio) {
            return Err(TraceError::Ratio(settings.sample_ratio));
        }
        Ok(())
    }

    /// Spans for the configured collector, if there is one. It need not be up.
    pub fn start(settings: &TraceSettings) -> Result<Option<Self>, TraceError> {
        Self::check(settings)?;
        let Some(endpoint) = &settings.endpoint else { return Ok(None) };
        let failed = |error: &dyn fmt::Display| TraceError::Exporter(error.to_string());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new().map_err(|error| failed(&error))?)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()
            .map_err(|error| failed(&error))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(Resource::builder().with_service_name("facegate").with_attribute(version).build())
            .build();
        let tracer = provider.tracer("facegate");
        Ok(Some(Self { provider, tracer }))
    }

    /// The trace that the caller's `traceparent` names.
    pub fn parent(&self, headers: &HeaderMap) -> Context {
        TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers))
    }

    /// Sends the spans of an answered request and says in which trace they are.
    pub fn request(&self, parent: &Context, trail: &Trail, ending: Ending) -> TraceId {
        // Spans want the clock of the day, stages have the one that never jumps.
        let (now, end) = (Instant::now(), SystemTime::now());
        let time_of = |instant| end - now.duration_since(instant);
        let mut attributes = vec![
            KeyValue::new("http.request.method", Method::POST.as_str().to_owned()),
            KeyValue::new("http.route", DETECT),
            KeyValue::new("http.response.status_code", i64::from(ending.status)),
            KeyValue::new("facegate.outcome", ending.outcome),
        ];
        attributes.extend(trail.session_id.clone().map(|id| KeyValue::new("session.id", id)));
        if !ending.code.is_empty() {
            attributes.push(KeyValue::new("error.type", ending.code));
        }
        let builder = self
            .tracer
            .span_builder(format!("POST {DETECT}"))
            .with_kind(SpanKind::Server)
            .with_start_time(time_of(trail.begin))
            .with_attributes(attributes);
        let mut span = self.tracer.build_with_context(builder, parent);
        if ending.status >= 500 {
            span.set_status(Status::error(ending.code));
        }
        let request = parent.with_remote_span_context(span.span_context().clone());
        let mut analysis = request.clone();
        for stage in &trail.stages {
            let begin = time_of(stage.begin);
            let builder = self.tracer.span_builder(stage.name).with_start_time(begin);
            let parent = if stage.within_analysis { &analysis } else { &request };
            let mut child = self.tracer.build_with_context(builder, parent);
            // What the deadline has cut off ends with the request.
            child.end_with_timestamp(stage.time.map_or(end, |time| begin + time));
            if stage.name == ANALYSIS {
                analysis = request.with_remote_span_context(child.span_context().clone());
            }
        }
        span.end_with_timestamp(end);
        span.span_context().trace_id()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Sends what waits; the exporter's thread ends.
        if let Err(error) = self.provider.shutdown_with_timeout(Duration::from_secs(2)) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Posts batches to the collector. The exporter calls it from its own thread, which has no runtime: it brings one.
#[derive(Debug)]
struct Client {
    runtime: Runtime,
    names: Pool,
}

impl Client {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, names: Pool::new("collector", 1)? })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.block_on(async { tokio::time::timeout(EXPORT_TIMEOUT, post(&self.names, request)).await? })
    }
}

/// A connection to the first of the addresses that takes one.
async fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut failed = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in addresses {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        match socket.connect(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn post(names: &Pool, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().ok_or("no address")?.clone();
    let port = authority.port_u16().unwrap_or(80);
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let addresses = names.lookup((), host.to_owned(), port).await?;
    let stream = connect(&addresses).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    parts.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    parts.uri = parts.uri.path_and_query().ok_or("no path")?.as_str().parse()?;
    let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
    connection.abort();
    Ok(Response::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_collector_would_get_is_refused_and_not_repeated() {
        let check = |endpoint: &str| {
            let endpoint = Some(endpoint.to_owned());
            Traces::check(&TraceSettings { endpoint, ..TraceSettings::default() }).map_err(|error| error.to_string())
        };
        for endpoint in ["http://ann:secret@127.0.0.1:4318", "http://127.0.0.1:4318/?key=secret", "ann:secret@host"] {
            let text = check(endpoint).expect_err(endpoint);
            assert!(text.contains("without them") && !text.contains("secret"), "{text}");
        }
        for endpoint in ["http://127.0.0.1:4318", "http://collector:4318/", "http://[::1]:4318"] {
            assert_eq!(check(endpoint), Ok(()), "{endpoint}");
        }
        assert!(check("http://127.0.0.1:4318/v1/traces").is_err_and(|text| text.contains("without a path")));
    }
}
