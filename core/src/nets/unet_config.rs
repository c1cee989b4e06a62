//! The shape of a U-Net: its settings, their limits, and the list of blocks that follows.
//!
//! Invariant: a configuration that passes [`UnetConfig::validate`] can be built, and is not
//! larger than any sensible network: a file from a stranger cannot ask for absurd sizes.

use serde::Serialize;

use super::{ConfigError, is_false};
use crate::json::Fields;

/// A DDPM++ U-Net as in EDM (Karras et al. 2022, appendix F.1; `SongUNet` in the code
/// published with it). The settings have the published names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnetConfig {
    /// Height of an image, and its width if `width` is none.
    pub resolution: usize,
    /// Width of an image that is no square. The published networks know squares only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Channels of an image: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Pixels per side of a patch that the network sees as one pixel: 1, or 2 for speed.
    pub patch: usize,
    /// Channels of the first level are this times its multiplier.
    pub model_channels: usize,
    /// One multiplier per level; the resolution halves from level to level.
    pub channel_mult: Vec<usize>,
    /// Blocks per level of the encoder; the decoder has one more.
    pub num_blocks: usize,
    /// Resolutions (behind the patches) of the levels with attention; of images that are no squares, heights.
    pub attn_resolutions: Vec<usize>,
    /// Attention in the middle, at the smallest resolution. The published networks have it.
    pub attn_middle: bool,
    /// Channels per attention head; none: a single head.
    pub channels_per_head: Option<usize>,
    /// Channels of the noise embedding are this times `model_channels`.
    pub channel_mult_emb: usize,
    /// Classes of a conditional network, 0 if it is none.
    pub label_dim: usize,
    /// Whether the noise level scales each block's channels besides shifting them.
    pub adaptive_scale: bool,
    /// Whether it has a second time. The published networks have not.
    #[serde(skip_serializing_if = "is_false")]
    pub two_times: bool,
}

/// Largest side of an image.
const MAX_SIDE: usize = 1024;

/// How a block changes the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resample {
    Keep,
    Down,
    Up,
}

/// One residual block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub name: String,
    /// Channels in, those of the skip connection included.
    pub c_in: usize,
    pub c_out: usize,
    pub resample: Resample,
    pub attention: bool,
    /// Whether the output of the encoder's matching block is joined to its input.
    pub takes_skip: bool,
}

impl UnetConfig {
    /// Takes the settings from the entries of a JSON object; what later versions added may be absent.
    pub(super) fn take(fields: &mut Fields) -> Result<Self, String> {
        Ok(Self {
            resolution: fields.required("resolution")?,
            width: fields.optional("width")?.flatten(),
            channels: fields.required("channels")?,
            patch: fields.optional("patch")?.unwrap_or(1),
            model_channels: fields.required("model_channels")?,
            channel_mult: fields.required("channel_mult")?,
            num_blocks: fields.required("num_blocks")?,
            attn_resolutions: fields.optional("attn_resolutions")?.unwrap_or_default(),
            attn_middle: fields.optional("attn_middle")?.unwrap_or(true),
            channels_per_head: fields.optional("channels_per_head")?.flatten(),
            channel_mult_emb: fields.optional("channel_mult_emb")?.unwrap_or(4),
            label_dim: fields.optional("label_dim")?.unwrap_or(0),
            adaptive_scale: fields.optional("adaptive_scale")?.unwrap_or(false),
            two_times: fields.optional("two_times")?.unwrap_or(false),
        })
    }

    /// EDM's unconditional CIFAR-10 network: 55.7 million parameters, attention at 16 x 16.
    pub fn cifar10() -> Self {
        Self {
            resolution: 32,
            width: None,
            channels: 3,
            patch: 1,
            model_channels: 128,
            channel_mult: vec![2, 2, 2],
            num_blocks: 4,
            attn_resolutions: vec![16],
            attn_middle: true,
            channels_per_head: None,
            channel_mult_emb: 4,
            label_dim: 0,
            adaptive_scale: false,
            two_times: false,
        }
    }

    /// The smallest network with every kind of layer: two levels, patches, attention. For checks of
    /// devices and for tests, on grey images of 8 x 8.
    pub fn tiny() -> Self {
        Self {
            resolution: 8,
            channels: 1,
            patch: 2,
            model_channels: 8,
            channel_mult: vec![1, 2],
            num_blocks: 1,
            attn_resolutions: vec![2],
            ..Self::cifar10()
        }
    }

    /// Channels of the noise embedding.
    pub(super) fn emb_channels(&self) -> usize {
        self.model_channels * self.channel_mult_emb
    }

