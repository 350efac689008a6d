//! How long networks take, as a whole and step by step, and what the machine could do at best. All that takes a time needs
//! a [clock](cygnet_runtime::cpu::now).

mod fastest;
mod inputs;
mod network;
mod peaks;
mod rates;
mod steps;
mod subject;
mod times;
#[cfg(feature = "train")]
mod training;

pub use cygnet_latency::{Case, Table, Times};
pub use fastest::{Choice, fastest};
pub use inputs::{random_image, random_weights};
pub use network::{BenchOptions, Timing, bench, precision, session};
pub use rates::l2_gbytes_per_s;
pub use steps::{StepTiming, bench_steps, named_type};
pub use subject::Subject;
pub use times::{is_disturbed, quantile, sample};
#[cfg(feature = "train")]
pub use training::{TrainBenchOptions, TrainTiming, bench_training};
