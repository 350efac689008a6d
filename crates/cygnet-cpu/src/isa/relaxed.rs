//! WebAssembly's SIMD, with multiply-adds as its relaxed part has them.

use super::simd128::Vectors;

pub(crate) type Relaxed = Vectors<true>;
