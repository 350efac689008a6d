//! Between tensors as a file has them and images as a graph reads and values as it returns them.

use super::view::View;

/// What a network of a file reads.
#[derive(Clone, Debug)]
pub struct ImportedInput {
    /// Its name.
    pub name: String,
    /// Its shape in the file, with the batch.
    pub shape: Vec<usize>,
    /// Whether channels come last in the file.
    pub channels_last: bool,
    /// Whether the file reads whole numbers from 0 to 255: pixels.
    pub is_bytes: bool,
    pub(crate) view: View,
    pub(crate) batch: usize,
}

impl ImportedInput {
    /// Images, one after the other as a graph reads them, of the numbers of a tensor in the file's order.
    ///
    /// # Panics
    /// If there are not as many numbers as [`ImportedInput::shape`] has.
    #[must_use]
    pub fn images(&self, numbers: &[f32]) -> Vec<f32> {
        assert_eq!(numbers.len(), self.shape.iter().product::<usize>(), "a tensor of the input's shape");
        let places = self.view.places();
        let mut images = vec![0.0; numbers.len()];
        for (from, to) in numbers.chunks_exact(places.len()).zip(images.chunks_exact_mut(places.len())) {
            from.iter().zip(&places).for_each(|(number, &place)| to[place] = *number);
        }
        images
    }

    /// Images that a tensor holds.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }
}

/// That of an output only the place of the largest number along a dimension is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) dim: usize,
    /// Whether the last of equal numbers counts, not the first.
    pub(crate) is_last: bool,
    /// Whether the dimension stays, with one place.
    pub(crate) keeps: bool,
}

impl Choice {
    /// The shape of the places for numbers of a shape.
    pub(crate) fn shape(self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        if self.keeps {
            shape[self.dim] = 1;
        } else {
            shape.remove(self.dim);
        }
        shape
    }

    /// The places for numbers of a shape.
    fn places(self, numbers: &[f32], shape: &[usize]) -> Vec<f32> {
        let (size, inner) = (shape[self.dim], shape[self.dim + 1..].iter().product::<usize>());
        let outer = numbers.len() / (size * inner);
        let is_larger = |a: f32, b: f32| if self.is_last { a >= b } else { a > b };
        let place = |at: usize| {
            let number = |place: usize| numbers[(at / inner * size + place) * inner + at % inner];
            (1..size).fold(0, |best, place| if is_larger(number(place), number(best)) { place } else { best })
                as f32
        };
        (0..outer * inner).map(place).collect()
    }
}

/// What a network of a file returns.
#[derive(Clone, Debug)]
pub struct ImportedOutput {
    /// Its name.
    pub name: String,
    /// Its shape in the file, with the batch.
    pub shape: Vec<usize>,
    /// Which of the graph's outputs it is made of.
    pub output: usize,
    pub(crate) view: View,
    pub(crate) choice: Option<Choice>,
    /// Numbers of the value for one image.
    pub(crate) value: usize,
}

impl ImportedOutput {
    /// The tensor in the file's order, of the graph's output for each image of a batch.
    ///
    /// # Panics
    /// If an image's output does not have as many numbers as the graph says.
    #[must_use]
    pub fn tensor<'v>(&self, images: impl IntoIterator<Item = &'v [f32]>) -> Vec<f32> {
        let places = self.view.places();
        let gather = |value: &'v [f32]| {
            assert_eq!(value.len(), self.value, "the graph's output");
            places.iter().map(|&place| value[place]).collect::<Vec<_>>()
        };
        let numbers: Vec<f32> = images.into_iter().flat_map(gather).collect();
        match self.choice {
            Some(choice) => choice.places(&numbers, &self.view.shape()),
            None => numbers,
        }
    }

    /// Whether the file has only the class, the place of the largest number, where the graph has the numbers.
    #[must_use]
    pub fn is_class(&self) -> bool {
        self.choice.is_some()
    }

    /// Whether the file's numbers are the graph's in their order.
    #[must_use]
    pub fn is_as_stored(&self) -> bool {
        self.choice.is_none() && self.view.is_in_order(self.value)
    }
}
