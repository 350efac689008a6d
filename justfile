# Everything that continuous integration does.
check:
    .ci/run

# The tests alone.
test:
    cargo test --workspace

# Tries properties on cases that no run has tried, as often as told: `just explore 20 -p cygnet-kernels`.
explore TIMES *ARGS:
    for seed in $(shuf -i 2-4294967295 -n {{TIMES}}); do \
        PROPTEST_RNG_SEED="$seed" cargo test --tests {{ARGS}} || { echo "seed $seed"; exit 1; }; done

# Looks for bytes by which a reader fails: `just fuzz safetensors -max_total_time=60`.
fuzz TARGET *OPTIONS:
    fuzz/run {{TARGET}} {{OPTIONS}}

# Writes the tables in README.md and docs/networks.md anew from the registry and the newest record of benchmarks.
tables:
    CYGNET_UPDATE=1 cargo test -p cygnet --test tables

# Keeps results of the comparison with other runtimes and shows them in README.md.
record +RESULTS:
    benches/record.py {{RESULTS}}
    just tables

# Holds exports of every family at two sizes, in floats and in whole numbers, against ONNX Runtime; needs Python with onnx,
# onnxruntime and numpy.
exports *FAMILIES:
    #!/bin/sh
    set -e
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cargo build --release -p cygnet-cli
    cargo run --release -p cygnet --example untrained -- "$folder" {{FAMILIES}}
    benches/exports.py "${CARGO_TARGET_DIR:-target}/release/cygnet" "$folder"/*.safetensors

# Writes the operator cases anew; needs Python with torch and numpy.
op-cases:
    python3 crates/cygnet/tests/op_cases/make.py > crates/cygnet/tests/op_cases/cases.json

# The tests of the arithmetic under AddressSanitizer, which stable Rust has only behind a flag.
asan *ARGS:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/asan \
        cargo test --tests -p cygnet-cpu -p cygnet-kernels -p cygnet-gradient --target x86_64-unknown-linux-gnu {{ARGS}}

# Builds for 64-bit Arm and runs kernels, training, networks and the command under qemu; installs what that needs.
arm:
    .ci/arm

# Builds for WebAssembly and runs kernels, training steps, networks and photos in Node; installs what that needs.
wasm:
    .ci/wasm

# Builds the Python module and runs its tests in an environment of their own: `just python -k photos`.
python *ARGS:
    .ci/python {{ARGS}}
