use anyhow::bail;
use cygnet::Model;
use cygnet::weights::{Cache, is_url};

use crate::args::{Convert, Pull};
use crate::output;
use crate::progress::Download;

pub(crate) fn convert(args: &Convert) -> anyhow::Result<bool> {
    if std::fs::canonicalize(&args.output)
        .ok()
        .is_some_and(|out| std::fs::canonicalize(&args.input).ok() == Some(out))
    {
        bail!("{}: would replace its own source; give another name", args.output.display());
    }
    let classes = args.classes.map(|classes| classes as usize);
    let input = cygnet::local(&args.input, &Cache::from_env()?, &mut Download::default())?;
    let mut model = Model::convert(&input, args.network.as_deref(), classes)?;
    if let Some(url) = args.input.to_str().filter(|input| is_url(input)) {
        model = model.fetched_from(url, &input);
    }
    model.write(&args.output)?;
    let text = format!("{}: {} with {} classes", args.output.display(), model.id, model.graph.classes());
    output::talk(&output::plain(&text));
    Ok(true)
}

pub(crate) fn pull(args: &Pull) -> anyhow::Result<bool> {
    let network = cygnet::network(&args.network)?;
    let (path, _) = cygnet::pull(&network, &Cache::from_env()?, &mut Download::default())?;
    output::line(&path.to_string_lossy())?;
    Ok(true)
}
