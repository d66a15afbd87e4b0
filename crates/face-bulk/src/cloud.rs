//! S3, Google Cloud Storage and Azure, over our own HTTP client: it takes no proxy from the environment, follows no
//! redirect, and asks no metadata service unless it is told to.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::TokioExecutor;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use tokio::time::{Instant, Sleep};
use url::Url;

use super::error::{StoreError, chain};

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Time until an answer has begun; bodies have the same time for each of their parts.
const ANSWER: Duration = Duration::from_secs(30);

/// Where the clouds hand credentials to whoever asks on their machines.
const METADATA: [&str; 4] = ["169.254.169.254", "metadata.google.internal", "metadata", "[fd00:ec2::254]"];

/// Opens the store that an address names. Credentials and endpoints come from the environment, by the names that the
/// clouds' own tools use.
pub(super) fn open(address: &str, instance_credentials: bool) -> Result<(Arc<dyn ObjectStore>, Path), StoreError> {
    let wrong = |error: &dyn std::error::Error| StoreError::Address(format!("{address}: {error}"));
    let url = Url::parse(address).map_err(|error| wrong(&error))?;
    let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|error| wrong(&error))?;
    let connector = Connector { instance_credentials };
    let retry = RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() };
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => Arc::new(
            AmazonS3Builder::from_env()
                .with_url(address)
                .with_retry(retry)
                .with_http_connector(connector)
                .build()
                .map_err(|error| wrong(&error))?,
        ),
        ObjectStoreScheme::GoogleCloudStorage => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_url(address)
                .with_retry(retry)
                .with_http_connector(connector)
                .build()
                .map_err(|error| wrong(&error))?,
        ),
        ObjectStoreScheme::MicrosoftAzure => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_url(address)
                .with_retry(retry)
                .with_http_connector(connector)
                .build()
                .map_err(|error| wrong(&error))?,
        ),
        _ => {
            return Err(StoreError::Address(format!(
                "{address} is no store: give a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
            )));
        }
    };
    Ok((store, prefix))
}

#[derive(Debug, Clone, Copy)]
struct Connector {
    instance_credentials: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = Tcp::new();
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        // The scheme is checked against the options below.
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(tcp);
        Ok(HttpClient::new(Service {
            client: Client::builder(TokioExecutor::new()).build(https),
            allow_http: options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|allowed| allowed == "true"),
            instance_credentials: self.instance_credentials,
        }))
    }
}

#[derive(Debug)]
struct Service {
    client: Client<HttpsConnector<Tcp>, HttpRequestBody>,
    allow_http: bool,
    instance_credentials: bool,
}

/// Why a request is not sent, or not answered.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there are no credentials in the environment, and {0} is asked for them only with --instance-credentials")]
    Metadata(String),
    #[error("plain http:// is used only with AWS_ALLOW_HTTP=true (or the other clouds' like)")]
    PlainHttp,
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Whether we have refused to send a request.
pub(super) fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let refusal = error.downcast_ref::<Refusal>();
    matches!(refusal, Some(Refusal::Metadata(_) | Refusal::PlainHttp)) || error.source().is_some_and(is_refused)
}

/// Whether the store has answered that it does not know what it was asked to do: status 501. Only the text of the library's
/// error has the status.
pub(super) fn is_not_implemented(error: &object_store::Error) -> bool {
    chain(error).contains("status code: 501 ")
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let host = request.uri().host().unwrap_or_default();
        if METADATA.contains(&host) && !self.instance_credentials {
            return Err(HttpError::new(HttpErrorKind::Unknown, Refusal::Metadata(host.to_owned())));
        }
        if request.uri().scheme_str() == Some("http") && !self.allow_http {
            return Err(HttpError::new(HttpErrorKind::Unknown, Refusal::PlainHttp));
        }
        let late = |_| HttpError::new(HttpErrorKind::Timeout, Refusal::Timeout(ANSWER));
        let answer = tokio::time::timeout(ANSWER, self.client.request(request)).await.map_err(late)?;
        let answer = answer.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(|body| HttpResponseBody::new(Patient { body, wait: Box::pin(tokio::time::sleep(ANSWER)) })))
    }
}

/// A body that fails when its next part does not come in time.
struct Patient {
    body: Incoming,
    wait: Pin<Box<Sleep>>,
}

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.wait.as_mut().reset(Instant::now() + ANSWER);
            return Poll::Ready(frame.map(|frame| frame.map_err(|e| HttpError::new(HttpErrorKind::Interrupted, e))));
        }
        let late = |()| Some(Err(HttpError::new(HttpErrorKind::Timeout, Refusal::Timeout(ANSWER))));
        self.wait.as_mut().poll(context).map(late)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