    /// Height and width of an image.
    pub fn image_size(&self) -> [usize; 2] {
        [self.resolution, self.width.unwrap_or(self.resolution)]
    }

    /// Height and width of a level; level 0 is that of the patches.
    pub(crate) fn level_size(&self, level: usize) -> [usize; 2] {
        self.image_size().map(|side| (side / self.patch) >> level)
    }

    /// A level in the names of its parameters, such as `14x14`.
    pub(crate) fn level_name(&self, level: usize) -> String {
        let [height, width] = self.level_size(level);
        format!("{height}x{width}")
    }

    fn has_attention(&self, level: usize) -> bool {
        self.attn_resolutions.contains(&self.level_size(level)[0])
    }

    /// Blocks of the encoder, in order, without the first convolution.
    pub(crate) fn encoder(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut c = self.model_channels;
        for (level, mult) in self.channel_mult.iter().enumerate() {
            let size = self.level_name(level);
            let mut push = |name: &str, c_in: usize, c_out: usize, resample, attention| {
                let name = format!("enc.{size}_{name}");
                blocks.push(Block { name, c_in, c_out, resample, attention, takes_skip: false });
            };
            if level > 0 {
                push("down", c, c, Resample::Down, false);
            }
            for i in 0..self.num_blocks {
                let c_in = std::mem::replace(&mut c, self.model_channels * mult);
                push(&format!("block{i}"), c_in, c, Resample::Keep, self.has_attention(level));
            }
        }
        blocks
    }

    /// Blocks of the decoder, in order, without the last norm and convolution.
    pub(crate) fn decoder(&self) -> Vec<Block> {
        let encoder = self.encoder();
        let mut skips: Vec<usize> =
            std::iter::once(self.model_channels).chain(encoder.iter().map(|b| b.c_out)).collect();
        let mut c = encoder.last().map_or(self.model_channels, |b| b.c_out);
        let mut blocks = Vec::new();
        for (level, mult) in self.channel_mult.iter().enumerate().rev() {
            let size = self.level_name(level);
            let mut push = |name: &str, c_in: usize, c_out: usize, resample, attention, takes_skip| {
                let name = format!("dec.{size}_{name}");
                blocks.push(Block { name, c_in, c_out, resample, attention, takes_skip });
            };
            if level + 1 == self.channel_mult.len() {
                push("in0", c, c, Resample::Keep, self.attn_middle, false);
                push("in1", c, c, Resample::Keep, false, false);
            } else {
                push("up", c, c, Resample::Up, false, false);
            }
            for i in 0..=self.num_blocks {
                let skip = skips.pop().expect("the encoder made one output per block that takes it");
                let c_in = std::mem::replace(&mut c, self.model_channels * mult) + skip;
                let attention = i == self.num_blocks && self.has_attention(level);
                push(&format!("block{i}"), c_in, c, Resample::Keep, attention, true);
            }
        }
        blocks
    }

    /// Whether the network can be built; the error names the first setting that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |field, value: usize, lo: usize, hi: usize| {
            ConfigError::unless((lo..=hi).contains(&value), "unet", field, format!("in {lo} to {hi}"), value)
        };
        let sides = [("resolution", self.resolution), ("width", self.image_size()[1])];
        for (field, side) in sides {
            range(field, side, 1, MAX_SIDE).map_err(|error| resize(error, MAX_SIDE))?;
        }
        range("channels", self.channels, 1, 16)?;
        range("patch", self.patch, 1, 2)?;
        range("model_channels", self.model_channels, 4, 1024)?;
        let multiple = self.model_channels.is_multiple_of(4);
        ConfigError::unless(multiple, "unet", "model_channels", "a multiple of 4".into(), self.model_channels)?;
        range("number of channel_mult", self.channel_mult.len(), 1, 8)?;
        for &mult in &self.channel_mult {
            range("channel_mult", mult, 1, 16)?;
        }
        range("num_blocks", self.num_blocks, 1, 16)?;
        range("channel_mult_emb", self.channel_mult_emb, 1, 8)?;
        range("label_dim", self.label_dim, 0, 10_000)?;
        let levels = self.channel_mult.len();
        let unit = self.patch << (levels - 1);
        for (field, side) in sides {
            let wanted = format!("a multiple of {unit} for {levels} levels and patches of {}", self.patch);
            let fitting = (side / unit * unit).max(unit);
            ConfigError::unless(side.is_multiple_of(unit), "unet", field, wanted, side)
                .map_err(|error| resize(error, fitting))?;
        }
        let resolutions: Vec<usize> = (0..levels).map(|level| self.level_size(level)[0]).collect();
        for &res in &self.attn_resolutions {
            let wanted = format!("among the levels' {resolutions:?}");
            ConfigError::unless(resolutions.contains(&res), "unet", "attn_resolutions", wanted, res)?;
        }
        if let Some(per_head) = self.channels_per_head {
            range("channels_per_head", per_head, 1, 1024)?;
            for block in self.encoder().iter().chain(&self.decoder()).filter(|b| b.attention) {
                let wanted = format!("a divisor of the {} channels of {}", block.c_out, block.name);
                ConfigError::unless(
                    block.c_out.is_multiple_of(per_head),
                    "unet",
                    "channels_per_head",
                    wanted,
                    per_head,
                )?;
            }
        }
        Ok(())
    }
}

