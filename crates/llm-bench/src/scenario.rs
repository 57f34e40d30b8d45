use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Normal};

use crate::error::Error;
use crate::experiment::Task;

/// The lengths of prompts and outputs, in genai-bench's grammar.
///
/// The numbers are bounded: at most [`TrafficScenario::MAX_TOKENS`] tokens each; images of 1 to 8,192
/// pixels per side, 1 to 64 per request, and at most 268,435,456 pixels (four of the largest) per
/// request.
///
/// ```
/// use llm_bench::TrafficScenario;
///
/// let scenario: TrafficScenario = "N(480,240)/(300,150)".parse()?;
/// assert_eq!(scenario.to_string(), "N(480,240)/(300,150)");
/// # Ok::<(), llm_bench::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrafficScenario {
    /// `dataset`: prompts as in the dataset, outputs of any length.
    Dataset,
    /// `D(in,out)`: fixed numbers of tokens.
    Deterministic {
        /// Tokens of the prompt.
        input: u64,
        /// Tokens of the output.
        output: u64,
    },
    /// `E(n)`: documents of `n` tokens.
    Embedding {
        /// Tokens of each document.
        tokens: u64,
    },
    /// `I(width,height)` or `I(width,height,n)`: images of this size.
    Image {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Images per request.
        count: u32,
    },
    /// `N(mean,sd)/(mean,sd)`: normally distributed.
    Normal {
        /// Mean and standard deviation of the prompt's tokens; at least 1.
        input: (u64, u64),
        /// Mean and standard deviation of the output's tokens; at least 2.
        output: (u64, u64),
    },
    /// `R(document,query)`: a rerank of documents of this length.
    Rerank {
        /// Tokens of each document.
        document: u64,
        /// Tokens of the query.
        query: u64,
    },
    /// `U(min,max)/(min,max)` or `U(max,max)`: uniformly distributed. A minimum of 0 means 1.
    Uniform {
        /// Minimum and maximum of the prompt's tokens.
        input: (u64, u64),
        /// Minimum and maximum of the output's tokens.
        output: (u64, u64),
    },
}

impl TrafficScenario {
    /// The most tokens of a prompt or an output, and of all documents of a request together. No
    /// public model has a longer context.
    pub const MAX_TOKENS: u64 = 10_000_000;

