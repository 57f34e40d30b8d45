//! The families' prompts, where one sentence says all.

use prompt_templates::{Family, Message, Options};

#[test]
fn llama_3_without_bos_is_what_the_replicate_page_shows() {
    let messages = [
        Message::system("Be a good human!"),
        Message::user("What do you know about earth?"),
    ];
    assert_eq!(
        Family::LLAMA_3.render(&messages, &Options::new()).unwrap(),
        "<|start_header_id|>system<|end_header_id|>\n\nBe a good human!<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nWhat do you know about earth?<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n",
    );
}

#[test]
fn every_family_is_found_by_its_name() {
    for family in Family::ALL {
        assert_eq!(Family::from_name(family.name()), Some(*family));
    }
}
