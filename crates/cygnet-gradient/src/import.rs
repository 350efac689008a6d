//! Images to channels last.

use cygnet_cpu::Level;

use crate::area::Touches;
use crate::chunk::Rows;
use crate::value::{View, size};
use crate::work::{Limits, Work, Workspace};

/// Images `[images, channels, height, width]` to a view.
#[derive(Clone, Debug)]
pub struct Import {
    /// Where they go.
    pub to: View,
}

impl Work for Import {
    fn fits(&self, limits: &Limits<'_>) -> bool {
        self.to.is_sound() && limits.images == self.to.rows() * self.to.channels
    }

    fn touches(&self, _: Level) -> Touches {
        Touches::default().writes([self.to.into()])
    }

    fn outside(&self) -> usize {
        size(&[self.to.rows(), self.to.channels])
    }

    fn tasks(&self) -> usize {
        self.to.images
    }

    unsafe fn run(&self, memory: &Workspace<'_>, task: usize) {
        let (pixels, channels) = (self.to.pixels(), self.to.channels);
        // SAFETY: `fits` checked the sizes of the images and the view.
        unsafe {
            let to = Rows::of(memory.arena, &self.to, task * pixels);
            for c in 0..channels {
                let from = memory.images.add((task * channels + c) * pixels);
                for pixel in 0..pixels {
                    *to.get(pixel, c) = *from.add(pixel);
                }
            }
        }
    }
}
