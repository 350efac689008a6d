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
    /// `c = a · b` for row-major `a [m, k]`, `b [k, n]` and `c [m, n]`, whose rows are `c_stride` apart.
    ///
    /// # Panics
    /// If a slice has not that many elements, or the rows of `c` overlap.
    fn gemm(size: [usize; 3], a: &[Self], b: &[Self], c: &mut [Self], c_stride: usize);
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

            fn gemm([m, k, n]: [usize; 3], a: &[$type], b: &[$type], c: &mut [$type], c_stride: usize) {
                assert_eq!([a.len(), b.len()], [m * k, k * n]);
                assert!(m > 0 && c_stride >= n && c.len() >= (m - 1) * c_stride + n);
                let [k_stride, n_stride, c_stride] = [k, n, c_stride].map(|stride| stride as isize);
                // SAFETY: the lengths asserted above reach to the last element of row-major matrices with these
                // strides, rows of `c` do not overlap, and `c` is borrowed mutably, so it overlaps neither `a` nor `b`.
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
                        c_stride,
                        1,
                    );
                }
            }
        }
    };
}

float!(f32, matrixmultiply::sgemm);
float!(f64, matrixmultiply::dgemm);
