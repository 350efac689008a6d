//! The kernels' form of a graph's element-wise functions.

use cygnet_graph::Activation;
use cygnet_kernels::Activation as Kernel;

/// The kernels' form of an activation.
#[must_use]
pub fn kernel_activation(function: Activation) -> Kernel {
    match function {
        Activation::Relu => Kernel::RELU,
        Activation::Relu6 => Kernel::Clamp { low: 0.0, high: 6.0 },
        Activation::Sigmoid => Kernel::Sigmoid,
        Activation::Swish => Kernel::Swish,
        Activation::HardSigmoid => {
            Kernel::HardSigmoid { scale: 1.0, shift: 3.0, high: 6.0, factor: 1.0 / 6.0 }
        }
        Activation::HardSigmoidKeras => {
            Kernel::HardSigmoid { scale: 0.2, shift: 0.5, high: 1.0, factor: 1.0 }
        }
        Activation::HardSigmoidClamp => Kernel::Clamp { low: 0.0, high: 1.0 },
        Activation::HardSigmoidSlim => {
            Kernel::HardSigmoid { scale: 1.0, shift: 3.0, high: 6.0, factor: 0.16667 }
        }
        Activation::HardSwish => Kernel::HardSwish,
    }
}