/// The side of an image comes from the data, which can be made to fit.
fn resize(error: ConfigError, side: usize) -> ConfigError {
    ConfigError { fix: format!("; --resize {side} makes all images {side} x {side}"), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_the_published_cifar10_network() {
        let config = UnetConfig::cifar10();
        config.validate().unwrap();
        let (enc, dec) = (config.encoder(), config.decoder());
        let names = |blocks: &[Block]| blocks.iter().map(|b| b.name.clone()).collect::<Vec<_>>();
        assert_eq!(enc.len(), 3 * 4 + 2);
        assert_eq!(names(&enc)[4], "enc.16x16_down");
        assert_eq!(dec.len(), 2 + 3 * 5 + 2);
        assert_eq!(names(&dec)[..3], ["dec.8x8_in0", "dec.8x8_in1", "dec.8x8_block0"]);
        assert_eq!(names(&dec)[7], "dec.16x16_up");
        // The last block joins the very first convolution.
        assert_eq!(dec[18].c_in, 256 + 128);
        assert!(dec[..18].iter().filter(|b| b.takes_skip).all(|b| b.c_in == 512));
        let attention: Vec<&str> =
            enc.iter().chain(&dec).filter(|b| b.attention).map(|b| &b.name[b.name.find('.').unwrap() + 1..]).collect();
        let wanted = ["16x16_block0", "16x16_block1", "16x16_block2", "16x16_block3", "8x8_in0", "16x16_block4"];
        assert_eq!(attention, wanted);
    }

    #[test]
    fn wrong_settings_are_named() {
        let text = |change: &dyn Fn(&mut UnetConfig)| {
            let mut config = UnetConfig::cifar10();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        let got = text(&|c| c.resolution = 30);
        let wanted = "unet: resolution should be a multiple of 4 for 3 levels and patches of 1, got 30; \
                      --resize 28 makes all images 28 x 28";
        assert_eq!(got, wanted);
        let got = text(&|c| c.width = Some(2));
        assert!(got.contains("width should be a multiple of 4") && got.contains("--resize 4"), "{got}");
        let got = text(&|c| c.width = Some(1025));
        assert!(got.contains("width should be in 1 to 1024") && got.contains("--resize 1024"), "{got}");
        assert_eq!(text(&|c| c.model_channels = 30), "unet: model_channels should be a multiple of 4, got 30");
        assert_eq!(text(&|c| c.channel_mult.clear()), "unet: number of channel_mult should be in 1 to 8, got 0");
        let got = text(&|c| c.attn_resolutions = vec![14]);
        assert_eq!(got, "unet: attn_resolutions should be among the levels' [32, 16, 8], got 14");
        assert!(text(&|c| c.channels_per_head = Some(96)).contains("a divisor of the 256 channels"));
    }

    #[test]
    fn images_that_are_no_squares_have_levels_of_their_shape() {
        let config = UnetConfig { resolution: 8, width: Some(12), attn_resolutions: vec![2], ..UnetConfig::tiny() };
        config.validate().unwrap();
        assert_eq!((config.image_size(), config.level_size(1)), ([8, 12], [2, 3]));
        let attention: Vec<String> = config.encoder().into_iter().filter(|b| b.attention).map(|b| b.name).collect();
        assert_eq!(attention, ["enc.2x3_block0"]);
        assert_eq!(config.decoder()[4].name, "dec.4x6_up");
    }

    #[test]
    fn mnist_patches_reach_7x7() {
        let config = UnetConfig {
            resolution: 28,
            channels: 1,
            patch: 2,
            channel_mult: vec![1, 2],
            attn_resolutions: vec![7],
            ..UnetConfig::cifar10()
        };
        config.validate().unwrap();
        assert_eq!((config.level_size(0), config.level_size(1)), ([14, 14], [7, 7]));
    }
}
