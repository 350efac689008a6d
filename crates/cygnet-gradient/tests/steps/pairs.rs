//! Sums, products and concatenations of several values, masks, the loss, and images on their way in.

use cygnet_gradient::{Binary, Elementwise, Gather, Import, Loss, Mask, Step, View};
use cygnet_testing::arithmetic::CHANNELS;

use crate::bench::{Bench, Size, Slopes, compare, dot, of_images};

fn channels() -> impl Iterator<Item = usize> {
    CHANNELS.into_iter().filter(|&c| c > 0)
}

/// Where in a part an element of a whole is.
fn broadcast(part: Size, whole: Size, i: usize) -> usize {
    let [_, height, width, channels] = whole;
    let place =
        [i / channels / width / height, i / channels / width % height, i / channels % width, i % channels];
    (0..4).fold(0, |at, axis| at * part[axis] + if part[axis] == 1 { 0 } else { place[axis] })
}

#[test]
fn sums_and_products_have_the_gradients_of_finite_differences() {
    for channels in channels() {
        let whole = [2, 3, 4, channels];
        let sides = [whole, [2, 1, 1, channels], [2, 3, 4, 1], [2, 1, 4, channels], [2, 1, 1, 1]];
        for (side, is_product, gap) in
            sides.into_iter().flat_map(|side| [(side, false, 0), (side, true, 0), (side, true, 3)])
        {
            let what = format!("{whole:?} with {side:?}, product: {is_product}");
            let mut bench = Bench::default();
            let (a, a_values) = bench.random(whole, gap, 1);
            let (b, b_values) = bench.random(side, gap, 2);
            let (g, g_values) = bench.random(whole, gap, 3);
            let to = bench.view(whole, gap);
            let (by_a, by_b) = (bench.view(whole, 0), bench.view(side, 2 * gap));
            let (by_a_too, before) = bench.random(whole, gap, 4);
            let value = |a: &[f64], b: &[f64]| {
                let other = |i: usize| b[broadcast(side, whole, i)];
                let one = |(i, a): (usize, &f64)| if is_product { a * other(i) } else { a + other(i) };
                a.iter().enumerate().map(one).collect::<Vec<_>>()
            };
            let back = |other: View, to: View, accumulate: bool| {
                let other = is_product.then_some(other);
                Step::Binary(Binary::Backward { g, other, to, accumulate })
            };
            let step = if is_product { Binary::Mul { a, b, to } } else { Binary::Add { a, b, to } };
            let steps =
                vec![Step::Binary(step), back(b, by_a, false), back(a, by_b, false), back(b, by_a_too, true)];
            let want = value(&a_values, &b_values);
            let slopes_a = Slopes::of(&a_values, |a| dot(&value(a, &b_values), &g_values));
            let slopes_b = Slopes::of(&b_values, |b| dot(&value(&a_values, b), &g_values));
            bench.each(
                |_| steps.clone(),
                &[to, by_a, by_b, by_a_too],
                |level, after| {
                    let what = format!("{what}, {level:?}");
                    compare(&what, &after.view(&to), &want, 1e-6);
                    slopes_a.check(&what, &after.view(&by_a), 2e-5);
                    slopes_b.check(&what, &after.view(&by_b), 2e-5);
                    let mut added = after.view(&by_a_too);
                    added.iter_mut().zip(&before).for_each(|(got, before)| *got -= before);
                    slopes_a.check(&what, &added, 2e-5);
                },
            );
        }
    }
}

#[test]
fn channels_are_put_together_and_their_gradients_taken_apart() {
    for channels in channels() {
        let each = [channels, channels, channels.div_ceil(2)];
        let all: Vec<[usize; 2]> =
            (0..3).flat_map(|part| (0..each[part]).map(move |channel| [part, channel])).collect();
        let reversed: Vec<_> = all.iter().rev().copied().collect();
        let shuffled = (0..2 * channels).map(|i| [i % 2, i / 2]).collect();
        for (sources, gap) in [(all, 0), (reversed, 3), (shuffled, 1)] {
            let mut bench = Bench::default();
            let parts = each.map(|channels| bench.random([2, 3, 4, channels], gap, channels as u64));
            let count =
                if sources.len() == 2 * channels && sources[1 % sources.len()] != [0, 1] { 2 } else { 3 };
            let size = [2, 3, 4, sources.len()];
            let whole = bench.view(size, gap);
            let (g, g_values) = bench.random(size, gap, 9);
            let backs = each.map(|channels| bench.random([2, 3, 4, channels], gap, 77));
            let gather = |whole: View, views: Vec<View>, backward: Option<Vec<bool>>| {
                let parts = views.into_iter().take(count).map(Some).collect();
                Step::Gather(Gather { parts, sources: sources.clone(), whole, backward })
            };
            let views = |list: &[(View, Vec<f64>); 3]| list.iter().map(|(view, _)| *view).collect::<Vec<_>>();
            let adds = [true, false, true];
            let steps = vec![
                gather(whole, views(&parts), None),
                gather(g, views(&backs), Some(adds[..count].to_vec())),
            ];
            let at = |list: &[(View, Vec<f64>); 3], pixel: usize, [part, channel]: [usize; 2]| {
                list[part].1[pixel * each[part] + channel]
            };
            let want: Vec<f64> = (0..24)
                .flat_map(|pixel| sources.iter().map(move |&source| (pixel, source)))
                .map(|(pixel, source)| at(&parts, pixel, source))
                .collect();
            bench.each(
                |_| steps.clone(),
                &[vec![whole], views(&backs)].concat(),
                |_, after| {
                    assert_eq!(after.view(&whole), want);
                    let backs_after = backs.each_ref().map(|(view, _)| after.view(view));
                    for (i, g) in g_values.iter().enumerate() {
                        let (pixel, [part, channel]) = (i / sources.len(), sources[i % sources.len()]);
                        let old = if adds[part] { at(&backs, pixel, [part, channel]) } else { 0.0 };
                        let got = backs_after[part][pixel * each[part] + channel];
                        assert!((got - (g + old)).abs() < 1e-6, "{sources:?}: {got}, not {g} and {old}");
                    }
                },
            );
        }
    }
}

