use super::*;

/// What a set's vectors do, against what numbers do.
struct Vectors;

#[inline(always)]
fn bytes<I: Bytes>(v: I::V) -> Vec<u8> {
    let mut bytes = vec![0; 4 * I::LANES];
    // SAFETY: as many bytes as a vector has, and the caller is a kernel.
    unsafe { I::store(bytes.as_mut_ptr(), v) };
    bytes
}

#[inline(always)]
fn words<I: Bytes>(v: I::V) -> Vec<u32> {
    let words = bytes::<I>(v);
    words.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// Bytes without order.
fn some(count: usize, seed: usize) -> Vec<u8> {
    (0..count).map(|i| ((i + seed * 77 + 1).wrapping_mul(0x9e37_79b9) >> 13) as u8).collect()
}

const INTS: [i32; 14] =
    [0, 1, -1, 100, 255, 256, -256, 32767, 32768, -40000, 1 << 23, (1 << 24) + 1, i32::MAX, i32::MIN];

const FLOATS: [f32; 18] = [
    0.0,
    -0.0,
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    254.5,
    255.49,
    4194304.5,
    8388607.5,
    1e9,
    -1e9,
    3e9,
    -3e9,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

fn saturated(word: i32, zero: i32) -> u8 {
    i64::from(word).saturating_add(zero.into()).clamp(0, 255) as u8
}

impl ByteKernel for Vectors {
    #[inline(always)]
    unsafe fn run<I: Bytes>(self) {
        let all = 4 * I::LANES;
        // SAFETY: the set is there, and all pointers are those of as many bytes as are read or written.
        unsafe {
            for n in 0..=all {
                let from = some(n, n);
                let v = I::load_first(from.as_ptr(), n);
                assert_eq!(bytes::<I>(v), [&from[..], &vec![0; all - n]].concat());
                let mut kept = vec![0; n];
                I::store_first(kept.as_mut_ptr(), v, n);
                assert_eq!(kept, from);
            }
            let from = some(all, 5);
            assert_eq!(
                words::<I>(I::widen(from.as_ptr())),
                from[..I::LANES].iter().map(|&x| x.into()).collect::<Vec<u32>>()
            );

            let rows = [1, 2, 3, 4].map(|row| some(all, row));
            let mixed = I::interleave([0, 1, 2, 3].map(|row| I::load(rows[row].as_ptr())));
            for (q, mixed) in mixed.into_iter().enumerate() {
                for (i, byte) in bytes::<I>(mixed).into_iter().enumerate() {
                    assert_eq!(byte, rows[i % 4][q * I::LANES + i / 4]);
                }
            }

            for n in 1..=I::LANES {
                let first = I::interleave_first([0, 1, 2, 3].map(|row| rows[row][all - n..].as_ptr()), n);
                for (i, byte) in bytes::<I>(first).into_iter().enumerate().take(4 * n) {
                    assert_eq!(byte, rows[i % 4][all - n + i / 4]);
                }
            }

            let mixed = I::mix([0, 1, 2, 3].map(|row| I::load(rows[row].as_ptr())));
            for (v, mixed) in mixed.into_iter().enumerate() {
                for (i, byte) in bytes::<I>(mixed).into_iter().enumerate() {
                    assert_eq!(byte, rows[i % 4][packed(I::LANES, 4, v, i / 4)]);
                }
            }
            let line = I::load(rows[0].as_ptr());
            assert_eq!(bytes::<I>(I::in_line(I::apart(line))), rows[0]);

            // The largest products there are must not saturate.
            for (x, weight) in [(255, 127), (255, -127), (128, 127), (0, -127), (3, 77)] {
                let inputs = I::splat(u32::from_le_bytes([x; 4]));
                let level = *ByteLevel::ALL.iter().find(|level| level.parts() == I::PARTS).unwrap();
                let weights = level.weight_words([weight, weight, weight, -weight]);
                let mut sum = I::splat(7);
                sum = I::dot(sum, I::part(inputs, 0), I::splat(weights[0]));
                if I::PARTS == 2 {
                    sum = I::dot(sum, I::part(inputs, 1), I::splat(weights[1]));
                }
                assert!(
                    words::<I>(sum).iter().all(|&sum| sum as i32 == 7 + 2 * i32::from(x) * i32::from(weight))
                );
            }
            let level = *ByteLevel::ALL.iter().find(|level| level.parts() == I::PARTS).unwrap();
            let (x, weights) = (some(4, 9), [-5, 6, 100, -127]);
            let inputs = I::splat(u32::from_le_bytes([x[0], x[1], x[2], x[3]]));
            let of = level.weight_words(weights);
            let mut sum = I::dot(I::splat(0), I::part(inputs, 0), I::splat(of[0]));
            if I::PARTS == 2 {
                sum = I::dot(sum, I::part(inputs, 1), I::splat(of[1]));
            }
            let want: i32 = x.iter().zip(weights).map(|(&x, weight)| i32::from(x) * i32::from(weight)).sum();
            assert!(words::<I>(sum).iter().all(|&sum| sum as i32 == want));

            for a in INTS {
                let v = I::splat(a as u32);
                assert!(words::<I>(I::to_float(v)).iter().all(|&x| x == (a as f32).to_bits()));
                for b in INTS {
                    let sum = I::add(v, I::splat(b as u32));
                    assert!(words::<I>(sum).iter().all(|&x| x == a.wrapping_add(b) as u32));
                }
            }
            for a in FLOATS {
                let v = I::splat(a.to_bits());
                let whole = a.round_ties_even();
                let want = if whole.abs() < 2_147_483_648.0 { whole as i32 } else { i32::MIN };
                assert!(words::<I>(I::to_int(v)).iter().all(|&x| x as i32 == want), "{a}");
                let limited = words::<I>(I::to_int(I::limit_float(v)));
                let want = (f64::from(whole) as i32).min(LARGEST as i32);
                assert!(limited.iter().all(|&x| x as i32 == want), "{a}");
                for b in FLOATS {
                    let is = |got: u32, want: f32| {
                        got == want.to_bits() || want.is_nan() && f32::from_bits(got).is_nan()
                    };
                    let w = I::splat(b.to_bits());
                    assert!(words::<I>(I::add_float(v, w)).iter().all(|&x| is(x, a + b)));
                    assert!(words::<I>(I::mul_float(v, w)).iter().all(|&x| is(x, a * b)));
                }
            }

            for zero in [0, 1, 128, 255] {
                for shift in 0..INTS.len() {
                    let word = |vector: usize, lane: usize| INTS[(vector * 5 + lane + shift) % INTS.len()];
                    let vector = |vector: usize| {
                        let words: Vec<u8> =
                            (0..I::LANES).flat_map(|lane| word(vector, lane).to_le_bytes()).collect();
                        I::load(words.as_ptr())
                    };
                    let all = [vector(0), vector(1), vector(2), vector(3)];
                    let z = (zero > 0).then_some(I::splat(zero | zero << 16));
                    let check = |packed: Vec<u8>, vectors: usize, place: &dyn Fn(usize, usize) -> usize| {
                        for v in 0..vectors {
                            for lane in 0..I::LANES {
                                assert_eq!(packed[place(v, lane)], saturated(word(v, lane), zero as i32));
                            }
                        }
                    };
                    let place =
                        |vectors: usize| move |v: usize, lane: usize| packed(I::LANES, vectors, v, lane);
                    check(bytes::<I>(I::pack([all[0]], z)), 1, &place(1));
                    check(bytes::<I>(I::pack([all[0], all[1]], z)), 2, &place(2));
                    check(bytes::<I>(I::pack(all, z)), 4, &place(4));
                    check(bytes::<I>(I::in_line(I::pack(all, z))), 4, &|v, lane| v * I::LANES + lane);
                }
            }

            let table = some(256, 3);
            for start in (0..256).step_by(I::LANES) {
                let x: Vec<u8> = (0..4 * I::LANES).map(|i| (start + i) as u8).collect();
                let (v, w) = (I::load(x.as_ptr()), I::load(from.as_ptr()));
                let want: Vec<u8> = x.iter().map(|&x| table[usize::from(x)]).collect();
                assert_eq!(bytes::<I>(I::table(v, table.as_ptr())), want);
                let pairs =
                    |of: fn(u8, u8) -> u8| x.iter().zip(&from).map(|(&x, &y)| of(x, y)).collect::<Vec<_>>();
                assert_eq!(bytes::<I>(I::max_bytes(v, w)), pairs(u8::max));
                assert_eq!(bytes::<I>(I::min_bytes(v, w)), pairs(u8::min));
            }
        }
    }
}

#[test]
fn vectors_of_every_set_do_what_numbers_do_and_touch_no_others() {
    for &level in ByteLevel::ALL.iter().filter(|level| level.is_supported()) {
        println!("{}", level.name());
        // SAFETY: the CPU has the set.
        unsafe { level.run(Vectors) };
    }
}

#[test]
fn caps_are_by_features() {
    assert_eq!(ByteLevel::ALL.last(), Some(&ByteLevel::Scalar));
    for &level in ByteLevel::ALL {
        assert!(!level.is_supported() || ByteLevel::best_of(level.features()) == level);
    }
    assert_eq!(ByteLevel::within(Level::Scalar), ByteLevel::Scalar);
    #[cfg(target_arch = "x86_64")]
    if Level::Avx2.is_supported() {
        let best = |sets: &[ByteLevel]| *sets.iter().find(|set| set.is_supported()).unwrap();
        assert_eq!(ByteLevel::within(Level::Avx2), best(&[ByteLevel::AvxVnni, ByteLevel::Avx2]));
        assert_eq!(ByteLevel::within(Level::best()), best(ByteLevel::ALL));
    }
}