    /// The default scenarios of a task, which are genai-bench's.
    pub fn defaults(task: Task) -> Vec<Self> {
        let texts: &[&str] = match task {
            Task::TextToText => &[
                "N(480,240)/(300,150)",
                "D(100,100)",
                "D(100,1000)",
                "D(2000,200)",
                "D(7800,200)",
            ],
            Task::ImageTextToText => &["I(512,512)", "I(1024,512)", "I(2048,2048)"],
            Task::TextToEmbeddings => &["E(64)", "E(128)", "E(256)", "E(512)", "E(1024)"],
            Task::TextToRerank => &[
                "R(64,100)",
                "R(128,100)",
                "R(256,100)",
                "R(512,100)",
                "R(1024,100)",
                "R(2048,100)",
                "R(4096,100)",
            ],
        };
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Checks that the scenario fits a task, and that its numbers are in range.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if it does not.
    pub fn check(&self, task: Task) -> Result<(), Error> {
        self.check_numbers()
            .map_err(|reason| Error::usage(OPTION, self.to_string(), reason))?;
        let (fits, fitting) = match task {
            Task::TextToText => (
                matches!(
                    self,
                    Self::Dataset
                        | Self::Deterministic { .. }
                        | Self::Normal { .. }
                        | Self::Uniform { .. }
                ),
                "D(in,out), N(mean,sd)/(mean,sd), U(min,max)/(min,max) or dataset",
            ),
            Task::ImageTextToText => (
                matches!(self, Self::Dataset | Self::Image { .. }),
                "I(width,height), I(width,height,n) or dataset",
            ),
            Task::TextToEmbeddings => (
                matches!(self, Self::Dataset | Self::Embedding { .. }),
                "E(tokens) or dataset",
            ),
            Task::TextToRerank => (
                matches!(self, Self::Dataset | Self::Rerank { .. }),
                "R(document,query) or dataset",
            ),
        };
        if fits {
            return Ok(());
        }
        let reason = format!("does not fit {task}: expected {fitting}");
        Err(Error::usage(OPTION, self.to_string(), reason))
    }

    /// The tokens of a prompt and of its output, if the scenario specifies them.
    pub(crate) fn sample(&self, rng: &mut impl Rng) -> Option<(u64, u64)> {
        let normal = |(mean, sd): (u64, u64), min: u64, rng: &mut _| {
            let normal = Normal::new(mean as f64, sd as f64).ok();
            // A float cast saturates: negative values become 0.
            let sampled = normal.map_or(mean, |normal| normal.sample(rng) as u64);
            sampled.clamp(min, Self::MAX_TOKENS)
        };
        Some(match *self {
            Self::Deterministic { input, output } => (input, output),
            Self::Normal { input, output } => (normal(input, 1, rng), normal(output, 2, rng)),
            Self::Uniform { input, output } => (
                rng.random_range(input.0.max(1)..=input.1),
                rng.random_range(output.0.max(1)..=output.1),
            ),
            Self::Dataset | Self::Embedding { .. } | Self::Image { .. } | Self::Rerank { .. } => {
                return None;
            }
        })
    }

    /// Checks the limit of all documents of a request together.
    pub(crate) fn check_batch(&self, batch_size: u32) -> Result<(), Error> {
        let tokens = match *self {
            Self::Embedding { tokens } => tokens,
            Self::Rerank { document, .. } => document,
            _ => return Ok(()),
        };
        if tokens.saturating_mul(batch_size.into()) <= Self::MAX_TOKENS {
            return Ok(());
        }
        let max = Self::MAX_TOKENS;
        let reason = format!("{batch_size} documents in a request have more than {max} tokens");
        Err(Error::usage(OPTION, self.to_string(), reason))
    }

    fn check_numbers(&self) -> Result<(), &'static str> {
        let (min, numbers) = match *self {
            Self::Dataset => return Ok(()),
            Self::Image {
                width,
                height,
                count,
            } => return check_images(width, height, count),
            Self::Deterministic { input, output } => (input.min(output), [input, output, 0, 0]),
            Self::Embedding { tokens } => (tokens, [tokens, 0, 0, 0]),
            Self::Rerank { document, query } => (document.min(query), [document, query, 0, 0]),
            Self::Normal {
                input: (mi, si),
                output: (mo, so),
            } => (mi.min(mo), [mi, si, mo, so]),
            Self::Uniform {
                input: (i0, i1),
                output: (o0, o1),
            } => {
                if i0 > i1 || o0 > o1 {
                    return Err("expected the minimum first");
                }
                (i1.min(o1), [i0, i1, o0, o1])
            }
        };
        if min == 0 {
            return Err("expected at least 1 token");
        }
        if numbers.iter().any(|number| *number > Self::MAX_TOKENS) {
            return Err("expected at most 10,000,000 tokens");
        }
        Ok(())
    }

    /// The fewest tokens that a prompt can have; for a normal distribution, the mean minus three
    /// standard deviations.
    pub(crate) fn least_input(&self) -> Option<u64> {
        match *self {
            Self::Deterministic { input, .. } => Some(input),
            Self::Normal { input, .. } => Some(input.0.saturating_sub(3 * input.1).max(1)),
            Self::Uniform { input, .. } => Some(input.0.max(1)),
            _ => None,
        }
    }
}

