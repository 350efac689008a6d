//! Pictures that the steps of a pass leave over.

/// That many pictures do not come up in a pass, if so.
pub(super) fn left_over(pictures: usize, batch: usize) -> Option<String> {
    let batch = batch.clamp(1, pictures.max(1));
    let left = pictures % batch;
    // The largest of those that leave the fewest.
    let better = (batch.div_ceil(2)..=batch).rev().min_by_key(|size| pictures % size)?;
    (left * 10 > pictures).then(|| {
        let then = match pictures % better {
            0 => "takes them".to_owned(),
            fewer => format!("leaves {fewer}"),
        };
        format!(
            "with {batch} pictures a step {left} of {pictures} are left over in each pass, others every time: \
             --batch {better} {then}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::left_over;

    #[test]
    fn steps_of_another_size_are_advised_that_take_more_pictures() {
        let ends = |pictures, batch, end: &str| {
            let told = left_over(pictures, batch).unwrap_or_default();
            assert!(told.ends_with(end) && told.is_empty() == end.is_empty(), "{told}");
        };
        ends(144, 32, "16 of 144 are left over in each pass, others every time: --batch 24 takes them");
        ends(47, 32, "15 of 47 are left over in each pass, others every time: --batch 23 leaves 1");
        ends(64, 32, "");
        ends(1000, 32, "");
        ends(3, 32, "");
        ends(0, 32, "");
    }
}
