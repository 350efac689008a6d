//! Which pixels become one where bytes are pooled, and which poolings bytes are for.

use cygnet_kernels::{ByteMean, Map, Pixels, Plain, Pooling};

/// Whether a pooling of bytes, from a map of one size to one of another, is computed with bytes.
pub(super) fn pools_bytes(pool: &Plain, input: [usize; 3], output: [usize; 3]) -> bool {
    let [input, output] = [input, output].map(|size| Map::dense(0, size));
    match pixels(pool) {
        (_, Pooling::Max) => true,
        (pixels, Pooling::Mean { count_pad }) => ByteMean::is_of(&pixels, count_pad, &input, &output),
    }
}

/// Which pixels become one, and how.
pub(super) fn pixels(pool: &Plain) -> (Pixels, Pooling) {
    let mean = Pooling::Mean { count_pad: false };
    match *pool {
        Plain::Pool { pooling, window, end_pad } => (Pixels::Window { window, end_pad }, pooling),
        Plain::AdaptiveMean => (Pixels::Adaptive, mean),
        Plain::GlobalMean => (Pixels::All, mean),
        Plain::Binary(..)
        | Plain::Affine { .. }
        | Plain::Activation(_)
        | Plain::Softmax
        | Plain::LocalResponseNorm { .. }
        | Plain::Upsample => unreachable!("only pooling pools"),
    }
}
