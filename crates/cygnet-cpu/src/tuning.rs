//! What kernels and plans take for granted of a machine, about what cores have today. Times depend on these numbers,
//! results do not.

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Bytes of input that the tiles of a strip read, so that these stay in the first cache for all panels of weights.
pub const STRIP: usize = 16 << 10;

/// Bytes of weights that stay in the second cache while the rows of a map pass by.
pub const RESIDENT: usize = 256 << 10;

/// Bytes of what is transformed and summed together, about what the second cache holds.
pub const BLOCK: usize = 1 << 20;

/// Rows of pixels this many bytes apart would share few sets of the first cache.
pub const CACHE_STRIDE: usize = 1024;

/// Bytes from weights that are read once to those that are fetched meanwhile.
pub const AHEAD: usize = 4 << 10;

/// Half cycles until a multiply-add's sum can be added to.
pub const LATENCY: usize = 8;
