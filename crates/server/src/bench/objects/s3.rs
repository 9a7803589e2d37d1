//! Objects of any S3 service, by URLs that are signed for a while.

use super::super::work::{Miss, Request, Work};
use super::http::{Http, check};
use super::{FILLING, GET, KINDS, Mode, ObjectLoad, PUT, content};
use crate::failure::{Failure, Outcome};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::Uri;
use hyper::body::Frame;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a signature is good.
const SIGNED_FOR: Duration = Duration::from_secs(3600);

/// Puts and gets of objects.
#[derive(clap::Args, Debug, Clone)]
pub struct S3Load {
    #[command(flatten)]
    pub load: ObjectLoad,
    /// The service, as in http://localhost:9000; several are used in turn
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true)]
    pub endpoint: Vec<Uri>,
    /// Bucket; made if it is not there
    #[arg(long, value_name = "NAME", default_value = "bench")]
    pub bucket: String,
    /// Region that is signed for
    #[arg(long, value_name = "NAME", env = "AWS_DEFAULT_REGION", default_value = "us-east-1")]
    pub region: String,
    /// Access key
    #[arg(long, value_name = "KEY", env = "AWS_ACCESS_KEY_ID")]
    pub access_key: String,
    /// Its secret: better in the environment than here, where others on this machine see it
    #[arg(long, value_name = "SECRET", env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub secret_key: String,
}

impl S3Load {
    /// Its settings, for programs.
    pub fn json(&self) -> Value {
        self.load.json()
    }

    /// Nothing is connected before the first request.
    pub fn work(&self) -> Outcome<Arc<dyn Work>> {
        let mut buckets = Vec::new();
        for endpoint in &self.endpoint {
            check(endpoint)?;
            let wrong = |why: String| Failure::usage(format!("--endpoint {endpoint}: {why}"));
            let url = endpoint.to_string().parse().map_err(|error| wrong(format!("{error}")))?;
            let bucket = Bucket::new(url, UrlStyle::Path, self.bucket.clone(), self.region.clone());
            buckets.push(bucket.map_err(|error| wrong(error.to_string()))?);
        }
        let key = Credentials::new(self.access_key.clone(), self.secret_key.clone());
        Ok(Arc::new(S3Work { http: Http::new(), buckets, key, load: self.load.clone() }))
    }
}

struct S3Work {
    http: Http,
    /// The same bucket, by each endpoint.
    buckets: Vec<Bucket>,
    key: Credentials,
    load: ObjectLoad,
}

impl S3Work {
    fn bucket(&self, nth: usize) -> &Bucket {
        &self.buckets[nth % self.buckets.len()]
    }

    fn sign<'a>(&self, action: impl S3Action<'a>) -> Result<Uri, Miss> {
        action.sign(SIGNED_FOR).as_str().parse().map_err(|error| Miss::Failed(format!("a signed address: {error}")))
    }

    async fn put(&self, bucket: &Bucket, n: u32, random: &mut SmallRng) -> Result<u64, Miss> {
        let url = self.sign(bucket.put_object(Some(&self.key), &self.load.name(n)))?;
        let pieces = stream::iter(content::pieces(self.load.size, random));
        let body = StreamBody::new(pieces.map(Frame::data).map(Ok::<_, std::io::Error>));
        self.http.put(url, self.load.size, BodyExt::boxed(body)).await?;
        Ok(self.load.size)
    }
}

#[async_trait::async_trait]
impl Work for S3Work {
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }

    async fn prepare(&self) -> Result<(), Miss> {
        let bucket = self.bucket(0);
        if self.http.get(self.sign(bucket.list_objects_v2(Some(&self.key)))?).await.is_err() {
            let url = self.sign(bucket.create_bucket(&self.key))?;
            self.http.put(url, 0, Empty::<Bytes>::new().map_err(|never| match never {}).boxed()).await?;
        }
        if self.load.mode == Mode::Put {
            return Ok(());
        }
        stream::iter((0..self.load.names).map(Ok))
            .try_for_each_concurrent(FILLING, |n| async move {
                self.put(self.bucket(n as usize), n, &mut SmallRng::from_os_rng()).await.map(drop)
            })
            .await
    }

    async fn request(&self, client: usize, random: &mut SmallRng) -> Request {
        let bucket = self.bucket(client);
        let n = random.random_range(0..self.load.names);
        match self.load.mode {
            Mode::Put => Request { kind: PUT, result: self.put(bucket, n, random).await },
            Mode::Get => {
                let got = match self.sign(bucket.get_object(Some(&self.key), &self.load.name(n))) {
                    Ok(url) => self.http.get(url).await,
                    Err(miss) => Err(miss),
                };
                let whole = got.and_then(|bytes| match bytes == self.load.size {
                    true => Ok(bytes),
                    false => Err(Miss::Failed(format!("{bytes} bytes came of {}", self.load.size))),
                });
                Request { kind: GET, result: whole }
            }
        }
    }
}
