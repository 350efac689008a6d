//! Loops of kernels as macros: what a closure does is compiled without the instructions of the set around it, unless it
//! happens to be inlined first.

/// Repeats the block with `i` from 0 up to the constant `n`, at most 17 or what is said, without a loop: arrays indexed by
/// it stay in registers. Numbers from `n` on are left out before code is generated for them.
///
/// Where nothing is optimised, [`rolled!`](crate::rolled) takes its place.
#[macro_export]
macro_rules! unroll {
    ($i:ident < $n:expr, at most 4, $body:block) => {
        $crate::unroll!(@ $i, $n, $body, 4: 0 1 2 3)
    };
    ($i:ident < $n:expr, at most 7, $body:block) => {
        $crate::unroll!(@ $i, $n, $body, 7: 0 1 2 3 4 5 6)
    };
    ($i:ident < $n:expr, $body:block) => {
        $crate::unroll!(@ $i, $n, $body, 17: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (@ $i:ident, $n:expr, $body:block, $most:literal: $($k:literal)*) => {
        const { assert!($n <= $most) };
        $(
            #[allow(unconditional_panic)]
            if const { $k < $n } {
                const $i: usize = $k;
                $body
            }
        )*
    };
}

/// Repeats the block with `i` from 0 up to the constant `n`: the loop, where registers are nobody's concern.
#[macro_export]
macro_rules! rolled {
    ($i:ident < $n:expr, $(at most $most:literal,)? $body:block) => {
        let mut next = 0;
        while next < const { $n } {
            #[allow(non_snake_case)]
            let $i: usize = next;
            $body
            next += 1;
        }
    };
}

/// The block for every vector of channels, with its first channel and its lanes: once for whole vectors, once for the rest.
#[macro_export]
macro_rules! vectors {
    ($isa:ident, $channels:expr, |$c:ident, $lanes:ident| $body:block) => {
        let (mut next, channels): (usize, usize) = (0, $channels);
        while next + $isa::LANES <= channels {
            let ($c, $lanes) = (next, $isa::LANES);
            $body
            next += $isa::LANES;
        }
        if next < channels {
            let ($c, $lanes) = (next, channels - next);
            $body
        }
    };
}
