use super::*;

#[test]
fn names_are_read_and_every_set_is_within_itself_and_has_the_plain_one_within() {
    assert_eq!(Level::ALL.last(), Some(&Level::Scalar));
    for &level in Level::ALL {
        assert!(level.is_within(level) && Level::Scalar.is_within(level));
        assert_eq!(level.is_within(Level::Scalar), level == Level::Scalar);
    }
    for cap in Cap::all() {
        assert_eq!(cap.name().parse(), Ok(cap));
        let (floats, bytes) = cap.chosen().unwrap();
        assert!(floats.is_of(cap.features) && floats.is_supported(), "{cap:?}");
        assert!(bytes.is_of(cap.features) && bytes.is_supported(), "{cap:?}");
        assert!(cap.name() != Level::chosen().unwrap().name() || floats == Level::chosen().unwrap());
    }
    let names: Vec<&str> = Cap::all().iter().map(|cap| cap.name()).collect();
    let bytes = ByteLevel::ALL.iter().map(|level| level.name());
    assert!(Level::ALL.iter().map(|level| level.name()).chain(bytes).all(|name| names.contains(&name)));
    assert!("mmx".parse::<Cap>().unwrap_err().contains(&names.join(", ")));
    #[cfg(target_arch = "x86_64")]
    assert!(Level::Avx2.is_within(Level::Avx512) && !Level::Avx512.is_within(Level::Avx2));
}

/// What a set's vectors do, against what f32 does.
struct Vectors;

const NUMBERS: [f32; 11] =
    [0.0, -0.0, 1.0, -1.5, 3.25, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40];

#[inline(always)]
fn lanes<I: Isa>(v: I::V) -> Vec<f32> {
    let mut lanes = vec![0.0; I::LANES];
    // SAFETY: as many numbers as lanes, and the caller is a kernel.
    unsafe { I::store(lanes.as_mut_ptr(), v) };
    lanes
}

#[inline(always)]
fn check<I: Isa>(got: I::V, want: f32) {
    let is_right = |x: f32| if want.is_nan() { x.is_nan() } else { x == want };
    let got = lanes::<I>(got);
    assert!(got.iter().copied().all(is_right), "{got:?}, not {want}");
}

impl Kernel for Vectors {
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: the set is there, and all pointers are those of vectors of as many numbers.
        unsafe {
            for x in NUMBERS {
                let v = I::splat(x);
                check::<I>(I::sqrt(v), x.sqrt());
                for y in NUMBERS {
                    let w = I::splat(y);
                    check::<I>(I::add(v, w), x + y);
                    check::<I>(I::sub(v, w), x - y);
                    check::<I>(I::mul(v, w), x * y);
                    check::<I>(I::div(v, w), x / y);
                    check::<I>(I::where_above(v, w, I::splat(5.0)), if x > y { 5.0 } else { 0.0 });
                    let is_nan = x.is_nan() || y.is_nan();
                    check::<I>(I::max(v, w), if is_nan { f32::NAN } else { x.max(y) });
                    if !y.is_nan() {
                        check::<I>(I::at_least(v, w), if x.is_nan() { x } else { x.max(y) });
                        check::<I>(I::at_most(v, w), if x.is_nan() { x } else { x.min(y) });
                    }
                }
            }
            for n in -126..=127i16 {
                check::<I>(I::exp2_whole(I::splat(n.into())), f32::from(n).exp2());
            }
            let halves: Vec<u16> = (0..2 * I::LANES as u16).map(|i| 0x3f80 + 257 * i).collect();
            for (place, v) in I::load_bf16(halves.as_ptr()).into_iter().enumerate() {
                let want = halves[place..].iter().step_by(2).map(|&half| u32::from(half) << 16);
                assert!(lanes::<I>(v).iter().map(|x| x.to_bits()).eq(want));
            }
            for n in 0..=I::LANES {
                let some: Vec<f32> = (0..n).map(|i| i as f32 + 1.0).collect();
                let v = I::load_first(some.as_ptr(), n);
                assert_eq!(lanes::<I>(v), [&some[..], &vec![0.0; I::LANES - n]].concat());
                let mut kept = vec![-7.0; n];
                I::store_first(kept.as_mut_ptr(), v, n);
                assert_eq!(kept, some);
            }
            let inputs: Vec<f32> = (0..I::INPUTS).map(|i| i as f32 + 0.5).collect();
            let from = I::inputs(inputs.as_ptr());
            for (place, x) in inputs.into_iter().enumerate() {
                check::<I>(I::fma_input(from, place, I::splat(3.0), I::splat(0.25)), x * 3.0 + 0.25);
            }
        }
    }
}

#[test]
fn vectors_of_every_set_do_what_numbers_do_and_touch_no_others() {
    for &level in Level::ALL.iter().filter(|level| level.is_supported()) {
        println!("{}", level.name());
        // SAFETY: the CPU has the set.
        unsafe { level.run(Vectors) };
    }
}
