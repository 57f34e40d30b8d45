use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Normal};

use crate::error::Error;
use crate::experiment::Task;

/// How long prompts and answers are, by genai-bench's grammar.
///
/// ```
/// use llm_bench::Scenario;
///
/// let scenario: Scenario = "N(480,240)/(300,150)".parse()?;
/// assert_eq!(scenario.to_string(), "N(480,240)/(300,150)");
/// # Ok::<(), llm_bench::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// `dataset`: prompts as they are in the dataset, answers as long as the model likes.
    Dataset,
    /// `D(in,out)`: always as many tokens.
    Deterministic {
        /// Tokens of the prompt.
        input: u64,
        /// Tokens of the answer.
        output: u64,
    },
    /// `E(n)`: documents of as many tokens.
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
        /// Images in a request.
        count: u32,
    },
    /// `N(mean,sd)/(mean,sd)`: normally distributed.
    Normal {
        /// Mean and standard deviation of the prompt's tokens; at least 1.
        input: (u64, u64),
        /// Mean and standard deviation of the answer's tokens; at least 2.
        output: (u64, u64),
    },
    /// `R(document,query)`: a rerank of documents of as many tokens.
    Rerank {
        /// Tokens of each document.
        document: u64,
        /// Tokens of the query.
        query: u64,
    },
    /// `U(min,max)/(min,max)` or `U(max,max)`: evenly distributed.
    Uniform {
        /// Least and most tokens of the prompt.
        input: (u64, u64),
        /// Least and most tokens of the answer.
        output: (u64, u64),
    },
}

impl Scenario {
    /// The scenarios of a task when none is asked for: genai-bench's.
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

    /// Checks that a task can be measured with this.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when not.
    pub fn check(&self, task: Task) -> Result<(), Error> {
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
        let reason = format!("does not go with {task}: expected {fitting}");
        Err(Error::usage(OPTION, self.to_string(), reason))
    }

    /// Tokens of a prompt and of its answer, where the scenario says so.
    pub(crate) fn sample(&self, rng: &mut impl Rng) -> Option<(u64, u64)> {
        let normal = |(mean, sd): (u64, u64), least: u64, rng: &mut _| {
            let normal = Normal::new(mean as f64, sd as f64).ok();
            normal.map_or(mean, |normal| (normal.sample(rng) as u64).max(least))
        };
        Some(match *self {
            Self::Deterministic { input, output } => (input, output),
            Self::Normal { input, output } => (normal(input, 1, rng), normal(output, 2, rng)),
            Self::Uniform { input, output } => (
                rng.random_range(input.0..=input.1),
                rng.random_range(output.0..=output.1),
            ),
            Self::Dataset | Self::Embedding { .. } | Self::Image { .. } | Self::Rerank { .. } => {
                return None;
            }
        })
    }

    /// The fewest tokens that a prompt will have; for a normal distribution, those that all but a
    /// thousandth have.
    pub(crate) fn least_input(&self) -> Option<u64> {
        match *self {
            Self::Deterministic { input, .. } => Some(input),
            Self::Normal { input, .. } => Some(input.0.saturating_sub(3 * input.1).max(1)),
            Self::Uniform { input, .. } => Some(input.0),
            _ => None,
        }
    }
}

impl FromStr for Scenario {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text == "dataset" {
            return Ok(Self::Dataset);
        }
        let wrong = |reason: &str| Error::usage(OPTION, text, reason);
        let Some((kind, groups)) = split(text) else {
            return Err(wrong(
                "expected a form such as D(100,100), N(480,240)/(300,150), U(50,100)/(200,250), \
                 E(64), R(64,100), I(512,512) or dataset, with whole numbers",
            ));
        };
        let groups: Vec<&[u64]> = groups.iter().map(Vec::as_slice).collect();
        match (kind, groups.as_slice()) {
            ('D', &[&[input, output]]) if input > 0 && output > 0 => {
                Ok(Self::Deterministic { input, output })
            }
            ('D', &[&[_, _]]) => Err(wrong("tokens have to be at least 1")),
            ('N', &[&[mi, si], &[mo, so]]) if mi > 0 && mo > 0 => Ok(Self::Normal {
                input: (mi, si),
                output: (mo, so),
            }),
            ('N', &[&[_, _], &[_, _]]) => Err(wrong("means have to be at least 1")),
            ('U', &[&[i0, i1], &[o0, o1]]) if i0 <= i1 && o0 <= o1 && i1 > 0 && o1 > 0 => {
                Ok(Self::Uniform {
                    input: (i0.max(1), i1),
                    output: (o0.max(1), o1),
                })
            }
            ('U', &[&[i1, o1]]) if i1 > 0 && o1 > 0 => Ok(Self::Uniform {
                input: (1, i1),
                output: (1, o1),
            }),
            ('U', _) => Err(wrong(
                "expected U(min,max)/(min,max), least first, or U(max,max)",
            )),
            ('E', &[&[tokens]]) if tokens > 0 => Ok(Self::Embedding { tokens }),
            ('R', &[&[document, query]]) if document > 0 && query > 0 => {
                Ok(Self::Rerank { document, query })
            }
            ('I', &[&[width, height]]) => image(width, height, 1).map_err(&wrong),
            ('I', &[&[width, height, count]]) => image(width, height, count).map_err(&wrong),
            ('D', _) => Err(wrong("expected D(in,out)")),
            ('N', _) => Err(wrong("expected N(mean,sd)/(mean,sd)")),
            ('E', _) => Err(wrong("expected E(tokens)")),
            ('R', _) => Err(wrong("expected R(document,query)")),
            ('I', _) => Err(wrong("expected I(width,height) or I(width,height,n)")),
            _ => Err(wrong("scenarios begin with D, N, U, E, R or I")),
        }
    }
}

