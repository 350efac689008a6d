//! What differs between two ways in which photos are prepared.

use cygnet_image::{Preprocess, Resize};

use crate::Model;

/// A difference, and what is done to photos without it.
pub(super) struct Difference {
    pub(super) words: String,
    /// The other's way, but for this difference.
    pub(super) mended: Preprocess,
}

/// The differences of records for inputs of the same size.
pub(super) fn differences(model: &Model, other: &Model) -> Vec<Difference> {
    let [ours, theirs] = [&model.preprocess, &other.preprocess];
    let mut found = Vec::new();
    let mut add = |differs: bool, words: String, mend: &dyn Fn(&mut Preprocess)| {
        if differs {
            let mut mended = theirs.clone();
            mend(&mut mended);
            found.push(Difference { words, mended });
        }
    };
    let pair = |what: &str, a: String, b: String| format!("{what} {a} here, {b} there");
    add(
        ours.channels != theirs.channels,
        pair("channels", format!("{:?}", ours.channels), format!("{:?}", theirs.channels)).to_lowercase(),
        &|record| record.channels = ours.channels,
    );
    add(ours.resize != theirs.resize, pair("crop", crop(ours), crop(theirs)), &|record| {
        record.resize = ours.resize
    });
    add(
        ours.interpolation != theirs.interpolation,
        pair("filter", format!("{:?}", ours.interpolation), format!("{:?}", theirs.interpolation))
            .to_lowercase(),
        &|record| record.interpolation = ours.interpolation,
    );
    let numbers =
        |record: &Preprocess| format!("{} x pixel less {:?}, by {:?}", record.scale, record.mean, record.std);
    let of = |record: &Preprocess| (record.scale, record.mean.clone(), record.std.clone());
    add(of(ours) != of(theirs), pair("numbers", numbers(ours), numbers(theirs)), &|record| {
        (record.scale, record.mean, record.std) = of(ours);
    });
    // Lists of numbers are of as many channels as there are: neither goes without the other.
    found.retain(|difference| difference.mended.check().is_ok());
    found
}

/// That the networks look at pictures of other sizes.
pub(super) fn sizes(model: &Model, other: &Model) -> String {
    let size = |model: &Model| model.graph.input_shape().map(|n| n.to_string()).join("x");
    format!("the networks' inputs have other sizes: {} here, {} there", size(model), size(other))
}

fn crop(record: &Preprocess) -> String {
    match record.resize {
        Resize::ShorterSide { side } => format!("of the shorter side at {side}"),
        Resize::CropFraction { fraction } => format!("of the middle {fraction}, then resized"),
        Resize::CropPct { pct } => format!("of {pct} after resizing"),
        Resize::Squash => "none, squashed".into(),
        Resize::None => "none".into(),
    }
}
