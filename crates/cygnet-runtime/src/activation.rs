//! The kernels' form of a graph's element-wise functions.

use cygnet_graph::Activation;
use cygnet_kernels::Activation as Kernel;

/// The kernels' form of an activation.
#[must_use]
pub fn kernel_activation(function: Activation) -> Kernel {
    match function {
        Activation::Clamp { low, high } => Kernel::Clamp { low, high },
        Activation::HardSigmoid { scale, shift, high, factor } => {
            Kernel::HardSigmoid { scale, shift, high, factor }
        }
        Activation::Sigmoid => Kernel::Sigmoid,
        Activation::Swish => Kernel::Swish,
        Activation::HardSwish => Kernel::HardSwish,
    }
}