impl fmt::Display for Scenario {
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
            Self::Uniform { input, output } => {
                write!(f, "U({},{})/({},{})", input.0, input.1, output.0, output.1)
            }
        }
    }
}

fn image(width: u64, height: u64, count: u64) -> Result<Scenario, &'static str> {
    let side = |pixels: u64| {
        u32::try_from(pixels)
            .ok()
            .filter(|n| (1..=MOST_PIXELS).contains(n))
    };
    match (side(width), side(height), u32::try_from(count)) {
        (Some(width), Some(height), Ok(count @ 1..=MOST_IMAGES)) => Ok(Scenario::Image {
            width,
            height,
            count,
        }),
        _ => Err("images have 1 to 8192 pixels a side, and 1 to 64 go into a request"),
    }
}

/// `N(1,2)/(3,4)` into `N` and `[[1,2],[3,4]]`.
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

const MOST_PIXELS: u32 = 8192;

const MOST_IMAGES: u32 = 64;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn what_is_read_is_written() {
        for text in [
            "D(100,100)",
            "N(480,240)/(300,150)",
            "U(50,100)/(200,250)",
            "E(64)",
            "R(64,100)",
            "I(512,512)",
            "I(1024,512,3)",
            "dataset",
        ] {
            assert_eq!(text.parse::<Scenario>().unwrap().to_string(), text);
        }
        let short: Scenario = " U( 50, 100 ) ".parse().unwrap();
        assert_eq!(short.to_string(), "U(1,50)/(1,100)");
    }

    #[test]
    fn the_impossible_is_refused_with_what_was_expected() {
        for (text, part) in [
            ("", "expected a form"),
            ("D(100)", "expected D(in,out)"),
            ("D(0,5)", "at least 1"),
            ("D(1.5,5)", "whole numbers"),
            ("D(1,2", "expected a form"),
            ("U(9,3)/(1,2)", "least first"),
            ("N(5,5)", "expected N(mean,sd)/(mean,sd)"),
            ("X(1,2)", "begin with"),
            ("I(0,5)", "1 to 8192 pixels"),
            ("I(5,5,0)", "1 to 64"),
            ("D(99999999999999999999,1)", "expected a form"),
            ("É(1)", "begin with"),
        ] {
            let error = text.parse::<Scenario>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let image: Scenario = "I(5,5)".parse().unwrap();
        let error = image.check(Task::TextToText).unwrap_err().to_string();
        assert!(error.contains("does not go with text-to-text"), "{error}");
    }

    #[test]
    fn samples_are_as_the_scenario_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut mean = |text: &str| {
            let scenario: Scenario = text.parse().unwrap();
            let samples: Vec<_> = (0..4000)
                .map(|_| scenario.sample(&mut rng).unwrap())
                .collect();
            let least = samples.iter().map(|sample| sample.1).min().unwrap();
            let sum: u64 = samples.iter().map(|sample| sample.0).sum();
            (sum as f64 / 4000.0, least)
        };
        assert_eq!(mean("D(7,3)"), (7.0, 3));
        let (normal, least) = mean("N(480,24)/(3,30)");
        assert!(
            (normal - 480.0).abs() < 3.0 && least == 2,
            "{normal} {least}"
        );
        let (uniform, least) = mean("U(100,200)/(5,6)");
        assert!(
            (uniform - 150.0).abs() < 3.0 && least == 5,
            "{uniform} {least}"
        );
    }

    #[test]
    fn every_task_has_scenarios_that_go_with_it() {
        for task in [
            Task::TextToText,
            Task::ImageTextToText,
            Task::TextToEmbeddings,
            Task::TextToRerank,
        ] {
            let defaults = Scenario::defaults(task);
            assert!(defaults.len() >= 3);
            assert!(defaults.iter().all(|scenario| scenario.check(task).is_ok()));
        }
    }
}
