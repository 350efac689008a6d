//! A download that resumes. A machine without a way to the server gives up within the connect timeout.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use ureq::{
    Agent,
    http::{HeaderMap, StatusCode, header},
    tls::{RootCerts, TlsConfig},
};

use super::{Artifact, AttemptError, Cache, Failure, Progress, part::Part};

/// Most times that a broken transfer is taken up again.
const MAX_RESUMES: usize = 3;

impl Cache {
    pub(super) fn download(
        &self,
        url: &str,
        artifact: &Artifact<'_>,
        path: &Path,
        progress: &mut dyn Progress,
    ) -> Result<String, Failure> {
        let agent = self.agent();
        let mut part = Part::resume(self.beside(artifact, "part"), artifact)?;
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
                    progress.message(&format!("{url}: {error}; resuming"));
                }
                Err(failure) => {
                    part.leave();
                    return Err(failure);
                }
            }
        }
    }

    fn agent(&self) -> Agent {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
            .build();
        Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("cygnet/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
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
    let mut response = request.call().map_err(|error| AttemptError::Http(Box::new(error)))?;
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
    part.pull(&mut response.body_mut().as_reader(), total, url, progress)
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
