//! Shapes and the order of weights.

/// The number of elements of a shape; `None` when it is beyond what an array can hold.
pub(super) fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent))
}

/// Reorders the axes of an array, the last axis fastest; empty when the values do not fill the shape.
pub(super) fn permuted(values: &[f32], shape: [usize; 3], order: [usize; 3]) -> Vec<f32> {
    if values.is_empty() || element_count(&shape) != Some(values.len()) {
        return Vec::new();
    }
    let strides = [shape[1] * shape[2], shape[2], 1];
    let [a, b, c] = order;
    let mut result = Vec::with_capacity(values.len());
    for i in 0..shape[a] {
        for j in 0..shape[b] {
            let row = i * strides[a] + j * strides[b];
            result.extend((0..shape[c]).map(|k| values[row + k * strides[c]]));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reorders_axes() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(permuted(&values, [1, 2, 3], [2, 1, 0]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(permuted(&values, [1, 2, 3], [0, 1, 2]), values);
    }

    #[test]
    fn refuses_shapes_that_the_values_do_not_fill() {
        assert!(permuted(&[1.0], [1, 2, 1], [0, 1, 2]).is_empty());
        assert!(permuted(&[], [0, usize::MAX, usize::MAX], [0, 2, 1]).is_empty());
        assert_eq!(element_count(&[usize::MAX, 2]), None);
    }
}
