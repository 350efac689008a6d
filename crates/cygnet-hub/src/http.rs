//! A download that resumes. A machine without a way to the server gives up within the connect timeout.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use ureq::{
    Agent,
    http::{HeaderMap, StatusCode, header},
    tls::{RootCerts, TlsConfig},
};

use super::{Artifact, AttemptError, Cache, Failure, Progress, address, part::Part};

/// Most times that a broken transfer is taken up again.
const MAX_RESUMES: usize = 3;
/// Most addresses that one may lead to in turn.
const MAX_REDIRECTS: u32 = 5;
/// How long a photo or a page of an index may take.
const READ_LIMIT: Duration = Duration::from_secs(120);

impl Cache {
    pub(super) fn download(
        &self,
        url: &str,
        artifact: &Artifact<'_>,
        path: &Path,
        progress: &mut dyn Progress,
    ) -> Result<String, Failure> {
        let agent = self.agent(url);
        let part_path = self.beside(artifact, "part");
        // Two halves of different files are only told apart by a hash.
        let mut part = match artifact.sha256 {
            "" => Part::create(part_path, artifact)?,
            _ => Part::resume(part_path, artifact)?,
        };
        let mut resumes = 0;
        loop {
            let start = part.length();
            let result = if artifact.size == Some(start) {
                Ok(())
            } else {
                transfer(&agent, url, &mut part, progress)
            };
            match result {
                Ok(()) => match part.accept(path) {
                    Err(Failure::Source(_)) if start > 0 => {
                        part = Part::create(self.beside(artifact, "part"), artifact)?;
                    }
                    result => return result,
                },
                Err(Failure::Source(AttemptError::Interrupted(error)))
                    if part.length() > start && resumes < MAX_RESUMES && !timed_out(&error) =>
                {
                    resumes += 1;
                    progress.message(&format!("{}: {error}; resuming", address::shown(url)));
                }
                Err(failure) => {
                    part.leave();
                    return Err(failure);
                }
            }
        }
    }

    /// At most `limit` bytes at an address.
    pub(super) fn read(&self, url: &str, limit: u64) -> Result<Vec<u8>, AttemptError> {
        let request = self.agent(url).get(url).config().timeout_global(Some(READ_LIMIT)).build();
        // An index answers in JSON if it can; photos are what they are.
        let accepted = "application/vnd.pypi.simple.v1+json, image/*;q=0.9, */*;q=0.5";
        let mut response = request.header(header::ACCEPT, accepted).call().map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(AttemptError::Status(response.status().as_u16()));
        }
        let too_long = |found| AttemptError::TooLong { limit, found };
        if let Some(found) = response.body().content_length().filter(|&length| length > limit) {
            return Err(too_long(found));
        }
        let mut bytes = Vec::new();
        let body = response.body_mut().as_reader();
        body.take(limit + 1).read_to_end(&mut bytes).map_err(AttemptError::Interrupted)?;
        if bytes.len() as u64 > limit { Err(too_long(bytes.len() as u64)) } else { Ok(bytes) }
    }

    fn agent(&self, url: &str) -> Agent {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
            .build();
        Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("cygnet/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            // What begins encrypted is not led elsewhere.
            .https_only(url.starts_with("https:"))
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_recv_response(Some(self.stall_timeout))
            .timeout_per_read(Some(self.stall_timeout))
            .timeout_per_write(Some(self.stall_timeout))
            .build()
            .new_agent()
    }
}

/// One request for what the part does not have yet.
fn transfer(
    agent: &Agent,
    url: &str,
    part: &mut Part<'_>,
    progress: &mut dyn Progress,
) -> Result<(), Failure> {
    let start = part.length();
    let mut request = agent.get(url);
    if start > 0 {
        request = request.header(header::RANGE, format!("bytes={start}-"));
    }
    let mut response = request.call().map_err(failed)?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT if start > 0 && range_start(response.headers()) == Some(start) => {}
        StatusCode::OK => {
            if start > 0 {
                part.restart()?;
            }
        }
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => {
            part.restart()?;
            return transfer(agent, url, part, progress);
        }
        status => return Err(AttemptError::Status(status.as_u16()).into()),
    }
    let total = response.body().content_length().map(|length| part.length().saturating_add(length));
    if let Some(total) = total {
        part.expect(total)?;
    }
    part.pull(&mut response.body_mut().as_reader(), total, &address::shown(url), progress)
}

fn failed(error: ureq::Error) -> AttemptError {
    match error {
        ureq::Error::RequireHttpsOnly(url) => AttemptError::Unencrypted { url },
        other => AttemptError::Http(Box::new(other)),
    }
}

/// The first byte of `Content-Range: bytes first-last/total`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

fn timed_out(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::Timeout(_))) || error.kind() == std::io::ErrorKind::TimedOut
}
