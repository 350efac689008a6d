//! Element-wise functions, in registers.

use crate::isa::Isa;
use crate::unroll;

/// An element-wise function. NaN stays NaN; an infinity becomes the limit, but for hard-swish, whose formula is NaN at
/// -∞ and whose result is infinite where `6 x` is, and for sigmoid and swish at -∞.
///
/// Sigmoid and swish stay below -88 what they are there, where the next smaller results would be no longer normal numbers:
/// 6.1e-39 and -5.4e-37 in place of what is nearer to 0. Units in the last place are those of the exact result, and of the
/// least normal number for results below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x`.
    None,
    /// `x` within limits: ReLU is `[0, ∞]`, ReLU6 `[0, 6]`.
    Clamp {
        /// Least value.
        low: f32,
        /// Largest value.
        high: f32,
    },
    /// `clamp(x * scale + shift, 0, high) * factor`: the hard sigmoids.
    HardSigmoid {
        /// Factor inside.
        scale: f32,
        /// Term inside.
        shift: f32,
        /// Upper limit.
        high: f32,
        /// Factor outside.
        factor: f32,
    },
    /// `x * clamp(x + 3, 0, 6) / 6`.
    HardSwish,
    /// `1 / (1 + e^-x)`, within 4 units in the last place from -88 on. Its derivative is off by 1e-7 at most.
    Sigmoid,
    /// `x / (1 + e^-x)`, within 5 units in the last place from -88 on. Its derivative is off by 1e-6 at most.
    Swish,
}

/// Where sigmoid and swish become constant: a factor of the sigmoid must stop there too, as the sigmoid is not 0.
pub const SATURATION: f32 = -88.0;

impl Activation {
    /// `max(x, 0)`.
    pub const RELU: Activation = Activation::Clamp { low: 0.0, high: f32::INFINITY };

    /// Whether it is a few instructions, which fit behind another kernel's arithmetic.
    #[must_use]
    pub fn is_cheap(self) -> bool {
        !matches!(self, Activation::Sigmoid | Activation::Swish)
    }

    /// The function of every vector, one of the [cheap](Activation::is_cheap) ones.
    ///
    /// # Safety
    /// As [`Isa`].
    #[inline(always)]
    pub unsafe fn cheap<I: Isa, const N: usize>(self, x: &mut [I::V; N]) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Activation::Clamp { low, high } if high == f32::INFINITY => {
                    let low = I::splat(low);
                    unroll!(P < N, at most 7, {
                        x[P] = I::at_least(x[P], low);
                    });
                }
                Activation::Clamp { low, high } => {
                    let (low, high) = (I::splat(low), I::splat(high));
                    unroll!(P < N, at most 7, {
                        x[P] = I::at_most(I::at_least(x[P], low), high);
                    });
                }
                Activation::HardSwish => {
                    unroll!(P < N, at most 7, {
                        x[P] = Activation::HardSwish.hard::<I>(x[P]);
                    });
                }
                sigmoid @ Activation::HardSigmoid { .. } => {
                    unroll!(P < N, at most 7, {
                        x[P] = sigmoid.hard::<I>(x[P]);
                    });
                }
                Activation::None | Activation::Sigmoid | Activation::Swish => {}
            }
        }
    }

    /// Hard sigmoid or hard swish; any other function as hard swish.
    ///
    /// # Safety
    /// As [`Isa`].
    #[inline(always)]
    pub unsafe fn hard<I: Isa>(self, x: I::V) -> I::V {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = I::splat(0.0);
            if let Activation::HardSigmoid { scale, shift, high, factor } = self {
                let [scale, shift, high, factor] =
                    [I::splat(scale), I::splat(shift), I::splat(high), I::splat(factor)];
                return I::mul(I::at_most(I::at_least(I::fma(x, scale, shift), zero), high), factor);
            }
            let (three, six, sixth) = (I::splat(3.0), I::splat(6.0), I::splat(1.0 / 6.0));
            let gate = I::at_most(I::at_least(I::add(x, three), zero), six);
            I::mul(I::mul(x, gate), sixth)
        }
    }

    /// The function of one vector, the costly ones too.
    ///
    /// # Safety
    /// As [`Isa`].
    #[inline(always)]
    pub unsafe fn apply<I: Isa>(self, x: I::V) -> I::V {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Activation::Sigmoid => sigmoid::<I>(x),
                Activation::Swish => I::mul(I::at_least(x, I::splat(SATURATION)), sigmoid::<I>(x)),
                _ => {
                    let mut x = [x];
                    self.cheap::<I, 1>(&mut x);
                    x[0]
                }
            }
        }
    }
}

/// `1 / (1 + e^-x)`; saturates at [`SATURATION`], above 0, and at 1.
#[inline(always)]
unsafe fn sigmoid<I: Isa>(x: I::V) -> I::V {
    // SAFETY: the caller's promise.
    unsafe {
        let one = I::splat(1.0);
        I::div(one, I::add(one, exp::<I>(I::sub(I::splat(0.0), x))))
    }
}

/// `e^x` for x limited to [-87, 88]: `2^n e^r` with `r` in ±ln(2)/2 and a polynomial of degree 6 for `e^r`.
#[inline(always)]
unsafe fn exp<I: Isa>(x: I::V) -> I::V {
    // Adding and taking away 1.5 * 2^23 rounds to whole numbers.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const POLYNOMIAL: [f32; 6] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    // SAFETY: the caller's promise.
    unsafe {
        let x = I::at_most(I::at_least(x, I::splat(-87.0)), I::splat(88.0));
        let magic = I::splat(ROUND);
        let n = I::sub(I::fma(x, I::splat(std::f32::consts::LOG2_E), magic), magic);
        let r = I::fma(n, I::splat(-LN2_HIGH), x);
        let r = I::fma(n, I::splat(-LN2_LOW), r);
        let mut sum = I::splat(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            sum = I::fma(sum, r, I::splat(*coefficient));
        }
        I::mul(I::fma(sum, r, I::splat(1.0)), I::exp2_whole(n))
    }
}
