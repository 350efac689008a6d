//! What bf16 means: the arithmetic of linear layers whose inputs and weights are bf16 and whose sums are f32. Every kernel equals
//! it to the bit, but where a product or sum is no normal number of f32.

/// The upper half of the nearest bf16, ties to even. What is no normal number of f32 becomes 0, what is too large infinite.
#[inline(always)]
#[must_use]
pub fn halved(x: f32) -> u16 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let magnitude = bits & 0x7fff_ffff;
    let half = if magnitude > 0x7f80_0000 { bits >> 16 | 0x40 } else { nearest };
    (if magnitude < 0x80_0000 { bits >> 16 & 0x8000 } else { half }) as u16
}

/// The number that an upper half is.
#[inline(always)]
#[must_use]
pub fn whole(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// As [`super::linear`]. A sum begins with the bias and takes one product of rounded numbers after the other, of each pair of
/// inputs the second first; 0 makes a pair of the last of an odd number. Products are exact.
#[must_use]
pub fn linear(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let of = |(o, &bias): (usize, &f32)| {
        let weight = &weight[o * x.len()..][..x.len()];
        let product = |i: usize| match (x.get(i), weight.get(i)) {
            (Some(&x), Some(&weight)) => whole(halved(x)) * whole(halved(weight)),
            _ => 0.0,
        };
        (0..x.len()).step_by(2).fold(bias, |sum, i| sum + product(i + 1) + product(i))
    };
    bias.iter().enumerate().map(of).collect()
}
