//! Loops of known length that are written out.

/// Repeats the block with `i` from 0 up to the constant `n`, at most 17, without a loop: arrays indexed by it stay in registers.
macro_rules! unroll {
    ($i:ident < $n:expr, $body:block) => {
        $crate::unroll::unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (@ $i:ident, $n:expr, $body:block, $($k:literal)*) => {
        $(if $k < $n {
            const $i: usize = $k;
            $body
        })*
    };
}

pub(crate) use unroll;
