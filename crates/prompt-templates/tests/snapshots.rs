//! The prompt of each family for each case: a case is a file.
#![cfg(feature = "serde")]

mod common;

use std::fmt::Write as _;

use prompt_templates::{Error, Family, Strictness};

#[test]
fn cases() {
    insta::glob!(
        "../../../fixtures/prompt-templates/cases",
        "*.json",
        |path| {
            let case = common::read(path);
            let messages = common::messages(&case["messages"]);
            let mut out = String::new();
            // Families with the same result are grouped.
            let mut answers: Vec<(String, Vec<&str>)> = Vec::new();
            for family in Family::ALL {
                let options = common::options(&case);
                let mut answer = shown(family.render(&messages, &options));
                if answer.starts_with("rejected") {
                    let options = options.with_strictness(Strictness::Fold);
                    _ = write!(
                        answer,
                        "\nfolded: {}",
                        shown(family.render(&messages, &options))
                    );
                }
                // The names of families do not distinguish results.
                let answer = answer.replace(&format!("{family}: "), "");
                match answers.iter_mut().find(|(known, _)| *known == answer) {
                    Some((_, families)) => families.push(family.name()),
                    None => answers.push((answer, vec![family.name()])),
                }
            }
            for (answer, families) in answers {
                _ = writeln!(out, "{}\n    {answer}\n", families.join(", "));
            }
            insta::assert_snapshot!(out);
        }
    );
}

fn shown(result: Result<String, Error>) -> String {
    match result {
        Ok(prompt) => format!("{prompt:?}"),
        Err(error) => format!("rejected ({:?}): {error}", error.kind()),
    }
}