impl FromStr for TrafficScenario {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text == "dataset" {
            return Ok(Self::Dataset);
        }
        let invalid = |reason: &str| Error::usage(OPTION, text, reason);
        let Some((kind, groups)) = split(text) else {
            return Err(invalid(
                "expected a form such as D(100,100), N(480,240)/(300,150), U(50,100)/(200,250), \
                 E(64), R(64,100), I(512,512) or dataset, with whole numbers",
            ));
        };
        let groups: Vec<&[u64]> = groups.iter().map(Vec::as_slice).collect();
        let scenario = match (kind, groups.as_slice()) {
            ('D', &[&[input, output]]) if input > 0 && output > 0 => {
                Ok(Self::Deterministic { input, output })
            }
            ('D', &[&[_, _]]) => Err(invalid("expected at least 1 token")),
            ('N', &[&[mi, si], &[mo, so]]) if mi > 0 && mo > 0 => Ok(Self::Normal {
                input: (mi, si),
                output: (mo, so),
            }),
            ('N', &[&[_, _], &[_, _]]) => Err(invalid("expected means of at least 1")),
            ('U', &[&[i0, i1], &[o0, o1]]) if i0 <= i1 && o0 <= o1 && i1 > 0 && o1 > 0 => {
                Ok(Self::Uniform {
                    input: (i0, i1),
                    output: (o0, o1),
                })
            }
            ('U', &[&[i1, o1]]) if i1 > 0 && o1 > 0 => Ok(Self::Uniform {
                input: (1, i1),
                output: (1, o1),
            }),
            ('U', _) => Err(invalid(
                "expected U(min,max)/(min,max), minimum first, or U(max,max)",
            )),
            ('E', &[&[tokens]]) if tokens > 0 => Ok(Self::Embedding { tokens }),
            ('R', &[&[document, query]]) if document > 0 && query > 0 => {
                Ok(Self::Rerank { document, query })
            }
            ('I', &[&[width, height]]) => Ok(image(width, height, 1)),
            ('I', &[&[width, height, count]]) => Ok(image(width, height, count)),
            ('A', &[&[_]]) => Err(invalid("speech is not supported")),
            ('D', _) => Err(invalid("expected D(in,out)")),
            ('N', _) => Err(invalid("expected N(mean,sd)/(mean,sd)")),
            ('E', _) => Err(invalid("expected E(tokens)")),
            ('R', _) => Err(invalid("expected R(document,query)")),
            ('I', _) => Err(invalid("expected I(width,height) or I(width,height,n)")),
            _ => Err(invalid("expected D, N, U, E, R or I at the start")),
        }?;
        scenario.check_numbers().map_err(invalid)?;
        Ok(scenario)
    }
}

impl fmt::Display for TrafficScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dataset => f.write_str("dataset"),
            Self::Deterministic { input, output } => write!(f, "D({input},{output})"),
            Self::Embedding { tokens } => write!(f, "E({tokens})"),
            Self::Image {
                width,
                height,
                count: 1,
            } => write!(f, "I({width},{height})"),
            Self::Image {
                width,
                height,
                count,
            } => write!(f, "I({width},{height},{count})"),
            Self::Normal { input, output } => {
                write!(f, "N({},{})/({},{})", input.0, input.1, output.0, output.1)
            }
            Self::Rerank { document, query } => write!(f, "R({document},{query})"),
            // The short form of genai-bench, by which its readers know the scenario.
            Self::Uniform {
                input: (1, input),
                output: (1, output),
            } => write!(f, "U({input},{output})"),
            Self::Uniform { input, output } => {
                write!(f, "U({},{})/({},{})", input.0, input.1, output.0, output.1)
            }
        }
    }
}

/// Numbers that do not fit become the maximum, which is out of range.
fn image(width: u64, height: u64, count: u64) -> TrafficScenario {
    let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
    TrafficScenario::Image {
        width: small(width),
        height: small(height),
        count: small(count),
    }
}

fn check_images(width: u32, height: u32, count: u32) -> Result<(), &'static str> {
    let sides =
        (1..=MAX_PIXELS_PER_SIDE).contains(&width) && (1..=MAX_PIXELS_PER_SIDE).contains(&height);
    if !sides || !(1..=MAX_IMAGES).contains(&count) {
        return Err("expected 1 to 8192 pixels per side, and 1 to 64 images");
    }
    if u64::from(width) * u64::from(height) * u64::from(count) > MAX_PIXELS {
        return Err("expected at most 268435456 pixels in all images of a request");
    }
    Ok(())
}

/// Splits `N(1,2)/(3,4)` into `N` and `[[1,2],[3,4]]`.
fn split(text: &str) -> Option<(char, Vec<Vec<u64>>)> {
    let kind = text.chars().next()?;
    let groups = text[kind.len_utf8()..].split('/');
    let groups = groups.map(|group| {
        let inside = group.trim().strip_prefix('(')?.strip_suffix(')')?;
        let numbers = inside.split(',').map(|number| number.trim().parse().ok());
        numbers.collect::<Option<Vec<u64>>>()
    });
    Some((kind, groups.collect::<Option<Vec<_>>>()?))
}

const OPTION: &str = "--traffic-scenario";

const MAX_PIXELS_PER_SIDE: u32 = 8192;

/// Per request.
const MAX_PIXELS: u64 = 4 * 8192 * 8192;

const MAX_IMAGES: u32 = 64;

#[cfg(test)]
mod tests;