#[test]
fn masks_keep_the_mean_and_are_the_same_in_both_passes() {
    for whole in [false, true] {
        let size = [64, 3, 5, 17];
        let mut bench = Bench::default();
        let (x, values) = bench.random(size, 3, 1);
        let (g, g_values) = bench.random(size, 0, 2);
        let (to, by_x) = (bench.view(size, 1), bench.view(size, 0));
        let mask = Mask { rate: 0.25, stream: 5, whole };
        let step =
            |x: View, to: View| Step::Elementwise(Elementwise::Mask { x, to, mask, accumulate: false });
        let zero = bench.view([2, 3, 1, 19], 2);
        let steps = vec![step(x, to), step(g, by_x), Step::Elementwise(Elementwise::Zero { to: zero })];
        bench.each(
            |_| steps.clone(),
            &[to, by_x, zero],
            |_, after| {
                assert!(after.view(&zero).iter().all(|&x| x == 0.0));
                let [kept, back] = [(to, &values), (by_x, &g_values)].map(|(view, values)| {
                    let factor = |(after, before): (&f64, &f64)| (after / before * 3.0).round() as u32;
                    after.view(&view).iter().zip(values).map(factor).collect::<Vec<u32>>()
                });
                assert!(kept == back && kept.iter().all(|&factor| factor == 0 || factor == 4));
                let share = kept.iter().filter(|&&factor| factor == 0).count() as f64 / kept.len() as f64;
                assert!((share - 0.25).abs() < if whole { 0.2 } else { 0.02 }, "{share} are zeros");
                let image = size[1..].iter().product::<usize>();
                let is_one = |image: &[u32]| image.iter().all(|factor| *factor == image[0]);
                assert_eq!(kept.chunks(image).all(is_one), whole);
            },
        );
    }
}

#[test]
fn the_loss_has_the_gradient_of_finite_differences() {
    for classes in channels().filter(|&c| c > 1) {
        let (images, weight) = (3, 0.5f32);
        let mut bench = Bench::default();
        let size = [images, 1, 1, classes];
        let (logits, values) = bench.random(size, 3, 1);
        let to = bench.view(size, 1);
        // Smoothed labels; the last image's sum up to a half.
        let target = |i: usize| {
            let (image, class) = (i / classes, i % classes);
            let whole = if image + 1 == images { 0.5 } else { 1.0 };
            whole * (0.25 / classes as f32 + if class == image % classes { 0.75 } else { 0.0 })
        };
        let targets: Vec<f32> = (0..images * classes).map(target).collect();
        bench.targets(targets.clone(), 2 * images);
        let exact = |x: &[f64]| {
            let of = |(x, t): (&[f64], &[f32])| {
                let sum: f64 = x.iter().map(|x| x.exp()).sum();
                x.iter().zip(t).map(|(x, t)| f64::from(*t) * (sum.ln() - x)).sum::<f64>()
            };
            let losses = x.chunks(classes).zip(targets.chunks(classes)).map(of);
            losses.sum::<f64>() * f64::from(weight) / images as f64
        };
        let slopes = Slopes::of(&values, exact);
        let loss = |to: Option<View>, number: usize| Step::Loss(Loss { logits, to, weight, number });
        bench.each(
            |_| vec![loss(None, 0), loss(Some(to), 1)],
            &[to],
            |level, after| {
                assert!((after.loss - 2.0 * exact(&values)).abs() < 1e-9, "{level:?}");
                slopes.check(&format!("the loss, {level:?}"), &after.view(&to), 1e-6);
            },
        );
    }
}

#[test]
fn images_come_in_channels_last() {
    use cygnet_gradient::{Arena, Program};
    use cygnet_testing::arithmetic::{levels, team, values};

    let (to, images) =
        (View { offset: 5, images: 2, height: 3, width: 4, channels: 3, stride: 7 }, values(72, 1));
    for level in levels() {
        let steps = vec![Step::Import(Import { to })];
        let program = Program::new(level, steps, 5 + 24 * 7, Vec::new(), [72, 0, 0]).unwrap();
        let mut arena = Arena::new(&[&program], 1);
        program.run(&mut team(1), &mut arena, of_images(&images));
        for (i, x) in images.iter().enumerate() {
            let (image, c, pixel) = (i / 36, i / 12 % 3, i % 12);
            assert_eq!(arena.read(0..5 + 24 * 7)[5 + (image * 12 + pixel) * 7 + c], *x);
        }
    }
}
