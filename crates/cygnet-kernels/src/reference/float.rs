//! The two number types that references compute in.

use std::ops::{Add, Mul};

/// f32 as everything else computes, f64 to see how far rounding moved it.
pub trait Float:
    Copy + Default + PartialOrd + Add<Output = Self> + Mul<Output = Self> + Send + Sync + 'static
{
    /// The nearest value of this type.
    fn from_f64(x: f64) -> Self;
    /// The same value.
    fn to_f64(self) -> f64;
    /// `c = a · b` for row-major `a [m, k]`, `b [k, n]` and `c [m, n]`.
    ///
    /// # Panics
    /// If a slice has not exactly that many elements.
    fn gemm(m: usize, k: usize, n: usize, a: &[Self], b: &[Self], c: &mut [Self]);
}

macro_rules! float {
    ($type:ty, $gemm:path) => {
        impl Float for $type {
            fn from_f64(x: f64) -> $type {
                x as $type
            }

            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            fn gemm(m: usize, k: usize, n: usize, a: &[$type], b: &[$type], c: &mut [$type]) {
                assert_eq!([a.len(), b.len(), c.len()], [m * k, k * n, m * n]);
                let [k_stride, n_stride] = [k as isize, n as isize];
                // SAFETY: the lengths asserted above are those of row-major matrices with these strides, and `c` is
                // borrowed mutably, so it overlaps neither `a` nor `b`.
                unsafe {
                    $gemm(
                        m,
                        k,
                        n,
                        1.0,
                        a.as_ptr(),
                        k_stride,
                        1,
                        b.as_ptr(),
                        n_stride,
                        1,
                        0.0,
                        c.as_mut_ptr(),
                        n_stride,
                        1,
                    );
                }
            }
        }
    };
}

float!(f32, matrixmultiply::sgemm);
float!(f64, matrixmultiply::dgemm);
