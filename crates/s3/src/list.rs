//! Listing objects, in both versions of the call.

use crate::auth::{InBucket, Need};
use crate::errors::{argument, of_drive};
use crate::gateway::Gateway;
use crate::text::{etag, percent, time};
use apps::drive::objects::{Listing, Objects};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    ObjectStorageClass, Owner,
};
use s3s::{S3Request, S3Response, S3Result};

/// Keys in one page.
const KEYS_MAX: i32 = 1000;

pub(crate) fn most(asked: Option<i32>, what: &str) -> S3Result<i32> {
    match asked {
        None => Ok(KEYS_MAX),
        Some(asked) if asked < 0 => Err(argument(format!("{what} is 0 or more"))),
        Some(asked) => Ok(asked.min(KEYS_MAX)),
    }
}

/// True: texts are to be percent-encoded.
pub(crate) fn encoded(asked: Option<&EncodingType>) -> S3Result<bool> {
    match asked.map(EncodingType::as_str) {
        None => Ok(false),
        Some(EncodingType::URL) => Ok(true),
        Some(_) => Err(argument("the only encoding-type is url")),
    }
}

pub(crate) fn shown(text: String, encoded: bool) -> String {
    if encoded { percent(&text) } else { text }
}

impl Gateway {
    pub(crate) fn owner(&self, at: &InBucket) -> Owner {
        let own = at.caller.as_ref().filter(|caller| caller.user.drive == at.bucket.drive);
        let name = own.map(|caller| &caller.user.display).or(at.bucket.shared.as_ref().map(|shared| &shared.name));
        let name = name.unwrap_or(&at.bucket.name).clone();
        Owner { id: Some(at.bucket.drive.to_string()), display_name: Some(name) }
    }

    async fn page(&self, at: &InBucket, listing: &Listing) -> S3Result<Objects> {
        at.drives.list_objects(at.bucket.drive, listing).await.map_err(of_drive)
    }

    fn contents(&self, page: Vec<apps::drive::objects::Object>, owner: Option<Owner>, encoded: bool) -> Vec<Object> {
        let told = |object: apps::drive::objects::Object| Object {
            e_tag: Some(etag(object.etag())),
            last_modified: Some(time(object.modified())),
            owner: owner.clone(),
            size: i64::try_from(object.size()).ok(),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            key: Some(shown(object.key, encoded)),
            ..Object::default()
        };
        page.into_iter().map(told).collect()
    }

    pub(crate) async fn list(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let input = request.input;
        let (limit, encoded) = (most(input.max_keys, "max-keys")?, encoded(input.encoding_type.as_ref())?);
        let listing = Listing {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after: input.marker.clone().unwrap_or_default(),
            limit: limit as u32,
        };
        let page = self.page(&at, &listing).await?;
        let owner = Some(self.owner(&at));
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(shown(listing.prefix, encoded)),
            marker: Some(shown(listing.after, encoded)),
            max_keys: Some(limit),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.map(|next| shown(next, encoded)),
            contents: Some(self.contents(page.objects, owner, encoded)),
            common_prefixes: Some(prefixes(page.prefixes, encoded)),
            delimiter: input.delimiter.filter(|it| !it.is_empty()).map(|delimiter| shown(delimiter, encoded)),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        }))
    }

    pub(crate) async fn list_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let input = request.input;
        let (limit, encoded) = (most(input.max_keys, "max-keys")?, encoded(input.encoding_type.as_ref())?);
        let after = match &input.continuation_token {
            None => input.start_after.clone().unwrap_or_default(),
            Some(token) => {
                let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                text.ok_or_else(|| argument("the continuation token is none of ours: begin the listing again"))?
            }
        };
        let listing = Listing {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after,
            limit: limit as u32,
        };
        let page = self.page(&at, &listing).await?;
        let owner = input.fetch_owner.unwrap_or(false).then(|| self.owner(&at));
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(shown(listing.prefix, encoded)),
            max_keys: Some(limit),
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
            contents: Some(self.contents(page.objects, owner, encoded)),
            common_prefixes: Some(prefixes(page.prefixes, encoded)),
            delimiter: input.delimiter.filter(|it| !it.is_empty()).map(|delimiter| shown(delimiter, encoded)),
            encoding_type: input.encoding_type,
            start_after: input.start_after.map(|after| shown(after, encoded)),
            ..ListObjectsV2Output::default()
        }))
    }
}

pub(crate) fn prefixes(prefixes: Vec<String>, encoded: bool) -> Vec<CommonPrefix> {
    prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(shown(prefix, encoded)) }).collect()
}
