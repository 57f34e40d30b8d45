//! Faults that other gateways had with the Messages and Responses APIs, and the tests that this one
//! does not have them.
//!
//! | fault | where it was | tests |
//! |---|---|---|
//! | thinking inside a text block; two `message_start` | BerriAI#32357, #33224 | `thinking_never_enters_a_text_block_and_there_is_one_message_start` |
//! | arguments of tools lost when the block changes | BerriAI#25321 | `nothing_is_lost_at_the_change_of_a_block` |
//! | no `count_tokens` | BerriAI#13252, envoyproxy/ai-gateway#1360 | `tokens_are_counted_without_a_call`, `each_word_of_the_tokenizer_is_a_token` |
//! | models in the wrong form | BerriAI#27180 | `models_have_the_form_of_the_api` |
//! | budgets do not count Messages and Responses | BerriAI#38176 | `budgets_count_messages_and_responses`, `messages_and_responses_are_recorded_as_chats_are`, `requests_replies_and_events_go_through_and_are_charged` |
//! | streams cost nothing | BerriAI#37923 | `streamed_messages_and_responses_are_recorded_with_their_usage` |
//! | `stop_sequence` is never reported | vllm#45807, exo#2122 | `stop_sequences_are_reported`, `a_stop_sequence_is_reported_by_every_engine` |
//! | `message_start` without type and role | vllm#45367 | `a_stream_has_the_events_of_the_specification`, `a_reply_in_one_piece_has_every_required_member` |
//! | errors of clients as 500, wrong types of errors | vllm#52088 | `every_failure_has_the_form_of_the_api`, `errors_have_the_type_of_their_status` |
//! | `is_error` dropped | LiteLLM 1.109 | `conversations_are_mapped` |
//! | `disable_parallel_tool_use` dropped | LiteLLM 1.109 | `tool_choices_are_mapped`, `disabled_parallel_calls_leave_only_the_first` |
//! | schemas rewritten | LiteLLM 1.109 | `schemas_are_untouched` |
//! | thinking without a signature refused when it is sent back | vLLM 0.17 | `conversations_are_mapped` |
//! | system messages inside a conversation moved to its front | vLLM | `system_messages_inside_stay_where_they_are` |
//! | a client that leaves: wrong usage, or a call that goes on | BerriAI#36008, #31499 | `a_client_that_leaves_cancels_the_call`, `a_client_that_leaves_pays_for_the_prompt_and_what_was_streamed` |
//! | no `output_item.added` before deltas | BerriAI#22102, openai/codex#12798 | `a_stream_has_the_events_of_the_specification` |
//! | events of calls missing | BerriAI#19368 | `interleaved_calls_stay_interleaved` |
//! | reasoning without `part.added`, a new id for each delta | BerriAI#32777 | `a_stream_has_the_events_of_the_specification` |
//! | `response.completed` without output, id or model | llm-rosetta#56, BerriAI#32724, #38719 | `the_last_event_repeats_the_output_and_the_request` |
//! | events without `type`, `response`, `sequence_number` | sap-ai-core-llm-proxy#35 | `a_stream_has_the_events_of_the_specification`, `any_chunks_of_a_reply_give_the_same_events` |
//! | arguments lost that come without deltas | opencodex#4652 | `whole_arguments_have_a_delta` |
//! | names of namespaced tools do not come back | vLLM | `namespaces_and_custom_tools_come_back` |

use std::fs;
use std::path::Path;

/// The folders with the tests.
const TESTS: [&str; 3] = [
    "tests/it",
    "../llm-adapters/tests/it",
    "../polyllm-cli/tests/gateway",
];

#[test]
fn every_test_of_the_table_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for folder in TESTS {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "rs") {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let rows = include_str!("known_bugs.rs").lines();
    let rows: Vec<_> = rows
        .filter_map(|line| line.strip_prefix("//! | "))
        .skip(1)
        .collect();
    assert_eq!(rows.len(), 22);
    for row in rows {
        let (_, tests) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        for test in tests.split(", ") {
            let name = test.trim_matches('`');
            assert!(
                sources.contains(&format!("fn {name}(")),
                "{name} does not exist"
            );
        }
    }
}
