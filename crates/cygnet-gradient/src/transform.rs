//! Functions of some other form, image by image.

use cygnet_cpu::{FAR, Level, adaptive_window};

use crate::area::Touches;
use crate::chunk::Rows;
use crate::value::{View, same, size};
use crate::work::{Limits, Work, Workspace};

/// A function of some other form, or its gradient.
#[derive(Clone, Debug)]
pub struct Transform {
    /// Which.
    pub kind: TransformKind,
    /// Its input.
    pub x: View,
    /// Its result, or for the gradient that of the result.
    pub y: View,
    /// For the gradient, where that of the input goes and whether it is added to what is there.
    pub backward: Option<(View, bool)>,
}

/// What a [`Transform`] step computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TransformKind {
    /// Softmax over channels.
    Softmax,
    /// `x / (k + alpha / size * sum of squares)^beta` over a window of channels.
    LocalResponseNorm {
        /// Channels of the window.
        size: usize,
        /// `[alpha, beta, k]`.
        constants: [f32; 3],
    },
    /// Nearest-neighbour enlargement.
    Upsample,
    /// Means over [windows that cover the map](adaptive_window), as many as the result has pixels.
    AdaptiveMean,
    /// A map to a vector in channel-major order.
    Flatten,
}

impl Work for Transform {
    fn fits(&self, _: &Limits<'_>) -> bool {
        let (x, y) = (&self.x, &self.y);
        let sizes = || match self.kind {
            TransformKind::Softmax => same(x, y),
            TransformKind::LocalResponseNorm { size, .. } => same(x, y) && size > 0,
            TransformKind::Upsample | TransformKind::AdaptiveMean => {
                let are_counted = size(&[x.height, y.height]).max(size(&[x.width, y.width])) <= FAR;
                x.images == y.images && x.channels == y.channels && are_counted
            }
            TransformKind::Flatten => {
                x.images == y.images && y.pixels() == 1 && y.channels == x.channels * x.pixels()
            }
        };
        x.is_sound()
            && y.is_sound()
            && sizes()
            && self.backward.is_none_or(|(to, _)| to.is_sound() && same(&to, x))
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::of_pass(self.x, self.y, self.backward.map(|(to, _)| to))
    }

    fn tasks(&self) -> usize {
        self.x.images
    }

    fn scratch(&self) -> usize {
        2 * self.x.channels
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let (x_pixels, y_pixels) = (self.x.pixels(), self.y.pixels());
        let channels = self.x.channels;
        // SAFETY: `fits` checked the views; scratch holds two numbers a channel.
        unsafe {
            let x = Rows::of(memory.arena, &self.x, task * x_pixels);
            let y = Rows::of(memory.arena, &self.y, task * y_pixels);
            let to = self.backward.map(|(to, accumulate)| {
                let to = Rows::of(memory.arena, &to, task * x_pixels);
                if !accumulate {
                    for pixel in 0..x_pixels {
                        to.get(pixel, 0).write_bytes(0, channels);
                    }
                }
                to
            });
            match self.kind {
                TransformKind::Softmax => {
                    let value = std::slice::from_raw_parts_mut(memory.scratch, channels);
                    for pixel in 0..x_pixels {
                        let from = |c: usize| f64::from(*x.get(pixel, c));
                        let largest = (0..channels).map(from).fold(f64::NEG_INFINITY, f64::max);
                        let sum: f64 = (0..channels).map(|c| (from(c) - largest).exp()).sum();
                        for (c, value) in value.iter_mut().enumerate() {
                            *value = ((from(c) - largest).exp() / sum) as f32;
                        }
                        match to {
                            None => {
                                for c in 0..channels {
                                    *y.get(pixel, c) = value[c];
                                }
                            }
                            Some(to) => {
                                let g = |c: usize| f64::from(*y.get(pixel, c));
                                let dot: f64 = (0..channels).map(|c| g(c) * f64::from(value[c])).sum();
                                for (c, value) in value.iter().enumerate() {
                                    *to.get(pixel, c) += (f64::from(*value) * (g(c) - dot)) as f32;
                                }
                            }
                        }
                    }
                }
                TransformKind::LocalResponseNorm { size, constants } => {
                    let [alpha, beta, k] = constants.map(f64::from);
                    let share = alpha / size as f64;
                    let window = |c: usize, back: usize, ahead: usize| {
                        c.saturating_sub(back)..(c + ahead + 1).min(channels)
                    };
                    let (back, ahead) = (size / 2, (size - 1) / 2);
                    let [power, product] = [0, channels]
                        .map(|at| std::slice::from_raw_parts_mut(memory.scratch.add(at), channels));
                    for pixel in 0..x_pixels {
                        let from = |c: usize| f64::from(*x.get(pixel, c));
                        for c in 0..channels {
                            let squares: f64 = window(c, back, ahead).map(|c| from(c).powi(2)).sum();
                            let base = k + share * squares;
                            let scaled = base.powf(-beta);
                            match to {
                                None => *y.get(pixel, c) = (from(c) * scaled) as f32,
                                Some(_) => {
                                    power[c] = scaled as f32;
                                    product[c] =
                                        (f64::from(*y.get(pixel, c)) * from(c) * scaled / base) as f32;
                                }
                            }
                        }
                        let Some(to) = to else { continue };
                        for (c, power) in power.iter().enumerate() {
                            // The windows that this channel lies in.
                            let sum: f64 = window(c, ahead, back).map(|c| f64::from(product[c])).sum();
                            let own = f64::from(*y.get(pixel, c)) * f64::from(*power);
                            *to.get(pixel, c) += (own - 2.0 * share * beta * from(c) * sum) as f32;
                        }
                    }
                }
                TransformKind::Upsample => {
                    for row in 0..self.y.height {
                        for column in 0..self.y.width {
                            let source = row * self.x.height / self.y.height * self.x.width
                                + column * self.x.width / self.y.width;
                            let whole = y.get(row * self.y.width + column, 0);
                            match to {
                                None => whole.copy_from_nonoverlapping(x.get(source, 0), channels),
                                Some(to) => {
                                    let to = to.get(source, 0);
                                    for c in 0..channels {
                                        *to.add(c) += *whole.add(c);
                                    }
                                }
                            }
                        }
                    }
                }
                TransformKind::AdaptiveMean => {
                    let (x_size, y_size) = ([self.x.height, self.x.width], [self.y.height, self.y.width]);
                    for pixel in 0..y_pixels {
                        let place = [pixel / y_size[1], pixel % y_size[1]];
                        let window = |axis: usize| adaptive_window(place[axis], y_size[axis], x_size[axis]);
                        let (rows, columns) = (window(0), window(1));
                        let share = 1.0 / (rows.len() * columns.len()) as f32;
                        let mean = y.get(pixel, 0);
                        if to.is_none() {
                            mean.write_bytes(0, channels);
                        }
                        for source in rows.flat_map(|y| columns.clone().map(move |x| y * x_size[1] + x)) {
                            for c in 0..channels {
                                match to {
                                    None => *mean.add(c) += share * *x.get(source, c),
                                    Some(to) => *to.get(source, c) += share * *mean.add(c),
                                }
                            }
                        }
                    }
                }
                TransformKind::Flatten => {
                    for pixel in 0..x_pixels {
                        for c in 0..channels {
                            let flat = y.get(0, c * x_pixels + pixel);
                            match to {
                                None => *flat = *x.get(pixel, c),
                                Some(to) => *to.get(pixel, c) += *flat,
                            }
                        }
                    }
                }
            }
        }
    }
}
