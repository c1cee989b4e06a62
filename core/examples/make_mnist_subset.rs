//! Makes `assets/mnist-10k.idx.gz` from the original files of MNIST:
//! `cargo run --release -p onestep-core --example make_mnist_subset -- MNIST_FOLDER OUTPUT`

#[cfg(feature = "native")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::path::PathBuf;
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [mnist, output] = arguments.as_slice() else {
        eprintln!("usage: make_mnist_subset MNIST_FOLDER OUTPUT");
        std::process::exit(2);
    };
    let data = onestep_core::data::subset::write_mnist_subset(mnist, output, 1000)?;
    println!("{}", data.describe());
    let bytes = std::fs::metadata(output)?.len();
    println!("{}: {bytes} bytes", output.display());
    Ok(())
}

#[cfg(not(feature = "native"))]
fn main() {
    eprintln!("make_mnist_subset reads files: build it with the feature `native`");
    std::process::exit(2);
}
