//! The public data sets that are known by name: files, checksums, addresses, licences.
//!
//! Nothing here downloads: see [`super::download`].

use super::Dataset;

/// A file on a server and how to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteFile {
    /// File name, also in the cache.
    pub name: &'static str,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: &'static str,
}

/// A data set that can be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Official {
    /// Handwritten digits, 28x28 gray, 60,000 and 10,000 images.
    Mnist,
    /// Articles of clothing, 28x28 gray, 60,000 and 10,000 images.
    FashionMnist,
    /// Photographs, 32x32 RGB, 50,000 and 10,000 images.
    Cifar10,
}

// The gzipped originals. The same sums stand in the Ruby library ankane/torchvision-ruby,
// lib/torchvision/datasets/mnist.rb; unpacked, the files begin with sums ba891046,
// 65a50cbb, 0fa7898d and ff7bcfd4, as those of other public copies do.
const MNIST: [RemoteFile; 4] = [
    RemoteFile {
        name: "train-images-idx3-ubyte.gz",
        bytes: 9_912_422,
        sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    },
    RemoteFile {
        name: "train-labels-idx1-ubyte.gz",
        bytes: 28_881,
        sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    },
    RemoteFile {
        name: "t10k-images-idx3-ubyte.gz",
        bytes: 1_648_877,
        sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    },
    RemoteFile {
        name: "t10k-labels-idx1-ubyte.gz",
        bytes: 4_542,
        sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
];

// The same sums stand in FluxML/Flux.jl, src/data/fashion-mnist.jl.
const FASHION_MNIST: [RemoteFile; 4] = [
    RemoteFile {
        name: "train-images-idx3-ubyte.gz",
        bytes: 26_421_880,
        sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    },
    RemoteFile {
        name: "train-labels-idx1-ubyte.gz",
        bytes: 29_515,
        sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    },
    RemoteFile {
        name: "t10k-images-idx3-ubyte.gz",
        bytes: 4_422_102,
        sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    },
    RemoteFile {
        name: "t10k-labels-idx1-ubyte.gz",
        bytes: 5_148,
        sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
];

// The same sum stands in ankane/torchvision-ruby, lib/torchvision/datasets/cifar10.rb.
const CIFAR10: [RemoteFile; 1] = [RemoteFile {
    name: "cifar-10-binary.tar.gz",
    bytes: 170_052_171,
    sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
}];

const FASHION_CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

impl Official {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::FashionMnist, Self::Cifar10];

    /// Name on the command line and in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
        }
    }

    /// The set called `name`; `cifar-10` and underscores are understood too.
    pub fn parse(name: &str) -> Option<Self> {
        match name.replace('_', "-").as_str() {
            "mnist" => Some(Self::Mnist),
            "fashion-mnist" => Some(Self::FashionMnist),
            "cifar10" | "cifar-10" => Some(Self::Cifar10),
            _ => None,
        }
    }

    /// Its files.
    pub fn files(self) -> &'static [RemoteFile] {
        match self {
            Self::Mnist => &MNIST,
            Self::FashionMnist => &FASHION_MNIST,
            Self::Cifar10 => &CIFAR10,
        }
    }

    /// Folders on public servers that hold the files, in the order to try them. What
    /// comes is checked by SHA-256, so an address without encryption is no risk.
    pub fn addresses(self) -> &'static [&'static str] {
        match self {
            Self::Mnist => &[
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ],
            Self::FashionMnist => &[
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ],
            Self::Cifar10 => &["https://www.cs.toronto.edu/~kriz/"],
        }
    }

    /// Licence of the images.
    pub fn license(self) -> &'static str {
        match self {
            Self::Mnist => "CC BY-SA 3.0",
            Self::FashionMnist => "MIT",
            Self::Cifar10 => "none stated; cite Krizhevsky 2009",
        }
    }

    /// Authors.
    pub fn source(self) -> &'static str {
        match self {
            Self::Mnist => "MNIST (LeCun, Cortes, Burges)",
            Self::FashionMnist => "Fashion-MNIST (Xiao, Rasul, Vollgraf 2017)",
            Self::Cifar10 => "CIFAR-10 (Krizhevsky 2009)",
        }
    }

    /// Gives loaded files the names and the licence of the set.
    pub(super) fn label(self, mut data: Dataset) -> Dataset {
        data.name = self.name().into();
        if self == Self::FashionMnist && data.classes.len() == FASHION_CLASSES.len() {
            data.classes = FASHION_CLASSES.map(str::to_owned).to_vec();
        }
        data.with_origin(self.source(), self.license())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_complete() {
        for set in Official::ALL {
            assert_eq!(Official::parse(set.name()), Some(set));
            assert!(set.addresses().iter().all(|url| url.ends_with('/')));
            for file in set.files() {
                assert_eq!(file.sha256.len(), 64);
                let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                assert!(file.sha256.chars().all(hex));
            }
        }
        assert_eq!(Official::parse("mnist-10k"), None);
    }

    #[test]
    fn loaded_files_get_names_and_licence() {
        let labels: Vec<u32> = (0..10).collect();
        let digits = super::super::dataset::numbered_classes(&labels);
        let plain = Dataset::new("train", vec![0; 10], [10, 1, 1, 1]).unwrap().with_labels(labels, digits).unwrap();
        let data = Official::FashionMnist.label(plain.clone());
        assert_eq!((data.name.as_str(), data.license.as_str()), ("fashion-mnist", "MIT"));
        assert_eq!(data.classes[9], "Ankle boot");
        let data = Official::Mnist.label(plain);
        assert_eq!((data.classes[9].as_str(), data.license.as_str()), ("9", "CC BY-SA 3.0"));
    }
}
